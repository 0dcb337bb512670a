"""Section 5: coming back after a lost connection."""

from __future__ import annotations

import asyncio

import pytest
import words


def lines(messages):
    return [message.get('candidate') for message in messages]


async def lost(desk):
    """Return a receiver whose loss the server has seen, a sender, and what it sent meanwhile."""
    pilot, camera = await desk.pair()
    await pilot.drop()
    sent = await desk.until_away(pilot, camera)
    return pilot, camera, sent


def window_s(peer):
    """Return how long a client may stay away, or skip the test if that takes too long."""
    seconds = peer.welcome['limits']['resume_window_s']
    if seconds > 60:
        pytest.skip(f'the resume window of {seconds} s is too long to wait for')
    return seconds


async def until_it_ends(camera, pilot):
    await camera.expect(
        'peer_left', within_s=window_s(pilot), client_id=pilot.id, reason='connection_lost'
    )


async def test_r1_what_was_missed_comes_once_and_in_order(desk):
    pilot, camera, sent = await lost(desk)
    for number in range(100, 110):
        sent.append(words.candidate(number)['candidate'])
        await camera.deliver('ice_candidate', **words.candidate(number), client_id=pilot.id)
    again = await desk.resume(pilot)
    welcome = again.welcome
    desk.check(welcome['resumed'] is True, 'resumed is false')
    desk.check(welcome['client_id'] == pilot.id, f'the name became {welcome["client_id"]}')
    desk.check(welcome['resume_token'] != pilot.welcome['resume_token'], 'the token is the old')
    messages = await again.drain()
    desk.check(lines(messages) == sent, f'{sent} came as {lines(messages)}')
    messages = await again.drain()
    desk.check(not messages, f'more came: {messages}')


async def test_r1_what_was_written_in_vain_comes_again(desk):
    pilot, camera = await desk.pair()
    for number in range(5):
        await camera.deliver('ice_candidate', **words.candidate(number), client_id=pilot.id)
    await pilot.drain()
    await pilot.drop()
    again = await desk.resume(pilot, last_seq=pilot.seq - 3)
    desk.check(again.welcome['resumed'], 'resumed is false')
    messages = await again.drain()
    expected = [words.candidate(number)['candidate'] for number in range(2, 5)]
    desk.check(lines(messages) == expected, f'{expected} came as {lines(messages)}')


async def test_r1_a_sender_comes_back_too(desk):
    pilot, camera = await desk.pair()
    await camera.drop()
    sent = await desk.until_away(camera, pilot)
    again = await desk.resume(camera)
    desk.check(again.welcome['resumed'], 'resumed is false')
    messages = await again.drain()
    desk.check(lines(messages) == sent, f'{sent} came as {lines(messages)}')


async def test_r1_the_session_goes_on(desk):
    pilot, camera = await desk.pair()
    await pilot.deliver('offer', sdp=words.sdp(), sender_id=camera.id)
    await pilot.drop()
    again = await desk.resume(pilot)
    await camera.deliver('answer', sdp=words.answer(), client_id=pilot.id)
    await again.expect('answer', client_id=pilot.id, sender_id=camera.id)
    await again.deliver('ice_candidate', **words.candidate())
    await camera.expect('ice_candidate', client_id=pilot.id)


async def test_r1_one_may_come_back_again_and_again(desk):
    pilot, _ = await desk.pair()
    for _ in range(3):
        await pilot.drop()
        pilot = await desk.resume(pilot)
        desk.check(pilot.welcome['resumed'], 'resumed is false')


async def test_r1_other_close_codes_are_no_goodbye(desk):
    pilot, camera = await desk.pair()
    await pilot.close(4000)
    sent = await desk.until_away(pilot, camera)
    again = await desk.resume(pilot)
    desk.check(again.welcome['resumed'], 'resumed is false')
    messages = await again.drain()
    desk.check(lines(messages) == sent, f'{sent} came as {lines(messages)}')


async def test_r1_it_works_before_the_server_sees_the_loss(desk):
    pilot, camera = await desk.pair()
    again = await desk.resume(pilot)
    desk.check(again.welcome['resumed'], 'resumed is false')
    await pilot.expect_close(4409)
    await camera.deliver('offer', sdp=words.sdp(), client_id=pilot.id)
    await again.expect('offer')


async def test_r2_a_token_works_once(desk):
    pilot, _ = await desk.pair()
    await pilot.drop()
    again = await desk.resume(pilot)
    desk.check(again.welcome['resumed'], 'resumed is false at the first time')
    await again.drop()
    third = await desk.resume(pilot, last_seq=again.seq)
    desk.check(not third.welcome['resumed'], 'resumed is true at the second time')


async def test_r2_a_token_works_only_for_its_subject(subjects_desk):
    desk = subjects_desk
    if not desk.target.other_token:
        pytest.skip('needs --other-token')
    pilot, _ = await desk.pair()
    await pilot.drop()
    thief = await desk.open(auth='message', client_id=pilot.id)
    await thief.send(
        'authenticate',
        token=desk.target.other_token,
        client_id=pilot.id,
        resume_token=pilot.welcome['resume_token'],
        last_seq=0,
    )
    await thief.expect_close(4423, 'name_taken')
    again = await desk.resume(pilot)
    desk.check(again.welcome['resumed'], 'the attempt of another subject has used the token up')


async def test_r3_a_wrong_token_gives_a_new_session(desk):
    pilot, camera = await desk.pair()
    await pilot.drop()
    again = await desk.resume(pilot, resume_token='wrong-' + pilot.welcome['resume_token'])
    desk.check(again.welcome['resumed'] is False, 'resumed is true')
    await camera.deliver('offer', sdp=words.sdp(), client_id=again.id)
    await again.expect('offer')


async def test_r3_a_token_for_nobody_gives_a_new_session(desk):
    pilot = await desk.receiver()
    pilot.id = desk.name('stranger')
    stranger = await desk.resume(pilot)
    desk.check(stranger.welcome['resumed'] is False, 'resumed is true')


@pytest.mark.parametrize('count', [0, 3])
async def test_r3_a_number_that_was_never_given_gives_a_new_session(desk, count):
    pilot, camera = await desk.pair()
    for number in range(count):
        await camera.deliver('ice_candidate', **words.candidate(number), client_id=pilot.id)
    await pilot.drain()
    await pilot.drop()
    again = await desk.resume(pilot, last_seq=pilot.seq + 1000)
    desk.check(again.welcome['resumed'] is False, 'resumed is true')


async def test_r3_what_is_not_kept_any_more_gives_a_new_session(desk):
    pilot, camera = await desk.pair()
    for number in range(80):
        await camera.deliver('ice_candidate', **words.candidate(number), client_id=pilot.id)
    await pilot.drain()
    await pilot.drop()
    again = await desk.resume(pilot, last_seq=0)
    desk.check(
        again.welcome['resumed'] is False or len(await again.drain()) == 80,
        'resumed is true, and yet messages were missing',
    )


async def test_r3_after_the_window_there_is_a_new_session(desk):
    pilot, camera, _ = await lost(desk)
    await until_it_ends(camera, pilot)
    again = await desk.resume(pilot)
    desk.check(again.welcome['resumed'] is False, 'resumed is true')
    await camera.expect('peer_joined', client_id=pilot.id)
    messages = await again.drain()
    desk.check(not messages, f'it got what had expired: {messages}')


async def test_r3_a_new_session_has_no_open_offer(desk):
    pilot, camera = await desk.pair()
    await pilot.deliver('offer', sdp=words.sdp(), sender_id=camera.id)
    await pilot.drop()
    again = await desk.receiver()
    await camera.refused('invalid_state', 'answer', sdp=words.answer(), client_id=pilot.id)
    messages = await again.drain()
    desk.check(not messages, f'it got what was for its predecessor: {messages}')


async def test_r3_after_an_expulsion_there_is_a_new_session(desk):
    pilot, camera = await desk.pair()
    await pilot.socket.send(b'{}')
    await pilot.expect_close(1003)
    await camera.expect('peer_left', client_id=pilot.id, reason='refused')
    again = await desk.resume(pilot)
    desk.check(again.welcome['resumed'] is False, 'resumed is true')


@pytest.mark.parametrize('how', ['leave', '1000', '1001'])
async def test_r3_after_a_goodbye_there_is_a_new_session(desk, how):
    pilot, camera = await desk.pair()
    if how == 'leave':
        await pilot.send('leave')
        await pilot.expect_close(1000)
    else:
        await pilot.close(int(how))
    await camera.expect('peer_left', client_id=pilot.id)
    again = await desk.resume(pilot)
    desk.check(again.welcome['resumed'] is False, 'resumed is true')


async def test_r4_when_the_window_ends_what_waits_expires(desk):
    pilot, camera = await desk.pair()
    await pilot.drop()
    await desk.until_away(pilot, camera)
    status = await camera.deliver('offer', sdp=words.sdp(), client_id=pilot.id, msg_id='late')
    desk.check(status == 'queued', f'status = {status}')
    await camera.send('ice_candidate', **words.candidate(), client_id=pilot.id)
    await until_it_ends(camera, pilot)
    error = await camera.expect('error', code='expired', msg_id='late')
    desk.check(error['retry'] is True, f'retry is not true in {error}')
    while 'msg_id' in error:
        error = await camera.expect('error', code='expired')


async def test_r4_each_message_that_waits_expires(desk):
    pilot, camera, _ = await lost(desk)
    for number in range(10):
        await camera.deliver(
            'ice_candidate', **words.candidate(number), client_id=pilot.id, msg_id=f'e{number}'
        )
    await until_it_ends(camera, pilot)
    for number in range(10):
        await camera.expect('error', code='expired', msg_id=f'e{number}')


async def test_r5_a_newer_offer_takes_the_place_of_an_older(desk):
    pilot, camera, _ = await lost(desk)
    for tag in ('older', 'newer'):
        await camera.deliver('offer', sdp=words.sdp(tag), client_id=pilot.id)
        await camera.deliver('ice_candidate', **_candidate_of(tag), client_id=pilot.id)
    again = await desk.resume(pilot)
    messages = await again.drain()
    kept = [(message['type'], message.get('sdp', message.get('tag'))) for message in messages]
    expected = [('offer', words.sdp('newer')), ('ice_candidate', 'newer')]
    # What was sent before the loss was seen may come too: it was not waiting.
    desk.check(kept[-2:] == expected, f'it got {kept}')
    tags = [message.get('tag') for message in messages]
    desk.check('older' not in tags, f"it got the older one's candidate: {tags}")


async def test_r5_offers_of_other_sessions_stay(desk):
    pilot, camera, _ = await lost(desk)
    other = await desk.sender('other')
    for sender in (camera, other):
        await sender.deliver('offer', sdp=words.sdp(sender.id), client_id=pilot.id)
    again = await desk.resume(pilot)
    for sender in (camera, other):
        await again.expect('offer', sdp=words.sdp(sender.id), sender_id=sender.id)


@pytest.mark.parametrize('who', ['receiver', 'sender'])
async def test_r6_the_newest_connection_wins(desk, who):
    enter = desk.receiver if who == 'receiver' else desk.sender
    old = await enter('twin')
    new = await enter('twin')
    await old.expect_close(4409)
    desk.check(new.id == old.id, f'the newer one was named {new.id}')
    desk.check(new.welcome['resumed'] is False, 'resumed is true without a resume token')
    await new.check_alive()


async def test_r6_the_older_one_gets_nothing_any_more(desk):
    pilot, camera = await desk.pair()
    new = await desk.receiver()
    await camera.deliver('offer', sdp=words.sdp(), client_id=pilot.id)
    await new.expect('offer', client_id=pilot.id)
    messages = await pilot.expect_close(4409)
    desk.check('offer' not in [message['type'] for message in messages], f'it got {messages}')


async def test_r6_a_dead_connection_blocks_no_name(desk):
    pilot = await desk.receiver()
    await pilot.drop()
    async with asyncio.timeout(window_s(pilot)):
        again = await desk.receiver()
    desk.check(again.id == pilot.id, f'it was named {again.id}')


@pytest.mark.parametrize('is_there', [True, False], ids=['there', 'away'])
async def test_r6_another_subject_is_refused(subjects_desk, is_there):
    desk = subjects_desk
    if not desk.target.other_token:
        pytest.skip('needs --other-token')
    pilot, camera = await desk.pair()
    if not is_there:
        await pilot.drop()
        await desk.until_away(pilot, camera)
    thief = await desk.open(token=desk.target.other_token, client_id=pilot.id)
    await thief.expect_close(4423, 'name_taken')
    if is_there:
        await pilot.check_alive()


@pytest.mark.parametrize('who', ['receiver', 'sender'])
async def test_r7_an_answer_is_not_for_a_new_session(desk, who):
    pilot, camera = await desk.pair()
    old, other = (pilot, camera) if who == 'receiver' else (camera, pilot)
    ids = {'client_id': pilot.id, 'sender_id': camera.id}
    await old.deliver('offer', sdp=words.sdp(), **ids)
    await other.expect('offer')
    await old.drop()
    await desk.until_away(old, other)
    status = await other.deliver('answer', sdp=words.answer(), **ids, msg_id='late')
    desk.check(status == 'queued', f'status = {status}')
    again = await (desk.receiver() if who == 'receiver' else desk.sender())
    desk.check(again.id == old.id, f'it was named {again.id}')
    messages = await again.drain()
    desk.check(not messages, f'it got what was for its predecessor: {messages}')
    error = await other.expect('error', code='expired', msg_id='late')
    desk.check(error['retry'] is True, f'retry is not true in {error}')


async def test_r7_an_offer_that_waits_can_be_answered(desk):
    pilot, camera, _ = await lost(desk)
    await camera.deliver('offer', sdp=words.sdp(), client_id=pilot.id)
    await camera.deliver('ice_candidate', **words.candidate(), client_id=pilot.id)
    again = await desk.receiver()
    messages = await again.drain()
    kinds = [message['type'] for message in messages]
    desk.check(kinds == ['offer', 'ice_candidate'], f'it got {messages}')
    await again.deliver('answer', sdp=words.answer(), sender_id=camera.id)
    await camera.expect('answer', client_id=pilot.id)


@pytest.mark.parametrize('how', ['leaves', 'begins anew'])
async def test_r7_what_waits_of_who_is_gone_is_not_delivered(desk, how):
    pilot, camera, _ = await lost(desk)
    await camera.deliver('offer', sdp=words.sdp(), client_id=pilot.id)
    if how == 'leaves':
        await camera.send('leave')
        await camera.expect_close(1000)
    else:
        await desk.sender()
    again = await desk.resume(pilot)
    desk.check(again.welcome['resumed'], 'resumed is false')
    offers = await again.drain({'offer'})
    desk.check(not offers, f'it got {offers}')


def _candidate_of(tag):
    return words.candidate() | {'tag': tag}
