"""A cable that loses, delays and reorders packets: two TUN devices, and this program between them.

    line.py SETTINGS NAMESPACE:DEVICE NAMESPACE:DEVICE

The settings are JSON, read again at SIGUSR1: shares of the packets, 0 to 1, each way.

    {"loss": 0.01, "jitter": 0.05, "reorder": 0.1}

`jitter` holds a packet, and all behind it, up by 50 ms; `reorder` holds one up by 20 ms while
those behind it pass. (The kernel's netem would do the same where it is to be had.)
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import random
import signal
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from faults.space import inside

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
JITTER_S, REORDER_S = 0.05, 0.02
PACKET_BYTES = 65535


def open_tun(end: str) -> int:
    """Make the device of `namespace:device`, and return its file descriptor."""
    namespace, device = end.split(':')

    def make() -> int:
        file = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
        request = struct.pack('16sH14x', device.encode(), IFF_TUN | IFF_NO_PI)
        fcntl.ioctl(file, TUNSETIFF, request)
        return file

    return inside(namespace, make)


class Line:
    """Carry packets from one device to the other."""

    def __init__(self, source: int, sink: int, settings: dict[str, float], seed: int) -> None:
        self._source, self._sink, self._settings = source, sink, settings
        self._random = random.Random(seed)
        self._free_s = 0.0  # until then a jitter holds all up

    def carry(self) -> None:
        """Take the next packet."""
        loop = asyncio.get_running_loop()
        packet = os.read(self._source, PACKET_BYTES)
        settings, now_s = self._settings, loop.time()
        if self._random.random() < settings.get('loss', 0.0):
            return
        if self._random.random() < settings.get('jitter', 0.0):
            # Not so much more for each: such a line would carry 20 held packets a second.
            self._free_s = now_s + JITTER_S
        at_s = max(self._free_s, now_s)
        if self._random.random() < settings.get('reorder', 0.0):
            at_s += REORDER_S
        if at_s > now_s:
            loop.call_at(at_s, self._write, packet)
        else:
            self._write(packet)

    def _write(self, packet: bytes) -> None:
        try:
            os.write(self._sink, packet)
        except OSError:  # the device is down, or full: lost, as on any cable
            return


async def main(path: Path, ends: list[str]) -> None:
    settings: dict[str, float] = {}

    def read() -> None:
        settings.clear()
        settings.update(json.loads(path.read_text(encoding='utf-8')))

    with contextlib.suppress(FileNotFoundError):
        read()
    one, other = (open_tun(end) for end in ends)
    loop = asyncio.get_running_loop()
    for seed, (source, sink) in enumerate(((one, other), (other, one))):
        loop.add_reader(source, Line(source, sink, settings, seed).carry)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, read)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    print('ready', flush=True)
    await stop.wait()


if __name__ == '__main__':
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
