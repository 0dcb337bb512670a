"""The limits, against slow but obvious models of them."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_signaling.limits import AddressRules, AddressTable, TokenBucket, Violations, address_key

NOW_S = 1000.0
RULES = AddressRules(
    connections_per_s=10,
    connections_burst=20,
    failed_logins_per_s=0.1,
    failed_logins_burst=5,
    max_addresses=3,
)
PAUSES_S = st.lists(st.integers(0, 3000).map(lambda ms: ms / 1000), max_size=60)


def test_a_bucket_gives_its_burst_at_once_and_then_its_rate():
    bucket = TokenBucket(rate_per_s=50, burst=200)
    assert all(bucket.take(NOW_S) for _ in range(200))
    assert not bucket.take(NOW_S)
    assert not bucket.take(NOW_S + 0.019)
    assert bucket.take(NOW_S + 0.021)
    assert not bucket.take(NOW_S + 0.022)


def test_a_bucket_holds_no_more_than_its_burst():
    bucket = TokenBucket(rate_per_s=10, burst=3)
    assert bucket.take(NOW_S)
    assert [bucket.take(NOW_S + 3600) for _ in range(4)] == [True, True, True, False]


def test_a_bucket_is_full_whatever_the_clock_says_first():
    for now_s in (0.0, -5.0, 1e9):
        bucket = TokenBucket(rate_per_s=1, burst=2)
        assert bucket.wait_s(now_s, 2) == 0.0
        assert [bucket.take(now_s) for _ in range(3)] == [True, True, False]


def test_amounts_are_taken_whole_or_not_at_all():
    bucket = TokenBucket(rate_per_s=1000, burst=65536)
    assert bucket.take(NOW_S, 65000)
    assert not bucket.take(NOW_S, 537)
    assert bucket.take(NOW_S, 536)
    assert not bucket.take(NOW_S, 65537)


def test_a_bucket_says_how_long_to_wait():
    bucket = TokenBucket(rate_per_s=4, burst=8)
    assert bucket.wait_s(NOW_S) == 0.0
    assert bucket.take(NOW_S, 8)
    assert bucket.wait_s(NOW_S) == 0.25
    assert bucket.wait_s(NOW_S, 8) == 2.0
    assert bucket.wait_s(NOW_S + 1.5, 8) == 0.5
    assert bucket.wait_s(NOW_S + 60, 8) == 0.0
    assert bucket.wait_s(NOW_S, 8.1) == math.inf


def test_what_was_taken_can_be_put_back():
    bucket = TokenBucket(rate_per_s=1, burst=2)
    assert bucket.take(NOW_S, 2)
    bucket.put_back()
    assert [bucket.take(NOW_S) for _ in range(2)] == [True, False]
    fuller = TokenBucket(rate_per_s=1, burst=3)
    assert fuller.take(NOW_S)
    fuller.put_back()
    assert [fuller.take(NOW_S) for _ in range(4)] == [True, True, True, False]


def test_a_bucket_is_small():
    bucket = TokenBucket(1, 1)
    assert not hasattr(bucket, '__dict__')
    assert sys.getsizeof(bucket) <= 64


@given(st.floats(0.1, 1000), st.integers(1, 50), PAUSES_S)
def test_never_more_than_the_burst_and_the_rate_in_any_stretch(rate_per_s, burst, pauses_s):
    bucket = TokenBucket(rate_per_s, burst)
    now_s = NOW_S
    taken_s = []
    for pause_s in pauses_s:
        now_s += pause_s
        wait_s = bucket.wait_s(now_s)
        if bucket.take(now_s):
            taken_s.append(now_s)
            assert wait_s == 0.0
        else:
            assert 0 < wait_s <= 1 / rate_per_s
    for first, start_s in enumerate(taken_s):
        for last in range(first, len(taken_s)):
            allowed = burst + (taken_s[last] - start_s) * rate_per_s
            assert last - first + 1 <= allowed + 1e-6


@given(st.floats(0.1, 1000), st.integers(1, 50), st.data())
def test_after_the_wait_it_succeeds(rate_per_s, burst, data):
    bucket = TokenBucket(rate_per_s, burst)
    bucket.take(NOW_S, data.draw(st.floats(0, burst)))
    amount = data.draw(st.floats(0, burst))
    wait_s = bucket.wait_s(NOW_S, amount)
    assert bucket.take(NOW_S + wait_s + 1e-6, amount)


def test_an_address_may_open_its_burst_of_connections_and_no_other_pays():
    table = AddressTable(RULES)
    assert all(table.admit('192.0.2.1', NOW_S) for _ in range(20))
    assert not table.admit('192.0.2.1', NOW_S)
    assert table.connection_wait_s('192.0.2.1', NOW_S) == pytest.approx(0.1)
    assert table.connection_wait_s('192.0.2.2', NOW_S) == 0.0
    assert table.admit('192.0.2.2', NOW_S)
    assert table.admit('192.0.2.1', NOW_S + 0.11)


def test_failed_logins_shut_an_address_out_for_a_while():
    table = AddressTable(RULES)
    for _ in range(5):
        assert table.login_wait_s('192.0.2.1', NOW_S) == 0.0
        table.count_failed_login('192.0.2.1', NOW_S)
    assert table.login_wait_s('192.0.2.1', NOW_S) == pytest.approx(10)
    assert table.login_wait_s('192.0.2.1', NOW_S + 10.01) == 0.0
    assert table.login_wait_s('192.0.2.2', NOW_S) == 0.0
    assert table.admit('192.0.2.1', NOW_S)


def test_asking_makes_no_entry():
    table = AddressTable(RULES)
    table.login_wait_s('192.0.2.1', NOW_S)
    table.connection_wait_s('192.0.2.1', NOW_S)
    assert len(table) == 0


def test_the_address_that_was_quiet_for_longest_is_forgotten():
    table = AddressTable(RULES)
    for address in ('192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.1'):
        for _ in range(20):
            table.admit(address, NOW_S)
    table.admit('192.0.2.4', NOW_S)
    assert table.connection_wait_s('192.0.2.1', NOW_S) > 0
    assert table.connection_wait_s('192.0.2.2', NOW_S) == 0
    assert table.connection_wait_s('192.0.2.3', NOW_S) > 0


@given(st.lists(st.tuples(st.ip_addresses().map(str), st.booleans()), max_size=50))
def test_a_table_stays_small(events):
    table = AddressTable(RULES)
    for address, fails in events:
        if fails:
            table.count_failed_login(address, NOW_S)
        else:
            table.admit(address, NOW_S)
    assert len(table) <= 2 * RULES.max_addresses


@pytest.mark.parametrize(
    ('address', 'key'),
    [
        ('192.0.2.1', '192.0.2.1'),
        ('::ffff:192.0.2.1', '192.0.2.1'),
        ('2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'),
        ('2001:db8:1:2::', '2001:db8:1:2::/64'),
        ('2001:db8:1:3::', '2001:db8:1:3::/64'),
        ('::1', '::/64'),
        ('fe80::1', 'fe80::1'),
        ('fe80::2%eth0', 'fe80::2%eth0'),
        ('fd00::1%3', 'fd00::/64'),
        ('', ''),
        ('@socket', '@socket'),
    ],
)
def test_what_stands_for_an_address(address, key):
    assert address_key(address) == key


def test_a_whole_64_shares_one_bucket():
    table = AddressTable(RULES)
    admitted = [table.admit(address_key(f'2001:db8::{n:x}'), NOW_S) for n in range(21)]
    assert admitted == [True] * 20 + [False]


def test_more_violations_than_the_limit_within_the_window_are_too_many():
    violations = Violations(limit=5, window_s=10)
    assert [violations.add(NOW_S + n) for n in range(6)] == [False] * 5 + [True]
    assert violations.add(NOW_S + 11)
    assert not violations.add(NOW_S + 13)
    assert Violations(limit=0, window_s=10).add(NOW_S)


@given(st.integers(0, 8), PAUSES_S)
def test_violations_are_those_of_the_window(limit, pauses_s):
    violations = Violations(limit, window_s=2.0)
    now_s = NOW_S
    times_s = []
    for pause_s in pauses_s:
        now_s += pause_s
        times_s.append(now_s)
        recent = [time_s for time_s in times_s if now_s - time_s <= 2.0]
        assert violations.add(now_s) == (len(recent) > limit)
