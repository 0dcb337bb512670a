"""One camera on its way to one viewer: its track, what the viewer reports of it, its figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aiortc import RTCPeerConnection
from aiortc.sdp import MediaDescription, SessionDescription
from msgspec import UNSET, UnsetType

from rtc_signaling.media._aiortc import (
    PacketPacer,
    Resending,
    RtpOrigin,
    name_stream,
    watch_feedback,
)
from rtc_signaling.media.codecs import codec_of, h264_of, preferences
from rtc_signaling.media.link import Link
from rtc_signaling.media.track import Camera
from rtc_signaling.messages import Stats
from rtc_signaling.sender_metrics import ViewerFigures


class _Delivery(NamedTuple):
    """Hold what a receiver report and the packet counter said at one look."""

    packets_sent: int = 0
    size_bytes: int = 0
    report_time: float = 0.0


class ViewerStream:
    """Send one camera to one viewer, in one media section of its connection; in the loop.

    Args:
        connection: The viewer's, before it has taken the offer: streams go into its video
            sections in the order in which they are made.
        name: The camera's; '' if the sender has only one, without a name.
        camera: Where the pictures come from.
        codecs: The codecs that may be used, the preferred one first; empty for all.
        link: The viewer's, with its other streams.
    """

    def __init__(
        self,
        connection: RTCPeerConnection,
        name: str,
        camera: Camera,
        codecs: Sequence[str],
        link: Link,
    ) -> None:
        self.name = name
        self._camera = camera
        self._stats = Stats()
        self._bitrate_bps = 0.0
        self._last = _Delivery()
        self._link = link
        self._track = camera.add_track(link)
        self._transceiver = connection.addTransceiver(self._track, direction='sendonly')
        self._transceiver.setCodecPreferences(preferences(codecs))
        sender = self._transceiver.sender
        self._feedback = watch_feedback(
            sender, self._track.request_key_frame, self._track.take_report
        )
        self._track.forget_sent = Resending(sender).forget
        self._track.pace = PacketPacer(sender).pace
        self._origin = RtpOrigin(sender)
        if name:
            name_stream(sender, name)

    @property
    def mid(self) -> str:
        """Of its media section; '' before the offer is taken."""
        return self._transceiver.mid or ''

    @property
    def pictures(self) -> int:
        """How many pictures the camera has sent so far, to whatever viewers."""
        return self._camera.stamps.pictures

    def runs(self) -> tuple[tuple[int, int, int], ...]:
        """Return which header stamps the last pictures have, by their RTP timestamps here."""
        origin = self._origin.value
        return () if origin is None else self._camera.stamps.runs(origin)

    def agree(self, offer: SessionDescription, answer: SessionDescription) -> None:
        """Take up what was negotiated; before the connection comes about."""
        for media in self._sections(offer):
            self._track.h264 = h264_of(media)
        for media in self._sections(answer):
            self._track.codec = codec_of(media) or ''

    def _sections(self, description: SessionDescription) -> list[MediaDescription]:
        """Return its section of a description; several if they have no names."""
        videos = [media for media in description.media if media.kind == 'video']
        return [media for media in videos if media.rtp.muxId == self.mid]

    def take_stats(self, stats: Stats) -> None:
        """Keep what the viewer reports of this video."""
        self._stats = stats

    def request_key_frame(self) -> None:
        """Have a key frame come soon."""
        self._track.request_key_frame()

    def figures(self, client_id: str, state: str, timing_ignored: int) -> ViewerFigures:
        """Return how this video is, as far as it is known; reports may be stale or untrue.

        Args:
            client_id: The viewer.
            state: Of its connection.
            timing_ignored: Of its messages on data channels.
        """
        stats = self._stats
        rtt_ms, latency_ms = _known(stats.rtt_ms), _known(stats.latency_ms)
        return ViewerFigures(
            client_id=client_id,
            state=state,
            bitrate_bps=self._bitrate_bps,
            fps=_known(stats.fps),
            loss=self._feedback.loss if stats.loss is UNSET else float(stats.loss),
            freezes=_known(stats.freezes),
            rtt_s=self._link.rtt_s if rtt_ms is None else rtt_ms / 1000,
            latency_s=None if latency_ms is None else latency_ms / 1000,
            timing_ignored=timing_ignored,
            camera=self.name,
            layer='' if self._track.feed is None else self._camera.layer(self._track),
            estimate_bps=self._link.bps,
        )

    async def look(self, period_s: float) -> tuple[bool, bool]:
        """Return whether packets went out since the last look, and whether a report came."""
        now, last = await self._delivery(), self._last
        self._last = now
        self._bitrate_bps = (now.size_bytes - last.size_bytes) * 8 / period_s
        return now.packets_sent > last.packets_sent, now.report_time > last.report_time

    def close(self) -> None:
        """Send no more; the connection may go on with others."""
        self._camera.remove_track(self._track)

    async def _delivery(self) -> _Delivery:
        packets_sent, size_bytes, report_time = 0, 0, 0.0
        for stats in (await self._transceiver.sender.getStats()).values():
            if stats.type == 'outbound-rtp':
                packets_sent, size_bytes = stats.packetsSent, stats.bytesSent
            elif stats.type == 'remote-inbound-rtp':
                report_time = stats.timestamp.timestamp()
        return _Delivery(packets_sent, size_bytes, report_time)


def _known(amount: float | UnsetType) -> float | None:
    return None if isinstance(amount, UnsetType) else float(amount)
