"""Many viewers, or many signaling clients, in one process; it does what lines of a file say.

Answers are lines of JSON. Pictures are not decoded: a viewer has its picture when the first packet
of video has come.

    crowd.py URL TOKEN COMMANDS

SIGUSR1 has COMMANDS read: `{"do": "churn", "rate": 5, "duration_s": 9}`,
`{"do": "connect", "count": 1000}`, `{"do": "ping"}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import aiortc.rtcrtpreceiver
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from websockets.asyncio.client import ClientConnection, connect

from rtc_signaling.media._aiortc import offer_addresses

PICTURE_S = 10.0
STAY_S = (0.5, 3.0)
AT_ONCE = 50


def say(**members: Any) -> None:
    sys.stdout.write(json.dumps(members) + '\n')
    sys.stdout.flush()


def discard(loop: Any, frames: Any, *_: Any) -> None:
    """Take the place of aiortc's decoder, which would be most of the work here."""
    while frames.get() is not None:
        pass


class Crowd:
    """Be many clients of one server."""

    def __init__(self, url: str, token: str, seed: int) -> None:
        self._url, self._headers = url, {'Authorization': f'Bearer {token}'}
        self._random = random.Random(seed)
        self._idle: list[ClientConnection] = []

    async def churn(self, rate: float, duration_s: float) -> None:
        """Join and leave at a rate, each viewer once it has its picture and stayed a moment."""
        end_s = time.monotonic() + duration_s
        tasks = []
        while time.monotonic() < end_s:
            tasks.append(asyncio.create_task(self._visit()))
            await asyncio.sleep(self._random.expovariate(rate))
        results = await asyncio.gather(*tasks, return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        first = [result for result in results if isinstance(result, float)]
        say(joins=len(tasks), failures=[repr(failure) for failure in failures], first_s=first)

    async def _visit(self) -> float:
        start_s = time.monotonic()
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connection.addTransceiver('video', direction='recvonly')
        try:
            async with (
                asyncio.timeout(PICTURE_S + STAY_S[1]),
                connect(self._url, additional_headers=self._headers, proxy=None) as socket,
            ):
                await connection.setLocalDescription(await connection.createOffer())
                sdp = connection.localDescription.sdp
                await self._expect(socket, 'connected')
                await socket.send(json.dumps({'type': 'offer', 'sdp': sdp}))
                answer = (await self._expect(socket, 'answer'))['sdp']
                await connection.setRemoteDescription(RTCSessionDescription(answer, 'answer'))
                await self._picture(connection)
                took_s = time.monotonic() - start_s
                await asyncio.sleep(self._random.uniform(*STAY_S))
                await socket.send('{"type": "leave"}')
                return took_s
        finally:
            await connection.close()

    async def _expect(self, socket: ClientConnection, kind: str) -> dict[str, Any]:
        async for text in socket:
            message: dict[str, Any] = json.loads(text)
            if message['type'] == kind:
                return message
            if message['type'] in ('error', 'bye'):
                raise RuntimeError(f'{message}')
        raise RuntimeError(f'closed before {kind}')

    async def _picture(self, connection: RTCPeerConnection) -> None:
        receiver = connection.getReceivers()[0]
        while True:
            for stats in (await receiver.getStats()).values():
                if stats.type == 'inbound-rtp' and stats.packetsReceived:
                    return
            await asyncio.sleep(0.02)

    async def connect(self, count: int) -> None:
        """Connect clients that do nothing but stay."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with gate:
                socket = await connect(
                    self._url,
                    additional_headers=self._headers,
                    proxy=None,
                    compression=None,
                    open_timeout=30,
                )
                self._idle.append(socket)

        start_s = time.monotonic()
        results = await asyncio.gather(*(one() for _ in range(count)), return_exceptions=True)
        failures = [repr(result) for result in results if result is not None]
        say(took_s=time.monotonic() - start_s, failures=failures[:3], failed=len(failures))

    async def ping(self) -> None:
        """Time a ping of one of them, and count those whose connection is open."""
        start_s = time.monotonic()
        await (await self._idle[0].ping())
        ping_ms = (time.monotonic() - start_s) * 1000
        say(ping_ms=ping_ms, alive=sum(socket.close_code is None for socket in self._idle))

    async def close(self) -> None:
        await asyncio.gather(*(socket.close() for socket in self._idle))


async def main(url: str, token: str, path: str) -> None:
    offer_addresses(('127.0.0.1',))
    aiortc.rtcrtpreceiver.decoder_worker = discard
    crowd = Crowd(url, token, 1)
    loop = asyncio.get_running_loop()
    commands: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def read() -> None:
        commands.put_nowait(json.loads(Path(path).read_text(encoding='utf-8')))

    loop.add_signal_handler(signal.SIGUSR1, read)
    loop.add_signal_handler(signal.SIGINT, commands.put_nowait, None)
    say(ready=True)
    while (command := await commands.get()) is not None:
        await getattr(crowd, command.pop('do'))(**command)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5.0):
            await crowd.close()


if __name__ == '__main__':
    asyncio.run(main(*sys.argv[1:]))
