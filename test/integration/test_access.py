"""Who may come in, from where, as what and for how long; and what is told to whom over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import time

import jwt
import pytest
from fakes import DEADLINE_S, TOKENS, WireClient, until, welcomed, wire_client
from under_attack import small_sdp
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from rtc_signaling.auth import JwtAuthenticator, JwtKey, OpenAuthenticator, TokenAuthenticator
from rtc_signaling.server import SignalingServer
from rtc_signaling.server_config import ServerConfig

SECRET = b'a-secret-for-tests-that-has-32-bytes-or-more'


@contextlib.asynccontextmanager
async def serving(authenticator=None, **settings):
    """Run a server on a free port of loopback, with the tokens unless told otherwise."""
    config = ServerConfig(**{'host': '127.0.0.1', 'port': 0} | settings)
    async with SignalingServer(config, authenticator or TokenAuthenticator(TOKENS)).run() as run:
        yield run


def with_jwt(**settings):
    return serving(JwtAuthenticator((JwtKey(SECRET),), 'rtc_signaling', 0.0), **settings)


def mint(subject='pilot', role='receiver', lifetime_s=60.0, secret=SECRET, **claims):
    claims = {'sub': subject, 'role': role, 'aud': 'rtc_signaling'} | claims
    return jwt.encode({'exp': time.time() + lifetime_s} | claims, secret, 'HS256')


@contextlib.asynccontextmanager
async def page(port, origin, host='', **options):
    """Connect as a page of `origin` does."""
    headers = {'Authorization': f'Bearer {TOKENS.receiver}', 'Origin': origin}
    uri = f'ws://{host or f"127.0.0.1:{port}"}/'
    async with connect(
        uri, host='127.0.0.1', port=port, additional_headers=headers, proxy=None, **options
    ) as socket:
        yield WireClient(socket)


async def http(port, path, *headers, host='127.0.0.1'):
    """Return the status, the head and the body of a plain request."""
    reader, writer = await asyncio.open_connection('127.0.0.1', port)
    head = '\r\n'.join([f'GET {path} HTTP/1.1', f'Host: {host}', *headers, '', ''])
    writer.write(head.encode())
    async with asyncio.timeout(DEADLINE_S):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b'\r\n\r\n')
    return int(head.split()[1]), head.decode().lower(), body.decode()


async def refused(context):
    """Return the status that refuses a WebSocket, and the header Retry-After or ''."""
    with pytest.raises(InvalidStatus) as error:
        async with context:
            pass
    response = error.value.response
    return response.status_code, response.headers.get('Retry-After', '')


# Origin and Host.


@pytest.mark.parametrize(
    ('origin', 'host'),
    [
        ('http://127.0.0.1:{port}', '127.0.0.1:{port}'),
        ('http://localhost:{port}', 'localhost:{port}'),
        ('https://robot.example', 'robot.example'),
        ('https://app.example', '127.0.0.1:{port}'),
        ('HTTPS://APP.example', '[::1]:{port}'),
    ],
)
async def test_our_own_pages_and_those_allowed_may_connect(origin, host):
    settings = {'allowed_hosts': ('robot.example',), 'allowed_origins': ('https://app.example',)}
    async with serving(**settings) as server:
        origin, host = (text.format(port=server.port) for text in (origin, host))
        async with page(server.port, origin, host) as client:
            await client.expect('connected')


@pytest.mark.parametrize(
    ('origin', 'host'),
    [
        ('http://evil.example', ''),
        ('http://127.0.0.1:1', ''),
        ('null', ''),
        ('file://', ''),
        ('https://app.example.evil.example', ''),
        ('http://app.example', ''),
        # DNS rebinding: both agree, but the name is not ours.
        ('http://evil.example:{port}', 'evil.example:{port}'),
        ('http://localhost.evil.example', 'localhost.evil.example'),
        ('http://127.0.0.1.evil.example', '127.0.0.1.evil.example'),
    ],
)
async def test_pages_of_others_may_not(origin, host):
    async with serving(allowed_origins=('https://app.example',)) as server:
        origin, host = (text.format(port=server.port) for text in (origin, host))
        assert (await refused(page(server.port, origin, host)))[0] == 403
        assert not server.clients


async def test_two_origins_are_none():
    async with serving() as server:
        good, evil = f'Origin: http://127.0.0.1:{server.port}', 'Origin: http://evil.example'
        upgrade = ('Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13',
                   'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==')  # fmt: skip
        host = f'127.0.0.1:{server.port}'
        status, _, _ = await http(server.port, '/', *upgrade, good, evil, host=host)
        assert status == 403


@pytest.mark.parametrize(
    ('origin', 'may'), [('https://app.example', True), ('http://evil.example', False)]
)
async def test_who_may_connect_may_use_the_pages_modules_too(origin, may):
    async with serving(allowed_origins=('https://app.example',)) as server:
        host = f'127.0.0.1:{server.port}'
        status, head, _ = await http(server.port, '/client.js', f'Origin: {origin}', host=host)
        assert status == 200
        assert (f'access-control-allow-origin: {origin}' in str(head).lower()) == may


@pytest.mark.parametrize('path', ['/', '/metrics', '/healthz'])
async def test_the_host_counts_for_plain_http_too(path):
    async with serving() as server:
        assert (await http(server.port, path, host='evil.example'))[0] == 403
        assert (await http(server.port, path, host='a\r\nHost: 127.0.0.1'))[0] == 403


# JSON Web Tokens.


async def test_a_jwt_admits_its_role_and_no_other():
    async with (
        with_jwt() as server,
        welcomed(server.port, token=mint()) as (_, welcome),
        welcomed(server.port, token=mint('robot', 'sender'), role='sender') as _,
        wire_client(server.port, token=mint(), role='sender') as viewer,
        wire_client(server.port, token=mint('robot', 'sender')) as robot,
    ):
        assert welcome['role'] == 'receiver'
        for client in (viewer, robot):
            code, [error] = await client.closed()
            assert (code, error['code']) == (4403, 'forbidden_role')


@pytest.mark.parametrize(
    'token',
    [
        mint(lifetime_s=-1),
        mint(nbf=time.time() + 600),
        mint(aud='another'),
        mint(role='admin'),
        mint(secret=SECRET[::-1]),
        mint(exp='tomorrow'),
        jwt.encode({'sub': 'pilot', 'role': 'receiver', 'aud': 'rtc_signaling'}, SECRET, 'HS256'),
        jwt.encode(jwt.decode(mint(), options={'verify_signature': False}), None, 'none'),
        jwt.encode(jwt.decode(mint(), options={'verify_signature': False}), SECRET * 2, 'HS512'),
        'a.b.c',
        '',
    ],
)
async def test_a_jwt_that_is_wrong_is_refused(token, caplog):
    async with with_jwt() as server, wire_client(server.port, token=token) as client:
        code, [error] = await client.closed()
        assert (code, error['code']) == (4401, 'unauthorized')
    assert 'Traceback' not in caplog.text
    assert not token or token not in caplog.text + error['message']


async def test_a_jwt_for_one_camera_shows_no_other():
    async with (
        with_jwt() as server,
        welcomed(server.port, token=mint('r1', 'sender'), role='sender', client_id='front'),
        welcomed(server.port, token=mint('r2', 'sender'), role='sender', client_id='back') as (
            back, _,
        ),
        welcomed(server.port, token=mint(cameras=['front']), client_id='guest') as (guest, hello),
    ):  # fmt: skip
        assert [peer['client_id'] for peer in hello['peers']] == ['front']
        await guest.send(type='offer', sdp=small_sdp(1), sender_id='back')
        assert (await guest.expect('error'))['code'] == 'forbidden_camera'
        # Neither is it told to that camera's robot.
        await back.send(type='ping')
        assert (await back.receive())['type'] == 'pong'


async def test_a_senders_jwt_is_for_its_own_camera():
    async with with_jwt() as server:
        token = mint('robot', 'sender', cameras=['front'])
        async with wire_client(server.port, token=token, role='sender', client_id='back') as other:
            assert (await other.closed())[0] == 4403
        async with welcomed(server.port, token=token, role='sender', client_id='front'):
            pass


async def test_an_expired_jwt_ends_the_connection_and_a_new_one_saves_it():
    async with (
        with_jwt() as server,
        welcomed(server.port, token=mint(lifetime_s=1.0), client_id='a') as (forgetful, _),
        welcomed(server.port, token=mint(lifetime_s=1.0), client_id='b') as (careful, _),
    ):
        await careful.send(type='authenticate', token=mint(lifetime_s=60), msg_id='renewal')
        assert (await careful.receive())['msg_id'] == 'renewal'
        code, [error] = await forgetful.closed()
        assert (code, error['code']) == (4401, 'unauthorized')
        await careful.send(type='ping')
        assert (await careful.receive())['type'] == 'pong'


@pytest.mark.parametrize('claims', [{'subject': 'stranger'}, {'role': 'sender'}])
async def test_a_renewal_is_by_the_same_subject(claims):
    async with with_jwt() as server, welcomed(server.port, token=mint()) as (client, _):
        await client.send(type='authenticate', token=mint(**claims))
        code, [error] = await client.closed()
        assert (code, error['code']) == (4401, 'unauthorized')


async def test_a_resume_token_is_of_use_to_its_subject_alone():
    async with with_jwt() as server:
        async with welcomed(server.port, token=mint(), client_id='pilot') as (victim, welcome):
            victim.socket.transport.abort()
        await until(lambda: server.clients['pilot'].state == 'away', 'away')
        async with wire_client(server.port, auth='message') as thief:
            await thief.send(
                type='authenticate', token=mint('thief'), client_id='pilot',
                resume_token=welcome['resume_token'], last_seq=0,
            )  # fmt: skip
            code, [error] = await thief.closed()
            assert (code, error['code']) == (4423, 'name_taken')
        for resumed in (True, False):
            async with wire_client(server.port, auth='message') as client:
                await client.send(
                    type='authenticate', token=mint(), client_id='pilot',
                    resume_token=welcome['resume_token'], last_seq=0,
                )  # fmt: skip
                assert (await client.expect('connected'))['resumed'] is resumed
                client.socket.transport.abort()
            await until(lambda: server.clients['pilot'].state == 'away', 'away')


# Places and rates.


async def test_a_full_server_keeps_a_place_for_a_sender():
    async with (
        serving(max_connections=2) as server,
        welcomed(server.port, token=TOKENS.receiver, client_id='mine') as (first, _),
        welcomed(server.port, token=TOKENS.receiver),
    ):
        assert await refused(wire_client(server.port, token=TOKENS.receiver)) == (503, '5')
        async with welcomed(server.port, token=TOKENS.sender, role='sender', client_id='camera'):
            # The place is the sender's: who claims it and is none does not get in.
            assert (await refused(wire_client(server.port, role='sender')))[0] == 503
        async with wire_client(server.port, role='sender') as cheat:
            await cheat.send(type='authenticate', token=TOKENS.receiver, role='receiver')
            code, messages = await cheat.closed()
            assert (code, messages[-1]['code']) == (1013, 'too_many_connections')
        # A name's own place is there for whoever has it.
        async with welcomed(server.port, token=TOKENS.receiver, client_id='mine'):
            code, messages = await first.closed()
            assert code == 4409


async def test_an_address_may_connect_so_often_and_then_waits():
    async with serving(connection_burst=3, connection_rate_hz=0.5) as server:
        for _ in range(3):
            async with welcomed(server.port, token=TOKENS.receiver):
                pass
        status, retry_after_s = await refused(wire_client(server.port, token=TOKENS.receiver))
        assert status == 429
        assert 1 <= int(retry_after_s) <= 2
        # The page and the health are not what is counted.
        assert (await http(server.port, '/healthz'))[0] == 200


@pytest.mark.parametrize('in_header', [True, False])
async def test_failed_logins_are_counted_by_address(in_header):
    async with serving(failed_logins=3) as server:
        for _ in range(3):
            async with wire_client(server.port, token='wrong' if in_header else None) as guesser:
                if not in_header:
                    await guesser.send(type='authenticate', token='wrong')
                assert (await guesser.closed())[0] == 4401
        # Even the right token is not looked at, so that a guess tells nothing.
        status, retry_after_s = await refused(wire_client(server.port, token=TOKENS.receiver))
        assert status == 429
        assert 1 <= int(retry_after_s) <= 10


@pytest.mark.parametrize(
    'token', [mint(lifetime_s=-1), mint(nbf=2**40), mint(aud='another'), '', None],
    ids=['expired', 'early', 'elsewhere', 'empty', 'none'],
)  # fmt: skip
async def test_what_is_no_guess_locks_no_address_out(token):
    async with with_jwt(failed_logins=1) as server:
        for _ in range(3):
            async with wire_client(server.port, token=token) as client:
                if token is None:
                    await client.send(type='ping')
                assert (await client.closed())[0] == 4401
        async with welcomed(server.port, token=mint(lifetime_s=0.5)) as (client, _):
            assert (await client.closed())[0] == 4401
        async with welcomed(server.port, token=mint()):
            pass


# What is told over HTTP.


async def test_metrics_want_a_token_and_tell_no_secret():
    async with (
        serving() as server,
        welcomed(server.port, token=TOKENS.receiver, client_id='very-secret-name'),
    ):
        for header in ((), ('Authorization: Bearer wrong',), ('Authorization: Basic eDp5',)):
            status, head, _ = await http(server.port, '/metrics', *header)
            assert status == 401
            assert 'www-authenticate: bearer' in head
        wanted = f'Authorization: Bearer {TOKENS.receiver}'
        status, head, body = await http(server.port, '/metrics', wanted)
        assert (status, 'text/plain' in head) == (200, True)
        assert 'TYPE' in body
        for secret in (TOKENS.sender, TOKENS.receiver, 'very-secret-name'):
            assert secret not in body


async def test_metrics_are_for_who_has_a_jwt_that_is_good():
    async with with_jwt() as server:
        for token, status in ((mint(), 200), (mint(lifetime_s=-1), 401)):
            answer = await http(server.port, '/metrics', f'Authorization: Bearer {token}')
            assert answer[0] == status


async def test_metrics_are_no_place_to_guess_tokens_at():
    async with serving(failed_logins=3) as server:
        wrong, right = (f'Authorization: Bearer {token}' for token in ('no', TOKENS.receiver))
        for _ in range(3):
            assert (await http(server.port, '/metrics', wrong))[0] == 401
        status, head, _ = await http(server.port, '/metrics', right)
        assert (status, 'retry-after' in head) == (429, True)
        assert (await refused(wire_client(server.port, token=TOKENS.receiver)))[0] == 429
        # What needs no token is there for everybody.
        assert (await http(server.port, '/healthz'))[0] == 200


async def test_metrics_are_open_where_everything_is():
    async with serving(OpenAuthenticator()) as server:
        assert (await http(server.port, '/metrics'))[0] == 200


async def test_a_refusal_is_counted():
    async with serving() as server:
        await refused(page(server.port, 'http://evil.example'))
        assert 'origin' in str(server.snapshot().refused)


async def test_health_tells_no_more_than_it_has_to():
    async with serving() as server:
        assert (await http(server.port, '/healthz'))[::2] == (200, 'ok\n')
