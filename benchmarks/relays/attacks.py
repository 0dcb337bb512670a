"""Clients that behave badly, and what that does to the server and to the others."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from dataclasses import dataclass

from relays.dialects import RECEIVER, SENDER, Dialect, sdp
from relays.process import ServerProcess
from relays.wire import CONT, PING, TEXT, Connection, frame

SMALL_BUFFER_BYTES = 4096
SAMPLE_S = 0.1


class Memory:
    """Watch how far the server's memory grows."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._start_kb = self._peak_kb = server.rss_kb()
        self._next = 0.0

    def sample(self) -> None:
        """Look, but not more often than is useful."""
        now = time.monotonic()
        if now >= self._next and self._server.is_alive:
            self._next = now + SAMPLE_S
            self._peak_kb = max(self._peak_kb, self._server.rss_kb())

    @property
    def growth_mb(self) -> float:
        """The most that it was above the start."""
        return (self._peak_kb - self._start_kb) / 1024


@dataclass(frozen=True)
class Stall:
    """What one stalled viewer did.

    Attributes:
        due: Messages that the robot wanted to send in the time.
        accepted: Messages that the server took from it in the time.
        lost: Messages to the other viewers that never came, or in the wrong order.
        growth_mb: Growth of the server's memory.
        cut_off: Whether the server closed the stalled viewer.
    """

    due: int
    accepted: int
    lost: int
    growth_mb: float
    cut_off: bool


class StalledViewer:
    """One robot sends to three viewers in turn; the first of them never reads.

    The robot's socket does not block: it sends when it is due and when the server takes it.
    """

    viewers = 3

    def __init__(self, dialect: Dialect, server: ServerProcess, size_bytes: int) -> None:
        self._server = server
        self._robot = dialect.connect(server.port, f'{SENDER}-0', SENDER)
        self._viewers = [
            dialect.connect(
                server.port,
                f'{RECEIVER}-{n}',
                RECEIVER,
                receive_bytes=SMALL_BUFFER_BYTES if n == 0 else 0,
            )
            for n in range(self.viewers)
        ]
        self._next_expected = [0] * self.viewers
        self._lost = 0
        self._dialect, self._size_bytes = dialect, size_bytes
        self._robot.socket.setblocking(False)
        self._poll = select.epoll()
        for connection in [self._robot, *self._viewers[1:]]:
            self._poll.register(connection.fileno(), select.EPOLLIN)

    def run(self, seconds: float, rate_hz: float) -> Stall:
        """Send for so long, then wait for what is still on its way."""
        # Built beforehand, so that the generator only sends and counts.
        rounds = round(seconds * rate_hz) // self.viewers
        queue = [self._message(n, viewer) for n in range(rounds) for viewer in range(self.viewers)]
        memory = Memory(self._server)
        sent, pending = 0, b''
        start = time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            if not pending and sent < min(len(queue), elapsed * rate_hz):
                pending, sent = queue[sent], sent + 1
            pending = self._write(pending)
            self._take(0 if not pending and sent < elapsed * rate_hz else 0.0005)
            memory.sample()
        accepted = sent - bool(pending)
        self._finish(accepted // self.viewers, memory)
        missing = sum(max(0, accepted // self.viewers - got) for got in self._next_expected[1:])
        return Stall(
            len(queue), accepted, self._lost + missing, memory.growth_mb, self._is_cut_off()
        )

    def _message(self, number: int, viewer: int) -> bytes:
        text = sdp(self._size_bytes, number)
        return frame(self._dialect.offer(f'{SENDER}-0', f'{RECEIVER}-{viewer}', text).encode())

    def _write(self, pending: bytes) -> bytes:
        if pending:
            try:
                return pending[self._robot.socket.send(pending) :]
            except BlockingIOError:
                pass
        return pending

    def _take(self, timeout_s: float) -> None:
        for fd, _ in self._poll.poll(timeout_s):
            if fd == self._robot.fileno():
                self._robot.read()  # errors about the viewer that is gone
                if self._robot.closed:
                    raise AssertionError('the server closed the robot')
                continue
            n = next(i for i, viewer in enumerate(self._viewers) if viewer.fileno() == fd)
            for message in self._viewers[n].read():
                self._check(n, message)

    def _check(self, viewer: int, message: bytes) -> None:
        at = message.find(b'o=- ')
        if at < 0:
            return
        number = int(message[at + 4 : at + 12])
        self._lost += abs(number - self._next_expected[viewer])
        self._next_expected[viewer] = number + 1

    def _finish(self, count: int, memory: Memory) -> None:
        deadline = time.monotonic() + 5
        while min(self._next_expected[1:]) < count and time.monotonic() < deadline:
            self._take(0.1)
            memory.sample()

    def _is_cut_off(self) -> bool:
        stalled = self._viewers[0]
        stalled.socket.settimeout(2)
        try:
            while not stalled.closed:
                stalled.read()
        except OSError:
            return False
        return True


@dataclass(frozen=True)
class Flood:
    """What a flood of frames did.

    Attributes:
        frames: How many the server took.
        growth_mb: Growth of its memory.
        end: The close code, or what happened instead.
    """

    frames: int
    growth_mb: float
    end: str


def fragments(dialect: Dialect, server: ServerProcess, payload: bytes, seconds: float) -> Flood:
    """Send one message in fragments without end."""
    client = dialect.connect(server.port, f'{RECEIVER}-0', RECEIVER)
    client.socket.sendall(frame(payload, TEXT, fin=False))
    return _flood(client, server, frame(payload, CONT, fin=False), seconds, reads=True)


def pings(dialect: Dialect, server: ServerProcess, seconds: float) -> Flood:
    """Send pings without end, and read no pong."""
    client = dialect.connect(
        server.port, f'{RECEIVER}-0', RECEIVER, receive_bytes=SMALL_BUFFER_BYTES
    )
    return _flood(client, server, frame(b'p' * 125, PING), seconds, reads=False)


def _flood(
    client: Connection, server: ServerProcess, one: bytes, seconds: float, *, reads: bool
) -> Flood:
    memory = Memory(server)
    chunk = one * 500
    written = 0
    client.socket.setblocking(False)
    deadline = time.monotonic() + seconds
    ended = _ended(client) if reads else lambda: False
    while time.monotonic() < deadline and server.is_alive:
        memory.sample()
        if ended():
            break
        try:
            offset = written % len(chunk)
            written += client.socket.send(chunk[offset:])
        except BlockingIOError:
            select.select([], [client], [], SAMPLE_S)
        except OSError:
            break
    time.sleep(SAMPLE_S)
    memory.sample()
    return Flood(written // len(one), memory.growth_mb, _end(client, server))


def _ended(client: Connection) -> Callable[[], bool]:
    def is_over() -> bool:
        try:
            client.read()
        except BlockingIOError:
            return False
        except OSError:
            return True
        return client.closed or client.close_code != 0

    return is_over


def _end(client: Connection, server: ServerProcess) -> str:
    if not server.is_alive:
        return 'the server died'
    client.socket.settimeout(1)
    try:
        while not client.closed and not client.close_code:
            client.read()
    except TimeoutError:
        return 'open'
    except OSError:
        return 'reset'
    return str(client.close_code or 'reset')
