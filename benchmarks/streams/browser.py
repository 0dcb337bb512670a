"""A viewer's page in the real Chromium, launched as the browser tests launch it."""

from __future__ import annotations

import contextlib
import importlib
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent.parent / 'test' / 'browser'
LIVE_S = 20.0
# All that the page offers.
CODECS = ('video/H264',)


class Window:
    """One page that is live."""

    def __init__(self, page: Any) -> None:
        self._page = page

    def frames(self) -> list[dict[str, Any]]:
        """Return what was presented since the last call; times in ms of the wall clock."""
        frames: list[dict[str, Any]] = self._page.evaluate('window.benchmark.take()')
        return frames

    def watch(self, duration_s: float) -> list[dict[str, Any]]:
        """Return what is presented from now on for so long."""
        self.frames()
        self._page.wait_for_timeout(duration_s * 1000)
        return self.frames()

    def clock_offset_ms(self) -> float:
        """Return by how much the page's clock is ahead of time.time(), in ms."""
        offsets = []
        for _ in range(20):
            before_s = time.time()
            now_ms = self._page.evaluate('window.benchmark.now()')
            after_s = time.time()
            offsets.append((after_s - before_s, now_ms - (before_s + after_s) * 500))
        return statistics.median(offset for _, offset in sorted(offsets)[:5])


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Run Chromium while the context lasts.

    Raises:
        RuntimeError: There is none, or no Playwright.
    """
    sys.path.append(str(TESTS))
    try:
        # Only here: without a browser all else is measured nevertheless.
        playwright, viewer = map(importlib.import_module, ('playwright.sync_api', 'viewer'))
    except ModuleNotFoundError as error:
        raise RuntimeError(f'no Chromium: {error}') from error
    if viewer.chromium_path() is None:
        raise RuntimeError('no Chromium or Chrome: install one, or set CHROMIUM=PATH')
    try:
        with viewer.running_chromium() as browser:
            yield browser
    except playwright.Error as error:
        raise RuntimeError(f'Chromium: {error.message}') from error


@contextlib.contextmanager
def watching(
    browser: Any, port: int, codecs: tuple[str, ...] = ('video/H264',)
) -> Iterator[Window]:
    """Open the page in a window of its own and wait until it is live."""
    script = (HERE / 'page.js').read_text().replace('__CODECS__', json.dumps(CODECS))
    context = browser.new_context()
    try:
        page = context.new_page()
        page.add_init_script(script)
        page.goto(f'http://127.0.0.1:{port}/')
        page.wait_for_selector('html[data-state=live]', timeout=LIVE_S * 1000)
        yield Window(page)
    finally:
        context.close()
