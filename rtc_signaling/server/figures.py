"""The server's figures: taken each second and when somebody comes or goes, and handed out."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from rtc_signaling.metrics import ServerMetrics, ServerSnapshot

PERIOD_S = 1.0
# Clients that come or go together are one change: looking at all of them takes its time.
CHANGE_DELAY_S = 0.05
# The loop looked at its own clock so much later than it wanted to: it is overloaded.
MAX_LAG_S = 1.0
# In so many seconds: who looks once a second as well would now and then miss a single one.
LAGS = 5


class Figures:
    """Hand out snapshots; in the loop.

    Args:
        metrics: The counts.
        take: Makes a snapshot of now.
        hand_out: Called with each snapshot.
    """

    def __init__(
        self,
        metrics: ServerMetrics,
        take: Callable[[], ServerSnapshot],
        hand_out: Callable[[ServerSnapshot], None],
    ) -> None:
        self._metrics = metrics
        self._take = take
        self._hand_out = hand_out
        self._change: asyncio.TimerHandle | None = None
        self._lags_s: deque[float] = deque(maxlen=LAGS)

    @property
    def problem(self) -> str:
        """That the loop does not keep up, in words; '' if it does."""
        lag_s = max(self._lags_s, default=0.0)
        return f'overloaded: the event loop was {lag_s:.1f} s late' if lag_s > MAX_LAG_S else ''

    async def run(self, each_second: Callable[[], None]) -> None:
        """Hand out a snapshot each second, until cancelled.

        Args:
            each_second: Called before each: what else has its time then.
        """
        loop = asyncio.get_running_loop()
        try:
            while True:
                wanted_s = loop.time() + PERIOD_S
                await asyncio.sleep(PERIOD_S)
                self._lags_s.append(loop.time() - wanted_s)
                each_second()
                self._metrics.look(time.monotonic())
                self._hand_out(self._take())
        finally:
            if self._change is not None:
                self._change.cancel()

    def changed(self) -> None:
        """Hand out a snapshot soon: somebody came or went."""
        if self._change is None:
            loop = asyncio.get_running_loop()
            self._change = loop.call_later(CHANGE_DELAY_S, self._hand_out_change)

    def _hand_out_change(self) -> None:
        self._change = None
        self._hand_out(self._take())
