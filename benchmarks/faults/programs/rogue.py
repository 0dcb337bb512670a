"""A viewer with a valid token that means ill: rogue.py URL TOKEN ROGUERY SECONDS.

It prints one line of JSON at the end, with what it has done.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import aiortc.rtcrtpreceiver
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from rtc_signaling.media._aiortc import offer_addresses

MESSAGES_HZ = 40.0
DATAGRAMS_HZ = 2000.0
PLI_HZ = 200.0
# First bytes of what ICE, DTLS and SRTP share a port with (RFC 7983).
STUN, DTLS, RTP = range(4), range(20, 64), range(128, 192)


class Rogue:
    """Do one kind of harm."""

    def __init__(self, socket: ClientConnection, duration_s: float) -> None:
        self._socket = socket
        self._duration_s = duration_s
        self._random = random.Random(1)
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._connection.addTransceiver('video', direction='recvonly')
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.errors = 0

    async def listen(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if message['type'] == 'answer':
                self._answers.put_nowait(message)
            self.errors += message['type'] in ('error', 'bye')

    async def close(self) -> None:
        await self._connection.close()

    async def _say(self, **members: Any) -> None:
        await self._socket.send(json.dumps(members))

    async def _offer(self) -> str:
        await self._connection.setLocalDescription(await self._connection.createOffer())
        return self._connection.localDescription.sdp

    async def _join(self) -> str:
        """Become a viewer in order; return the answer."""
        await self._say(type='offer', sdp=await self._offer())
        sdp: str = (await asyncio.wait_for(self._answers.get(), 20.0))['sdp']
        await self._connection.setRemoteDescription(RTCSessionDescription(sdp, 'answer'))
        while self._connection.connectionState != 'connected':  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return sdp

    async def _paced(self, rate_hz: float) -> AsyncIterator[int]:
        """Count at a rate for as long as all this lasts."""
        start_s, count = time.monotonic(), 0
        while (passed_s := time.monotonic() - start_s) < self._duration_s:
            if count < passed_s * rate_hz:
                yield count
                count += 1
            else:
                await asyncio.sleep(0.001)

    async def malformed_sdp(self) -> str:
        sdp, sent = await self._offer(), 0
        async for count in self._paced(MESSAGES_HZ / 4):
            if count < 40:
                await self._say(type='offer', sdp=self._spoilt(sdp, count))
                sent += 1
        return f'{sent} offers'

    def _spoilt(self, sdp: str, count: int) -> str:
        """Return the SDP with one line left out, doubled, cut, or of random characters."""
        lines = sdp.split('\r\n')
        place = self._random.randrange(3, len(lines) - 1)
        ways = [
            lambda line: [],
            lambda line: [line] * 500,
            lambda line: [line[: len(line) // 2]],
            lambda line: [line[:2] + ''.join(self._random.choices('0a:/ -\t=é', k=60))],
            lambda line: [re.sub(r'\d+', '99999999999999999999', line)],
        ]
        lines[place : place + 1] = ways[count % len(ways)](lines[place])
        return '\r\n'.join(lines)

    async def candidates(self) -> str:
        await self._join()
        sent = 0
        async for count in self._paced(MESSAGES_HZ):
            port = 1024 + count % 60_000
            address = f'127.{count >> 8 & 255}.{count & 255}.1'
            line = f'candidate:{count} 1 udp 2122260223 {address} {port} typ host'
            await self._say(type='ice_candidate', candidate=line, sdpMid='0', sdpMLineIndex=0)
            sent += 1
        return f'{sent} candidates'

    async def renegotiate(self) -> str:
        sdp, sent = await self._offer(), 0
        async for count in self._paced(MESSAGES_HZ):
            await self._say(type='offer', sdp=sdp, offer_id=str(count))
            sent += 1
        return f'{sent} offers, {self._answers.qsize()} answers'

    async def pli(self) -> str:
        await self._join()
        receiver = self._connection.getReceivers()[0]
        while not (sources := receiver.getSynchronizationSources()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        sent = 0
        async for _ in self._paced(PLI_HZ):
            await receiver._send_rtcp_pli(sources[0].source)
            sent += 1
        return f'{sent} PLI'

    async def stun(self) -> str:
        return await self._throw(STUN)

    async def dtls(self) -> str:
        return await self._throw(DTLS)

    async def rtp(self) -> str:
        return await self._throw(RTP)

    async def _throw(self, first: range) -> str:
        """Throw datagrams at the media port, from the own port and from another."""
        found = re.search(r'a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host', await self._join())
        assert found is not None
        target, sent = (found[1], int(found[2])), 0
        # ICE's own way to the sender, which takes them for the viewer's.
        own = self._connection.getReceivers()[0].transport.transport
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            async for _ in self._paced(DATAGRAMS_HZ):
                body = self._random.randbytes(self._random.randrange(1, 400))
                if first is STUN and sent % 2:
                    body = self._random.randbytes(3) + b'\x21\x12\xa4\x42' + body
                datagram = bytes([self._random.choice(first)]) + body
                if sent % 4 < 2:
                    stranger.sendto(datagram, target)
                else:
                    await own._send(datagram)
                sent += 1
        return f'{sent} datagrams'


def discard(loop: Any, frames: Any, *_: Any) -> None:
    """Take the place of aiortc's decoder."""
    while frames.get() is not None:
        pass


async def main(url: str, token: str, roguery: str, duration_s: float) -> None:
    offer_addresses(('127.0.0.1',))
    aiortc.rtcrtpreceiver.decoder_worker = discard
    headers = {'Authorization': f'Bearer {token}'}
    async with connect(url, additional_headers=headers, proxy=None) as socket:
        rogue = Rogue(socket, duration_s)
        listening = asyncio.create_task(rogue.listen())
        did = 'hung up on'
        try:
            did = await getattr(rogue, roguery)()
        except ConnectionClosed as closed:
            did = f'closed by the server with {closed.rcvd.code if closed.rcvd else 1006}'
        finally:
            listening.cancel()
            await rogue.close()
        print(json.dumps({'did': f'{did}, {rogue.errors} errors told'}), flush=True)


if __name__ == '__main__':
    asyncio.run(main(*sys.argv[1:4], float(sys.argv[4])))
