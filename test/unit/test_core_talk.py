"""Who may say what to whom, and what is answered (docs/protocol.md, 3, 6, 7 and 8)."""

from __future__ import annotations

import dataclasses

import pytest
from world import ANNA, BERT, CANDIDATE, WATCHER, Keys, World, pair, sdp

from rtc_signaling.auth import RECEIVER, SENDER
from rtc_signaling.core import _CLOSE_CODES, _VIOLATIONS
from rtc_signaling.errors import ProtocolError

BOTH = {'client_id': 'pilot', 'sender_id': 'camera'}


def only_error(answers):
    [error] = answers
    assert error['type'] == 'error'
    assert error['message']
    return error['code'], error['retry']


# Forwarding.


def test_s1_the_minimal_talk_of_one_and_one():
    _, camera, pilot = pair()
    assert pilot.offer(msg_id='m') == [{'type': 'ack', 'msg_id': 'm', 'status': 'delivered'}]
    assert camera.read() == [{'type': 'offer', 'sdp': sdp(), 'seq': 2} | BOTH]
    assert camera.answer() == []
    assert pilot.read() == [{'type': 'answer', 'sdp': sdp('answer'), 'seq': 1} | BOTH]
    for line, peer, seq in ((camera, pilot, 2), (pilot, camera, 3)):
        assert line.trickle('7') == []
        assert peer.read() == [
            {'type': 'ice_candidate', 'candidate': CANDIDATE, 'sdpMid': '7', 'seq': seq} | BOTH
        ]


def test_s1_the_order_stays():
    _, camera, pilot = pair()
    for number in range(20):
        pilot.trickle(str(number))
    assert [m['sdpMid'] for m in camera.read()] == [str(n) for n in range(20)]


def test_s1_what_the_client_says_of_the_number_and_the_sender_is_not_believed():
    world, camera, pilot = pair()
    world.enter(SENDER, 'other')
    pilot.trickle(seq=999, sender_id='camera')
    [message] = camera.read()
    assert message['seq'] == 2
    # A sender is known by its connection.
    pilot.read()
    camera.trickle(client_id='pilot', sender_id='other')
    assert pilot.only('ice_candidate')['sender_id'] == 'camera'


@pytest.mark.parametrize('client_id', ['other', 'nobody', 'camera'])
@pytest.mark.parametrize('kind', ['offer', 'answer', 'ice_candidate', 'stats'])
def test_s2_a_receiver_cannot_speak_as_another(kind, client_id):
    world, camera, pilot = pair()
    other = world.enter(RECEIVER, 'other')
    camera.read()
    members = {
        'offer': {'sdp': sdp()}, 'answer': {'sdp': sdp('answer')},
        'ice_candidate': {'candidate': ''},
    }  # fmt: skip
    answers = pilot.send(kind, client_id=client_id, msg_id='m', **members.get(kind, {}))
    assert only_error(answers) == ('forbidden_client_id', False)
    assert answers[0]['msg_id'] == 'm'
    assert client_id in answers[0]['message']
    assert camera.read() == other.read() == []
    assert not pilot.client.sessions
    assert pilot.offer(client_id='pilot') == []


def test_s3_a_receiver_of_several_senders_has_to_name_one():
    world = World()
    front, rear = world.enter(SENDER, 'front'), world.enter(SENDER, 'rear')
    pilot = world.connect(RECEIVER, 'pilot')
    pilot.read()
    front.read()
    rear.read()
    answers = pilot.offer()
    assert only_error(answers) == ('ambiguous_target', False)
    assert answers[0]['message'] == 'sender_id is missing: there are several senders'
    assert pilot.offer(sender_id='rear') == []
    # Of one session the rest of the talk follows.
    assert pilot.trickle() == []
    assert [m['type'] for m in rear.read()] == ['offer', 'ice_candidate']
    # Of two it does not.
    assert pilot.offer(sender_id='front') == []
    assert only_error(pilot.trickle()) == ('ambiguous_target', False)
    assert [m['type'] for m in front.read()] == ['offer']


def test_s4_a_sender_of_several_receivers_has_to_name_one():
    world, camera, pilot = pair()
    assert camera.offer() == []
    pilot.read()
    other = world.connect(RECEIVER, 'other')
    other.read()
    camera.read()
    answers = camera.offer()
    assert only_error(answers) == ('ambiguous_target', False)
    assert answers[0]['message'] == 'client_id is missing: there are several receivers'
    assert camera.offer(client_id='other') == []
    assert other.only('offer')['client_id'] == 'other'
    assert pilot.read() == []


@pytest.mark.parametrize('name', ['pilot', 'other', 'nobody'])
def test_s4_never_receiver_to_receiver(name):
    world = World()
    pilot = world.enter(RECEIVER, 'pilot')
    other = world.enter(RECEIVER, 'other')
    assert only_error(pilot.offer(sender_id=name)) == ('peer_unavailable', True)
    assert other.read() == []


@pytest.mark.parametrize('name', ['camera', 'other', 'nobody'])
def test_s4_never_sender_to_sender(name):
    world = World()
    camera = world.enter(SENDER, 'camera')
    other = world.enter(SENDER, 'other')
    assert only_error(camera.offer(client_id=name)) == ('peer_unavailable', True)
    assert other.read() == []


@pytest.mark.parametrize('role', [SENDER, RECEIVER])
def test_s5_a_peer_that_is_not_there(role):
    line = World().enter(role)
    answers = line.offer(msg_id='m')
    assert only_error(answers) == ('peer_unavailable', True)
    assert answers[0]['msg_id'] == 'm'


def test_s6_only_of_a_candidate_unknown_members_travel_on():
    _, camera, pilot = pair()
    pilot.offer(new=1)
    pilot.trickle(new={'a': [1]})
    offer, candidate = camera.read()
    assert 'new' not in offer
    assert candidate['new'] == {'a': [1]}
    # But none that says who it is from.
    assert candidate['client_id'] == 'pilot'


@pytest.mark.parametrize('candidate', ['', None])
def test_s7_the_end_of_candidates_is_forwarded(candidate):
    _, camera, pilot = pair()
    members = {'sdpMid': None, 'sdpMLineIndex': None, 'usernameFragment': None}
    pilot.send('ice_candidate', candidate=candidate, **members)
    message = camera.only('ice_candidate')
    assert message == {'type': 'ice_candidate', 'candidate': candidate, 'seq': 2} | BOTH | members


@pytest.mark.parametrize(
    'text', ['', 'v=0\r\n', sdp() + 'x' * 49152, sdp().replace('a=ice', 'a=x')]
)
@pytest.mark.parametrize('kind', ['offer', 'answer'])
def test_s8_what_is_no_sdp_is_refused(kind, text):
    _, camera, pilot = pair()
    camera.offer()
    pilot.read()
    assert only_error(pilot.send(kind, sdp=text)) == ('invalid_sdp', False)
    assert camera.read() == []


def test_s8_an_answer_is_no_offer():
    _, camera, pilot = pair()
    camera.offer()
    pilot.read()
    assert only_error(pilot.send('answer', sdp=sdp('offer'))) == ('invalid_sdp', False)
    assert pilot.answer() == []
    camera.only('answer')


def test_s8_a_malformed_candidate_is_refused():
    _, camera, pilot = pair()
    answers = pilot.send('ice_candidate', candidate='candidate:1 1 udp')
    assert only_error(answers) == ('invalid_candidate', False)
    assert camera.read() == []


def test_s9_an_answer_needs_an_offer_of_the_other_side():
    _, camera, pilot = pair()
    assert only_error(camera.answer()) == ('invalid_state', False)
    pilot.offer()
    assert only_error(pilot.answer()) == ('invalid_state', False)
    camera.answer()
    assert only_error(camera.answer()) == ('invalid_state', False)


@pytest.mark.parametrize('role', [SENDER, RECEIVER])
def test_s11_an_answer_to_an_older_offer_is_not_one_to_the_newer(role):
    _, camera, pilot = pair()
    maker, other = (camera, pilot) if role == SENDER else (pilot, camera)
    maker.offer(offer_id='1')
    assert other.read()[-1]['offer_id'] == '1'
    maker.offer(offer_id='2')
    answers = other.answer(offer_id='1', msg_id='m')
    assert only_error(answers[-1:]) == ('invalid_state', False)
    assert maker.read() == []
    # The newer one is open still.
    assert other.answer(offer_id='2')[-1:] == []
    assert maker.only('answer')['offer_id'] == '2'


def test_s11_an_answer_with_a_name_is_to_no_offer_without_one():
    _, camera, pilot = pair()
    assert only_error(camera.answer(offer_id='1')) == ('invalid_state', False)
    pilot.offer(offer_id='1')
    pilot.offer()
    camera.read()
    assert only_error(camera.answer(offer_id='1')) == ('invalid_state', False)
    assert camera.answer() == []
    assert 'offer_id' not in pilot.only('answer')


def test_s11_an_answer_without_a_name_is_to_the_offer_that_is_open():
    _, camera, pilot = pair()
    pilot.offer(offer_id='1')
    pilot.offer(offer_id='2')
    camera.read()
    assert camera.answer() == []
    pilot.only('answer')


def test_s11_the_names_of_both_sides_are_their_own():
    _, camera, pilot = pair()
    pilot.offer(offer_id='pilots')
    camera.offer(offer_id='cameras')
    # On glare the sender's wins, even if the receiver offers once more.
    [offer] = pilot.offer(offer_id='again')
    assert offer['offer_id'] == 'cameras'
    assert pilot.answer(offer_id='cameras') == []
    assert camera.read()[-1]['offer_id'] == 'cameras'


@pytest.mark.parametrize('role', [SENDER, RECEIVER])
def test_s12_a_bye_is_forwarded_and_changes_nothing(role):
    _, camera, pilot = pair()
    pilot.offer(offer_id='1')
    camera.read()
    one, other = (camera, pilot) if role == SENDER else (pilot, camera)
    assert one.send('bye', reason='busy', retry_after_s=5, offer_id='1', msg_id='m') == [
        {'type': 'ack', 'msg_id': 'm', 'status': 'delivered'}
    ]
    seq = 1 if role == SENDER else 3
    assert other.read() == [
        {'type': 'bye', 'reason': 'busy', 'retry_after_s': 5.0, 'offer_id': '1', 'seq': seq} | BOTH
    ]
    # An offer that crossed it is answered as any other.
    assert camera.answer() == []
    pilot.only('answer')
    assert pilot.offer() == []


def test_s12_a_bye_is_about_the_last_offer_of_either_side():
    _, camera, pilot = pair()
    pilot.offer(offer_id='old')
    pilot.offer(offer_id='pilots')
    camera.offer(offer_id='cameras')
    pilot.read()
    camera.read()
    for line, peer in ((camera, pilot), (pilot, camera)):
        for offer_id in ('old', 'never'):
            answers = line.send('bye', reason='lost', offer_id=offer_id)
            assert only_error(answers) == ('invalid_state', False)
        assert peer.read() == []
        for members in ({'offer_id': 'pilots'}, {'offer_id': 'cameras'}, {}):
            assert line.send('bye', reason='lost', **members) == []
        assert len(peer.read()) == 3


def test_s12_a_bye_waits_for_who_resumes_and_for_nobody_else():
    for anew in (False, True):
        world, camera, pilot = pair()
        pilot.offer()
        pilot.drop()
        camera.read()
        [ack] = camera.send('bye', reason='lost', msg_id='m')
        assert ack['status'] == 'queued'
        again = world.connect(RECEIVER, 'pilot') if anew else world.resume(pilot, 0)
        kinds = [message['type'] for message in again.read()]
        assert kinds == (['connected'] if anew else ['connected', 'bye'])
        told = [message.get('code') for message in camera.read()]
        assert told == ([None, 'expired'] if anew else [])


def test_of_two_offers_the_senders_wins():
    _, camera, pilot = pair()
    pilot.offer()
    camera.offer()
    assert only_error(camera.answer()) == ('invalid_state', False)
    pilot.read()
    assert pilot.answer() == []
    camera.only('answer')


def test_the_time_from_an_offer_to_its_answer_is_measured():
    world, camera, pilot = pair()
    pilot.offer()
    pilot.trickle()
    world.wait(0.25)
    assert world.setups_s == []
    camera.answer()
    camera.trickle()
    assert world.setups_s == [0.25]


# Cameras that a token does not admit.


def restricted():
    front = dataclasses.replace(WATCHER, cameras=('front',))
    world = World(Keys(anna=ANNA, bert=BERT, front=front))
    lines = [world.enter(SENDER, name, 'anna') for name in ('front', 'rear')]
    return world, *lines, world.connect(RECEIVER, 'pilot', 'front')


def test_a_camera_that_the_token_does_not_admit_is_not_told_of():
    world, front, rear, pilot = restricted()
    assert [p['client_id'] for p in pilot.only('connected')['peers']] == ['front']
    front.only('peer_joined')
    assert rear.read() == []
    assert only_error(pilot.offer(sender_id='rear')) == ('forbidden_camera', False)
    rear.end('left')
    assert pilot.read() == []
    # Nor is a camera told of a receiver that does not admit it.
    rear = world.connect(SENDER, 'rear', 'anna')
    assert rear.only('connected')['peers'] == []
    assert pilot.read() == []
    pilot.send('leave')
    front.only('peer_left')
    assert rear.read() == []


def test_s5_to_a_camera_a_receiver_that_does_not_admit_it_is_not_there():
    _, front, rear, pilot = restricted()
    pilot.read()
    for members in ({'client_id': 'pilot'}, {'client_id': 'nobody'}, {}):
        answers = rear.offer(**members)
        assert only_error(answers) == ('peer_unavailable', True)
        assert answers[0]['message'] == 'there is no such receiver now'
    assert pilot.read() == []
    front.read()
    assert front.offer() == []
    pilot.only('offer')


def test_s10_whether_a_camera_is_there_is_not_for_everybody_to_know():
    world, _, rear, pilot = restricted()
    pilot.read()
    there = pilot.offer(sender_id='rear')
    rear.end('left')
    assert pilot.offer(sender_id='rear') == there
    assert only_error(there) == ('forbidden_camera', False)
    # Nor does it keep the one that is admitted from being the only one.
    world.enter(SENDER, 'rear', 'anna')
    assert pilot.offer() == []


def test_s10_the_only_camera_that_is_there_may_not_be_for_this_receiver():
    _, front, _, pilot = restricted()
    pilot.read()
    front.end('left')
    pilot.read()
    assert only_error(pilot.offer()) == ('peer_unavailable', True)


# Liveness and statistics.


def test_l1_pings_are_answered_by_pongs_alone():
    _, _, pilot = pair()
    assert pilot.send('ping', msg_id='p') == [{'type': 'pong', 'msg_id': 'p'}]
    assert pilot.send('ping') == [{'type': 'pong'}]
    assert pilot.send('pong') == []
    assert pilot.send('pong', msg_id='p') == [
        {'type': 'ack', 'msg_id': 'p', 'status': 'delivered'}
    ]


def test_t1_stats_go_to_the_sender_of_the_session():
    _, camera, pilot = pair()
    assert pilot.send('stats', fps=29.5, loss=0) == []
    assert camera.read() == [{'type': 'stats', 'fps': 29.5, 'loss': 0.0} | BOTH]
    # They have no number, whatever the receiver writes there.
    assert pilot.send('stats', fps=30, seq=999) == []
    assert camera.read() == [{'type': 'stats', 'fps': 30.0} | BOTH]


def test_t1_the_id_of_stats_is_between_a_receiver_and_the_server():
    _, camera, pilot = pair()
    assert pilot.send('stats', fps=29.0, msg_id='m') == [
        {'type': 'ack', 'msg_id': 'm', 'status': 'delivered'}
    ]
    assert 'msg_id' not in camera.only('stats')


def test_t1_stats_do_not_wait():
    world, camera, pilot = pair()
    camera.drop()
    (ack,) = pilot.send('stats', fps=29.0, msg_id='late')
    assert ack['status'] == 'dropped'
    again = world.resume(camera, camera.last_seq)
    assert [message['type'] for message in again.read()] == ['connected']


def test_t1_a_sender_sends_none():
    _, camera, pilot = pair()
    assert only_error(camera.send('stats', client_id='pilot')) == ('forbidden_message', False)
    assert pilot.read() == []


# Errors.


def provoke(line, code):
    """Send what is answered with this error."""
    return {
        'invalid_json': lambda: line.world.carry_out(
            line.world.core.reject(
                line.client, ProtocolError('invalid_json', 'no'), line.world.now_s
            )
        ),
        'invalid_message': lambda: line.put('shutdown'),
        'invalid_sdp': lambda: line.put('offer', sdp=''),
        'invalid_candidate': lambda: line.put('ice_candidate', candidate='x'),
        'invalid_state': lambda: line.put('answer', sdp=sdp('answer'), sender_id='camera'),
        'forbidden_client_id': lambda: line.put('stats', client_id='other'),
        'forbidden_camera': lambda: line.put('stats', sender_id='rear'),
        'ambiguous_target': lambda: line.put('stats'),
        'peer_unavailable': lambda: line.put('stats', sender_id='nobody'),
    }[code]()


def crowded():
    """Return a pilot to whom nearly every error can happen, and one that is just there."""
    some = dataclasses.replace(WATCHER, cameras=('camera', 'left', 'nobody'))
    world = World(Keys(anna=ANNA, some=some))
    for name in ('camera', 'left', 'rear'):
        world.enter(SENDER, name, 'anna')
    pilot = world.connect(RECEIVER, 'pilot', 'some')
    pilot.read()
    return world, pilot


BORNE = ['ambiguous_target', 'forbidden_camera', 'invalid_state', 'peer_unavailable']


@pytest.mark.parametrize('code', sorted(_VIOLATIONS - {'forbidden_message'}))
def test_e2_more_than_5_violations_in_10_s_end_the_connection(code):
    world, pilot = crowded()
    bystander = world.connect(RECEIVER, 'bystander', 'some')
    bystander.read()
    for _ in range(5):
        provoke(pilot, code)
        assert only_error(pilot.read()) == (code, False)
        world.wait(2.0)
    assert pilot.close_code is None
    provoke(pilot, code)
    assert pilot.refused() == (code, 4400)
    assert 'pilot' not in world.core.clients
    assert bystander.read() == []
    assert bystander.close_code is None


def test_e2_violations_are_forgiven_after_10_s():
    world, pilot = crowded()
    for _ in range(20):
        provoke(pilot, 'invalid_sdp')
        world.wait(2.1)
    assert pilot.close_code is None


@pytest.mark.parametrize('code', BORNE)
def test_e2_what_depends_on_others_is_no_violation(code):
    _, pilot = crowded()
    for _ in range(50):
        provoke(pilot, code)
        assert only_error(pilot.read())[0] == code
    assert pilot.close_code is None
    assert code not in _VIOLATIONS


def test_e2_a_camera_that_answers_viewers_too_late_is_not_closed():
    """A camera takes a while to answer, and its viewers may begin anew meanwhile."""
    world, camera, _ = pair(World(max_connections=20))
    for number in range(10):
        viewer = world.connect(RECEIVER, f'viewer{number}')
        viewer.offer()
        world.enter(RECEIVER, f'viewer{number}')
        answers = camera.answer(client_id=f'viewer{number}')
        assert answers[-1]['code'] == 'invalid_state'
    assert camera.close_code is None


def test_e2_a_sender_too_can_violate():
    _, camera, _ = pair()
    for _ in range(6):
        camera.put('stats')
    assert len(camera.read()) == 6
    assert camera.close_code == 4400


def test_the_violations_of_one_are_not_anothers():
    world, pilot = crowded()
    other = world.connect(RECEIVER, 'other', 'some')
    for _ in range(5):
        provoke(pilot, 'invalid_sdp')
        provoke(other, 'invalid_sdp')
    assert pilot.close_code is other.close_code is None


@pytest.mark.parametrize('code', [*sorted(_CLOSE_CODES), 'invalid_message'])
def test_each_fatal_error_has_its_close_code(code):
    world, camera, pilot = pair()
    error = ProtocolError(code, 'no', retry=True, retry_after_s=0.5, fatal=True)
    world.carry_out(world.core.reject(pilot.client, error, world.now_s, 'm'))
    assert pilot.inbox == [
        {
            'type': 'error', 'code': code, 'message': 'no', 'retry': True, 'retry_after_s': 0.5,
            'msg_id': 'm',
        }
    ]  # fmt: skip
    assert pilot.refused() == (code, {
        'forbidden_role': 4403, 'name_taken': 4423, 'rate_limited': 4429, 'timeout': 4408,
        'too_many_connections': 1013, 'unauthorized': 4401, 'invalid_message': 4400,
    }[code])  # fmt: skip
    assert camera.only('peer_left')['reason'] == 'refused'
    assert world.refusals == [code]


def test_e1_what_is_no_message_is_answered_under_its_id_if_it_has_one():
    _, camera, pilot = pair()
    [error] = pilot.send('shutdown', msg_id='m')
    assert (error['code'], error['msg_id']) == ('invalid_message', 'm')
    [error] = pilot.send('offer', sdp=5)
    assert error['code'] == 'invalid_message'
    assert 'sdp' in error['message']
    assert 'msg_id' not in error
    assert camera.read() == []


def test_c5_even_what_is_no_message_is_refused_before_the_welcome():
    world = World(Keys(anna=ANNA))
    line = world.connect(RECEIVER)
    line.put('shutdown', msg_id='m')
    assert line.inbox[0]['msg_id'] == 'm'
    assert line.refused() == ('unauthorized', 4401)
    assert line.send('shutdown') == []
