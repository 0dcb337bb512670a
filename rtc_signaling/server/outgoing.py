"""What goes out: gathered over a turn, and written once to each connection."""

from __future__ import annotations

from collections import defaultdict

from rtc_signaling.connection import ClientConnection


class Outgoing:
    """Gather messages, so that all that one read leads to costs one write a connection.

    A write to a socket costs about a quarter of everything else that is done for a message, and
    candidates and a busy client's messages come several in a read. Nothing stays here beyond the
    call of the event loop in which it came: whoever adds has to see to it that `flush` follows.
    """

    def __init__(self) -> None:
        self._by_connection: defaultdict[ClientConnection, list[bytes]] = defaultdict(list)

    def add(self, connection: ClientConnection, data: bytes) -> bool:
        """Take the text message `data`; return whether the connection still takes any."""
        if not connection.is_open:
            return False
        self._by_connection[connection].append(data)
        return True

    def flush(self) -> None:
        """Write everything."""
        while self._by_connection:
            connection, messages = self._by_connection.popitem()
            connection.write_texts(messages)
