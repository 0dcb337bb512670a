"""What the facts of the wire mean."""

from __future__ import annotations

import pytest

from rtc_signaling.doctor import wire_verdicts as wire
from rtc_signaling.doctor.readings import Readings
from rtc_signaling.doctor.report import Level
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


def check(finding, level, seen, remedy):
    assert finding.level is level, finding
    assert seen in finding.seen
    assert remedy in finding.remedy
    assert bool(finding.remedy) == (level in (Level.WARN, Level.FAIL))
    assert finding.tried


@pytest.mark.parametrize(
    ('reach', 'level', 'seen', 'remedy'),
    [
        (Reach(took_ms=3.4), Level.OK, 'open, after 3 ms', ''),
        (Reach(Trouble.NAME, 'no host'), Level.FAIL, 'no host', 'spelling'),
        (Reach(Trouble.REFUSED, 'refused'), Level.FAIL, 'refused', 'robot.launch.py'),
        (Reach(Trouble.TIMEOUT, 'no answer'), Level.FAIL, 'no answer', 'firewall'),
        (Reach(Trouble.NETWORK, 'no route'), Level.FAIL, 'no route', 'the network'),
    ],
)
def test_the_port(reach, level, seen, remedy):
    check(wire.judge_port(ROBOT, reach), level, seen, remedy)


@pytest.mark.parametrize(
    ('reach', 'level', 'seen', 'remedy'),
    [
        (Reach(Trouble.STATUS, 'ok\n', status=200), Level.OK, 'ok', ''),
        (Reach(Trouble.STATUS, 'late', status=503), Level.WARN, '503: late', 'names'),
        (Reach(Trouble.STATUS, 'Host', status=403), Level.WARN, '403', "'robot' to allowed_hosts"),
        (Reach(Trouble.STATUS, '<a>\nb', status=200), Level.WARN, 'HTTP 200: <a> b', 'foxglove'),
        (Reach(Trouble.STATUS, 'ok', status=404), Level.WARN, 'HTTP 404: ok', 'foxglove'),
        (Reach(Trouble.NOT_HTTP, 'no HTTP'), Level.WARN, 'no HTTP', 'foxglove'),
    ],
)
def test_the_health(reach, level, seen, remedy):
    check(wire.judge_health(ROBOT, reach), level, seen, remedy)


@pytest.mark.parametrize(
    ('target', 'reach', 'level', 'seen', 'remedy'),
    [
        (ROBOT, Reach(took_ms=2), Level.OK, 'open', ''),
        (ROBOT, Reach(Trouble.STATUS, 'x', status=403), Level.FAIL, '403', 'allowed_hosts'),
        (ROBOT, Reach(Trouble.STATUS, 'x', status=429), Level.FAIL, '429', 'wait'),
        (ROBOT, Reach(Trouble.STATUS, 'x', status=503), Level.FAIL, '503', 'max_connections'),
        (ROBOT, Reach(Trouble.STATUS, 'x', status=404), Level.FAIL, '404', 'foxglove'),
        (SECURE, Reach(Trouble.CERTIFICATE, 'old'), Level.FAIL, 'old', 'SSL_CERT_FILE'),
        (SECURE, Reach(Trouble.TLS, 'bad'), Level.FAIL, 'bad', 'try ws://robot:8765'),
        (ROBOT, Reach(Trouble.NOT_HTTP, 'bad'), Level.FAIL, 'bad', 'try wss://robot:8765'),
        (SECURE, Reach(Trouble.NOT_HTTP, 'bad'), Level.FAIL, 'bad', 'something else'),
        (ROBOT, Reach(Trouble.NETWORK, 'reset'), Level.FAIL, 'reset', 'something else'),
    ],
)
def test_the_websocket(target, reach, level, seen, remedy):
    check(wire.judge_websocket(target, reach), level, seen, remedy)


@pytest.mark.parametrize(
    ('skew_s', 'level', 'seen', 'remedy'),
    [
        (None, Level.SKIP, 'does not tell', ''),
        (1.5, Level.OK, 'no difference', ''),
        (-1.5, Level.OK, 'no difference', ''),
        (1.6, Level.WARN, '2 s ahead of this machine', 'NTP'),
        (-9.0, Level.WARN, '9 s behind this machine', 'latencies'),
        (11.0, Level.WARN, '11 s ahead', 'JWTs may be refused'),
        (-3600.0, Level.WARN, '3600 s behind', 'JWTs may be refused'),
    ],
)
def test_the_clock(skew_s, level, seen, remedy):
    check(wire.judge_clock(Reach(skew_s=skew_s)), level, seen, remedy)


def test_a_difference_that_harms_no_jwt_is_not_said_to():
    assert 'JWT' not in wire.judge_clock(Reach(skew_s=10.0)).remedy


@pytest.mark.parametrize(
    ('source', 'level', 'seen', 'remedy'),
    [
        (FILE, Level.OK, 'found in tokens.json', ''),
        (NONE, Level.WARN, 'none found', '#token='),
        (TokenSource('', 'a', 'a: must be JSON'), Level.WARN, 'must be JSON', '--token-file'),
        (TokenSource('a', 'a', '', 'mode rw-r--r--'), Level.WARN, 'rw-r--r--', 'chmod 600 a'),
    ],
)
def test_the_token(source, level, seen, remedy):
    check(wire.judge_token(source), level, seen, remedy)


@pytest.mark.parametrize(
    ('source', 'login', 'level', 'seen', 'remedy'),
    [
        (FILE, Login(welcome()), Level.OK, 'let in', ''),
        (NONE, Login(welcome()), Level.OK, 'let in', ''),
        (FILE, Login(welcome(2)), Level.WARN, 'protocol 2', 'same version'),
        (FILE, Login(None, 0, 'echo', foreign=True), Level.FAIL, 'echo', 'something else'),
        (FILE, Login(None, 4401, 'wrong'), Level.FAIL, 'wrong (close code 4401)', 'token_file'),
        (NONE, Login(None, 4401, 'missing'), Level.FAIL, 'missing', '#token='),
        (FILE, Login(None, 4403, 'role'), Level.FAIL, 'role', "a viewer's token"),
        (FILE, Login(None, 1013, 'full'), Level.FAIL, 'full', 'max_connections'),
        (FILE, Login(None, 1006), Level.FAIL, 'no answer', 'log of signaling_server'),
    ],
)
def test_the_authentication(source, login, level, seen, remedy):
    finding = wire.judge_authentication(source, login)
    check(finding, level, seen, remedy)
    assert ('no token' in finding.tried) == (source is NONE)


@pytest.mark.parametrize(
    ('login', 'level', 'seen', 'remedy'),
    [
        (Login(None, 4401, 'wrong'), Level.OK, 'refused', ''),
        (Login(welcome()), Level.WARN, 'let in', 'auth.mode'),
        (Login(None, 1006), Level.WARN, 'no answer (close code 1006)', '4401'),
        (Login(None, 4408, 'late'), Level.WARN, 'late', '4401'),
    ],
)
def test_a_wrong_token(login, level, seen, remedy):
    check(wire.judge_wrong_token(login), level, seen, remedy)


PONG = Pong(msg_id='1')
UNAVAILABLE = Error(code='peer_unavailable', message='none', retry=True, msg_id='2')


@pytest.mark.parametrize(
    ('pong', 'error', 'level', 'seen'),
    [
        (PONG, UNAVAILABLE, Level.OK, 'peer_unavailable'),
        (
            PONG, Error(code='forbidden_camera', message='no', retry=False, msg_id='2'),
            Level.OK, 'forbidden_camera',
        ),
        ('it hung up', UNAVAILABLE, Level.FAIL, 'instead of a pong: it hung up'),
        (welcome(), UNAVAILABLE, Level.FAIL, 'instead of a pong: Connected'),
        (Pong(msg_id='7'), UNAVAILABLE, Level.FAIL, 'instead of a pong: Pong'),
        (PONG, 'it hung up', Level.FAIL, 'instead of an error: it hung up'),
        (PONG, PONG, Level.FAIL, 'instead of an error: Pong'),
        (
            PONG, Error(code='peer_unavailable', message='none', retry=True), Level.FAIL,
            'instead of an error: Error',
        ),
        (
            PONG, Error(code='invalid_message', message='sdpMid', retry=False, msg_id='2'),
            Level.FAIL, 'invalid_message: sdpMid',
        ),
    ],
)  # fmt: skip
def test_the_messages(pong, error, level, seen):
    remedy = 'same version' if level is Level.FAIL else ''
    check(wire.judge_messages(pong, error, ('1', '2')), level, seen, remedy)


@pytest.mark.parametrize(
    ('added', 'level', 'seen', 'remedy'),
    [
        (Readings(), Level.OK, 'none (10 since the server started)', ''),
        (Readings({'unauthorized': 2}), Level.WARN, '2 unauthorized', 'an old token'),
        (Readings({}, {'host': 1}), Level.WARN, '1 refused host', 'allowed_hosts'),
        (Readings({}, {}, 1), Level.WARN, '1 too_slow', 'network is too slow'),
        (Readings({'new_code': 1}), Level.WARN, '1 new_code', 'log of signaling_server'),
    ],
)
def test_the_errors(added, level, seen, remedy):
    total = Readings({'unauthorized': 5, 'new_code': 1}, {'host': 3}, 1)
    check(wire.judge_errors(added, total, 3.0), level, seen, remedy)


def test_errors_that_cannot_be_counted():
    reach = Reach(Trouble.STATUS, 'send a token', status=401)
    check(wire.judge_no_errors_page(reach), Level.WARN, 'HTTP 401: send a token', 'log')
