"""Depth images as pictures, checked against the stated mapping in floating point."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import assert_close, image_of, planes, rgb_of

from rtc_signaling.media.frames import DepthMapping, to_i420

GREY = DepthMapping(0.5, 4.0, 'grey')
TURBO = DepthMapping(0.5, 4.0, 'turbo')
TYPES = {'16UC1': 'u2', '32FC1': 'f4'}
NO_DISTANCE = [0.0, -1.0, -1e38, np.nan, np.inf, -np.inf]


def depth_image(values, encoding, *, bigendian=False, padding=0):
    """Make an image of numbers of the shape (height, width), in the encoding's own unit."""
    order = '>' if bigendian else '<'
    data = np.ascontiguousarray(values).astype(order + TYPES[encoding])
    pixels = data.view(np.uint8).reshape(*data.shape, data.itemsize)
    return image_of(pixels, encoding, bigendian=bigendian, padding=padding)


def shades(metres, mapping):
    """Compute the shades, 0 to 255, as docs/images.md states them."""
    share = np.clip((mapping.far_m - metres) / (mapping.far_m - mapping.near_m), 0, 1)
    valid = np.isfinite(metres) & (metres > 0)
    return np.where(valid, 26 + 229 * share, 0)


def turbo(shade):
    """Compute the colours by the polynomials that were published with the colour map."""
    powers = (shade / 255)[..., None] ** np.arange(6)
    rgb = powers @ np.array(
        [
            [0.13572138, 0.09140261, 0.10667330],
            [4.61539260, 2.19418839, 12.64194608],
            [-42.66032258, 4.84296658, -60.58204836],
            [132.13108234, -14.18503333, 110.36276771],
            [-152.94239396, 4.27729857, -89.90310912],
            [59.28637943, 2.82956604, 27.34824973],
        ]
    )
    return 255 * np.clip(rgb, 0, 1)


@pytest.mark.parametrize('bigendian', [False, True])
@pytest.mark.parametrize('padding', [0, 1, 2, 4])
@pytest.mark.parametrize(('encoding', 'unit_m'), [('16UC1', 0.001), ('32FC1', 1.0)])
def test_near_is_bright_and_far_is_dark(encoding, unit_m, padding, bigendian):
    metres = np.linspace(0.001, 5.0, 40 * 30).reshape(30, 40).round(3)
    image = depth_image(metres / unit_m, encoding, bigendian=bigendian, padding=padding)
    luma, u, v = planes(to_i420(image, depth=GREY))
    # A step of rounding of the shade, and one of luma.
    assert_close(luma, 16 + 219 * shades(metres, GREY) / 255, tolerance=1.5)
    assert luma.max() == 235
    assert set(u.flat) == set(v.flat) == {128}


@pytest.mark.parametrize('mapping', [GREY, TURBO])
@pytest.mark.parametrize('nothing', NO_DISTANCE)
def test_without_a_distance_it_is_black(nothing, mapping):
    metres = np.full((8, 8), 1.0)
    metres[2:4, 4:6] = nothing
    luma, u, v = planes(to_i420(depth_image(metres, '32FC1'), depth=mapping))
    assert set(luma[2:4, 4:6].flat) == {16}
    assert (u[1, 2], v[1, 2]) == (128, 128)
    luma[2:4, 4:6] = luma[0, 0]
    assert set(luma.flat) == {luma[0, 0]} != {16}


def test_a_zero_of_16uc1_is_black_and_what_is_far_is_not():
    millimetres = np.zeros((4, 4))
    millimetres[:, 2:] = 65535
    luma, _, _ = planes(to_i420(depth_image(millimetres, '16UC1'), depth=GREY))
    assert set(luma[:, :2].flat) == {16}
    assert set(luma[:, 2:].flat) == {38}


def test_far_need_not_be_a_whole_number_of_16uc1():
    mapping = DepthMapping(0.3, 0.3026)
    luma, _, _ = planes(to_i420(depth_image([[65535] * 2] * 2, '16UC1'), depth=mapping))
    # Less than 1 mm nearer than it is, never beyond far, where shades would rise again.
    nearer = shades(np.array(0.302), mapping)
    assert_close(luma, np.full((2, 2), 16 + 219 * nearer / 255), tolerance=1.5)


def test_numbers_at_the_ends_of_float_do_no_harm():
    tiny, huge = np.finfo(np.float32).tiny, np.finfo(np.float32).max
    metres = np.array([[tiny, tiny, huge, huge]] * 2)
    luma, _, _ = planes(to_i420(depth_image(metres, '32FC1'), depth=GREY))
    assert luma.tolist() == [[235, 235, 38, 38]] * 2


def test_turbo_is_the_colour_map_of_that_name():
    metres = np.repeat(np.repeat(np.linspace(0.5, 4.0, 100).reshape(10, 10), 4, 0), 4, 1)
    picture = rgb_of(to_i420(depth_image(metres, '32FC1'), depth=TURBO))[1::4, 1::4]
    # The polynomials approximate the table, worse towards its ends.
    assert_close(picture, turbo(shades(metres, TURBO))[1::4, 1::4], tolerance=24)


@pytest.mark.parametrize(('shade', 'colour'), [(255, (122, 4, 3)), (128, (164, 252, 60))])
def test_turbo_has_the_published_colours(shade, colour):
    metres = np.full((4, 4), 4.0 - 3.5 * (shade - 26) / 229)
    picture = rgb_of(to_i420(depth_image(metres, '32FC1'), depth=TURBO))
    assert_close(picture[0, 0], np.array(colour, float), tolerance=6)


@settings(deadline=None)
@given(
    metres=st.lists(st.floats(width=32), min_size=4, max_size=4),
    near_m=st.floats(0.0, 5.0),
    span_m=st.floats(0.001, 1000.0),
    bigendian=st.booleans(),
)
def test_any_floats_follow_the_mapping(metres, near_m, span_m, bigendian):
    mapping = DepthMapping(near_m, near_m + span_m, 'grey')
    values = np.array(metres, np.float32).reshape(2, 2)
    # Smaller ones are subnormal, which processors may take for 0.
    values[np.abs(values) < np.finfo(np.float32).tiny] = 0
    luma, _, _ = planes(to_i420(depth_image(values, '32FC1', bigendian=bigendian), depth=mapping))
    with np.errstate(all='ignore'):
        wanted = 16 + 219 * shades(values.astype(float), mapping) / 255
    assert_close(luma, wanted, tolerance=2)
