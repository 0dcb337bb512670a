"""What is relied on in the private parts of aiortc and aioice: a new version may change it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import time
from itertools import pairwise

import aioice.ice
import aiortc.clock
import aiortc.rtcrtpsender
import av
import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.mediastreams import MediaStreamTrack
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    pack_remb_fci,
)
from fakes import DEADLINE_S, until

from rtc_signaling.media import _aiortc
from rtc_signaling.media.codecs import preferences
from rtc_signaling.media.encoder import Encoder
from rtc_signaling.media.pacing import Spread


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Make it a machine with these addresses, and undo the hook at the end."""
    addresses = []
    monkeypatch.setattr(aioice.ice, 'get_host_addresses', aioice.ice.get_host_addresses)
    monkeypatch.setattr(_aiortc, 'get_host_addresses', lambda use_ipv4, use_ipv6: list(addresses))
    return addresses


async def offered():
    """Return the addresses that a real peer connection gathers, in their order."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver('video')
    await connection.setLocalDescription(await connection.createOffer())
    lines = connection.localDescription.sdp.splitlines()
    await connection.close()
    return [line.split()[4] for line in lines if line.startswith('a=candidate')]


@pytest.mark.parametrize('addresses', [('127.0.0.1',), ('127.0.0.2',), ('127.0.0.3', '127.0.0.2')])
async def test_exactly_the_chosen_addresses_are_offered(addresses, machine):
    machine.append('127.0.0.9')
    _aiortc.offer_addresses(addresses)
    assert sorted(await offered()) == sorted(addresses)


@pytest.mark.parametrize('time_ns', [0, 1, 999_999_000, 1_795_000_000_123_456_000, 2**62])
def test_the_time_is_that_of_aiortc(time_ns):
    moment = datetime.datetime.fromtimestamp(0, datetime.UTC)
    moment += datetime.timedelta(microseconds=time_ns // 1000)
    microsecond = 2**32 / 1e6
    assert abs(_aiortc.ntp_time(time_ns) - aiortc.clock.datetime_to_ntp(moment)) <= microsecond


def test_aiortc_reads_the_quick_clock_for_each_packet(monkeypatch):
    monkeypatch.setattr(aiortc.clock, 'current_ntp_time', aiortc.clock.current_ntp_time)
    _aiortc.quicken_clock()
    assert aiortc.rtcrtpsender.clock.current_ntp_time is aiortc.clock.current_ntp_time
    before = _aiortc.ntp_time(time.time_ns())
    now = aiortc.rtcrtpsender.clock.current_ntp_time()
    assert before <= now <= _aiortc.ntp_time(time.time_ns())


async def test_without_a_choice_those_of_the_machine_are_offered(machine):
    machine += ['127.0.0.5', '127.0.0.6']
    _aiortc.offer_addresses(())
    assert sorted(await offered()) == ['127.0.0.5', '127.0.0.6']


async def test_a_machine_without_a_network_offers_loopback():
    _aiortc.offer_addresses(())
    assert await offered() == ['127.0.0.1']


def test_the_machines_own_addresses_are_asked_for_by_aioices_function():
    # What the fixture stands in for.
    assert 'get_host_addresses' in vars(aioice.ice)
    assert '127.0.0.1' not in aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=False)


def test_each_kind_of_address_goes_to_who_asks_for_it():
    _aiortc.offer_addresses(('10.0.0.1', 'fe80::1'))
    hook = aioice.ice.get_host_addresses
    assert hook(use_ipv4=True, use_ipv6=False) == ['10.0.0.1']
    assert hook(use_ipv4=False, use_ipv6=True) == ['fe80::1']
    assert hook(use_ipv4=True, use_ipv6=True) == ['10.0.0.1', 'fe80::1']


class Packets(MediaStreamTrack):
    """Give one encoded picture over and over."""

    kind = 'video'

    def __init__(self):
        super().__init__()
        encoder = Encoder('libx264', 320, 240, 1_000_000)
        self.packet = encoder.encode(np.full((360, 320), 99, np.uint8), 0, True)

    async def recv(self):
        await asyncio.sleep(0.02)
        self.packet.pts += 1800
        return self.packet


@contextlib.asynccontextmanager
async def connected(track=None):
    """Connect two peers by loopback; yields the sender, the receiver and the media's SSRC."""
    _aiortc.offer_addresses(('127.0.0.1',))
    here, there = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
    transceiver = here.addTransceiver(track or Packets(), direction='sendonly')
    transceiver.setCodecPreferences(preferences(['h264']))
    try:
        await here.setLocalDescription(await here.createOffer())
        await there.setRemoteDescription(here.localDescription)
        await there.setLocalDescription(await there.createAnswer())
        await here.setRemoteDescription(there.localDescription)
        receiver = there.getReceivers()[0]
        async with asyncio.timeout(DEADLINE_S):
            if track is None:
                await receiver.track.recv()  # whatever aiortc makes of one packet for ever
        await until(lambda: here.connectionState == 'connected', 'connected')
        yield transceiver.sender, receiver, transceiver.sender._ssrc
    finally:
        await here.close()
        await there.close()


async def send(receiver, packet):
    await receiver.transport._send_rtp(bytes(packet))


@pytest.mark.parametrize('fmt', [RTCP_PSFB_PLI, RTCP_PSFB_FIR])
async def test_a_viewers_request_for_a_key_frame_arrives(fmt):
    async with connected() as (sender, receiver, ssrc):
        asked = []
        _aiortc.watch_feedback(sender, lambda: asked.append(1))
        await send(receiver, RtcpPsfbPacket(fmt=fmt, ssrc=1, media_ssrc=ssrc))
        await until(lambda: asked, 'asked')
        assert asked == [1]


async def test_what_a_viewer_lost_is_counted_and_sent_again():
    async with connected() as (sender, receiver, ssrc):
        feedback = _aiortc.watch_feedback(sender, lambda: None)
        assert (feedback.lost_packets, feedback.loss, feedback.remb_bps) == (0, None, None)
        seen, handle = [], receiver._handle_rtp_packet

        async def watched(packet, arrival_time_ms):
            seen.append((packet.payload_type, packet.sequence_number))
            await handle(packet, arrival_time_ms)

        receiver._handle_rtp_packet = watched
        await until(lambda: seen, 'a packet')
        payload_type, sequence_number = seen[0]
        nack = RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=1, media_ssrc=ssrc)
        nack.lost = [sequence_number]
        await send(receiver, nack)
        await until(lambda: feedback.lost_packets == 1, 'counted')
        # By RTX: of another payload type.
        await until(lambda: {pt for pt, _ in seen} - {payload_type}, 'sent again')


async def test_the_loss_and_the_bitrate_that_a_viewer_reports_are_known():
    async with connected() as (sender, receiver, ssrc):
        feedback = _aiortc.watch_feedback(sender, lambda: None)
        of_another = pack_remb_fci(1_000, [ssrc + 1])
        for fci in (of_another, b'REMB', pack_remb_fci(700_000, [ssrc])):
            await send(
                receiver, RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=ssrc, fci=fci)
            )
        await until(lambda: feedback.remb_bps, 'the bitrate')
        assert feedback.remb_bps == pytest.approx(700_000, rel=0.01)
        report = RtcpReceiverInfo(
            ssrc=ssrc, fraction_lost=64, packets_lost=9, highest_sequence=1, jitter=0, lsr=0,
            dlsr=0,
        )  # fmt: skip
        await send(receiver, RtcpRrPacket(ssrc=1, reports=[report]))
        await until(lambda: feedback.loss is not None, 'the loss')
        assert feedback.loss in (0.25, 0.0)  # aiortc's own report may have come after it


async def test_a_packet_is_sent_as_it_is():
    async with connected() as (sender, _, _):
        # Were it encoded again, it would be so by an encoder of aiortc's.
        assert sender._RTCRtpSender__encoder.codec is None


async def report_to(receiver, ssrc, lsr, dlsr, fraction_lost=0):
    info = RtcpReceiverInfo(
        ssrc=ssrc, fraction_lost=fraction_lost, packets_lost=0, highest_sequence=1, jitter=0,
        lsr=lsr, dlsr=dlsr,
    )  # fmt: skip
    await send(receiver, RtcpRrPacket(ssrc=1, reports=[info]))


async def test_a_receiver_report_comes_with_its_round_trip_and_the_new_estimate():
    async with connected() as (sender, receiver, ssrc):
        readings = []
        _aiortc.watch_feedback(sender, lambda: None, readings.append)
        # aiortc's own receiver reports too, as soon as the sender has.
        own = await until(lambda: [r for r in readings if r.rtt_s is not None], 'a round trip')
        assert 0.0 <= own[0].rtt_s < 5.0
        remb = RtcpPsfbPacket(
            fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=pack_remb_fci(700_000, [ssrc])
        )
        await send(receiver, remb)
        await report_to(receiver, ssrc, 0, 0, fraction_lost=64)
        await until(lambda: readings[-1].loss == 0.25, 'the report')
        assert readings[-1].remb_bps is not None
        await report_to(receiver, ssrc, 0, 0, fraction_lost=32)
        await until(lambda: readings[-1].loss == 0.125, 'the report')
        # It says nothing new.
        assert readings[-1][1:] == (None, None)


class State:
    """Be what is read of an RTCRtpSender."""


def test_round_trips_are_measured_by_older_sender_reports_too(monkeypatch):
    now_s = 1000.0
    monkeypatch.setattr(_aiortc.time, 'time', lambda: now_s)
    state = State()
    trips = _aiortc.RoundTrips(state)
    trips.look()  # before the first
    for number in range(40):
        vars(state)['_RTCRtpSender__lsr'] = number
        vars(state)['_RTCRtpSender__lsr_time'] = now_s
        trips.look()
        now_s += 1.0

    def of(lsr, dlsr_s):
        return trips.of(RtcpReceiverInfo(1, 0, 0, 0, 0, lsr, int(dlsr_s * 65536)))

    assert of(39, 0.5) == pytest.approx(0.5)
    assert of(39, 0.5) is None  # the same one again
    assert of(36, 0.5) == pytest.approx(3.5)
    assert of(38, 3.0) is None  # the clock was set, or it lies
    assert of(35, 0) is None
    assert of(1, 0.5) is None
    assert len(trips._sent_s) <= _aiortc.REPORTS_KEPT


def test_the_names_that_are_read_of_a_sender_are_those_of_aiortc():
    connection = RTCPeerConnection
    names = {
        _aiortc._LAST_REPORT,
        _aiortc._LAST_REPORT_TIME,
        _aiortc._PACKET_COUNT,
        _aiortc._HISTORY,
    }

    async def read():
        peer = connection(RTCConfiguration(iceServers=[]))
        transceiver = peer.addTransceiver('video')
        found = names & vars(transceiver.sender).keys()
        assert '_send_rtp' in dir(transceiver.sender.transport)
        await peer.close()
        return found

    assert asyncio.run(read()) == names


async def test_what_is_sent_again_stays_within_a_share_of_what_is_sent():
    async with connected() as (sender, receiver, ssrc):
        again, resend = [], sender._retransmit

        async def counted(sequence_number):
            again.append(sequence_number)
            await resend(sequence_number)

        sender._retransmit = counted
        resending = _aiortc.Resending(sender)
        nack = RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=1, media_ssrc=ssrc)
        nack.lost = list(range(200))
        feedback = _aiortc.watch_feedback(sender, lambda: None)
        begun = vars(sender)['_RTCRtpSender__packet_count']
        for _ in range(3):
            await send(receiver, nack)
        await until(lambda: feedback.lost_packets == 600, 'heard')
        await until(lambda: vars(sender)['_RTCRtpSender__packet_count'] > begun + 10, 'going on')
        sent = vars(sender)['_RTCRtpSender__packet_count']
        assert 60 <= len(again) <= _aiortc.RESEND_BURST + sent * _aiortc.RESEND_SHARE
        before = len(again)
        await send(receiver, nack)
        await until(lambda: len(again) > before, 'again, as more was sent')
        history = vars(sender)['_RTCRtpSender__rtp_history']
        assert history
        resending.forget()
        assert not history


class Large(Packets):
    """Give pictures of many packets."""

    def __init__(self):
        super().__init__()
        large = av.Packet(b'\0\0\0\1\x65' + bytes(range(1, 251)) * 100)
        large.pts, large.time_base = 0, self.packet.time_base
        self.packet = large
        self.pace = lambda: None

    async def recv(self):
        packet = await super().recv()
        self.pace()
        return packet


@pytest.mark.parametrize('paced', [True, False])
async def test_the_packets_of_a_large_picture_are_spread_and_all_arrive(paced):
    async with connected(Large()) as (sender, receiver, _):
        pacer = _aiortc.PacketPacer(sender)
        how = Spread(4, 0.02) if paced else None
        sender.track.pace = lambda: pacer.pace(how)
        came = []
        handle = receiver._handle_rtp_packet

        async def watched(packet, arrival_time_ms):
            came.append((packet.timestamp, packet.marker, time.monotonic()))
            await handle(packet, arrival_time_ms)

        receiver._handle_rtp_packet = watched
        await until(lambda: sum(marker for _, marker, _ in came) >= 4, 'four pictures')
        ends = [number for number, (_, marker, _) in enumerate(came) if marker]
        pictures = [came[start + 1 : end + 1] for start, end in pairwise(ends)]
        for picture in pictures[1:]:
            assert len(picture) in (20, 21, 22)
            assert len({timestamp for timestamp, _, _ in picture}) == 1
        took_s = sorted(picture[-1][2] - picture[0][2] for picture in pictures[1:])
        # Four gaps of 20 ms; on a busy machine the others take some time as well.
        assert (took_s[0] >= 0.07) == paced


async def test_the_answer_names_the_stream_of_a_track():
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for name in ('front', 'rear_2'):
        _aiortc.name_stream(connection.addTransceiver('video', 'sendonly').sender, name)
    sdp = (await connection.createOffer()).sdp
    await connection.close()
    assert [line.split()[0] for line in sdp.splitlines() if line.startswith('a=msid:')] == [
        'a=msid:front', 'a=msid:rear_2',
    ]  # fmt: skip
