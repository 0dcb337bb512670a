"""Video encoders by PyAV, set up for live pictures: each image gives its packet at once.

What all of them must keep, and hardware is tried for before it is used (`try_out`): one packet for
each picture, without B-frames and without delay; a key frame when one is asked for, which can be
decoded without anything before it (so H.264 repeats its parameter sets, in Annex B form).
"""

from __future__ import annotations

import fractions
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from rtc_signaling.errors import MediaError
from rtc_signaling.media.frames import Pixels, colour_space
from rtc_signaling.media.timing import VIDEO_CLOCK_HZ

logger = logging.getLogger(__name__)

H264 = 'h264'
VP8 = 'vp8'
CODECS = (H264, VP8)
TIME_BASE = fractions.Fraction(1, VIDEO_CLOCK_HZ)
# Of cameras, where nothing else is known.
NOMINAL_FPS = 30
# How much may be sent at once, as time at the bitrate: a key frame, above all. Less makes key
# frames blurred, more makes them late on a thin link: there the second one.
BUFFER_S, THIN_BUFFER_S = 0.5, 0.25
# How a camera's real rate is followed: the weight of one picture, the longest time between two
# that counts (in 1/90000 s), and what is not worth a change.
SPACING_GAIN = 0.1
LONGEST_STEP = 2 * VIDEO_CLOCK_HZ
RATE_TOLERANCE = 0.1
# FFmpeg's number for the limited range.
_LIMITED = 1
# From there on one core is not enough for 30 pictures a second.
_PIXELS_PER_THREAD = 1280 * 720


class EncoderError(MediaError):
    """Say that an encoder cannot be used, or failed."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Describe how one of FFmpeg's encoders is set up.

    Attributes:
        preset: The value of the option `preset` unless the operator wants another; '' for none.
        options: FFmpeg's options for live pictures.
        pixel_format: What it takes.
        headroom: Up to how many times the bitrate that it began with it follows, while it runs,
            when that is changed; 0 if it does not follow at all.
        counts_pictures: Whether its rate control takes pictures to be evenly spaced, and not as
            their times say.
        hardware: Whether it needs hardware that may not be there, and may keep pictures.
    """

    preset: str = ''
    options: Mapping[str, str] = field(default_factory=dict)
    pixel_format: str = 'yuv420p'
    headroom: float = 0.0
    counts_pictures: bool = True
    hardware: bool = True


# What is known of FFmpeg's H.264 encoders; one that is not here is tried as it is.
KINDS: dict[str, Kind] = {
    'libx264': Kind(
        'superfast',
        {
            'tune': 'zerolatency',
            'profile': 'baseline',  # of x264, which in it makes constrained baseline
            'forced-idr': '1',
            'x264-params': 'scenecut=0',
        },
        # Its average rate stays what it was opened with, whatever is set later; only the cap on it
        # moves. So it is opened with more than is wished, and kept down by the cap, which costs
        # nothing (38.6 dB at a headroom of 1, 38.7 at 4).
        headroom=4.0,
        hardware=False,
    ),
    'libopenh264': Kind(
        '', {'profile': 'constrained_baseline', 'allow_skip_frames': '0'}, hardware=False
    ),
    'h264_nvenc': Kind(
        'p3',
        {
            'tune': 'ull', 'zerolatency': '1', 'delay': '0', 'rc': 'cbr', 'forced-idr': '1',
            'profile': 'baseline',
        },
        headroom=1.0,
    ),
    'h264_qsv': Kind(
        'veryfast',
        {'async_depth': '1', 'look_ahead': '0', 'forced_idr': '1', 'profile': 'baseline'},
        'nv12',
        headroom=1.0,
    ),
    'h264_amf': Kind(
        '',
        {
            'usage': 'ultralowlatency', 'quality': 'speed', 'rc': 'cbr',
            'profile': 'constrained_baseline', 'header_insertion_mode': 'idr',
        },
    ),
    'h264_v4l2m2m': Kind(),
    'h264_videotoolbox': Kind(
        '', {'realtime': '1', 'prio_speed': '1', 'profile': 'constrained_baseline'}
    ),
    'libvpx': Kind(
        '',
        {
            'deadline': 'realtime',
            # -12 costs the same and looks far worse: 28.6 dB, not 40.6 (720p, 2.5 Mbit/s).
            'cpu-used': '-6',
            'lag-in-frames': '0',
            'overshoot-pct': '15',
            'undershoot-pct': '100',
            'static-thresh': '1',
            'noise-sensitivity': '0',
            'error-resilient': '0',  # who lost something gets it again, or a key frame
        },
        counts_pictures=False,
        hardware=False,
    ),
}  # fmt: skip

# In the order in which `auto` tries them; what is always there comes last.
HARDWARE = ('h264_nvenc', 'h264_qsv', 'h264_amf', 'h264_v4l2m2m')
SOFTWARE = {H264: 'libx264', VP8: 'libvpx'}


class Encoder:
    """Encode pictures of one size; one thread at a time.

    The first picture is a key frame.

    Args:
        name: FFmpeg's name of the encoder.
        width: In pixels, even.
        height: In pixels, even.
        bitrate_bps: Bits per second.
        preset: The encoder's own word for how much work it does; '' for the usual one.
        fps: Pictures per second, about: rate control begins with it, and H.264 derives its level.
        buffer_s: How much may be sent at once, as time at the bitrate.

    Attributes:
        name: As given.
        width: As given.
        height: As given.
        kind: How it is set up.

    Raises:
        EncoderError: There is none of this name, or it cannot be opened.
    """

    def __init__(
        self,
        name: str,
        width: int,
        height: int,
        bitrate_bps: int,
        *,
        preset: str = '',
        fps: int = NOMINAL_FPS,
        buffer_s: float = BUFFER_S,
    ) -> None:
        self.name = name
        self.width = width
        self.height = height
        self._colours = colour_space(height)
        self.kind = KINDS.get(name, Kind())
        self._bitrate_bps = self._opened_bps = bitrate_bps
        self._most_bps = int(bitrate_bps * max(1.0, self.kind.headroom))
        self._fps = fps
        self._buffer_s = buffer_s
        self._last_pts: int | None = None
        self._spacing = VIDEO_CLOCK_HZ / fps
        try:
            self._codec = self._open(preset or self.kind.preset)
        except UnknownCodecError as error:
            raise EncoderError(f'{name}: this FFmpeg has no such encoder') from error
        except (av.FFmpegError, ValueError) as error:
            raise EncoderError(f'{name}: cannot be opened: {reason(error)}') from error

    def _open(self, preset: str) -> VideoCodecContext:
        codec = av.CodecContext.create(self.name, 'w')
        if not isinstance(codec, VideoCodecContext):
            raise ValueError(f'{self.name} is no video encoder')
        codec.width, codec.height = self.width, self.height
        codec.pix_fmt = self.kind.pixel_format
        codec.time_base = TIME_BASE
        codec.framerate = fractions.Fraction(self._fps)
        codec.bit_rate = self._most_bps
        # Key frames are made when they are asked for, never by counting pictures.
        codec.gop_size = 1_000_000
        codec.max_b_frames = 0
        codec.color_range = _LIMITED
        codec.colorspace = self._colours.matrix
        codec.color_primaries = self._colours.primaries
        codec.color_trc = self._colours.transfer
        codec.thread_count = _threads(self.width * self.height)
        rate = str(self._most_bps)
        codec.options = {
            'maxrate': rate,
            'minrate': rate,  # all three alike is how a constant rate is said
            'bufsize': str(int(self._bitrate_bps * self._buffer_s)),
            **self.kind.options,
            **({'preset': preset} if preset else {}),
        }
        codec.open()
        codec.bit_rate = self._bitrate_bps
        return codec

    @property
    def bitrate_bps(self) -> int:
        """The bitrate, in bits per second."""
        return self._bitrate_bps

    def follow(self, bitrate_bps: int) -> bool:
        """Take up another bitrate while it runs; no key frame comes of it.

        Returns:
            Whether this encoder can: if not, nothing has changed, and it takes a new one.
        """
        if bitrate_bps > self.kind.headroom * self._opened_bps:
            return False
        self._bitrate_bps = bitrate_bps
        self._set_rate(0.0)
        return True

    def _set_rate(self, tolerance: float) -> None:
        """Set the rate of the running encoder, if it is off by more than this share.

        Of a camera that is slower than was thought at the beginning, each picture gets more.
        """
        stretch = self._spacing * self._fps / VIDEO_CLOCK_HZ if self.kind.counts_pictures else 1.0
        rate = min(int(self._bitrate_bps * stretch), self._most_bps)
        if abs(rate - (self._codec.bit_rate or 0)) > tolerance * rate:
            self._codec.bit_rate = rate

    def _follow(self, pts: int) -> None:
        step = 0 if self._last_pts is None else pts - self._last_pts
        self._last_pts = pts
        if 0 < step < LONGEST_STEP:
            self._spacing += (step - self._spacing) * SPACING_GAIN
            if self.kind.headroom:
                self._set_rate(RATE_TOLERANCE)

    def encode(self, i420: Pixels, pts: int, key_frame: bool) -> av.Packet[Any] | None:
        """Encode a picture and return its packet, or None if the encoder left it out.

        Args:
            i420: Planar I420 of the encoder's size; of hardware it must not be written to again.
            pts: RTP time, in 1/90000 s; more than that of the picture before.
            key_frame: Whether it has to be a key frame.

        Raises:
            EncoderError: The encoder failed.
        """
        self._follow(pts)
        frame = av.VideoFrame.from_numpy_buffer(i420, format='yuv420p')
        frame.pts = pts
        frame.time_base = TIME_BASE
        frame.colorspace = self._colours.matrix
        frame.color_primaries = self._colours.primaries
        frame.color_trc = self._colours.transfer
        frame.color_range = _LIMITED
        frame.pict_type = PictureType.I if key_frame else PictureType.NONE
        try:
            packets = self._codec.encode(frame)
        except (av.FFmpegError, ValueError) as error:
            raise EncoderError(f'{self.name}: failed: {reason(error)}') from error
        if len(packets) > 1:
            raise EncoderError(f'{self.name}: gave {len(packets)} packets for one picture')
        return packets[0] if packets else None


def _threads(pixels: int) -> int:
    """Return how many threads an encoder gets: each costs CPU, and slices cost quality."""
    return max(1, min(pixels // _PIXELS_PER_THREAD, (os.cpu_count() or 1) - 1, 4))


def try_out(name: str, width: int, height: int, bitrate_bps: int, preset: str = '') -> None:
    """Really encode some pictures, and see whether the encoder keeps what this module says.

    Raises:
        EncoderError: It does not, and why.
    """
    encoder = Encoder(name, width, height, bitrate_bps, preset=preset)
    ramp = np.linspace(16, 235, width, dtype=np.uint8)
    for i, key_frame in enumerate((True, False, True)):
        i420 = np.full((height * 3 // 2, width), 128, np.uint8)
        i420[:height] = np.roll(ramp, 8 * i)
        packet = encoder.encode(i420, i * VIDEO_CLOCK_HZ // NOMINAL_FPS, key_frame)
        if packet is None:
            raise EncoderError(f'{name}: holds pictures back')
        if key_frame:
            _check_key_frame(name, packet)


def _check_key_frame(name: str, packet: av.Packet[Any]) -> None:
    decoder = av.CodecContext.create('h264', 'r')
    if not packet.is_keyframe:
        raise EncoderError(f'{name}: makes no key frame when asked for one')
    try:
        frames = [*decoder.decode(av.Packet(bytes(packet))), *decoder.decode(None)]
    except av.FFmpegError as error:
        text = f'{name}: a key frame of its cannot be decoded alone: {reason(error)}'
        raise EncoderError(text) from error
    if not frames:
        raise EncoderError(f'{name}: a key frame of its cannot be decoded alone')


def reason(error: Exception) -> str:
    """Return what FFmpeg says of an error, without its place in FFmpeg."""
    return str(getattr(error, 'strerror', None) or error)


class Encoders:
    """Choose and open encoders: the wished one, or one that works; one thread.

    Hardware is tried once, by really encoding (`try_out`), and never again.

    Attributes:
        notes: Of each codec, why its encoder is not the wished one; '' where it is.
    """

    def __init__(self) -> None:
        self.notes = dict.fromkeys(CODECS, '')
        self._refused: dict[str, str] = {}
        self._tried: set[str] = set()

    def open(
        self,
        codec: str,
        wish: str,
        width: int,
        height: int,
        bitrate_bps: int,
        *,
        preset: str = '',
        fps: int = NOMINAL_FPS,
        buffer_s: float = BUFFER_S,
    ) -> Encoder:
        """Open an encoder.

        Args:
            codec: `H264` or `VP8`.
            wish: For H.264, FFmpeg's name of an encoder, or 'auto'; VP8 has only one.
            width: In pixels, even.
            height: In pixels, even.
            bitrate_bps: Bits per second.
            preset: For H.264, if it is the wished encoder: its own word for how much it does.
            fps: Pictures per second, about.
            buffer_s: As of Encoder.

        Raises:
            EncoderError: Not even the software encoder can be opened.
        """
        software = SOFTWARE[codec]
        auto = wish == 'auto'
        wishes = () if codec != H264 else HARDWARE if auto else (wish,)
        # A preset is a word of the wished encoder's, or of the one that runs nearly everywhere.
        own = '' if auto else preset
        sized = partial(Encoder, width=width, height=height, bitrate_bps=bitrate_bps)
        opened = partial(sized, fps=fps, buffer_s=buffer_s)
        for name in wishes:
            if name != software and self._works(name, width, height, bitrate_bps, own):
                self.notes[codec] = ''
                return opened(name, preset=own)
        fell_back = bool(wishes) and not auto and wish != software
        self.notes[codec] = self._refused.get(wish, '') if fell_back else ''
        plain = fell_back or codec != H264
        return opened(software, preset='' if plain else preset)

    def refuse(self, name: str, why: str) -> None:
        """Use an encoder no more, because it failed."""
        if name not in SOFTWARE.values():
            self._refused[name] = why

    def _works(self, name: str, width: int, height: int, bitrate_bps: int, preset: str) -> bool:
        if name not in self._tried:
            self._tried.add(name)
            try:
                try_out(name, width, height, bitrate_bps, preset)
            except EncoderError as error:
                logger.info('%s', error)
                self._refused[name] = str(error)
        return name not in self._refused
