"""The headers of H.264: NAL units in a byte stream, parameter sets, slices (ITU-T H.264).

Only what it takes to pass a stream on: nothing here decodes a picture. Sections are those of the
standard: 7.3 has the syntax, 7.4 what it means, Annex B the byte stream.
"""

from __future__ import annotations

from dataclasses import dataclass

from rtc_signaling.media.pixels import ImageError

# Types of NAL units (table 7-1).
SLICE, IDR_SLICE, SPS, PPS = 1, 5, 7, 8
# Data partitions, which belong to a profile that nobody has, and what no byte stream holds.
_IMPOSSIBLE = frozenset({0, 2, 3, 4, *range(24, 32)})
# Real ones have less than 100 bytes.
MAX_PARAMETER_SET_BYTES = 4096
# A slice's header has all that is read of it within these.
_SLICE_HEADER_BYTES = 32
_START = b'\0\0\1'
# Those that also say how chroma is sampled (7.3.2.1.1).
_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
PROFILES = {
    66: 'Baseline', 77: 'Main', 88: 'Extended', 100: 'High', 110: 'High 10', 122: 'High 4:2:2',
    244: 'High 4:4:4', 44: 'CAVLC 4:4:4',
}  # fmt: skip


def nal_units(data: bytes) -> list[bytes]:
    """Return the NAL units of a byte stream, without start codes and the zeros behind them.

    Raises:
        ImageError: It does not begin with a start code (Annex B).
    """
    start = data.find(_START)
    if start < 0 or data[:start].strip(b'\0'):
        raise ImageError(
            f'H.264 of {len(data)} bytes: it begins with no start code; supported is the byte'
            ' stream format (Annex B)'
        )
    units = (unit.rstrip(b'\0') for unit in data[start + len(_START) :].split(_START))
    return [unit for unit in units if unit]


def unit_type(unit: bytes) -> int:
    """Return the type of a NAL unit.

    Raises:
        ImageError: A camera's stream has no such units.
    """
    kind = unit[0] & 31
    if unit[0] & 128 or kind in _IMPOSSIBLE:
        raise ImageError(f'H.264: damaged, or no H.264: a NAL unit begins with {unit[0]}')
    return kind


@dataclass(frozen=True, slots=True)
class Sps:
    """Hold what matters of a sequence parameter set (7.4.2.1).

    Attributes:
        number: Its number, 0 to 31.
        profile: Its `profile_idc`.
        level: Its `level_idc`: 31 is level 3.1.
        chroma: How chroma is sampled: 1 is 4:2:0.
        bits: Bits of a sample, of luma or chroma, whichever are more.
        frame_number_bits: Length of `frame_num` in slices.
        frame_gaps: Whether frame numbers may be missing in a stream that is whole.
        interlaced: Whether there may be fields.
        width: In pixels, as shown.
        height: In pixels, as shown.
    """

    number: int
    profile: int
    level: int
    chroma: int
    bits: int
    frame_number_bits: int
    frame_gaps: bool
    interlaced: bool
    width: int
    height: int

    @classmethod
    def parse(cls, unit: bytes) -> Sps:
        """Read the NAL unit of one.

        Raises:
            ImageError: It is damaged.
        """
        bits = _Bits(_parameter_set(unit), 'a sequence parameter set')
        profile, _, level = bits.fixed(8), bits.fixed(8), bits.fixed(8)
        number = bits.unsigned(most=31)
        chroma, depth = 1, 8
        if profile in _HIGH_PROFILES:
            chroma, depth = _sampling(bits)
        frame_number_bits = bits.unsigned(most=12) + 4
        _skip_picture_order(bits)
        bits.unsigned(most=16)  # max_num_ref_frames
        frame_gaps = bool(bits.fixed(1))
        columns, rows = bits.unsigned(most=4095) + 1, bits.unsigned(most=4095) + 1
        interlaced = not bits.fixed(1)
        bits.fixed(1 + interlaced)  # mb_adaptive_frame_field_flag, direct_8x8_inference_flag
        left, right, top, bottom = (
            (bits.unsigned(most=65535) for _ in range(4)) if bits.fixed(1) else (0, 0, 0, 0)
        )
        across = 2 if chroma in (1, 2) else 1
        down = (2 if chroma == 1 else 1) * (1 + interlaced)
        return cls(
            number, profile, level, chroma, depth, frame_number_bits, frame_gaps, interlaced,
            16 * columns - across * (left + right),
            16 * rows * (1 + interlaced) - down * (top + bottom),
        )  # fmt: skip

    def __str__(self) -> str:
        name = PROFILES.get(self.profile, f'profile {self.profile}')
        return f'{self.width}x{self.height}, {name}, level {self.level / 10:g}'


def _parameter_set(unit: bytes) -> bytes:
    if len(unit) > MAX_PARAMETER_SET_BYTES:
        raise ImageError(
            f'H.264: a parameter set of {len(unit)} bytes; it may have {MAX_PARAMETER_SET_BYTES}'
        )
    return unit


def _sampling(bits: _Bits) -> tuple[int, int]:
    """Read how chroma is sampled, and the bits of a sample."""
    chroma = bits.unsigned(most=3)
    if chroma == 3:
        bits.fixed(1)  # separate_colour_plane_flag
    depth = 8 + max(bits.unsigned(most=6), bits.unsigned(most=6))
    bits.fixed(1)  # qpprime_y_zero_transform_bypass_flag
    if bits.fixed(1):
        for i in range(12 if chroma == 3 else 8):
            if bits.fixed(1):
                _skip_scaling_list(bits, 16 if i < 6 else 64)
    return chroma, depth


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _skip_picture_order(bits: _Bits) -> None:
    kind = bits.unsigned(most=2)
    if kind == 0:
        bits.unsigned(most=12)
    elif kind == 1:
        bits.fixed(1)
        bits.signed()
        bits.signed()
        for _ in range(bits.unsigned(most=255)):
            bits.signed()


@dataclass(frozen=True, slots=True)
class Pps:
    """Hold what matters of a picture parameter set (7.4.2.2).

    Attributes:
        number: Its number, 0 to 255.
        sps: The number of the sequence parameter set that it refers to.
        slice_groups: How many groups of slices a picture has; more than 1 is of no use here.
    """

    number: int
    sps: int
    slice_groups: int

    @classmethod
    def parse(cls, unit: bytes) -> Pps:
        """Read the NAL unit of one.

        Raises:
            ImageError: It is damaged.
        """
        bits = _Bits(_parameter_set(unit), 'a picture parameter set')
        number, sps = bits.unsigned(most=255), bits.unsigned(most=31)
        bits.fixed(2)  # entropy_coding_mode_flag, bottom_field_pic_order_in_frame_present_flag
        return cls(number, sps, bits.unsigned(most=7) + 1)


class SliceHeader:
    """Read the header of a slice (7.4.3), as far as can be done without its parameter sets.

    Args:
        unit: The NAL unit.

    Attributes:
        key: Whether it is of an IDR picture, before which nothing is needed.
        reference: Whether later pictures may refer to it.
        first: Whether it is the first of its picture.
        bidirectional: Whether it may need a picture that is shown later (B).
        pps: The number of its picture parameter set.

    Raises:
        ImageError: It is damaged.
    """

    def __init__(self, unit: bytes) -> None:
        self.key = unit[0] & 31 == IDR_SLICE
        self.reference = bool(unit[0] & 96)
        self._bits = _Bits(unit[:_SLICE_HEADER_BYTES], 'a slice')
        self.first = self._bits.unsigned(most=4096 * 4096) == 0
        self.bidirectional = self._bits.unsigned(most=9) % 5 == 1
        self.pps = self._bits.unsigned(most=255)

    def frame_number(self, sps: Sps) -> int:
        """Return its `frame_num`; once."""
        return self._bits.fixed(sps.frame_number_bits)


class _Bits:
    """Read the bits of a NAL unit, behind its first byte (7.2, 9.1)."""

    def __init__(self, unit: bytes, what: str) -> None:
        # Behind two zeros a 3 is put in, so that no start code comes about.
        payload = unit[1:].replace(b'\0\0\3', b'\0\0')
        self._value = int.from_bytes(payload, 'big')
        self._left = 8 * len(payload)
        self._what = what

    def fixed(self, count: int) -> int:
        if count > self._left:
            raise ImageError(f'H.264: {self._what} of it ends too early')
        self._left -= count
        return self._value >> self._left & (1 << count) - 1

    def unsigned(self, most: int) -> int:
        zeros = 0
        while not self.fixed(1):
            zeros += 1
        number = (1 << zeros) - 1 + self.fixed(zeros)
        if number > most:
            raise ImageError(f'H.264: {self._what} of it is damaged')
        return number

    def signed(self) -> int:
        number = self.unsigned(most=1 << 33)
        return (number + 1) // 2 if number % 2 else -(number // 2)
