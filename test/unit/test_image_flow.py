"""The judgement whether images arrive, from counts and stamps."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_signaling.image_flow import (
    MAX_EVENTS,
    WINDOW_S,
    FlowMeter,
    Level,
    Publisher,
    judge,
    spacing,
)

PERIOD_NS = 33_333_333
RELIABLE = Publisher('/driver', reliable=True)
BEST_EFFORT = Publisher('/driver', reliable=False)
TOPIC = '/camera/image_raw'


def flow_at(meter, now_s, *publishers, reliable=False, clock_ns=0):
    return meter.flow(now_s, clock_ns, TOPIC, reliable, publishers)


def meter_of(arrived, seconds=10, first=0):
    """Return a meter of a 30 Hz camera, of whose images those arrive that `arrived` names."""
    meter = FlowMeter()
    for index in range(seconds * 30):
        if arrived(index):
            meter.image(index / 30, (index + 1) * PERIOD_NS)
    return meter


def test_all_is_well_with_a_camera_whose_images_arrive():
    flow = flow_at(meter_of(lambda i: True), 10.0, RELIABLE, clock_ns=301 * PERIOD_NS)
    assert flow.received_hz == pytest.approx(30, abs=0.5)
    assert flow.published_hz == flow.received_hz
    assert (flow.received, flow.lost) == (300, 0)
    assert flow.silence_s == pytest.approx(1 / 30)
    assert flow.age_s == pytest.approx(1 / 30)
    assert judge(flow, 2.0) == (Level.OK, '')


@pytest.mark.parametrize('kept', [2, 3, 5])
def test_a_loss_is_seen_by_the_stamps_alone(kept):
    flow = flow_at(meter_of(lambda i: i % kept == 0 or i % 30 < 5), 10.0)
    assert flow.published_hz == pytest.approx(30, abs=1)
    level, words = judge(flow, 2.0)
    assert level is Level.WARN
    assert re.match('about (29|30|31) Hz are published, ', words)
    assert 'too busy, or the publisher loses large images' in words


def test_a_reliable_publisher_that_loses_images_has_too_small_a_transport():
    flow = flow_at(meter_of(lambda i: i % 4), 10.0, RELIABLE, reliable=True)
    level, words = judge(flow, 2.0)
    assert level is Level.WARN
    assert 'about 30 Hz are published, 22 Hz arrive' in words
    assert "the publisher's DDS transport loses large images; start it with FASTDDS" in words


def test_what_the_middleware_reports_as_lost_counts_also_when_nothing_comes():
    meter = FlowMeter()
    for index in range(150):
        meter.images_lost(index / 30, 1)
    flow = flow_at(meter, 5.0, BEST_EFFORT)
    assert (flow.received, flow.lost, flow.received_hz) == (0, 150, 0.0)
    assert flow.published_hz == pytest.approx(30, abs=0.5)
    level, words = judge(flow, 2.0)
    assert level is Level.STALE
    assert 'about 30 Hz are published, 0 Hz arrive: the publisher' in words
    assert 'docs/images-over-dds.md' in words


def test_a_rate_is_told_only_of_a_while():
    meter = FlowMeter()
    meter.image(5.0, PERIOD_NS)
    meter.images_lost(5.1, 30)
    flow = flow_at(meter, 5.9)
    assert (flow.received_hz, flow.published_hz, flow.reported_lost_hz) == (0.0, 0.0, 0.0)
    assert judge(flow, 2.0)[0] is Level.OK


def test_few_images_are_no_ground_for_an_alarm():
    meter = FlowMeter()
    meter.image(0.0, PERIOD_NS)
    meter.images_lost(1.0, 2)
    assert judge(flow_at(meter, 2.0), 5.0) == (Level.OK, '')


def test_a_camera_that_has_gone_and_one_that_nobody_hears():
    flow = flow_at(meter_of(lambda i: True), 12.5)
    assert judge(flow, 2.0) == (
        Level.STALE, f'no images from the camera: nobody publishes {TOPIC}',
    )  # fmt: skip
    assert judge(flow_at(FlowMeter(), 1.0, RELIABLE), 60.0) == (
        Level.STALE,
        f'no images from the camera: /driver publishes {TOPIC}, but nothing arrives',
    )


def test_a_camera_that_comes_back_starts_with_a_new_rate():
    meter = meter_of(lambda i: True)
    for index in range(61):
        meter.image(100 + index / 30, 100 * 10**9 + index * PERIOD_NS)
    flow = flow_at(meter, 102.01)
    assert flow.received_hz == pytest.approx(30, abs=0.5)
    assert judge(flow, 2.0) == (Level.OK, '')


def test_a_publisher_that_offers_less_is_named():
    flow = flow_at(FlowMeter(), 1.0, BEST_EFFORT, reliable=True)
    assert flow.unheard == (BEST_EFFORT,)
    level, words = judge(flow, 2.0)
    assert level is Level.ERROR
    assert words == (
        f'the publisher /driver of {TOPIC} offers best effort, image_qos is reliable: '
        'set image_qos to auto or best_effort'
    )
    # Another one is heard.
    heard = flow_at(meter_of(lambda i: True), 10.0, RELIABLE, BEST_EFFORT, reliable=True)
    assert judge(heard, 2.0)[0] is Level.WARN
    assert flow_at(FlowMeter(), 1.0, BEST_EFFORT, RELIABLE).unheard == ()


def test_mismatches_are_counted_with_the_policy():
    meter = FlowMeter()
    assert flow_at(meter, 0.0).incompatible_policy == ''
    meter.mismatch(2, 'RELIABILITY')
    flow = flow_at(meter, 0.0)
    assert (flow.incompatible, flow.incompatible_policy) == (2, 'RELIABILITY')
    meter.mismatch(3, 'DURABILITY')
    flow = flow_at(meter, 0.0)
    assert (flow.incompatible, flow.incompatible_policy) == (5, 'DURABILITY')


def test_stamps_of_zero_have_no_age():
    meter = FlowMeter()
    assert flow_at(meter, 0.0).age_s is None
    assert flow_at(meter, 0.0).silence_s == math.inf
    meter.image(0.0, 0)
    assert flow_at(meter, 1.0, clock_ns=5).age_s is None
    meter.image(0.0, 2_000_000_000)
    assert flow_at(meter, 1.0, clock_ns=1_000_000_000).age_s == -1.0


def test_a_very_fast_camera_needs_no_more_memory_and_has_its_rate():
    meter = FlowMeter()
    for index in range(20_000):
        meter.image(index / 2000, index + 1)
    assert len(meter._events) == MAX_EVENTS
    assert flow_at(meter, 10.0).received_hz == pytest.approx(2000, rel=0.01)


@pytest.mark.parametrize(
    'steps',
    [
        [],
        [PERIOD_NS] * 3,
        [0] * 100,
        [-PERIOD_NS] * 100,
        [6_000_000_000] * 100,
        # No period: nothing can be said.
        [20, 23, 26, 29, 32, 35, 38, 41, 44],
    ],
)
def test_of_some_stamps_nothing_is_read(steps):
    assert spacing(steps) == 1.0


def test_a_jump_among_the_stamps_changes_nothing():
    assert spacing([PERIOD_NS] * 20 + [-(10**12), 10**12, 0]) == 1.0


multiples = st.lists(st.integers(1, 4), min_size=10, max_size=150)


@given(multiples, st.integers(4_000_000, 500_000_000))
def test_it_is_never_more_than_what_was_published(steps, period_ns):
    true = sum(steps) / len(steps)
    assert 1.0 <= spacing([step * period_ns for step in steps]) <= true + 1e-9


@given(multiples.filter(lambda steps: steps.count(1) > len(steps) / 10), st.data())
def test_with_enough_neighbours_it_is_exact_in_spite_of_jitter(steps, data):
    jitter = st.integers(-500_000, 500_000)
    given_ns = [step * PERIOD_NS + data.draw(jitter) for step in steps]
    assert spacing(given_ns) == pytest.approx(sum(steps) / len(steps))


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 2**62), st.integers(0, 50))))
def test_whatever_comes_the_figures_are_sane(events):
    meter = FlowMeter()
    now_s = 0.0
    for step_s, stamp_ns, lost in events:
        now_s += step_s
        meter.image(now_s, stamp_ns)
        if lost:
            meter.images_lost(now_s, lost)
    flow = flow_at(meter, now_s + WINDOW_S / 2, BEST_EFFORT, clock_ns=2**62)
    assert flow.received == len(events)
    assert 0 <= flow.received_hz <= flow.published_hz < math.inf
    assert flow.age_s is None or flow.age_s >= 0
    assert judge(flow, 2.0)[0] in Level


def test_a_publisher_that_runs_wild_is_named_whether_or_not_all_of_it_arrives():
    for kept in (1, 3):
        meter = FlowMeter()
        for i in range(0, 3000, kept):
            meter.image(i / 1000, 1 + i * 1_000_000)
            meter.images_lost(i / 1000, kept - 1)
        flow = flow_at(meter, 3.0, RELIABLE)
        level, words = judge(flow, 2.0)
        assert level is Level.WARN
        assert words.startswith('about 1000 images a second on ')
        assert words.endswith('which no camera gives: slow the publisher down, or set max_fps')
        assert judge(flow_at(meter, 6.0, RELIABLE), 2.0)[0] is Level.STALE
