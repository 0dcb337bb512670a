"""Section 6: liveness."""

from __future__ import annotations


async def test_l1_a_ping_is_answered_by_a_pong(desk):
    pilot = await desk.receiver()
    await pilot.send('ping', msg_id='p1')
    pong = await pilot.expect('pong')
    desk.check(pong.get('msg_id') == 'p1', f'it was {pong}')
    messages = await pilot.drain({'ack', 'error', 'pong'})
    desk.check(not messages, f'it was also answered by {messages}')


async def test_l1_a_ping_without_an_id_is_answered_too(desk):
    camera = await desk.sender()
    await camera.send('ping')
    pong = await camera.expect('pong')
    desk.check('msg_id' not in pong, f'it was {pong}')


async def test_l1_the_same_id_is_answered_each_time(desk):
    pilot = await desk.receiver()
    for _ in range(2):
        await pilot.send('ping', msg_id='p1')
        await pilot.expect('pong', msg_id='p1')
