"""Viewers on a real link that is thin or lossy, beside one that is well."""

from __future__ import annotations

import time
from statistics import median

import pytest
from fakes import until
from weak_link import WeakLink
from weak_link_stage import ages, between, longest_gap_s, p95, pictures, staged

# As fine as event loops are, and what a busy machine may add now and then.
FINE_S, BUSY_S = 0.005, 0.15
FRESH_S = 0.6


@pytest.fixture
def link():
    try:
        result = WeakLink()
    except OSError as error:
        pytest.skip(f'no network namespaces here: {error}')
    yield result
    result.close()


async def test_a_thin_link_gets_smaller_pictures_and_comes_back_and_nobody_else_notices(link):
    async with staged(link) as stage:
        await pictures(stage.near, 30)
        begun_s = time.monotonic()
        await pictures(stage.near, 90)
        limited_s = time.monotonic()
        link.limit(500)
        await until(lambda: stage.layer == 'half', 'the layer half', 15.0)
        await until(lambda: stage.far.now['width'] == 320, 'smaller pictures', 15.0)
        # What aiortc's receiver has kept back meanwhile comes with them, faster than it was taken.
        await until(lambda: stage.far.now['age'] < FRESH_S, 'fresh pictures', 15.0)
        fresh_s = time.monotonic()
        await pictures(stage.far, 90)
        lifted_s = time.monotonic()
        link.lift()
        before = between(stage.near.said, begun_s, limited_s)
        during = between(stage.near.said, limited_s, lifted_s)
        thin = between(stage.far.said, fresh_s, lifted_s)
        print(
            f'thin: p95 {p95(ages(thin)):.3f} s, {len(thin)} pictures in {lifted_s - fresh_s:.1f}'
            f' s; other: p95 {p95(ages(before)):.3f} s before, {p95(ages(during)):.3f} s during'
        )
        assert p95(ages(thin)) < 1.5
        assert longest_gap_s(thin) < 2.0
        assert median(ages(during)) < 1.1 * median(ages(before)) + FINE_S
        # What else the machine does shows here.
        assert p95(ages(during)) < 1.1 * p95(ages(before)) + BUSY_S
        assert longest_gap_s(during) < 1.0
        assert all(line['width'] == 640 for line in during)
        await until(lambda: stage.layer == 'full', 'the whole', 30.0)
        await until(lambda: stage.far.now['width'] == 640, 'whole pictures', 15.0)
        await until(lambda: stage.sender.now['encodes']['half']['viewers'] == 0, 'no smaller ones')


async def test_what_a_lossy_link_loses_is_sent_again_to_that_viewer_alone(link):
    async with staged(link, far_loss=0.05) as stage:
        await pictures(stage.near, 30)
        begun_s = time.monotonic()
        await pictures(stage.far, 150)
        far = between(stage.far.said, begun_s, time.monotonic())
        near = between(stage.near.said, begun_s, time.monotonic())
        print(f'lossy: {stage.far.now}, p95 {p95(ages(far)):.3f} s; other: {stage.near.now}')
        assert stage.far.now['lost'] > 20
        assert stage.far.now['again'] > 0.5 * stage.far.now['lost']
        # A busy machine may lose packets too.
        assert stage.near.now['again'] < 0.1 * stage.far.now['again']
        assert stage.layer == 'full'
        assert all(line['width'] == 640 for line in (*far, *near))
        assert longest_gap_s(far) < 2.0
        assert longest_gap_s(near) < 1.0
