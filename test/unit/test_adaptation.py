"""Viewers on links of all kinds: who gets what, and that none changes it for others."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import pairwise

import av
import pytest

from rtc_signaling.media import feed as feed_module
from rtc_signaling.media.adaptation import STILLS_PERIOD_S
from rtc_signaling.media.encoding import EncodingSettings
from rtc_signaling.media.estimate import Reading
from rtc_signaling.media.feed import Encoded, Times
from rtc_signaling.media.layers import FIRST_HOLD_S
from rtc_signaling.media.link import Link
from rtc_signaling.media.track import Camera

BITRATE = 2_000_000
FRAME_S = 1 / 10


class World:
    """Be the time, an encoder of each feed, and the viewers' receivers."""

    def __init__(self, mode='layers'):
        self.now_s = 100.0
        self.camera = Camera()
        self.camera.configure(EncodingSettings(bitrate_bps=BITRATE, adaptation=mode))
        self.viewers = []
        self.pts = 0

    def monotonic(self):
        return self.now_s

    def watch(self, carries_bps=None):
        viewer = Watcher(self.camera, carries_bps)
        self.viewers.append(viewer)
        return viewer

    async def run(self, seconds):
        for number in range(int(seconds / FRAME_S)):
            self.now_s += FRAME_S
            self.pts += int(90_000 * FRAME_S)
            for feed in self.camera._feeds.values():
                if feed.wanted:
                    self._encode(feed)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if number % 10 == 9:
                for viewer in self.viewers:
                    viewer.report()

    def _encode(self, feed):
        due = feed.key_frame_due(self.now_s, 0.0)
        if due:
            feed.key_frame_made(self.now_s)
        bps = feed.allowed_bps
        packet = av.Packet(bytes(int(bps * FRAME_S / 8)))
        packet.pts = self.pts
        at_ns = int(self.now_s * 1e9)
        feed.deliver(Encoded(packet, due, Times(at_ns, at_ns, at_ns, at_ns)), 'x')

    def feed(self, layer):
        return self.camera._feeds['h264', layer]


class Watcher:
    """Be aiortc and a viewer: all is read at once, and of what is too much the rest is lost."""

    def __init__(self, camera, carries_bps):
        self.camera = camera
        self.carries_bps = carries_bps
        self.track = camera.add_track(Link())
        self.track.codec = 'h264'
        self.got = []
        self.reading = asyncio.create_task(self._read())
        self.late_loss = None
        self._reported = 0

    async def _read(self):
        while True:
            self.got.append(await self.track.recv())

    def report(self):
        sent = self.track.sent_bits - self._reported
        self._reported = self.track.sent_bits
        lost = 0.0 if self.carries_bps is None or not sent else 1 - self.carries_bps / sent
        if self.late_loss is not None:
            lost, self.late_loss = self.late_loss, None
        self.track.take_report(Reading(max(0.0, lost)))

    @property
    def layer(self):
        return self.camera.layer(self.track)

    def leave(self):
        self.camera.remove_track(self.track)
        self.reading.cancel()


@pytest.fixture
def world(monkeypatch):
    result = World()
    monkeypatch.setattr(feed_module, 'time', result)
    return result


@contextlib.asynccontextmanager
async def watching(world, *carry):
    viewers = [world.watch(bps) for bps in carry]
    try:
        await asyncio.sleep(0)
        yield viewers
    finally:
        for viewer in world.viewers:
            viewer.reading.cancel()
        await asyncio.gather(*(v.reading for v in world.viewers), return_exceptions=True)


async def test_who_cannot_keep_up_goes_down_as_far_as_it_has_to_and_the_others_notice_nothing(
    world,
):
    async with watching(world, None, 600_000, 150_000) as (good, thin, thinner):
        await world.run(12)
        assert [v.layer for v in (good, thin, thinner)] == ['full', 'half', 'fewer']
        assert world.feed('full').allowed_bps == BITRATE
        assert 300_000 < world.feed('half').allowed_bps < 1.15 * 600_000
        assert len(good.got) >= 118
        assert good.track.dropped == 0


async def test_what_is_reported_late_of_the_time_before_brings_nobody_farther_down(world):
    async with watching(world, None, 600_000) as (_, thin):
        while thin.layer == 'full':
            await world.run(1)
        thin.late_loss = 0.9
        await world.run(3)
        assert thin.layer == 'half'
        assert world.feed('half').allowed_bps > 350_000


async def test_lower_encodes_run_only_while_somebody_takes_them(world):
    async with watching(world, None, 600_000) as (_, thin):
        assert not world.feed('half').wanted
        await world.run(8)
        assert world.feed('half').wanted
        thin.leave()
        assert not world.feed('half').wanted
        assert not world.feed('fewer').wanted


async def test_times_go_on_and_each_encode_begins_with_a_key_frame(world):
    async with watching(world, None, 600_000) as (_, thin):
        await world.run(8)
        thin.carries_bps = None
        await world.run(40)
        assert thin.layer == 'full'
        times = [packet.pts for packet in thin.got]
        assert times == sorted(set(times))
        assert thin.track.dropped == 0


async def test_it_comes_back_by_itself_and_waits_longer_after_a_try_that_failed(world):
    async with watching(world, None, 900_000) as (good, thin):
        layers = []
        for _ in range(120):
            await world.run(1)
            layers.append(thin.layer)
        starts = [
            second for second, (before, now) in enumerate(pairwise(layers))
            if (before, now) == ('half', 'full')
        ]  # fmt: skip
        waits = [after - before for before, after in pairwise(starts)]
        assert len(waits) >= 2
        assert waits == sorted(waits)
        assert waits[0] >= FIRST_HOLD_S
        assert len(good.got) >= 1198
        thin.carries_bps = None
        await world.run(70)
        assert thin.layer == 'full'


async def test_alone_it_gets_fewer_bits_of_the_whole_picture_first(world):
    async with watching(world, 1_300_000) as (viewer,):
        await world.run(20)
        assert viewer.layer == 'full'
        assert 900_000 < world.feed('full').allowed_bps < 1.15 * 1_300_000
        viewer.carries_bps = None
        await world.run(15)
        assert world.feed('full').allowed_bps == BITRATE


async def test_alone_it_comes_back_gently(world):
    async with watching(world, 400_000) as (viewer,):
        await world.run(10)
        assert viewer.layer == 'half'
        viewer.carries_bps = None
        while viewer.layer == 'half':
            await world.run(1)
        # It begins with the least of the whole picture, and not with all of it.
        assert world.feed('full').allowed_bps < 0.6 * BITRATE
        await world.run(15)
        assert world.feed('full').allowed_bps == BITRATE


async def test_a_better_served_viewer_that_comes_gets_all_of_the_bitrate(world):
    async with watching(world, 1_300_000) as (first,):
        await world.run(10)
        second = world.watch()
        await world.run(6)
        assert world.feed('full').allowed_bps == BITRATE
        assert first.layer == 'half'
        assert second.layer == 'full'


async def test_with_one_encode_for_all_who_cannot_keep_up_gets_stills(monkeypatch):
    world = World('shared')
    monkeypatch.setattr(feed_module, 'time', world)
    async with watching(world, None, 600_000) as (good, thin):
        await world.run(4)
        assert thin.layer == 'stills'
        before = len(thin.got)
        await world.run(4)
        assert len(thin.got) - before <= 1 + 4 / STILLS_PERIOD_S
        assert not world.feed('half').wanted
        assert world.feed('full').allowed_bps == BITRATE
        thin.carries_bps = None
        await world.run(30)
        assert thin.layer == 'full'
        assert thin.track.dropped == 0
        assert len(good.got) >= 378
        times = [packet.pts for packet in thin.got]
        assert times == sorted(set(times))


async def test_with_one_encode_for_all_it_follows_the_best_served_all_the_way(monkeypatch):
    world = World('shared')
    monkeypatch.setattr(feed_module, 'time', world)
    async with watching(world, 300_000, 200_000) as (better, _):
        await world.run(15)
        assert better.layer == 'full'
        assert 200_000 < world.feed('full').allowed_bps < 1.15 * 300_000
