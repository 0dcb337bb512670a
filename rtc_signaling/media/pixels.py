"""What all conversions of images to I420 have in common: the arrays, their colours, the error."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from rtc_signaling.errors import MediaError

Pixels = npt.NDArray[np.uint8]
WidePixels = npt.NDArray[np.uint16]

# The largest picture that any level of H.264 has: 139,264 macroblocks of 16x16 (level 6.2). A
# larger one cannot be sent, and would take 107 MB as BGR.
MAX_PIXELS = 139_264 * 256
# Chroma of a colourless pixel.
NEUTRAL = 128
# The limited range of video: luma from 16 to 235 (ITU-R BT.601, 2.5.3).
BLACK = 16
LUMA_SPAN = 219


class ImageError(MediaError):
    """Say why an image cannot be converted: its encoding, its shape or its data."""


def check_size(height: int, width: int) -> None:
    """Refuse sizes that no encoder takes.

    Raises:
        ImageError: A side is below 2 pixels, or there are more than `MAX_PIXELS`.
    """
    if height < 2 or width < 2:
        raise ImageError(f'image of {width}x{height} pixels; it must be 2x2 or more')
    if height * width > MAX_PIXELS:
        raise ImageError(f'image of {width}x{height} pixels; it may have {MAX_PIXELS} at most')


def i420_buffer(height: int, width: int, out: Pixels | None) -> Pixels:
    """Return `out` if it can hold I420 of that size (both even), else a new array."""
    shape = (height * 3 // 2, width)
    if (
        out is not None
        and out.shape == shape
        and out.dtype == np.uint8
        and out.flags.c_contiguous
        and out.flags.writeable
    ):
        return out
    return np.empty(shape, np.uint8)


class Planes(NamedTuple):
    """Hold views of the planes of I420: luma, and the blue and red difference at half the size."""

    luma: Pixels
    u: Pixels
    v: Pixels


def planes(i420: Pixels) -> Planes:
    """View the planes of I420 of the shape (height * 3 // 2, width)."""
    width = i420.shape[1]
    height = len(i420) * 2 // 3
    u, v = i420[height:].reshape(2, height // 2, width // 2)
    return Planes(i420[:height], u, v)


def grey_to_i420(pixels: Pixels | WidePixels, i420: Pixels) -> None:
    """Write full-range grey, (height, width) or (height, width, 1), into limited-range I420.

    Args:
        pixels: uint8 or uint16, whose whole range is scaled; in the machine's byte order.
        i420: Where to write.
    """
    height, width = pixels.shape[:2]
    scale = LUMA_SPAN / np.iinfo(pixels.dtype).max
    # Three times as fast as a table.
    cv2.convertScaleAbs(pixels.reshape(height, width), i420[:height], scale, BLACK)
    i420[height:] = NEUTRAL


def bgr_to_i420(bgr: Pixels, i420: Pixels) -> None:
    """Write BGR, (height, width, 3), into limited-range I420."""
    cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420, i420)


def narrowed(pixels: WidePixels) -> Pixels:
    """Scale 16 bits, in the machine's byte order, to 8; a new array of the same shape."""
    narrow: Pixels = cv2.convertScaleAbs(pixels, alpha=255 / 65535)
    return narrow.reshape(pixels.shape)
