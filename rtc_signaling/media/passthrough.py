"""A camera that gives H.264: its pictures go to viewers as they are, nothing is encoded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from rtc_signaling.media.encoder import TIME_BASE, reason
from rtc_signaling.media.h264 import Sps
from rtc_signaling.media.h264_stream import H264Stream, Picture
from rtc_signaling.media.pixels import ImageError, Pixels
from rtc_signaling.media.timing import VIDEO_CLOCK_HZ

# What is shown in place of an encoder's name, and of a codec's.
CAMERA = 'camera'
PASSED_ON = 'passed_on'


class Passthrough:
    """Take a camera's H.264; in the encoder thread.

    Args:
        on_stream: Called with what the camera sends when that changes, before its first picture;
            with None when it is no H.264 any more.

    Attributes:
        key_frame_spacing_s: Time between the last two key frames, in s; 0 if there were no two.
    """

    def __init__(self, on_stream: Callable[[Sps | None], None]) -> None:
        self.key_frame_spacing_s = 0.0
        self._key_frame_pts: int | None = None
        self._on_stream = on_stream
        self._stream: Sps | None = None
        self._units = H264Stream()
        self._number = 0
        self._decoder: Decoder | None = None

    def take(self, data: bytes, number: int, pts: int) -> Picture | None:
        """Take an image.

        Args:
            data: Its H.264.
            number: One more than that of the image before it, if none is missing.
            pts: RTP time, in 1/90000 s.

        Returns:
            None if there is no picture in it that could be shown.

        Raises:
            ImageError: It is damaged, or nothing that browsers take.
        """
        if number != self._number + 1:
            self._units.interrupt()
            self._decoder = None
        self._number = number
        try:
            picture = self._units.take(data)
        except ImageError:
            self._decoder = None
            raise
        if picture is None:
            return None
        if picture.key_frame:
            self._note_key_frame(pts)
        if picture.stream != self._stream:
            self._stream = picture.stream
            self._on_stream(self._stream)
        return picture

    def decoded(self, picture: Picture, wanted: bool) -> Pixels | None:
        """Return the pixels of the picture that was taken; None if they cannot be had (yet).

        Args:
            picture: What `take` returned.
            wanted: Whether somebody takes no H.264, or not this.

        Raises:
            ImageError: It cannot be decoded.
        """
        if not wanted:
            self._decoder = None
        elif self._decoder is None and picture.key_frame:
            self._decoder = Decoder()
        if self._decoder is None:
            return None
        try:
            return self._decoder.decode(picture.data)
        except ImageError:
            self._decoder = None
            raise

    def end(self) -> None:
        """Note that the camera's images are no H.264 (any more)."""
        if self._stream is not None:
            self._stream = None
            self._units = H264Stream()
            self._decoder = None
            self._key_frame_pts = None
            self._on_stream(None)

    def _note_key_frame(self, pts: int) -> None:
        if self._key_frame_pts is not None:
            self.key_frame_spacing_s = (pts - self._key_frame_pts) / VIDEO_CLOCK_HZ
        self._key_frame_pts = pts


def packet_of(picture: Picture, pts: int) -> av.Packet[Any]:
    """Return a packet that goes to viewers; its RTP time is `pts`, in 1/90000 s."""
    packet = av.Packet(picture.data)
    packet.pts = packet.dts = pts
    packet.time_base = TIME_BASE
    packet.is_keyframe = picture.key_frame
    return packet


class Decoder:
    """Decode H.264 for encoders; the first picture has to be a key frame."""

    def __init__(self) -> None:
        codec = av.CodecContext.create('h264', 'r')
        codec.thread_count = 1
        # There are no B-frames: each picture comes out at once.
        codec.flags |= Flags.low_delay
        # Of what is damaged it would make up the rest.
        codec.options = {'err_detect': 'explode'}
        self._codec = codec
        self._reformatter = VideoReformatter()

    def decode(self, data: bytes) -> Pixels:
        """Return a picture as I420, limited range, BT.601, of even size.

        Raises:
            ImageError: It cannot be decoded.
        """
        try:
            frames = self._codec.decode(av.Packet(data))
        except av.FFmpegError as error:
            raise ImageError(f'H.264: cannot be decoded: {reason(error)}') from error
        if not frames:
            raise ImageError('H.264: cannot be decoded: no picture comes of it')
        frame = self._reformatter.reformat(
            frames[-1],
            format='yuv420p',
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
        )
        return np.asarray(frame.to_ndarray(), np.uint8)
