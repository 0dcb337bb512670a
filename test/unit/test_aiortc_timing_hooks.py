"""What the timing channel relies on in aiortc's private parts: a version may change it."""

from __future__ import annotations

import asyncio
import contextlib

import aioice.ice
import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSctpTransport
from aiortc.mediastreams import MediaStreamTrack
from fakes import until

from rtc_signaling.media import _aiortc
from rtc_signaling.media.codecs import preferences
from rtc_signaling.media.encoder import Encoder


@pytest.fixture(autouse=True)
def addresses(monkeypatch):
    """Undo the hook of the addresses at the end."""
    monkeypatch.setattr(aioice.ice, 'get_host_addresses', aioice.ice.get_host_addresses)


class Blank(MediaStreamTrack):
    """Give encoded pictures, whose RTP times are known."""

    kind = 'video'

    def __init__(self):
        super().__init__()
        self.shown = []
        self._encoder = Encoder('libx264', 64, 64, 1_000_000)

    async def recv(self):
        await asyncio.sleep(0.01)
        pts = 5000 + 900 * len(self.shown)
        self.shown.append(pts)
        return self._encoder.encode(np.full((96, 64), 99, np.uint8), pts, not self.shown)


@contextlib.asynccontextmanager
async def connected(track=None, label=None):
    """Connect two real peers; yields the one that sends, and the one that receives."""
    _aiortc.offer_addresses(('127.0.0.1',))
    near, far = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
    if track is not None:
        transceiver = near.addTransceiver(track, direction='sendonly')
        transceiver.setCodecPreferences(preferences(['h264']))
    if label is not None:
        near.createDataChannel(label)
    try:
        yield near, far
    finally:
        await near.close()
        await far.close()


async def agree(near, far):
    await near.setLocalDescription(await near.createOffer())
    await far.setRemoteDescription(near.localDescription)
    await far.setLocalDescription(await far.createAnswer())
    await near.setRemoteDescription(far.localDescription)


async def test_the_origin_is_what_makes_rtp_timestamps_of_rtp_times(monkeypatch):
    heard = []
    handle = RTCRtpReceiver._handle_rtp_packet

    async def hear(receiver, packet, arrival_time_ms):
        heard.append(packet.timestamp)
        await handle(receiver, packet, arrival_time_ms)

    monkeypatch.setattr(RTCRtpReceiver, '_handle_rtp_packet', hear)
    track = Blank()
    async with connected(track) as (near, far):
        [sender] = near.getSenders()
        origin = _aiortc.RtpOrigin(sender)
        assert '_next_encoded_frame' in vars(sender)
        await agree(near, far)
        await until(lambda: len(set(heard)) > 5, 'pictures received')
        assert origin.value is not None
        sent = {(origin.value + pts) % 2**32 for pts in track.shown}
        assert set(heard) <= sent
        # The hook is gone as soon as it knows.
        assert '_next_encoded_frame' not in vars(sender)


async def test_a_frame_that_is_not_sent_does_not_count():
    track = Blank()
    async with connected(track) as (near, far):
        [sender] = near.getSenders()
        next_frame = sender._next_encoded_frame

        async def drop_the_first(codec):
            # What aiortc does with what a disabled sender, or an encoder without output, has.
            frame = await next_frame(codec)
            return frame if len(track.shown) > 5 else None

        vars(sender)['_next_encoded_frame'] = drop_the_first
        origin = _aiortc.RtpOrigin(sender)
        await agree(near, far)
        await until(lambda: len(track.shown) == 5, 'pictures asked for')
        assert origin.value is None
        await until(lambda: origin.value is not None, 'an origin')
        last = vars(sender)['_RTCRtpSender__rtp_timestamp']
        assert (last - origin.value) % 2**32 in track.shown


async def test_without_the_private_names_the_origin_is_never_known_and_video_goes_on(monkeypatch):
    track = Blank()
    async with connected(track) as (near, far):
        [sender] = near.getSenders()
        assert _aiortc._LAST_TIMESTAMP in vars(sender)
        monkeypatch.setattr(_aiortc, '_LAST_TIMESTAMP', 'no_such_name')
        origin = _aiortc.RtpOrigin(sender)
        await agree(near, far)
        await until(lambda: len(track.shown) > 5, 'pictures asked for')
        assert origin.value is None


@contextlib.asynccontextmanager
async def guarded():
    """Connect two peers by data channels; yields ours, theirs, and what was too much."""
    async with connected(label='timing') as (theirs, ours):
        excess = []
        await theirs.setLocalDescription(await theirs.createOffer())
        await ours.setRemoteDescription(theirs.localDescription)
        _aiortc.DataGuard(ours.sctp, excess.append)
        await ours.setLocalDescription(await ours.createAnswer())
        await theirs.setRemoteDescription(ours.localDescription)
        await until(lambda: theirs.sctp.state == 'connected', 'connected')
        yield ours, theirs, excess


async def test_ordinary_messages_pass_the_guard():
    async with guarded() as (ours, theirs, excess):
        heard = []
        ours.sctp._data_channels or await until(lambda: ours.sctp._data_channels, 'a channel')
        [channel] = ours.sctp._data_channels.values()
        channel.on('message', heard.append)
        [sending] = theirs.sctp._data_channels.values()
        await until(lambda: sending.readyState == 'open', 'open')
        for i in range(50):
            sending.send(f'message {i}')
        await until(lambda: len(heard) == 50, 'messages heard')
        assert excess == []
        assert ours.sctp._advertised_rwnd == RTCSctpTransport(ours.sctp.transport)._advertised_rwnd


@pytest.mark.parametrize('attack', ['endless message', 'gaps', 'streams', 'nonsense', 'not utf-8'])
async def test_what_is_too_much_ends_the_data_channels_alone(attack):
    async with guarded() as (ours, theirs, excess):
        await until(lambda: ours.sctp._data_channels, 'a channel')
        sctp = theirs.sctp
        if attack == 'endless message':
            await sctp._send(0, 51, b'x' * 200_000)
            words = 'a message of more than 65536 bytes'
        elif attack == 'gaps':
            for _ in range(200):
                sctp._local_tsn += 2
                await sctp._send(0, 51, b'x')
            words = 'more than 64 packets out of order'
        elif attack == 'streams':
            for stream in range(40):
                await sctp._send(stream, 51, b'x')
            words = 'more than 16 streams'
        elif attack == 'nonsense':
            # To open a channel that is open is an assertion in aiortc.
            await sctp._send(0 if 0 in ours.sctp._data_channels else 1, 50, b'\3' + b'\0' * 11)
            words = 'a packet that makes no sense (AssertionError'
        else:
            await sctp._send(0 if 0 in ours.sctp._data_channels else 1, 51, b'\xff')
            words = 'a packet that makes no sense (UnicodeDecodeError'
        await until(lambda: excess, 'excess noticed')
        assert excess[0].startswith(words)
        assert len(excess) == 1
        await until(lambda: ours.sctp.state == 'closed', 'closed')
        assert ours.connectionState == 'connected'
        # And nothing more is looked at.
        handled = []
        ours.sctp._receive_chunk = handled.append
        await sctp._send(0, 51, b'x')
        await asyncio.sleep(0)
        assert handled == []
