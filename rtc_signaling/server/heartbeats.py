"""WebSocket pings: one timer for all connections."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from rtc_signaling.connection import ClientConnection

# Pings that fall due within this time go out together: waking up costs more than a ping.
RESOLUTION_S = 0.1


class Heartbeats:
    """Give each connection its turn once an interval: to be pinged, or to be given up.

    websockets would run a task with two timers for each connection. Belongs to the event loop's
    thread.

    Args:
        interval_s: Time between two turns of a connection.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        # The interval is the same for all, so whoever had its turn last is the last again.
        self._turn_at_s: OrderedDict[ClientConnection, float] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: ClientConnection) -> None:
        """Ping `connection` from now on."""
        now_s = asyncio.get_running_loop().time()
        self._turn_at_s[connection] = now_s + self._interval_s
        if self._timer is None:
            self._wait(now_s)

    def discard(self, connection: ClientConnection) -> None:
        """Ping `connection` no more, if it was."""
        self._turn_at_s.pop(connection, None)

    def stop(self) -> None:
        """Ping nobody any more."""
        self._turn_at_s.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, now_s: float) -> None:
        first_s = next(iter(self._turn_at_s.values()))
        wake_at_s = max(first_s, now_s + RESOLUTION_S)
        self._timer = asyncio.get_running_loop().call_at(wake_at_s, self._beat)

    def _beat(self) -> None:
        now_s = asyncio.get_running_loop().time()
        due = []
        for connection, turn_at_s in self._turn_at_s.items():
            if turn_at_s > now_s:
                break
            due.append(connection)
        for connection in due:
            self._turn_at_s[connection] = now_s + self._interval_s
            self._turn_at_s.move_to_end(connection)
            connection.take_turn()
        self._timer = None
        if self._turn_at_s:
            self._wait(now_s)
