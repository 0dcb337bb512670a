"""The headers of H.264: of streams that x264 made, and of what is none."""

from __future__ import annotations

import pytest
from h264_camera import H264Camera
from hypothesis import given
from hypothesis import strategies as st

from rtc_signaling.media import h264
from rtc_signaling.media.h264 import Pps, SliceHeader, Sps, nal_units, unit_type
from rtc_signaling.media.pixels import ImageError

# What a NAL unit may hold: no start code, no zero at its end, and something at all.
UNITS = st.lists(st.binary(min_size=1).filter(lambda u: b'\0\0\1' not in u and u[-1]))


def of_type(data, kind):
    return [unit for unit in nal_units(data) if unit_type(unit) == kind]


@given(units=UNITS, long_codes=st.lists(st.booleans()), zeros=st.integers(0, 3))
def test_units_come_back_from_a_byte_stream(units, long_codes, zeros):
    codes = [b'\0' * long + b'\0\0\1' for long in long_codes] + [b'\0\0\0\1'] * len(units)
    stream = b''.join(code + unit for code, unit in zip(codes, units, strict=False))
    if not units:
        stream = b'\0\0\1'
    assert nal_units(b'\0' * zeros + stream + b'\0' * zeros) == units


@pytest.mark.parametrize('data', [b'', b'\0\0\0', b'no start code', b'\1\0\0\1x'])
def test_what_begins_with_no_start_code_is_refused(data):
    with pytest.raises(ImageError, match=f'^H.264 of {len(data)} bytes: it begins with no start'):
        nal_units(data)


@pytest.mark.parametrize('first', [0x80 | 7, 0, 2, 3, 4, 24, 28, 31])
def test_units_that_no_camera_has_are_refused(first):
    with pytest.raises(ImageError, match=f'damaged, or no H.264: a NAL unit begins with {first}$'):
        unit_type(bytes([first, 1, 2]))


@pytest.mark.parametrize(
    ('profile', 'number'), [('baseline', 66), ('main', 77), ('high', 100), ('high10', 110)]
)
@pytest.mark.parametrize('size', [(320, 240), (642, 358), (1920, 1080)])
def test_a_sequence_parameter_set_is_read(profile, number, size):
    depth = 10 if profile == 'high10' else 8
    pixel_format = 'yuv420p10le' if depth == 10 else 'yuv420p'
    camera = H264Camera(*size, profile, pixel_format=pixel_format, level='4.1')
    [unit] = of_type(camera.picture(0), h264.SPS)
    sps = Sps.parse(unit)
    assert (sps.profile, sps.level, sps.chroma, sps.bits) == (number, 41, 1, depth)
    assert (sps.width, sps.height, sps.interlaced, sps.frame_gaps) == (*size, False, False)
    assert f'{size[0]}x{size[1]}, {h264.PROFILES[number]}, level 4.1' == str(sps)


def test_fields_are_seen_and_the_height_is_that_of_both():
    camera = H264Camera(320, 240, 'main', params='interlaced=1')
    sps = Sps.parse(of_type(camera.picture(0), h264.SPS)[0])
    assert (sps.interlaced, sps.width, sps.height) == (True, 320, 240)


@pytest.mark.parametrize(('pixel_format', 'chroma'), [('yuv422p', 2), ('yuv444p', 3)])
def test_how_chroma_is_sampled_is_read(pixel_format, chroma):
    camera = H264Camera(322, 242, '', pixel_format=pixel_format)
    sps = Sps.parse(of_type(camera.picture(0), h264.SPS)[0])
    assert (sps.chroma, sps.bits, sps.width, sps.height) == (chroma, 8, 322, 242)


def test_scaling_lists_are_skipped():
    camera = H264Camera(320, 240, 'high', params='cqm=jvt')
    sps = Sps.parse(of_type(camera.picture(0), h264.SPS)[0])
    assert (sps.width, sps.height) == (320, 240)


class Bits:
    """Write a parameter set bit by bit (7.2): what x264 never writes."""

    def __init__(self, first: int) -> None:
        self._text = f'{first:08b}'

    def fixed(self, length: int, value: int) -> Bits:
        self._text += f'{value:0{length}b}'
        return self

    def unsigned(self, *values: int) -> Bits:
        """Write numbers as Exp-Golomb codes (9.1)."""
        for value in values:
            digits = f'{value + 1:b}'
            self._text += '0' * (len(digits) - 1) + digits
        return self

    def signed(self, *values: int) -> Bits:
        """Write numbers that may be negative (9.1.1)."""
        return self.unsigned(*(2 * v - 1 if v > 0 else -2 * v for v in values))

    @property
    def unit(self) -> bytes:
        """The NAL unit, with its stop bit."""
        text = self._text + '1'
        text += '0' * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, 'big')


def header(profile):
    """Begin a sequence parameter set number 0 of level 3."""
    return Bits(0x67).fixed(8, profile).fixed(8, 0).fixed(8, 30).unsigned(0)


def size_of(bits):
    """End it with one reference frame of 20 by 15 macroblocks, and read it."""
    sps = Sps.parse(bits.unsigned(1).fixed(1, 0).unsigned(19, 14).fixed(1, 1).fixed(3, 0).unit)
    return sps.width, sps.height


def test_scaling_lists_of_a_sequence_are_skipped():
    bits = header(100).unsigned(1, 0, 0).fixed(1, 0).fixed(1, 1)
    bits.fixed(1, 1).signed(-8)  # the first list: the default, said by its first step
    bits.fixed(1, 1).signed(8, *[1] * 15)  # the second: 16 steps
    bits.fixed(4, 0)
    bits.fixed(1, 1).signed(*[-1] * 8)  # the first of 64: the ninth value is the last again
    bits.fixed(1, 0)
    assert size_of(bits.unsigned(0, 0, 0)) == (320, 240)


def test_an_order_of_pictures_by_a_cycle_is_skipped():
    bits = header(66).unsigned(0, 1).fixed(1, 0).signed(-2, 3).unsigned(2).signed(4, -4)
    assert size_of(bits) == (320, 240)


def test_slices_tell_key_frames_and_count_pictures():
    film = H264Camera(key_frame_each=4, params='slices=3').film(9)
    sps = Sps.parse(of_type(film[0], h264.SPS)[0])
    [pps] = [Pps.parse(unit) for unit in of_type(film[0], h264.PPS)]
    assert (pps.sps, pps.slice_groups) == (sps.number, 1)
    for index, data in enumerate(film):
        units = of_type(data, h264.SLICE) + of_type(data, h264.IDR_SLICE)
        headers = [SliceHeader(unit) for unit in units]
        assert len(headers) > 1
        assert [header.first for header in headers] == [True] + [False] * (len(headers) - 1)
        assert {header.key for header in headers} == {index % 4 == 0}
        assert {header.frame_number(sps) for header in headers} == {index % 4}
        assert {(h.reference, h.bidirectional, h.pps) for h in headers} == {
            (True, False, pps.number)
        }


def test_b_slices_are_seen():
    camera = H264Camera(profile='main', tune='psnr', bf='2', params='b-adapt=0:rc-lookahead=4')
    data = b''.join(camera.film(40))
    assert any(SliceHeader(unit).bidirectional for unit in of_type(data, h264.SLICE))


@given(st.binary(min_size=1, max_size=200))
def test_garbage_is_read_or_refused(data):
    for read in (Sps.parse, Pps.parse, SliceHeader, lambda unit: nal_units(b'\0\0\1' + unit)):
        try:
            read(data)
        except ImageError:
            continue


def test_a_parameter_set_of_any_size_is_not_read():
    unit = bytes([7]) + bytes(h264.MAX_PARAMETER_SET_BYTES)
    for kind in (Sps, Pps):
        with pytest.raises(ImageError, match='a parameter set of 4097 bytes; it may have 4096'):
            kind.parse(unit)


@given(cut=st.integers(1, 7))
def test_a_sequence_parameter_set_that_is_cut_off_is_refused(cut):
    [unit] = of_type(H264Camera().picture(0), h264.SPS)
    with pytest.raises(ImageError, match='a sequence parameter set of it ends too early'):
        Sps.parse(unit[:cut])
