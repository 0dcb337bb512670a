"""The ROS face of the server: topics, diagnostics, live parameters and services, over real DDS."""

from __future__ import annotations

import json
import select

import pytest
from certificates import make_certificate
from diagnostic_msgs.msg import DiagnosticStatus
from raw_socket import PING, RawSocket, frame
from ros_stage import DEADLINE_S, url_and_token, values
from std_msgs.msg import Float64, UInt32
from std_srvs.srv import Trigger
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

OK, WARN = DiagnosticStatus.OK, DiagnosticStatus.WARN
NODE = '/signaling_server'


def entered(port, address=''):
    """Return a connection that was let in without a token."""
    client = RawSocket(port, address=address)
    assert client.upgrade()[0] == 101
    client.expect('connected')
    return client


def refusal(port, address):
    """Return the status and the head of the answer to one more connection of this address."""
    with RawSocket(port, address=address) as client:
        return client.upgrade()


def test_the_server_reports_its_parts_and_its_errors(start, observer):
    process = start('signaling_server', 'auth.mode:=none', remap=['__ns:=/robot1'])
    port, _ = url_and_token(process)
    errors = observer.listen('/robot1/signaling/errors')
    numbers = {
        name: observer.hear(f'/robot1/signaling/{name}', kind)
        for name, kind in (
            ('active_connections', UInt32), ('message_rate', Float64), ('error_rate', Float64),
        )
    }  # fmt: skip
    name = 'robot1/signaling_server'
    with connect(f'ws://127.0.0.1:{port}/?client_id=v1', proxy=None) as viewer:
        observer.spin_until(
            lambda: any(m.data == 1 for m in numbers['active_connections']), 'nobody is counted'
        )
        viewer.send('what?')
        observer.spin_until(lambda: any('invalid_json' in e.message for e in errors), 'no error')
        for rate in ('message_rate', 'error_rate'):
            observer.spin_until(
                lambda rate=rate: any(m.data > 0 for m in numbers[rate]), f'no {rate}'
            )
        observer.spin_until(
            lambda: (found := observer.part(f'{name}: errors')) and values(found)['errors'] == '1',
            'the error is not in /diagnostics',
        )
    error = next(e for e in errors if 'invalid_json' in e.message)
    assert error.level == WARN
    assert error.name == f'{name}: error'
    for part, words in (
        ('server', 'running at ws://127.0.0.1:'), ('connections', 'no robot is connected'),
        ('latency', ''),
    ):  # fmt: skip
        report = observer.part(f'{name}: {part}')
        assert report.message.startswith(words)
        assert report.hardware_id == 'rtc_signaling'


def test_a_live_parameter_acts_at_once_and_others_are_refused_with_a_reason(start, observer):
    process = start('signaling_server', 'auth.mode:=none', 'max_connections:=1')
    port, _ = url_and_token(process)
    url = f'ws://127.0.0.1:{port}/'
    with connect(url, proxy=None):
        observer.wait_for_part('signaling_server: connections', WARN, 'all 1 places are taken')
        with pytest.raises(InvalidStatus), connect(url, proxy=None):
            pass
        assert observer.set(NODE, 'max_connections', 2) == (True, '')
        with connect(url, proxy=None) as second:
            assert json.loads(second.recv(DEADLINE_S))['type'] == 'connected'
    done, reason = observer.set(NODE, 'port', 1)
    assert not done
    assert 'read-only' in reason
    done, reason = observer.set(NODE, 'max_connections', 0)
    assert not done
    assert 'max_connections' in reason
    assert observer.set(NODE, 'log_level', 'loud') == (
        False, "log_level = 'loud': must be one of default, debug, info, warn, error",
    )  # fmt: skip
    # What was set is told, and so it is seen what is logged.
    process.wait_for_output('set max_connections to 2', DEADLINE_S)
    assert observer.set(NODE, 'log_level', 'warn')[0]
    assert observer.set(NODE, 'max_connections', 3)[0]
    assert observer.set(NODE, 'log_level', 'debug')[0]
    process.wait_for_output('set log_level to debug', DEADLINE_S)
    assert 'set max_connections to 3' not in process.output


def test_the_limits_of_a_client_are_live(start, observer):
    process = start('signaling_server', 'auth.mode:=none', 'max_message_size:=1024')
    port, _ = url_and_token(process)

    def refused(*sizes):
        """Return what a client is told that sends pings of these sizes."""
        client.send(b''.join(frame(b'{"type":"ping"}'.ljust(size)) for size in sizes))
        for _ in sizes:
            message = client.message()
            if message['type'] == 'error':
                assert message['code'] == 'rate_limited'
                return message['message']
        return None

    with entered(port) as client:
        assert refused(900, 900) is None
        # Rates so low that a slow machine may take 10 s between the two, or almost one.
        for name, value in (('message_rate', 0.1), ('message_burst', 1)):
            assert observer.set(NODE, f'limits.{name}', value)[0]
        assert refused(20, 20).startswith('more than 0.1 messages')
        for name, value in (('message_burst', 9), ('byte_rate', 1024.0), ('byte_burst', 1024)):
            assert observer.set(NODE, f'limits.{name}', value)[0]
        assert refused(1000, 1000).endswith('1024 bytes per s')
        client.send(frame(opcode=PING) * 3)
        assert observer.set(NODE, 'limits.control_rate', 1.0)[0]
        client.send(frame(opcode=PING) * 3)
        assert client.end() == 4429


def test_the_limits_of_an_address_are_live(start, observer):
    port, token = url_and_token(start('signaling_server'))
    busy, guessing = '127.0.0.98', '127.0.0.99'
    for name, value in (('connection_rate', 0.1), ('connection_burst', 1), ('failed_logins', 1)):
        assert observer.set(NODE, f'limits.{name}', value)[0]
    with RawSocket(port, address=busy) as client:
        client.enter(token)
    status, head = refusal(port, busy)
    assert status == 429
    # Of the 10 s that a rate of 0.1 Hz means some have passed.
    wait_s = next(line for line in head.lower().splitlines() if line.startswith('retry-after:'))
    assert 1 < int(wait_s.partition(':')[2]) <= 10
    assert observer.set(NODE, 'limits.connection_rate', 1e6)[0]
    with RawSocket(port, address=busy) as client:
        client.enter(token)
    with RawSocket(port, address=guessing) as client:
        client.upgrade(Authorization='Bearer wrong')
        assert client.end() == 4401
    with RawSocket(port, address=guessing) as client:
        assert client.upgrade(Authorization=f'Bearer {token}')[0] == 429
    assert observer.set(NODE, 'limits.failed_logins', 2)[0]
    with RawSocket(port, address=guessing) as client:
        client.enter(token)


def test_the_thresholds_of_errors_and_of_pings_are_live(start, observer):
    # A ping each 2 s; who answers none of them in 6 s is cut off.
    port, _ = url_and_token(start('signaling_server', 'auth.mode:=none', 'timeout:=6.0'))
    statuses = observer.listen('/signaling/status')
    latency = observer.hear('/signaling/latency', Float64)
    with entered(port) as client:
        observer.spin_until(
            lambda: select.select([client.socket], [], [], 0)[0], 'the client was not pinged'
        )
        # It is slow: it answers when two more statuses have come, which takes a second.
        slow = len(statuses) + 2
        observer.spin_until(lambda: len(statuses) >= slow, 'no statuses')
        assert client.read()[0] == PING
        observer.wait_for_part(
            'signaling_server: latency', WARN, r'^pings take \d+ ms, more than warn\.latency$'
        )
        assert observer.set(NODE, 'warn.latency', 60.0)[0]
        observer.wait_for_part('signaling_server: latency', OK, r'^pings take \d+ ms$')
        observer.spin_until(lambda: any(m.data > 0.5 for m in latency), 'no latency')
        errors = 'signaling_server: errors'
        assert observer.set(NODE, 'warn.error_rate', 0.0)[0]
        client.send(frame(b'what?'))
        observer.wait_for_part(errors, WARN, r'errors a second, more than warn\.error_rate$')


def test_a_certificate_that_became_unusable_is_told(start, observer, tmp_path):
    certificate, key = make_certificate(tmp_path / 'tls', 'robot')
    start(
        'signaling_server', f'tls.certificate:={certificate}', f'tls.key:={key}', wait=False
    ).wait_for_output('open https://', DEADLINE_S)
    part = 'signaling_server: server'
    assert values(observer.wait_for_part(part, OK, '^running at wss://'))['tls'] == 'yes'
    certificate.write_text('no certificate')
    observer.wait_for_part(part, DiagnosticStatus.ERROR, r'^tls\.certificate = ')


def test_disconnect_all_closes_and_says_how_many(start, observer):
    process = start('signaling_server', 'auth.mode:=none')
    port, _ = url_and_token(process)
    with connect(f'ws://127.0.0.1:{port}/', proxy=None) as viewer:
        viewer.recv(DEADLINE_S)
        answer = observer.call(Trigger, f'{NODE}/disconnect_all', Trigger.Request())
        assert answer.success
        assert answer.message == 'disconnected 1 client(s); they may come back'
        with pytest.raises(ConnectionClosed) as closed:
            viewer.recv(DEADLINE_S)
    assert closed.value.rcvd.code == 1001


def enter(port, token):
    """Return the type of the answer to a viewer with this token."""
    with connect(
        f'ws://127.0.0.1:{port}/', proxy=None,
        additional_headers={'Authorization': f'Bearer {token}'},
    ) as client:  # fmt: skip
        return json.loads(client.recv(DEADLINE_S))['type']


def test_rotate_token_puts_the_old_token_out_of_use(start, observer, tmp_path):
    process = start('signaling_server')
    port, old = url_and_token(process)
    file = tmp_path / 'rtc_signaling' / 'tokens.json'
    assert enter(port, old) == 'connected'
    answer = observer.call(Trigger, f'{NODE}/rotate_token', Trigger.Request())
    assert answer.success
    assert str(file) in answer.message
    new = json.loads(file.read_text())['receiver']
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ['tokens.json']
    assert new != old
    assert new not in answer.message
    assert (enter(port, old), enter(port, new)) == ('error', 'connected')


def test_without_tokens_there_are_none_to_rotate(start, observer):
    start('signaling_server', 'auth.mode:=none')
    answer = observer.call(Trigger, f'{NODE}/rotate_token', Trigger.Request())
    assert (answer.success, answer.message) == (
        False, "auth.mode = 'none': there are no tokens to change",
    )  # fmt: skip
