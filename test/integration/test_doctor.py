"""The doctor against real servers, cameras and relays: each failure is produced for real."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import sys

import aioice.ice
import pytest
from fakes import TOKENS, scene_image, until, welcomed, wire_client
from websockets.asyncio.server import serve

from rtc_signaling.auth import OpenAuthenticator, TokenAuthenticator
from rtc_signaling.config import SenderConfig, ServerConfig
from rtc_signaling.doctor.examination import Examination, Options
from rtc_signaling.doctor.report import CHECKS, Level
from rtc_signaling.doctor.target import parse
from rtc_signaling.doctor.wire_verdicts import TokenSource
from rtc_signaling.ice import IceManager, TurnRest
from rtc_signaling.media.probe import Patience
from rtc_signaling.media.sender import CameraSender
from rtc_signaling.media.track import Camera
from rtc_signaling.server import SignalingServer

LOOPBACK = '127.0.0.1'
NO_ROS = 'no rclpy'
ROS_CHECKS = {'camera_topic', 'qos', 'rate', 'dds'}
BRIEF = Patience(welcome_s=5.0, answer_s=2.0, connection_s=20.0, picture_s=1.0)


@pytest.fixture(autouse=True)
def _addresses_as_before(monkeypatch):
    """Undo what a sender does to aioice in this process."""
    monkeypatch.setattr(aioice.ice, 'get_host_addresses', aioice.ice.get_host_addresses)


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


async def examine(port, *, token=TOKENS.receiver, url=None, patience=BRIEF, **options):
    """Return the report, and its findings by check."""
    source = TokenSource('tokens.json' if token else '', 'tokens.json')
    chosen = Options(ice_addresses=(LOOPBACK,), patience=patience, **options)
    target = parse(url or f'ws://{LOOPBACK}:{port}')
    report = await Examination(target, token, source, chosen, NO_ROS).run()
    found = {finding.check: finding for finding in report.findings}
    assert tuple(found) == CHECKS
    for check in ROS_CHECKS:
        assert (found[check].level, found[check].seen) == (Level.SKIP, NO_ROS)
    assert TOKENS.receiver not in report.as_text() + report.as_json()
    return report, found


def of(found, level):
    return {check for check, finding in found.items() if finding.level is level}


async def test_all_is_well():
    async with serving() as server, sending(server.port) as snapshots:
        report, found = await examine(server.port)
        assert report.exit_code == 0
        assert of(found, Level.SKIP) == ROS_CHECKS | {'turn'}
        assert of(found, Level.OK) == set(CHECKS) - ROS_CHECKS - {'turn'}
        assert 'a picture of 320x240' in found['session'].seen
        assert '(host) to 127.0.0.1:' in found['ice'].seen
        assert found['errors'].seen == 'none (2 since the server started)'
        await until(lambda: snapshots[-1].viewers == 0, 'let go')
        assert [*server.clients] == ['camera']


async def test_the_port_is_closed():
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    report, found = await examine(port)
    assert report.exit_code == 1
    assert of(found, Level.FAIL) == {'port'}
    assert found['port'].seen == 'refused'
    assert found['session'].seen == 'port has to be well first'


async def test_the_host_has_no_name():
    _, found = await examine(0, url='ws://no-such-host.invalid:8765')
    assert of(found, Level.FAIL) == {'port'}
    assert "there is no host 'no-such-host.invalid'" in found['port'].seen


async def test_something_else_listens_that_is_no_http():
    async def shout(reader, writer):
        writer.write(b'220 mail.example.org ESMTP\r\n')
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(shout, LOOPBACK, 0) as other:
        _, found = await examine(other.sockets[0].getsockname()[1])
    assert of(found, Level.FAIL) == {'websocket'}
    assert 'something else listens there' in found['websocket'].remedy
    assert found['health'].level is Level.WARN


async def test_something_else_listens_that_says_nothing():
    async def wait(reader, writer):
        await reader.read()
        writer.close()

    async with await asyncio.start_server(wait, LOOPBACK, 0) as other:
        _, found = await examine(other.sockets[0].getsockname()[1], timeout_s=2.0)
    assert found['port'].level is Level.OK
    assert found['websocket'].seen == 'not done within 2 s'


async def test_something_else_listens_that_is_another_websocket():
    async def echo(connection):
        async for data in connection:
            await connection.send(data)

    async with serve(echo, LOOPBACK, 0) as other:
        _, found = await examine(next(iter(other.sockets)).getsockname()[1])
    assert of(found, Level.FAIL) == {'authentication'}
    assert found['websocket'].level is Level.OK
    assert 'something else listens there' in found['authentication'].remedy


@pytest.mark.parametrize(
    ('token', 'remedy'), [('a-token-of-long-ago', 'auth.token_file'), ('', '#token=')]
)
async def test_the_token_is_wrong(token, remedy):
    async with serving() as server:
        report, found = await examine(server.port, token=token)
    assert report.exit_code == 1
    assert of(found, Level.FAIL) == {'authentication'}
    assert '(close code 4401)' in found['authentication'].seen
    assert remedy in found['authentication'].remedy
    # Not once more: wrong tokens lock this address out.
    assert found['wrong_token'].level is Level.SKIP


async def test_an_address_that_is_locked_out():
    async with serving(failed_logins=1) as server:
        async with wire_client(server.port, token='a-guess') as guess:
            assert (await guess.closed())[0] == 4401
        _, found = await examine(server.port)
    assert of(found, Level.FAIL) == {'websocket'}
    assert 'HTTP 429: too many failed logins' in found['websocket'].seen


async def test_one_examination_costs_one_failed_login():
    async with serving(failed_logins=2) as server:
        await examine(server.port, errors_s=0.0)
        async with welcomed(server.port, token=TOKENS.receiver):
            pass


async def test_a_server_that_asks_for_no_token():
    async with serving(tokens=None) as server:
        report, found = await examine(server.port, token='')
    assert found['wrong_token'].level is Level.WARN
    assert 'auth.mode' in found['wrong_token'].remedy
    assert found['authentication'].level is Level.OK
    assert of(found, Level.FAIL) == {'session'}
    assert report.exit_code == 1


async def test_no_camera_is_there():
    async with serving() as server:
        _, found = await examine(server.port)
    assert of(found, Level.FAIL) == {'session'}
    assert found['session'].seen == 'no camera is connected'
    assert 'robot.launch.py' in found['session'].remedy
    assert found['ice'].level is Level.SKIP


async def test_another_camera_is_there():
    async with serving() as server, sending(server.port, client_id='rear'):
        _, found = await examine(server.port, camera='front')
        assert found['session'].seen == 'it is not connected; there are: rear'


async def test_a_camera_without_frames():
    async with serving() as server, sending(server.port, film=False):
        _, found = await examine(server.port)
    assert of(found, Level.FAIL) == {'session'}
    assert found['session'].seen == 'connected, but no picture came within 1 s'
    assert found['ice'].level is Level.OK


async def test_a_camera_that_does_not_answer():
    async with (
        serving() as server,
        welcomed(server.port, token=TOKENS.sender, role='sender', client_id='dead'),
    ):
        _, found = await examine(server.port)
    assert found['session'].seen == 'no answer to the offer within 2 s'


async def test_a_camera_that_has_no_place():
    async def refuse(camera):
        while (message := await camera.receive())['type'] != 'offer':
            pass
        await camera.send(
            type='bye', reason='busy', client_id=message['client_id'],
            offer_id=message['offer_id'],
        )  # fmt: skip

    async with (
        serving() as server,
        welcomed(server.port, token=TOKENS.sender, role='sender') as (camera, _),
    ):
        refusal = asyncio.create_task(refuse(camera))
        _, found = await examine(server.port)
        await refusal
    assert 'no place for another viewer' in found['session'].seen


async def test_errors_that_happen_meanwhile():
    async with (
        serving() as server,
        sending(server.port),
        welcomed(server.port, token=TOKENS.receiver) as (viewer, _),
    ):
        examination = asyncio.create_task(examine(server.port))
        # From the doctor's own camera session on: it has read the first counts by then.
        await until(
            lambda: any(name.startswith('doctor.') for name in server.clients), 'the session'
        )
        await viewer.send(type='nonsense')
        await viewer.expect('error')
        report, found = await examination
    assert found['errors'].level is Level.WARN
    assert found['errors'].seen == '1 invalid_message (3 since the server started)'
    assert report.exit_code == 0


async def test_a_host_that_the_server_does_not_know(monkeypatch):
    def look_up(host, *arguments, **options):
        return real(LOOPBACK if host == 'robot.example' else host, *arguments, **options)

    real = socket.getaddrinfo
    monkeypatch.setattr(socket, 'getaddrinfo', look_up)
    async with serving() as server:
        _, found = await examine(0, url=f'ws://robot.example:{server.port}')
    assert of(found, Level.FAIL) == {'websocket'}
    assert 'HTTP 403' in found['websocket'].seen
    assert "add 'robot.example' to allowed_hosts" in found['websocket'].remedy


# TURN.


@contextlib.asynccontextmanager
async def turn_server(tmp_path, secret):
    """Run coturn; yields its port."""
    program = shutil.which('turnserver')
    if program is None:
        pytest.skip('turnserver is not installed: apt install coturn')
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
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
    assert found['turn'].level is Level.OK, found['turn']
    assert found['turn'].seen.startswith('relays at 127.0.0.1:')


async def test_a_turn_server_has_another_secret(tmp_path):
    async with turn_server(tmp_path, 'the-secret') as port:
        urls = (f'turn:{LOOPBACK}:{port}',)
        async with serving(ice=IceManager(urls, TurnRest('another'))) as server:
            _, found = await examine(server.port)
    assert found['turn'].level is Level.WARN
    assert '401' in found['turn'].seen
    assert 'static-auth-secret' in found['turn'].remedy


async def test_no_turn_server_is_there():
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind((LOOPBACK, 0))
        urls = (f'turn:{LOOPBACK}:{silent.getsockname()[1]}',)
        async with serving(ice=IceManager(urls, TurnRest('any'))) as server:
            _, found = await examine(server.port)
    assert found['turn'].level is Level.WARN
    assert 'no answer within 5 s' in found['turn'].seen


# The program.


async def run_doctor(*arguments, **environment):
    process = await asyncio.create_subprocess_exec(
        sys.executable, '-m', 'rtc_signaling.doctor', *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment or None,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_program_prints_json_and_fails_where_something_failed():
    async with serving() as server:
        code, out, err = await run_doctor(
            f'http://{LOOPBACK}:{server.port}/#token={TOKENS.receiver}',
            '--json', '--ice-addresses', LOOPBACK, '--ros-args', '-r', '__ns:=/doctor_test',
        )  # fmt: skip
    assert (code, err) == (1, '')
    checks = {check['check']: check['level'] for check in json.loads(out)['checks']}
    assert checks['authentication'] == 'ok'
    assert checks['session'] == 'fail'
    assert TOKENS.receiver not in out


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('ftp://robot',), "url = 'ftp://robot': must be ws://host:port"),
        (('--timeout', '0'), '0: must be at least 1'),
        (('--timeout', 'nan'), 'nan: must be at least 1'),
        (('--topic', 'a b'), '--topic'),
        (('--ros-args', '-r', 'nonsense'), '--ros-args'),
        (('--unknown',), 'unrecognized arguments'),
    ],
)
async def test_wrong_usage_is_exit_code_2(arguments, message):
    code, out, err = await run_doctor(*arguments)
    assert (code, out) == (2, '')
    assert message in err
    assert 'Traceback' not in err
