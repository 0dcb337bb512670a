"""What is counted, and the frozen snapshots that status topics are made of."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerSnapshot:
    """Hold the signaling server's figures of one moment.

    Attributes:
        url: Where it listens, without any token.
        senders: How many senders are in.
        receivers: How many receivers are in.
        messages_received: How many messages came, since the start.
        messages_sent: How many messages went out, since the start.
        connections: How many connections there were, since the start.
        errors: How many errors were answered, by code, since the start.
    """

    url: str
    senders: int
    receivers: int
    messages_received: int
    messages_sent: int
    connections: int
    errors: dict[str, int]


class ServerMetrics:
    """Count what the server does; one thread writes."""

    def __init__(self) -> None:
        self.messages_received = 0
        self.messages_sent = 0
        self.connections = 0
        self.errors: Counter[str] = Counter()

    def snapshot(self, url: str, senders: int, receivers: int) -> ServerSnapshot:
        """Return the figures of now."""
        return ServerSnapshot(
            url=url,
            senders=senders,
            receivers=receivers,
            messages_received=self.messages_received,
            messages_sent=self.messages_sent,
            connections=self.connections,
            errors=dict(self.errors),
        )
