"""Presence, acknowledgement, and coming back (docs/protocol.md, 4 and 5)."""

from __future__ import annotations

import dataclasses

import pytest
from world import ANNA, BERT, NUMBERED, Keys, World, pair, sdp

from rtc_signaling.auth import RECEIVER, SENDER
from rtc_signaling.delivery import MAX_BYTES, MAX_MESSAGES, MAX_RECEIPTS
from rtc_signaling.sessions import PeerState

WINDOW_S = 30.0


def types(messages):
    return [message['type'] for message in messages]


def seqs(messages):
    return [message['seq'] for message in messages if 'seq' in message]


# Presence.


def test_p1_coming_and_leaving_is_told_to_the_other_role_alone():
    world, camera, pilot = pair()
    other = world.enter(RECEIVER, 'other')
    assert camera.only('peer_joined') == {
        'type': 'peer_joined', 'client_id': 'other', 'role': 'receiver', 'name': 'other', 'seq': 2,
    }  # fmt: skip
    other.end('left')
    assert camera.only('peer_left') == {
        'type': 'peer_left', 'client_id': 'other', 'role': 'receiver', 'reason': 'left', 'seq': 3,
    }  # fmt: skip
    assert pilot.read() == []


@pytest.mark.parametrize('reason', ['left', 'refused'])
def test_p1_an_end_for_good_is_told_at_once(reason):
    world, camera, pilot = pair()
    pilot.offer()
    camera.read()
    pilot.end(reason)
    assert camera.only('peer_left')['reason'] == reason
    assert world.changes[-1] == ('pilot', PeerState.CLOSED, reason)
    assert set(world.core.clients) == {'camera'}
    assert not camera.client.sessions


def test_p1_a_lost_connection_is_told_when_the_window_ends():
    world, camera, pilot = pair()
    assert world.changes[-1] == ('pilot', PeerState.READY, 'connected')
    pilot.drop()
    assert world.changes[-1] == ('pilot', PeerState.AWAY, 'connection lost')
    world.wait(WINDOW_S - 0.5)
    assert camera.read() == []
    world.wait(0.5)
    assert camera.only('peer_left')['reason'] == 'connection_lost'
    assert 'pilot' not in world.core.clients


def test_without_a_window_a_lost_connection_is_told_with_the_next_tick():
    world, camera, pilot = pair(World(window_s=0.0))
    pilot.drop()
    world.wait(0.1)
    assert camera.only('peer_left')['reason'] == 'connection_lost'


def test_a_lost_connection_of_who_was_not_in_is_told_to_nobody():
    world = World(Keys(anna=ANNA))
    camera = world.enter(SENDER, 'camera', 'anna')
    line = world.connect(RECEIVER, 'pilot')
    line.drop()
    assert line.client.state is PeerState.CLOSED
    assert camera.read() == []


def test_p2_leave_ends_the_sessions_at_once():
    world, camera, pilot = pair()
    pilot.offer()
    camera.read()
    assert pilot.send('leave', msg_id='m') == [
        {'type': 'ack', 'msg_id': 'm', 'status': 'delivered'}
    ]
    assert pilot.close_code == 1000
    assert camera.only('peer_left')['reason'] == 'left'
    # Who comes under the name later begins anew.
    again = world.connect(RECEIVER, 'pilot')
    assert again.only('connected')['resumed'] is False
    assert not again.client.sessions


def test_with_a_sender_its_sessions_end():
    world, camera, pilot = pair()
    pilot.offer()
    camera.answer()
    pilot.read()
    camera.end('left')
    assert pilot.only('peer_left')['client_id'] == 'camera'
    assert not pilot.client.sessions
    # Another camera gets the next offer, with no memory of the first.
    other = world.enter(SENDER, 'other')
    pilot.read()
    assert pilot.offer() == []
    other.only('offer')


def test_the_end_of_the_server_ends_all():
    world, camera, pilot = pair()
    away = world.enter(RECEIVER, 'away')
    away.drop()
    entering = world.connect(RECEIVER, waits=True)
    world.carry_out(world.core.disconnect_all('the server stops'))
    assert [line.close_code for line in (camera, pilot, entering)] == [1001] * 3
    assert camera.close_reason == pilot.close_reason == 'the server stops'
    assert not world.core.clients
    # They may come back: no video has to end for that.
    assert {m['reason'] for m in pilot.read() if m['type'] == 'peer_left'} == {'connection_lost'}
    world.wait(60.0)


# Acknowledgement.


@pytest.mark.parametrize('kind', ['offer', 'answer', 'ice_candidate'])
def test_a1_what_was_written_to_the_peer_is_delivered(kind):
    _, camera, pilot = pair()
    camera.offer()
    pilot.read()
    members = {
        'offer': {'sdp': sdp()}, 'answer': {'sdp': sdp('answer')},
        'ice_candidate': {'candidate': ''},
    }  # fmt: skip
    answers = pilot.send(kind, msg_id='é' * 64, **members.get(kind, {}))
    assert answers == [{'type': 'ack', 'msg_id': 'é' * 64, 'status': 'delivered'}]
    assert 'msg_id' not in camera.only(kind)


def test_a1_what_waits_for_the_peer_is_queued():
    _, camera, pilot = pair()
    pilot.drop()
    assert camera.trickle(msg_id='7') == [{'type': 'ack', 'msg_id': '7', 'status': 'queued'}]
    # As the same to the same question, though the peer may be back by now.
    assert camera.trickle(msg_id='7') == [{'type': 'ack', 'msg_id': '7', 'status': 'queued'}]
    assert len(pilot.client.delivery.waiting) == 1


def test_a1_the_id_of_what_waited_is_between_its_sender_and_the_server():
    world, camera, pilot = pair()
    pilot.drop()
    camera.offer(msg_id='m')
    back = world.resume(pilot, pilot.last_seq)
    [offer] = [message for message in back.read() if message['type'] == 'offer']
    assert 'msg_id' not in offer


def test_who_wrote_in_vain_is_told_whatever_the_server_said_before():
    world, camera, pilot = pair()
    camera.drop()
    world.enter(RECEIVER, 'other').offer(sender_id='camera', msg_id='theirs')
    pilot.offer(msg_id='mine')
    world.wait(30.0)
    [expired] = [message for message in pilot.read() if message['type'] == 'error']
    assert (expired['code'], expired['msg_id']) == ('expired', 'mine')


def test_a2_the_same_id_again_gets_the_same_ack_and_goes_no_further():
    _, camera, pilot = pair()
    first = pilot.trickle(msg_id='1')
    assert pilot.trickle(msg_id='1') == first
    assert pilot.offer(msg_id='1') == first
    assert len(camera.read()) == 1


def test_a2_the_last_256_ids_are_remembered():
    _, camera, pilot = pair()
    for number in range(MAX_RECEIPTS):
        pilot.trickle(msg_id=str(number))
    camera.read()
    pilot.trickle(msg_id='0')
    assert camera.read() == []
    pilot.trickle(msg_id='new')
    camera.read()
    pilot.trickle(msg_id='1')
    assert camera.read() == []
    pilot.trickle(msg_id='0')
    assert len(camera.read()) == 1


def test_a2_what_was_refused_may_be_sent_again_under_its_id():
    world = World()
    pilot = world.enter(RECEIVER, 'pilot')
    assert pilot.offer(msg_id='1')[0]['code'] == 'peer_unavailable'
    camera = world.enter(SENDER, 'camera')
    pilot.read()
    assert types(pilot.offer(msg_id='1')) == ['ack']
    assert types(camera.read()) == ['offer']


def test_a2_ids_are_each_clients_own():
    world, camera, pilot = pair()
    other = world.enter(RECEIVER, 'other')
    camera.read()
    pilot.trickle(msg_id='1')
    other.trickle(msg_id='1')
    assert [m['client_id'] for m in camera.read()] == ['pilot', 'other']


def test_a2_ids_outlive_the_connection():
    world, camera, pilot = pair()
    pilot.trickle(msg_id='1')
    camera.read()
    pilot.drop()
    again = world.resume(pilot, 0)
    again.read()
    assert types(again.trickle(msg_id='1')) == ['ack']
    assert camera.read() == []


def test_a2_a_new_session_knows_no_ids():
    world, camera, pilot = pair()
    pilot.trickle(msg_id='1')
    pilot.drop()
    again = world.enter(RECEIVER, 'pilot')
    camera.read()
    again.trickle(msg_id='1')
    assert types(camera.read()) == ['ice_candidate']


# Resuming.


def test_r1_a_resumed_client_gets_all_that_it_has_not_seen_once_and_in_order():
    world, camera, pilot = pair()
    for number in range(5):
        camera.trickle(str(number))
    seen = pilot.read()[:2]
    pilot.drop()
    for number in range(5, 8):
        assert camera.trickle(str(number)) == []
    again = world.resume(pilot, seen[-1]['seq'])
    welcome, *missed = again.read()
    assert (welcome['resumed'], welcome['client_id']) == (True, 'pilot')
    assert world.changes[-1] == ('pilot', PeerState.READY, 'resumed')
    assert welcome['resume_token'] != pilot.resume_token
    assert [m['sdpMid'] for m in missed] == ['2', '3', '4', '5', '6', '7']
    assert seqs(missed) == [3, 4, 5, 6, 7, 8]
    # Nobody else noticed.
    assert camera.read() == []
    camera.trickle('8')
    assert seqs(again.read()) == [9]


def test_r1_without_a_number_only_what_waited_comes():
    world, camera, pilot = pair()
    camera.trickle('0')
    pilot.drop()
    camera.trickle('1')
    welcome, waited = world.resume(pilot).read()
    assert (welcome['resumed'], waited['sdpMid'], waited['seq']) == (True, '1', 2)


def test_r1_a_client_may_resume_before_the_server_sees_the_loss():
    world, camera, pilot = pair()
    camera.trickle('0')
    again = world.resume(pilot, 0)
    assert pilot.close_code == 4409
    welcome, missed = again.read()
    assert (welcome['resumed'], missed['sdpMid']) == (True, '0')
    pilot.drop()
    assert again.client.state is PeerState.READY


def test_r1_a_client_to_which_nothing_was_sent_can_resume():
    world = World()
    pilot = world.enter(RECEIVER, 'pilot')
    pilot.drop()
    again = world.resume(pilot, 0)
    assert again.only('connected')['resumed'] is True
    again.drop()
    assert world.resume(again, 1).only('connected')['resumed'] is False


def test_r2_a_token_works_once():
    world, camera, pilot = pair()
    pilot.drop()
    again = world.resume(pilot, 0)
    again.read()
    again.drop()
    third = world.resume(pilot, 0)
    assert third.only('connected')['resumed'] is False
    # A new session is told as one.
    assert camera.only('peer_joined')['client_id'] == 'pilot'


def test_r2_a_token_is_for_its_subject_alone():
    world = World(Keys(anna=ANNA, bert=BERT))
    pilot = world.enter(RECEIVER, 'pilot', 'anna')
    pilot.drop()
    thief = world.resume(pilot, 0, token='bert')
    assert thief.refused() == ('name_taken', 4423)
    assert world.resume(pilot, 0, token='anna').only('connected')['resumed'] is True


@pytest.mark.parametrize('token', ['', 'wrong', 'ü'])
def test_r3_a_token_that_is_not_valid_gives_a_new_session(token):
    world, camera, pilot = pair()
    camera.trickle('0')
    pilot.drop()
    line = world.resume(pilot, 0, resume_token=token)
    assert line.only('connected')['resumed'] is False
    assert camera.only('peer_joined')['client_id'] == 'pilot'
    camera.trickle('1')
    assert seqs(line.read()) == [1]


def test_r3_after_the_window_the_token_is_not_valid_any_more():
    world, camera, pilot = pair()
    pilot.drop()
    world.wait(WINDOW_S)
    line = world.resume(pilot, 0)
    assert line.only('connected')['resumed'] is False
    assert types(camera.read()) == ['peer_left', 'peer_joined']


@pytest.mark.parametrize(('last_seq', 'resumed'), [(5, False), (6, True), (70, True), (71, False)])
def test_r3_a_number_of_which_the_messages_are_gone_gives_a_new_session(last_seq, resumed):
    world, camera, pilot = pair()
    for _ in range(MAX_MESSAGES + 6):
        camera.trickle()
    pilot.read()
    pilot.drop()
    welcome, *missed = world.resume(pilot, last_seq).read()
    assert welcome['resumed'] is resumed
    assert len(missed) == (70 - last_seq if resumed else 0)


@pytest.mark.parametrize('role', [SENDER, RECEIVER])
def test_r7_an_answer_that_waits_is_not_for_a_new_session(role):
    world, camera, pilot = pair()
    old, other = (camera, pilot) if role == SENDER else (pilot, camera)
    old.offer()
    old.drop()
    other.read()
    assert other.answer(msg_id='m')[0]['status'] == 'queued'
    assert other.trickle(msg_id='n')[0]['status'] == 'queued'
    again = world.connect(role, old.client.client_id)
    assert again.only('connected')['resumed'] is False
    joined, *expired = other.read()
    assert joined['type'] == 'peer_joined'
    assert [(m['code'], m['msg_id'], m['retry']) for m in expired] == [
        ('expired', 'm', True), ('expired', 'n', True),
    ]  # fmt: skip
    assert expired[0]['message'] == f'the {role} began anew'
    # What was in vain may be sent again under its id, but there is nothing to answer now.
    assert other.answer(msg_id='m')[0]['code'] == 'invalid_state'
    again.offer()
    other.read()
    assert types(other.answer(msg_id='m')) == ['ack']
    again.only('answer')


def test_r7_an_offer_that_passes_keeps_its_name_and_those_of_the_predecessor_are_gone():
    world, camera, pilot = pair()
    pilot.offer(offer_id='old')
    pilot.drop()
    camera.offer(offer_id='waits')
    session = camera.client.sessions['pilot']
    again = world.connect(RECEIVER, 'pilot')
    assert again.read()[-1]['offer_id'] == 'waits'
    assert session.offer_ids == {SENDER: 'waits'}
    assert again.answer(offer_id='waits') == []


def test_r7_to_who_resumes_its_answer_comes():
    world, camera, pilot = pair()
    pilot.offer()
    pilot.drop()
    camera.answer()
    assert types(world.resume(pilot, 0).read()) == ['connected', 'answer']


def test_r7_an_offer_comes_with_its_candidates_and_no_others():
    world, camera, pilot = pair()
    other = world.enter(SENDER, 'other')
    pilot.offer(sender_id='camera')
    pilot.drop()
    camera.answer()
    camera.trickle('of the answer', msg_id='m')
    other.trickle('of nothing')
    camera.offer()
    camera.trickle('of the offer')
    again = world.connect(RECEIVER, 'pilot')
    welcome, *waited = again.read()
    assert welcome['resumed'] is False
    assert types(waited) == ['offer', 'ice_candidate']
    assert (waited[1]['sdpMid'], seqs(waited)) == ('of the offer', [1, 2])
    assert again.answer(sender_id='camera') == []
    camera.read()
    # No more was kept of the others.
    assert not again.client.delivery.waiting
    assert again.client.delivery._waiting_bytes == 0


@pytest.mark.parametrize('end', ['leave', 'anew'])
def test_r7_what_waits_of_who_ended_is_not_delivered(end):
    world, camera, pilot = pair()
    pilot.drop()
    camera.offer(msg_id='m')
    camera.trickle()
    if end == 'leave':
        camera.send('leave')
    else:
        camera = world.enter(SENDER, 'camera')
    _, *missed = world.resume(pilot, 0).read()
    assert types(missed) == ['peer_left' if end == 'leave' else 'peer_joined']


def test_r7_an_offer_of_who_began_anew_cannot_be_answered():
    world, camera, pilot = pair()
    pilot.drop()
    camera.offer()
    successor = world.enter(SENDER, 'camera')
    again = world.connect(RECEIVER, 'pilot')
    again.only('connected')
    assert again.answer()[0]['code'] == 'invalid_state'
    assert types(successor.read()) == ['peer_joined']


def test_r7_who_began_anew_is_not_told_of_what_another_wrote_in_vain():
    world, camera, pilot = pair()
    camera.drop()
    pilot.offer(msg_id='m')
    again = world.enter(RECEIVER, 'pilot')
    world.wait(WINDOW_S)
    assert types(again.read()) == ['peer_left']


@pytest.mark.parametrize('role', [SENDER, RECEIVER])
def test_r3_an_offer_that_waited_can_be_answered_in_the_new_session(role):
    world, camera, pilot = pair()
    old, other = (camera, pilot) if role == SENDER else (pilot, camera)
    other.offer()
    old.drop()
    other.offer('waits')
    again = world.connect(role, old.client.client_id)
    assert types(again.read()) == ['connected', 'offer']
    other.read()
    assert again.answer() == []
    other.only('answer')


def test_resumed_sessions_are_as_they_were():
    world, camera, pilot = pair()
    pilot.offer()
    pilot.drop()
    again = world.resume(pilot, 0)
    again.read()
    camera.read()
    assert camera.answer() == []
    again.only('answer')


def test_r4_when_the_window_ends_who_wrote_in_vain_is_told():
    world, camera, pilot = pair()
    pilot.drop()
    camera.offer(msg_id='1')
    camera.trickle()
    world.wait(WINDOW_S)
    left, first, second = camera.read()
    assert left['reason'] == 'connection_lost'
    assert first == {
        'type': 'error', 'code': 'expired', 'message': 'the receiver did not come back',
        'retry': True, 'client_id': 'pilot', 'msg_id': '1', 'seq': 3,
    }  # fmt: skip
    assert 'msg_id' not in second
    assert camera.close_code is None


def test_r4_a_receiver_is_told_that_the_sender_did_not_come_back():
    world, camera, pilot = pair()
    camera.drop()
    pilot.offer(msg_id='1')
    world.wait(WINDOW_S)
    left, expired = pilot.read()
    assert left['client_id'] == 'camera'
    assert (expired['code'], expired['msg_id']) == ('expired', '1')


def test_r4_what_expired_may_be_sent_again_under_its_id():
    world, camera, pilot = pair()
    camera.drop()
    pilot.offer('first', msg_id='1')
    world.wait(WINDOW_S)
    camera = world.enter(SENDER, 'camera')
    pilot.read()
    answer = pilot.offer('second', msg_id='1')
    assert answer == [{'type': 'ack', 'msg_id': '1', 'status': 'delivered'}]
    assert 's=second' in camera.only('offer')['sdp']


def test_r4_if_both_are_away_the_news_waits_and_what_has_nobody_to_tell_is_dropped():
    world, camera, pilot = pair()
    camera.drop()
    pilot.offer(msg_id='1')
    world.wait(1.0)
    pilot.drop()
    world.wait(WINDOW_S - 1.0)
    # The camera is gone; the pilot may still come back, and learn it.
    welcome, *missed = world.resume(pilot, 0).read()
    assert welcome['peers'] == []
    assert types(missed) == ['peer_left', 'error']
    world, camera, pilot = pair()
    camera.drop()
    pilot.offer(msg_id='1')
    pilot.send('leave')
    world.wait(WINDOW_S)
    assert not world.core.clients


def test_r5_a_newer_offer_takes_the_place_of_a_waiting_one_and_of_its_candidates():
    world, camera, pilot = pair()
    other = world.enter(RECEIVER, 'other')
    camera.read()
    camera.drop()
    pilot.offer('first')
    pilot.trickle('first')
    pilot.send('stats', fps=1)
    other.offer('other')
    pilot.offer('second')
    pilot.trickle('second')
    again = world.resume(camera, camera.last_seq)
    _, *missed = again.read()
    assert types(missed) == ['offer', 'offer', 'ice_candidate']
    assert [m['client_id'] for m in missed] == ['other', 'pilot', 'pilot']
    assert 's=second' in missed[1]['sdp']
    assert missed[2]['sdpMid'] == 'second'


def test_the_queue_of_an_absent_client_has_an_end():
    world, camera, pilot = pair()
    pilot.drop()
    for number in range(MAX_MESSAGES):
        assert types(camera.trickle(msg_id=str(number))) == ['ack']
    answers = camera.trickle(msg_id='more')
    assert (answers[0]['code'], answers[0]['retry']) == ('peer_unavailable', True)
    # It is no violation, and may be tried again when the peer is back.
    again = world.resume(pilot, 0)
    assert len(again.read()) == 1 + MAX_MESSAGES
    assert types(camera.trickle(msg_id='more')) == ['ack']


def test_the_queue_of_an_absent_client_has_an_end_in_bytes():
    _, camera, pilot = pair()
    pilot.drop()
    taken = 0
    while types(camera.trickle(msg_id=str(taken), padding='x' * 30_000)) == ['ack']:
        taken += 1
    assert taken == 8
    # What is small still has room.
    assert types(camera.trickle(msg_id='small')) == ['ack']
    assert sum(item.size_bytes for item in pilot.client.delivery.waiting) <= MAX_BYTES


def test_an_offer_for_which_there_is_no_room_takes_no_place():
    world, camera, pilot = pair()
    pilot.drop()
    camera.offer('old', msg_id='old')
    for number in range(8):
        camera.trickle(msg_id=str(number), padding='x' * 30_000)
    state = camera.client.sessions['pilot'].state
    # Candidates of the older offer go with it, so there is room after all.
    assert types(camera.send('offer', sdp=sdp(padding=30_000), msg_id='new')) == ['ack']
    assert len(pilot.client.delivery.waiting) == 1
    other = world.enter(SENDER, 'other')
    for number in range(8):
        other.trickle(client_id='pilot', msg_id=str(number), padding='x' * 28_000)
    answers = camera.send('offer', sdp=sdp(padding=45_000), msg_id='newer')
    assert answers[0]['code'] == 'peer_unavailable'
    # Of a refused offer nothing has changed: the older one still waits, with what came after it.
    assert len(pilot.client.delivery.waiting) == 1 + 1 + 8
    assert pilot.client.sessions['camera'].state is state


def test_a_client_that_misses_what_the_server_has_to_say_begins_anew():
    world, camera, pilot = pair()
    other = world.enter(SENDER, 'other')
    pilot.read()
    pilot.drop()
    other.offer()
    for _ in range(MAX_MESSAGES - 1):
        other.trickle()
    camera.end('left')
    # That did not fit into the queue: what it knows of the world is wrong from now on.
    again = world.resume(pilot, pilot.last_seq)
    welcome, *waited = again.read()
    assert welcome['resumed'] is False
    assert [peer['client_id'] for peer in welcome['peers']] == ['other']
    assert len(waited) == MAX_MESSAGES


def test_more_may_not_be_away_than_may_be_in_and_the_longest_goes_first():
    world = World(max_connections=3)
    camera = world.enter(SENDER, 'camera')
    second = world.enter(RECEIVER, 'second')
    first = world.enter(RECEIVER, 'first')
    for line in (first, second):
        line.drop()
        world.wait(1.0)
    third, fourth = (world.enter(RECEIVER, name) for name in ('third', 'fourth'))
    camera.read()
    third.drop()
    assert camera.read() == []
    fourth.drop()
    assert camera.only('peer_left')['client_id'] == 'first'
    assert world.changes[-2:] == [
        ('fourth', PeerState.AWAY, 'connection lost'),
        ('first', PeerState.CLOSED, 'connection_lost'),
    ]
    assert set(world.core.clients) == {'camera', 'second', 'third', 'fourth'}


def test_the_numbers_are_each_clients_own_and_without_a_gap():
    world, camera, pilot = pair()
    other = world.enter(RECEIVER, 'other')
    for line in (pilot, other):
        line.offer()
        line.trickle()
        camera.answer(client_id=line.client.client_id)
    assert [line.last_seq for line in (pilot, other)] == [1, 1]
    assert camera.last_seq == 6
    assert 'ack' not in NUMBERED


def test_an_expired_credential_cannot_resume():
    world = World(Keys(anna=ANNA, short=dataclasses.replace(ANNA, expires_at_s=1.7e9 + 5)))
    pilot = world.enter(RECEIVER, 'pilot', 'short')
    pilot.drop()
    world.wait(10.0)
    assert world.resume(pilot, 0, token='short').refused() == ('unauthorized', 4401)
    # Who has it renewed can.
    assert world.resume(pilot, 0, token='anna').only('connected')['resumed'] is True


def test_r3_a_new_session_is_told_by_its_welcome_alone_who_is_there():
    world, camera, pilot = pair()
    pilot.drop()
    other = world.enter(SENDER, 'other')
    camera.offer()
    for _ in range(MAX_MESSAGES - 2):
        camera.trickle()
    # That the other one left does not fit, but that it joined waits.
    other.end('left')
    welcome, *waited = world.resume(pilot, pilot.last_seq).read()
    assert [peer['client_id'] for peer in welcome['peers']] == ['camera']
    assert set(types(waited)) == {'offer', 'ice_candidate'}
