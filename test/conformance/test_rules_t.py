"""Section 7: statistics."""

from __future__ import annotations

import pytest

STATS = {
    'fps': 29.7,
    'bitrate_bps': 1510000.0,
    'rtt_ms': 12.5,
    'jitter_ms': 3.1,
    'loss': 0.01,
    'freezes': 0.0,
    'latency_ms': 84.0,
    'setup_ms': 310.0,
}


@pytest.mark.parametrize('members', [STATS, {'loss': 1}, {}], ids=['all', 'one', 'none'])
async def test_t1_stats_reach_the_sender(desk, members):
    pilot, camera = await desk.pair()
    await pilot.deliver('stats', **members, sender_id=camera.id)
    stats = await camera.expect('stats', client_id=pilot.id)
    values = {key: value for key, value in stats.items() if key in STATS}
    desk.check(values == members, f'{members} became {values}')


async def test_t1_a_sender_sends_none(desk):
    pilot, camera = await desk.pair()
    await camera.refused('forbidden_message', 'stats', **STATS, client_id=pilot.id)
    messages = await pilot.drain()
    desk.check(not messages, f'the receiver got {messages}')


@pytest.mark.parametrize(
    'members',
    [{'fps': -1}, {'loss': 1.5}, {'rtt_ms': '12'}, {'freezes': None}],
    ids=lambda members: next(iter(members)),
)
async def test_t1_stats_are_numbers(desk, members):
    pilot, camera = await desk.pair()
    await pilot.send('stats', **members, sender_id=camera.id)
    error = await pilot.expect('error', code='invalid_message')
    desk.check(next(iter(members)) in error['message'], f'{error} does not name the member')
    messages = await camera.drain()
    desk.check(not messages, f'the sender got {messages}')
