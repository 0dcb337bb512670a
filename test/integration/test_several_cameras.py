"""One sender with two cameras, a real server and real WebRTC viewers, all on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time

import aioice.ice
import numpy as np
import pytest
from fakes import scene_image, until
from several_viewer import viewing

from rtc_signaling.auth import OpenAuthenticator
from rtc_signaling.media.sender import CameraSender
from rtc_signaling.media.track import Camera
from rtc_signaling.sender_config import SenderConfig
from rtc_signaling.server import SignalingServer
from rtc_signaling.server_config import ServerConfig

# By their sizes the cameras are told apart.
WIDTHS = {'front': 320, 'rear': 352}


@pytest.fixture(autouse=True)
def _addresses_as_before(monkeypatch):
    """Undo what a sender does to aioice in this process."""
    monkeypatch.setattr(aioice.ice, 'get_host_addresses', aioice.ice.get_host_addresses)


class Robot:
    """Hold a running sender with its cameras, and their drivers."""

    def __init__(self):
        self.cameras = {name: Camera() for name in WIDTHS}
        self.snapshots = []
        self.films = {}
        self._indices = itertools.count()

    @property
    def now(self):
        return self.snapshots[-1]

    def film(self, name, shift_ns=0):
        async def run():
            for index in self._indices:
                image = scene_image(index, WIDTHS[name])
                self.cameras[name].put(image, time.time_ns() + shift_ns)
                await asyncio.sleep(1 / 20)

        self.films[name] = asyncio.create_task(run())

    async def stop_film(self, name):
        film = self.films.pop(name)
        film.cancel()
        await asyncio.gather(film, return_exceptions=True)


@contextlib.asynccontextmanager
async def robot(**settings):
    """Run a server and a sender with two cameras; yields the robot."""
    result = Robot()
    config = ServerConfig(host='127.0.0.1', port=0, resume_window_s=0.0)
    async with SignalingServer(config, OpenAuthenticator()).run() as server:
        result.port = server.port
        settings = SenderConfig(
            server_url=f'ws://127.0.0.1:{server.port}', client_id='robot',
            ice_addresses=('127.0.0.1',), **settings,
        )  # fmt: skip
        sender = CameraSender(settings, result.cameras, lambda: None, result.snapshots.append)
        result.sender = sender
        async with sender.run():
            for name in WIDTHS:
                result.film(name)
            await until(lambda: result.snapshots and result.now.linked, 'linked')
            yield result
            for name in list(result.films):
                await result.stop_film(name)


async def test_a_viewer_gets_the_cameras_that_it_asks_for_in_its_order():
    async with robot() as sender, viewing(sender.port, 2) as viewer:
        [peer] = viewer.welcome['peers']
        assert (peer['client_id'], peer['cameras']) == ('robot', ['front', 'rear'])
        await viewer.join(cameras=['rear', 'front'])
        assert viewer.streams == ['rear', 'front']
        assert await viewer.watch(0) == WIDTHS['rear']
        assert await viewer.watch(1) == WIDTHS['front']
        await until(lambda: sender.now.viewers_connected == 1, 'counted')
        assert sender.now.viewers == 1
        assert [one.camera for one in sender.now.viewer_figures] == ['rear', 'front']
        for name in WIDTHS:
            assert sender.now.cameras[name].viewers_connected == 1


async def test_a_viewer_that_names_none_gets_the_first_and_what_is_more_is_inactive():
    async with robot() as sender:
        async with viewing(sender.port, 1) as viewer:
            await viewer.join()
            assert viewer.streams == ['front']
            assert await viewer.watch(0) == WIDTHS['front']
        async with viewing(sender.port, 3) as viewer:
            await viewer.join()
            assert viewer.streams == ['front', 'rear', None]
            assert await viewer.watch(1) == WIDTHS['rear']


async def test_a_camera_that_nobody_wants_is_not_encoded():
    async with robot() as sender, viewing(sender.port, 1) as viewer:
        await viewer.join(cameras=['rear'])
        assert await viewer.watch(0, 10) == WIDTHS['rear']
        shown = {name: camera.counts.shown for name, camera in sender.cameras.items()}
        assert shown['rear'] >= 10
        assert shown['front'] == 0
        assert sender.cameras['front'].counts.received > 0


async def test_an_unknown_camera_is_told_in_words_and_the_others_come():
    async with robot() as sender, viewing(sender.port, 2) as viewer:
        await viewer.join(cameras=['moon', 'rear'], offer_id='1')
        assert viewer.streams == [None, 'rear']
        bye = await viewer.hear('bye')
        assert (bye['reason'], bye['camera'], bye['offer_id']) == ('unknown_camera', 'moon', '1')
        assert bye['message'] == "camera = 'moon': there are front, rear"
        assert await viewer.watch(1) == WIDTHS['rear']


async def test_one_camera_stops_and_the_other_goes_on_and_it_comes_back():
    async with robot() as sender, viewing(sender.port, 2) as viewer:
        await viewer.join(cameras=['front', 'rear'])
        await viewer.watch(0)
        await sender.stop_film('front')
        await viewer.drain(0)
        assert await viewer.watch(1, 10) == WIDTHS['rear']
        assert viewer.connection.connectionState == 'connected'
        sender.film('front')
        assert await viewer.watch(0) == WIDTHS['front']


async def test_one_camera_is_switched_off_alone_and_on_again():
    async with robot() as sender, viewing(sender.port, 2) as viewer:
        await viewer.join(cameras=['front', 'rear'], offer_id='1')
        await viewer.watch(0)
        assert sender.sender.set_enabled(False, 'front') == 1
        bye = await viewer.hear('bye')
        assert (bye['reason'], bye['camera'], bye['offer_id']) == ('disabled', 'front', '1')
        await viewer.drain(0)
        shown = sender.cameras['front'].counts.shown
        assert await viewer.watch(1, 10) == WIDTHS['rear']
        assert sender.cameras['front'].counts.shown == shown
        assert not sender.now.cameras['front'].enabled
        assert sender.now.enabled
        async with viewing(sender.port, 2) as late:
            await late.join(cameras=['front', 'rear'])
            assert (await late.hear('bye'))['camera'] == 'front'
            await late.watch(1)
            assert sender.sender.set_enabled(True, 'front') == 0
            for one in (viewer, late):
                assert await one.watch(0) == WIDTHS['front']


async def test_a_viewer_whose_cameras_are_all_off_is_let_go():
    async with robot() as sender, viewing(sender.port, 1) as viewer:
        await viewer.join(cameras=['rear'])
        sender.sender.set_enabled(False, 'front')
        await viewer.watch(0)
        assert sender.sender.set_enabled(False, 'rear') == 1
        bye = await viewer.hear('bye')
        assert (bye['reason'], 'camera' in bye) == ('disabled', False)
        await until(lambda: sender.now.viewers == 0, 'let go')
        assert not sender.now.enabled
        sender.sender.set_enabled(True, 'rear')
        # So is one that asks for nothing else, by name or because it has no other place.
        for members in ({'cameras': ['front']}, {}):
            async with viewing(sender.port, 1) as late:
                sdp = viewer.connection.localDescription.sdp
                await late.client.send(type='offer', sdp=sdp, **members)
                bye = await late.hear('bye')
                assert (bye['reason'], 'camera' in bye) == ('disabled', False)


async def test_one_that_knows_no_names_is_not_told_of_single_cameras():
    async with robot() as sender, viewing(sender.port, 2) as viewer:
        await viewer.join()
        await viewer.watch(0)
        assert sender.sender.set_enabled(False, 'front') == 1
        await viewer.watch(1, 10)
        sender.sender.set_enabled(False)
        assert 'camera' not in await viewer.hear('bye')


async def test_stats_and_key_frames_are_of_each_camera():
    async with robot() as sender, viewing(sender.port, 2) as viewer:
        await viewer.join(cameras=['front', 'rear'])
        await viewer.watch(1)
        await viewer.client.send(type='stats', camera='rear', latency_ms=250.0)
        await viewer.client.send(type='stats', fps=12.5)
        await until(lambda: sender.sender.snapshot().cameras['rear'].latency_s == 0.25, 'taken')
        front = await until(
            lambda: [v for v in sender.sender.snapshot().cameras['front'].viewer_figures if v.fps],
            'taken',
        )
        assert (front[0].fps, front[0].latency_s) == (12.5, None)
        assert sender.sender.request_key_frame('rear') == 1
        assert sender.sender.request_key_frame() == 1


async def test_the_time_is_told_of_each_camera():
    async with robot() as sender, viewing(sender.port, 2) as viewer:
        await sender.stop_film('rear')
        sender.film('rear', shift_ns=-3_600_000_000_000)
        channel = viewer.connection.createDataChannel('timing', ordered=False, maxRetransmits=0)
        answers = []
        channel.on('message', lambda text: answers.append(json.loads(text)))
        await viewer.join(cameras=['front', 'rear'])
        for place in range(2):
            await viewer.watch(place)
        await until(lambda: channel.readyState == 'open', 'the channel open')
        front, rear = [transceiver.mid for transceiver in viewer.transceivers]
        ages_s = {}
        while ages_s.keys() < {'', front, rear}:
            for mid in ('', front, rear):
                about = {'mid': mid} if mid else {}
                channel.send(json.dumps({'type': 'ping', 't0': 1.0, **about}))
            await asyncio.sleep(0.1)
            for answer in answers:
                if answer['runs']:
                    age_us = answer['t2_us'] - answer['runs'][-1][2]
                    ages_s[answer.get('mid', '')] = age_us / 1e6
        assert np.isclose(ages_s[''], ages_s[front], atol=10)
        assert abs(ages_s[front]) < 60
        assert 3600 <= ages_s[rear] < 3660
        # Of no video of this viewer's it tells the time alone.
        answers.clear()
        channel.send(json.dumps({'type': 'ping', 't0': 2.0, 'mid': 'x'}))
        answer = await until(lambda: [a for a in answers if a.get('mid') == 'x'], 'an answer')
        assert (answer[0]['runs'], answer[0]['pictures']) == ([], 0)
