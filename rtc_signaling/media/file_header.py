"""What a JPEG or PNG says of its size, before anything is decoded."""

from __future__ import annotations

import struct
from typing import NamedTuple

_PNG = b'\x89PNG\r\n\x1a\n'
_JPEG = b'\xff\xd8'
# Markers of a frame, which hold the size (ITU-T T.81, table B.1); C4, C8 and CC are others.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN = 0xDA
_FILL = 0xFF
_END_OF_IMAGE = b'\xff\xd9'


class FileHeader(NamedTuple):
    """Hold what a picture's file says of itself.

    Attributes:
        height: In pixels.
        width: In pixels.
        complete: Whether the file has the end that its kind demands. OpenCV 4 fills what is
            missing of a truncated one with grey.
    """

    height: int
    width: int
    complete: bool


def read_header(data: bytes) -> FileHeader | None:
    """Read the header of a JPEG or PNG; return None of anything else, or where there is no size.

    Cameras pad files with zeros, so that the end need not be last.
    """
    if data.startswith(_PNG):
        return _png(data)
    if data.startswith(_JPEG):
        return _jpeg(data)
    return None


def _png(data: bytes) -> FileHeader | None:
    if len(data) < 24 or data[12:16] != b'IHDR':
        return None
    width, height = struct.unpack_from('>II', data, 16)
    return FileHeader(height, width, complete=b'IEND' in data)


def _jpeg(data: bytes) -> FileHeader | None:
    size: tuple[int, int] | None = None
    at = len(_JPEG)
    # Segment by segment: a marker, its length, and what may hold a whole picture (a thumbnail).
    while at + 4 <= len(data) and data[at] == _FILL:
        marker, length = struct.unpack_from('>BH', data, at + 1)
        if marker == _FILL:
            at += 1
            continue
        if marker == _START_OF_SCAN:
            break
        if marker in _START_OF_FRAME and size is None and at + 9 <= len(data):
            size = struct.unpack_from('>HH', data, at + 5)
        at += 2 + length
    if size is None:
        return None
    return FileHeader(*size, complete=data.find(_END_OF_IMAGE, at) >= 0)
