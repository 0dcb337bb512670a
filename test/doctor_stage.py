"""Servers, cameras and relays for the doctor to look at, and the doctor itself: as a part, and as
a program of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys

from fakes import TOKENS, scene_image, until

from rtc_signaling.auth import OpenAuthenticator, TokenAuthenticator
from rtc_signaling.doctor.examination import Examination, Options
from rtc_signaling.doctor.findings import CHECKS, ROS_CHECKS, Verdict
from rtc_signaling.doctor.target import parse
from rtc_signaling.doctor.wire_verdicts import TokenSource
from rtc_signaling.media.probe import Patience
from rtc_signaling.media.sender import CameraSender
from rtc_signaling.media.track import Camera
from rtc_signaling.sender_config import SenderConfig
from rtc_signaling.server import SignalingServer
from rtc_signaling.server_config import ServerConfig

LOOPBACK = '127.0.0.1'
NO_ROS = 'no rclpy'
BRIEF = Patience(welcome_s=5.0, answer_s=2.0, connection_s=20.0, picture_s=1.0)


@contextlib.asynccontextmanager
async def serving(tokens=TOKENS, ice=None, **settings):
    config = ServerConfig(host=LOOPBACK, port=0, **settings)
    authenticator = OpenAuthenticator() if tokens is None else TokenAuthenticator(tokens)
    async with SignalingServer(config, authenticator, ice).run() as server:
        yield server


@contextlib.asynccontextmanager
async def sending(port, *, film=True, client_id='camera', **settings):
    """Run a camera sender, with a driver or without."""
    config = SenderConfig(
        server_url=f'ws://{LOOPBACK}:{port}', client_id=client_id, ice_addresses=(LOOPBACK,),
        **settings,
    )  # fmt: skip
    camera, snapshots = Camera(), []

    async def drive():
        index = 0
        while True:
            camera.put(scene_image(index), index * 33_333_333)
            index += 1
            await asyncio.sleep(1 / 30)

    async with CameraSender(config, camera, lambda: TOKENS.sender, snapshots.append).run():
        driver = asyncio.create_task(drive() if film else asyncio.sleep(0))
        try:
            await until(lambda: snapshots and snapshots[-1].linked, 'linked')
            yield snapshots
        finally:
            driver.cancel()
            await asyncio.gather(driver, return_exceptions=True)


async def examine(
    port, *, token=TOKENS.receiver, url=None, patience=BRIEF, errors_s=0.0, **options
):
    """Return the diagnosis, and its findings by check."""
    source = TokenSource('tokens.json' if token else '', 'tokens.json')
    chosen = Options(ice_addresses=(LOOPBACK,), patience=patience, errors_s=errors_s, **options)
    target = parse(url or f'ws://{LOOPBACK}:{port}')
    diagnosis = await Examination(target, token, source, chosen, NO_ROS).run()
    found = {finding.check: finding for finding in diagnosis.findings}
    assert tuple(found) == CHECKS
    for check in ROS_CHECKS:
        assert (found[check].verdict, found[check].seen) == (Verdict.SKIP, NO_ROS)
    assert TOKENS.receiver not in diagnosis.as_text() + diagnosis.as_json()
    return diagnosis, found


def of(found, verdict):
    return {check for check, finding in found.items() if finding.verdict is verdict}


async def run_doctor(*arguments, site=None, **environment):
    """Run the program; return its exit code and what it wrote.

    Args:
        arguments: Of its command line.
        site: A folder with a `sitecustomize.py`, to change what the program finds around it.
        environment: Variables that are added to this process's.
    """
    given = {name: value for name, value in os.environ.items() if name != 'RTC_SIGNALING_TOKEN'}
    if site is not None:
        given['PYTHONPATH'] = f'{site}{os.pathsep}{given.get("PYTHONPATH", "")}'
    process = await asyncio.create_subprocess_exec(
        sys.executable, '-m', 'rtc_signaling.doctor', *arguments, env=given | environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, out.decode(), err.decode()


async def told_by_doctor(*arguments, **options):
    """Run the program with --json; return its exit code and the checks that it tells of."""
    code, out, err = await run_doctor('--json', *arguments, **options)
    assert err == ''
    content = json.loads(out)
    assert set(content) == {'url', 'verdict', 'checks'}
    assert code == int(content['verdict'] == 'fail')
    told = {check['check']: check for check in content['checks']}
    assert tuple(told) == CHECKS
    for check in told.values():
        assert set(check) == {'check', 'verdict', 'tried', 'seen', 'remedy'}
        assert check['verdict'] in [*Verdict]
        assert bool(check['remedy']) == (check['verdict'] in ('warn', 'fail'))
    return code, told


def closed_port():
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


@contextlib.asynccontextmanager
async def other_server(handle):
    """Run something else than a signaling server; yields its port."""

    async def handle_and_close(reader, writer):
        with contextlib.suppress(ConnectionError, EOFError):
            await handle(reader, writer)
        writer.close()

    async with await asyncio.start_server(handle_and_close, LOOPBACK, 0) as other:
        yield other.sockets[0].getsockname()[1]


async def be_silent(reader, _writer):
    while await reader.read(4096):
        pass


async def greet(reader, writer):
    """Speak first, as a mail server does."""
    writer.write(b'220 mail.example.org ESMTP\r\n')
    await writer.drain()
    await reader.read(4096)


def answering(status, *headers):
    """Return what serves pages by plain HTTP, and no WebSocket."""

    async def answer(reader, writer):
        await reader.readuntil(b'\r\n\r\n')
        lines = [f'HTTP/1.1 {status}', *headers, 'Content-Length: 11', 'Connection: close']
        writer.write('\r\n'.join([*lines, '', '<h1>Hi</h1>']).encode())
        await writer.drain()

    return answer
