"""From camera images to all viewers' tracks: the latest image wins, nothing queues."""

from __future__ import annotations

import asyncio
import fractions
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from rtc_signaling.errors import MediaError
from rtc_signaling.media.clock_sync import StampTable
from rtc_signaling.media.frames import Pixels, to_i420
from rtc_signaling.media.timing import VIDEO_CLOCK_HZ, Pacer, RtpClock

logger = logging.getLogger(__name__)

_TIME_BASE = fractions.Fraction(1, VIDEO_CLOCK_HZ)


class Picture(NamedTuple):
    """Hold one converted image.

    Attributes:
        i420: Planar I420, uint8, shape (height * 3 // 2, width); never written to again.
        pts: RTP time, in 1/90000 s.
    """

    i420: Pixels
    pts: int


class CameraTrack(MediaStreamTrack):
    """Be one viewer's video track: a slot for the latest picture.

    A viewer whose encoder is slower than the camera skips pictures; it never holds up others.
    """

    kind = 'video'

    def __init__(self) -> None:
        super().__init__()
        self._picture: Picture | None = None
        self._arrived = asyncio.Event()

    def show(self, picture: Picture) -> None:
        """Put a picture into the slot, in place of an older one; in the loop."""
        self._picture = picture
        self._arrived.set()

    async def recv(self) -> av.VideoFrame:
        """Return the next picture; called by aiortc.

        Raises:
            MediaStreamError: The track was stopped.
        """
        if self.readyState != 'live':
            raise MediaStreamError
        await self._arrived.wait()
        self._arrived.clear()
        picture, self._picture = self._picture, None
        if picture is None:
            raise MediaStreamError
        # A frame object of its own for each viewer: encoders write to its attributes. The pixels
        # are shared, and nobody writes to those.
        frame = av.VideoFrame.from_numpy_buffer(picture.i420, format='yuv420p')
        frame.pts = picture.pts
        frame.time_base = _TIME_BASE
        return frame

    def stop(self) -> None:
        """End the track; a waiting `recv` raises."""
        super().stop()
        self._picture = None
        self._arrived.set()


@dataclass(slots=True)
class CameraCounts:
    """Count what happened to images; written in one thread each, read anywhere.

    Attributes:
        received: Images that came from ROS.
        replaced: Images that a newer one replaced before they were looked at.
        bad: Images that could not be converted.
        shown: Pictures that went to the viewers' tracks.
    """

    received: int = 0
    replaced: int = 0
    bad: int = 0
    shown: int = 0


class Camera:
    """Take images from the executor's thread and show them on the viewers' tracks.

    Between the threads there is one slot: when a new image comes before the last was taken, the
    last is dropped. Images are converted off the loop, once for all viewers, and only if there
    are viewers.

    Args:
        convert: Makes I420 of an image, or raises MediaError; called off the loop.

    Attributes:
        counts: What happened to images.
        last_error: What is wrong with the images, or ''.
        pacer: Chooses the images to send.
        stamps: The header stamps of the last images, by RTP time.
    """

    def __init__(self, convert: Callable[[Any], Pixels] = to_i420) -> None:
        self._convert = convert
        self.counts = CameraCounts()
        self.last_error = ''
        self.pacer = Pacer()
        self.stamps = StampTable()
        self._clock = RtpClock()
        self._tracks: set[CameraTrack] = set()
        self._lock = threading.Lock()
        self._waiting: tuple[Any, int, int] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrived = asyncio.Event()

    def put(self, image: Any, stamp_ns: int) -> None:
        """Leave an image; called on the executor's thread. It must not be changed any more.

        Args:
            image: What `convert` takes: a sensor_msgs/Image, for `to_i420`.
            stamp_ns: Its header stamp, in ns.
        """
        with self._lock:
            self.counts.received += 1
            replaced = self._waiting is not None
            self.counts.replaced += replaced
            self._waiting = (image, stamp_ns, time.monotonic_ns())
            if not replaced and self._loop is not None:
                self._loop.call_soon_threadsafe(self._arrived.set)

    def add_track(self) -> CameraTrack:
        """Return a new track for one viewer; in the loop."""
        track = CameraTrack()
        self._tracks.add(track)
        return track

    def remove_track(self, track: CameraTrack) -> None:
        """Stop a viewer's track; in the loop."""
        self._tracks.discard(track)
        track.stop()

    async def run(self) -> None:
        """Show images until cancelled; in the loop."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
        # An image may wait already, and of one that takes its place nobody is told.
        self._arrived.set()
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                with self._lock:
                    waiting, self._waiting = self._waiting, None
                if waiting is not None:
                    await self._show(*waiting)
        finally:
            with self._lock:
                self._loop = None

    async def _show(self, image: Any, stamp_ns: int, arrival_ns: int) -> None:
        pts = self._clock.pts(stamp_ns, arrival_ns)
        self.stamps.note(pts, stamp_ns)
        if not self._tracks or not self.pacer.admits(arrival_ns):
            return
        try:
            i420 = await asyncio.to_thread(self._convert, image)
        except MediaError as error:
            self._reject(str(error))
            return
        self.last_error = ''
        self.counts.shown += 1
        picture = Picture(i420, pts)
        for track in self._tracks:
            track.show(picture)

    def _reject(self, text: str) -> None:
        self.counts.bad += 1
        if text != self.last_error:
            logger.error('%s; the image is skipped, and others like it silently', text)
        self.last_error = text
