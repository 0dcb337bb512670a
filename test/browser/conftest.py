"""The browser for the tests of this folder: the real Chromium, driven by Playwright."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from viewer import Viewer


@pytest.fixture(scope='module')
def browser() -> Iterator[Any]:
    """Run one Chromium for a module: an open Playwright forbids asyncio.run in other modules."""
    pytest.importorskip('playwright')
    viewer = importlib.import_module('viewer')
    if viewer.chromium_path() is None:
        pytest.skip('no Chromium or Chrome: install one, or set CHROMIUM=PATH')
    with viewer.running_chromium() as chromium:
        yield chromium


@pytest.fixture
def new_viewer(browser: Any) -> Iterator[Callable[..., Viewer]]:
    """Open the page in a window of its own for each call; the options are Playwright's."""
    viewer = importlib.import_module('viewer')  # it needs Playwright, of which `browser` made sure
    viewers: list[Viewer] = []

    def open_viewer(url: str, **options: Any) -> Viewer:
        viewers.append(viewer.Viewer(browser, url, **options))
        return viewers[-1]

    yield open_viewer
    for opened in viewers:
        opened.close()
