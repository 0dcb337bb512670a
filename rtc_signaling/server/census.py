"""Who is there: the figures that are found by looking at the clients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from rtc_signaling.auth import RECEIVER, SENDER
from rtc_signaling.connection import ClientConnection
from rtc_signaling.metrics import Population
from rtc_signaling.sessions import Client, PeerState


def connection_of(link: object) -> ClientConnection:
    """Return the connection that the core knows as `link`."""
    assert isinstance(link, ClientConnection)  # noqa: S101  # the core hands back what it got
    return link


def population(clients: Collection[Client]) -> Population:
    """Count the clients that are in or away, by what they are and do."""
    ready = [client for client in clients if client.state is PeerState.READY]
    roles = Counter(client.role for client in ready)
    sessions = Counter(
        session.state.value
        for client in clients
        if client.role == RECEIVER
        for session in client.sessions.values()
    )
    latencies = (connection_of(client.link).latency for client in ready)
    return Population(
        senders=roles[SENDER],
        receivers=roles[RECEIVER],
        away=len(clients) - len(ready),
        sessions=sessions,
        waiting=sum(
            len(client.delivery.waiting) for client in clients if client.delivery is not None
        ),
        ping_s=tuple(latency for latency in latencies if latency > 0),
    )
