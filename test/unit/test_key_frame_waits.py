"""How long viewers wait for a camera's key frames."""

from rtc_signaling.media.key_frame_waits import LONG_S, REPEAT_S, KeyFrameWaits


def test_the_longest_wait_is_told():
    waits = KeyFrameWaits()
    assert waits.longest_s(5.0) == 0.0
    waits.begin('a', 10.0)
    waits.begin('b', 12.0)
    assert waits.longest_s(14.0) == 4.0
    assert waits.end(['a', 'b'], 14.0) == 4.0
    assert waits.longest_s(20.0) == 0.0


def test_a_short_one_is_not_worth_telling():
    waits = KeyFrameWaits()
    waits.begin('a', 10.0)
    assert waits.end(['a', 'who never waited'], 10.0 + LONG_S) == 0.0


def test_who_begins_to_wait_again_has_waited_all_the_time():
    waits = KeyFrameWaits()
    waits.begin('a', 10.0)
    waits.begin('a', 11.0)
    assert waits.longest_s(13.0) == 3.0


def test_who_is_gone_waits_no_more():
    waits = KeyFrameWaits()
    waits.begin('a', 10.0)
    waits.forget('a')
    waits.forget('nobody')
    assert waits.longest_s(20.0) == 0.0
    assert waits.end(['a'], 20.0) == 0.0


def test_it_is_told_once_in_a_while_only():
    waits, told = KeyFrameWaits(), []
    for start_s in range(0, 30, 4):
        waits.begin('a', start_s)
        told.append(waits.end(['a'], start_s + 3.0))
    assert told == [3.0, 0, 0, 3.0, 0, 0, 3.0, 0]
    assert REPEAT_S == 10.0
