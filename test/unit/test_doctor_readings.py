"""The counts of /metrics, as our own server writes them."""

from __future__ import annotations

import pytest

from rtc_signaling.doctor.readings import Readings, read
from rtc_signaling.exposition import prometheus_text
from rtc_signaling.metrics import Population, ServerMetrics


def page(errors, refused, too_slow):
    metrics = ServerMetrics(0.0)
    metrics.errors.update(errors)
    metrics.refused.update(refused)
    metrics.too_slow = too_slow
    nobody = Population(0, 0, 0, {}, 0, ())
    return prometheus_text(metrics.snapshot('ws://x/', nobody, ())).decode()


def test_it_reads_what_the_server_writes():
    text = page({'expired': 2, 'unauthorized': 1}, {'host': 3}, 4)
    assert read(text) == Readings({'expired': 2, 'unauthorized': 1}, {'host': 3}, 4)
    assert read(page({}, {}, 0)) == Readings()


@pytest.mark.parametrize('text', ['', 'up 1\n', 'other_too_slow_total 1\n'])
def test_what_is_not_of_this_server_is_refused(text):
    with pytest.raises(ValueError, match='it'):
        read(text)


def test_only_what_was_added_counts():
    earlier = Readings({'expired': 2}, {'host': 3}, 4)
    later = Readings({'expired': 2, 'timeout': 1}, {'host': 5}, 5)
    assert later.since(earlier) == Readings({'timeout': 1}, {'host': 2}, 1)


def test_ones_own_errors_are_left_out_and_never_count_below_nothing():
    added = Readings({'expired': 2, 'timeout': 1, 'unauthorized': 3}, {'host': 1}, 1)
    rest = added.without({'expired': 1, 'timeout': 5, 'unauthorized': 3, 'other': 1})
    assert rest == Readings({'expired': 1}, {'host': 1}, 1)
