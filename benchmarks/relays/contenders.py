"""Who is measured, and how each is started."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from relays.dialects import (
    TOKEN,
    Dialect,
    Ours,
    OursInBand,
    PeerServer,
    UwsRelay,
    WsRelay,
    YWebrtc,
)
from relays.process import ServerProcess, free_port, running

HERE = Path(__file__).parent
MODULES = HERE.parent / 'node_modules'
PORT = '{port}'


@dataclass(frozen=True)
class Contender:
    """One server: how to start it, and how to speak to it.

    Attributes:
        key: Its name on the command line.
        dialect: Its protocol.
        command: What to run; `{port}` stands for the port.
        environment: Variables beside the inherited ones; `{port}` as well.
        guarded: What to add to the command where its default limits are to be met.
    """

    key: str
    dialect: Dialect
    command: Sequence[str]
    environment: tuple[tuple[str, str], ...] = ()
    guarded: Sequence[str] = ()

    def with_default_limits(self) -> Contender:
        """Return the same server with the limits that it has by default."""
        return dataclasses.replace(self, command=[*self.command, *self.guarded])

    @contextlib.contextmanager
    def running(self, core: int | None) -> Iterator[ServerProcess]:
        """Run it on `core` while the context lasts."""
        port = free_port()
        command = [word.replace(PORT, str(port)) for word in self.command]
        variables = {name: value.replace(PORT, str(port)) for name, value in self.environment}
        with running(command, port, core, {'NODE_ENV': 'production', **variables}) as server:
            yield server


def ours(key: str, dialect: Dialect, *options: str) -> Contender:
    """Return this project's server, run with `options`."""
    script = str(HERE / 'servers' / 'this_server.py')
    command = [sys.executable, script, PORT, *options]
    return Contender(key, dialect, command, guarded=['--limits', 'default'])


def contenders() -> dict[str, Contender]:
    """Return all of them by key; the first three are what the goals compare."""
    peer = MODULES / 'peer' / 'dist' / 'bin' / 'peerjs.js'
    y_webrtc = MODULES / 'y-webrtc' / 'bin' / 'server.js'
    found = [
        ours('ours', Ours('rtc_signaling, uvloop')),
        Contender(
            'peerserver',
            PeerServer('PeerServer'),
            ['node', str(peer), '--host', '127.0.0.1', '--port', PORT],
        ),
        Contender(
            'uws',
            UwsRelay('raw uWebSockets'),
            ['node', str(HERE / 'servers' / 'uws_relay.cjs'), PORT, TOKEN],
        ),
        ours('ours-asyncio', Ours('rtc_signaling, asyncio'), '--loop', 'asyncio'),
        Contender('y-webrtc', YWebrtc('y-webrtc'), ['node', str(y_webrtc)], (('PORT', PORT),)),
        Contender(
            'ws',
            WsRelay('Node ws relay'),
            ['node', str(HERE / 'servers' / 'ws_relay.mjs'), PORT, TOKEN],
        ),
    ]
    return {contender.key: contender for contender in found}


def in_band() -> Contender:
    """Return this project's server with the token in the first message, as from a browser."""
    return ours('ours-in-band', OursInBand('rtc_signaling, token in a message'))
