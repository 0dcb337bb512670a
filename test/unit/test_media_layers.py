"""Who gets which encode, and how many bits each has."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_signaling.media.layers import (
    FEWER,
    FIRST_HOLD_S,
    FULL,
    HALF,
    LADDERS,
    LONGEST_HOLD_S,
    ONLY,
    STILLS,
    TRIED_S,
    Climber,
    enough_bps,
    wanted_bps,
)

WHOLE = 2_000_000


def test_the_ladders_go_down_without_a_gap_between_two_rungs():
    assert LADDERS['layers'] == (FULL, HALF, FEWER)
    assert LADDERS['shared'] == (ONLY, STILLS)
    for better, worse in ((FULL, HALF), (HALF, FEWER)):
        # Who has too little for the least of one is served well by the next.
        assert worse.least < better.least <= 1.2 * worse.most


@pytest.mark.parametrize(
    ('layer', 'now_bps', 'estimates', 'bps'),
    [
        (FULL, None, [], 2_000_000),
        (FULL, None, [None], 2_000_000),
        (FULL, None, [1_500_000.0], 1_350_000),
        # Who cannot take it changes nothing for who can.
        (FULL, 2_000_000, [100_000.0, None], 2_000_000),
        (FULL, 2_000_000, [100_000.0, 1_500_000.0], 1_350_000),
        (FULL, 2_000_000, [100_000.0], 800_000),
        (HALF, None, [None], 700_000),
        (HALF, None, [500_000.0], 450_000),
        (HALF, None, [100_000.0], 240_000),
        (ONLY, 2_000_000, [100_000.0], 90_000),
        # Small steps are not made ...
        (FULL, 1_350_000, [1_400_000.0], 1_350_000),
        (FULL, 1_350_000, [1_700_000.0], 1_350_000),
        (FULL, 1_350_000, [1_900_000.0], 1_710_000),
        # ... but to the ends.
        (FULL, 1_900_000, [None], 2_000_000),
        (FULL, 850_000, [100_000.0], 800_000),
        # The operator's bitrate was changed.
        (FULL, 4_000_000, [None], 2_000_000),
        (FULL, 400_000, [None], 2_000_000),
    ],
)
def test_an_encode_follows_the_best_served_of_its_viewers(layer, now_bps, estimates, bps):
    assert wanted_bps(layer, WHOLE, now_bps, estimates) == pytest.approx(bps, abs=1)


@given(
    st.sampled_from([FULL, HALF, FEWER, ONLY]),
    st.integers(50_000, 100_000_000),
    st.none() | st.integers(1, 200_000_000),
    st.lists(st.none() | st.floats(1, 1e9)),
)
def test_an_encode_stays_within_its_layer_and_what_one_more_bad_viewer_has_is_no_matter(
    layer, whole_bps, now_bps, estimates
):
    bps = wanted_bps(layer, whole_bps, now_bps, estimates)
    assert int(layer.least * whole_bps) <= bps <= layer.most * whole_bps
    if estimates:
        assert wanted_bps(layer, whole_bps, now_bps, [*estimates, 1.0]) == bps
    assert wanted_bps(layer, whole_bps, bps, estimates) == bps


def test_what_is_enough_for_a_try_depends_on_what_the_encode_makes_of_its_bits():
    assert enough_bps(HALF, WHOLE, 450_000, 440_000) == pytest.approx(1.2 * 700_000)
    assert enough_bps(HALF, WHOLE, 450_000, 100_000) == pytest.approx(120_000)
    assert enough_bps(STILLS, WHOLE, None, 100_000) == pytest.approx(120_000)


class Watching:
    """Be a viewer of whom a report comes each second."""

    RUNGS = (1000.0, 300.0, 100.0)

    def __init__(self):
        self.climber = Climber()
        self.now_s = 0.0
        self.moves = []

    def report(self, bps):
        self.now_s += 1.0
        taken_bps = self.RUNGS[self.climber.rung]
        move = self.climber.look(self.now_s, bps, taken_bps, 1.2 * taken_bps, len(self.RUNGS))
        if move:
            self.moves.append((self.now_s, move))
        return move

    def until_move(self, bps, within=200):
        begun_s = self.now_s
        for _ in range(within):
            if self.report(bps):
                return self.now_s - begun_s
        return None


def test_one_bad_report_moves_nobody_and_two_in_a_row_do():
    viewer = Watching()
    for bps in (None, 500.0, None, 500.0, 900.0, 500.0):
        assert viewer.report(bps) == 0
    assert viewer.report(500.0) == 1
    assert viewer.climber.rung == 1


def test_it_goes_down_by_single_steps_and_not_below_the_last():
    viewer = Watching()
    assert [viewer.report(10.0) for _ in range(8)] == [0, 1, 0, 1, 0, 0, 0, 0]
    assert viewer.climber.rung == 2


def test_it_comes_back_when_it_has_kept_up_for_a_while():
    viewer = Watching()
    viewer.until_move(200.0)
    viewer.until_move(200.0)
    assert viewer.climber.rung == 2
    assert viewer.until_move(500.0) == FIRST_HOLD_S + 1
    assert viewer.until_move(500.0) == FIRST_HOLD_S + 1
    assert viewer.climber.rung == 0
    assert viewer.until_move(None) is None


def test_what_keeps_up_by_a_little_only_stays_where_it_is():
    viewer = Watching()
    viewer.until_move(500.0)
    assert viewer.until_move(350.0) is None


def test_a_weak_moment_begins_the_wait_anew():
    viewer = Watching()
    viewer.until_move(500.0)
    for _ in range(10):
        assert viewer.until_move(500.0, within=4) is None
        assert viewer.report(200.0) == 0
        assert viewer.report(330.0) == 0


def test_each_try_that_fails_doubles_the_wait_and_a_good_one_ends_that():
    viewer = Watching()
    viewer.until_move(500.0)
    waits = []
    for _ in range(6):
        waits.append(viewer.until_move(500.0) - 1)
        assert viewer.until_move(500.0) == 2
    assert waits == [5.0, 10.0, 20.0, 40.0, 60.0, LONGEST_HOLD_S]
    viewer.until_move(1000.0)
    assert viewer.until_move(1000.0, within=int(TRIED_S) + 2) is None
    viewer.until_move(500.0)
    assert viewer.until_move(500.0) == FIRST_HOLD_S + 1


@given(st.lists(st.none() | st.floats(0, 2000)))
def test_whatever_comes_it_stays_on_the_ladder_and_does_not_flap(reports):
    viewer = Watching()
    for bps in reports:
        viewer.report(bps)
        assert 0 <= viewer.climber.rung < 3
    ups = [at_s for at_s, move in viewer.moves if move < 0]
    assert all(after - before >= FIRST_HOLD_S for before, after in pairwise(ups))
