"""Section 8: what cannot be served is answered by an error."""

from __future__ import annotations

import asyncio

import pytest
import words

BORNE = 5
# As many as may be under way beyond the limit.
TOO_MANY = 50
ROUNDS = 3
# What is sent, the error's code, and what its text has to name.
WRONG = {
    'no_json': ('hello', 'invalid_json', ''),
    'half': ('{"type": "ping"', 'invalid_json', ''),
    'nothing': ('', 'invalid_json', ''),
    'no_type': ('{"sdp": ""}', 'invalid_message', 'type'),
    'unknown_type': ('{"type": "no_such_type"}', 'invalid_message', 'no_such_type'),
    'a_servers_type': ('{"type": "peer_left"}', 'invalid_message', 'peer_left'),
    'type_is_a_number': ('{"type": 1}', 'invalid_message', ''),
    'member_missing': ('{"type": "offer"}', 'invalid_message', 'sdp'),
    'wrong_type': ('{"type": "offer", "sdp": 1}', 'invalid_message', 'sdp'),
    'wrong_name': ('{"type": "answer", "sdp": "", "client_id": "a b"}', 'invalid_message',
                   'client_id'),
    'name_too_long': (f'{{"type": "offer", "sdp": "", "sender_id": "{"x" * 65}"}}',
                      'invalid_message', 'sender_id'),
    'empty_msg_id': ('{"type": "ping", "msg_id": ""}', 'invalid_message', 'msg_id'),
    'long_msg_id': (f'{{"type": "ping", "msg_id": "{"x" * 65}"}}', 'invalid_message', 'msg_id'),
    'msg_id_is_a_number': ('{"type": "leave", "msg_id": 7}', 'invalid_message', 'msg_id'),
}  # fmt: skip


@pytest.mark.parametrize('name', WRONG)
async def test_e1_what_is_wrong_is_answered(desk, name):
    text, code, part = WRONG[name]
    pilot = await desk.receiver()
    await pilot.send_text(text)
    error = await pilot.expect('error')
    desk.check(error['code'] == code, f'{text:.100} was answered by {error} and not by {code}')
    desk.check(error['retry'] is False, f'{error}: retry is not false')
    desk.check(error['message'] and part in error['message'], f'{error} does not name {part!r}')


@pytest.mark.parametrize('text', ['[]', '7', 'null', '"ping"'])
async def test_e1_what_is_no_object_is_answered(desk, text):
    pilot = await desk.receiver()
    await pilot.send_text(text)
    await pilot.expect('error', code='invalid_json', retry=False)


async def test_e1_an_error_has_its_members(desk):
    pilot, camera = await desk.pair()
    error = await pilot.refused('invalid_sdp', 'offer', sdp='hello', sender_id=camera.id)
    kinds = {'code': str, 'message': str, 'retry': bool, 'msg_id': str}
    for member, kind in kinds.items():
        desk.check(isinstance(error.get(member), kind), f'{error}: {member} is no {kind}')


async def test_e1_a_role_that_is_none_is_answered(desk):
    pilot = await desk.open(token=desk.target.token, role='admin')
    messages = await pilot.expect_close(4400, 'invalid_message')
    desk.check('role' in messages[0]['message'], f'{messages[0]} does not name the role')


async def test_e1_a_name_that_is_none_is_answered(desk):
    pilot = await desk.open(token=desk.target.token, client_id='a b')
    messages = await pilot.expect_close(4400, 'invalid_message')
    desk.check('client_id' in messages[0]['message'], f'{messages[0]} does not name it')


async def test_e2_some_violations_are_borne(desk):
    pilot = await desk.receiver()
    for _ in range(BORNE):
        await pilot.send_text('hello')
        await pilot.expect('error', code='invalid_json')
    await pilot.check_alive()


async def test_e2_more_violations_end_the_connection(desk):
    pilot = await desk.receiver()
    for _ in range(BORNE + 1):
        await pilot.send_text('hello')
    messages = await pilot.expect_close(4400, 'invalid_json')
    desk.check(len(messages) == BORNE + 1, f'{BORNE + 1} violations were answered by {messages}')


async def test_e2_no_other_session_is_disturbed(desk):
    pilot, camera = await desk.pair()
    visitor = await desk.receiver('visitor')
    for peer in (pilot, visitor):
        await peer.deliver('offer', sdp=words.sdp(), sender_id=camera.id)
    for _ in range(BORNE + 1):
        await visitor.send_text('hello')
    await visitor.expect_close(4400)
    await camera.deliver('answer', sdp=words.answer(), client_id=pilot.id)
    await pilot.expect('answer', client_id=pilot.id)
    await pilot.deliver('ice_candidate', **words.candidate(), sender_id=camera.id)
    await camera.expect('ice_candidate', client_id=pilot.id)


async def send_too_many(pilot, batch='all', count=0):
    """Send so many pings at once, or TOO_MANY beyond the limit; return how long each waits."""
    burst = pilot.welcome['limits']['burst']
    if burst > 2000:
        pytest.skip(f'a burst of {burst} is too much')
    msg_ids = [f'{batch}-{number}' for number in range(count or burst + TOO_MANY)]
    for msg_id in msg_ids:
        await pilot.send('ping', msg_id=msg_id)
    answers = [await pilot.expect_answer(msg_id, {'pong', 'error'}) for msg_id in msg_ids]
    errors = [answer for answer in answers if answer['type'] == 'error']
    for error in errors:
        pilot.desk.check(error['code'] == 'rate_limited', f'it was refused with {error}')
        pilot.desk.check(error.get('retry_after_s', 0) > 0, f'when again? {error}')
    return {error['msg_id']: error['retry_after_s'] for error in errors}


async def test_e3_who_waits_as_it_was_told_is_not_closed(desk):
    pilot = await desk.receiver()
    waits = await send_too_many(pilot)
    desk.check(waits, 'nothing was too many')
    for batch in range(ROUNDS):
        # The server has said when to come again.
        await asyncio.sleep(max(waits.values(), default=0.0))
        waits = await send_too_many(pilot, batch, TOO_MANY)
    await asyncio.sleep(max(waits.values(), default=0.0))
    await pilot.check_alive()


async def test_e3_each_message_may_come_again_at_its_own_time(desk):
    pilot = await desk.receiver()
    loop = asyncio.get_running_loop()
    waits = await send_too_many(pilot)
    told_s = loop.time()
    for msg_id, wait_s in waits.items():
        await asyncio.sleep(told_s + wait_s - loop.time())
        await pilot.send('ping', msg_id=msg_id)
        await pilot.expect_answer(msg_id, {'pong'})


async def test_e3_who_does_not_wait_is_closed(desk):
    pilot = await desk.receiver()
    await send_too_many(pilot)
    for _ in range(2 * TOO_MANY):
        await pilot.send_if_open('ping')
    await pilot.expect_close(4429, 'rate_limited')
