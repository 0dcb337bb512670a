"""The pixels of a sensor_msgs/CompressedImage, as the I420 that video encoders want."""

from __future__ import annotations

from array import array
from typing import Protocol

import cv2
import numpy as np

from rtc_signaling.media.frames import ImageError, Pixels


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


def compressed_to_i420(image: CompressedImageLike, out: Pixels | None = None) -> Pixels:
    """Decode a JPEG or PNG; its own first bytes count, not what `format` says.

    Args:
        image: The image.
        out: Where the result goes if it has the right shape, so that no array is made.

    Returns:
        Planar I420, uint8, shape (height * 3 // 2, width). Of an odd size the last row or column
        is left out.

    Raises:
        ImageError: It cannot be decoded.
    """
    data = np.frombuffer(image.data, np.uint8)
    try:
        # Of an empty or broken file OpenCV raises or returns None, depending on where it breaks.
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except cv2.error:
        decoded = None
    if decoded is None or min(decoded.shape[:2]) < 2:
        raise ImageError(
            f'compressed image of {len(data)} bytes, format {image.format!r}: cannot be decoded;'
            ' supported are JPEG and PNG'
        )
    height, width = decoded.shape[0] & ~1, decoded.shape[1] & ~1
    shape = (height * 3 // 2, width)
    i420: Pixels = out if out is not None and out.shape == shape else np.empty(shape, np.uint8)
    cv2.cvtColor(np.ascontiguousarray(decoded[:height, :width]), cv2.COLOR_BGR2YUV_I420, i420)
    return i420
