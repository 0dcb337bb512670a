"""When key frames are made: one for many who ask at once, fewer for one who asks for ever."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_signaling.media.key_frames import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    SHARED_PERIOD_S,
    KeyFrames,
    Patience,
)

FRAME_S = 1 / 32  # of which multiples are exact


def made(asked_at_s, until_s=4.0, interval_s=0.0):
    """Return when key frames are made, if somebody asks at these times."""
    frames, result = KeyFrames(), []
    asked = sorted(asked_at_s)
    for i in range(int(until_s / FRAME_S)):
        now_s = i * FRAME_S
        while asked and asked[0] <= now_s:
            frames.ask(asked.pop(0))
        if frames.due(now_s, interval_s):
            frames.made(now_s)
            result.append(now_s)
    return result


def test_nobody_asks_and_none_is_made():
    assert made([]) == []


def test_who_asks_gets_the_next_picture():
    assert made([1.0]) == [1.0]
    assert made([1.01]) == [1.03125]


def test_those_that_ask_within_a_short_time_share_one():
    first, second = made([1.0, 1.05, 1.1, 1.2, 1.29])
    assert first == 1.0
    assert SHARED_PERIOD_S <= second - first < SHARED_PERIOD_S + FRAME_S


@given(st.lists(st.floats(0, 3.9), max_size=40))
def test_there_are_never_two_in_the_shared_time_and_nobody_waits_longer(asked):
    result = made(asked, until_s=5.0)
    assert all(b - a >= SHARED_PERIOD_S for a, b in itertools.pairwise(result))
    for at_s in asked:
        assert any(0 <= key_s - at_s < SHARED_PERIOD_S + 2 * FRAME_S for key_s in result)


def test_one_for_another_reason_answers_who_asked_before_it():
    frames = KeyFrames()
    frames.ask(0.0)
    frames.made(0.5)
    assert not frames.due(1.0)


def test_one_that_is_wanted_later_is_made_later():
    frames = KeyFrames()
    frames.ask(5.0)
    assert not frames.due(4.9)
    frames.ask(3.0)
    assert frames.due(3.0)


def test_an_interval_makes_them_by_itself():
    assert made([], until_s=3.5, interval_s=1.0) == [0.0, 1.0, 2.0, 3.0]
    assert made([0.5], until_s=3.0, interval_s=1.0) == [0.0, 0.5, 1.5, 2.5]


def test_a_viewer_that_asks_now_and_then_is_answered_at_once():
    patience = Patience()
    for now_s in (0.0, 1.0, 3.0, 9.0, 10.0):
        assert patience.next_s(now_s) == now_s


def test_a_viewer_that_asks_for_ever_is_answered_less_and_less_often():
    patience = Patience()
    answered = sorted({patience.next_s(i / 10) for i in range(600)})
    pauses = [b - a for a, b in itertools.pairwise(answered)]
    assert pauses[:4] == [FIRST_PAUSE_S, 2.0, 4.0, 8.0]
    assert pauses[4:] == pytest.approx([LONGEST_PAUSE_S] * len(pauses[4:]))


def test_a_viewer_that_has_kept_quiet_begins_anew():
    patience = Patience()
    for i in range(30):
        last_s = patience.next_s(i / 10)
    assert last_s == 3.0
    assert patience.next_s(20.0) == 20.0
    assert patience.next_s(20.1) == 20.0 + FIRST_PAUSE_S


def test_no_request_is_lost():
    patience = Patience()
    assert patience.next_s(0.0) == 0.0
    assert patience.next_s(0.5) == FIRST_PAUSE_S
    assert patience.next_s(0.6) == FIRST_PAUSE_S
