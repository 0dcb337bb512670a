"""Coming in: credentials, the welcome, names and places (docs/protocol.md, 2 and [R6])."""

from __future__ import annotations

import dataclasses

import pytest
from fakes import TOKENS
from world import ANNA, BERT, WATCHER, Keys, World, pair

from rtc_signaling.admission import Rules
from rtc_signaling.auth import RECEIVER, SENDER, Principal, TokenAuthenticator
from rtc_signaling.ice import TurnRest
from rtc_signaling.messages import Limits
from rtc_signaling.server_config import ServerConfig
from rtc_signaling.sessions import PeerState


def guarded(**options):
    """Return a world in which tokens are names."""
    return World(Keys(anna=ANNA, bert=BERT, watcher=WATCHER), **options)


def test_the_rules_are_what_the_parameters_say():
    config = ServerConfig(
        max_connections=7,
        timeout_s=60.0,
        auth_timeout_s=2.0,
        max_message_bytes=2048,
        message_rate_hz=5.0,
        message_burst=9,
        resume_window_s=12.0,
    )
    assert Rules.of(config) == Rules(
        max_connections=7,
        # Two may be lost.
        heartbeat_s=20.0,
        timeout_s=60.0,
        authentication_timeout_s=2.0,
        limits=Limits(
            max_message_bytes=2048,
            messages_per_s=5.0,
            burst=9,
            queue_messages=64,
            queue_bytes=262144,
            resume_window_s=12.0,
        ),
    )


# Credentials.


def test_c1_an_accepted_credential_is_answered_by_the_welcome_before_all_else():
    world = guarded()
    camera = world.enter(SENDER, 'camera', 'anna')
    in_header = world.connect(RECEIVER, 'pilot', 'watcher')
    in_message = world.connect(RECEIVER, 'other')
    assert in_message.read() == []
    in_message.send('authenticate', token='watcher', msg_id='m')
    assert [m['type'] for m in in_header.inbox] == ['connected']
    assert in_message.read() == []
    assert [m['client_id'] for m in camera.read()] == ['pilot', 'other']


def test_c1_the_ack_of_authenticate_follows_the_welcome():
    line = guarded().connect(RECEIVER)
    messages = line.send('authenticate', token='watcher', msg_id='m')
    assert [m['type'] for m in messages] == ['connected', 'ack']
    assert messages[1] == {'type': 'ack', 'msg_id': 'm', 'status': 'delivered'}


def test_the_welcome_says_all_that_a_client_has_to_know():
    world = World(ice_servers=('stun:10.0.0.1',))
    world.enter(SENDER, 'camera')
    line = world.connect(RECEIVER)
    assert line.only('connected') == {
        'type': 'connected', 'client_id': 'secret000002', 'role': 'receiver', 'protocol': 1,
        'polite': True, 'ice_servers': [{'urls': 'stun:10.0.0.1'}],
        'peers': [{'client_id': 'camera', 'role': 'sender', 'name': 'camera'}],
        'resume_token': 'secret000003-and-more', 'resumed': False, 'heartbeat_s': 10.0,
        'timeout_s': 30.0,
        'limits': {
            'max_message_bytes': 65536, 'messages_per_s': 50.0, 'burst': 200,
            'queue_messages': 64, 'queue_bytes': 262144, 'resume_window_s': 30.0,
        },
    }  # fmt: skip


def test_the_cameras_of_a_sender_are_told_and_stay_when_it_resumes():
    world = World()
    pilot = world.enter(RECEIVER, 'pilot')
    robot = world.connect(SENDER, 'robot', waits=True)
    # Of a name that is there twice the first counts.
    robot.send('authenticate', token='', cameras=['front', 'rear', 'front'])
    listed = {
        'client_id': 'robot',
        'role': 'sender',
        'name': 'robot',
        'cameras': ['front', 'rear'],
    }
    assert pilot.only('peer_joined') == {'type': 'peer_joined', 'seq': 1, **listed}
    robot.drop()
    world.resume(robot)
    assert world.connect(RECEIVER, 'late').only('connected')['peers'] == [listed]
    again = world.connect(SENDER, 'robot', waits=True)
    again.send('authenticate', token='', cameras=['arm'])
    assert pilot.only('peer_joined')['cameras'] == ['arm']


def test_a_receiver_has_no_cameras():
    world = World()
    robot = world.enter(SENDER, 'robot')
    world.connect(RECEIVER, 'pilot', waits=True).send('authenticate', token='', cameras=['front'])
    assert 'cameras' not in robot.only('peer_joined')


def test_the_credential_of_the_turn_servers_is_for_the_client_and_from_now_on():
    world = World(ice_servers=('turn:10.0.0.1',), turn=TurnRest('secret', ttl_s=600.0))
    (server,) = world.connect(RECEIVER, 'pilot').only('connected')['ice_servers']
    assert server['username'] == '1700000600:pilot'


def test_a_sender_is_impolite_and_hears_of_receivers_alone():
    world = World()
    receivers = [world.enter(RECEIVER) for _ in range(2)]
    world.enter(SENDER, 'front')
    for line in receivers:
        line.read()
    rear = world.connect(SENDER, 'rear')
    welcome = rear.only('connected')
    assert welcome['polite'] is False
    assert [p['client_id'] for p in welcome['peers']] == [r.client.client_id for r in receivers]
    assert [line.only('peer_joined')['client_id'] for line in receivers] == ['rear'] * 2


@pytest.mark.parametrize('token', ['', 'wrong', TOKENS.sender + ' '])
@pytest.mark.parametrize('in_request', [True, False])
def test_c2_a_wrong_token_is_refused(token, in_request):
    world = World(TokenAuthenticator(TOKENS))
    line = world.connect(RECEIVER, '', token if in_request else None)
    if not in_request:
        line.put('authenticate', token=token, msg_id='m')
        assert line.inbox[0]['msg_id'] == 'm'
    assert line.refused() == ('unauthorized', 4401)
    assert not world.core.clients
    assert world.refusals == ['unauthorized']


def test_c3_who_shows_no_token_in_time_goes():
    world = guarded()
    line = world.connect(RECEIVER)
    world.wait(4.9)
    assert line.read() == []
    world.wait(0.1)
    [error] = line.inbox
    assert error['retry'] is True
    assert line.refused() == ('timeout', 4408)
    ready = world.enter(RECEIVER, '', 'watcher')
    world.wait(60.0)
    assert ready.close_code is None


def test_of_several_that_are_late_at_once_each_is_told():
    short = dataclasses.replace(ANNA, expires_at_s=1.7e9 + 5)
    world = World(Keys(short=short))
    waiting = [world.connect(RECEIVER) for _ in range(2)]
    expiring = [world.enter(RECEIVER, name, 'short') for name in ('one', 'two')]
    world.wait(4.0)
    for line in expiring:
        line.read()
    world.wait(1.0)
    assert [line.refused() for line in waiting] == [('timeout', 4408)] * 2
    assert [line.refused() for line in expiring] == [('unauthorized', 4401)] * 2


def test_c3_it_is_the_same_for_who_wanted_to_wait():
    world = World()
    line = world.connect(RECEIVER, waits=True)
    assert line.read() == []
    world.wait(5.0)
    assert line.refused() == ('timeout', 4408)


def test_c4_a_role_that_the_token_does_not_admit_is_refused():
    world = World(TokenAuthenticator(TOKENS))
    for role, token in (
        (SENDER, TOKENS.sender), (RECEIVER, TOKENS.sender), (RECEIVER, TOKENS.receiver),
    ):  # fmt: skip
        assert world.enter(role, token=token).client.role == role
    assert world.connect(SENDER, token=TOKENS.receiver).refused() == ('forbidden_role', 4403)


def test_c4_a_token_may_admit_some_cameras_alone():
    front = dataclasses.replace(ANNA, cameras=('front',))
    world = World(Keys(front=front))
    world.enter(SENDER, 'front', 'front')
    for name in ('rear', ''):
        assert world.connect(SENDER, name, 'front').refused() == ('forbidden_role', 4403)
    # A receiver may have any name.
    assert world.connect(RECEIVER, 'rear', 'front').read()[0]['type'] == 'connected'


@pytest.mark.parametrize(
    'kind', ['offer', 'answer', 'ice_candidate', 'stats', 'ping', 'pong', 'leave']
)
def test_c5_nothing_is_taken_from_who_is_not_in(kind):
    world = guarded()
    camera = world.enter(SENDER, 'camera', 'anna')
    line = world.connect(RECEIVER, 'pilot')
    members = {'offer': {'sdp': ''}, 'answer': {'sdp': ''}, 'ice_candidate': {'candidate': ''}}
    line.put(kind, msg_id='m', **members.get(kind, {}))
    assert line.inbox[0]['msg_id'] == 'm'
    assert line.refused() == ('unauthorized', 4401)
    assert camera.read() == []


def test_c6_a_credential_is_renewed_by_the_same_subject_alone():
    principals = {
        'old': dataclasses.replace(ANNA, expires_at_s=1.7e9 + 60),
        'new': dataclasses.replace(ANNA, expires_at_s=1.7e9 + 120),
        'bert': BERT,
    }
    world = World(Keys(**principals))
    line = world.enter(RECEIVER, 'pilot', 'old')
    assert line.send('authenticate', token='new') == []
    assert line.send('authenticate', token='new', msg_id='m') == [
        {'type': 'ack', 'msg_id': 'm', 'status': 'delivered'}
    ]
    world.wait(90.0)
    assert line.close_code is None
    line.put('authenticate', token='bert')
    assert line.refused() == ('unauthorized', 4401)


def test_c6_a_renewal_changes_neither_name_nor_role_and_has_to_admit_them():
    watching = dataclasses.replace(ANNA, roles=(RECEIVER,))
    world = World(Keys(anna=ANNA, watching=watching))
    line = world.enter(RECEIVER, 'pilot', 'anna')
    assert line.send('authenticate', token='anna', role='sender', client_id='camera') == []
    assert (line.client.role, line.client.client_id) == (RECEIVER, 'pilot')
    camera = world.connect(SENDER, 'camera', 'anna')
    camera.read()
    camera.put('authenticate', token='watching')
    assert camera.refused() == ('unauthorized', 4401)


def test_c6_a_wrong_token_ends_a_client_that_is_in():
    world = guarded()
    line = world.enter(RECEIVER, 'pilot', 'watcher')
    line.put('authenticate', token='wrong')
    assert line.refused() == ('unauthorized', 4401)
    assert not world.core.clients


def test_c7_an_expired_credential_ends_the_connection():
    world = World(Keys(short=dataclasses.replace(ANNA, expires_at_s=1.7e9 + 10)))
    line = world.enter(RECEIVER, 'pilot', 'short')
    world.wait(9.0)
    assert line.close_code is None
    world.wait(1.0)
    assert line.refused() == ('unauthorized', 4401)
    assert not world.core.clients


def test_an_authenticate_message_may_change_the_wishes():
    world = guarded()
    line = world.connect(RECEIVER, 'one')
    line.send('authenticate', token='anna', role='sender', client_id='another')
    assert set(world.core.clients) == {'another'}
    assert line.client.role == SENDER


def test_after_the_end_nothing_is_answered():
    world, camera, pilot = pair()
    pilot.end('left')
    camera.read()
    for answers in (
        pilot.offer(), pilot.send('ping'), pilot.send('pong'), pilot.send('leave'),
        pilot.send('authenticate', token=''),
    ):  # fmt: skip
        assert answers == []
    pilot.end('connection_lost')
    assert camera.read() == []
    assert set(world.core.clients) == {'camera'}
    assert pilot.client.state is PeerState.CLOSED


@pytest.mark.parametrize(
    ('role', 'client_id', 'named'),
    [('admin', '', 'role'), ('', '', 'role')]
    + [('receiver', bad, 'client_id') for bad in ('a b', 'ä', 'x' * 65, 'viewer\n', '../etc')],
)
def test_wishes_that_cannot_be(role, client_id, named):
    line = World().connect(role, client_id)
    assert line.inbox[0]['message'].startswith(f'{named} = ')
    assert line.refused() == ('invalid_message', 4400)


# Places.


def test_one_place_is_kept_for_a_sender():
    world = guarded(max_connections=2)
    world.enter(RECEIVER, '', 'watcher')
    world.connect(RECEIVER)
    assert not world.core.has_room(RECEIVER, '')
    assert not world.core.has_room('nonsense', '')
    assert world.core.has_room(SENDER, '')
    world.enter(SENDER, 'camera', 'anna')
    assert not world.core.has_room(SENDER, '')


def test_the_senders_place_is_no_receivers():
    world = guarded(max_connections=1)
    world.enter(RECEIVER, '', 'watcher')
    line = world.connect(SENDER)
    line.put('authenticate', token='watcher', role='receiver')
    assert line.inbox[0]['retry'] is True
    assert line.refused() == ('too_many_connections', 1013)
    assert world.core.has_room(SENDER, '')


def test_the_last_place_can_be_taken():
    world = guarded(max_connections=1)
    assert world.core.has_room(RECEIVER, '')
    line = world.connect(RECEIVER)
    assert line.send('authenticate', token='watcher')[0]['type'] == 'connected'


def test_a_place_is_free_again_after_an_end():
    world = guarded(max_connections=1)
    line = world.connect(RECEIVER)
    assert not world.core.has_room(RECEIVER, '')
    line.drop()
    assert world.core.has_room(RECEIVER, '')
    assert world.core.rules is world.rules


def test_who_is_away_takes_no_place_and_may_come_back_to_its_own():
    world = World(max_connections=1)
    away = world.enter(RECEIVER, 'away')
    away.drop()
    assert world.core.has_room(RECEIVER, '')
    world.enter(RECEIVER, 'other')
    assert not world.core.has_room(RECEIVER, '')
    # At the door it may show that it is who it says, but the place is taken.
    assert world.core.has_room(RECEIVER, 'away')
    line = world.resume(away)
    assert line.refused() == ('too_many_connections', 1013)


def test_a_full_house_lets_its_own_replace_themselves():
    world = World(max_connections=1)
    old = world.enter(RECEIVER, 'pilot')
    assert world.core.has_room(RECEIVER, 'pilot')
    new = world.enter(RECEIVER, 'pilot')
    assert (old.close_code, new.close_code) == (4409, None)


def test_at_the_door_of_known_names_there_are_places_as_well():
    world = guarded(max_connections=1)
    world.enter(RECEIVER, 'pilot', 'watcher')
    for _ in range(2):
        assert world.core.has_room(RECEIVER, 'pilot')
        world.connect(RECEIVER, 'pilot')
    assert not world.core.has_room(RECEIVER, 'pilot')


def test_the_operator_may_change_the_number_of_places():
    world = World(max_connections=1)
    world.enter(RECEIVER)
    assert not world.core.has_room(RECEIVER, '')
    world.core.rules = dataclasses.replace(world.rules, max_connections=2)
    assert world.core.has_room(RECEIVER, '')
    assert world.core.rules.max_connections == 2


# Names.


@pytest.mark.parametrize('role', [SENDER, RECEIVER])
def test_r6_the_newest_connection_wins(role):
    world, camera, pilot = pair()
    old, other = (camera, pilot) if role == SENDER else (pilot, camera)
    pilot.offer()
    camera.read()
    name = old.client.client_id
    new = world.enter(role, name)
    assert old.close_code == 4409
    joined = other.only('peer_joined')
    assert (joined['client_id'], joined['role']) == (name, role)
    assert world.core.clients[name] is new.client
    # The old one's end is not the end of the name.
    old.drop()
    assert other.read() == []
    assert world.core.clients[name] is new.client
    # It began anew, so what was offered to or by the old one is not open any more.
    sender, receiver = (new, other) if role == SENDER else (other, new)
    assert sender.answer()[0]['code'] == 'invalid_state'
    assert receiver.offer() == []
    sender.only('offer')


@pytest.mark.parametrize(
    ('owner', 'thief'),
    [
        ((SENDER, 'anna'), (RECEIVER, 'watcher')),
        ((SENDER, 'anna'), (RECEIVER, 'anna')),
        ((SENDER, 'anna'), (SENDER, 'bert')),
        ((RECEIVER, 'watcher'), (RECEIVER, 'anna')),
        ((RECEIVER, 'watcher'), (SENDER, 'anna')),
    ],
)
@pytest.mark.parametrize('is_away', [True, False])
def test_r6_a_name_is_not_for_others(owner, thief, is_away):
    world = guarded()
    old = world.enter(owner[0], 'name', owner[1])
    if is_away:
        old.drop()
    line = world.connect(thief[0], 'name', thief[1])
    assert line.refused() == ('name_taken', 4423)
    assert world.core.clients == {'name': old.client}
    assert old.client.state is (PeerState.AWAY if is_away else PeerState.READY)


def test_r6_no_dead_connection_blocks_a_name():
    world = World()
    old = world.enter(SENDER, 'camera')
    old.drop()
    world.enter(SENDER, 'camera')
    assert old.close_code is None  # there was nothing left to close


def test_a_principal_without_limits_sees_every_camera():
    assert Principal('x', ()).may_use('any')
