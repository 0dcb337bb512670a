"""How long viewers wait for the key frames of a camera that nobody can ask for one."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable

# Longer is worth telling: people begin to think that it does not work.
LONG_S = 2.0
# One line in so long, however many viewers come.
REPEAT_S = 10.0


class KeyFrameWaits:
    """Note who waits, and since when; one thread."""

    def __init__(self) -> None:
        self._since_s: dict[Hashable, float] = {}
        self._told_s = -math.inf

    def begin(self, viewer: Hashable, now_s: float) -> None:
        """Note that a viewer can show nothing from now on."""
        self._since_s.setdefault(viewer, now_s)

    def forget(self, viewer: Hashable) -> None:
        """Note that a viewer is gone."""
        self._since_s.pop(viewer, None)

    def end(self, viewers: Iterable[Hashable], now_s: float) -> float:
        """Note that these get a key frame.

        Returns:
            How long the one that waited the longest did, in s, if that is worth telling and was
            not told a moment ago; else 0.
        """
        begun_s = [self._since_s.pop(viewer) for viewer in viewers if viewer in self._since_s]
        waited_s = now_s - min(begun_s, default=now_s)
        if waited_s <= LONG_S or now_s - self._told_s < REPEAT_S:
            return 0.0
        self._told_s = now_s
        return waited_s

    def longest_s(self, now_s: float) -> float:
        """Return how long the one that waits the longest has waited by now, in s."""
        return now_s - min(self._since_s.values(), default=now_s)
