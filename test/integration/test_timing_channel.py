"""The timing channel with a real server, a real sender and real WebRTC viewers, on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import aioice.ice
import pytest
from aiortc import RTCRtpReceiver
from fakes import scene_image, until, viewing

from rtc_signaling.auth import OpenAuthenticator
from rtc_signaling.media import clock_sync
from rtc_signaling.media.sender import CameraSender
from rtc_signaling.media.timing_channel import MAX_CHANNELS
from rtc_signaling.media.track import Camera
from rtc_signaling.sender_config import SenderConfig
from rtc_signaling.server import SignalingServer
from rtc_signaling.server_config import ServerConfig

HOUR_NS = 3600 * 1_000_000_000


@pytest.fixture(autouse=True)
def _addresses_as_before(monkeypatch):
    """Undo what a sender does to aioice in this process."""
    monkeypatch.setattr(aioice.ice, 'get_host_addresses', aioice.ice.get_host_addresses)


@pytest.fixture
def rtp_timestamps(monkeypatch):
    """Return the RTP timestamps of the packets that receivers of this process got."""
    heard = []
    handle = RTCRtpReceiver._handle_rtp_packet

    async def hear(receiver, packet, arrival_time_ms):
        heard.append(packet.timestamp)
        await handle(receiver, packet, arrival_time_ms)

    monkeypatch.setattr(RTCRtpReceiver, '_handle_rtp_packet', hear)
    return heard


class Sending:
    """Hold a running sender, with its camera and what it was given and reported."""

    def __init__(self):
        self.camera = Camera()
        self.snapshots = []
        self.stamps_ns = []
        self.shift_ns = 0

    async def film(self):
        while True:
            self.stamps_ns.append(time.time_ns() + self.shift_ns)
            self.camera.put(scene_image(len(self.stamps_ns)), self.stamps_ns[-1])
            await asyncio.sleep(1 / 30)

    @property
    def ignored(self):
        return [viewer.timing_ignored for viewer in self.snapshots[-1].viewer_figures]


@contextlib.asynccontextmanager
async def sending(now_ns=time.time_ns):
    """Run a server and a camera sender; yields the server's port and the sender."""
    config = ServerConfig(host='127.0.0.1', port=0, resume_window_s=0.0)
    result = Sending()
    async with SignalingServer(config, OpenAuthenticator()).run() as server:
        settings = SenderConfig(
            server_url=f'ws://127.0.0.1:{server.port}', ice_addresses=('127.0.0.1',)
        )
        sender = CameraSender(
            settings, result.camera, lambda: None, result.snapshots.append, now_ns
        )
        async with sender.run():
            driver = asyncio.create_task(result.film())
            try:
                await until(lambda: result.snapshots and result.snapshots[-1].linked, 'linked')
                yield server.port, result
            finally:
                driver.cancel()
                await asyncio.gather(driver, return_exceptions=True)


class Asking:
    """Ask over a viewer's channel, and hear the answers."""

    def __init__(self, viewer, label='timing'):
        self.answers = []
        self.channel = viewer.connection.createDataChannel(label, ordered=False, maxRetransmits=0)
        self.channel.on('message', lambda text: self.answers.append(json.loads(text)))

    async def open(self):
        await until(lambda: self.channel.readyState == 'open', 'the channel open')

    async def ask(self, t0=1.5):
        """Return the answer; what is lost on a busy machine is asked again."""
        count = len(self.answers)
        for _ in range(20):
            self.channel.send(json.dumps({'type': 'ping', 't0': t0}))
            with contextlib.suppress(AssertionError):
                return await until(lambda: self.answers[count:], 'an answer', 0.5)
        raise AssertionError('no answer')


def stamps_us_of(runs, rtp_timestamps):
    return [
        stamp_us + (rtp - first) % 2**32 * 1000 / 90
        for rtp in rtp_timestamps
        for first, last, stamp_us in runs
        if (rtp - first) % 2**32 <= (last - first) % 2**32
    ]


async def test_the_answer_has_the_robots_time_and_the_stamps_of_what_was_received(rtp_timestamps):
    async with sending() as (port, sender), viewing(port) as viewer:
        asking = Asking(viewer)
        await viewer.join()
        await viewer.picture()
        await viewer.picture()
        await asking.open()
        before_us = time.time_ns() // 1000
        [answer, *_] = await asking.ask(t0=0.1)
        after_us = time.time_ns() // 1000
        assert answer['type'] == 'pong'
        assert answer['t0'] == 0.1
        assert before_us <= answer['t1_us'] <= answer['t2_us'] <= after_us
        assert 'simulated' not in answer
        heard = list(dict.fromkeys(rtp_timestamps))
        [answer, *_] = await asking.ask()
        found = stamps_us_of(answer['runs'], heard)
        assert len(found) == len(heard)
        for stamp_us in found:
            assert min(abs(stamp_us - stamp_ns / 1000) for stamp_ns in sender.stamps_ns) < 25
        assert sender.ignored in ([], [0])


async def test_a_stamp_that_jumps_is_told_as_it_is(rtp_timestamps):
    async with sending() as (port, sender), viewing(port) as viewer:
        asking = Asking(viewer)
        await viewer.join()
        await viewer.picture()
        sender.shift_ns = HOUR_NS
        jumped_us = time.time_ns() / 1000 + HOUR_NS / 1000
        await asking.open()

        async def told():
            [answer, *_] = await asking.ask()
            stamps = stamps_us_of(answer['runs'], dict.fromkeys(rtp_timestamps))
            return [stamp for stamp in stamps if stamp >= jumped_us - 1e6]

        while not (late := await told()):
            await viewer.picture()
        for stamp_us in late:
            assert min(abs(stamp_us - stamp_ns / 1000) for stamp_ns in sender.stamps_ns) < 25


async def test_simulated_time_is_said_and_not_told():
    async with sending(now_ns=lambda: None) as (port, _), viewing(port) as viewer:
        asking = Asking(viewer)
        await viewer.join()
        await asking.open()
        [answer, *_] = await asking.ask()
        assert answer.keys() - {'runs'} == {'type', 't0', 'pictures', 'simulated'}
        assert answer['simulated'] is True


async def test_garbage_is_ignored_counted_and_logged_once(caplog):
    async with sending() as (port, sender), viewing(port, client_id='odd') as viewer:
        asking, other = Asking(viewer), Asking(viewer, 'other')
        await viewer.join()
        await asking.open()
        await other.open()
        # Reliable, so that each comes.
        for message in ('', 'x', b'\xff', '{"type": "ping"}', 'y' * 10_000):
            asking.channel.send(message)
            await asyncio.sleep(0)
        other.channel.send('{"type": "ping", "t0": 1}')
        await until(lambda: sum(sender.ignored) == 6, 'ignored')
        assert other.answers == []
        assert await asking.ask()
        assert await viewer.watch(2)
    lines = [r for r in caplog.records if 'asks about the time' in r.getMessage()]
    assert len(lines) == 1
    assert lines[0].getMessage().startswith('viewer odd: ')


async def test_a_flood_costs_the_viewer_its_channels_and_nobody_the_video(caplog, monkeypatch):
    # All of it is in one process, with two encoders: a small flood has to do.
    monkeypatch.setattr(clock_sync, 'MAX_IGNORED', 50)
    async with (
        sending() as (port, sender),
        viewing(port, client_id='flooder') as flooder,
        viewing(port) as other,
    ):
        asking, quiet = Asking(flooder), Asking(other)
        await flooder.join()
        await other.join()
        await asking.open()
        await quiet.open()
        while asking.channel.readyState == 'open':
            asking.channel.send('{"type": "ping", "t0": 1}')
            await asyncio.sleep(0.001)
        assert await quiet.ask()
        await flooder.watch(2)
        await other.watch(2)
        await until(lambda: sender.snapshots[-1].viewers_connected == 2, 'both still there')
    assert 'viewer flooder: its data channels are closed: ' in caplog.text
    assert 'Traceback' not in caplog.text


async def test_many_channels_are_closed(caplog):
    async with sending() as (port, sender), viewing(port) as viewer:
        channels = [Asking(viewer, f'{i}').channel for i in range(MAX_CHANNELS + 1)]
        await viewer.join()
        await until(lambda: {c.readyState for c in channels} == {'closed'}, 'closed')
        await viewer.watch(2)
        await until(lambda: sender.snapshots[-1].viewers_connected == 1, 'still there')
    assert f'more than {MAX_CHANNELS} of them' in caplog.text
