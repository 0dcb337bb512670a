"""Section 5: acknowledgements, and messages that are sent again."""

from __future__ import annotations

import asyncio

import pytest
import words

ACKED = {
    'offer': {'sdp': words.sdp()},
    'ice_candidate': words.candidate(),
    'stats': {'fps': 30.0},
    'leave': {},
}
REMEMBERED = 256
PAUSE_S = 0.5


@pytest.mark.parametrize('kind', ACKED)
async def test_a1_a_message_is_acknowledged(desk, kind):
    pilot, camera = await desk.pair()
    target = {} if kind == 'leave' else {'sender_id': camera.id}
    status = await pilot.deliver(kind, **ACKED[kind], **target)
    desk.check(status == 'delivered', f'status = {status}')


async def test_a1_authenticate_is_acknowledged(desk):
    pilot = await desk.open(auth='message')
    await pilot.send('authenticate', token=desk.target.token, msg_id='x' * 64)
    await pilot.expect_welcome()
    await pilot.expect('ack', msg_id='x' * 64, status='delivered')


async def test_a1_a_message_without_an_id_is_not_acknowledged(desk):
    pilot, camera = await desk.pair()
    await pilot.send('offer', sdp=words.sdp(), sender_id=camera.id)
    messages = await pilot.drain({'ack', 'error'})
    desk.check(not messages, f'it was answered by {messages}')


async def test_a1_what_waits_is_queued(desk):
    pilot, camera = await desk.pair()
    await pilot.drop()
    await desk.until_away(pilot, camera)


@pytest.mark.parametrize(
    ('code', 'message'),
    [
        ('invalid_sdp', {'type': 'offer', 'sdp': 'hello'}),
        ('invalid_message', {'type': 'offer'}),
        ('invalid_message', {'type': 'no_such_type'}),
        ('peer_unavailable', {'type': 'offer', 'sdp': words.sdp(), 'sender_id': 'kit:nobody'}),
    ],
    ids=['invalid_sdp', 'member_missing', 'unknown_type', 'peer_unavailable'],
)
async def test_a1_an_error_has_the_id(desk, code, message):
    pilot, _ = await desk.pair()
    await pilot.send(**{'kind': message['type'], **_without_type(message)}, msg_id='7')
    error = await pilot.expect('error', code=code)
    desk.check(error.get('msg_id') == '7', f'msg_id = "7" was answered by {error}')


async def test_a2_a_message_is_forwarded_once(desk):
    pilot, camera = await desk.pair()
    acks = [
        await pilot.ask('offer', sdp=words.sdp(), sender_id=camera.id, msg_id='same')
        for _ in range(3)
    ]
    desk.check(acks == [acks[0]] * 3, f'the acks differ: {acks}')
    messages = await camera.drain()
    desk.check(len(messages) == 1, f'the sender got {messages}')


async def test_a2_an_id_is_the_clients_own(desk):
    pilot, camera = await desk.pair()
    visitor = await desk.receiver('visitor')
    for peer in (pilot, visitor):
        await peer.deliver('offer', sdp=words.sdp(), sender_id=camera.id, msg_id='same')
    messages = await camera.drain()
    desk.check(len(messages) == 2, f'the sender got {messages}')


async def test_a2_what_was_refused_may_be_sent_again(desk):
    pilot = await desk.receiver()
    offer = {'sdp': words.sdp(), 'sender_id': desk.name('camera'), 'msg_id': 'again'}
    await pilot.refused('peer_unavailable', 'offer', **offer)
    camera = await desk.sender('camera')
    await pilot.deliver('offer', **offer)
    await camera.expect('offer', client_id=pilot.id)


async def test_a2_so_many_ids_are_remembered(desk):
    pilot, camera = await desk.pair()
    rate_hz = pilot.welcome['limits']['messages_per_s']
    if rate_hz < 20:
        pytest.skip(f'{REMEMBERED} messages take too long at {rate_hz} a second')
    first = {'sdp': words.sdp(), 'sender_id': camera.id, 'msg_id': 'first'}
    await pilot.deliver('offer', **first)
    for number in range(1, REMEMBERED):
        await _patiently(pilot, number, camera.id)
    await camera.drain()
    await pilot.deliver('offer', **first)
    messages = await camera.drain()
    desk.check(not messages, f'after {REMEMBERED - 1} others it was forwarded again: {messages}')


async def test_a2_an_id_is_remembered_across_a_resumption(desk):
    pilot, camera = await desk.pair()
    offer = {'sdp': words.sdp(), 'sender_id': camera.id, 'msg_id': 'same'}
    await pilot.deliver('offer', **offer)
    await pilot.drop()
    again = await desk.resume(pilot)
    await again.deliver('offer', **offer)
    messages = await camera.drain()
    desk.check(len(messages) == 1, f'the sender got {messages}')


async def _patiently(pilot, number, sender_id):
    """Send a candidate as soon as the server lets us."""
    while True:
        answer = await pilot.ask(
            'ice_candidate', **words.candidate(number), sender_id=sender_id, msg_id=f'c{number}'
        )
        if answer['type'] == 'ack':
            return
        pilot.desk.check(answer['code'] == 'rate_limited', f'it was answered by {answer}')
        # The server has said when one more is welcome; who stays at the limit is cut off.
        await asyncio.sleep(answer['retry_after_s'] + PAUSE_S)


def _without_type(message):
    return {key: value for key, value in message.items() if key != 'type'}
