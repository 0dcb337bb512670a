"""What the probe makes of answers that no peer should send."""

from __future__ import annotations

import asyncio

import aioice.ice
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from rtc_signaling.media._aiortc import offer_addresses
from rtc_signaling.media.probe import MALFORMED


@pytest.fixture(autouse=True)
def _loopback(monkeypatch):
    monkeypatch.setattr(aioice.ice, 'get_host_addresses', aioice.ice.get_host_addresses)
    offer_addresses(('127.0.0.1',))


async def offering():
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver('video', direction='recvonly')
    await connection.setLocalDescription(await connection.createOffer())
    return connection


async def answer_to(offer):
    camera = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    await camera.setRemoteDescription(RTCSessionDescription(offer, 'offer'))
    await camera.setLocalDescription(await camera.createAnswer())
    sdp = camera.localDescription.sdp
    await camera.close()
    return sdp


def spoilt(sdp):
    """Return the SDP with one line missing, cut, without its value, or with another one."""
    lines = sdp.splitlines()
    for number, line in enumerate(lines):
        name = line.partition(':')[0]
        others = (None, name, f'{name}:', f'{name}:x', f'{name}:x y z', line[: len(line) // 2])
        for other in others:
            middle = [] if other is None else [other]
            yield '\r\n'.join([*lines[:number], *middle, *lines[number + 1 :], ''])


async def test_a_malformed_answer_raises_nothing_that_is_not_listed():
    connection = await offering()
    answer = await answer_to(connection.localDescription.sdp)
    raised = set()
    for sdp in {*spoilt(answer), '', 'x', 'v=0', 'v=0\r\nm=video'}:
        try:
            await connection.setRemoteDescription(RTCSessionDescription(sdp, 'answer'))
        except MALFORMED as error:
            raised.add(type(error).__name__)
            continue
        # It was as good as any other: the next one needs a connection that waits for an answer.
        await connection.close()
        connection = await offering()
    await connection.close()
    assert {'AttributeError', 'ValueError', 'AssertionError', 'KeyError'} <= raised
    await asyncio.sleep(0)
