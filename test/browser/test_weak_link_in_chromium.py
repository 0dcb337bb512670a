"""Chromium on a real link that becomes thin: smaller pictures soon, whole ones again by itself."""

from __future__ import annotations

import importlib
import time

import pytest
from fakes import until
from weak_link import WeakLink
from weak_link_stage import ages, between, longest_gap_s, p95, pictures, staged


@pytest.fixture
def link():
    pytest.importorskip('playwright')
    if importlib.import_module('viewer').chromium_path() is None:
        pytest.skip('no Chromium or Chrome: install one, or set CHROMIUM=PATH')
    try:
        result = WeakLink()
    except OSError as error:
        pytest.skip(f'no network namespaces here: {error}')
    yield result
    result.close()


async def test_chromium_on_a_thin_link_keeps_getting_pictures_and_comes_back(link):
    async with staged(link, far_program='browse') as stage:
        await pictures(stage.far, 30)
        link.limit(500)
        limited_s = time.monotonic()
        await until(lambda: stage.far.now['width'] == 320, 'smaller pictures', 15.0)
        small_s = time.monotonic()
        await pictures(stage.far, 60)
        lifted_s = time.monotonic()
        link.lift()
        thin = between(stage.far.said, small_s, lifted_s)
        print(
            f'thin: smaller after {small_s - limited_s:.1f} s, p95 {p95(ages(thin)):.3f} s,'
            f' {len(thin)} pictures in {lifted_s - small_s:.1f} s'
        )
        assert p95(ages(thin)) < 2.0
        assert longest_gap_s(thin) < 2.0
        await until(lambda: stage.far.now['width'] == 640, 'whole pictures', 60.0)
        assert all(line['width'] == 640 for line in stage.near.said)
