"""Attacks on the real server, over real sockets, while a robot and a viewer talk through it.

Each test is one attack; what must hold besides its own assertions is in `Stage.attack`: no message
of the session is lost or late, the memory is flat, and the log is short. Run with `-s` to see the
figures.
"""

from __future__ import annotations

import contextlib
import json
import resource
import select
import socket
import time

import pytest
from raw_socket import (
    BINARY,
    CLOSE,
    CONT,
    DEADLINE_S,
    PING,
    PONG,
    TEXT,
    RawSocket,
    frame,
    new_address,
    request,
)  # fmt: skip
from under_attack import OFFER, number_of, numbered, running_stage, small_sdp

HARMLESS = frame(b'{"type": "ping"}')
MAX_SOCKETS = 10 + 64


@pytest.fixture(scope='module')
def stage(tmp_path_factory):
    with running_stage(tmp_path_factory.mktemp('attacks')) as running:
        yield running


def pour(attacker, data, seconds, *, until=lambda: False):
    """Write `data` again and again until the server hangs up; return how many bytes it took."""
    taken, deadline_s = 0, time.monotonic() + seconds
    attacker.socket.setblocking(False)
    try:
        while time.monotonic() < deadline_s and not until():
            try:
                taken += attacker.socket.send(data[taken % len(data) :])
            except BlockingIOError:
                select.select([], [attacker.socket], [], 0.1)
    except ConnectionError:
        pass
    attacker.socket.settimeout(DEADLINE_S)
    return taken


def closes(attacker):
    """Return a function that reads what is there, and tells whether a close frame was in it."""

    def look():
        try:
            while attacker.read() is not None:
                if attacker.close_code:
                    return True
        except BlockingIOError:
            return False
        return True

    return look


# Connections that want to last.


def test_slow_handshake(stage):
    with stage.attack(), contextlib.ExitStack() as stack:
        address = new_address()
        drippers = [stack.enter_context(stage.socket(address=address)) for _ in range(15)]
        text = request(stage.port, X_Filler='x' * 400)
        start_s = time.monotonic()
        open_ones = list(drippers)
        for index in range(len(text)):
            for dripper in list(open_ones):
                try:
                    dripper.send(text[index : index + 1])
                except ConnectionError:
                    open_ones.remove(dripper)
            if not open_ones:
                break
            select.select([], [], [], 0.03)
        assert not open_ones, 'the handshake is endless'
        assert time.monotonic() - start_s < 4.0


def test_silent_after_connect(stage):
    with stage.attack(), contextlib.ExitStack() as stack:
        silent = [stack.enter_context(stage.socket()) for _ in range(5)]
        for attacker in silent:
            assert attacker.upgrade()[0] == 101
        for attacker in silent:
            assert attacker.expect('error')['code'] == 'timeout'
            assert attacker.end() == 4408


def test_half_open_socket(stage):
    with stage.attack(), stage.socket(receive_bytes=4096) as attacker:
        attacker.enter(stage.receiver_token, 'half-open')
        # It answers no ping and never says another word, as one whose network is gone.
        frames = []
        while (got := attacker._parse()) is not None or attacker._fill():
            if got is not None:
                frames.append(got)
        pings = [payload for opcode, payload in frames if opcode == PING]
        assert len(pings) == len(set(pings)) == 2
        opcode, payload = frames[-1]
        assert opcode == CLOSE
        assert int.from_bytes(payload[:2]) == 4408
    stage.process.wait_for_output(r'half-open: (away|closed)', DEADLINE_S)


@pytest.mark.parametrize(
    ('last', 'reason'),
    [
        (frame((1000).to_bytes(2), CLOSE), 'left'),
        (frame(b'', CLOSE), 'connection_lost'),
        (frame(b'{}', rsv=0b010), 'refused'),
    ],
    ids=['goodbye', 'close', 'wrong'],
)
def test_a_last_word_on_a_socket_that_stays_open(stage, last, reason):
    with stage.attack(), stage.socket() as attacker:
        name = f'lingering-{reason}'
        attacker.enter(stage.receiver_token, name)
        attacker.send(last)
        stage.process.wait_for_output(rf'{name}: (closed|away) \({reason[:10]}', DEADLINE_S)


# Fragments.


def test_fragmented_giant(stage):
    with stage.attack(growth_mb=15), stage.socket() as attacker:
        attacker.enter(stage.receiver_token)
        part = b'x' * 16_000
        attacker.send(frame(part, TEXT, fin=False))
        taken = pour(attacker, frame(part, CONT, fin=False) * 100, 10.0, until=closes(attacker))
        assert attacker.end() == 1009
        assert taken < 50e6


@pytest.mark.parametrize('payload', [b'', b'x'])
def test_endless_fragments(stage, payload):
    with stage.attack(growth_mb=15), stage.socket() as attacker:
        attacker.enter(stage.receiver_token)
        attacker.send(frame(payload, TEXT, fin=False))
        parts = frame(payload, CONT, fin=False) * 10_000
        pour(attacker, parts, 10.0, until=closes(attacker))
        assert attacker.end() == 1009


@pytest.mark.parametrize('size', [65_537, 2**31, 2**62])
def test_a_header_that_promises_a_giant(stage, size):
    with stage.attack(), stage.socket() as attacker:
        attacker.enter(stage.receiver_token)
        attacker.send(frame(b'x' * 1000, TEXT, size=size))
        assert attacker.end() == 1009


# Control frames.


def test_ping_flood_that_reads(stage):
    with stage.attack(growth_mb=2), stage.socket() as attacker:
        attacker.enter(stage.receiver_token)
        pour(attacker, frame(b'p' * 125, PING) * 500, 10.0, until=closes(attacker))
        assert attacker.end() == 4429


def test_ping_flood_that_never_reads(stage):
    with stage.attack(growth_mb=2), stage.socket(receive_bytes=4096) as attacker:
        attacker.enter(stage.receiver_token)
        taken = pour(attacker, frame(b'p' * 125, PING) * 500, 10.0)
        assert taken < 50e6, 'nothing stops it'


def test_pong_flood(stage):
    with stage.attack(growth_mb=2), stage.socket() as attacker:
        attacker.enter(stage.receiver_token)
        pour(attacker, frame(b'', PONG) * 1000, 10.0, until=closes(attacker))
        assert attacker.end() == 4429


WRONG_FRAMES = {
    'an unmasked frame': (frame(b'{}', masked=False), 1002),
    'a reserved opcode': (frame(b'{}', 0x3), 1002),
    'a reserved control opcode': (frame(b'', 0xB), 1002),
    'a reserved bit': (frame(b'{}', rsv=0b010), 1002),
    'a deflated frame': (frame(b'\xc2\x00\x00\x00', rsv=0b100), 1002),
    'a continuation of nothing': (frame(b'{}', CONT), 1002),
    'a message within a message': (frame(b'{', fin=False) + frame(b'{}'), 1002),
    'a ping in fragments': (frame(b'', PING, fin=False), 1002),
    'an oversize ping': (frame(b'p' * 126, PING), 1002),
    'an oversize close': (frame(b'\x03\xe8' + b'c' * 124, CLOSE), 1002),
    'a close code of one byte': (frame(b'\x03', CLOSE), 1002),
    'a close code that is none': (frame((999).to_bytes(2), CLOSE), 1002),
    'a close code for nobody': (frame((1005).to_bytes(2), CLOSE), 1002),
    'a close code beyond all': (frame((65535).to_bytes(2), CLOSE), 1002),
    'a close reason that is no UTF-8': (frame(b'\x03\xe8\xff', CLOSE), 1007),
    'a binary message': (frame(b'{}', BINARY), 1003),
    'text that is no UTF-8': (frame(b'{"type": "\xff"}'), 1007),
    'UTF-8 cut in two': (frame(b'"\xc3', fin=False) + frame(b'"', CONT), 1007),
    'an encoded surrogate': (frame(b'"\xed\xa0\x80"'), 1007),
}


def test_wrong_frames(stage):
    with stage.attack(lines=3 * len(WRONG_FRAMES)):
        for name, (data, code) in WRONG_FRAMES.items():
            with stage.socket() as attacker:
                attacker.enter(stage.receiver_token)
                attacker.send(data)
                assert attacker.end() == code, name


def test_deflate_bomb(stage):
    with stage.attack(), stage.socket() as attacker:
        status, head = attacker.upgrade(
            Authorization=f'Bearer {stage.receiver_token}',
            Sec_WebSocket_Extensions='permessage-deflate; client_max_window_bits',
        )
        assert status == 101
        assert 'extensions' not in head.lower()
        # What it is not told to do it does not do: 64 kB of it would inflate to 64 MB.
        attacker.send(frame(b'\x00' * 65_000, rsv=0b100))
        assert attacker.end() == 1002


# Messages.


def bad_messages():
    """Yield what is no message, and the code of the error that answers it."""
    yield 'deep lists', b'[' * 60_000, 'invalid_json'
    yield 'deep objects', b'{"a":' * 10_000, 'invalid_json'
    deep = b'[' * 20_000 + b']' * 20_000
    yield 'depth where it is ignored', b'{"type":"ping","x":' + deep + b'}', 'invalid_json'
    candidate = b'{"type":"ice_candidate","candidate":"","x":' + deep + b'}'
    yield 'depth where it is kept', candidate, 'invalid_json'
    # As deep as reading bears, and writing does not.
    for levels in (33, 960, 980):
        deep = b'[' * levels + b']' * levels
        candidate = b'{"type":"ice_candidate","candidate":"","x":' + deep + b'}'
        yield f'{levels} levels where they are kept', candidate, 'invalid_message'
    yield 'an infinite number', b'{"type":"stats","fps":1e999}', 'invalid_message'
    yield (
        'a number of 400 digits',
        b'{"type":"stats","fps":' + b'9' * 400 + b'}',
        'invalid_message',
    )
    big = b'{"type":"authenticate","token":"","last_seq":' + b'9' * 60_000 + b'}'
    yield 'an integer of 60,000 digits', big, 'invalid_message'
    yield 'NaN', b'{"type":"stats","fps":NaN}', 'invalid_json'
    yield 'a lone surrogate', b'{"type":"offer","sdp":"\\ud800"}', 'invalid_json'
    yield 'a list', b'[]', 'invalid_json'
    yield 'nothing', b'', 'invalid_json'
    yield 'an unknown type', b'{"type":"__class__"}', 'invalid_message'
    yield 'a type that is none', b'{"type":{"type":"offer"}}', 'invalid_message'


def test_messages_that_are_none(stage):
    # One line of each kind of error a second, and two for each client.
    with stage.attack(lines=40):
        for name, data, code in bad_messages():
            with stage.socket() as attacker:
                attacker.enter(stage.receiver_token)
                attacker.send(frame(data))
                error = attacker.expect('error')
                assert error['code'] == code, (name, error)
                assert len(error['message']) < 300, name
                attacker.send(frame(b'{"type": "ping", "msg_id": "still here"}'))
                assert attacker.expect('pong')['msg_id'] == 'still here', name


def test_nonsense_without_end(stage):
    with stage.attack(lines=10), stage.socket() as attacker:
        attacker.enter(stage.receiver_token)
        pour(attacker, frame(b'[' * 1000) * 100, 10.0, until=closes(attacker))
        assert attacker.end() == 4400


def test_words_for_the_log(stage):
    """What a stranger says stands in one line of the log, short, or not at all."""
    with stage.attack(lines=6):
        for words in ('x\nERROR fake', '\x1b[2J\r\u2028', 'y' * 60_000):
            with stage.socket() as attacker:
                assert attacker.upgrade('/?auth=message')[0] == 101
                attacker.say(type=words)
                assert len(attacker.expect('error')['message']) < 300
    lines = stage.output.splitlines()
    assert not any(line.startswith('ERROR') or '\x1b' in line for line in lines)
    assert max(map(len, lines)) < 400


def test_duplicate_keys(stage):
    with (
        stage.attack(lines=8),
        stage.socket() as robot,
        stage.socket() as attacker,
    ):
        robot.enter(stage.sender_token, 'other-camera', 'sender')
        attacker.enter(stage.receiver_token, 'attacker')
        sdp = json.dumps(OFFER)
        for names in ('"client_id":"pilot","client_id":"attacker"', '"client_id":"attacker"'):
            text = f'{{"type":"leave",{names},"sender_id":"other-camera","sdp":{sdp}'
            attacker.send(frame(f'{text},"type":"offer"}}'.encode()))
        attacker.say(type='ping', msg_id='done')
        # Either it is refused, or the last one counts and only that is passed on.
        kinds = set()
        while (message := attacker.message())['type'] != 'pong':
            kinds.add(message['type'])
        assert kinds <= {'error'}
        attacker.say(type='offer', sdp=numbered(OFFER, 7), sender_id='other-camera')
        while (got := robot.read()) is not None:
            if got[0] == TEXT and json.loads(got[1])['type'] == 'offer':
                assert got[1].count(b'client_id') == 1
                assert json.loads(got[1])['client_id'] == 'attacker'
                if b'o=- 7' in got[1]:
                    break


def test_a_spoofed_client_id(stage):
    with stage.attack(lines=8), stage.socket() as attacker, stage.socket() as thief:
        attacker.enter(stage.receiver_token, 'attacker')
        attacker.say(type='offer', sdp=OFFER, client_id='pilot', sender_id='camera')
        assert attacker.expect('error')['code'] == 'forbidden_client_id'
        attacker.say(type='offer', sdp=OFFER, sender_id='pilot')
        assert attacker.expect('error')['code'] == 'peer_unavailable'
        # The robot's name is the robot's.
        thief.upgrade('/?client_id=camera', Authorization=f'Bearer {stage.receiver_token}')
        assert thief.expect('error')['code'] == 'name_taken'
        assert thief.end() == 4423


def test_a_replayed_resume_token(stage):
    with stage.attack(lines=12):
        with stage.socket() as victim:
            token = victim.enter(stage.receiver_token, 'victim')['resume_token']
        resumed = []
        with contextlib.ExitStack() as stack:
            for _ in range(2):
                client = stack.enter_context(stage.socket())
                assert client.upgrade('/?auth=message')[0] == 101
                client.say(
                    type='authenticate', token=stage.receiver_token, client_id='victim',
                    resume_token=token, last_seq=0,
                )  # fmt: skip
                resumed.append(client.expect('connected')['resumed'])
        assert resumed == [True, False]


def test_a_sender_that_floods(stage):
    with stage.attack(lines=10), stage.socket() as attacker:
        attacker.enter(stage.sender_token, 'flooder', 'sender')
        pour(attacker, HARMLESS * 100, 10.0, until=closes(attacker))
        assert attacker.end() == 4429


def test_floods_of_offers_to_the_robot(stage):
    """Two hundred offers at once are allowed; the robot gets them and goes on."""
    with stage.attack(lines=10), stage.socket() as attacker:
        attacker.enter(stage.receiver_token, 'eager')
        offer = json.dumps({'type': 'offer', 'sdp': small_sdp(1), 'sender_id': 'camera'})
        pour(attacker, frame(offer.encode()) * 50, 10.0, until=closes(attacker))
        assert attacker.end() == 4429


def test_a_reader_that_never_reads(tmp_path):
    # The robot may send as fast as it can, or the system's own buffers (2.5 MB) take a minute.
    limits = {f'limits.{name}': 10_000_000 for name in ('message_rate', 'byte_rate', 'byte_burst')}
    with (
        running_stage(tmp_path, **limits | {'limits.message_rate': 1e6}) as stage,
        stage.attack(growth_mb=2, lines=10),
        stage.socket() as robot,
        stage.socket(receive_bytes=2048) as stalled,
        stage.socket() as other,
    ):
        robot.enter(stage.sender_token, 'busy', 'sender')
        stalled.enter(stage.receiver_token, 'stalled')
        other.enter(stage.receiver_token, 'other')
        count = 0
        while 'receiver stalled: away' not in stage.output:
            assert count < 5000, 'the server keeps all of it'
            for _ in range(20):
                robot.say(type='offer', sdp=small_sdp(count), client_id='stalled')
            count += 20
            robot.say(type='offer', sdp=small_sdp(count), client_id='other')
            assert number_of(other.expect('offer')['sdp']) == count
        print(f'cut off after {count} messages of 2 kB')
        assert stalled.end() in (1006, 4413)


# Credentials and places.


def test_token_brute_force(stage):
    address = new_address()
    with stage.attack(lines=8):
        statuses = []
        for number in range(40):
            with stage.socket(address=address) as attacker:
                status, _ = attacker.upgrade(Authorization=f'Bearer guess-{number:032}')
                statuses.append(status)
                if status == 101:
                    assert attacker.expect('error')['code'] == 'unauthorized'
                    assert attacker.end() == 4401
        assert statuses.count(101) <= 11
        assert statuses[-1] == 429


@pytest.mark.parametrize('way', ['foreign Origin', 'DNS rebinding'])
def test_pages_of_others(stage, way):
    origin = 'http://evil.example'
    host = f'evil.example:{stage.port}' if way == 'DNS rebinding' else ''
    if host:
        origin = f'http://{host}'
    with stage.attack(lines=4):
        for _ in range(200):
            with stage.socket() as attacker:
                authorization = f'Bearer {stage.receiver_token}'
                status, _ = attacker.upgrade(host=host, Origin=origin, Authorization=authorization)
                assert status == 403


def test_two_thousand_connections(stage):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    idle_files = stage.open_files()
    # Those that are over the limit are seen for a moment before they are closed.
    most = 0
    with stage.attack(growth_mb=20) as talk, contextlib.ExitStack() as stack:
        address = new_address()
        for number in range(2000):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.bind((address, 0))
            client.connect_ex(('127.0.0.1', stage.port))
            if number % 50 == 0:
                most = max(most, stage.open_files())
        for _ in range(5):
            talk.wait_for_rounds(2)
            most = max(most, stage.open_files())
        print(f'{most - idle_files} more sockets in the server at most')
        assert most - idle_files < 2000
        settled = stage.open_files() - idle_files
        assert settled <= MAX_SOCKETS + 2, settled


def test_a_slow_crowd_keeps_no_robot_out(stage):
    """All sockets that one address may have leave room for a robot that comes now."""
    with stage.attack(lines=10), contextlib.ExitStack() as stack:
        address = new_address()
        for _ in range(200):
            attacker = stack.enter_context(stage.socket(address=address))
            with contextlib.suppress(ConnectionError):
                attacker.send(b'GET / HTTP/1.1\r\n')
        with stage.socket() as robot:
            assert robot.enter(stage.sender_token, 'robot-2', 'sender')['role'] == 'sender'


# Plain HTTP.


def test_plain_requests_in_masses(stage):
    paths = ('/', '/metrics', '/healthz', '/viewer.js', '/nothing', '/../../etc/passwd')
    with stage.attack(lines=4):
        statuses = set()
        for number in range(300):
            with stage.socket() as attacker:
                head = f'GET {paths[number % len(paths)]} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'
                attacker.send(head.encode())
                statuses.add((paths[number % len(paths)], attacker.response()[0]))
        assert statuses == {
            ('/', 200), ('/metrics', 401), ('/healthz', 200), ('/viewer.js', 200),
            ('/nothing', 404), ('/../../etc/passwd', 404),
        }  # fmt: skip


@pytest.mark.parametrize(
    'data',
    [
        b'X-Header: ' + b'x' * 1000 + b'\r\n',
        b'X: y\r\n',
        b'no end of a line ',
        b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
        b'\0',
    ],
    ids=['large headers', 'many headers', 'one endless line', 'TLS', 'zeros'],
)
def test_header_flood(stage, data):
    with stage.attack(growth_mb=5), stage.socket() as attacker:
        attacker.send(b'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n')
        taken = pour(attacker, data * (100_000 // len(data)), 5.0)
        assert taken < 20e6, 'nothing stops it'
        try:
            status = attacker.response()[0]
        except ConnectionError:
            status = 0
        assert status in (0, 400, 414, 431)


@pytest.mark.parametrize(
    'head',
    [
        'POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000000\r\n\r\n',
        'GET / HTTP/1.1\r\n\r\n',
        'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
        'GET http://[ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n',
        'GET //[ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n',
        'GET / HTTP/1.1\r\nHost: [\r\n\r\n',
        'GET / HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n',
        'GET /\xff\xfe HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n',
        '\r\n\r\n',
    ],
)
def test_requests_that_are_none(stage, head):
    with stage.attack(lines=4), stage.socket() as attacker:
        attacker.send(head.encode('latin-1'))
        try:
            status, _ = attacker.response()
        except ConnectionError:
            status = 0
        assert status in (0, 400, 403, 404, 405)


def test_many_upgrades_with_wrong_urls(stage):
    paths = ('//[', '/?client_id=%ff', '/?role=%00', '/?client_id=' + 'x' * 5000)
    with stage.attack(lines=16):
        for path in paths:
            with stage.socket() as attacker:
                attacker.upgrade(path, Authorization=f'Bearer {stage.receiver_token}')
                assert attacker.end() in (1006, 4400, 4403)


def test_the_robot_may_still_be_reached(stage):
    """After all of that: the place, the page and the health are as they were."""
    with RawSocket(stage.port) as client:
        client.send(b'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
        assert client.response()[0] == 200
    with stage.attack():
        pass
