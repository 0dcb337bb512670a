"""One encoded form of a camera's pictures, between the encoder thread and the viewers' tracks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from rtc_signaling.media.h264_stream import H264Offer
from rtc_signaling.media.key_frames import KeyFrames, Patience

# A viewer that asks for a key frame so soon after one went to it has not got it yet.
ON_ITS_WAY_S = 0.2


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


class CameraTrack(MediaStreamTrack):
    """Be one viewer's video track: a slot for the next packet. Use it in the loop.

    Where key frames cannot be asked for, the slot has room for some (`Feed.room`).

    Until aiortc reads from it, which it does once the viewer is connected, it costs nothing. A
    viewer that has not taken a picture when the next one comes misses everything up to the next
    key frame, so that its decoder never meets a gap, and asks for one when it reads on. So it
    holds up nobody, and nothing queues.

    Args:
        on_reading: Called with the track when it is read from for the first time.
        on_sent: Called with a picture's times when it has been sent.

    Attributes:
        codec: What the viewer negotiated; to be set before it is connected.
        h264: Which H.264 it takes, likewise.
        dropped: Pictures that the viewer missed because it was slow.
    """

    kind = 'video'

    def __init__(
        self,
        on_reading: Callable[[CameraTrack], None] = lambda track: None,
        on_sent: Callable[[Times], None] = lambda times: None,
    ) -> None:
        super().__init__()
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
        self._feed = feed
        # What waits is of another encoder, if it was attached before.
        self._next.clear()
        self._needs_key_frame = True
        self._ask(time.monotonic())

    @property
    def attached(self) -> bool:
        """Whether it takes pictures of a feed."""
        return self._feed is not None

    def request_key_frame(self) -> None:
        """Ask for a key frame, as a viewer that lost something does; often is not sooner."""
        now_s = time.monotonic()
        if self._needs_key_frame or now_s - self._key_frame_s >= ON_ITS_WAY_S:
            self._ask(now_s)

    def _ask(self, now_s: float) -> None:
        if self._feed is not None:
            self._feed.ask(self._patience.next_s(now_s))

    def show(self, encoded: Encoded) -> None:
        """Put a picture into the slot, if the viewer can decode it."""
        room = 1 if self._feed is None else self._feed.room
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
        self._given = encoded
        return encoded.packet

    def stop(self) -> None:
        """End the track; a waiting `recv` raises."""
        super().stop()
        self._next.clear()
        self._given = None
        self._arrived.set()


class Feed:
    """Bring one encoder's packets to the tracks that take them.

    Args:
        codec: What the packets are.
        room: How many packets may wait for one viewer. Where no key frame can be asked for, one
            that comes a little late would else be without a picture for a long time.

    Attributes:
        tracks: Who takes them; touched in the loop alone. The encoder thread looks whether there
            is anybody.
        encoder: FFmpeg's name of the encoder that made the last packet; '' if none did.
        key_frames: Key frames that there were.
    """

    def __init__(self, codec: str, room: int = 1) -> None:
        self.codec = codec
        self.room = room
        self.tracks: set[CameraTrack] = set()
        self.encoder = ''
        self.key_frames = 0
        self._lock = threading.Lock()
        self._key_frames = KeyFrames()

    @property
    def wanted(self) -> bool:
        """Whether anybody takes the packets; any thread may ask."""
        return bool(self.tracks)

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
        for track in self.tracks:
            track.show(encoded)
