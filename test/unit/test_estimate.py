"""What one viewer's link carries, from its receiver reports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_signaling.media.estimate import (
    LEAST_BPS,
    PROVEN,
    ROUND_TRIPS,
    Estimate,
    Reading,
)


class Sending:
    """Send at a rate, with a report each second."""

    def __init__(self, bps=1_000_000):
        self.estimate = Estimate()
        self.bps = bps
        self.now_s = 0.0
        self.sent_bits = 0.0
        self.report()

    def report(self, loss=0.0, rtt_s=None, remb_bps=None, after_s=1.0):
        self.now_s += after_s
        self.sent_bits += self.bps * after_s
        reading = Reading(loss, rtt_s, remb_bps)
        return self.estimate.report(self.now_s, reading, self.sent_bits, self.bps * after_s)


def test_without_a_sign_of_a_full_link_nothing_is_known_of_it():
    sending = Sending()
    for _ in range(100):
        assert sending.report(0.0, 0.05, 1_500_000)
    assert sending.estimate.bps is None
    assert sending.estimate.rtt_s == 0.05


@pytest.mark.parametrize(
    ('readings', 'bps'),
    [
        # Bad, but not full: what is lost is sent again.
        ([Reading(0.09)], None),
        ([Reading(0.2)], 900_000),
        ([Reading(0.2), Reading(0.2)], 810_000),
        # Of what is sent, so much arrives.
        ([Reading(0.75)], 250_000),
        # What a receiver says counts where there is another sign, if a small one.
        ([Reading(0.0, None, 400_000)] * 9, None),
        ([Reading(0.0, 0.05, 400_000), Reading(0.0, 0.14, 400_000)] * 3, None),
        ([Reading(0.02, None, 750_000)], None),
        ([Reading(0.02, None, 749_000)], 749_000),
        ([Reading(0.0, 0.05)] + [Reading(0.0, 0.16, 700_000)] * 2, 700_000),
        ([Reading(0.05, None, 100_000)], 333_333),
        ([Reading(0.05, None, 500_000), Reading(0.05, None, 600_000)], 500_000),
        # The lowest counts.
        ([Reading(0.2, None, 340_000)], 340_000),
        ([Reading(0.5, None, 600_000)], 500_000),
        # One late report may be by chance, and what is always so long is the way.
        ([Reading(0.0, 0.05), Reading(0.0, 0.5)], None),
        ([Reading(0.0, 0.05), Reading(0.0, 0.5), Reading(0.0, 0.05)], None),
        ([Reading(0.0, 0.05), Reading(0.0, 0.5), Reading(0.0, 0.5)], 850_000),
        ([Reading(0.0, 0.05), Reading(0.0, 0.2), Reading(0.0, 0.2)], None),
        ([Reading(0.0, 0.05), Reading(0.0, 0.2), Reading(0.03, 0.2)], 850_000),
        ([Reading(0.0, 0.6), Reading(0.0, 0.6), Reading(0.0, 0.6)], None),
        ([Reading(0.0, 0.05), Reading(0.0, None), Reading(0.0, 0.5), Reading(0.0, 0.3)], None),
    ],
)
def test_what_shows_a_full_link(readings, bps):
    sending = Sending()
    for reading in readings:
        assert sending.report(*reading)
    assert sending.estimate.bps == (None if bps is None else pytest.approx(bps, abs=1))


def test_of_a_route_that_has_become_longer_it_learns_so():
    sending = Sending()
    sending.report(0.0, 0.05)
    for _ in range(ROUND_TRIPS + 1):
        sending.report(0.0, 0.6)
    low_bps = sending.estimate.bps
    for _ in range(5):
        sending.report(0.0, 0.6)
    assert sending.estimate.bps > low_bps


def test_it_grows_slowly_near_to_where_the_link_was_full_and_then_faster():
    sending = Sending()
    sending.report(0.5)
    assert sending.estimate.bps == 500_000
    grown = []
    while sending.estimate.bps < 990_000:
        before_bps = sending.estimate.bps
        sending.report()
        grown.append(sending.estimate.bps / before_bps)
    assert grown[0] == pytest.approx(1.03)
    assert grown[-1] == pytest.approx(1.15)
    assert len(grown) < 20
    for loss in (0.02, 0.05, 0.09):
        before_bps = sending.estimate.bps
        sending.report(loss)
        assert sending.estimate.bps == before_bps


def test_what_was_never_sent_proves_nothing():
    sending = Sending()
    sending.report(0.5)
    sending.bps = 400_000
    for _ in range(100):
        sending.report()
    assert sending.estimate.bps == pytest.approx(PROVEN * 400_000)
    sending.bps = 100_000
    sending.report()
    assert sending.estimate.bps == pytest.approx(PROVEN * 400_000)


def test_of_a_still_picture_nothing_is_learnt():
    sending = Sending(LEAST_BPS / 2)
    sending.report(1.0, None, 1)
    assert sending.estimate.bps is None


def test_reports_that_come_soon_after_another_are_one_with_the_next():
    sending = Sending()
    assert sending.report(0.0, after_s=1.0)
    # Each counts for what was sent in its time.
    assert not sending.report(0.8, after_s=0.25)
    assert sending.estimate.bps is None
    assert sending.report(0.0, after_s=0.75)
    assert sending.estimate.bps == pytest.approx(900_000)


def test_a_sender_that_stood_still_has_not_learnt_that_the_link_is_thin():
    sending = Sending()
    sending.report()
    sending.bps = 30_000
    sending.report(0.2)
    assert sending.estimate.bps > 400_000


def test_reports_soon_after_less_is_sent_tell_of_the_time_before():
    sending = Sending()
    sending.report(0.5)
    sending.estimate.settle(sending.now_s)
    for _ in range(2):
        sending.report(0.9, None, 30_000, after_s=0.7)
        # A little less than it carries, for its queue.
        assert sending.estimate.bps == 350_000
    sending.report(0.6)
    assert sending.estimate.bps == pytest.approx(400_000)


def test_a_try_takes_it_that_more_can_be_sent_and_the_next_report_says():
    sending = Sending()
    sending.estimate.assume(5_000_000)
    assert sending.estimate.bps is None
    sending.report(0.8)
    sending.estimate.assume(1_000_000)
    assert sending.estimate.bps == 1_000_000
    sending.estimate.assume(500_000)
    assert sending.estimate.bps == 1_000_000
    sending.report(0.8)
    assert sending.estimate.bps == pytest.approx(200_000)


def test_a_link_of_which_nothing_is_known_stays_so_when_less_is_sent():
    sending = Sending()
    sending.estimate.settle(sending.now_s)
    assert sending.estimate.bps is None
    assert sending.report()
    assert sending.estimate.bps is None


def test_what_was_known_can_be_forgotten():
    sending = Sending()
    sending.report(0.5)
    sending.estimate.forget()
    assert sending.estimate.bps is None


READINGS = st.builds(
    Reading,
    st.floats(0, 1),
    st.none() | st.floats(0, 60),
    st.none() | st.floats(0, 1e9),
)


@given(st.lists(st.tuples(READINGS, st.floats(0, 10), st.floats(0, 1e8))))
def test_whatever_a_viewer_reports_the_estimate_stays_within_what_was_sent(reports):
    estimate, now_s, sent_bits, most_bps = Estimate(), 0.0, 0.0, LEAST_BPS
    for reading, step_s, bps in reports:
        now_s += step_s
        sent_bits += bps * step_s
        before_bps = estimate.bps
        taken = estimate.report(now_s, reading, sent_bits, bps * step_s)
        # Reports that are no second apart may be taken together.
        most_bps = max(most_bps, PROVEN * bps)
        assert taken or estimate.bps == before_bps
        assert estimate.bps is None or LEAST_BPS <= estimate.bps <= most_bps * 1.001


@given(st.floats(5e5, 1e7), st.floats(0.1, 0.9))
def test_a_link_of_any_rate_is_found_within_five_reports_and_never_left_by_much(bps, share):
    carries_bps = bps * share
    sending = Sending(bps)
    for number in range(60):
        loss = max(0.0, 1 - carries_bps / sending.bps)
        sending.report(loss)
        known_bps = sending.estimate.bps
        if known_bps is not None:
            sending.bps = min(bps, max(known_bps * 0.9, 2 * LEAST_BPS))
        if number >= 5:
            assert sending.bps <= 1.35 * carries_bps
            assert sending.bps >= 0.6 * min(bps, carries_bps)
