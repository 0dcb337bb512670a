"""RTP time from header stamps."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtc_signaling.media.timing import MAX_STEP_NS, RtpClock, usual_rate

S = 1_000_000_000


def test_the_stamps_spacing_is_kept_whenever_they_arrive():
    clock = RtpClock()
    stamps = [7 * S, 7 * S + S // 30, 7 * S + S // 2, 8 * S]
    arrivals = [100, 100 + S, 100 + 3 * S, 100 + 3 * S + 1]
    pts = [clock.pts(*pair) for pair in zip(stamps, arrivals, strict=True)]
    assert pts == [0, 2999, 45_000, 90_000]


def test_no_rounding_error_adds_up():
    clock = RtpClock()
    last = [clock.pts(i * S // 30, 0) for i in range(30 * 3600 + 1)][-1]
    assert last == 3600 * 90_000


def test_stamps_that_stand_still_go_on_by_the_time_of_arrival():
    clock = RtpClock()
    assert [clock.pts(0, i * S // 10) for i in range(3)] == [0, 9000, 18_000]


def test_a_jump_back_or_far_ahead_goes_on_by_the_time_of_arrival():
    clock = RtpClock()
    clock.pts(100 * S, 0)
    assert clock.pts(50 * S, S) == 90_000
    assert clock.pts(50 * S + MAX_STEP_NS, 2 * S) == 180_000
    # From there on the stamps count again.
    assert clock.pts(51 * S + MAX_STEP_NS, 9 * S) == 270_000


def test_the_least_step_of_the_stamps_is_kept_too():
    clock = RtpClock()
    clock.pts(0, 0)
    assert clock.pts(1, S) == 0


def test_nothing_stands_still_though_neither_clock_moves():
    clock = RtpClock()
    clock.pts(0, 0)
    assert clock.pts(0, 0) == 90
    # A millisecond each time, to the nanosecond.
    last = [clock.pts(0, 0) for _ in range(99_999)][-1]
    assert last == 100 * 90_000


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-(2**63), 2**63), st.integers(0, 2**63)), min_size=2))
def test_rtp_time_never_goes_back(pairs):
    clock = RtpClock()
    pts = [clock.pts(*pair) for pair in pairs]
    assert pts == sorted(pts)


@pytest.mark.parametrize(
    ('steps', 'rate_hz'),
    [
        ((), 30),
        ((9000,), 30),
        ((3000, 3000, 3000), 30),
        ((3003, 3003), 30),
        ((9000, 9000), 10),
        ((2900, 3100, 2990), 30),
        ((1500, 1500, 3000), 60),
        ((100, 3000, 3000), 30),
        ((7200, 7200), 12),
        ((900_000, 900_000), 1),
        ((750, 750), 120),
        ((90, 90), 240),
        ((0, 0), 240),
    ],
)
def test_the_usual_rate_is_the_one_that_the_steps_keep(steps, rate_hz):
    assert usual_rate(steps) == rate_hz
