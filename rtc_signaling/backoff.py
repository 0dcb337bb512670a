"""How long to wait before trying again."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """Spread out attempts: exponential, with jitter, so that clients do not come back in step.

    Args:
        min_s: Shortest wait, in s.
        max_s: Longest wait, in s.
        draw: Draws a number evenly between two bounds, as `random.uniform` does.
    """

    def __init__(self, min_s: float, max_s: float, draw: Callable[[float, float], float]) -> None:
        self._min_s = min_s
        self._max_s = max(min_s, max_s)
        self._draw = draw
        self._limit_s = min_s

    def next_s(self) -> float:
        """Return the next wait, in s: at random up to a limit that doubles each time."""
        self._limit_s = min(self._limit_s * 2, self._max_s)
        return self._draw(self._min_s, self._limit_s)

    def reset(self) -> None:
        """Begin from the shortest wait again, after a success."""
        self._limit_s = self._min_s
