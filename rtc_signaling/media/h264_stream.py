"""A camera's own H.264: which of its pictures can be passed on, and what has to go before them.

A viewer's decoder must never meet a gap, and nobody can ask such a camera for a key frame. So
after anything that is missing or damaged nothing is passed on up to the next key frame.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import NamedTuple

from rtc_signaling.media.h264 import (
    IDR_SLICE,
    PPS,
    PROFILES,
    SLICE,
    SPS,
    Pps,
    SliceHeader,
    Sps,
    nal_units,
    unit_type,
)
from rtc_signaling.media.pixels import ImageError, check_size

# By what the formats of sensor_msgs/CompressedImage begin with.
FORMATS = ('h264', 'h.264', 'avc')
# What browsers decode, each of them all that is before it. What else there may be in Baseline
# (groups of slices) is looked at, and no camera has it.
BASELINE, MAIN, HIGH = 66, 77, 100
_DECODABLE = (BASELINE, MAIN, HIGH)
_START = b'\0\0\0\1'


def is_h264(text: str) -> bool:
    """Tell whether a `format` of sensor_msgs/CompressedImage names H.264."""
    return text.partition(';')[0].strip().lower() in FORMATS


class AccessUnit(NamedTuple):
    """Hold a picture's H.264, as the camera's message has it."""

    data: array[int] | bytes


class H264Offer(NamedTuple):
    """Say which H.264 a viewer takes.

    Attributes:
        profile: The highest `profile_idc` that it offers; it takes lower ones.
        level: The highest `level_idc` that it offers with it.
    """

    profile: int = BASELINE
    level: int = 10

    def takes(self, stream: Sps) -> bool:
        """Tell whether it is of a profile that the viewer offers; levels are but advice."""
        return stream.profile <= self.profile


@dataclass(frozen=True, slots=True)
class Picture:
    """Hold a picture that can be passed on.

    Attributes:
        data: Its NAL units in a byte stream; of a key frame with all that it takes to decode it.
        key_frame: Whether it can be decoded alone.
        stream: What it is part of.
    """

    data: bytes
    key_frame: bool
    stream: Sps


class H264Stream:
    """Take a camera's messages one after the other; one thread.

    Each holds the NAL units of one picture, in the order in which they are to be decoded, or
    parameter sets alone.
    """

    def __init__(self) -> None:
        self._sps: dict[int, tuple[Sps, bytes]] = {}
        self._pps: dict[int, tuple[Pps, bytes]] = {}
        self._whole = False
        self._reference = 0

    def interrupt(self) -> None:
        """Note that something is missing before what comes next."""
        self._whole = False

    def take(self, data: bytes) -> Picture | None:
        """Return the picture of a message, or None if it cannot be passed on, or holds none.

        Raises:
            ImageError: It is damaged, it is nothing that browsers take, or a picture is missing
                before it. Nothing is passed on from then on up to the next key frame.
        """
        try:
            return self._take(data)
        except ImageError:
            self._whole = False
            raise

    def _take(self, data: bytes) -> Picture | None:
        slices, sets = [], []
        for unit in nal_units(data):
            kind = unit_type(unit)
            if kind == SPS:
                self._take_sps(unit)
                sets.append(unit)
            elif kind == PPS:
                self._take_pps(unit)
                sets.append(unit)
            elif kind in (SLICE, IDR_SLICE):
                slices.append(unit)
            # The rest is of no use to a viewer: delimiters, messages (SEI), filler, other layers.
        if not slices:
            return None
        headers = [SliceHeader(unit) for unit in slices]
        _check_slices(headers)
        if not (headers[0].key or self._whole):
            return None
        stream = self._check_place(headers)
        if headers[0].key:
            sets = self._sets(stream.number)
        return Picture(_joined([*sets, *slices]), headers[0].key, stream)

    def _take_sps(self, unit: bytes) -> None:
        sps = Sps.parse(unit)
        _check_stream(sps)
        known = self._sps.get(sps.number)
        if known is not None and known[1] != unit:
            # What refers to it was about something else.
            self._pps = {n: pps for n, pps in self._pps.items() if pps[0].sps != sps.number}
        self._sps[sps.number] = sps, unit

    def _take_pps(self, unit: bytes) -> None:
        pps = Pps.parse(unit)
        if pps.slice_groups > 1:
            raise ImageError('H.264 with groups of slices (FMO), which browsers do not decode')
        self._pps[pps.number] = pps, unit

    def _check_place(self, headers: list[SliceHeader]) -> Sps:
        """Return what a picture is part of, if nothing is missing before it."""
        first = headers[0]
        stream, *_ = (self._stream_of(header) for header in headers)
        number = first.frame_number(stream)
        expected = 0 if first.key else (self._reference + 1) % (1 << stream.frame_number_bits)
        if number != expected and not stream.frame_gaps:
            raise ImageError(
                f'H.264: a picture is missing before this one (number {number}, not {expected});'
                ' nothing can be shown up to the next key frame'
            )
        if first.reference:
            self._reference = number
        self._whole = True
        return stream

    def _stream_of(self, header: SliceHeader) -> Sps:
        pps = self._pps.get(header.pps)
        sps = None if pps is None else self._sps.get(pps[0].sps)
        if sps is None:
            raise ImageError('H.264 without parameter sets (SPS, PPS): they have to come first')
        return sps[0]

    def _sets(self, sps: int) -> list[bytes]:
        return [self._sps[sps][1], *(u for pps, u in self._pps.values() if pps.sps == sps)]


def _check_stream(sps: Sps) -> None:
    """Refuse what browsers do not decode."""
    name = PROFILES.get(sps.profile, f'profile {sps.profile}')
    if sps.profile not in _DECODABLE:
        what = f'of {name}'
    elif sps.chroma != 1:
        what = f'of {name} with chroma format {sps.chroma}'
    elif sps.bits != 8:
        what = f'of {name} with {sps.bits} bits'
    elif sps.interlaced:
        what = f'of {name} that is interlaced'
    else:
        check_size(sps.height, sps.width)
        return
    raise ImageError(
        f'H.264 {what}, which browsers do not decode: set the camera to Baseline, Main or High,'
        ' 4:2:0, 8 bits, progressive'
    )


def _check_slices(headers: list[SliceHeader]) -> None:
    pictures = sum(header.first for header in headers)
    if pictures != 1 or not headers[0].first or len({header.key for header in headers}) > 1:
        raise ImageError(
            f'H.264: a message with {pictures} beginnings of pictures; it has to hold one picture'
        )
    if any(header.bidirectional for header in headers):
        raise ImageError(
            'H.264 with B-frames, which delay the picture and which browsers do not put in order:'
            ' switch them off at the camera (x264: bframes=0, tune zerolatency)'
        )


def _joined(units: list[bytes]) -> bytes:
    return b''.join(_START + unit for unit in units)
