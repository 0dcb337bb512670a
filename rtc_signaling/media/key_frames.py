"""When the shared encoder makes a key frame: soon for who needs one, but never many.

A key frame is ten times as large as another picture, and all viewers of the encoder get it. So
those that are asked for within a short time are one, and a viewer that asks over and over, because
its link is bad or because it is hostile, is answered less and less often.
"""

from __future__ import annotations

import math

# However many viewers join or ask, there is one key frame in this time.
SHARED_PERIOD_S = 0.3
# One viewer's requests: the first pause between two that are answered, and the longest.
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 8.0


class KeyFrames:
    """Tell when the next key frame of an encoder is due; one thread, or under a lock."""

    def __init__(self) -> None:
        self._last_s = -math.inf
        self._due_s = math.inf

    def ask(self, at_s: float) -> None:
        """Ask for one at the time `at_s` of a monotonic clock, or as soon as allowed after it."""
        self._due_s = min(self._due_s, at_s)

    def due(self, now_s: float, interval_s: float = 0.0) -> bool:
        """Tell whether the picture of now is to be a key frame.

        Args:
            now_s: The clock.
            interval_s: The longest time without one, in s; 0 for no limit.
        """
        since_s = now_s - self._last_s
        asked = now_s >= self._due_s and since_s >= SHARED_PERIOD_S
        return asked or (interval_s > 0 and since_s >= interval_s)

    def made(self, now_s: float) -> None:
        """Note that a key frame was made, whoever asked: it answers all requests before it."""
        self._last_s = now_s
        self._due_s = math.inf


class Patience:
    """Space one viewer's requests out: each that follows soon waits twice as long.

    No request is lost, for not every viewer asks twice; who keeps quiet until it may ask again
    begins anew.

    Args:
        longest_pause_s: The longest pause, in s.
    """

    def __init__(self, longest_pause_s: float = LONGEST_PAUSE_S) -> None:
        self._longest_pause_s = longest_pause_s
        self._booked_s = -math.inf
        self._free_s = -math.inf
        self._pause_s = FIRST_PAUSE_S

    def next_s(self, now_s: float) -> float:
        """Return when a request of now is answered at the earliest."""
        if now_s < self._booked_s:
            return self._booked_s
        if now_s >= self._free_s:
            self._pause_s = FIRST_PAUSE_S
        self._booked_s = max(now_s, self._free_s)
        self._free_s = self._booked_s + self._pause_s
        self._pause_s = min(2 * self._pause_s, self._longest_pause_s)
        return self._booked_s
