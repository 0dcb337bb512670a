"""Pictures of half the size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_signaling.media.scaling import halved


def planes(i420):
    height, width = i420.shape[0] * 2 // 3, i420.shape[1]
    flat = i420.reshape(-1)
    size = width * height
    return (
        flat[:size].reshape(height, width),
        flat[size : size * 5 // 4].reshape(height // 2, width // 2),
        flat[size * 5 // 4 :].reshape(height // 2, width // 2),
    )


@given(
    st.integers(32, 80).map(lambda n: 2 * n), st.integers(32, 80).map(lambda n: 2 * n),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_each_plane_is_the_mean_of_what_it_covers(width, height, seed):
    i420 = np.random.default_rng(seed).integers(0, 256, (height * 3 // 2, width), np.uint8)
    half = halved(i420)
    assert half.shape == (height // 4 * 2 * 3 // 2, width // 4 * 2)
    for whole, small in zip(planes(i420), planes(half), strict=True):
        assert abs(float(whole.mean()) - float(small.mean())) < 6
    if width % 4 == height % 4 == 0:
        for whole, small in zip(planes(i420), planes(half), strict=True):
            rows, columns = small.shape
            means = whole.reshape(rows, 2, columns, 2).mean(axis=(1, 3))
            assert np.abs(means - small).max() <= 1


@pytest.mark.parametrize('size', [(2, 2), (64, 62), (62, 64)])
def test_what_is_small_stays_as_it_is(size):
    width, height = size
    i420 = np.zeros((height * 3 // 2, width), np.uint8)
    assert halved(i420) is i420
