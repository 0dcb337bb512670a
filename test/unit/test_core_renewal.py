"""Another credential for a client that is in, or comes back (docs/protocol.md, [C6] and [C9])."""

from __future__ import annotations

import dataclasses

import pytest
from world import ANNA, WATCHER, Keys, World

from rtc_signaling.auth import RECEIVER, SENDER

CAMERAS = {
    'all': None,
    'front': ('front',),
    'rear': ('rear',),
    'both': ('front', 'rear'),
    'no': (),
}


def types(messages):
    return [message['type'] for message in messages]


def watched(token):
    """Return a world with two cameras, and a pilot with this token; all have read what came."""
    principals = {name: dataclasses.replace(WATCHER, cameras=c) for name, c in CAMERAS.items()}
    world = World(Keys(anna=ANNA, own=dataclasses.replace(ANNA, cameras=('front',)), **principals))
    lines = [world.enter(SENDER, name, 'anna') for name in ('front', 'rear')]
    pilot = world.connect(RECEIVER, 'pilot')
    pilot.send('authenticate', token=token)
    for line in lines:
        line.read()
    return world, *lines, pilot


def talk(pilot, *cameras):
    """Let sessions come about, and read what that brings."""
    for camera in cameras:
        pilot.offer(sender_id=camera.client.client_id)
        camera.read()
        camera.answer(client_id='pilot')
        pilot.read()


def left(client_id, role, reason='refused'):
    return {'type': 'peer_left', 'client_id': client_id, 'role': role, 'reason': reason}


def without_seq(messages):
    return [{k: v for k, v in message.items() if k != 'seq'} for message in messages]


@pytest.mark.parametrize('token', ['all', 'both'])
def test_c9_what_a_renewal_does_not_admit_ends(token):
    _, front, rear, pilot = watched(token)
    talk(pilot, front, rear)
    ack, *told = pilot.send('authenticate', token='front', msg_id='m')
    assert ack == {'type': 'ack', 'msg_id': 'm', 'status': 'delivered'}
    assert without_seq(told) == [left('rear', SENDER)]
    assert without_seq(rear.read()) == [left('pilot', RECEIVER)]
    assert front.read() == []
    assert set(pilot.client.sessions) == {'front'}
    assert not rear.client.sessions
    # Neither reaches the other any more; the other talk goes on.
    assert pilot.trickle(sender_id='rear')[0]['code'] == 'forbidden_camera'
    assert rear.trickle(client_id='pilot')[0]['code'] == 'peer_unavailable'
    assert pilot.trickle() == []
    front.only('ice_candidate')


def test_c9_a_camera_without_a_session_goes_as_well():
    _, front, rear, pilot = watched('all')
    assert without_seq(pilot.send('authenticate', token='rear')) == [left('front', SENDER)]
    assert without_seq(front.read()) == [left('pilot', RECEIVER)]
    assert rear.read() == []


def test_c9_what_a_renewal_admits_in_addition_joins():
    _, front, rear, pilot = watched('front')
    talk(pilot, front)
    [joined] = pilot.send('authenticate', token='all')
    assert (joined['type'], joined['client_id']) == ('peer_joined', 'rear')
    assert rear.only('peer_joined')['client_id'] == 'pilot'
    assert front.read() == []
    talk(pilot, rear)


def test_c9_every_camera_counts_that_a_renewal_takes_or_gives():
    _, front, rear, pilot = watched('both')
    told = without_seq(pilot.send('authenticate', token='no'))
    assert told == [left('front', SENDER), left('rear', SENDER)]
    assert types(front.read()) == types(rear.read()) == ['peer_left']
    told = pilot.send('authenticate', token='both')
    assert [(m['type'], m['client_id']) for m in told] == [
        ('peer_joined', 'front'), ('peer_joined', 'rear'),
    ]  # fmt: skip
    assert types(front.read()) == types(rear.read()) == ['peer_joined']
    told = pilot.send('authenticate', token='rear')
    assert types(told) == types(front.read()) == ['peer_left']
    told = pilot.send('authenticate', token='front')
    assert types(told) == ['peer_joined', 'peer_left']
    assert types(front.read()) == ['peer_joined']
    assert types(rear.read()) == ['peer_left']


def test_c9_what_a_camera_may_be_is_nothing_to_tell_others_of():
    _, front, rear, pilot = watched('all')
    assert front.send('authenticate', token='own') == []
    assert rear.read() == pilot.read() == []


def test_c9_the_same_cameras_change_nothing():
    _, front, rear, pilot = watched('both')
    talk(pilot, front)
    assert pilot.send('authenticate', token='all') == []
    assert pilot.send('authenticate', token='both') == []
    assert front.read() == rear.read() == []
    assert pilot.trickle() == []


def test_c9_other_receivers_are_none_of_its_business():
    world, _, rear, pilot = watched('all')
    other = world.connect(RECEIVER, 'other', 'all')
    talk(other, rear)
    pilot.send('authenticate', token='no')
    assert without_seq(rear.read()) == [left('pilot', RECEIVER)]
    assert other.read() == []
    assert other.trickle() == []


def test_c9_what_waits_for_a_camera_that_is_not_admitted_any_more_does_not_reach_it():
    world, _, rear, pilot = watched('all')
    rear.drop()
    assert pilot.offer(sender_id='rear', msg_id='m')[0]['status'] == 'queued'
    pilot.send('authenticate', token='front')
    _, *missed = world.resume(rear, rear.last_seq, token='anna').read()
    assert without_seq(missed) == [left('pilot', RECEIVER)]


def test_c9_who_resumes_with_less_is_parted_from_the_rest():
    world, front, rear, pilot = watched('all')
    talk(pilot, front, rear)
    pilot.drop()
    front.trickle('missed', client_id='pilot')
    again = world.resume(pilot, pilot.last_seq, token='front')
    welcome, *told = again.read()
    assert welcome['resumed'] is True
    assert [peer['client_id'] for peer in welcome['peers']] == ['front']
    assert types(told) == ['ice_candidate', 'peer_left']
    assert [m['seq'] for m in told] == [pilot.last_seq + 1, pilot.last_seq + 2]
    assert without_seq(rear.read()) == [left('pilot', RECEIVER)]
    assert again.trickle() == []
    assert types(front.read()) == ['ice_candidate']


def test_c9_who_begins_anew_with_less_takes_nothing_over():
    world, front, rear, pilot = watched('all')
    talk(pilot, front, rear)
    pilot.drop()
    for camera in (front, rear):
        camera.offer(client_id='pilot', msg_id='m')
        camera.read()
    again = world.connect(RECEIVER, 'pilot', 'front')
    welcome = again.only('connected')
    assert welcome['resumed'] is False
    assert not again.client.sessions
    for camera, kinds in (
        (front, ['peer_left', 'error', 'peer_joined']), (rear, ['peer_left', 'error']),
    ):  # fmt: skip
        messages = camera.read()
        assert types(messages) == kinds
        assert messages[0]['reason'] == 'refused'
        assert (messages[1]['code'], messages[1]['msg_id']) == ('expired', 'm')
        assert not camera.client.sessions
    talk(again, front)


def test_c6_a_renewal_has_to_admit_a_sender_under_its_name():
    world, _front, rear, _pilot = watched('all')
    rear.put('authenticate', token='own')
    assert rear.refused() == ('unauthorized', 4401)
    front = world.enter(SENDER, 'front', 'anna')
    assert front.send('authenticate', token='own') == []
    # What a sender's token says of cameras is about itself.
    assert front.close_code is None
