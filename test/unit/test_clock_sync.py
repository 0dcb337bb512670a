"""What a viewer is told about the time: questions, answers, and the stamps of pictures."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_signaling.media.clock_sync import (
    MAX_IGNORED,
    MAX_QUESTION_CHARS,
    MAX_RUNS,
    QUESTIONS_BURST,
    QUESTIONS_PER_S,
    SPAN_TICKS,
    Answer,
    Question,
    Questions,
    StampTable,
)
from rtc_signaling.media.timing import RtpClock

S = 1_000_000_000
PING = '{"type": "ping", "t0": 1234.5}'
STAMP_NS = 1_700_000_000 * S


def stamp_us_of(runs, rtp):
    """Return the stamp of a picture as a viewer finds it, or None."""
    for first, last, stamp_us in runs:
        if (rtp - first) % 2**32 <= (last - first) % 2**32:
            return stamp_us + (rtp - first) % 2**32 * 1000 / 90
    return None


def test_a_question_is_taken_with_its_time_as_it_is():
    assert Questions().take(PING, 0.0) == Question(1234.5)
    assert Questions().take(PING.encode(), 0.0) == Question(1234.5)
    assert Questions().take('{"type": "ping", "t0": 7, "more": [1]}', 0.0) == Question(7.0)


def test_a_question_may_be_about_one_of_several_videos():
    questions = Questions(streams=2)
    assert questions.take('{"type": "ping", "t0": 7, "mid": "1"}', 0.0) == Question(7.0, '1')
    assert json.loads(Answer(7.0, (), 0, mid='1').encode())['mid'] == '1'
    taken = [questions.take(PING, 0.0) for _ in range(2 * int(QUESTIONS_BURST))]
    assert taken.count(None) == 1


@pytest.mark.parametrize(
    'message',
    [
        '', 'x', '[]', 'null', '3', '{}', '{"type": "ping"}', b'\xff\xfe', '\ud800',
        '{"type": "pong", "t0": 1}', '{"type": "ping", "t0": "1"}', '{"type": "ping", "t0": null}',
        '{"type": "ping", "t0": true}', '{"type": "ping", "t0": 1e999}',
        '{"type": "ping", "t0": 1, "mid": 1}',
        '{"type": "ping", "t0": NaN}', '{"type": "ping", "t0": {}}', '[' * MAX_QUESTION_CHARS,
        PING + ' ' * MAX_QUESTION_CHARS,
    ],
)  # fmt: skip
def test_what_is_no_question_is_ignored_and_counted(message):
    questions = Questions()
    assert questions.take(message, 0.0) is None
    assert questions.ignored == 1
    assert questions.take(PING, 0.0) is not None
    assert questions.ignored == 1


def test_questions_beyond_the_rate_are_ignored_and_counted():
    questions = Questions()
    taken = [questions.take(PING, 0.0) for _ in range(int(QUESTIONS_BURST) + 5)]
    assert taken.count(None) == questions.ignored == 5
    assert not questions.excessive
    # A second later there is room again.
    later = [questions.take(PING, 1.0) for _ in range(int(QUESTIONS_PER_S) + 1)]
    assert later.count(None) == 1


def test_a_flood_is_told_from_a_slip():
    questions = Questions()
    for _ in range(MAX_IGNORED):
        questions.take('garbage', 0.0)
    assert not questions.excessive
    questions.take('garbage', 0.0)
    assert questions.excessive


@given(st.one_of(st.text(), st.binary(), st.floats().map(lambda t0: json.dumps({'t0': t0}))))
def test_nothing_that_comes_raises(message):
    questions = Questions()
    assert (questions.take(message, 0.0) is None) == (questions.ignored == 1)


def test_an_answer_has_what_a_viewer_reads():
    answer = Answer(1234.5, ((1, 2, 3),), 7, t1_us=10, t2_us=11)
    assert json.loads(answer.encode()) == {
        'type': 'pong', 't0': 1234.5, 't1_us': 10, 't2_us': 11, 'runs': [[1, 2, 3]],
        'pictures': 7,
    }  # fmt: skip
    assert json.loads(Answer(1.0, (), 7, simulated=True).encode()) == {
        'type': 'pong', 't0': 1.0, 'runs': [], 'simulated': True, 'pictures': 7,
    }  # fmt: skip


def test_pictures_of_a_steady_camera_are_one_run():
    table, clock = StampTable(), RtpClock()
    stamps = [STAMP_NS + i * S // 30 for i in range(90)]
    pts = [clock.pts(stamp, 0) for stamp in stamps]
    for pair in zip(pts, stamps, strict=True):
        table.note(*pair)
    assert table.pictures == 90
    runs = table.runs(1000)
    assert runs == ((1000, 1000 + pts[-1], STAMP_NS // 1000),)
    for picture, stamp_ns in zip(pts, stamps, strict=True):
        assert stamp_us_of(runs, 1000 + picture) == pytest.approx(stamp_ns / 1000, abs=12)


def test_nothing_is_told_before_there_are_pictures():
    assert StampTable().runs(0) == ()


def test_a_stamp_that_jumps_begins_a_run_and_changes_none_before():
    table, clock = StampTable(), RtpClock()
    stamps = [STAMP_NS, STAMP_NS + S // 10, STAMP_NS - 3600 * S, STAMP_NS - 3600 * S + S // 10]
    pts = [clock.pts(stamp, i * S // 10) for i, stamp in enumerate(stamps)]
    for pair in zip(pts, stamps, strict=True):
        table.note(*pair)
    runs = table.runs(0)
    assert len(runs) == 2
    for picture, stamp_ns in zip(pts, stamps, strict=True):
        assert stamp_us_of(runs, picture) == pytest.approx(stamp_ns / 1000, abs=12)


def test_stamps_that_stand_still_make_a_run_of_each_picture_and_only_so_many():
    table, clock = StampTable(), RtpClock()
    for i in range(MAX_RUNS + 10):
        pts = clock.pts(STAMP_NS, i * S // 30)
        table.note(pts, STAMP_NS)
    runs = table.runs(0)
    assert len(runs) == MAX_RUNS
    assert {stamp_us for _, _, stamp_us in runs} == {STAMP_NS // 1000}
    assert runs[-1][:2] == (pts, pts)
    # Between two pictures there is none, and so no stamp.
    assert stamp_us_of(runs, pts - 100) is None


def test_only_the_last_pictures_are_told_with_exact_stamps():
    table = StampTable()
    # A day, in which RTP time overflows: by then a viewer could not tell old from new.
    day_ticks = 24 * 3600 * 90_000
    for second in range(0, 24 * 3600 + 1, 60):
        table.note(second * 90_000, STAMP_NS + second * S)
    origin = 2**32 - 5
    [(first, last, stamp_us)] = table.runs(origin)
    assert last == (origin + day_ticks) % 2**32
    assert (last - first) % 2**32 == SPAN_TICKS
    assert stamp_us == STAMP_NS // 1000 + 24 * 3600 * 1_000_000 - SPAN_TICKS * 1000 // 90


def test_a_run_that_ended_long_ago_is_not_told():
    table = StampTable()
    table.note(0, STAMP_NS)
    table.note(SPAN_TICKS, 5)
    assert len(table.runs(0)) == 2
    table.note(SPAN_TICKS + 90, 5)
    assert [run[0] for run in table.runs(0)] == [SPAN_TICKS, SPAN_TICKS + 90]


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(st.integers(1, 20_000), st.integers(-(2**62), 2**62)), max_size=100),
)
def test_what_is_told_is_true_of_every_picture(origin, steps):
    table, pts, noted = StampTable(), 0, {}
    for step, stamp_ns in steps:
        pts += step
        table.note(pts, stamp_ns)
        noted[pts] = stamp_ns
    runs = table.runs(origin)
    assert len(runs) <= MAX_RUNS
    for picture, stamp_ns in noted.items():
        found = stamp_us_of(runs, (origin + picture) % 2**32)
        assert found is None or found == pytest.approx(stamp_ns / 1000, abs=14, rel=1e-12)
    if noted:
        assert stamp_us_of(runs, (origin + pts) % 2**32) is not None
