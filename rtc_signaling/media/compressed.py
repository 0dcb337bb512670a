"""The pixels of a sensor_msgs/CompressedImage, as the I420 that video encoders want."""

from __future__ import annotations

from array import array
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from rtc_signaling.media.depth import DepthMapping, depth_to_i420
from rtc_signaling.media.file_header import read_header
from rtc_signaling.media.frames import DEFAULT_DEPTH, DEPTH_FORMATS
from rtc_signaling.media.pixels import (
    ImageError,
    Pixels,
    bgr_to_i420,
    check_size,
    grey_to_i420,
    i420_buffer,
    narrowed,
)

_DEPTH = '16UC1'


class CompressedImageLike(Protocol):
    """Name the fields of sensor_msgs/CompressedImage that matter here.

    Attributes:
        format: What the publisher calls it, such as 'rgb8; jpeg compressed bgr8'.
        data: A whole file of that format; an array.array('B') in rclpy.
    """

    @property
    def format(self) -> str: ...  # noqa: D102
    @property
    def data(self) -> array[int] | bytes | bytearray | memoryview: ...  # noqa: D102


def encoding_of(image: CompressedImageLike) -> str:
    """Return the encoding of the image that was compressed, as image_transport notes it."""
    return image.format.partition(';')[0].strip()


def compressed_to_i420(
    image: CompressedImageLike, out: Pixels | None = None, depth: DepthMapping = DEFAULT_DEPTH
) -> Pixels:
    """Decode a JPEG or PNG; its own first bytes count, not what `format` says.

    The whole range of 16 bits is scaled to that of 8, except for depth, which is what a PNG with
    one channel of 16 bits is if `format` begins with 16UC1. A JPEG's note of how to turn it
    (EXIF) is not followed. Any thread may call it.

    Args:
        image: The image.
        out: Where to write, if the shape is right; what was there is lost.
        depth: What becomes of distances.

    Returns:
        `out`, or a new array: planar I420, limited range, `colour_space` says what it means.
        uint8, shape (height * 3 // 2, width). Of an odd size the last row or column is left out.

    Raises:
        ImageError: It is neither JPEG nor PNG, says that it is below 2x2 or larger than any
            encoder takes, has no end, or cannot be decoded.
    """
    decoded = _decode(image)
    height, width = decoded.shape[0] & ~1, decoded.shape[1] & ~1
    pixels = decoded[:height, :width]
    i420 = i420_buffer(height, width, out)
    wide = pixels.dtype == np.uint16
    if wide and pixels.ndim == 2 and encoding_of(image) == _DEPTH:
        depth_to_i420(pixels, DEPTH_FORMATS[_DEPTH][1], depth, i420)
        return i420
    if pixels.ndim == 2:
        grey_to_i420(pixels, i420)
        return i420
    if wide:
        pixels = narrowed(pixels)
    if pixels.shape[2] == 4:
        cv2.cvtColor(pixels, cv2.COLOR_BGRA2YUV_I420, i420)
    else:
        bgr_to_i420(pixels, i420)
    return i420


def _decode(image: CompressedImageLike) -> npt.NDArray[Any]:
    """Return grey (height, width), or BGR or BGRA (height, width, channels), uint8 or uint16."""
    data = bytes(image.data)
    what = f'compressed image of {len(data)} bytes, format {image.format!r}'
    header = read_header(data)
    if header is None:
        raise ImageError(f'{what}: cannot be decoded; supported are JPEG and PNG')
    # Before anything is decoded: a PNG of some kB may say that it is 20,000 x 20,000.
    check_size(header.height, header.width)
    if not header.complete:
        raise ImageError(f'{what}: cannot be decoded; its end is missing')
    try:
        # Of a broken file OpenCV raises or returns None, depending on where it breaks.
        decoded: npt.NDArray[Any] | None = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED
        )
    except cv2.error:
        decoded = None
    if decoded is None or decoded.shape[:2] != (header.height, header.width):
        raise ImageError(f'{what}: cannot be decoded; it is damaged')
    return decoded
