"""Section 4: who hears of whom."""

from __future__ import annotations

import pytest
import words

PRESENCE = {'peer_joined', 'peer_left'}


async def test_p1_a_sender_hears_of_a_receiver(desk):
    camera = await desk.sender()
    pilot = await desk.receiver()
    joined = await camera.expect('peer_joined', client_id=pilot.id, role='receiver')
    desk.check(isinstance(joined['name'], str), f'{joined} has no name')


async def test_p1_a_receiver_hears_of_a_sender(desk):
    pilot = await desk.receiver()
    camera = await desk.sender()
    joined = await pilot.expect('peer_joined', client_id=camera.id, role='sender')
    desk.check(isinstance(joined['name'], str), f'{joined} has no name')


@pytest.mark.parametrize('code', [1000, 1001])
@pytest.mark.parametrize('who', ['receiver', 'sender'])
async def test_p1_a_goodbye_is_told(desk, code, who):
    pilot, camera = await desk.pair()
    gone, left = (pilot, camera) if who == 'receiver' else (camera, pilot)
    await gone.close(code)
    await left.expect('peer_left', client_id=gone.id, role=who, reason='left')


async def test_p1_a_lost_connection_is_told_when_the_window_ends(desk):
    pilot, camera = await desk.pair()
    window_s = pilot.welcome['limits']['resume_window_s']
    await pilot.drop()
    await camera.expect(
        'peer_left', within_s=window_s, client_id=pilot.id, role='receiver',
        reason='connection_lost',
    )  # fmt: skip


async def test_p1_an_expulsion_is_told(desk):
    pilot, camera = await desk.pair()
    for _ in range(6):
        await pilot.send('no_such_type')
    await pilot.expect_close(4400)
    await camera.expect('peer_left', client_id=pilot.id, role='receiver', reason='refused')


async def test_p1_a_resumed_connection_is_not_told(desk):
    pilot, camera = await desk.pair()
    await pilot.drop()
    again = await desk.resume(pilot)
    desk.check(again.welcome['resumed'], 'it was not resumed')
    messages = await camera.drain(PRESENCE)
    desk.check(not messages, f'the sender got {messages}')


async def test_p1_a_client_that_starts_anew_is_told(desk):
    pilot, camera = await desk.pair()
    await pilot.drop()
    again = await desk.receiver()
    desk.check(again.id == pilot.id, f'its name was not given back: {again.id}')
    await camera.expect('peer_joined', client_id=pilot.id)


async def test_p1_one_is_not_told_of_ones_own_role(desk):
    pilot, camera = await desk.pair()
    visitor = await desk.receiver('visitor')
    other = await desk.sender('other')
    await camera.expect('peer_joined', client_id=visitor.id)
    await pilot.expect('peer_joined', client_id=other.id)
    for peer in (pilot, camera):
        messages = await peer.drain(PRESENCE)
        desk.check(not messages, f'{peer} got {messages}')


async def test_p3_the_cameras_of_a_sender_are_told(desk):
    pilot = await desk.receiver()
    camera = await desk.sender()
    robot = await desk.sender_of('front', 'rear.2')
    joined = await pilot.expect('peer_joined', client_id=camera.id)
    desk.check('cameras' not in joined, f'{joined} has cameras that nobody named')
    await pilot.expect('peer_joined', client_id=robot.id, cameras=['front', 'rear.2'])
    visitor = await desk.receiver('visitor')
    listed = {peer['client_id']: peer.get('cameras') for peer in visitor.welcome['peers']}
    told = {camera.id: None, robot.id: ['front', 'rear.2']}
    desk.check(told.items() <= listed.items(), f'{listed} is listed')


async def test_p3_they_stay_when_it_resumes(desk):
    robot = await desk.sender_of('front', 'rear')
    await robot.drop()
    again = await desk.resume(robot)
    desk.check(again.welcome['resumed'], 'it was not resumed')
    pilot = await desk.receiver()
    listed = {peer['client_id']: peer.get('cameras') for peer in pilot.welcome['peers']}
    desk.check(listed.get(robot.id) == ['front', 'rear'], f'{listed} is listed')


@pytest.mark.parametrize('who', ['receiver', 'sender'])
async def test_p2_leave_ends_at_once(desk, who):
    pilot, camera = await desk.pair()
    await pilot.deliver('offer', sdp=words.sdp(), sender_id=camera.id)
    gone, left = (pilot, camera) if who == 'receiver' else (camera, pilot)
    await gone.send('leave')
    await gone.expect_close(1000)
    await left.expect('peer_left', client_id=gone.id, role=who, reason='left')


async def test_p2_after_leave_there_is_nobody(desk):
    pilot, camera = await desk.pair()
    await camera.send('leave')
    await camera.expect_close(1000)
    await pilot.refused('peer_unavailable', 'offer', sdp=words.sdp(), sender_id=camera.id)
