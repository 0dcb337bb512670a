"""The encoder that all contenders are to have."""

from __future__ import annotations

from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext

from streams.plan import KEY_INTERVAL_FRAMES, PRESET, RATE_HZ


def encoder(width: int, height: int, bitrate_bps: int) -> VideoCodecContext:
    """Return an x264 encoder of I420 frames: constrained baseline, no delay, on one thread."""
    codec = av.CodecContext.create('libx264', 'w')
    codec.width, codec.height = width, height
    codec.pix_fmt = 'yuv420p'
    codec.bit_rate = bitrate_bps
    codec.framerate = Fraction(RATE_HZ, 1)
    codec.time_base = Fraction(1, RATE_HZ)
    codec.gop_size = KEY_INTERVAL_FRAMES
    codec.thread_count = 1
    rate = str(bitrate_bps)
    codec.options = {
        'preset': PRESET,
        'tune': 'zerolatency',
        'profile': 'baseline',  # x264's has none of what constrained baseline leaves out
        'maxrate': rate,
        'minrate': rate,
        'bufsize': str(bitrate_bps // 2),
        'x264-params': 'scenecut=0',
    }
    return codec
