"""The sockets that are open: how many there may be, and how many of one address."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rtc_signaling.connection import ClientConnection
from rtc_signaling.server_config import ServerConfig

# Beyond the WebSockets: the page and its files, /healthz, and handshakes that are under way.
OTHER_SOCKETS = 64
# Of those one address may have so many, or as many as its connections may come at once.
OPENING_SOCKETS = 32


class Sockets:
    """Count sockets in and out, with or without a client behind them; in the loop.

    Args:
        config: `max_connections` and `limits.connection_burst` count.
    """

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._open: set[ClientConnection] = set()
        self._opening: Counter[str] = Counter()

    def __iter__(self) -> Iterator[ClientConnection]:
        return iter([*self._open])

    def reconfigure(self, config: ServerConfig) -> None:
        """Take up other limits; those that are open stay."""
        self._config = config

    def opened(self, connection: ClientConnection) -> bool:
        """Count a socket in; return whether there is room for it."""
        self._open.add(connection)
        self._opening[connection.address] += 1
        most = self._config.max_connections + OTHER_SOCKETS
        most_opening = max(OPENING_SOCKETS, self._config.connection_burst)
        return len(self._open) <= most and self._opening[connection.address] <= most_opening

    def closed(self, connection: ClientConnection) -> None:
        """Count a socket out."""
        self._open.discard(connection)
        self.shook_hands(connection)

    def shook_hands(self, connection: ClientConnection) -> None:
        """Count a handshake as over, well or ill; once."""
        if not connection.opening:
            return
        connection.opening = False
        self._opening[connection.address] -= 1
        if not self._opening[connection.address]:
            del self._opening[connection.address]
