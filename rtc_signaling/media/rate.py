"""How many bits of a stream there were lately."""

from __future__ import annotations

from collections import deque

# Over so long a rate is taken, in ns.
WINDOW_NS = 2_000_000_000


class Rate:
    """Take the rate of a stream over the last seconds."""

    def __init__(self) -> None:
        self._parts: deque[tuple[int, int]] = deque()
        self._bits = 0

    def add(self, now_ns: int, bits: int) -> None:
        """Add a picture."""
        self._parts.append((now_ns, bits))
        self._bits += bits
        self._forget(now_ns)

    def bps(self, now_ns: int) -> float:
        """Return the rate of now, in bit/s."""
        self._forget(now_ns)
        return self._bits * 1e9 / WINDOW_NS

    def _forget(self, now_ns: int) -> None:
        while self._parts and now_ns - self._parts[0][0] > WINDOW_NS:
            self._bits -= self._parts.popleft()[1]
