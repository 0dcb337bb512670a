"""From camera images to all viewers' tracks: encoded once, the latest wins, nothing queues."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from rtc_signaling.media.adaptation import Adaptation
from rtc_signaling.media.clock_sync import StampTable
from rtc_signaling.media.encoder import CODECS, H264
from rtc_signaling.media.encoding import Arrival, Convert, Doubt, Encoding, EncodingSettings
from rtc_signaling.media.feed import THIN_ROOM, CameraTrack, Encoded, Feed, Times
from rtc_signaling.media.frames import to_i420
from rtc_signaling.media.h264 import Sps
from rtc_signaling.media.key_frame_waits import KeyFrameWaits
from rtc_signaling.media.layers import FIRST_HOLD_S, FULL, LOWER_ENCODES
from rtc_signaling.media.link import Link
from rtc_signaling.media.passthrough import PASSED_ON
from rtc_signaling.media.timing import Pacer
from rtc_signaling.sender_metrics import EncoderFigures, PictureAges, PictureMeter

logger = logging.getLogger(__name__)

# An encoder that hangs does not keep the process from ending.
JOIN_TIMEOUT_S = 1.0
# A camera's own H.264 may wait for one viewer, a quarter of a second of it.
PASSED_ON_ROOM = 8


@dataclass(frozen=True, slots=True)
class CameraCounts:
    """Hold what happened to images, since the start.

    Attributes:
        received: Images that came from ROS.
        replaced: Images that a newer one replaced before they were looked at.
        bad: Images that could not be converted, or in which nothing is.
        failed: Pictures that an encoder failed at.
        shown: Pictures that were encoded for viewers or passed on, each counted once.
        dropped: Pictures that single viewers missed because they were slow.
    """

    received: int
    replaced: int
    bad: int
    failed: int
    shown: int
    dropped: int


class Camera:
    """Take images from the executor's thread and show them on the viewers' tracks.

    The executor leaves an image in a mailbox with one slot; the encoder thread takes the latest,
    converts it, encodes it once for each codec that viewers take, and hands the packets to the
    loop, which gives them to the viewers' tracks. Nobody waits for anybody: an image that comes
    before the last was taken replaces it, none is taken before the loop has the last packets, and
    a viewer that is not ready misses pictures. Without a connected viewer nothing is converted.

    What is H.264 already is not decoded and encoded again, but for viewers that cannot take it: of
    another codec, or without its profile.

    Args:
        convert: Makes I420 of an image, in the array that it is given if that fits, or raises
            MediaError; called in the encoder thread.
        doubt: Says what is wrong with an image that can be shown all the same, likewise.
        name: The camera's in the log; '' for none.
        first_hold_s: How long a viewer with a weak link keeps up before it tries a better layer.

    Attributes:
        enabled: Whether images are taken; any thread.
    """

    def __init__(
        self,
        convert: Convert = to_i420,
        doubt: Doubt = lambda image, i420: '',
        *,
        name: str = '',
        first_hold_s: float = FIRST_HOLD_S,
    ) -> None:
        self.enabled = True
        self._received = 0
        self._replaced = 0
        self._dropped = 0
        # What is encoded for most comes first.
        self._feeds = {(codec, FULL.name): Feed(codec) for codec in CODECS}
        for layer in LOWER_ENCODES:
            for codec in CODECS:
                self._feeds[codec, layer.name] = Feed(codec, THIN_ROOM, layer)
        self._adaptation = Adaptation(self._feeds, first_hold_s)
        self._tracks: set[CameraTrack] = set()
        self._passed_on = Feed(PASSED_ON, PASSED_ON_ROOM)
        self._stream: Sps | None = None
        self._waits = KeyFrameWaits()
        self._encoding = Encoding(
            convert, tuple(self._feeds.values()), self._passed_on, self._hand_over,
            self._on_stream, doubt=doubt, name=name,
        )  # fmt: skip
        self._loop: asyncio.AbstractEventLoop | None = None
        self._meter = PictureMeter()
        self.configure(EncodingSettings())

    @property
    def pacer(self) -> Pacer:
        """Which images are taken, if there are more than are wanted."""
        return self._encoding.pacer

    @property
    def stamps(self) -> StampTable:
        """The header stamps of the last images, by RTP time."""
        return self._encoding.stamps

    @property
    def counts(self) -> CameraCounts:
        """What happened to images, as of now."""
        work = self._encoding.counts
        return CameraCounts(
            received=self._received,
            replaced=self._replaced,
            bad=work.bad,
            failed=work.failed,
            shown=work.encoded,
            dropped=self._dropped + sum(track.dropped for track in self._tracks),
        )

    @property
    def last_error(self) -> str:
        """What is wrong with the images now, or ''."""
        return self._encoding.last_error

    @property
    def encoder_error(self) -> str:
        """What is wrong with an encoder now, or ''."""
        return self._encoding.encoder_error

    @property
    def ages(self) -> PictureAges:
        """How old the last pictures were at each step; in the loop."""
        return self._meter.ages

    @property
    def encoders(self) -> tuple[EncoderFigures, ...]:
        """The figures of each codec that was ever sent; in the loop."""
        return tuple(
            EncoderFigures(
                codec=feed.codec,
                encoder=feed.encoder,
                note=self._encoding.notes.get(feed.codec, ''),
                viewers=len(feed.tracks),
                key_frames=feed.key_frames,
                encode_s=self._meter.encode_s(feed.name),
                layer=feed.layer.name,
                bitrate_bps=feed.allowed_bps or None,
            )
            for feed in self._all_feeds
            if feed.encoder
        )

    @property
    def stream(self) -> str:
        """What the camera's own H.264 is, in words, '' if it gives none; in the loop."""
        return '' if self._stream is None else str(self._stream)

    @property
    def key_frame_wait_s(self) -> float:
        """How long viewers wait by now for a key frame of the camera's H.264; in the loop."""
        return self._waits.longest_s(time.monotonic()) if self._encoding.own_h264 else 0.0

    @property
    def key_frame_spacing_s(self) -> float:
        """How long the camera's own H.264 was last without a key frame, in s; 0 if unknown."""
        return self._encoding.key_frame_spacing_s

    @property
    def _all_feeds(self) -> tuple[Feed, ...]:
        return (*self._feeds.values(), self._passed_on)

    def configure(self, settings: EncodingSettings) -> None:
        """Take up other settings; any thread. The bitrate and the interval change at once."""
        self._encoding.settings = settings
        self._adaptation.configure(settings.adaptation, settings.bitrate_bps)

    def put(self, image: Any, stamp_ns: int, age_s: float | None = None) -> None:
        """Leave an image; called on the executor's thread. It must not be changed any more.

        Args:
            image: What `convert` takes: a sensor_msgs/Image, for `to_i420`; or an AccessUnit.
            stamp_ns: Its header stamp, in ns.
            age_s: How old it is by its stamp, in s; None if that is not known.
        """
        self._received += 1
        if not self.enabled:
            return
        age_ns = 0 if age_s is None else int(age_s * 1e9)
        arrival = Arrival(image, stamp_ns, time.monotonic_ns(), age_ns, self._received)
        self._replaced += self._encoding.put(arrival)

    def add_track(self, link: Link | None = None) -> CameraTrack:
        """Return a new track for one viewer; in the loop. Set its codec before it is read.

        Args:
            link: The viewer's, if it watches other cameras too.
        """
        track = CameraTrack(self._begin, self._on_sent, self._adapt, link)
        self._tracks.add(track)
        return track

    def remove_track(self, track: CameraTrack) -> None:
        """Stop a viewer's track; in the loop."""
        if track in self._tracks:
            self._tracks.discard(track)
            self._dropped += track.dropped
        self._waits.forget(track)
        self._adaptation.forget(track)
        for feed in self._all_feeds:
            feed.tracks.discard(track)
        track.stop()

    async def run(self) -> None:
        """Encode and show images until cancelled; in the loop, once.

        Raises:
            Exception: The encoder thread died of a fault in this program.
        """
        self._loop = asyncio.get_running_loop()
        executor = ThreadPoolExecutor(1, 'encoder')
        work = executor.submit(self._encoding.run)
        executor.shutdown(wait=False)
        ended = asyncio.wrap_future(work)
        try:
            await asyncio.shield(ended)
        finally:
            self._encoding.stop()
            # It may be in the middle of a picture, whose packet still goes to this loop.
            await asyncio.wait({ended}, timeout=JOIN_TIMEOUT_S)

    def _begin(self, track: CameraTrack) -> None:
        """Have a viewer that is connected take pictures."""
        feed = self._feed_for(track)
        if feed is not None and track in self._tracks:
            self._attach(track, feed)

    def _feed_for(self, track: CameraTrack) -> Feed | None:
        stream = self._stream
        takes_it = track.codec == H264 and stream is not None and track.h264.takes(stream)
        if takes_it and self._adaptation.whole(track):
            return self._passed_on
        return self._adaptation.feed(track)

    def _adapt(self, track: CameraTrack, now_s: float) -> None:
        """Bring a viewer to the layer that its link carries, after its receiver report."""
        move = self._adaptation.look(track, now_s)
        feed = self._feed_for(track) if move else None
        if move < 0 and feed is self._passed_on:
            # What it takes is the choice of the camera: that is tried, whatever was known.
            track.link.forget()
        if feed is not None:
            track.key_frames_only = self._adaptation.layer(track).key_frames_only
            track.change_to(feed, at_once=move > 0)

    def layer(self, track: CameraTrack) -> str:
        """Return the name of the layer that a viewer has; in the loop."""
        return self._adaptation.layer(track).name

    def _attach(self, track: CameraTrack, feed: Feed) -> None:
        track.attach(feed)
        feed.tracks.add(track)
        self._waits.begin(track, time.monotonic())
        stream, offered = self._stream, track.h264.level
        if feed is self._passed_on and stream is not None and stream.level > offered:
            # Browsers offer less than they decode; another encoder would need that level as well.
            logger.info(
                "a viewer offers H.264 up to level %g, the camera's is %g", offered / 10,
                stream.level / 10,
            )  # fmt: skip

    def _on_stream(self, stream: Sps | None) -> None:
        """Note what the camera gives; in the encoder thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._follow, stream)

    def _follow(self, stream: Sps | None) -> None:
        """Bring each viewer to the feed that it can take from now on."""
        self._stream = stream
        if stream is not None:
            logger.info('H.264 goes to viewers as the camera makes it: %s', stream)
        for track in self._tracks:
            feed = self._feed_for(track)
            if track.feed is not None and feed is not None and track not in feed.tracks:
                self._attach(track, feed)
        # Not before: the encoder thread waits for it to see who takes what.
        self._encoding.delivered()

    def _hand_over(self, feed: Feed, encoded: Encoded, encoder: str) -> None:
        """Bring a packet to the loop; in the encoder thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._deliver, feed, encoded, encoder)

    def _deliver(self, feed: Feed, encoded: Encoded, encoder: str) -> None:
        if encoded.key_frame:
            self._end_waits(feed)
        feed.deliver(encoded, encoder)
        self._encoding.delivered()
        times = encoded.times
        self._meter.encoded(
            feed.name,
            arrived_s=(times.arrived - times.taken) / 1e9,
            begun_s=(times.begun - times.taken) / 1e9,
            encoded_s=(times.encoded - times.taken) / 1e9,
        )

    def _end_waits(self, feed: Feed) -> None:
        waited_s = self._waits.end(feed.tracks, time.monotonic())
        if waited_s and self._stream is not None:
            logger.warning(
                "a viewer waited %.1f s for a key frame: the camera's H.264 has one each %.1f s;"
                ' set it to one each second or two',
                waited_s,
                self.key_frame_spacing_s,
            )

    def _on_sent(self, times: Times) -> None:
        self._meter.sent((time.monotonic_ns() - times.taken) / 1e9)
