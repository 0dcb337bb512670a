"""The conformance kit: does a signaling server keep to docs/protocol.md?

    pytest test/conformance --url ws://HOST:PORT/ --token TOKEN --sender-token TOKEN

It knows the document and nothing of the implementation. Without --url it starts the server of this
repository (`own_server.py`) and tests that. A test of the rule [C2] is named test_c2_..., and its
report quotes the rule. Coroutine functions run as tests, each with its own event loop, and clients
that a test leaves behind are logged out.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Coroutine, Generator, Iterator
from pathlib import Path
from typing import Any

import document
import own_server
import pytest
from desk import Desk
from own_server import OwnServer
from target import Target

TEST_S = 100.0
DESKS = pytest.StashKey[list[Desk]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup('conformance')
    group.addoption('--url', default='', help='the server to test; default: our own')
    group.addoption('--token', default='', help='a token for receivers')
    group.addoption('--sender-token', default='', help='a token for senders')
    group.addoption('--other-token', default='', help="a token for receivers, another subject's")
    group.addoption('--restricted-token', default='', help='for receivers, but to no sender here')
    group.addoption('--narrow-token', default='', help='as --token, but to no sender here')
    group.addoption('--expiring-token', default='', help='for receivers, good for a minute more')


@pytest.fixture(scope='session')
def foreign(request: pytest.FixtureRequest) -> Target | None:
    """Return the server of the command line, or None if our own is to be tested."""

    def option(name: str) -> str:
        # The options are not known when pytest was started for all the tests there are.
        return str(request.config.getoption(name, ''))

    if not option('--url'):
        return None
    if not (option('--token') and option('--sender-token')):
        pytest.exit('--url needs --token and --sender-token', returncode=4)
    expiring = option('--expiring-token')
    return Target(
        option('--url'),
        option('--token'),
        option('--sender-token'),
        other_token=option('--other-token'),
        restricted_token=option('--restricted-token'),
        narrow_token=option('--narrow-token'),
        mint_expiring=(lambda: expiring) if expiring else None,
        is_foreign=True,
    )


@pytest.fixture(scope='session')
def token_target(
    foreign: Target | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    """Return a server that is used by all tests which want no other."""
    if foreign is not None:
        yield foreign
        return
    server, target = own_server.with_tokens(tmp_path_factory.mktemp('tokens'))
    yield target
    server.stop()


@pytest.fixture(scope='session')
def subject_target(
    foreign: Target | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    """Return a server with tokens of several subjects."""
    if foreign is not None:
        yield foreign
        return
    server, target = own_server.with_subjects(tmp_path_factory.mktemp('subjects'))
    yield target
    server.stop()


@pytest.fixture
def desk(request: pytest.FixtureRequest, token_target: Target) -> Desk:
    """Return where a test gets its clients."""
    return _desk(request, token_target)


@pytest.fixture
def subjects_desk(request: pytest.FixtureRequest, subject_target: Target) -> Desk:
    """Return where a test gets clients of several subjects."""
    return _desk(request, subject_target)


@pytest.fixture
def own_desk(
    request: pytest.FixtureRequest, foreign: Target | None, tmp_path: Path
) -> Iterator[Callable[..., tuple[Desk, OwnServer]]]:
    """Return a function that starts a server with other parameters, for one test.

    With `subjects=True` it is one with tokens of several subjects.
    """
    if foreign is not None:
        pytest.skip('needs a server that it may configure: not with --url')
    servers = []

    def start(subjects: bool = False, **parameters: object) -> tuple[Desk, OwnServer]:
        make = own_server.with_subjects if subjects else own_server.with_tokens
        server, target = make(tmp_path, **parameters)
        servers.append(server)
        return _desk(request, target), server

    yield start
    for server in servers:
        server.stop()


def _desk(request: pytest.FixtureRequest, target: Target) -> Desk:
    match = re.match(r'test_([a-z]\d+)_', request.node.name)
    rule = match[1].upper() if match else ''
    desk = Desk(target, f'[{rule}] {document.rules()[rule]}' if rule else 'the document')
    request.node.stash.setdefault(DESKS, []).append(desk)
    return desk


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine function as a test."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    desks = pyfuncitem.stash.setdefault(DESKS, [])
    asyncio.run(_run(pyfuncitem.obj(**arguments), desks), debug=True)
    return True


async def _run(test: Coroutine[Any, Any, None], desks: list[Desk]) -> None:
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
    async with asyncio.timeout(TEST_S):
        try:
            await test
        finally:
            for desk in desks:
                await desk.clear()
    assert not reports, f'errors that nobody caught: {reports}'


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say in a failed test's report which rule was broken."""
    report = yield
    match = re.match(r'test_([a-z]\d+)_', item.name)
    # A failure of the desk says so itself.
    if report.failed and match and 'RuleBrokenError' not in report.longreprtext:
        rule = match[1].upper()
        report.sections.append(('rule', f'[{rule}] {document.rules().get(rule, "")}'))
    return report
