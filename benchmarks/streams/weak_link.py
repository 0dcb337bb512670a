"""A weak link between a sender and one viewer: a UDP relay that loses or throttles.

Both ends are given the relay's addresses in place of each other's, by rewriting the candidates of
offer and answer. Only the way to the viewer is weak; that of its reports is not.
"""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import dataclass
from typing import Any

LOOPBACK = '127.0.0.1'
# What a router holds before it drops.
QUEUE_S = 0.2
_CANDIDATE = re.compile(r'(a=candidate:\S+ 1 udp \d+ )(\S+) (\d+)( typ host.*)', re.IGNORECASE)

Address = tuple[str, int]


@dataclass(frozen=True)
class Weakness:
    """What is wrong with the link; 0 for nothing."""

    loss: float = 0.0
    rate_bps: float = 0.0


class WeakLink:
    """Relay between one sender and one viewer; open it in the loop."""

    def __init__(self, weakness: Weakness, seed: int = 1) -> None:
        self._weakness = weakness
        self._random = random.Random(seed)
        self._free_s = 0.0
        self._viewer: Address | None = None
        self._sender: Address | None = None
        self.dropped = 0

    async def open(self) -> None:
        """Take two ports of loopback."""
        self._to_sender = await self._end(self._from_sender)
        self._to_viewer = await self._end(self._from_viewer)

    def close(self) -> None:
        """Give them back."""
        self._to_sender.close()
        self._to_viewer.close()

    def rewrite_offer(self, sdp: str) -> str:
        """Return the viewer's offer as if the viewer were here."""
        self._viewer, sdp = _rewrite(sdp, self._to_sender.get_extra_info('sockname')[:2])
        return sdp

    def rewrite_answer(self, sdp: str) -> str:
        """Return the sender's answer as if the sender were here."""
        self._sender, sdp = _rewrite(sdp, self._to_viewer.get_extra_info('sockname')[:2])
        return sdp

    async def _end(self, received: Any) -> asyncio.DatagramTransport:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Receiver(received), local_addr=(LOOPBACK, 0)
        )
        return transport

    def _from_viewer(self, data: bytes) -> None:
        if self._sender is not None:
            self._to_sender.sendto(data, self._sender)

    def _from_sender(self, data: bytes) -> None:
        if self._viewer is None:
            return
        if self._random.random() < self._weakness.loss:
            self.dropped += 1
            return
        if not self._weakness.rate_bps:
            self._to_viewer.sendto(data, self._viewer)
            return
        loop = asyncio.get_running_loop()
        start_s = max(self._free_s, loop.time())
        if start_s - loop.time() > QUEUE_S:
            self.dropped += 1
            return
        self._free_s = start_s + len(data) * 8 / self._weakness.rate_bps
        loop.call_at(self._free_s, self._pass_on, data)

    def _pass_on(self, data: bytes) -> None:
        if not self._to_viewer.is_closing():
            self._to_viewer.sendto(data, self._viewer)


class _Receiver(asyncio.DatagramProtocol):
    def __init__(self, received: Any) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._received(data)


def _rewrite(sdp: str, address: Address) -> tuple[Address, str]:
    """Put one address in place of the one candidate; return what was there, and the new SDP."""
    found = _CANDIDATE.findall(sdp)
    if len({(host, port) for _, host, port, _ in found}) != 1:
        raise ValueError(f'a weak link needs exactly one candidate, not {len(found)}')
    before = (found[0][1], int(found[0][2]))
    return before, _CANDIDATE.sub(rf'\g<1>{address[0]} {address[1]}\g<4>', sdp)
