"""The doctor against real servers, cameras and relays: each failure is produced for real."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from doctor_stage import (
    LOOPBACK,
    answering,
    be_silent,
    closed_port,
    examine,
    greet,
    of,
    other_server,
    sending,
    serving,
)
from fakes import TOKENS, until, welcomed, wire_client
from websockets.asyncio.server import serve

from rtc_signaling.doctor.examination import Examination, Options
from rtc_signaling.doctor.findings import CHECKS, ROS_CHECKS, Verdict
from rtc_signaling.doctor.target import parse
from rtc_signaling.doctor.wire_verdicts import TokenSource


async def test_all_is_well():
    async with serving() as server, sending(server.port) as snapshots:
        diagnosis, found = await examine(server.port)
        assert diagnosis.exit_code == 0
        assert of(found, Verdict.SKIP) == {*ROS_CHECKS, 'turn'}
        assert of(found, Verdict.OK) == set(CHECKS) - {*ROS_CHECKS, 'turn'}
        assert 'a picture of 320x240' in found['session'].seen
        assert '(host) to 127.0.0.1:' in found['ice'].seen
        assert found['errors'].seen.startswith('none (2 since the server started')
        await until(lambda: snapshots[-1].viewers == 0, 'let go')
        assert [*server.clients] == ['camera']


async def test_the_port_is_closed():
    diagnosis, found = await examine(closed_port())
    assert diagnosis.exit_code == 1
    assert of(found, Verdict.FAIL) == {'port'}
    assert found['port'].seen == 'refused'
    assert found['session'].seen == 'port has to be well first'


def look_ups(monkeypatch, answer):
    """Have names looked up by a function; addresses are looked up as ever."""

    def look_up(host, *arguments, **options):
        if host == LOOPBACK:
            return real(host, *arguments, **options)
        return real(answer(host), *arguments, **options)

    real = socket.getaddrinfo
    monkeypatch.setattr(socket, 'getaddrinfo', look_up)


@pytest.mark.parametrize(
    ('error', 'seen', 'remedy'),
    [
        (
            socket.gaierror(socket.EAI_NONAME, 'Name or service not known'),
            "there is no host 'robt.example'", 'check the spelling',
        ),
        (
            socket.gaierror(socket.EAI_AGAIN, 'Temporary failure in name resolution'),
            "looking up the name 'robt.example': Temporary failure in name resolution",
            'name servers',
        ),
    ],
)  # fmt: skip
async def test_the_host_has_no_name(monkeypatch, error, seen, remedy):
    def answer(_host):
        raise error

    look_ups(monkeypatch, answer)
    _, found = await examine(0, url='ws://robt.example:8765')
    assert of(found, Verdict.FAIL) == {'port'}
    assert found['port'].seen.startswith(seen)
    assert remedy in found['port'].remedy


async def test_a_label_that_is_too_long_for_a_name():
    _, found = await examine(0, url=f'ws://{"x" * 64}.example:8765')
    assert of(found, Verdict.FAIL) == {'port'}
    assert 'there is no host' in found['port'].seen


async def test_a_name_server_that_does_not_answer(monkeypatch):
    ended = threading.Event()

    def answer(_host):
        assert ended.wait(60.0)
        return LOOPBACK

    look_ups(monkeypatch, answer)
    try:
        _, found = await examine(0, url='ws://robot.example:8765')
    finally:
        ended.set()
    assert of(found, Verdict.FAIL) == {'port'}
    assert found['port'].seen == "looking up the name 'robot.example': no answer within 5 s"
    assert 'use the IP address' in found['port'].remedy


async def test_something_else_listens_that_is_no_http():
    async with other_server(greet) as port:
        _, found = await examine(port)
    assert of(found, Verdict.FAIL) == {'websocket'}
    assert 'something else listens there' in found['websocket'].remedy
    assert found['health'].verdict is Verdict.WARN
    assert found['health'].seen == 'the answer is not HTTP'


async def test_something_else_listens_that_says_nothing():
    async with other_server(be_silent) as port:
        _, found = await examine(port)
    assert found['port'].verdict is Verdict.OK
    assert of(found, Verdict.FAIL) == {'websocket'}
    assert found['health'].seen == found['websocket'].seen == 'no answer within 5 s'
    assert 'something else listens there' in found['websocket'].remedy


@pytest.mark.parametrize(
    ('status', 'header', 'words'),
    [
        ('200 OK', 'Server: other', 'HTTP 200: <h1>Hi</h1>'),
        ('404 Not Found', 'Server: other', 'HTTP 404: <h1>Hi</h1>'),
        ('302 Found', 'Location: ftp://elsewhere/', 'no answer as of a WebSocket server'),
    ],
)
async def test_something_else_listens_that_is_a_web_server(status, header, words):
    async with other_server(answering(status, header)) as port:
        _, found = await examine(port)
    assert of(found, Verdict.FAIL) == {'websocket'}
    assert words in found['websocket'].seen
    assert f'HTTP {status[:3]}: <h1>Hi</h1>' == found['health'].seen
    for check in ('health', 'websocket'):
        assert 'something else listens there' in found[check].remedy


async def test_all_of_it_has_a_deadline():
    async with other_server(be_silent) as port:
        diagnosis, found = await examine(port, timeout_s=0.5)
    assert diagnosis.exit_code == 1
    assert of(found, Verdict.FAIL) == {'health'}
    assert found['health'].seen == 'not done when the 0.5 s for all checks were over'
    assert found['websocket'].seen == 'no time was left of the 0.5 s (--timeout)'


async def test_the_cameras_topic_has_the_same_deadline():
    stopped = threading.Event()

    def observe(is_told):
        while not is_told():
            threading.Event().wait(0.02)  # a busy wait would keep the other checks from their time
        stopped.set()

    async with serving() as server:
        target, source = parse(f'ws://{LOOPBACK}:{server.port}'), TokenSource('', '')
        examination = Examination(target, '', source, Options(timeout_s=5.0), observe)
        diagnosis = await examination.run()
    assert stopped.is_set()
    found = {finding.check: finding for finding in diagnosis.findings}
    assert of(found, Verdict.FAIL) == {'authentication', 'camera_topic'}
    assert '5 s for all checks' in found['camera_topic'].seen


async def test_something_else_listens_that_is_another_websocket():
    async def echo(connection):
        async for data in connection:
            await connection.send(data)

    async with serve(echo, LOOPBACK, 0) as other:
        _, found = await examine(next(iter(other.sockets)).getsockname()[1])
    assert of(found, Verdict.FAIL) == {'authentication'}
    assert found['websocket'].verdict is Verdict.OK
    assert 'something else listens there' in found['authentication'].remedy


@pytest.mark.parametrize(
    ('token', 'remedy'), [('a-token-of-long-ago', 'auth.token_file'), ('', '#token=')]
)
async def test_the_token_is_wrong(token, remedy):
    async with serving() as server:
        diagnosis, found = await examine(server.port, token=token)
    assert diagnosis.exit_code == 1
    assert of(found, Verdict.FAIL) == {'authentication'}
    assert '(close code 4401)' in found['authentication'].seen
    assert remedy in found['authentication'].remedy
    # Not once more: wrong tokens lock this address out.
    assert found['wrong_token'].verdict is Verdict.SKIP


async def test_an_address_that_is_locked_out():
    async with serving(failed_logins=1) as server:
        async with wire_client(server.port, token='a-guess') as guess:
            assert (await guess.closed())[0] == 4401
        _, found = await examine(server.port)
    assert of(found, Verdict.FAIL) == {'websocket'}
    assert 'HTTP 429: too many failed logins' in found['websocket'].seen


async def test_one_examination_costs_one_failed_login():
    async with serving(failed_logins=2) as server:
        await examine(server.port)
        async with welcomed(server.port, token=TOKENS.receiver):
            pass


@pytest.mark.parametrize('token', [TOKENS.receiver, 'a-token-of-long-ago'])
async def test_five_in_a_row_do_not_lock_the_robots_own_sender_out(token):
    async with serving() as server:
        for _ in range(5):
            await examine(server.port, token=token)
        # From the same address, as the sender is on the robot where the doctor runs.
        async with welcomed(server.port, token=TOKENS.sender, role='sender'):
            pass


async def test_a_server_that_asks_for_no_token():
    async with serving(tokens=None) as server:
        diagnosis, found = await examine(server.port, token='')
    assert found['wrong_token'].verdict is Verdict.WARN
    assert 'auth.mode' in found['wrong_token'].remedy
    assert found['authentication'].verdict is Verdict.OK
    assert of(found, Verdict.FAIL) == {'session'}
    assert diagnosis.exit_code == 1


async def test_no_camera_is_there():
    async with serving() as server:
        _, found = await examine(server.port)
    assert of(found, Verdict.FAIL) == {'session'}
    assert found['session'].seen == 'no camera is connected'
    assert 'robot.launch.py' in found['session'].remedy
    assert found['ice'].verdict is Verdict.SKIP


async def test_another_camera_is_there():
    async with serving() as server, sending(server.port, client_id='rear'):
        _, found = await examine(server.port, camera='front')
        assert found['session'].seen == 'it is not connected; there are: rear'


async def test_a_camera_without_frames():
    async with serving() as server, sending(server.port, film=False):
        _, found = await examine(server.port)
    assert of(found, Verdict.FAIL) == {'session'}
    assert found['session'].seen == 'connected, but no picture came within 1 s'
    assert found['ice'].verdict is Verdict.OK


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
        examination = asyncio.create_task(examine(server.port, errors_s=3.0))
        # From the doctor's own camera session on: it has read the first counts by then.
        await until(
            lambda: any(name.startswith('doctor.') for name in server.clients), 'the session'
        )
        await viewer.send(type='nonsense')
        await viewer.expect('error')
        diagnosis, found = await examination
    assert found['errors'].verdict is Verdict.WARN
    assert found['errors'].seen.startswith('1 invalid_message (3 since the server started')
    assert diagnosis.exit_code == 0


async def test_a_host_that_the_server_does_not_know(monkeypatch):
    look_ups(monkeypatch, lambda host: LOOPBACK)
    async with serving() as server:
        _, found = await examine(0, url=f'ws://robot.example:{server.port}')
    assert of(found, Verdict.FAIL) == {'websocket'}
    assert 'HTTP 403' in found['websocket'].seen
    assert "add 'robot.example' to allowed_hosts" in found['websocket'].remedy
