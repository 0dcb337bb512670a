"""The pixels of a sensor_msgs/Image, as the I420 that video encoders want.

Nothing is copied on the way in: the message's bytes are viewed where they are, with whatever
`step` (bytes per row, padding included) the driver chose. What is supported is one table,
`FORMATS`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from rtc_signaling.errors import MediaError

Pixels = npt.NDArray[np.uint8]

# Chroma of a colourless pixel.
NEUTRAL = 128
# Full range 0 to 255 to the limited range of video, 16 to 235 (ITU-R BT.601, 2.5.3).
LIMITED_RANGE = np.round(16 + np.arange(256) * 219 / 255).astype(np.uint8)


class ImageError(MediaError):
    """Say why an image cannot be converted: its encoding or its shape."""


class ImageLike(Protocol):
    """Name the fields of sensor_msgs/Image that matter here.

    Attributes:
        height: Rows.
        width: Pixels a row.
        encoding: One of sensor_msgs/image_encodings.
        is_bigendian: Byte order of values wider than a byte.
        step: Bytes from the start of one row to the start of the next.
        data: The rows, `height * step` bytes; an array.array('B') in rclpy.
    """

    @property
    def height(self) -> int: ...  # noqa: D102
    @property
    def width(self) -> int: ...  # noqa: D102
    @property
    def encoding(self) -> str: ...  # noqa: D102
    @property
    def is_bigendian(self) -> int: ...  # noqa: D102
    @property
    def step(self) -> int: ...  # noqa: D102
    @property
    def data(self) -> array[int] | bytes | bytearray | memoryview: ...  # noqa: D102


# Writes pixels (height, width, bytes per pixel), both sizes even, into planar I420 of the shape
# (height * 3 // 2, width), in place.
Conversion = Callable[[Pixels, Pixels], None]


def _colour(code: int) -> Conversion:
    def convert(pixels: Pixels, i420: Pixels) -> None:
        cv2.cvtColor(pixels, code, i420)

    return convert


def _grey(pixels: Pixels, i420: Pixels) -> None:
    height = len(pixels)
    cv2.LUT(pixels[..., 0], LIMITED_RANGE, i420[:height])
    i420[height:] = NEUTRAL


def _packed_422(luma: int, u: int, v: int) -> Conversion:
    """Unpack 4:2:2 that is in limited range already, as cameras send it.

    Args:
        luma: Place of the luma in the two bytes of a pixel.
        u: Place of the blue difference in the four bytes of a pair of pixels.
        v: Place of the red difference.
    """

    def convert(pixels: Pixels, i420: Pixels) -> None:
        height, width = pixels.shape[:2]
        cv2.extractChannel(pixels, luma, i420[:height])
        pairs = pixels.reshape(height, width // 2, 4)
        chroma = cv2.addWeighted(pairs[0::2], 0.5, pairs[1::2], 0.5, 0)
        planes = i420[height:].reshape(2, height // 2, width // 2)
        cv2.extractChannel(chroma, u, planes[0])
        cv2.extractChannel(chroma, v, planes[1])

    return convert


# Encoding -> bytes per pixel, conversion. The names without a colour order mean what cv_bridge
# takes them for.
FORMATS: dict[str, tuple[int, Conversion]] = {
    'rgb8': (3, _colour(cv2.COLOR_RGB2YUV_I420)),
    'bgr8': (3, _colour(cv2.COLOR_BGR2YUV_I420)),
    'rgba8': (4, _colour(cv2.COLOR_RGBA2YUV_I420)),
    'bgra8': (4, _colour(cv2.COLOR_BGRA2YUV_I420)),
    'mono8': (1, _grey),
    'yuv422': (2, _packed_422(luma=1, u=0, v=2)),  # UYVY
    'yuv422_yuy2': (2, _packed_422(luma=0, u=1, v=3)),  # YUYV
    '8UC1': (1, _grey),
    '8UC3': (3, _colour(cv2.COLOR_BGR2YUV_I420)),
    '8UC4': (4, _colour(cv2.COLOR_BGRA2YUV_I420)),
}


def to_i420(image: ImageLike, out: Pixels | None = None) -> Pixels:
    """Convert an image to planar I420, limited range, with the BT.601 matrix.

    4:2:0 needs even sizes: of an odd size the last column or row is cut off. An alpha channel is
    left out. Any thread may call it; the image must not change meanwhile.

    Args:
        image: The image.
        out: Where the result goes if it has the right shape, so that no array is made.

    Returns:
        An array of the shape (height * 3 // 2, width), height and width being even: all of
        luma, then the blue and then the red difference at half the size each way.

    Raises:
        ImageError: The encoding is unknown, the size is below 2x2, `step` is too small for
            `width`, or `data` is shorter than `height * step`.
    """
    try:
        bytes_per_pixel, convert = FORMATS[image.encoding]
    except KeyError:
        raise ImageError(
            f'unknown image encoding {image.encoding!r}; supported are {", ".join(FORMATS)}'
        ) from None
    pixels = _view(image, bytes_per_pixel)
    height, width = pixels.shape[:2]
    shape = (height * 3 // 2, width)
    i420: Pixels = out if out is not None and out.shape == shape else np.empty(shape, np.uint8)
    convert(pixels, i420)
    return i420


def _view(image: ImageLike, bytes_per_pixel: int) -> Pixels:
    """View the image's bytes as (height, width, bytes per pixel), cut to even sizes."""
    height, width, step = image.height, image.width, image.step
    if height < 2 or width < 2:
        raise ImageError(f'image of {width}x{height} pixels; it must be 2x2 or more')
    if step < width * bytes_per_pixel:
        raise ImageError(
            f'image step of {step} bytes; {width} pixels of {image.encoding}'
            f' need {width * bytes_per_pixel}'
        )
    size_bytes = memoryview(image.data).nbytes
    if size_bytes < height * step:
        raise ImageError(
            f'image data of {size_bytes} bytes; {height} rows with a step of {step} bytes'
            f' need {height * step}'
        )
    rows: Pixels = np.frombuffer(image.data, np.uint8, height * step).reshape(height, step)
    height, width = height & ~1, width & ~1
    return rows[:height, : width * bytes_per_pixel].reshape(height, width, bytes_per_pixel)


def from_bgr(bgr: Pixels, encoding: str) -> Pixels:
    """Convert BGR pixels to the bytes of an image in another encoding, for publishing.

    Args:
        bgr: Shape (height, width, 3), any size.
        encoding: A key of `FROM_BGR`.

    Returns:
        Shape (height, step): rows without padding. It may be a view of `bgr`.

    Raises:
        ImageError: There is no conversion to this encoding.
    """
    try:
        convert = FROM_BGR[encoding]
    except KeyError:
        raise ImageError(
            f'cannot publish image encoding {encoding!r}; supported are {", ".join(FROM_BGR)}'
        ) from None
    return convert(bgr).reshape(len(bgr), -1)


def _to_uyvy(bgr: Pixels) -> Pixels:
    # Newer OpenCV has COLOR_BGR2YUV_UYVY, the one that Ubuntu 24.04 brings has not.
    height, width = bgr.shape[:2]
    even = cv2.copyMakeBorder(bgr, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    i420 = cv2.cvtColor(even, cv2.COLOR_BGR2YUV_I420)
    rows, columns = even.shape[:2]
    luma = i420[:rows].reshape(rows, columns // 2, 2)
    planes = i420[rows:].reshape(2, rows // 2, columns // 2)
    uyvy: Pixels = np.empty((rows, columns // 2, 4), np.uint8)
    uyvy[..., 1::2] = luma
    uyvy[..., 0] = np.repeat(planes[0], 2, axis=0)
    uyvy[..., 2] = np.repeat(planes[1], 2, axis=0)
    return uyvy.reshape(rows, columns * 2)[:height, : width * 2]


FROM_BGR: dict[str, Callable[[Pixels], Pixels]] = {
    'bgr8': lambda bgr: bgr,
    'rgb8': lambda bgr: cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB),
    'mono8': lambda bgr: cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY),
    'yuv422': _to_uyvy,
}
