"""A viewer in a process of its own, which behaves as the viewer page does.

It prints a line of JSON for each picture, `{"t": ..., "age": ..., "size": "640x480"}` (wall clock
and age in s, the age as the picture itself says it), and for each step, `{"t": ..., "step": ...}`:
connecting, welcomed, offered, answered, connected, lost, bye, closing, closed. SIGINT ends it in
order.

The configuration is one argument, JSON: see `Plan`. The rules by which a new connection is made
are those of `rtc_signaling/web/client.js`, with the same times.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
import signal
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import aioice.ice
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from msgspec import UNSET

from rtc_signaling.backoff import Backoff
from rtc_signaling.client import SignalingClient
from rtc_signaling.errors import ConnectionFailedError, ProtocolError
from rtc_signaling.media._aiortc import chosen_candidates, offer_addresses
from rtc_signaling.media.scene import read_index
from rtc_signaling.messages import Answer, Bye, Connected, Leave, Offer, PeerJoined, PeerLeft

# state.js and client.js
DEAD_S = 5.0
DEAD_IF_NEW_S = 3.0
SETUP_S = 15.0
TICK_S = 0.1
SMALLEST = 64  # of a picture whose strip can be read


@dataclass(frozen=True)
class Plan:
    """What this viewer is to do.

    Attributes:
        url: The signaling server.
        token: To show.
        name: Its client_id.
        addresses: Local addresses to offer; empty for all but loopback.
        pause: By step, how long it stands there, in s, so that a fault can meet it.
        relay_only: Whether it takes the way through a TURN server alone.
        camera: Whose video; '' for the first camera that is there.
        browser: Whether it is Chromium (`browsing.py`), of which url and token count alone.
    """

    url: str
    token: str
    name: str = ''
    addresses: tuple[str, ...] = ('127.0.0.1',)
    pause: dict[str, float] = field(default_factory=dict)
    relay_only: bool = False
    camera: str = ''
    browser: bool = False


def tell(**members: Any) -> None:
    """Print a line of JSON; `t` is now where it is not given."""
    sys.stdout.write(json.dumps({'t': round(time.time(), 4), **members}) + '\n')
    sys.stdout.flush()


def age_s(frame: Any) -> float | None:
    """Return how old a picture is, as its strip of blocks says; None if it cannot be read."""
    if min(frame.width, frame.height) < SMALLEST:
        return None
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(frame.height, plane.line_size)
    grey = np.broadcast_to(rows[:, : frame.width, None], (frame.height, frame.width, 3))
    stamp_ms = read_index(grey)
    if stamp_ms is None:
        return None
    age_ms = (int(time.time() * 1000) - stamp_ms) & 0xFFFF
    return (age_ms - 0x10000 if age_ms > 0xF000 else age_ms) / 1000


class Media:
    """One peer connection, from its offer to its end."""

    def __init__(self, plan: Plan, sender: str, ice_servers: list[RTCIceServer]) -> None:
        self.sender = sender
        self.offer_id = secrets.token_urlsafe(6)
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=ice_servers))
        self.connection.addTransceiver('video', direction='recvonly')
        self.connection.on('track', self._watch)
        self.connection.on('connectionstatechange', self._changed)
        self.started_s = self.alive_s = time.monotonic()
        self.connected = False
        self._received_bytes = 0
        self._plan = plan
        self._task: asyncio.Task[None] | None = None

    def _changed(self) -> None:
        state = self.connection.connectionState
        if state == 'connected':
            self.connected = True
            self.alive_s = time.monotonic()
            pair = chosen_candidates(self.connection.getReceivers()[0])
            types = [candidate.type for candidate in pair] if pair else []
            tell(step='connected', pair=types)
        else:
            tell(state=state)

    def _watch(self, track: MediaStreamTrack) -> None:
        self._task = asyncio.create_task(self._count(track))

    async def _count(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame: Any = await track.recv()
                self.alive_s = time.monotonic()
                tell(age=age_s(frame), size=f'{frame.width}x{frame.height}')

    async def tell_packets(self) -> None:
        """Tell how many packets came, and how many did not; any bytes are a sign of life."""
        for stats in (await self.connection.getReceivers()[0].getStats()).values():
            if stats.type == 'inbound-rtp':
                tell(packets=stats.packetsReceived, lost=stats.packetsLost)
            elif stats.type == 'transport' and stats.bytesReceived != self._received_bytes:
                self._received_bytes = stats.bytesReceived
                self.alive_s = time.monotonic()

    @property
    def over(self) -> bool:
        return self.connection.connectionState in ('failed', 'closed')

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        await self.connection.close()


class Viewer:
    """Keep one camera's video coming."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._client = SignalingClient(
            plan.url, 'receiver', plan.name, read_token=lambda: plan.token, on_link=self._on_link
        )
        self._senders: dict[str, float] = {}
        self._media: Media | None = None
        self._attempts = Backoff(2.0, 30.0, random.uniform)
        self._not_before_s = 0.0
        self._ice: list[RTCIceServer] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        await self._stand('connecting')
        works = (self._listen, self._decide, self._tell_packets)
        tasks = [asyncio.create_task(work()) for work in works]
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
        await self._stand('closing')
        if self._media is not None:
            with contextlib.suppress(ConnectionFailedError):
                await self._client.send(Leave())
            await self._media.close()
        for task in (*tasks, *self._tasks, stopped):
            task.cancel()
        await asyncio.gather(*tasks, *self._tasks, return_exceptions=True)
        tell(step='closed')
        for task in done - {stopped}:
            task.result()

    async def _stand(self, step: str) -> None:
        tell(step=step)
        await asyncio.sleep(self._plan.pause.get(step, 0.0))

    def _on_link(self, up: bool) -> None:
        tell(link=up)

    async def _listen(self) -> None:
        async with self._client as client:
            async for message in client:
                await self._take(message)

    async def _take(self, message: Any) -> None:
        now_s = time.monotonic()
        if isinstance(message, Connected):
            tell(step='welcomed', resumed=message.resumed)
            self._ice = [
                RTCIceServer(
                    urls=s.urls, username=s.username or None, credential=s.credential or None
                )
                for s in message.ice_servers
            ]
            if not message.resumed:
                known = self._senders
                names = [p.client_id for p in message.peers if p.role == 'sender']
                self._senders = {name: known.get(name, now_s) for name in names}
                await self._drop(only_if_setting_up=True)
                self._not_before_s = 0.0
        elif isinstance(message, PeerJoined) and message.role == 'sender':
            self._senders[message.client_id] = now_s
            self._not_before_s = 0.0
            await self._drop(only_if_setting_up=True)
        elif isinstance(message, PeerLeft):
            self._senders.pop(message.client_id, None)
            await self._drop(only_if_setting_up=True)
        elif isinstance(message, Answer):
            self._spawn(self._answered(message))
        elif isinstance(message, Bye):
            if self._media is None or message.offer_id not in (UNSET, self._media.offer_id):
                return
            tell(step='bye', reason=message.reason)
            await self._fail()

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answered(self, answer: Answer) -> None:
        media = self._media
        if media is None or answer.offer_id != media.offer_id:
            return
        await self._stand('answered')
        if media.connection.signalingState != 'have-local-offer':
            return
        sdp = answer.sdp
        await media.connection.setRemoteDescription(RTCSessionDescription(sdp, 'answer'))

    async def _decide(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            media, now_s = self._media, time.monotonic()
            if media is not None and not self._is_over(media, now_s):
                continue
            sender = self._plan.camera or next(iter(self._senders), '')
            if not self._client.connected or sender not in self._senders:
                continue
            if now_s < self._not_before_s:
                continue
            if media is not None:
                tell(step='lost')
            await self._offer(sender)

    async def _tell_packets(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            if self._media is not None and self._media.connected:
                await self._media.tell_packets()

    def _is_over(self, media: Media, now_s: float) -> bool:
        if not media.connected:
            return media.over or now_s - media.started_s > SETUP_S
        joined_s = self._senders.get(media.sender, 0.0)
        limit_s = DEAD_IF_NEW_S if joined_s > media.started_s else DEAD_S
        return media.over or now_s - media.alive_s > limit_s

    async def _offer(self, sender: str) -> None:
        await self._drop()
        media = self._media = Media(self._plan, sender, self._ice)
        await media.connection.setLocalDescription(await media.connection.createOffer())
        sdp = media.connection.localDescription.sdp
        self._spawn(
            self._deliver(media, Offer(sdp=sdp, sender_id=sender, offer_id=media.offer_id))
        )
        await self._stand('offered')

    async def _deliver(self, media: Media, offer: Offer) -> None:
        try:
            await self._client.deliver(offer, SETUP_S)
        except (ConnectionFailedError, ProtocolError) as error:
            tell(error=str(error))
            if media is self._media:
                await self._fail()

    async def _fail(self) -> None:
        await self._drop()
        self._not_before_s = time.monotonic() + self._attempts.next_s() / 2

    async def _drop(self, *, only_if_setting_up: bool = False) -> None:
        media = self._media
        if media is None or (only_if_setting_up and media.connected):
            return
        self._media = None
        await media.close()


async def main(plan: Plan) -> None:
    if plan.relay_only:
        # aioice has no option for it: without addresses of its own it has the TURN server's alone.
        aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: []
    else:
        offer_addresses(tuple(plan.addresses))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    await Viewer(plan).run(stop)


if __name__ == '__main__':
    asyncio.run(main(Plan(**json.loads(sys.argv[1]))))
