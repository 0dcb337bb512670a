"""How much one client may send, and how much is logged of it."""

from __future__ import annotations

import logging

import pytest

from rtc_signaling.config import ServerConfig
from rtc_signaling.flood import MAX_REFUSALS, FloodGuard
from rtc_signaling.sessions import Client

NOW_S = 1000.0


def guard(**settings):
    return FloodGuard(
        ServerConfig(
            **{
                'message_rate_hz': 2.0, 'message_burst': 3, 'byte_rate': 1000.0,
                'byte_burst': 5000,
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
    assert error.retry_after_s == pytest.approx(0.5)
    assert error.message == 'more than 2 messages or 1000 bytes per s'
    assert flood.judge(one, 10, NOW_S + 0.5) is None


def test_it_is_the_same_with_bytes():
    flood, one = guard(message_burst=100), client()
    assert flood.judge(one, 5000, NOW_S) is None
    error = flood.judge(one, 500, NOW_S)
    assert (error.code, error.retry_after_s) == ('rate_limited', pytest.approx(0.5))
    assert flood.judge(one, 500, NOW_S + 0.5) is None


def test_what_never_fits_has_no_time_to_wait_for():
    flood, one = guard(), client()
    assert flood.judge(one, 5001, NOW_S).retry_after_s is None


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


def test_who_listens_is_not():
    flood, one = guard(), client()
    for step in range(10 * MAX_REFUSALS):
        error = flood.judge(one, 10, NOW_S + step / 4)  # twice its rate, 2 refusals a second
        assert error is None or not error.fatal


def test_who_is_gone_is_forgotten():
    flood, one = guard(), client()
    for _ in range(4):
        flood.judge(one, 10, NOW_S)
    flood.forget(one)
    flood.forget(one)
    assert flood.judge(one, 10, NOW_S) is None
    flood.forget(one)
    assert not flood._budgets


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
