"""The doctor against TURN servers: real ones (coturn), and one that is not there."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket

import pytest
from doctor_stage import LOOPBACK, closed_port, examine, serving
from fakes import until

from rtc_signaling.doctor.findings import Verdict
from rtc_signaling.ice import IceManager, TurnRest


@contextlib.asynccontextmanager
async def turn_server(tmp_path, secret):
    """Run coturn; yields its port."""
    program = shutil.which('turnserver')
    if program is None:
        pytest.skip('turnserver is not installed: apt install coturn')
    port = closed_port()
    process = await asyncio.create_subprocess_exec(
        program, '-n', '--listening-ip', LOOPBACK, '--relay-ip', LOOPBACK,
        '--listening-port', str(port), '--no-tls', '--no-dtls', '--no-cli', '--log-file', 'stdout',
        '--use-auth-secret', '--static-auth-secret', secret, '--realm', 'test',
        '--pidfile', str(tmp_path / 'pid'), '--userdb', str(tmp_path / 'db'),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip

    def listens():
        assert process.returncode is None, 'turnserver has ended'
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, port)) == 0

    try:
        await until(listens, 'turnserver listens')
        yield port
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize('transport', ['udp', 'tcp'])
async def test_a_turn_server_gives_a_relay(tmp_path, transport):
    async with turn_server(tmp_path, 'the-secret') as port:
        urls = (f'turn:{LOOPBACK}:{port}?transport={transport}',)
        async with serving(ice=IceManager(urls, TurnRest('the-secret'))) as server:
            _, found = await examine(server.port)
    assert found['turn'].verdict is Verdict.OK, found['turn']
    assert found['turn'].seen.startswith('relays at 127.0.0.1:')


async def test_a_turn_server_has_another_secret(tmp_path):
    async with turn_server(tmp_path, 'the-secret') as port:
        urls = (f'turn:{LOOPBACK}:{port}',)
        async with serving(ice=IceManager(urls, TurnRest('another'))) as server:
            _, found = await examine(server.port)
    assert found['turn'].verdict is Verdict.WARN
    assert '401' in found['turn'].seen
    assert 'static-auth-secret' in found['turn'].remedy


async def test_no_turn_server_is_there():
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind((LOOPBACK, 0))
        urls = (f'turn:{LOOPBACK}:{silent.getsockname()[1]}',)
        async with serving(ice=IceManager(urls, TurnRest('any'))) as server:
            _, found = await examine(server.port)
    assert found['turn'].verdict is Verdict.WARN
    assert 'no answer within 5 s' in found['turn'].seen
