"""Counting."""

from __future__ import annotations

import math

import pytest

from rtc_signaling.metrics import RateMeter, ServerMetrics


def test_no_event_is_no_rate_and_endless_silence():
    meter = RateMeter()
    assert meter.rate_hz(5.0) == 0.0
    assert meter.silence_s(5.0) == math.inf
    meter.count(5.0)
    assert meter.rate_hz(5.0) == 0.0
    assert meter.silence_s(7.5) == 2.5


def test_a_steady_rate():
    meter = RateMeter()
    for i in range(100):
        meter.count(i / 30)
    assert meter.rate_hz(99 / 30) == pytest.approx(30.0)


def test_only_the_last_events_count():
    meter = RateMeter(window=3)
    for now_s in (0.0, 1.0, 2.0, 2.5, 3.0):
        meter.count(now_s)
    assert meter.rate_hz(3.0) == pytest.approx(2.0)


def test_the_rate_falls_while_nothing_comes():
    meter = RateMeter()
    for i in range(10):
        meter.count(i / 10)
    assert meter.rate_hz(0.9 + 2.0) == pytest.approx(0.5)


def test_events_of_one_moment_divide_by_nothing():
    meter = RateMeter()
    meter.count(1.0)
    meter.count(1.0)
    assert meter.rate_hz(1.0) < math.inf


def test_a_snapshot_does_not_change_any_more():
    metrics = ServerMetrics()
    metrics.errors['timeout'] += 1
    metrics.messages_received = 3
    snapshot = metrics.snapshot('ws://x/', 1, 2)
    metrics.errors['timeout'] += 1
    metrics.messages_received = 4
    assert snapshot.errors == {'timeout': 1}
    assert snapshot.messages_received == 3
    assert (snapshot.url, snapshot.senders, snapshot.receivers) == ('ws://x/', 1, 2)
