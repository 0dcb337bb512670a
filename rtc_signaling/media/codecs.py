"""Which codec a viewer gets: the first of the operator's that its offer has."""

from __future__ import annotations

from collections.abc import Sequence

from aiortc import RTCRtpCodecCapability, RTCRtpSender
from aiortc.sdp import MediaDescription, SessionDescription

from rtc_signaling.media.encoder import CODECS
from rtc_signaling.media.h264_stream import H264Offer

# Constrained baseline is what the encoders make, and what hardware and browsers say. A viewer that
# has baseline alone can decode it too.
_PROFILES = ('42e0', '4200')
# Profiles of which each decoder takes all that is of one before it: Baseline (as far as it is
# used), Main, High, High 10, High 4:2:2, High 4:4:4 (ITU-T H.264, annex A).
_NESTED = (66, 77, 100, 110, 122, 244)


def preferences(names: Sequence[str]) -> list[RTCRtpCodecCapability]:
    """Return aiortc's codecs in the order of `names`, for `setCodecPreferences`.

    Args:
        names: Of `CODECS`; one that is missing is not used. Empty for all.
    """
    wished = list(names) or list(CODECS)
    codecs = RTCRtpSender.getCapabilities('video').codecs
    chosen = [codec for codec in codecs if codec.name.lower() in wished]
    chosen.sort(key=lambda codec: (wished.index(codec.name.lower()), _profile_rank(codec)))
    # Without it in the list nothing is ever sent again.
    return chosen + [codec for codec in codecs if codec.name.lower() == 'rtx']


def _profile_rank(codec: RTCRtpCodecCapability) -> int:
    profile = str(codec.parameters.get('profile-level-id', '')).lower()[:4]
    return _PROFILES.index(profile) if profile in _PROFILES else len(_PROFILES)


def negotiated(sdp: str) -> str | None:
    """Return which codec an answer of ours says that video is sent in.

    Returns:
        One of `CODECS`; None if it sends no video.
    """
    for media in SessionDescription.parse(sdp).media:
        if media.kind == 'video' and media.port and media.rtp.codecs:
            return codec_of(media)
    return None


def codec_of(media: MediaDescription) -> str | None:
    """Return which codec a video section of an answer of ours says; one of `CODECS`, or None."""
    if not media.port or not media.rtp.codecs:
        return None
    name = media.rtp.codecs[0].name.lower()
    return name if name in CODECS else None


def offered_h264(sdp: str) -> H264Offer:
    """Return which H.264 a viewer's offer says that it takes, in the packets that are sent.

    Of several profiles the highest counts (RFC 6184, 8.1): browsers offer each that they decode.
    """
    media = SessionDescription.parse(sdp).media
    return max([H264Offer(), *(h264_of(one) for one in media if one.kind == 'video')])


def h264_of(media: MediaDescription) -> H264Offer:
    """Return which H.264 a video section of an offer says that is taken, likewise."""
    offers = [H264Offer()]
    for codec in media.rtp.codecs:
        mode = str(codec.parameters.get('packetization-mode', '0'))
        if codec.name.lower() == 'h264' and mode == '1':
            offers.append(_h264_offer(str(codec.parameters.get('profile-level-id', ''))))
    return max(offers)


def _h264_offer(profile_level_id: str) -> H264Offer:
    try:
        profile, _, level = bytes.fromhex(profile_level_id)
    except ValueError:
        return H264Offer()
    return H264Offer(profile, level) if profile in _NESTED else H264Offer()
