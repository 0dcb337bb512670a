"""Counting."""

from __future__ import annotations

from rtc_signaling.metrics import (
    SAMPLES,
    Population,
    Quantiles,
    ServerMetrics,
    Traffic,
)


def test_a_snapshot_does_not_change_any_more():
    metrics = ServerMetrics(0.0)
    metrics.errors['timeout'] += 1
    metrics.refused['host'] += 1
    metrics.received.add('offer', 10)
    population = Population(1, 2, 0, {}, 0, ())
    snapshot = metrics.snapshot('ws://x/', population, ())
    metrics.errors['timeout'] += 1
    metrics.refused['host'] += 1
    metrics.received.add('offer', 10)
    assert snapshot.errors == {'timeout': 1}
    assert snapshot.refused == {'host': 1}
    assert snapshot.received.messages == {'offer': 1}
    assert (snapshot.url, snapshot.senders, snapshot.receivers) == ('ws://x/', 1, 2)


def test_all_counts_begin_at_nothing():
    snapshot = ServerMetrics(0.0).snapshot('', Population(0, 0, 0, {}, 0, ()), ())
    assert (snapshot.connections, snapshot.too_slow) == (0, 0)
    assert (snapshot.errors, snapshot.refused) == ({}, {})
    assert snapshot.error_rate == 0.0
    assert snapshot.received == snapshot.sent == Traffic({}, 0, 0.0, 0.0)


def test_rates_are_over_the_time_since_the_last_look():
    metrics = ServerMetrics(100.0)
    nobody = Population(0, 0, 0, {}, 0, ())
    for _ in range(4):
        metrics.received.add('offer', 50)
    metrics.sent.add('answer', 30)
    metrics.errors['timeout'] += 2
    metrics.look(102.0)
    first = metrics.snapshot('', nobody, ())
    assert first.received == Traffic({'offer': 4}, 200, 2.0, 100.0)
    assert first.sent == Traffic({'answer': 1}, 30, 0.5, 15.0)
    assert first.error_rate == 1.0
    metrics.received.add('ping', 10)
    # Between two looks the counts are those of now, the rates are not.
    between = metrics.snapshot('', nobody, ())
    assert between.received == Traffic({'offer': 4, 'ping': 1}, 210, 2.0, 100.0)
    metrics.look(103.0)
    second = metrics.snapshot('', nobody, ())
    assert second.received == Traffic({'offer': 4, 'ping': 1}, 210, 1.0, 10.0)
    assert (second.sent.messages_per_s, second.error_rate) == (0.0, 0.0)
    # A second look in the same moment divides by nothing.
    metrics.received.add('ping', 10)
    metrics.look(103.0)
    assert metrics.snapshot('', nobody, ()).received.messages_per_s == 0.0


def test_a_snapshot_has_what_was_looked_at_and_what_was_counted():
    metrics = ServerMetrics(0.0)
    metrics.connections, metrics.too_slow = 5, 2
    for duration_s in (0.1, 0.2, 0.3):
        metrics.negotiated(duration_s)
        metrics.connected(duration_s * 10)
    population = Population(1, 2, 3, {'stable': 4}, 6, (0.25, 0.5))
    snapshot = metrics.snapshot('ws://x/', population, ('overloaded',))
    assert (snapshot.senders, snapshot.receivers, snapshot.away) == (1, 2, 3)
    assert (snapshot.connections, snapshot.too_slow, snapshot.waiting) == (5, 2, 6)
    assert (snapshot.sessions, snapshot.problems) == ({'stable': 4}, ('overloaded',))
    assert snapshot.ping_s == Quantiles(0.25, 0.5, 0.5, 2)
    assert snapshot.setup_s == Quantiles(0.2, 0.3, 0.3, 3)
    assert snapshot.connected_s.p50 == 2.0


def test_quantiles_are_of_the_nearest_rank():
    assert Quantiles.of([]) == Quantiles(0.0, 0.0, 0.0, 0)
    assert Quantiles.of([7.0]) == Quantiles(7.0, 7.0, 7.0, 1)
    assert Quantiles.of(range(100, 0, -1)) == Quantiles(50, 95, 99, 100)


def test_only_the_last_samples_count():
    metrics = ServerMetrics(0.0)
    for duration_s in (100.0, 1.0):
        for _ in range(SAMPLES):
            metrics.negotiated(duration_s)
            metrics.connected(duration_s)
    snapshot = metrics.snapshot('', Population(0, 0, 0, {}, 0, ()), ())
    assert snapshot.setup_s == Quantiles(1.0, 1.0, 1.0, SAMPLES)
    assert snapshot.connected_s == Quantiles(1.0, 1.0, 1.0, SAMPLES)
