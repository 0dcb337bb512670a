"""Section 2: the connection, and who may come in."""

from __future__ import annotations

import re

import pytest
import words

WRONG = 'no-such-token-0123456789'
NOT_IN_YET = {
    'offer': {'sdp': words.sdp()},
    'answer': {'sdp': words.answer()},
    'ice_candidate': words.candidate(),
    'stats': {'fps': 30.0},
    'ping': {},
    'pong': {},
    'leave': {},
    'no_such_type': {},
}


async def waiting(desk, token='', **query):
    """Return a client that has to send `authenticate`."""
    return await desk.open(token=token, auth='message', **query)


async def test_c1_a_bearer_token_is_answered_by_connected(desk):
    pilot = await desk.open(token=desk.target.token)
    await pilot.expect_welcome()


async def test_c1_a_bearer_token_in_lower_case_is_one(desk):
    pilot = await desk.open(headers={'Authorization': f'bearer {desk.target.token}'})
    await pilot.expect_welcome()


async def test_c1_authenticate_is_answered_by_connected(desk):
    pilot = await waiting(desk)
    await pilot.send('authenticate', token=desk.target.token)
    await pilot.expect_welcome()


async def test_c1_connected_comes_before_the_ack(desk):
    pilot = await waiting(desk)
    await pilot.send('authenticate', token=desk.target.token, msg_id='first')
    await pilot.expect_welcome()
    await pilot.expect('ack', msg_id='first')


async def test_c1_connected_has_all_its_members(desk):
    camera = await desk.sender()
    pilot = await desk.open(token=desk.target.token, client_id=desk.name('pilot'))
    welcome = await pilot.expect_welcome()
    expected = {
        'client_id': desk.name('pilot'), 'role': 'receiver', 'protocol': 1, 'polite': True,
        'resumed': False,
    }  # fmt: skip
    desk.check(expected.items() <= welcome.items(), f'{welcome} has not {expected}')
    peer = {'client_id': camera.id, 'role': 'sender'}
    desk.check(
        any(peer.items() <= listed.items() for listed in welcome['peers']),
        f'peers = {welcome["peers"]}: lacks {peer}',
    )
    desk.check(len(welcome['resume_token']) >= 22, 'the resume token has less than 128 bits')
    desk.check(isinstance(welcome['ice_servers'], list), 'ice_servers is no list')
    limits = {
        'max_message_bytes', 'messages_per_s', 'burst', 'queue_messages', 'queue_bytes',
        'resume_window_s',
    }  # fmt: skip
    numbers = {**welcome['limits'], **{k: welcome[k] for k in ('heartbeat_s', 'timeout_s')}}
    desk.check(limits <= numbers.keys(), f'limits lacks {limits - numbers.keys()}')
    desk.check(all(value >= 0 for value in numbers.values()), f'a number below 0 in {numbers}')


async def test_c1_a_sender_is_impolite_and_learns_the_receivers(desk):
    pilot = await desk.receiver()
    camera = await desk.sender()
    desk.check(camera.welcome['polite'] is False, f'polite is true for a sender: {camera.welcome}')
    listed = {peer['client_id']: peer['role'] for peer in camera.welcome['peers']}
    desk.check(listed.get(pilot.id) == 'receiver', f'peers = {listed}: lacks the receiver')
    desk.check(set(listed.values()) == {'receiver'}, f'peers = {listed}: has other senders')


async def test_c1_authenticate_may_name_role_and_client_id(desk):
    camera = await waiting(desk)
    name = desk.name('camera')
    token = desk.target.sender_token
    await camera.send('authenticate', token=token, role='sender', client_id=name)
    welcome = await camera.expect_welcome()
    given = (welcome['role'], welcome['client_id'])
    desk.check(given == ('sender', name), f'role and client_id became {given}')


async def test_c1_a_client_without_a_name_gets_one(desk):
    names = []
    for _ in range(2):
        pilot = await desk.open(token=desk.target.token)
        names.append((await pilot.expect_welcome())['client_id'])
    desk.check(len(set(names)) == 2, f'both were named {names}')
    for name in names:
        desk.check(re.fullmatch(r'[A-Za-z0-9._:-]{1,64}', name), f'{name!r} is no client_id')


async def test_c1_the_other_path_works_too(desk):
    pilot = await desk.open(path='/ws', token=desk.target.token)
    await pilot.expect_welcome()


async def test_c1_auth_message_waits_for_authenticate(desk):
    pilot = await waiting(desk, token=desk.target.token)
    await pilot.send('authenticate', token=desk.target.token, client_id=desk.name('waiter'))
    welcome = await pilot.expect_welcome()
    desk.check(
        welcome['client_id'] == desk.name('waiter'), f'it did not wait: {welcome["client_id"]}'
    )


async def test_c2_a_wrong_bearer_token_is_refused_after_the_upgrade(desk):
    pilot = await desk.open(token=WRONG)
    await pilot.expect_close(4401, 'unauthorized')


@pytest.mark.parametrize('token', [WRONG, ''], ids=['wrong', 'empty'])
async def test_c2_a_wrong_token_is_refused(desk, token):
    pilot = await waiting(desk)
    await pilot.send('authenticate', token=token)
    messages = await pilot.expect_close(4401, 'unauthorized')
    desk.check(len(messages) == 1, f'it was told more than that: {messages}')


async def test_c2_a_refusal_names_the_message(desk):
    pilot = await waiting(desk)
    await pilot.send('authenticate', token=WRONG, msg_id='first')
    [error] = await pilot.expect_close(4401, 'unauthorized')
    desk.check(error.get('msg_id') == 'first', f'{error} has not the msg_id')
    desk.check(WRONG not in error['message'], f'{error} tells the token')


async def test_c3_a_client_that_sends_no_token_is_closed(desk):
    pilot = await desk.open()
    await pilot.expect_close(4408, 'timeout')


async def test_c3_a_client_that_asked_to_wait_is_closed(desk):
    pilot = await waiting(desk, token=desk.target.token)
    await pilot.expect_close(4408, 'timeout')


async def test_c4_a_receivers_token_admits_no_sender(desk):
    camera = await desk.open(token=desk.target.token, role='sender')
    await camera.expect_close(4403, 'forbidden_role')


async def test_c4_a_receivers_token_admits_no_sender_by_message(desk):
    camera = await waiting(desk)
    await camera.send('authenticate', token=desk.target.token, role='sender')
    await camera.expect_close(4403, 'forbidden_role')


@pytest.mark.parametrize('kind', NOT_IN_YET)
async def test_c5_nothing_but_authenticate_comes_first(desk, kind):
    pilot = await waiting(desk)
    await pilot.send(kind, **NOT_IN_YET[kind])
    messages = await pilot.expect_close(4401, 'unauthorized')
    desk.check(len(messages) == 1, f'it was told more than that: {messages}')


async def test_c5_the_peer_gets_nothing_of_it(desk):
    camera = await desk.sender()
    pilot = await waiting(desk)
    await pilot.send('offer', sdp=words.sdp(), sender_id=camera.id)
    await pilot.expect_close(4401)
    messages = await camera.drain()
    desk.check(not messages, f'the sender got {messages}')


async def test_c6_a_renewal_is_not_answered(desk):
    pilot = await desk.receiver()
    await pilot.send('authenticate', token=desk.target.token)
    messages = await pilot.drain({'connected', 'ack', 'error'})
    desk.check(not messages, f'it was answered by {messages}')


async def test_c6_a_renewal_with_a_msg_id_gets_an_ack(desk):
    pilot = await desk.receiver()
    await pilot.deliver('authenticate', token=desk.target.token)
    messages = await pilot.drain({'connected'})
    desk.check(not messages, f'it was welcomed once more: {messages}')


async def test_c6_a_renewal_with_a_wrong_token_is_refused(desk):
    pilot = await desk.receiver()
    await pilot.send('authenticate', token=WRONG)
    await pilot.expect_close(4401, 'unauthorized')


async def test_c6_a_renewal_by_another_subject_is_refused(subjects_desk):
    desk = subjects_desk
    if not desk.target.other_token:
        pytest.skip('needs --other-token')
    pilot = await desk.receiver()
    await pilot.send('authenticate', token=desk.target.other_token)
    await pilot.expect_close(4401, 'unauthorized')


async def test_c7_the_end_of_the_credential_closes(subjects_desk):
    desk = subjects_desk
    if desk.target.mint_expiring is None:
        pytest.skip('needs --expiring-token')
    token = desk.target.mint_expiring()
    renewed = await desk.receiver('renewed', token=token)
    await renewed.deliver('authenticate', token=desk.target.token)
    pilot = await desk.receiver(token=token)
    await pilot.expect_close(4401, 'unauthorized')
    await renewed.check_alive()


@pytest.mark.parametrize('kind', ['expired', 'none'])
async def test_c8_what_is_no_guess_locks_nobody_out(own_desk, kind):
    desk, _ = own_desk(subjects=True, **{'limits.failed_logins': 2})
    for _ in range(4):
        visitor = await waiting(desk)
        token = desk.target.expired_token if kind == 'expired' else ''
        await visitor.send('authenticate', token=token)
        await visitor.expect_close(4401, 'unauthorized')
    await desk.check_admitted()


async def test_c8_nor_does_the_end_of_a_credential(own_desk):
    desk, _ = own_desk(subjects=True, **{'limits.failed_logins': 1})
    for _ in range(2):
        pilot = await desk.receiver(token=desk.target.mint_expiring())
        await pilot.expect_close(4401, 'unauthorized')
    await desk.check_admitted()


async def narrowed(desk, how):
    """Return a receiver whose new credential does not admit its camera, and that camera."""
    if not desk.target.narrow_token:
        pytest.skip('needs --narrow-token')
    pilot, camera = await desk.pair()
    await pilot.deliver('offer', sdp=words.sdp(), sender_id=camera.id)
    await camera.deliver('answer', sdp=words.answer(), client_id=pilot.id)
    if how == 'renewed':
        await pilot.deliver('authenticate', token=desk.target.narrow_token)
    else:
        await pilot.drain()
        await pilot.drop()
        pilot.token = desk.target.narrow_token
        pilot = await desk.resume(pilot)
        desk.check(pilot.welcome['resumed'], 'resumed is false')
    return pilot, camera


@pytest.mark.parametrize('how', ['renewed', 'resumed'])
async def test_c9_a_session_that_is_not_admitted_any_more_ends(subjects_desk, how):
    pilot, camera = await narrowed(subjects_desk, how)
    await pilot.expect('peer_left', client_id=camera.id, role='sender', reason='refused')
    await camera.expect('peer_left', client_id=pilot.id, role='receiver', reason='refused')
    await pilot.refused('forbidden_camera', 'offer', sdp=words.sdp(), sender_id=camera.id)
    await camera.refused('peer_unavailable', 'offer', sdp=words.sdp(), client_id=pilot.id)


async def test_c9_a_camera_that_is_admitted_again_is_told(subjects_desk):
    desk = subjects_desk
    pilot, camera = await narrowed(desk, 'renewed')
    await pilot.expect('peer_left', client_id=camera.id)
    await camera.expect('peer_left', client_id=pilot.id)
    await pilot.deliver('authenticate', token=desk.target.token)
    await pilot.expect('peer_joined', client_id=camera.id, role='sender')
    await camera.expect('peer_joined', client_id=pilot.id, role='receiver')
    await pilot.deliver('offer', sdp=words.sdp(), sender_id=camera.id)
