"""Waiting before the next attempt."""

from __future__ import annotations

from rtc_signaling.backoff import Backoff


def longest(low, high):
    return high


def shortest(low, high):
    return low


def test_the_limit_doubles_up_to_the_longest():
    backoff = Backoff(0.5, 5.0, longest)
    assert [backoff.next_s() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_it_is_never_shorter_than_the_shortest():
    backoff = Backoff(0.5, 5.0, shortest)
    assert [backoff.next_s() for _ in range(3)] == [0.5] * 3


def test_a_success_begins_anew():
    backoff = Backoff(0.5, 5.0, longest)
    for _ in range(4):
        backoff.next_s()
    backoff.reset()
    assert backoff.next_s() == 1.0


def test_a_longest_below_the_shortest_is_the_shortest():
    assert Backoff(3.0, 1.0, longest).next_s() == 3.0
