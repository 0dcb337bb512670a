"""Which codec a viewer gets: real offers of browsers, answered by aiortc."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from rtc_signaling.media.codecs import negotiated, offered_h264, preferences
from rtc_signaling.media.feed import CameraTrack
from rtc_signaling.media.h264_stream import BASELINE, H264Offer

DATA = Path(__file__).resolve().parents[1] / 'data'


def recorded():
    """Return an offer of Chromium's, without candidates: their names would be looked up."""
    lines = (DATA / 'chromium_offer.sdp').read_text(encoding='utf-8').splitlines()
    return '\r\n'.join(line for line in lines if 'candidate' not in line) + '\r\n'


async def answer(offer, names=()):
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    transceiver = connection.addTransceiver(CameraTrack(), direction='sendonly')
    transceiver.setCodecPreferences(preferences(names))
    try:
        await connection.setRemoteDescription(RTCSessionDescription(offer, 'offer'))
        return (await connection.createAnswer()).sdp
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ('names', 'codec'),
    [((), 'h264'), (('h264', 'vp8'), 'h264'), (('vp8', 'h264'), 'vp8'), (('vp8',), 'vp8')],
)
async def test_chromium_gets_the_first_that_is_preferred(names, codec):
    assert negotiated(await answer(recorded(), names)) == codec


async def test_a_viewer_without_h264_gets_vp8():
    offer = recorded()
    without = offer.replace('H264/90000', 'H999/90000')
    assert without != offer
    assert negotiated(await answer(without)) == 'vp8'


def test_constrained_baseline_is_preferred_and_retransmission_kept():
    codecs = preferences(['h264'])
    assert [codec.name for codec in codecs] == ['H264', 'H264', 'rtx']
    assert codecs[0].parameters['profile-level-id'].lower().startswith('42e0')


def test_an_answer_without_video_sends_none():
    assert negotiated('v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n') is None


def test_the_highest_profile_of_h264_that_chromium_offers_counts():
    assert offered_h264(recorded()) == H264Offer(0xF4, 31)
    main = recorded().replace('f4001f', '580029').replace('4d001f', '4d0029')
    assert offered_h264(main) == H264Offer(0x4D, 41)


@pytest.mark.parametrize('offered', ['42e01g', '42', '', '42e01f00', '58001f'])
def test_what_is_no_profile_of_ours_is_the_least(offered):
    sdp = re.sub('profile-level-id=[0-9a-f]+', f'profile-level-id={offered}', recorded())
    assert offered_h264(sdp) == H264Offer(BASELINE, 10)


def test_who_offers_no_h264_takes_the_least():
    assert offered_h264('v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n') == H264Offer()
