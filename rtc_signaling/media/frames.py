"""The pixels of a sensor_msgs/Image, as the I420 that video encoders want.

Nothing is copied on the way in: the message's bytes are viewed where they are, with whatever
`step` (bytes per row, padding included) the driver chose. What is supported is one table,
`FORMATS`; docs/images.md says what each encoding is taken for.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from rtc_signaling.media.bayer import PATTERNS, mosaic_to_i420
from rtc_signaling.media.depth import DepthMapping, depth_to_i420
from rtc_signaling.media.pixels import (
    BLACK,
    ImageError,
    Pixels,
    bgr_to_i420,
    check_size,
    grey_to_i420,
    i420_buffer,
    narrowed,
    planes,
)

__all__ = [
    'FORMATS', 'FROM_BGR', 'ColourSpace', 'DepthMapping', 'Fallback', 'Format', 'ImageError',
    'ImageLike', 'Pixels', 'colour_space', 'describe', 'doubt', 'from_bgr', 'to_i420', 'view',
]  # fmt: skip


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


class ColourSpace(NamedTuple):
    """Say what the numbers of I420 mean, by the code points of ITU-T H.273.

    They are what the VUI of H.264 holds (colour_primaries, transfer_characteristics,
    matrix_coefficients, video_full_range_flag).
    """

    primaries: int
    transfer: int
    matrix: int
    full_range: bool


# Primaries and transfer of sRGB, which is what cameras give to ROS, so that no receiver changes
# what it was given; the matrix of BT.601; limited range.
BT601 = ColourSpace(primaries=1, transfer=13, matrix=6, full_range=False)

# What takes an image of an encoding that is not in `FORMATS` and returns BGR, shape (height,
# width, 3), or raises ImageError: cv_bridge, where there is one.
Fallback = Callable[[ImageLike], Pixels]
# Writes pixels (height, width, values per pixel), both sizes even, into planar I420 of the shape
# (height * 3 // 2, width), in place.
Conversion = Callable[[Any, Pixels], None]


def _colour(code: int) -> Conversion:
    def convert(pixels: Pixels, i420: Pixels) -> None:
        cv2.cvtColor(pixels, code, i420)

    return convert


def _packed_422(luma: int, u: int, v: int) -> Conversion:
    """Unpack 4:2:2 that is in limited range already, as cameras send it.

    Args:
        luma: Place of the luma in the two bytes of a pixel.
        u: Place of the blue difference in the four bytes of a pair of pixels.
        v: Place of the red difference.
    """

    def convert(pixels: Pixels, i420: Pixels) -> None:
        height, width = pixels.shape[:2]
        to = planes(i420)
        cv2.extractChannel(pixels, luma, to.luma)
        pairs = pixels.reshape(height, width // 2, 4)
        chroma = cv2.addWeighted(pairs[0::2], 0.5, pairs[1::2], 0.5, 0)
        cv2.extractChannel(chroma, u, to.u)
        cv2.extractChannel(chroma, v, to.v)

    return convert


def _semi_planar(u: int, v: int) -> Conversion:
    """Take apart 4:2:0 in limited range, of which luma and pairs of chroma are planes.

    Args:
        u: Place of the blue difference in a pair.
        v: Place of the red difference.
    """

    def convert(pixels: Pixels, i420: Pixels) -> None:
        to = planes(i420)
        height, width = to.luma.shape
        np.copyto(to.luma, pixels[:height, :, 0])
        # Counted from the end, since of an odd height a row of luma is left over before them.
        pairs = pixels[-height // 2 :].reshape(height // 2, width // 2, 2)
        cv2.extractChannel(pairs, u, to.u)
        cv2.extractChannel(pairs, v, to.v)

    return convert


def _narrowed(conversion: Conversion) -> Conversion:
    """Let a conversion of 8 bits take 16."""
    return lambda pixels, i420: conversion(narrowed(pixels), i420)


@dataclass(frozen=True, slots=True)
class Format:
    """Describe how an encoding lies in memory and how it becomes I420.

    Attributes:
        pixel_bytes: Bytes of a pixel in a row; of luma alone, where chroma has rows of its own.
        convert: Takes the pixels and makes I420.
        kind: numpy's name of a value's type. Of 16 bits the whole range is scaled to that of 8,
            which is what video has.
        chroma_rows: Whether half as many rows of chroma, with the same `step`, follow.
    """

    pixel_bytes: int
    convert: Conversion
    kind: str = 'u1'
    chroma_rows: bool = False


# The names without a colour order mean what cv_bridge takes them for.
FORMATS: dict[str, Format] = {
    'rgb8': Format(3, _colour(cv2.COLOR_RGB2YUV_I420)),
    'bgr8': Format(3, bgr_to_i420),
    'rgba8': Format(4, _colour(cv2.COLOR_RGBA2YUV_I420)),
    'bgra8': Format(4, _colour(cv2.COLOR_BGRA2YUV_I420)),
    'mono8': Format(1, grey_to_i420),
    'rgb16': Format(6, _narrowed(_colour(cv2.COLOR_RGB2YUV_I420)), 'u2'),
    'bgr16': Format(6, _narrowed(bgr_to_i420), 'u2'),
    'rgba16': Format(8, _narrowed(_colour(cv2.COLOR_RGBA2YUV_I420)), 'u2'),
    'bgra16': Format(8, _narrowed(_colour(cv2.COLOR_BGRA2YUV_I420)), 'u2'),
    'mono16': Format(2, grey_to_i420, 'u2'),
    'yuv422': Format(2, _packed_422(luma=1, u=0, v=2)),  # UYVY
    'uyvy': Format(2, _packed_422(luma=1, u=0, v=2)),
    'yuv422_yuy2': Format(2, _packed_422(luma=0, u=1, v=3)),  # YUYV
    'yuyv': Format(2, _packed_422(luma=0, u=1, v=3)),
    'nv12': Format(1, _semi_planar(u=0, v=1), chroma_rows=True),
    'nv21': Format(1, _semi_planar(u=1, v=0), chroma_rows=True),
    '8UC1': Format(1, grey_to_i420),
    '8UC3': Format(3, bgr_to_i420),
    '8UC4': Format(4, _colour(cv2.COLOR_BGRA2YUV_I420)),
    **{f'bayer_{name}8': Format(1, partial(mosaic_to_i420, name)) for name in PATTERNS},
    **{
        f'bayer_{name}16': Format(2, _narrowed(partial(mosaic_to_i420, name)), 'u2')
        for name in PATTERNS
    },
}
DEFAULT_DEPTH = DepthMapping()
# Distances, by REP 118: the type of a value and what a distance of 1 is, in m.
DEPTH_FORMATS: dict[str, tuple[str, float]] = {'16UC1': ('u2', 0.001), '32FC1': ('f4', 1.0)}


def colour_space(height: int) -> ColourSpace:
    """Return what the numbers of `to_i420` mean, for pictures of `height` rows.

    It is BT.601 for all of them: VP8 knows no other, and receivers take it for granted where they
    are told nothing (docs/decisions.md).
    """
    return BT601


def describe(encoding: str, depth: DepthMapping) -> str:
    """Say what images of an encoding are shown as; empty where that is plain.

    Returns:
        What follows their encoding in a line of the log.
    """
    if encoding in DEPTH_FORMATS:
        return f', shown as {depth}'
    found = FORMATS.get(encoding)
    if found is not None and found.kind == 'u2':
        return ', of which 0 to 65535 is shown as black to white'
    return ''


def doubt(encoding: str, i420: Pixels) -> str:
    """Say what is wrong with an image that can be shown all the same; '' if nothing is.

    Args:
        encoding: Its encoding.
        i420: What was made of it.
    """
    if encoding in DEPTH_FORMATS and int(i420[: len(i420) * 2 // 3].max()) <= BLACK:
        return (
            f'depth image of {encoding} without any distance: each pixel is 0, negative, NaN or'
            ' infinite'
        )
    return ''


def to_i420(
    image: ImageLike,
    out: Pixels | None = None,
    depth: DepthMapping = DEFAULT_DEPTH,
    fallback: Fallback | None = None,
) -> Pixels:
    """Convert an image to planar I420, limited range; `colour_space` says what it means.

    4:2:0 needs even sizes: of an odd size the last column or row is cut off. An alpha channel is
    left out. Any thread may call it; the image must not change meanwhile.

    Args:
        image: The image.
        out: Where to write, if the shape is right; what was there is lost.
        depth: What becomes of distances.
        fallback: What takes an encoding that is not in `FORMATS`, or None.

    Returns:
        `out`, or a new array, of the shape (height * 3 // 2, width), height and width being even:
        all of luma, then the blue and then the red difference at half the size each way.

    Raises:
        ImageError: The encoding is unknown, the size is below 2x2 or more than any encoder takes,
            `step` is too small for `width`, or `data` is shorter than its rows.
    """
    found = FORMATS.get(image.encoding)
    if found is not None:
        pixels = view(image, found.pixel_bytes, found.chroma_rows)
        height, width = image.height & ~1, image.width & ~1
        i420 = i420_buffer(height, width, out)
        found.convert(_values(image, pixels, found.kind), i420)
        return i420
    if image.encoding in DEPTH_FORMATS:
        return _depth(image, depth, out)
    return _rest(image, fallback, out)


def _depth(image: ImageLike, mapping: DepthMapping, out: Pixels | None) -> Pixels:
    kind, unit_m = DEPTH_FORMATS[image.encoding]
    pixels = view(image, np.dtype(kind).itemsize)
    distances = _values(image, pixels, kind)[..., 0]
    height, width = distances.shape
    i420 = i420_buffer(height, width, out)
    depth_to_i420(distances, unit_m, mapping, i420)
    return i420


def _values(image: ImageLike, pixels: Pixels, kind: str) -> npt.NDArray[Any]:
    """View bytes as values of a type: a copy only where OpenCV needs one.

    That is for the other byte order, and for rows that do not begin at a multiple of the value's
    size.
    """
    order = '>' if image.is_bigendian else '<'
    return np.require(pixels.view(order + kind), kind, ['ALIGNED'])


def _rest(image: ImageLike, fallback: Fallback | None, out: Pixels | None) -> Pixels:
    if fallback is None:
        raise ImageError(
            f'unknown image encoding {image.encoding!r}; supported are'
            f' {", ".join([*FORMATS, *DEPTH_FORMATS])}, and others where cv_bridge is installed'
        )
    view(image, 1)
    bgr = fallback(image)
    height, width = bgr.shape[0] & ~1, bgr.shape[1] & ~1
    check_size(height, width)
    i420 = i420_buffer(height, width, out)
    bgr_to_i420(bgr[:height, :width], i420)
    return i420


def view(image: ImageLike, pixel_bytes: int, chroma_rows: bool = False) -> Pixels:
    """View an image's bytes, cut to even sizes, without copying them.

    Args:
        image: The image.
        pixel_bytes: Bytes of a pixel in a row.
        chroma_rows: Whether half as many rows of chroma follow.

    Returns:
        Shape (height, width, pixel_bytes). With `chroma_rows` all rows of the data, luma's not
        cut: (height + height // 2, width, 1).

    Raises:
        ImageError: See `to_i420`.
    """
    height, width, step = image.height, image.width, image.step
    check_size(height, width)
    if step < width * pixel_bytes:
        raise ImageError(
            f'image step of {step} bytes; {width} pixels of {image.encoding}'
            f' need {width * pixel_bytes}'
        )
    size_bytes = memoryview(image.data).nbytes
    rows = height + height // 2 if chroma_rows else height
    if size_bytes < rows * step:
        raise ImageError(
            f'image data of {size_bytes} bytes; {rows} rows with a step of {step} bytes'
            f' need {rows * step}'
        )
    data: Pixels = np.frombuffer(image.data, np.uint8, rows * step).reshape(rows, step)
    if not chroma_rows:
        rows &= ~1
    width &= ~1
    return data[:rows, : width * pixel_bytes].reshape(rows, width, pixel_bytes)


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
