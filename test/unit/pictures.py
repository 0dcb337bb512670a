"""Images for the tests, and ITU-R BT.601 in floating point: nothing here uses OpenCV."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np

# Colours far apart, and some that are not: all of them have to come through every encoding.
CHART = np.array(
    [
        [(255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0), (128, 128, 128)],
        [(255, 0, 255), (255, 0, 0), (0, 0, 255), (0, 0, 0), (200, 120, 40)],
    ],
    np.uint8,
)
PATCH = 16


@dataclass
class Image:
    """Stand in for sensor_msgs/Image, data as rclpy has it."""

    height: int
    width: int
    encoding: str
    step: int
    data: object
    is_bigendian: int = 0


def image_of(rows, encoding, *, height=None, padding=0, filler=0xEE, bigendian=False):
    """Make an image of pixels of the shape (rows, width, bytes per pixel), rows padded.

    Its height is `height` where chroma has rows of its own, otherwise the number of rows.
    """
    count, width, pixel_bytes = rows.shape
    padded = np.full((count, width * pixel_bytes + padding), filler, np.uint8)
    padded[:, : width * pixel_bytes] = rows.reshape(count, -1)
    data = array('B', padded.tobytes())
    return Image(height or count, width, encoding, padded.shape[1], data, int(bigendian))


def noise(height, width, depth, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, depth), dtype=np.uint8)


def blocks(height, width, depth, seed=0):
    """Make noise in blocks of 2x2: the chroma of a block is the same however it is sampled."""
    coarse = noise((height + 1) // 2, (width + 1) // 2, depth, seed)
    return np.repeat(np.repeat(coarse, 2, axis=0), 2, axis=1)[:height, :width]


def chart():
    """Return the chart, RGB, shape (32, 80, 3)."""
    return np.repeat(np.repeat(CHART, PATCH, axis=0), PATCH, axis=1)


def planes(i420):
    """Split I420 into luma and the two chroma planes."""
    height, width = i420.shape[0] * 2 // 3, i420.shape[1]
    chroma = i420[height:].reshape(2, height // 2, width // 2)
    return i420[:height].astype(int), chroma[0].astype(int), chroma[1].astype(int)


def bt601(rgb):
    """Compute Y, Cb, Cr, each (height, width), limited range (ITU-R BT.601, 2.5.1 to 2.5.3)."""
    red, green, blue = (rgb[..., place] / 255.0 for place in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return (
        16 + 219 * luma,
        128 + 224 * (blue - luma) / 1.772,
        128 + 224 * (red - luma) / 1.402,
    )


def rgb_of(i420):
    """Compute RGB from I420 by the inverse of `bt601`, chroma repeated."""
    luma, u, v = planes(i420)
    u, v = (np.repeat(np.repeat(plane, 2, axis=0), 2, axis=1) for plane in (u, v))
    y = (luma - 16) / 219.0
    red = y + 1.402 * (v - 128) / 224
    blue = y + 1.772 * (u - 128) / 224
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    return 255 * np.stack([red, green, blue], axis=-1)


def patches(rgb):
    """Return the colours at the middles of the chart's patches, shape (2, 5, 3)."""
    return rgb[PATCH // 2 :: PATCH, PATCH // 2 :: PATCH]


def assert_close(actual, expected, tolerance=2):
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance


def encode(rgb, encoding, *, bigendian=False, seed=0):
    """Make the pixels, as `image_of` takes them, of an RGB picture of even size in any encoding.

    What is left out on the way (alpha, the lower byte of 16 bits) is noise.
    """
    height, width = rgb.shape[:2]
    if encoding.startswith('bayer'):
        # The names' four letters: the first two pixels of the first row, then of the second.
        letters = encoding.removeprefix('bayer_')[:4]
        pixels = np.empty((height, width, 1), np.uint8)
        for place, letter in enumerate(letters):
            row, column = divmod(place, 2)
            pixels[row::2, column::2, 0] = rgb[row::2, column::2, 'rgb'.index(letter)]
    elif encoding.startswith(('rgb', 'bgr', '8UC')):
        order = {'8UC3': 'bgr', '8UC4': 'bgra'}.get(encoding, encoding.rstrip('0123456789'))
        alpha = noise(height, width, 1, seed)
        pixels = np.concatenate([rgb, alpha], axis=2)[..., ['rgba'.index(c) for c in order]]
    else:
        return encode_yuv(rgb, encoding)
    if not encoding.endswith('16'):
        return pixels
    lower = noise(height, width, pixels.shape[2], seed + 1)
    pair = (pixels, lower) if bigendian else (lower, pixels)
    return np.stack(pair, axis=-1).reshape(height, width, -1)


def encode_yuv(rgb, encoding):
    height, width = rgb.shape[:2]
    luma, u, v = (np.round(plane).astype(np.uint8) for plane in bt601(rgb))
    if encoding in ('nv12', 'nv21'):
        pair = (u, v) if encoding == 'nv12' else (v, u)
        chroma = np.stack([plane[::2, ::2] for plane in pair], axis=-1)
        return np.concatenate([luma, chroma.reshape(height // 2, width)])[..., None]
    u, v = u[:, ::2], v[:, ::2]
    even, odd = luma[:, ::2], luma[:, 1::2]
    order = (u, even, v, odd) if encoding in ('yuv422', 'uyvy') else (even, u, odd, v)
    return np.stack(order, axis=-1).reshape(height, width, 2)
