"""What tests with launch need beside launch_testing."""

from __future__ import annotations

import asyncio
import gc
import logging
import warnings
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Give launch an event loop, which it would never close, and the level at which it logs."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    level = logging.root.level
    logging.root.setLevel(logging.INFO)
    # When launch starts a process again, it forgets the transport of the one before.
    warnings.filterwarnings('ignore', 'unclosed transport <_UnixSubprocess', ResourceWarning)
    try:
        return (yield)
    finally:
        gc.collect()  # while that filter is there
        logging.root.setLevel(level)
        asyncio.set_event_loop(None)
        loop.close()
