"""The signaling client with real servers that come, go, refuse, and misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from fakes import DEADLINE_S, TOKENS, until, welcomed
from websockets.asyncio.server import serve

from rtc_signaling.auth import OpenAuthenticator, TokenAuthenticator
from rtc_signaling.backoff import Backoff
from rtc_signaling.client import SignalingClient
from rtc_signaling.errors import ConfigurationError, ConnectionFailedError, RefusedError
from rtc_signaling.messages import Connected, Error, Offer, PeerJoined, Ping
from rtc_signaling.server import SignalingServer
from rtc_signaling.server_config import ServerConfig

SDP = (
    'v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n'
    'a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijkl\r\n'
    f'a=fingerprint:sha-256 {":".join(["AB"] * 32)}\r\na=setup:actpass\r\n'
)
WELCOME = json.dumps(
    {
        'type': 'connected', 'client_id': 'me', 'role': 'sender', 'protocol': 1, 'polite': False,
        'ice_servers': [], 'peers': [], 'resume_token': 'resume', 'resumed': False,
        'heartbeat_s': 1.0, 'timeout_s': 3.0,
        'limits': {
            'max_message_bytes': 65536, 'messages_per_s': 50.0, 'burst': 200,
            'queue_messages': 64, 'queue_bytes': 262144, 'resume_window_s': 30.0,
        },
    }
)  # fmt: skip


def impatient():
    return Backoff(0.01, 0.02, lambda low, high: high)


@contextlib.asynccontextmanager
async def serving(tokens=None, port=0):
    config = ServerConfig(host='127.0.0.1', port=port, connection_burst=1_000_000)
    authenticator = OpenAuthenticator() if tokens is None else TokenAuthenticator(tokens)
    async with SignalingServer(config, authenticator).run() as server:
        yield server


@contextlib.asynccontextmanager
async def odd_server(handler, port=0, **options):
    """Run a WebSocket server that does what no SignalingServer does."""
    async with serve(handler, '127.0.0.1', port, compression=None, **options) as listener:
        yield next(iter(listener.sockets)).getsockname()[1]


class Talk:
    """Hold a client whose messages are read in the background."""

    def __init__(self, client, links):
        self.client = client
        self.links = links
        self.messages = []
        self.error = None
        self._task = asyncio.create_task(self._read())

    async def _read(self):
        async with contextlib.aclosing(self.client.messages()) as incoming:
            async for message in incoming:
                self.messages.append(message)

    async def expect(self, kind, count=1):
        """Wait until there are so many messages of a class; return the last."""
        found = await until(
            lambda: self._task.done() or len(self._of(kind)) >= count, f'{count} {kind.__name__}'
        )
        assert found
        if self._task.done():
            self._task.result()
        return self._of(kind)[-1]

    def _of(self, kind):
        return [message for message in self.messages if isinstance(message, kind)]

    async def end(self):
        """Return the error that ended it."""
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises((RefusedError, ConfigurationError)) as error:
                await self._task
        return error.value

    async def stop(self):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@contextlib.asynccontextmanager
async def talking(port, role='sender', client_id='camera', **options):
    links = []
    client = SignalingClient(
        f'ws://127.0.0.1:{port}', role, client_id,
        **{'backoff': impatient(), 'on_link': links.append} | options,
    )  # fmt: skip
    talk = Talk(client, links)
    try:
        yield talk
    finally:
        await talk.stop()


async def test_it_is_welcomed_sends_and_receives():
    async with serving() as server, talking(server.port) as talk:
        welcome = await talk.expect(Connected)
        assert (welcome.client_id, welcome.role) == ('camera', 'sender')
        assert talk.client.connected
        async with welcomed(server.port, client_id='viewer') as (viewer, _):
            assert (await talk.expect(PeerJoined)).client_id == 'viewer'
            await viewer.send(type='offer', sdp=SDP)
            assert (await talk.expect(Offer)).client_id == 'viewer'
            await talk.client.send(Offer(sdp=SDP.replace('s=-', 's=own'), client_id='viewer'))
            assert 's=own' in (await viewer.expect('offer'))['sdp']
    assert talk.links == [True, False]


async def test_a_client_that_stops_is_seen_to_leave():
    async with (
        serving() as server,
        welcomed(server.port, client_id='viewer') as (viewer, _),
    ):
        async with talking(server.port) as talk:
            await talk.expect(Connected)
            await viewer.expect('peer_joined')
        left = await viewer.expect('peer_left')
        assert (left['client_id'], left['reason']) == ('camera', 'left')
        assert not talk.client.connected


async def test_who_leaves_the_loop_and_the_context_has_no_connection_any_more():
    links = []
    async with serving() as server:
        url = f'ws://127.0.0.1:{server.port}'
        async with SignalingClient(url, 'receiver', 'brief', on_link=links.append) as client:
            async for message in client:
                assert isinstance(message, Connected)
                break
            assert client.connected
        assert not client.connected
        assert links == [True, False]
        await until(lambda: not server.clients, 'the client gone')


async def test_a_client_id_is_quoted():
    async with serving() as server, talking(server.port, client_id='a:b.c_d-e') as talk:
        assert (await talk.expect(Connected)).client_id == 'a:b.c_d-e'
    async with serving() as server, talking(server.port, client_id='a&role=x') as talk:
        assert (await talk.end()).close_code == 4400


@pytest.mark.parametrize('path', ['/', '/ws', ''])
async def test_the_urls_path_is_kept(path):
    async with serving() as server:
        links = []
        client = SignalingClient(
            f'ws://127.0.0.1:{server.port}{path}', 'receiver', on_link=links.append
        )
        talk = Talk(client, links)
        assert (await talk.expect(Connected)).role == 'receiver'
        await talk.stop()


async def test_it_comes_back_when_the_server_does(caplog):
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(contextlib.AsyncExitStack())
        server = await first.enter_async_context(serving())
        port = server.port
        talk = await stack.enter_async_context(talking(port))
        await talk.expect(Connected)
        await first.aclose()
        await until(lambda: talk.links == [True, False], 'the loss noticed')
        with pytest.raises(ConnectionFailedError, match='no connection to ws://127'):
            await talk.client.send(Ping())
        await stack.enter_async_context(serving(port=port))
        await talk.expect(Connected, count=2)
        assert talk.links == [True, False, True]
        # However many attempts there were: one warning for the loss.
        warnings = [r for r in caplog.records if r.name == 'rtc_signaling.client']
        assert [r.levelname for r in warnings] == ['WARNING']
        assert 'closed the connection' in warnings[0].getMessage()


async def test_it_waits_for_a_server_that_is_not_there_yet(caplog):
    attempts = []

    class Counting(Backoff):
        def next_s(self):
            attempts.append(super().next_s())
            return attempts[-1]

    async with serving() as server:
        port = server.port
    backoff = Counting(0.01, 0.02, lambda low, high: high)
    async with talking(port, backoff=backoff) as talk:
        await until(lambda: len(attempts) >= 3, 'three attempts')
        async with serving(port=port):
            await talk.expect(Connected)
    warnings = [r.getMessage() for r in caplog.records if r.name == 'rtc_signaling.client']
    assert len(warnings) == 2
    assert warnings[0].startswith(f'cannot reach the signaling server at ws://127.0.0.1:{port}')


async def test_the_wait_begins_anew_after_a_welcome():
    class Noting(Backoff):
        resets = 0

        def reset(self):
            super().reset()
            self.resets += 1

    backoff = Noting(0.01, 0.02, lambda low, high: high)
    async with serving() as server, talking(server.port, backoff=backoff) as talk:
        await talk.expect(Connected)
        assert backoff.resets == 1


async def test_a_wrong_token_is_a_refusal():
    async with serving(TOKENS) as server:
        async with talking(server.port, read_token=lambda: 'wrong') as talk:
            error = await talk.end()
        assert error.close_code == 4401
        assert 'the token is missing or wrong' in str(error)
        assert [m.code for m in talk.messages if isinstance(m, Error)] == ['unauthorized']
        assert talk.links == []


@pytest.mark.parametrize('code', [1003, 1007, 1009, 4400, 4401, 4403, 4404, 4409, 4423])
async def test_some_close_codes_mean_do_not_come_back(code):
    async def handler(socket):
        await socket.close(code, 'no')

    async with odd_server(handler) as port, talking(port) as talk:
        assert (await talk.end()).close_code == code


@pytest.mark.parametrize('code', [1000, 1001, 1011, 1012, 1013, 4408, 4413, 4429])
async def test_other_close_codes_mean_come_back(code):
    connections = []

    async def handler(socket):
        connections.append(socket)
        await socket.close(code)

    async with odd_server(handler) as port, talking(port):
        await until(lambda: len(connections) >= 3, 'it came back')


async def test_a_connection_that_is_cut_means_come_back():
    connections = []

    async def handler(socket):
        connections.append(socket)
        await socket.recv()
        await socket.send(WELCOME)
        socket.transport.abort()

    async with odd_server(handler) as port, talking(port) as talk:
        await until(lambda: len(connections) >= 2, 'it came back')
        await talk.expect(Connected, count=2)


async def test_a_full_server_means_come_back():
    refusals = []

    def refuse(connection, request):
        refusals.append(request)
        return connection.respond(503, 'full\n') if len(refusals) < 3 else None

    async def handler(socket):
        await socket.send(WELCOME)
        await socket.wait_closed()

    async with odd_server(handler, process_request=refuse) as port, talking(port) as talk:
        await talk.expect(Connected)


async def test_what_is_no_websocket_server_means_come_back():
    connections = []

    async def chat(reader, writer):
        connections.append(writer)
        await reader.readline()
        writer.write(b'SSH-2.0-robot\r\n')
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(chat, '127.0.0.1', 0)
    async with server, talking(server.sockets[0].getsockname()[1]):
        await until(lambda: len(connections) >= 2, 'it came back')


async def test_the_token_is_read_anew_at_each_attempt():
    tokens = iter(['first', 'second', TOKENS.sender])
    shown = []

    async def handler(socket):
        shown.append(json.loads(await socket.recv()))
        if len(shown) < 3:
            await socket.close(4408)
            return
        await socket.send(WELCOME)
        await socket.wait_closed()

    async with (
        odd_server(handler) as port,
        talking(port, read_token=lambda: next(tokens)) as talk,
    ):
        await talk.expect(Connected)
    assert [message['token'] for message in shown] == ['first', 'second', TOKENS.sender]


async def test_it_shows_its_credential_in_a_message_and_nowhere_else():
    requests, messages = [], []

    async def handler(socket):
        requests.append(socket.request)
        messages.append(json.loads(await socket.recv()))
        await socket.send(WELCOME)
        await socket.wait_closed()

    async with odd_server(handler) as port, talking(port, read_token=lambda: 'hidden') as talk:
        await talk.expect(Connected)
    assert requests[0].path == '/?role=sender&client_id=camera&auth=message'
    assert 'hidden' not in str(requests[0].headers)
    assert messages == [{'type': 'authenticate', 'token': 'hidden'}]


async def test_an_unreadable_token_ends_it():
    def read_token():
        raise ConfigurationError('auth.token_file', 'x', 'cannot be read')

    async with serving() as server, talking(server.port, read_token=read_token) as talk:
        assert (await talk.end()).name == 'auth.token_file'


async def test_pings_are_answered_and_what_is_not_understood_is_skipped():
    answers = []

    async def handler(socket):
        await socket.send(WELCOME)
        for odd in ('not JSON', '[]', '{"type": "in_version_2"}', b'\x00binary'):
            await socket.send(odd)
        await socket.send('{"type": "ping", "msg_id": "p1"}')
        await socket.recv()
        answers.append(json.loads(await socket.recv()))
        await socket.wait_closed()

    async with odd_server(handler) as port, talking(port) as talk:
        await until(lambda: answers, 'an answer')
        assert answers == [{'type': 'pong', 'msg_id': 'p1'}]
        assert [type(message) for message in talk.messages] == [Connected]
        assert talk.links == [True]


async def test_sending_on_a_connection_that_has_just_gone_is_a_failed_connection():
    release = asyncio.Event()

    async def handler(socket):
        await socket.send(WELCOME)
        await release.wait()
        await socket.close(1011)

    async with odd_server(handler) as port:
        client = SignalingClient(f'ws://127.0.0.1:{port}', 'sender', backoff=impatient())
        messages = client.messages()
        assert isinstance(await anext(messages), Connected)
        release.set()
        await until(lambda: client._socket.close_code, 'closed')
        # Nobody has read the close yet.
        with pytest.raises(ConnectionFailedError, match='was lost'):
            await client.send(Ping())
        await messages.aclose()
