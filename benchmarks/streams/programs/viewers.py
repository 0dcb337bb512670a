"""Cheap viewers: real WebRTC peers, several in this process, that count and decode nothing."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from typing import Any

import aioice.ice
from aiortc import (
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError

from streams import exchange, talk
from streams.tap import Tap, decode_nothing
from streams.weak_link import LOOPBACK, WeakLink, Weakness

DEADLINE_S = 30.0


class Viewer:
    """Be one viewer, from its offer to its end."""

    def __init__(self, estimates: bool) -> None:
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        transceiver = self._connection.addTransceiver('video', direction='recvonly')
        transceiver.setCodecPreferences(
            [
                codec
                for codec in RTCRtpReceiver.getCapabilities('video').codecs
                if codec.parameters.get('profile-level-id') == '42e01f' or codec.name == 'rtx'
            ]
        )
        self.tap = Tap(transceiver.receiver, estimates=estimates)
        self.answered_s = 0.0
        self.assembled = 0
        self._assembled_one = asyncio.Event()
        self._end = contextlib.AsyncExitStack()

    async def join(self, way: str, port: int, weakness: Weakness | None) -> None:
        """Offer, take the answer, and wait for a key frame; by a weak link, for any frame."""
        self._end.push_async_callback(self._connection.close)
        opened = exchange.by_signaling(port) if way == 'signaling' else exchange.by_line(port)
        swap = await self._end.enter_async_context(opened)
        await self._connection.setLocalDescription(await self._connection.createOffer())
        sdp = self._connection.localDescription.sdp
        link = None
        if weakness is not None:
            link = WeakLink(weakness)
            await link.open()
            self._end.callback(link.close)
            sdp = link.rewrite_offer(sdp)
        answer = await swap(sdp)
        self.answered_s = time.monotonic()
        if link is not None:
            answer = link.rewrite_answer(answer)
        await self._connection.setRemoteDescription(RTCSessionDescription(answer, 'answer'))
        assembling = asyncio.create_task(self._assemble())
        self._end.callback(assembling.cancel)
        first = self.tap.first_frame if weakness is None else self._assembled_one
        await first.wait()

    async def _assemble(self) -> None:
        """Count the frames that aiortc has put together, of packets sent again, too."""
        track = self._connection.getReceivers()[0].track
        with contextlib.suppress(MediaStreamError):
            while True:
                await track.recv()
                self.assembled += 1
                self._assembled_one.set()

    def report(self) -> dict[str, Any]:
        """Return what was counted since the last `reset`."""
        return {**self.tap.report(), 'assembled': self.assembled}

    def reset(self) -> None:
        """Count from here on."""
        self.tap.reset()
        self.assembled = 0

    async def leave(self) -> None:
        """Be gone."""
        await self._end.aclose()


class Viewers:
    """Do what the harness asks for."""

    def __init__(self, way: str, port: int) -> None:
        self._way = way
        self._port = port
        self._viewers: list[Viewer] = []

    async def join(
        self, count: int, weakness: dict[str, float] | None = None, within_s: float = 0.0
    ) -> dict[str, Any]:
        """Let more viewers join, evenly spread over a time; return when all have a picture."""
        weak = None if weakness is None else Weakness(**weakness)
        new = [Viewer(estimates=weak is not None) for _ in range(count)]
        self._viewers += new

        async def later(place: int, viewer: Viewer) -> None:
            await asyncio.sleep(within_s * place / count)
            async with asyncio.timeout(DEADLINE_S):
                await viewer.join(self._way, self._port, weak)

        failures = await asyncio.gather(
            *(later(place, viewer) for place, viewer in enumerate(new)), return_exceptions=True
        )
        if failed := [failure for failure in failures if failure is not None]:
            return {'failure': f'{len(failed)} of {count} viewers could not join: {failed[0]!r}'}
        return {'first_s': [viewer.tap.first_key_s - viewer.answered_s for viewer in new]}

    async def leave(self, count: int) -> dict[str, Any]:
        """Let the newest viewers go."""
        going, self._viewers = self._viewers[-count:], self._viewers[:-count]
        await asyncio.gather(*(viewer.leave() for viewer in going))
        return {}

    async def watch(self, duration_s: float) -> dict[str, Any]:
        """Count for so long; return what each viewer has counted, the oldest first."""
        for viewer in self._viewers:
            viewer.reset()
        start_s = time.monotonic()
        await asyncio.sleep(duration_s)
        elapsed_s = time.monotonic() - start_s
        reports = [viewer.report() for viewer in self._viewers]
        return {'elapsed_s': elapsed_s, 'viewers': reports}

    async def reset(self) -> dict[str, Any]:
        """Count from here on."""
        for viewer in self._viewers:
            viewer.reset()
        return {}

    async def report(self) -> dict[str, Any]:
        """Return what each viewer has counted."""
        return {'viewers': [viewer.report() for viewer in self._viewers]}


async def main(way: str, port: int) -> None:
    """Serve the harness until it is done."""
    viewers = Viewers(way, port)
    own = aioice.ice.get_host_addresses
    # GStreamer offers no loopback.
    aioice.ice.get_host_addresses = (
        own if way == 'line-elsewhere' else lambda use_ipv4, use_ipv6: [LOOPBACK]
    )
    decode_nothing()
    try:
        await talk.serve(
            {
                name: getattr(viewers, name)
                for name in ('join', 'leave', 'watch', 'reset', 'report')
            }
        )
    finally:
        await viewers.leave(len(viewers._viewers))


if __name__ == '__main__':
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
