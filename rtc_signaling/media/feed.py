"""One encoded form of a camera's pictures, between the encoder thread and the viewers' tracks."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from rtc_signaling.media.estimate import Reading
from rtc_signaling.media.h264_stream import H264Offer
from rtc_signaling.media.key_frames import LONGEST_PAUSE_S, KeyFrames, Patience
from rtc_signaling.media.layers import FULL, Layer
from rtc_signaling.media.link import Link
from rtc_signaling.media.pacing import Spread, spread
from rtc_signaling.media.rate import Rate
from rtc_signaling.media.timing import VIDEO_CLOCK_HZ, Pacer

# A viewer that asks for a key frame so soon after one went to it has not got it yet.
ON_ITS_WAY_S = 0.2
# Pictures that may wait for a viewer whose link is thin: each of them takes its time on the way.
THIN_ROOM = 4
# The longest pause of its requests for key frames: nobody with a good link pays for them.
THIN_PAUSE_S = 2.0
# Of who gets key frames alone, one may take two seconds.
STILLS_ROOM = 60
# What is between two pictures, at least and at most, where their times say something else.
PERIODS_S = (1 / 120, 0.2)
USUAL_PERIOD_S = 1 / 30


class Times(NamedTuple):
    """Hold when a picture was where, in ns of the monotonic clock.

    Attributes:
        taken: When the image was taken, by its stamp; when it arrived, if that is not known.
        arrived: When it arrived.
        begun: When the work for this codec began; of the first codec, with the conversion.
        encoded: When its packet was ready.
    """

    taken: int
    arrived: int
    begun: int
    encoded: int


@dataclass(frozen=True, slots=True)
class Encoded:
    """Hold one encoded picture, shared by all viewers: nobody writes to it.

    Attributes:
        packet: The packet, its time in RTP units.
        key_frame: Whether it can be decoded alone.
        times: When it was where.
    """

    packet: av.Packet[Any]
    key_frame: bool
    times: Times

    @property
    def pts(self) -> int:
        """Its time in RTP units."""
        return self.packet.pts or 0

    @property
    def bits(self) -> int:
        """How large it is."""
        return self.packet.size * 8


class CameraTrack(MediaStreamTrack):
    """Be one viewer's video track: a slot for the next packet. Use it in the loop.

    Where key frames cannot be asked for, the slot has room for some (`Feed.room`).

    Until aiortc reads from it, which it does once the viewer is connected, it costs nothing. A
    viewer that has not taken a picture when the next one comes misses everything up to the next
    key frame, so that its decoder never meets a gap, and asks for one when it reads on. So it
    holds up nobody, and nothing queues.

    A viewer whose link is too thin goes to another feed: it begins there with a key frame, and its
    packets' numbers and times go on.

    Args:
        on_reading: Called with the track when it is read from for the first time.
        on_sent: Called with a picture's times when it has been sent.
        on_report: Called with the track and the monotonic clock after a receiver report.
        link: The viewer's.

    Attributes:
        codec: What the viewer negotiated; to be set before it is connected.
        h264: Which H.264 it takes, likewise.
        dropped: Pictures that the viewer missed because it was slow.
        link: As given.
        key_frames_only: Whether it leaves out all other pictures.
        sent_bits: Bits that were sent, since the start.
        key_frame_bits: Bits of the last key frame that was sent.
        forget_sent: Called when what was sent up to now need not be sent again.
        pace: Called, before a picture is sent, with how its packets are to be spread.
    """

    kind = 'video'

    def __init__(
        self,
        on_reading: Callable[[CameraTrack], None] = lambda track: None,
        on_sent: Callable[[Times], None] = lambda times: None,
        on_report: Callable[[CameraTrack, float], None] = lambda track, now_s: None,
        link: Link | None = None,
    ) -> None:
        super().__init__()
        self.link = Link() if link is None else link
        self.link.streams.append(self)
        self.key_frames_only = False
        self.sent_bits = 0
        self.key_frame_bits = 0
        self.forget_sent: Callable[[], None] = lambda: None
        self.pace: Callable[[Spread | None], None] | None = None
        self._on_report = on_report
        self._coming: Feed | None = None
        self._last_pts = -1
        self._given_pts = -1
        self.codec = ''
        self.h264 = H264Offer()
        self.dropped = 0
        self._on_reading = on_reading
        self._on_sent = on_sent
        self._feed: Feed | None = None
        self._next: deque[Encoded] = deque()
        self._given: Encoded | None = None
        self._needs_key_frame = True
        self._fell_behind = False
        self._patience = Patience()
        self._key_frame_s = 0.0
        self._arrived = asyncio.Event()

    def attach(self, feed: Feed) -> None:
        """Take pictures of this feed from now on, the first of them a key frame."""
        self._leave()
        self._begin(feed)
        # What waits is of another encoder, if it was attached before.
        self._next.clear()
        self._ask(time.monotonic())

    def change_to(self, feed: Feed, *, at_once: bool) -> None:
        """Go to another encode of the same camera, for what the link carries.

        Args:
            feed: The other one; the same, to begin again with a key frame.
            at_once: Whether nothing is to be sent until its key frame is there, because the link
                is full; else the pictures of now go on until then.
        """
        if at_once or feed is self._feed:
            self._leave()
            self._begin(feed)
            self._next.clear()
            self.forget_sent()
        else:
            if self._coming is not None:
                self._coming.tracks.discard(self)
            self._coming = feed
        feed.tracks.add(self)
        # Not by its patience: this is no request of the viewer's. What it asked for on a link that
        # was full is over; the new encode's key frame may be lost there too.
        self._patience = Patience(THIN_PAUSE_S if feed.layer.halved else LONGEST_PAUSE_S)
        feed.ask(time.monotonic())

    def _begin(self, feed: Feed) -> None:
        self._feed = feed
        self._needs_key_frame = True
        self._fell_behind = False

    def _leave(self) -> None:
        for feed in (self._feed, self._coming):
            if feed is not None:
                feed.tracks.discard(self)
        self._coming = None

    @property
    def feed(self) -> Feed | None:
        """Where its pictures come from; None as long as it takes none."""
        return self._feed

    def take_report(self, reading: Reading) -> None:
        """Take a receiver report of its viewer; in the loop."""
        self.link.take(time.monotonic(), reading, self)

    def reported(self, now_s: float) -> None:
        """Take notice that the link's estimate was looked at again."""
        self._on_report(self, now_s)

    def key_frame_age_s(self, now_s: float) -> float:
        """Return how long ago a key frame was sent."""
        return now_s - self._key_frame_s

    def request_key_frame(self) -> None:
        """Ask for a key frame, as a viewer that lost something does; often is not sooner."""
        now_s = time.monotonic()
        if self._needs_key_frame or now_s - self._key_frame_s >= ON_ITS_WAY_S:
            self._ask(now_s)

    def _ask(self, now_s: float) -> None:
        if self._feed is not None:
            self._feed.ask(self._patience.next_s(now_s))

    def show(self, encoded: Encoded, feed: Feed) -> None:
        """Put a picture of a feed into the slot, if the viewer can decode it."""
        if not self._goes_on_with(encoded, feed):
            return
        room = feed.room
        late = len(self._next) >= room
        if encoded.key_frame:
            if late:
                self.dropped += len(self._next)
                self._next.clear()
            self._needs_key_frame = self._fell_behind = False
            self._next.append(encoded)
            self._arrived.set()
        elif late or self._needs_key_frame:
            # What waits in the slot is still good; what comes after it would have a gap before it.
            self.dropped += late or self._fell_behind
            self._fell_behind |= late
            self._needs_key_frame = True
        else:
            self._next.append(encoded)
            self._arrived.set()
        if self._next:
            self._last_pts = self._next[-1].pts

    def _goes_on_with(self, encoded: Encoded, feed: Feed) -> bool:
        """Tell whether a picture is one for this viewer; change feeds at a key frame."""
        if encoded.key_frame and encoded.pts <= self._last_pts:
            # It had this picture of another encode already, and a time may not be used twice.
            feed.ask(time.monotonic())
            return False
        if feed is self._coming and encoded.key_frame:
            self._leave_behind(feed)
        if feed is not self._feed:
            return False
        if self.key_frames_only and not encoded.key_frame:
            self._needs_key_frame = True
            return False
        return True

    def _leave_behind(self, feed: Feed) -> None:
        """Go on with the pictures of `feed`, whose key frame has come."""
        self._coming = None
        if self._feed is not None:
            self._feed.tracks.discard(self)
        self._begin(feed)

    async def recv(self) -> av.Packet[Any]:
        """Return the next packet; called by aiortc.

        Raises:
            MediaStreamError: The track was stopped.
        """
        if self.readyState != 'live':
            raise MediaStreamError
        if self._given is not None:
            # aiortc comes back for the next one when the last one is out.
            self._on_sent(self._given.times)
            self._given = None
        if self._feed is None:
            self._on_reading(self)
        elif self._fell_behind and not self._next:
            self._ask(time.monotonic())
        while not self._next:
            self._arrived.clear()
            await self._arrived.wait()
            if self.readyState != 'live':
                raise MediaStreamError
        encoded = self._next.popleft()
        if encoded.key_frame:
            self._key_frame_s = time.monotonic()
            self.key_frame_bits = encoded.bits
        self._given = encoded
        self.sent_bits += encoded.bits
        if self.pace is not None:
            self.pace(self._spread(encoded))
        return encoded.packet

    def _spread(self, encoded: Encoded) -> Spread | None:
        """Return how the packets of a picture are spread out; None for not at all."""
        step_s = (encoded.pts - self._given_pts) / VIDEO_CLOCK_HZ
        self._given_pts = encoded.pts
        least_s, most_s = PERIODS_S
        period_s = max(least_s, step_s) if step_s <= most_s else USUAL_PERIOD_S
        feed, carried_bps = self._feed, self.link.share_bps
        if feed is None or not feed.pace_bps:
            return None
        rate_bps = feed.pace_bps if carried_bps is None else min(carried_bps, feed.pace_bps)
        if self.key_frames_only:
            # Nothing follows soon, and the whole of it has to go through the link's queue.
            return spread(encoded.bits // 8, rate_bps / 2, USUAL_PERIOD_S, STILLS_ROOM)
        return spread(encoded.bits // 8, rate_bps, period_s, feed.room)

    def stop(self) -> None:
        """End the track; a waiting `recv` raises."""
        super().stop()
        self.link.leave(self)
        self._leave()
        self._next.clear()
        self._given = None
        self._arrived.set()


class Feed:
    """Bring one encoder's packets to the tracks that take them.

    Args:
        codec: What the packets are.
        room: How many packets may wait for one viewer. Where no key frame can be asked for, one
            that comes a little late would else be without a picture for a long time.
        layer: Which of the codec's encodes it is.

    Attributes:
        most_bps: The bitrate that its encoder has at most; 0 where it has none of ours.
        target_bps: What it has for now, None for the most. Written in the loop, read in the
            encoder thread.
        tracks: Who takes them; touched in the loop alone. The encoder thread looks whether there
            is anybody.
        encoder: FFmpeg's name of the encoder that made the last packet; '' if none did.
        key_frames: Key frames that there were.
    """

    def __init__(self, codec: str, room: int = 1, layer: Layer = FULL) -> None:
        self.codec = codec
        self.room = room
        self.layer = layer
        self.name = codec if layer is FULL else f'{codec} {layer.name}'
        self.most_bps = 0
        self.target_bps: int | None = None
        self._pacer = Pacer(layer.max_fps)
        self._rate = Rate()
        self._rate_ns = 0
        self.tracks: set[CameraTrack] = set()
        self.encoder = ''
        self.key_frames = 0
        self._lock = threading.Lock()
        self._key_frames = KeyFrames()

    @property
    def wanted(self) -> bool:
        """Whether anybody takes the packets; any thread may ask."""
        return bool(self.tracks)

    @property
    def allowed_bps(self) -> int:
        """The bitrate that its encoder has, 0 where it has none of ours."""
        return self.most_bps if self.target_bps is None else min(self.target_bps, self.most_bps)

    @property
    def taken_bps(self) -> float:
        """What a viewer of it takes by now, in bit/s; in the loop."""
        return min(self._rate.bps(self._rate_ns), self.allowed_bps or math.inf)

    @property
    def pace_bps(self) -> float:
        """What its pictures are usually sent with, in bit/s; in the loop."""
        return self.allowed_bps or self._rate.bps(self._rate_ns)

    def admits(self, arrival_ns: int) -> bool:
        """Tell the encoder thread whether the image that came at `arrival_ns` is one for it."""
        return self._pacer.admits(arrival_ns)

    def ask(self, at_s: float) -> None:
        """Ask for a key frame, at the time `at_s` of the monotonic clock or soon after it."""
        with self._lock:
            self._key_frames.ask(at_s)

    def key_frame_due(self, now_s: float, interval_s: float) -> bool:
        """Tell the encoder thread whether the next picture is to be a key frame."""
        with self._lock:
            return self._key_frames.due(now_s, interval_s)

    def key_frame_made(self, now_s: float) -> None:
        """Note, in the encoder thread, that a key frame was made."""
        with self._lock:
            self._key_frames.made(now_s)

    def deliver(self, encoded: Encoded, encoder: str) -> None:
        """Give a packet to all tracks; in the loop."""
        self.encoder = encoder
        self.key_frames += encoded.key_frame
        self._rate_ns = encoded.times.encoded
        self._rate.add(self._rate_ns, encoded.bits)
        # A viewer that misses it asks again, or leaves: of what changes, a copy is gone through.
        for track in tuple(self.tracks):
            track.show(encoded, self)
