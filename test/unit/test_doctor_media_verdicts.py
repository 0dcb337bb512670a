"""What the facts of a session mean."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtc_signaling.doctor.findings import Verdict
from rtc_signaling.doctor.media_verdicts import (
    Allocation,
    Pair,
    Session,
    Stage,
    judge_ice,
    judge_session,
    judge_turn,
    turn_urls,
)
from rtc_signaling.messages import IceServer

HOSTS = Pair('host', '10.0.0.1:5000', 'host', '10.0.0.2:6000')
WATCHED = Session(
    Stage.PICTURE, 'front', ('front',), local_types=('host',), remote_types=('host',), pair=HOSTS,
    picture='640x480', picture_ms=212.3,
)  # fmt: skip
STUN = [IceServer(urls='stun:stun.example.org')]
TURN = [IceServer(urls=['turn:turn.example.org', 'stun:stun.example.org'], username='u')]


def ended(stage, detail='', **more):
    return Session(stage, 'front', ('front',), detail, 8.0, **more)


def check(finding, verdict, seen, remedy):
    assert finding.verdict is verdict, finding
    assert seen in finding.seen
    assert remedy in finding.remedy
    assert bool(finding.remedy) == (verdict in (Verdict.WARN, Verdict.FAIL))


def test_a_picture():
    finding = judge_session(WATCHED)
    check(finding, Verdict.OK, 'a picture of 640x480 after 212 ms', '')
    assert finding.seen.endswith('ms')
    assert finding.tried == "watch camera 'front' as a viewer does"


def test_other_cameras_are_named():
    finding = judge_session(replace(WATCHED, cameras=('front', 'rear')))
    check(finding, Verdict.OK, '(also there: rear; --camera chooses)', '')


def test_without_a_camera():
    check(judge_session(Session(Stage.NO_CAMERA)), Verdict.FAIL, 'no camera is', 'camera_sender')
    wanted = Session(Stage.NO_CAMERA, 'rear')
    check(judge_session(wanted), Verdict.FAIL, 'not connected; there is none', 'camera_sender')
    other = replace(wanted, cameras=('front',))
    check(judge_session(other), Verdict.FAIL, 'there are: front', 'choose one of those')


@pytest.mark.parametrize(
    ('session', 'seen', 'remedy'),
    [
        (ended(Stage.NOT_IN, 'no welcome'), 'not let in: no welcome', 'authentication'),
        (ended(Stage.NOT_TAKEN, 'forbidden'), 'not taken: forbidden', 'log'),
        (ended(Stage.NO_ANSWER), 'no answer to the offer within 8 s', 'restart it'),
        (ended(Stage.BYE, 'busy'), 'no place for another viewer', 'max_viewers'),
        (ended(Stage.BYE, 'disabled'), 'let go: disabled', 'log'),
        (ended(Stage.BAD_ANSWER, 'KeyError'), 'no sense: KeyError', 'log'),
        (ended(Stage.NO_CONNECTION), 'no connection within 8 s', 'see ice'),
        (ended(Stage.NO_PICTURE), 'no picture came within 8 s', 'see camera_topic'),
    ],
)
def test_where_it_may_end(session, seen, remedy):
    check(judge_session(session), Verdict.FAIL, seen, remedy)


def test_every_stage_has_its_words():
    for stage in Stage:
        assert judge_session(ended(stage)).seen


def test_a_direct_way():
    check(judge_ice(WATCHED, []), Verdict.OK, '10.0.0.1:5000 (host) to 10.0.0.2:6000 (host)', '')


@pytest.mark.parametrize(
    'pair', [replace(HOSTS, local_type='relay'), replace(HOSTS, remote_type='relay')]
)
def test_a_way_by_a_relay(pair):
    check(judge_ice(replace(WATCHED, pair=pair), TURN), Verdict.OK, 'by a TURN relay', '')


def test_a_stun_server_that_is_silent():
    check(judge_ice(WATCHED, STUN), Verdict.WARN, 'told this machine no address', 'ice_servers')
    reflexive = replace(WATCHED, local_types=('host', 'srflx'))
    check(judge_ice(reflexive, STUN), Verdict.OK, 'host', '')


@pytest.mark.parametrize(
    'stage',
    [Stage.NOT_IN, Stage.NO_CAMERA, Stage.NOT_TAKEN, Stage.NO_ANSWER, Stage.BYE, Stage.BAD_ANSWER],
)
def test_without_a_session_there_is_no_way_to_look_for(stage):
    check(judge_ice(ended(stage), []), Verdict.SKIP, 'no session', '')


@pytest.mark.parametrize(
    ('local', 'remote', 'servers', 'remedy'),
    [
        (('host',), (), [], 'offers no address'),
        ((), ('host',), [], '--ice-addresses'),
        (('host', 'relay'), ('host',), TURN, 'see turn'),
        (('host',), ('host',), [], 'let UDP through'),
        (('host',), ('host',), STUN, 'TURN server'),
    ],
)
def test_no_way(local, remote, servers, remedy):
    session = ended(Stage.NO_CONNECTION, local_types=local, remote_types=remote)
    check(
        judge_ice(session, servers),
        Verdict.FAIL,
        'the camera ' + (', '.join(remote) or 'nothing'),
        remedy,
    )


def test_no_turn_server():
    check(judge_turn([]), Verdict.SKIP, 'no TURN server', '')


@pytest.mark.parametrize(
    ('allocation', 'verdict', 'seen', 'remedy'),
    [
        (Allocation('turn:a', '10.0.0.9:5'), Verdict.OK, 'relays at 10.0.0.9:5', ''),
        (Allocation('turn:a', detail='no answer'), Verdict.WARN, 'turn:a: no answer', 'firewall'),
        (Allocation('turn:a', code=401, detail='401'), Verdict.WARN, '401', 'turn.secret_file'),
        (Allocation('turn:a', code=486, detail='486'), Verdict.WARN, '486', 'log of the TURN'),
    ],
)
def test_a_turn_server(allocation, verdict, seen, remedy):
    finding = judge_turn([allocation])
    check(finding, verdict, seen, remedy)
    assert finding.tried == 'get a relay from turn:a'


def test_one_bad_turn_server_of_two_is_named():
    finding = judge_turn([Allocation('turn:a', '10.0.0.9:5'), Allocation('turn:b', detail='no')])
    check(finding, Verdict.WARN, 'turn:b: no', 'firewall')
    assert 'turn:a' not in finding.seen


def test_the_turn_urls_with_their_servers():
    both = [IceServer(urls='turns:t?transport=tcp'), *STUN, *TURN]
    assert turn_urls(both) == [
        ('turns:t?transport=tcp', both[0]),
        ('turn:turn.example.org', TURN[0]),
    ]
