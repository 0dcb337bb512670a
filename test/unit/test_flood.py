"""How much one client may send, and how much is logged of it."""

from __future__ import annotations

import itertools
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_signaling.flood import MAX_REFUSALS, REFUSALS_WINDOW_S, FloodGuard
from rtc_signaling.server_config import ServerConfig
from rtc_signaling.sessions import Client

NOW_S = 1000.0


def guard(**settings):
    return FloodGuard(
        ServerConfig(
            **{
                'message_rate_hz': 2.0, 'message_burst': 3, 'byte_rate': 1000.0,
                'byte_burst': 5000, 'max_message_bytes': 1024,
            } | settings
        )
    )  # fmt: skip


def client():
    return Client('link', 'receiver', '')


def test_a_client_may_send_its_burst_and_then_its_rate():
    flood, one = guard(), client()
    assert [flood.judge(one, 10, NOW_S) for _ in range(3)] == [None] * 3
    error = flood.judge(one, 10, NOW_S)
    assert (error.code, error.retry, error.fatal) == ('rate_limited', True, False)
    assert error.retry_after_s == pytest.approx(0.501)
    assert error.message == 'more than 2 messages or 1000 bytes per s'
    assert flood.judge(one, 10, NOW_S + error.retry_after_s) is None


def test_it_is_the_same_with_bytes():
    flood, one = guard(message_burst=100), client()
    assert flood.judge(one, 5000, NOW_S) is None
    error = flood.judge(one, 500, NOW_S)
    assert (error.code, error.retry_after_s) == ('rate_limited', pytest.approx(0.501))
    assert flood.judge(one, 500, NOW_S + 0.5) is None


@pytest.mark.parametrize(
    ('settings', 'size_bytes', 'apart_s'),
    [({'message_rate_hz': 4.0, 'byte_rate': 1e6}, 10, 0.25), ({'message_rate_hz': 1e3}, 500, 0.5)],
)
def test_messages_too_many_are_told_times_as_far_apart_as_the_limit_asks(
    settings, size_bytes, apart_s
):
    flood, one = guard(message_burst=1, byte_burst=1024, **settings), client()
    errors = [flood.judge(one, size_bytes, NOW_S) for _ in range(6)]
    told = [error.retry_after_s for error in errors if error is not None]
    steps = [later - sooner for sooner, later in itertools.pairwise(told)]
    assert steps == pytest.approx([apart_s] * len(steps), abs=0.003)
    assert len(steps) >= 3


def test_whatever_may_be_a_message_fits_some_time():
    flood, one = guard(max_message_bytes=8000), client()
    assert flood.judge(one, 8000, NOW_S) is None
    error = flood.judge(one, 8000, NOW_S)
    assert error.retry_after_s == pytest.approx(8.0, abs=0.01)
    assert flood.judge(one, 8000, NOW_S + error.retry_after_s) is None


def test_a_message_with_too_many_bytes_takes_no_place_of_another():
    flood, one = guard(message_rate_hz=0.1, message_burst=2), client()
    assert flood.judge(one, 5000, NOW_S) is None
    assert flood.judge(one, 5000, NOW_S) is not None
    assert flood.judge(one, 0, NOW_S) is None


def test_each_client_has_its_own():
    flood, one, other = guard(), client(), client()
    for _ in range(4):
        refused = flood.judge(one, 10, NOW_S)
    assert refused is not None
    assert flood.judge(other, 10, NOW_S) is None


def test_who_goes_on_is_cut_off():
    flood, one = guard(), client()
    errors = [flood.judge(one, 10, NOW_S) for _ in range(3 + MAX_REFUSALS + 1)][3:]
    assert [error.fatal for error in errors] == [False] * MAX_REFUSALS + [True]


def test_who_sends_a_little_too_much_is_told_and_borne():
    flood, one = guard(), client()
    for step in range(10 * MAX_REFUSALS):
        error = flood.judge(one, 10, NOW_S + step / 6)  # thrice its rate, 4 refusals a second
        if error is not None:
            assert not error.fatal
            assert error.retry_after_s <= 0.51 + REFUSALS_WINDOW_S


SIZES = st.lists(st.integers(0, 5000), min_size=1, max_size=MAX_REFUSALS)
RATES = {
    'message_rate_hz': st.floats(0.5, 1000.0), 'message_burst': st.integers(1, 60),
    'byte_rate': st.floats(1024.0, 1e6), 'byte_burst': st.integers(1024, 10_000),
}  # fmt: skip


def waiting(flood, one, sizes, now_s):
    """Send all these at once; return those that were refused as [when to send it again, size]."""
    told = []
    for size in sizes:
        error = flood.judge(one, size, now_s)
        if error is not None:
            assert not error.fatal
            told.append([now_s + error.retry_after_s, size])
    return told


@given(
    st.integers(0, 5000), st.integers(1, MAX_REFUSALS), st.fixed_dictionaries(RATES),
    st.floats(0.0, 1e6),
)  # fmt: skip
def test_each_message_is_taken_at_the_time_that_it_was_told(size, count, rates, now_s):
    flood, one = guard(max_message_bytes=5000, **rates), client()
    told = waiting(flood, one, [size] * count, now_s)
    assert told == sorted(told)
    for at_s, _ in told:
        if at_s < now_s + REFUSALS_WINDOW_S:
            assert flood.judge(one, size, at_s) is None


@given(st.lists(SIZES, max_size=20), st.fixed_dictionaries(RATES), st.floats(0.0, 1e6))
def test_who_keeps_silent_as_long_as_it_was_told_is_never_cut_off(rounds, rates, now_s):
    """After the last time it was told a client sends all again, and then something new."""
    flood, one = guard(max_message_bytes=5000, **rates), client()
    told = []
    for sizes in rounds:
        # No more at once than was under way when it could be told.
        both = ([size for _, size in told] + sizes)[:MAX_REFUSALS]
        now_s = max([now_s, *(at_s for at_s, _ in told)])
        told = waiting(flood, one, both, now_s)


def test_who_went_on_is_forgiven_when_it_has_waited():
    flood, one, now_s = guard(message_rate_hz=1000.0), client(), NOW_S
    for _ in range(5):
        errors = [flood.judge(one, 10, now_s) for _ in range(3 + MAX_REFUSALS)]
        assert not any(error.fatal for error in errors if error)
        now_s += errors[-1].retry_after_s


def test_who_is_gone_is_forgotten():
    flood, one = guard(), client()
    for _ in range(4):
        flood.judge(one, 10, NOW_S)
    flood.forget(one)
    flood.forget(one)
    assert flood.judge(one, 10, NOW_S) is None
    flood.forget(one)
    assert not flood._budgets


def test_other_limits_hold_at_once_and_for_everybody_anew():
    flood, one = guard(), client()
    assert [flood.judge(one, 10, NOW_S) for _ in range(3)] == [None] * 3
    assert flood.judge(one, 10, NOW_S) is not None
    flood.reconfigure(ServerConfig(message_rate_hz=1.0, message_burst=5))
    assert [flood.judge(one, 10, NOW_S) for _ in range(5)] == [None] * 5
    assert flood.judge(one, 10, NOW_S).message.startswith('more than 1 messages')


def test_control_frames_have_a_bucket_for_each_connection():
    flood = guard(control_rate_hz=5.0)
    bucket = flood.control_bucket()
    assert [bucket.take(NOW_S) for _ in range(11)] == [True] * 10 + [False]
    assert bucket.take(NOW_S + 0.2)
    assert flood.control_bucket().take(NOW_S)


@pytest.mark.parametrize('now_s', [0.0, 0.5, 1e9])
def test_the_first_line_is_logged_whatever_the_clock_says(now_s, caplog):
    guard().log(logging.getLogger('test_flood'), 'told one', 'invalid_json', now_s)
    assert [record.getMessage() for record in caplog.records] == ['told one']


def test_of_a_flood_one_line_a_second_is_logged(caplog):
    logger = logging.getLogger('test_flood')
    flood = guard()
    for step in range(25):
        flood.log(logger, f'told one: {step}', 'invalid_json', NOW_S + step / 10)
    flood.log(logger, 'something else', 'timeout', NOW_S)
    flood.log(logger, 'much later', 'invalid_json', NOW_S + 60)
    flood.log(logger, 'and again', 'invalid_json', NOW_S + 120)
    assert [record.getMessage() for record in caplog.records] == [
        'told one: 0',
        'told one: 10 (and 9 more like it before)',
        'told one: 20 (and 9 more like it before)',
        'something else',
        'much later (and 4 more like it before)',
        'and again',
    ]
