"""The signaling server over real sockets, spoken to by clients that know only its wire format."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket

import pytest
from fakes import DEADLINE_S, TOKENS, until, welcomed, wire_client
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode

from rtc_signaling.auth import OpenAuthenticator, TokenAuthenticator
from rtc_signaling.errors import ConfigurationError
from rtc_signaling.ice import IceManager
from rtc_signaling.server import SignalingServer
from rtc_signaling.server_config import ServerConfig

HEAD = 'v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n'
TRANSPORT = (
    'a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijkl\r\n'
    f'a=fingerprint:sha-256 {":".join(["AB"] * 32)}\r\n'
)
SDP = f'{HEAD}{TRANSPORT}a=setup:actpass\r\n'
ANSWER = f'{HEAD}{TRANSPORT}a=setup:active\r\n'
CANDIDATE = 'candidate:1 1 udp 1 10.0.0.1 9 typ host'
# The limits of an address are not what these tests are about.
UNLIMITED = {'connection_burst': 1_000_000, 'failed_logins': 1_000_000}


@contextlib.asynccontextmanager
async def serving(*, tokens=None, ice=None, on_snapshot=lambda snapshot: None, **settings):
    """Run a server on a free port of loopback, without tokens unless some are given."""
    config = ServerConfig(
        **{'host': '127.0.0.1', 'port': 0, 'resume_window_s': 0.0} | UNLIMITED | settings
    )
    authenticator = OpenAuthenticator() if tokens is None else TokenAuthenticator(tokens)
    async with SignalingServer(config, authenticator, ice, on_snapshot).run() as server:
        yield server


async def http(port, request_line, *headers):
    """Send one plain HTTP request; return the status, the headers and the body."""
    reader, writer = await asyncio.open_connection('127.0.0.1', port)
    head = '\r\n'.join([request_line, 'Host: 127.0.0.1', *headers, '', ''])
    # Latin-1, so that a test can send any byte.
    writer.write(head.encode('latin-1'))
    async with asyncio.timeout(DEADLINE_S):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b'\r\n\r\n')
    status, *lines = head.decode().split('\r\n')
    fields = dict(line.lower().split(': ', 1) for line in lines)
    return int(status.split()[1]), fields, body


# The formats of the protocol.


async def test_an_offer_an_answer_and_candidates_go_both_ways():
    async with (
        serving() as server,
        welcomed(server.port, role='sender', client_id='camera') as (sender, _),
        welcomed(server.port) as (receiver, welcome),
    ):
        own_id = welcome['client_id']
        assert await sender.expect('peer_joined') == {
            'type': 'peer_joined', 'client_id': own_id, 'role': 'receiver', 'name': own_id,
            'seq': 1,
        }  # fmt: skip
        await receiver.send(type='offer', sdp=SDP)
        both = {'client_id': own_id, 'sender_id': 'camera'}
        assert await sender.receive() == {'type': 'offer', 'sdp': SDP, 'seq': 2} | both
        await sender.send(type='answer', sdp=ANSWER, client_id=own_id)
        assert await receiver.receive() == {'type': 'answer', 'sdp': ANSWER, 'seq': 1} | both
        candidate = {
            'type': 'ice_candidate', 'candidate': CANDIDATE, 'sdpMid': '0', 'sdpMLineIndex': 0,
        }  # fmt: skip
        await receiver.send(**candidate, usernameFragment='abcd', network={'id': 1})
        assert await sender.receive() == candidate | both | {
            'usernameFragment': 'abcd', 'network': {'id': 1}, 'seq': 3,
        }  # fmt: skip
        await sender.send(**candidate | {'sdpMid': None}, client_id=own_id)
        assert await receiver.receive() == candidate | both | {'sdpMid': None, 'seq': 2}
        assert set(server.clients) == {'camera', own_id}


async def test_who_answers_pings_stays_and_its_round_trip_is_known():
    snapshots = []
    async with (
        serving(timeout_s=1.0, on_snapshot=snapshots.append) as server,
        welcomed(server.port, client_id='quiet'),
    ):
        # One snapshot each second, so that four mean three times the time-out.
        await until(lambda: sum(s.ping_s.count for s in snapshots) >= 4, 'four round trips')
        assert set(server.clients) == {'quiet'}
        assert 0 < snapshots[-1].ping_s.p50 < 1.0


async def test_the_welcome_says_who_one_is_and_who_is_there():
    async with (
        serving(ice=IceManager(('stun:10.0.0.1:3478',)), timeout_s=12.0) as server,
        welcomed(server.port, path='/ws', role='sender', client_id='camera') as (_, first),
        welcomed(server.port, client_id='viewer') as (_, second),
    ):
        assert first == {
            'type': 'connected', 'client_id': 'camera', 'role': 'sender', 'protocol': 1,
            'polite': False, 'ice_servers': [{'urls': 'stun:10.0.0.1:3478'}], 'peers': [],
            'resume_token': first['resume_token'], 'resumed': False, 'heartbeat_s': 4.0,
            'timeout_s': 12.0,
            'limits': {
                'max_message_bytes': 65536, 'messages_per_s': 50.0, 'burst': 200,
                'queue_messages': 64, 'queue_bytes': 262144, 'resume_window_s': 0.0,
            },
        }  # fmt: skip
        assert second['polite'] is True
        assert second['peers'] == [{'client_id': 'camera', 'role': 'sender', 'name': 'camera'}]


async def test_each_client_without_a_wish_gets_an_id_of_its_own():
    async with (
        serving() as server,
        welcomed(server.port) as (_, first),
        welcomed(server.port) as (_, second),
    ):
        assert first['client_id'] != second['client_id']
        assert len(first['client_id']) >= 12


async def test_a_bad_message_is_answered_and_the_connection_goes_on():
    async with serving() as server, welcomed(server.port) as (client, _):
        await client.socket.send('{"type": "offer"')
        assert (await client.expect('error'))['code'] == 'invalid_json'
        await client.send(type='offer', sdp=5, msg_id='m1')
        error = await client.expect('error')
        assert error['code'] == 'invalid_message'
        assert 'sdp' in error['message']
        await client.send(type='offer', sdp=SDP, msg_id='m2')
        error = await client.expect('error')
        assert (error['code'], error['retry'], error['msg_id']) == ('peer_unavailable', True, 'm2')
        await client.send(type='offer', sdp=SDP, client_id='someone-else')
        assert (await client.expect('error'))['code'] == 'forbidden_client_id'


async def test_descriptions_are_summarised_in_the_debug_log_alone(caplog):
    caplog.set_level(logging.DEBUG, 'rtc_signaling')
    async with (
        serving() as server,
        welcomed(server.port, role='sender', client_id='camera') as (sender, _),
        welcomed(server.port, client_id='viewer') as (viewer, _),
    ):
        await sender.expect('peer_joined')
        await viewer.send(type='offer', sdp=SDP)
        await sender.expect('offer')
        await sender.send(type='answer', sdp=ANSWER, client_id='viewer')
        await viewer.expect('answer')
    told = [record for record in caplog.records if 'candidates' in record.getMessage()]
    assert [record.getMessage() for record in told] == [
        f'viewer: offer, {len(SDP)} B: video sendrecv; 0 candidates',
        f'camera: answer, {len(ANSWER)} B: video sendrecv; 0 candidates',
    ]
    assert {record.levelno for record in told} == {logging.DEBUG}
    assert 'abcd' not in caplog.text


async def test_pings_are_answered():
    async with serving() as server, welcomed(server.port) as (client, _):
        await client.send(type='ping', msg_id='p1')
        assert await client.receive() == {'type': 'pong', 'msg_id': 'p1'}
        await client.send(type='pong')
        async with asyncio.timeout(DEADLINE_S):
            await (await client.socket.ping())


def frames(*names, opcode=Opcode.TEXT):
    """Return masked frames with a JSON ping each."""
    return b''.join(
        Frame(opcode, json.dumps({'type': 'ping', 'msg_id': name}).encode()).serialize(mask=True)
        for name in names
    )


@pytest.mark.parametrize(
    'between', [b'', Frame(Opcode.PING, b'x').serialize(mask=True)], ids=['', 'ping']
)
async def test_all_messages_of_one_segment_are_taken_in_their_order(between):
    names = ['first', 'second', 'x' * 64, 'fourth']
    async with serving() as server, welcomed(server.port) as (client, _):
        client.socket.transport.write(frames(*names[:2]) + between + frames(*names[2:]))
        assert [(await client.receive())['msg_id'] for _ in names] == names


@pytest.mark.parametrize('at', [1, 2, 5, 6, 20])
async def test_a_message_that_comes_in_two_pieces_is_taken_with_its_neighbours(at):
    names = ['first', 'second', 'third']
    async with serving() as server, welcomed(server.port) as (client, _):
        data = frames(*names)
        at += len(frames('first'))
        client.socket.transport.write(data[:at])
        assert (await client.receive())['msg_id'] == 'first'
        client.socket.transport.write(data[at:] + frames('last'))
        assert [(await client.receive())['msg_id'] for _ in range(3)] == [*names[1:], 'last']


async def test_what_came_before_a_close_in_its_segment_is_answered_before_it():
    goodbye = Frame(Opcode.CLOSE, (1000).to_bytes(2)).serialize(mask=True)
    async with serving() as server, welcomed(server.port) as (client, _):
        client.socket.transport.write(frames('first', 'second') + goodbye + frames('late'))
        assert [(await client.receive())['msg_id'] for _ in range(2)] == ['first', 'second']
        assert (await client.closed())[1] == []


@pytest.mark.parametrize(
    ('wrong', 'code'),
    [
        (b'\xc1\x80abcd', 1002),
        (Frame(Opcode.CONT, b'x').serialize(mask=True), 1002),
        (b'\x81\xff' + (2**40).to_bytes(8), 1009),
    ],
    ids=['a reserved bit', 'a continuation of nothing', 'a giant'],
)
async def test_what_came_before_a_wrong_frame_in_its_segment_is_answered(wrong, code):
    async with serving() as server, welcomed(server.port) as (client, _):
        client.socket.transport.write(frames('first', 'second') + wrong)
        got, messages = await client.closed()
        assert ([message['msg_id'] for message in messages], got) == (['first', 'second'], code)


async def test_nothing_in_a_segment_counts_after_what_ended_the_connection():
    async with (
        serving() as server,
        welcomed(server.port, role='sender', client_id='camera') as (sender, _),
        welcomed(server.port, client_id='viewer') as (viewer, _),
    ):
        await sender.expect('peer_joined')
        leave = Frame(Opcode.TEXT, b'{"type": "leave"}').serialize(mask=True)
        offer = json.dumps({'type': 'offer', 'sdp': SDP}).encode()
        late = Frame(Opcode.TEXT, offer).serialize(mask=True)
        viewer.socket.transport.write(frames('first') + leave + late)
        assert (await viewer.receive())['msg_id'] == 'first'
        assert (await sender.receive())['type'] == 'peer_left'
        async with welcomed(server.port, client_id='other'):
            assert (await sender.receive())['type'] == 'peer_joined'


async def test_a_fragmented_message_with_a_ping_between_is_taken_whole():
    async with serving() as server, welcomed(server.port) as (client, _):
        data = json.dumps({'type': 'ping', 'msg_id': 'é' * 20}, ensure_ascii=False).encode()
        for i in range(64):
            opcode = Opcode.TEXT if i == 0 else Opcode.CONT
            part = data[i : i + 1] if i < 63 else data[63:]
            client.socket.transport.write(Frame(opcode, part, i == 63).serialize(mask=True))
            if i == 10:
                client.socket.transport.write(Frame(Opcode.PING, b'x').serialize(mask=True))
        assert (await client.receive())['msg_id'] == 'é' * 20


async def test_peers_learn_who_left_and_how():
    async with (
        serving() as server,
        welcomed(server.port, role='sender', client_id='camera') as (sender, _),
    ):
        endings = {'says leave': 'left', 'closes': 'left', 'is cut off': 'connection_lost'}
        for ending, reason in endings.items():
            async with welcomed(server.port, client_id='viewer') as (viewer, _):
                await sender.expect('peer_joined')
                if ending == 'says leave':
                    await viewer.send(type='leave')
                    assert await viewer.closed() == (1000, [])
                elif ending == 'is cut off':
                    viewer.socket.transport.abort()
            left = await sender.expect('peer_left')
            assert (left['client_id'], left['role'], left['reason']) == (
                'viewer', 'receiver', reason,
            ), ending  # fmt: skip
        assert set(server.clients) == {'camera'}


async def test_the_same_client_again_takes_the_place_of_the_old():
    async with (
        serving(tokens=TOKENS) as server,
        welcomed(server.port, role='sender', client_id='camera', token=TOKENS.sender) as (old, _),
        welcomed(server.port, client_id='viewer', token=TOKENS.receiver) as (viewer, _),
    ):
        await old.expect('peer_joined')
        async with welcomed(
            server.port, role='sender', client_id='camera', token=TOKENS.sender
        ) as (new, _):
            assert (await old.closed())[0] == 4409
            assert (await viewer.expect('peer_joined'))['client_id'] == 'camera'
            await viewer.send(type='offer', sdp=SDP)
            await new.expect('offer')
        # Only the new one's end is an end of `camera`.
        assert (await viewer.expect('peer_left'))['reason'] == 'left'


async def test_another_client_cannot_take_a_name():
    async with (
        serving(tokens=TOKENS) as server,
        welcomed(server.port, client_id='camera', token=TOKENS.receiver) as (_, _),
        wire_client(server.port, role='sender', client_id='camera', token=TOKENS.sender) as thief,
    ):
        code, messages = await thief.closed()
        assert (code, messages[0]['code']) == (4423, 'name_taken')
        assert server.clients['camera'].role == 'receiver'


# Credentials.


async def test_a_bearer_header_lets_in():
    async with (
        serving(tokens=TOKENS) as server,
        welcomed(server.port, role='sender', token=TOKENS.sender) as (_, first),
        welcomed(server.port, token=TOKENS.receiver) as (_, second),
        # The robot's token may watch, too.
        welcomed(server.port, token=TOKENS.sender) as (_, third),
    ):
        assert [w['role'] for w in (first, second, third)] == ['sender', 'receiver', 'receiver']


async def test_an_authenticate_message_lets_in():
    async with serving(tokens=TOKENS) as server, wire_client(server.port) as client:
        await client.send(
            type='authenticate', token=TOKENS.sender, role='sender', client_id='camera'
        )
        welcome = await client.expect('connected')
        assert (welcome['client_id'], welcome['role']) == ('camera', 'sender')
        # Again is harmless: a page does not know that its header was enough.
        await client.send(type='authenticate', token=TOKENS.sender)
        await client.send(type='ping')
        await client.expect('pong')


@pytest.mark.parametrize('in_header', [True, False])
@pytest.mark.parametrize('token', ['wrong', '', TOKENS.sender + 'x', 'ÿ'])
async def test_a_wrong_token_is_refused(in_header, token, caplog):
    async with (
        serving(tokens=TOKENS) as server,
        wire_client(server.port, token=token.encode() if in_header else None) as client,
    ):
        if not in_header:
            await client.send(type='authenticate', token=token)
        code, [error] = await client.closed()
        assert (code, error['type'], error['code']) == (4401, 'error', 'unauthorized')
        assert not server.clients
    for secret in (TOKENS.sender, TOKENS.receiver):
        assert secret not in caplog.text
    assert 'Traceback' not in caplog.text


async def test_a_header_with_bytes_that_are_no_text_is_refused(caplog):
    async with serving(tokens=TOKENS) as server:
        reader, writer = await asyncio.open_connection('127.0.0.1', server.port)
        writer.write(
            b'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
            b'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n'
            b'Authorization: Bearer \xff\xfe\r\n\r\n'
        )
        async with asyncio.timeout(DEADLINE_S):
            answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert b'101 ' in answer
    assert (4401).to_bytes(2, 'big') + b'unauthorized' in answer
    assert 'Traceback' not in caplog.text


async def test_who_authenticates_first_must():
    async with serving(tokens=TOKENS) as server, wire_client(server.port) as client:
        await client.send(type='offer', sdp=SDP)
        code, [error] = await client.closed()
        assert (code, error['code']) == (4401, 'unauthorized')


async def test_a_silent_client_is_sent_away_in_time():
    async with serving(tokens=TOKENS, auth_timeout_s=0.2) as server:
        async with wire_client(server.port) as client:
            code, [error] = await client.closed()
            assert (code, error['code']) == (4408, 'timeout')
        async with welcomed(server.port, token=TOKENS.receiver) as (client, _):
            with pytest.raises(TimeoutError):
                # One who is in may be silent for as long as it likes.
                await asyncio.wait_for(client.socket.recv(), 0.4)


async def test_a_viewers_token_admits_no_sender():
    async with (
        serving(tokens=TOKENS) as server,
        wire_client(server.port, role='sender', token=TOKENS.receiver) as client,
    ):
        code, [error] = await client.closed()
        assert (code, error['code']) == (4403, 'forbidden_role')


@pytest.mark.parametrize('query', [{'role': 'admin'}, {'client_id': 'a b'}, {'client_id': 'a\n'}])
async def test_a_wish_that_cannot_be_is_refused(query):
    async with serving() as server, wire_client(server.port, **query) as client:
        code, [error] = await client.closed()
        assert (code, error['code']) == (4400, 'invalid_message')
        assert next(iter(query)) in error['message']


# Plain HTTP on the same port.


async def test_the_page_and_its_files_are_served():
    async with serving() as server:
        status, headers, body = await http(server.port, 'GET / HTTP/1.1')
        assert status == 200
        assert headers['content-type'] == 'text/html; charset=utf-8'
        assert int(headers['content-length']) == len(body)
        assert "default-src 'none'" in headers['content-security-policy']
        assert headers['referrer-policy'] == 'no-referrer'
        assert (await http(server.port, 'GET /index.html?x=1 HTTP/1.1'))[2] == body
        for name, content_type in (('viewer.js', 'text/javascript'), ('viewer.css', 'text/css')):
            assert name.encode() in body
            status, headers, file = await http(server.port, f'GET /{name} HTTP/1.1')
            assert (status, headers['content-type']) == (200, f'{content_type}; charset=utf-8')
            assert file


async def test_health_and_what_is_not_there():
    async with serving() as server:
        assert (await http(server.port, 'GET /healthz HTTP/1.1'))[::2] == (200, b'ok\n')
        for path in ('/nothing', '/../server.py', '/%2e%2e/server.py', '//', '/web', '/ws'):
            assert (await http(server.port, f'GET {path} HTTP/1.1'))[0] == 404, path


async def test_a_websocket_has_a_place_of_its_own():
    async with serving() as server:
        with pytest.raises(InvalidStatus) as refusal:
            async with wire_client(server.port, path='/viewer.js'):
                pass
        assert refusal.value.response.status_code == 404


async def test_a_full_server_keeps_one_place_for_a_sender(caplog):
    async with (
        serving(max_connections=1) as server,
        welcomed(server.port) as (viewer, _),
    ):
        with pytest.raises(InvalidStatus) as refusal:
            async with wire_client(server.port, role='x\n' * 100):
                pass
        assert refusal.value.response.status_code == 503
        assert server.snapshot().refused == {'too_many_connections': 1}
        async with welcomed(server.port, role='sender') as (_, _):
            await viewer.expect('peer_joined')
            with pytest.raises(InvalidStatus):
                async with wire_client(server.port, role='sender'):
                    pass
        await viewer.expect('peer_left')
    # Of what a stranger wrote into the URL only a little is logged, on one line.
    [line] = [r.getMessage() for r in caplog.records if 'refused' in r.getMessage()][:1]
    assert line == 'refused (1 times so far): all places are taken (max_connections)'
    assert '\n' not in line
    assert len(line) < 80


async def test_the_senders_place_cannot_be_had_by_a_trick():
    async with (
        serving(tokens=TOKENS, max_connections=1) as server,
        welcomed(server.port, token=TOKENS.receiver),
        wire_client(server.port, role='sender') as client,
    ):
        await client.send(type='authenticate', token=TOKENS.receiver, role='receiver')
        code, [error] = await client.closed()
        assert (code, error['code'], error['retry']) == (1013, 'too_many_connections', True)


# What is no message.


async def test_a_binary_message_is_1003():
    async with serving() as server, welcomed(server.port) as (client, _):
        await client.socket.send(b'{}')
        assert await client.closed() == (1003, [])


async def test_text_that_is_no_utf_8_is_1007():
    async with serving() as server, welcomed(server.port) as (client, _):
        await client.socket.send(b'\xff\xfe', text=True)
        assert await client.closed() == (1007, [])


async def test_a_message_may_be_as_large_as_allowed_and_no_larger():
    async with serving(max_message_bytes=2000) as server:
        async with welcomed(server.port) as (client, _):
            whole = json.dumps({'type': 'ping'})
            await client.socket.send(whole + ' ' * (2000 - len(whole)))
            await client.expect('pong')
            await client.socket.send(whole + ' ' * (2001 - len(whole)))
            assert await client.closed() == (1009, [])
        async with welcomed(server.port) as (client, _):
            await client.socket.send([whole, *[' ' * 500] * 4])
            assert await client.closed() == (1009, [])


async def test_more_than_64_fragments_are_1009():
    async with serving() as server, welcomed(server.port) as (client, _):
        transport = client.socket.transport
        transport.write(Frame(Opcode.TEXT, b'', fin=False).serialize(mask=True))
        for _ in range(64):
            transport.write(Frame(Opcode.CONT, b'', fin=False).serialize(mask=True))
        assert await client.closed() == (1009, [])


async def test_what_comes_after_a_violation_is_not_looked_at():
    async with (
        serving() as server,
        welcomed(server.port, role='sender', client_id='camera') as (sender, _),
        welcomed(server.port, client_id='viewer') as (viewer, _),
    ):
        offer = json.dumps({'type': 'offer', 'sdp': SDP}).encode()
        frames = Frame(Opcode.BINARY, b'x'), Frame(Opcode.TEXT, offer)
        viewer.socket.transport.write(b''.join(frame.serialize(mask=True) for frame in frames))
        assert (await viewer.closed())[0] == 1003
        await sender.expect('peer_joined')
        await sender.expect('peer_left')


async def test_frames_before_the_answer_to_the_request_end_the_connection():
    async with serving() as server:
        reader, writer = await asyncio.open_connection('127.0.0.1', server.port)
        writer.write(
            b'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
            b'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n'
            + Frame(Opcode.TEXT, b'{"type": "ping"}').serialize(mask=True)
        )
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(DEADLINE_S):
                answer = await reader.read()
                assert b'pong' not in answer
        writer.close()
        with contextlib.suppress(ConnectionResetError):
            await writer.wait_closed()
        async with welcomed(server.port):
            pass


# Others.


async def test_a_reader_that_stops_is_cut_off_and_the_others_go_on():
    slow_socket = socket.socket()
    slow_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow_socket.setblocking(False)
    async with (
        serving(message_burst=10_000, byte_burst=1_000_000_000) as server,
        welcomed(server.port, role='sender') as (sender, _),
        welcomed(server.port, client_id='other') as (other, _),
    ):
        await sender.expect('peer_joined')
        await asyncio.get_running_loop().sock_connect(slow_socket, ('127.0.0.1', server.port))
        options = {'sock': slow_socket, 'max_queue': 1}
        async with welcomed(server.port, client_id='slow', options=options) as (slow, _):
            await sender.expect('peer_joined')
            slow.socket.transport.pause_reading()
            sent, gone = 0, None
            while gone is None:
                assert sent < 500, 'the server kept more than 30 MB for a client'
                await sender.send(
                    type='ice_candidate',
                    candidate=CANDIDATE,
                    client_id='slow',
                    padding='x' * 60_000,
                )
                await sender.send(
                    type='ice_candidate', candidate=CANDIDATE, sdpMid=str(sent), client_id='other'
                )
                assert (await other.receive())['sdpMid'] == str(sent)
                sent += 1
                with contextlib.suppress(TimeoutError):
                    gone = json.loads(await asyncio.wait_for(sender.socket.recv(), 0.001))
            # What comes for it now waits, until that is too much.
            while gone['type'] == 'error':
                assert gone['code'] == 'peer_unavailable'
                gone = await sender.receive()
            assert (gone['type'], gone['client_id']) == ('peer_left', 'slow')
            assert gone['reason'] == 'connection_lost'
            slow.socket.transport.abort()
        await sender.send(
            type='ice_candidate', candidate=CANDIDATE, sdpMid='last', client_id='other'
        )
        assert (await other.receive())['sdpMid'] == 'last'


async def test_a_client_that_was_away_for_long_gets_everything_at_once_and_stays():
    async with (
        serving(message_burst=10_000, byte_burst=1_000_000_000, resume_window_s=60.0) as server,
        welcomed(server.port, role='sender', client_id='camera') as (sender, _),
    ):
        padding = 'x' * 60_000

        async def send_candidates(first):
            for number in range(first, first + 4):
                await sender.send(
                    type='ice_candidate', candidate=CANDIDATE, client_id='viewer',
                    sdpMid=str(number), padding=padding, msg_id=str(number),
                )  # fmt: skip
                assert (await sender.expect('ack'))['msg_id'] == str(number)

        async with welcomed(server.port, client_id='viewer') as (viewer, welcome):
            await sender.expect('peer_joined')
            await send_candidates(0)
            for number in range(4):
                assert (await viewer.receive())['sdpMid'] == str(number)
            viewer.socket.transport.abort()
            await until(lambda: server.snapshot().away == 1, 'the viewer away')
        await send_candidates(4)
        async with wire_client(server.port, auth='message') as viewer:
            for connection in server._sockets:  # else the kernel takes it all
                sock = connection.transport.get_extra_info('socket')
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            # Nothing of what was sent has been seen: all of it comes again, and what waited.
            await viewer.send(
                type='authenticate', token='', client_id='viewer', role='receiver',
                resume_token=welcome['resume_token'], last_seq=0,
            )  # fmt: skip
            assert (await viewer.expect('connected'))['resumed']
            for number in range(8):
                assert (await viewer.receive())['sdpMid'] == str(number)
        assert server.snapshot().too_slow == 0


async def test_who_reads_nothing_and_sends_no_more_is_let_go():
    slow_socket = socket.socket()
    slow_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow_socket.setblocking(False)
    async with (
        serving(message_burst=10_000, byte_burst=1_000_000_000) as server,
        welcomed(server.port, role='sender') as (sender, _),
    ):
        await asyncio.get_running_loop().sock_connect(slow_socket, ('127.0.0.1', server.port))
        options = {'sock': slow_socket, 'max_queue': 1}
        async with welcomed(server.port, client_id='slow', options=options) as (slow, _):
            await sender.expect('peer_joined')
            slow.socket.transport.pause_reading()
            # Unsent, but not so much that it is cut off for that.
            transport = server.clients['slow'].link.transport
            while not transport.get_write_buffer_size():
                padding = 'x' * 60_000
                await sender.send(type='ice_candidate', candidate=CANDIDATE, padding=padding)
                await sender.send(type='ping')
                await sender.expect('pong')
            slow.socket.transport.write_eof()
            left = await sender.expect('peer_left')
            assert (left['client_id'], left['reason']) == ('slow', 'connection_lost')
            slow.socket.transport.abort()


async def test_a_peer_that_answers_no_ping_is_let_go():
    async with (
        serving(timeout_s=0.6) as server,
        welcomed(server.port, role='sender') as (sender, _),
        welcomed(server.port, client_id='mute') as (mute, _),
    ):
        await sender.expect('peer_joined')
        mute.socket.transport.pause_reading()
        left = await sender.expect('peer_left')
        assert (left['client_id'], left['reason']) == ('mute', 'connection_lost')
        mute.socket.transport.abort()


async def test_shutting_down_closes_every_connection_with_1001():
    async with contextlib.AsyncExitStack() as clients:
        async with serving(tokens=TOKENS) as server:
            first, _ = await clients.enter_async_context(
                welcomed(server.port, token=TOKENS.receiver)
            )
            second, _ = await clients.enter_async_context(
                welcomed(server.port, role='sender', token=TOKENS.sender)
            )
            entering = await clients.enter_async_context(wire_client(server.port))
            port = server.port
        for client in (first, second, entering):
            assert (await client.closed())[0] == 1001
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection('127.0.0.1', port)


async def test_a_port_in_use_is_named():
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError) as error:
            async with serving(port=port):
                pass
    assert (error.value.name, error.value.value) == ('port', port)
    assert 'foxglove_bridge' in str(error.value)


async def test_an_address_of_another_machine_is_named():
    with pytest.raises(ConfigurationError) as error:
        async with serving(host='192.0.2.1'):
            pass
    assert (error.value.name, error.value.value) == ('host', '192.0.2.1')


async def test_snapshots_come_on_each_change():
    snapshots = []
    async with serving(on_snapshot=snapshots.append) as server:
        async with welcomed(server.port, role='sender'), welcomed(server.port) as (viewer, _):
            await until(
                lambda: snapshots and (snapshots[-1].senders, snapshots[-1].receivers) == (1, 1),
                'both counted',
            )
            await viewer.send(type='offer')
            await viewer.expect('error')
        await until(
            lambda: (snapshots[-1].senders, snapshots[-1].receivers) == (0, 0), 'none counted'
        )
    last = snapshots[-1]
    assert last.url == f'ws://127.0.0.1:{server.port}/'
    assert (last.connections, last.received.messages) == (2, {'invalid': 1})
    assert last.errors == {'invalid_message': 1}
    # Two welcomes, peer_joined to the sender, the error; peer_left may find nobody to tell.
    assert sum(last.sent.messages.values()) in (4, 5)


async def test_a_snapshot_of_a_change_has_what_changed():
    snapshots = []
    async with (
        serving(on_snapshot=snapshots.append) as server,
        welcomed(server.port, role='sender'),
    ):
        await until(lambda: snapshots, 'the first snapshot')
        assert (snapshots[0].senders, snapshots[0].connections) == (1, 1)


async def test_only_the_stats_that_are_passed_on_count_as_a_set_up():
    async with (
        serving(message_burst=5) as server,
        welcomed(server.port, role='sender'),
        welcomed(server.port) as (viewer, _),
    ):
        await viewer.send(type='offer', sdp=SDP)
        await viewer.send(type='stats', setup_ms=120.0, msg_id='first')
        await viewer.expect('ack')
        # The same again is only acknowledged again; and one of a message too many is refused.
        await viewer.send(type='stats', setup_ms=120.0, msg_id='first')
        await viewer.expect('ack')
        for _ in range(6):
            await viewer.send(type='stats', setup_ms=120.0, msg_id='other', sender_id='who')
            await viewer.expect('error')
        assert server.snapshot().connected_s.count == 1


async def test_a_disconnection_of_all_counts_the_connections():
    async with (
        serving(resume_window_s=60.0, tokens=TOKENS) as server,
        welcomed(server.port, token=TOKENS.receiver) as (away, _),
        welcomed(server.port, role='sender', token=TOKENS.sender) as (sender, _),
        wire_client(server.port) as entering,
    ):
        away.socket.transport.abort()
        await until(lambda: server.snapshot().away == 1, 'one away')
        assert server.disconnect_all('a test asked for it') == 2
        for client in (sender, entering):
            assert (await client.closed())[0] == 1001


@pytest.mark.parametrize(
    ('host', 'url'), [('127.0.0.1', 'ws://127.0.0.1:'), ('::1', 'ws://[::1]:')]
)
async def test_the_url_names_the_address_as_a_url_does(host, url):
    async with serving(host=host) as server:
        assert server.url == f'{url}{server.port}/'


async def test_a_silent_socket_holds_up_no_stop():
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(auth_timeout_s=60.0))
        reader, writer = await asyncio.open_connection('127.0.0.1', server.port)
        # The server takes connections in their order, so it has the silent one by now.
        await http(server.port, 'GET /healthz HTTP/1.1')
        async with asyncio.timeout(DEADLINE_S):
            await stack.aclose()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b''
        writer.close()


async def test_snapshots_come_each_second_too():
    snapshots = []
    async with serving(on_snapshot=snapshots.append):
        await until(lambda: len(snapshots) >= 2, 'a second snapshot')


async def test_who_comes_and_goes_is_logged_once(caplog):
    caplog.set_level(logging.INFO, 'rtc_signaling')
    async with serving() as server:
        async with welcomed(server.port, role='sender', client_id='camera'):
            pass
        await until(lambda: not server.clients, 'the sender gone')
    lines = [r.getMessage() for r in caplog.records if r.name.startswith('rtc_signaling')]
    assert lines == [
        f'bound on 127.0.0.1 port {server.port}',
        'sender camera: ready (connected)',
        'sender camera: closed (left)',
    ]
