"""What the server counts, and the frozen snapshot that its topics and /metrics are made of."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# The samples that quantiles are taken over: some minutes of set-ups, some rounds of pings.
SAMPLES = 256


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Hold the usual three quantiles of some samples, in their unit; 0 where there are none."""

    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    count: int = 0

    @classmethod
    def of(cls, samples: Iterable[float]) -> Quantiles:
        """Return the quantiles (nearest rank) of `samples`."""
        ordered = sorted(samples)
        if not ordered:
            return cls()
        p50, p95, p99 = (ordered[math.ceil(q * len(ordered)) - 1] for q in (0.5, 0.95, 0.99))
        return cls(p50, p95, p99, len(ordered))


def rate(count: int, period_s: float) -> float:
    """Return `count` for each second of a period, or as a share of a whole; 0 over nothing."""
    return count / period_s if period_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """Hold what went one way: counts since the start, and rates over the last period.

    Attributes:
        messages: Messages by type.
        size_bytes: Their length in all.
        messages_per_s: Messages per second.
        bytes_per_s: Bytes per second.
    """

    messages: Mapping[str, int]
    size_bytes: int
    messages_per_s: float
    bytes_per_s: float


@dataclass(frozen=True, slots=True)
class ServerSnapshot:
    """Hold the signaling server's figures of one moment; counts are since the start.

    Attributes:
        url: Where it listens, without any token.
        senders: Senders that are in.
        receivers: Receivers that are in.
        away: Clients whose connection was lost and that may come back.
        connections: Connections that there were.
        received: What clients sent.
        sent: What went to clients.
        errors: Errors that clients were told, by code.
        error_rate: Errors per second over the last period.
        sessions: Sessions by state.
        ping_s: Round trips of the pings, over all clients.
        setup_s: From an offer to its answer.
        connected_s: From an offer to a connection, as receivers reported it.
        latency_s: Age of pictures when they were presented, as receivers reported it.
        waiting: Messages that wait for clients that are away.
        too_slow: Clients that were cut off because they did not read.
        refused: Connections that were refused before the upgrade, by reason.
        problems: What is not well, in words; empty when all is well.
    """

    url: str
    senders: int
    receivers: int
    away: int
    connections: int
    received: Traffic
    sent: Traffic
    errors: Mapping[str, int]
    error_rate: float
    sessions: Mapping[str, int]
    ping_s: Quantiles
    setup_s: Quantiles
    connected_s: Quantiles
    latency_s: Quantiles
    waiting: int
    too_slow: int
    refused: Mapping[str, int]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Population:
    """Hold what the server counts by looking, not by adding up; see `ServerSnapshot`."""

    senders: int
    receivers: int
    away: int
    sessions: Mapping[str, int]
    waiting: int
    ping_s: tuple[float, ...]


class TrafficCounter:
    """Count messages and bytes one way; one thread."""

    __slots__ = (
        '_bytes_per_s', '_last_bytes', '_last_messages', '_messages', '_messages_per_s',
        '_size_bytes',
    )  # fmt: skip

    def __init__(self) -> None:
        self._messages: Counter[str] = Counter()
        self._size_bytes = 0
        self._last_messages = 0
        self._last_bytes = 0
        self._messages_per_s = 0.0
        self._bytes_per_s = 0.0

    def add(self, kind: str, size_bytes: int) -> None:
        """Count one message."""
        self._messages[kind] += 1
        self._size_bytes += size_bytes

    def look(self, period_s: float) -> None:
        """Take the rates over the `period_s` since the call before."""
        total = self._messages.total()
        self._messages_per_s = rate(total - self._last_messages, period_s)
        self._bytes_per_s = rate(self._size_bytes - self._last_bytes, period_s)
        self._last_messages, self._last_bytes = total, self._size_bytes

    @property
    def traffic(self) -> Traffic:
        """The counts of now, and the rates of the last look."""
        return Traffic(
            messages=dict(self._messages),
            size_bytes=self._size_bytes,
            messages_per_s=self._messages_per_s,
            bytes_per_s=self._bytes_per_s,
        )


class ServerMetrics:
    """Count what the server does; one thread."""

    def __init__(self, now_s: float) -> None:
        self.received = TrafficCounter()
        self.sent = TrafficCounter()
        self.connections = 0
        self.too_slow = 0
        self.errors: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._setup_s: deque[float] = deque(maxlen=SAMPLES)
        self._connected_s: deque[float] = deque(maxlen=SAMPLES)
        self._latency_s: deque[float] = deque(maxlen=SAMPLES)
        self._last_errors = 0
        self._last_time_s = now_s
        self._error_rate = 0.0

    def negotiated(self, duration_s: float) -> None:
        """Count an offer that was answered after `duration_s`."""
        self._setup_s.append(duration_s)

    def connected(self, duration_s: float) -> None:
        """Count a connection that a receiver reported, `duration_s` after its offer."""
        self._connected_s.append(duration_s)

    def presented(self, latency_s: float) -> None:
        """Count a receiver's report that its pictures were `latency_s` old when it showed them."""
        self._latency_s.append(latency_s)

    def look(self, now_s: float) -> None:
        """Take the rates over the time since the call before."""
        period_s = now_s - self._last_time_s
        errors = self.errors.total()
        self.received.look(period_s)
        self.sent.look(period_s)
        self._error_rate = rate(errors - self._last_errors, period_s)
        self._last_errors, self._last_time_s = errors, now_s

    def snapshot(
        self, url: str, population: Population, problems: tuple[str, ...]
    ) -> ServerSnapshot:
        """Return the figures of now; the rates are those of the last look."""
        return ServerSnapshot(
            url=url,
            senders=population.senders,
            receivers=population.receivers,
            away=population.away,
            connections=self.connections,
            received=self.received.traffic,
            sent=self.sent.traffic,
            errors=dict(self.errors),
            error_rate=self._error_rate,
            sessions=population.sessions,
            ping_s=Quantiles.of(population.ping_s),
            setup_s=Quantiles.of(self._setup_s),
            connected_s=Quantiles.of(self._connected_s),
            latency_s=Quantiles.of(self._latency_s),
            waiting=population.waiting,
            too_slow=self.too_slow,
            refused=dict(self.refused),
            problems=problems,
        )
