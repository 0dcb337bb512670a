"""What the facts of the wire mean."""

from __future__ import annotations

import pytest

from rtc_signaling.doctor import wire_verdicts as wire
from rtc_signaling.doctor.findings import Verdict
from rtc_signaling.doctor.readings import Readings
from rtc_signaling.doctor.target import Target
from rtc_signaling.doctor.wire_verdicts import Login, Reach, TokenSource, Trouble
from rtc_signaling.messages import Connected, Error, Limits, Pong

ROBOT = Target('robot', 8765)
SECURE = Target('robot', 8765, secure=True)
FILE = TokenSource('tokens.json', 'tokens.json')
NONE = TokenSource('', 'the URL and tokens.json')


def welcome(protocol=1):
    return Connected(
        client_id='doctor', role='receiver', protocol=protocol, polite=True, ice_servers=[],
        peers=[], resume_token='', resumed=False, heartbeat_s=10.0, timeout_s=30.0,
        limits=Limits(
            max_message_bytes=1, messages_per_s=1.0, burst=1, queue_messages=1, queue_bytes=1,
            resume_window_s=1.0,
        ),
    )  # fmt: skip


def check(finding, verdict, seen, remedy):
    assert finding.verdict is verdict, finding
    assert seen in finding.seen
    assert remedy in finding.remedy
    assert bool(finding.remedy) == (verdict in (Verdict.WARN, Verdict.FAIL))
    assert bool(finding.tried) == (verdict is not Verdict.SKIP)


@pytest.mark.parametrize(
    ('reach', 'verdict', 'seen', 'remedy'),
    [
        (Reach(took_ms=3.4), Verdict.OK, 'open, after 3 ms', ''),
        (Reach(Trouble.NAME, 'no host'), Verdict.FAIL, 'no host', 'spelling'),
        (Reach(Trouble.LOOKUP, 'no answer'), Verdict.FAIL, 'no answer', 'name servers'),
        (Reach(Trouble.REFUSED, 'refused'), Verdict.FAIL, 'refused', 'robot.launch.py'),
        (Reach(Trouble.TIMEOUT, 'no answer'), Verdict.FAIL, 'no answer', 'firewall'),
        (Reach(Trouble.NETWORK, 'no route'), Verdict.FAIL, 'no route', 'the network'),
    ],
)
def test_the_port(reach, verdict, seen, remedy):
    check(wire.judge_port(ROBOT, reach), verdict, seen, remedy)


@pytest.mark.parametrize(
    ('reach', 'verdict', 'seen', 'remedy'),
    [
        (Reach(Trouble.STATUS, 'ok\n', status=200), Verdict.OK, 'ok', ''),
        (Reach(Trouble.STATUS, 'late', status=503), Verdict.WARN, '503: late', 'names'),
        (
            Reach(Trouble.STATUS, 'Host', status=403),
            Verdict.WARN,
            '403',
            "'robot' to allowed_hosts",
        ),
        (Reach(Trouble.STATUS, '<a>\nb', status=200), Verdict.WARN, 'HTTP 200: <a> b', 'foxglove'),
        (Reach(Trouble.STATUS, 'ok', status=404), Verdict.WARN, 'HTTP 404: ok', 'foxglove'),
        (Reach(Trouble.NOT_HTTP, 'no HTTP'), Verdict.WARN, 'no HTTP', 'foxglove'),
    ],
)
def test_the_health(reach, verdict, seen, remedy):
    check(wire.judge_health(ROBOT, reach), verdict, seen, remedy)


@pytest.mark.parametrize(
    ('target', 'reach', 'verdict', 'seen', 'remedy'),
    [
        (ROBOT, Reach(took_ms=2), Verdict.OK, 'open', ''),
        (ROBOT, Reach(Trouble.STATUS, 'x', status=403), Verdict.FAIL, '403', 'allowed_hosts'),
        (ROBOT, Reach(Trouble.STATUS, 'x', status=429), Verdict.FAIL, '429', 'wait'),
        (ROBOT, Reach(Trouble.STATUS, 'x', status=503), Verdict.FAIL, '503', 'max_connections'),
        (ROBOT, Reach(Trouble.STATUS, 'x', status=404), Verdict.FAIL, '404', 'foxglove'),
        (SECURE, Reach(Trouble.UNTRUSTED, 'self'), Verdict.FAIL, 'self', 'SSL_CERT_FILE'),
        (SECURE, Reach(Trouble.OUT_OF_DATE, 'old'), Verdict.FAIL, 'old', 'renew the certificate'),
        (SECURE, Reach(Trouble.OTHER_NAME, 'not for'), Verdict.FAIL, 'not for', 'in the certif'),
        (SECURE, Reach(Trouble.TLS, 'bad'), Verdict.FAIL, 'bad', 'try ws://robot:8765;'),
        (ROBOT, Reach(Trouble.NOT_HTTP, 'bad'), Verdict.FAIL, 'bad', 'try wss://robot:8765;'),
        (SECURE, Reach(Trouble.NOT_HTTP, 'bad'), Verdict.FAIL, 'bad', 'something else'),
        (ROBOT, Reach(Trouble.NETWORK, 'reset'), Verdict.FAIL, 'reset', 'try wss://robot:8765'),
        (SECURE, Reach(Trouble.NETWORK, 'reset'), Verdict.FAIL, 'reset', 'try ws://robot:8765;'),
        (ROBOT, Reach(Trouble.TIMEOUT, 'late'), Verdict.FAIL, 'late', 'something else'),
    ],
)
def test_the_websocket(target, reach, verdict, seen, remedy):
    check(wire.judge_websocket(target, reach), verdict, seen, remedy)


@pytest.mark.parametrize(
    ('skew_s', 'verdict', 'seen', 'remedy'),
    [
        (None, Verdict.SKIP, 'does not tell', ''),
        (1.5, Verdict.OK, 'no difference', ''),
        (-1.5, Verdict.OK, 'no difference', ''),
        (1.6, Verdict.WARN, '2 s ahead of this machine', 'NTP'),
        (-9.0, Verdict.WARN, '9 s behind this machine', 'latencies'),
        (11.0, Verdict.WARN, '11 s ahead', 'JWTs may be refused'),
        (-3600.0, Verdict.WARN, '3600 s behind', 'JWTs may be refused'),
    ],
)
def test_the_clock(skew_s, verdict, seen, remedy):
    check(wire.judge_clock(Reach(skew_s=skew_s)), verdict, seen, remedy)


def test_a_difference_that_harms_no_jwt_is_not_said_to():
    assert 'JWT' not in wire.judge_clock(Reach(skew_s=10.0)).remedy


@pytest.mark.parametrize(
    ('source', 'verdict', 'seen', 'remedy'),
    [
        (FILE, Verdict.OK, 'found in tokens.json', ''),
        (NONE, Verdict.WARN, 'none found', '#token='),
        (TokenSource('', 'a', 'a: must be JSON'), Verdict.WARN, 'must be JSON', '--token-file'),
        (TokenSource('a', 'a', '', 'mode rw-r--r--'), Verdict.WARN, 'rw-r--r--', 'chmod 600 a'),
    ],
)
def test_the_token(source, verdict, seen, remedy):
    check(wire.judge_token(source), verdict, seen, remedy)


@pytest.mark.parametrize(
    ('source', 'login', 'verdict', 'seen', 'remedy'),
    [
        (FILE, Login(welcome()), Verdict.OK, 'let in', ''),
        (NONE, Login(welcome()), Verdict.OK, 'let in', ''),
        (FILE, Login(welcome(2)), Verdict.WARN, 'protocol 2', 'same version'),
        (FILE, Login(None, 0, 'echo', foreign=True), Verdict.FAIL, 'echo', 'something else'),
        (FILE, Login(None, 4401, 'wrong'), Verdict.FAIL, 'wrong (close code 4401)', 'token_file'),
        (NONE, Login(None, 4401, 'missing'), Verdict.FAIL, 'missing', '#token='),
        (FILE, Login(None, 4403, 'role'), Verdict.FAIL, 'role', "a viewer's token"),
        (FILE, Login(None, 1013, 'full'), Verdict.FAIL, 'full', 'max_connections'),
        (FILE, Login(None, 1006), Verdict.FAIL, 'no answer', 'log of signaling_server'),
    ],
)
def test_the_authentication(source, login, verdict, seen, remedy):
    finding = wire.judge_authentication(source, login)
    check(finding, verdict, seen, remedy)
    assert ('no token' in finding.tried) == (source is NONE)


@pytest.mark.parametrize(
    ('login', 'verdict', 'seen', 'remedy'),
    [
        (Login(None, 4401, 'wrong'), Verdict.OK, 'refused', ''),
        (Login(welcome()), Verdict.WARN, 'let in', 'auth.mode'),
        (Login(None, 1006), Verdict.WARN, 'no answer (close code 1006)', '4401'),
        (Login(text='no answer within 5 s'), Verdict.WARN, 'no answer within 5 s', '4401'),
        (Login(None, 4408, 'late'), Verdict.WARN, 'late', '4401'),
    ],
)
def test_a_wrong_token(login, verdict, seen, remedy):
    check(wire.judge_wrong_token(login), verdict, seen, remedy)


PONG = Pong(msg_id='1')
UNAVAILABLE = Error(code='peer_unavailable', message='none', retry=True, msg_id='2')


@pytest.mark.parametrize(
    ('pong', 'error', 'verdict', 'seen'),
    [
        (PONG, UNAVAILABLE, Verdict.OK, 'peer_unavailable'),
        (
            PONG, Error(code='forbidden_camera', message='no', retry=False, msg_id='2'),
            Verdict.OK, 'forbidden_camera',
        ),
        ('it hung up', UNAVAILABLE, Verdict.FAIL, 'instead of a pong: it hung up'),
        (welcome(), UNAVAILABLE, Verdict.FAIL, 'instead of a pong: Connected'),
        (Pong(msg_id='7'), UNAVAILABLE, Verdict.FAIL, 'instead of a pong: Pong'),
        (PONG, 'it hung up', Verdict.FAIL, 'instead of an error: it hung up'),
        (PONG, PONG, Verdict.FAIL, 'instead of an error: Pong'),
        (
            PONG, Error(code='peer_unavailable', message='none', retry=True), Verdict.FAIL,
            'instead of an error: Error',
        ),
        (
            PONG, Error(code='invalid_message', message='sdpMid', retry=False, msg_id='2'),
            Verdict.FAIL, 'invalid_message: sdpMid',
        ),
    ],
)  # fmt: skip
def test_the_messages(pong, error, verdict, seen):
    remedy = 'same version' if verdict is Verdict.FAIL else ''
    check(wire.judge_messages(pong, error, ('1', '2')), verdict, seen, remedy)


@pytest.mark.parametrize(
    ('added', 'verdict', 'seen', 'remedy'),
    [
        (Readings(), Verdict.OK, 'none (10 since the server started, those', ''),
        (Readings({'unauthorized': 2}), Verdict.WARN, '2 unauthorized', 'an old token'),
        (Readings({}, {'host': 1}), Verdict.WARN, '1 refused host', 'allowed_hosts'),
        (Readings({}, {}, 1), Verdict.WARN, '1 too_slow', 'network is too slow'),
        (Readings({'new_code': 1}), Verdict.WARN, '1 new_code', 'log of signaling_server'),
    ],
)
def test_the_errors(added, verdict, seen, remedy):
    total = Readings({'unauthorized': 5, 'new_code': 1}, {'host': 3}, 1)
    check(wire.judge_errors(added, total, 3.0), verdict, seen, remedy)


def test_errors_that_cannot_be_counted():
    reach = Reach(Trouble.STATUS, 'send a token', status=401)
    check(wire.judge_no_errors_page(reach), Verdict.WARN, 'HTTP 401: send a token', 'log')
