"""The load: the same work for every server, and what it cost the server.

The generator runs in this process, pinned to another core than the server. It says what share of
its own core it used: under 100 % while the server's core is full means that the server was the
bottleneck.
"""

from __future__ import annotations

import dataclasses
import select
import socket
import statistics
import time
from collections import deque
from dataclasses import dataclass

from relays.dialects import RECEIVER, SENDER, Dialect, sdp
from relays.process import ServerProcess
from relays.wire import Connection, frame

WARM_UP_S = 0.5
LOST_AFTER_S = 3.0


@dataclass
class Pair:
    """A receiver and the sender that its offers go to."""

    receiver: Connection
    sender: Connection
    offer: bytes
    sent_at: deque[float] = dataclasses.field(default_factory=deque)


@dataclass(frozen=True)
class Cost:
    """What a stretch of relaying cost.

    Attributes:
        messages: How many offers came out at the senders.
        server_us: CPU time of the server for each of them.
        generator_us: CPU time of the load generator for each of them.
        server_share: Part of its core that the server used, 0 to 1.
        generator_share: Part of its core that the load generator used, 0 to 1.
        latencies_us: From the offer's write to its arrival; empty at saturation.
    """

    messages: int
    server_us: float
    generator_us: float
    server_share: float
    generator_share: float
    latencies_us: tuple[float, ...] = ()

    @property
    def p50_us(self) -> float:
        """The median latency."""
        return statistics.median(self.latencies_us)

    @property
    def p99_us(self) -> float:
        """The 99th percentile of the latency."""
        return statistics.quantiles(self.latencies_us, n=100)[98]


class Clock:
    """Measure CPU and time of both sides from now on."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._start = self._now()

    def _now(self) -> tuple[float, float, float]:
        return time.perf_counter(), self._server.cpu_s(), time.process_time()

    def cost(self, messages: int, latencies_us: tuple[float, ...] = ()) -> Cost:
        """Return what `messages` cost since the clock was made."""
        end = self._now()
        wall, server, generator = (b - a for a, b in zip(self._start, end, strict=True))
        return Cost(
            messages,
            server_us=server / messages * 1e6,
            generator_us=generator / messages * 1e6,
            server_share=server / wall,
            generator_share=generator / wall,
            latencies_us=latencies_us,
        )


def connect_pairs(
    dialect: Dialect, server: ServerProcess, count: int, size_bytes: int
) -> list[Pair]:
    """Return `count` pairs; one offer of each was seen to arrive whole."""
    port = server.port
    senders = [dialect.connect(port, f'sender-{n}', SENDER) for n in range(count)]
    pairs = []
    for n, sender in enumerate(senders):
        receiver = dialect.connect(port, f'receiver-{n}', RECEIVER)
        text = dialect.offer(f'receiver-{n}', f'sender-{n}', sdp(size_bytes, n))
        pairs.append(Pair(receiver, sender, frame(text.encode())))
        receiver.socket.sendall(pairs[-1].offer)
        marker = f'o=- {n:08d} '.encode()
        arrived = sender.wait_for(lambda message, marker=marker: marker in message)  # type: ignore[misc]
        if not size_bytes <= len(arrived) < size_bytes + 500:
            raise AssertionError(f'{dialect.name}: {len(arrived)} bytes arrived')
    return pairs


def close_pairs(pairs: list[Pair]) -> None:
    """Close all connections in order."""
    for pair in pairs:
        pair.receiver.close()
        pair.sender.close()


class Relay:
    """Drive pairs, with idle clients beside them whose pings are answered."""

    def __init__(self, server: ServerProcess, pairs: list[Pair], idle: list[Connection]) -> None:
        self._server = server
        self._poll = select.epoll()
        self._by_fd = {pair.sender.fileno(): pair for pair in pairs}
        self._others = {c.fileno(): c for c in [*idle, *(pair.receiver for pair in pairs)]}
        self._pairs = pairs
        for pair in pairs:
            # A socket with a time-out would ask the kernel twice for each read and write.
            pair.sender.socket.settimeout(None)
            pair.receiver.socket.settimeout(None)
        for fd in [*self._by_fd, *self._others]:
            self._poll.register(fd, select.EPOLLIN)

    def close(self) -> None:
        """Let go of the descriptors; the connections stay open."""
        self._poll.close()

    def keep_alive(self, heartbeat: str) -> None:
        """Answer the server's pings, and say `heartbeat`, while other servers have their turn."""
        self._arrivals(0)
        if heartbeat:
            for pair in self._pairs:
                pair.receiver.send(heartbeat)
                pair.sender.send(heartbeat)

    def _arrivals(self, timeout_s: float) -> list[tuple[Pair, int]]:
        """Wait for bytes; return the pairs whose offers arrived, and how many."""
        arrived = []
        for fd, _ in self._poll.poll(timeout_s):
            pair = self._by_fd.get(fd)
            connection = self._others[fd] if pair is None else pair.sender
            messages = connection.read()
            if connection.closed or connection.close_code:
                raise AssertionError(f'the server closed a client: {connection.close_code}')
            offers = sum(len(message) > 1000 for message in messages)
            if pair is not None and offers:
                arrived.append((pair, offers))
            if pair is None and any(b'"error"' in message for message in messages):
                raise AssertionError(f'the server refused an offer: {messages[0]!r}')
        return arrived

    def saturate(self, seconds: float, window: int) -> Cost:
        """Keep `window` offers of each pair in flight: each arrival is followed by an offer.

        The generator is woken for half a window at a time, which is what makes it cheaper than
        any server: it reads and writes several offers at once.
        """
        for pair in self._pairs:
            _wake_at(pair.sender, len(pair.offer) * window // 2)
            pair.receiver.socket.sendall(pair.offer * window)
        self._closed_loop(WARM_UP_S)
        clock = Clock(self._server)
        relayed = self._closed_loop(seconds)
        cost = clock.cost(relayed)
        for pair in self._pairs:
            _wake_at(pair.sender, 1)
        self._drain(window * len(self._pairs))
        return cost

    def _closed_loop(self, seconds: float) -> int:
        relayed = 0
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            for pair, count in self._arrivals(1.0):
                relayed += count
                pair.receiver.socket.sendall(pair.offer * count)
        return relayed

    def _drain(self, in_flight: int) -> None:
        deadline = time.perf_counter() + LOST_AFTER_S
        while in_flight > 0:
            in_flight -= sum(count for _, count in self._arrivals(0.1))
            if time.perf_counter() > deadline:
                raise AssertionError(f'{in_flight} offers were lost')

    def pace(self, seconds: float, rate_hz: float) -> Cost:
        """Send `rate_hz` offers a second, evenly and over the pairs in turn, and time each.

        The generator sleeps between offers and polls without sleep while one is under way, so
        that its own waking up is no part of the latency.
        """
        self._paced_loop(WARM_UP_S, rate_hz)
        clock = Clock(self._server)
        latencies_us = self._paced_loop(seconds, rate_hz)
        return clock.cost(len(latencies_us), tuple(latencies_us))

    def _paced_loop(self, seconds: float, rate_hz: float) -> list[float]:
        latencies_us: list[float] = []
        count, sent = round(seconds * rate_hz), 0
        start = time.perf_counter()
        while len(latencies_us) < count:
            now = time.perf_counter()
            due = start + sent / rate_hz
            if sent < count and now >= due:
                pair = self._pairs[sent % len(self._pairs)]
                pair.sent_at.append(now)
                pair.receiver.socket.sendall(pair.offer)
                sent += 1
                continue
            under_way = sent > len(latencies_us)
            timeout_s = 0.0 if under_way or sent == count else max(0.0, due - now - 0.0002)
            arrivals = self._arrivals(timeout_s)
            now = time.perf_counter()
            for pair, offers in arrivals:
                latencies_us += [(now - pair.sent_at.popleft()) * 1e6 for _ in range(offers)]
            if now > start + seconds + LOST_AFTER_S:
                raise AssertionError(f'{count - len(latencies_us)} offers were lost')
        time.sleep(max(0.0, start + seconds - time.perf_counter()))
        return latencies_us

    def rest(self, seconds: float) -> float:
        """Send nothing; return what the server uses all the same, in CPU s for each s."""
        clock = Clock(self._server)
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            self._arrivals(0.1)
        return clock.cost(1).server_share


def _wake_at(connection: Connection, size_bytes: int) -> None:
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size_bytes)


def set_up(dialect: Dialect, server: ServerProcess, count: int) -> Cost:
    """Connect, authenticate, be welcomed and close, `count` times one after the other."""
    for n in range(20):
        dialect.connect(server.port, f'warm-{n}', RECEIVER).close()
    clock = Clock(server)
    for n in range(count):
        dialect.connect(server.port, f'visitor-{n}', RECEIVER).close()
    return clock.cost(count)
