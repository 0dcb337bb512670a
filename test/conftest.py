"""What all tests have.

Coroutine functions run as tests, with asyncio's debug mode on; nothing leaves this machine; what
processes wrote is in the report of a failed test. This file's folder is in the import path, so
that tests find `fakes` and `processes`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from collections.abc import Coroutine, Generator
from typing import Any

import pytest

# A whole test that talks over sockets takes a second or two; this is for a busy machine.
ASYNC_DEADLINE_S = 60.0
GRACE_S = 2.0

os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        '--external-links',
        action='store_true',
        help='fetch the external links of the documents; this needs the internet',
    )


def pytest_configure(config: pytest.Config) -> None:
    # rclpy's message support imports lark, which imports the deprecated sre_parse.
    config.addinivalue_line('filterwarnings', "ignore:module 'sre_:DeprecationWarning")
    # With ROS, pytest loads plugins of launch. Importing it makes every later logger one that
    # caplog misses, and lets all of them log at INFO.
    logging.setLoggerClass(logging.Logger)
    logging.root.setLevel(logging.WARNING)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine function as a test; what goes wrong behind its back fails it too."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    test = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
    asyncio.run(_run(test), debug=True)
    return True


async def _run(test: Coroutine[Any, Any, None]) -> None:
    loop = asyncio.get_running_loop()
    reports: list[dict[str, Any]] = []
    # Called for a task whose exception nobody asked for, and for a callback that raised.
    loop.set_exception_handler(lambda _, context: reports.append(context))
    async with asyncio.timeout(ASYNC_DEADLINE_S):
        await test
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        # aiortc's tasks need a moment more to see that their connection is closed.
        _, left = await asyncio.wait(left, timeout=GRACE_S)
    assert not left, f'tasks that were left behind: {left}'
    assert not reports, f'errors that nobody caught: {reports}'


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the processes of a failed test have written, of all fixtures with an `output`."""
    report = yield
    if report.failed:
        for name, value in getattr(item, 'funcargs', {}).items():
            if isinstance(output := getattr(value, 'output', None), str):
                report.sections.append((f'output of {name}', output))
    return report
