"""What connections cost that do nothing."""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Iterator

from relays.dialects import RECEIVER, Dialect
from relays.process import ServerProcess
from relays.wire import Connection

SETTLE_S = 1.0
WARM_UP = 100


def connect(
    dialect: Dialect,
    server: ServerProcess,
    count: int,
    tls: ssl.SSLContext | None = None,
    first: int = 0,
) -> list[Connection]:
    """Return `count` receivers that are in."""
    return [
        dialect.connect(server.port, f'idle-{n}', RECEIVER, tls=tls)
        for n in range(first, first + count)
    ]


@contextlib.contextmanager
def connected(dialect: Dialect, server: ServerProcess, count: int) -> Iterator[list[Connection]]:
    """Keep `count` receivers connected while the context lasts."""
    connections = connect(dialect, server, count)
    try:
        yield connections
    finally:
        for connection in connections:
            connection.socket.close()


def memory_kb(
    dialect: Dialect, server: ServerProcess, count: int, tls: ssl.SSLContext | None = None
) -> float:
    """Return the resident memory for each of `count` idle connections, in kB.

    What the first connections load and allocate once is not counted: some come and go before.
    """
    for connection in connect(dialect, server, WARM_UP, tls):
        connection.close()
    kept = connect(dialect, server, 10, tls)
    time.sleep(SETTLE_S)
    before_kb = server.rss_kb()
    kept += connect(dialect, server, count, tls, first=len(kept))
    time.sleep(SETTLE_S)
    grown_kb = server.rss_kb() - before_kb
    for connection in kept:
        connection.socket.close()
    return grown_kb / count
