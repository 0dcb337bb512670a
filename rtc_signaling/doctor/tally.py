"""Counts the errors that happen at the server while the doctor looks, but for its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from http import HTTPStatus

from rtc_signaling.doctor import wire, wire_verdicts
from rtc_signaling.doctor.findings import Finding
from rtc_signaling.doctor.readings import Readings, read
from rtc_signaling.doctor.target import Target
from rtc_signaling.doctor.wire_verdicts import Reach, Trouble

# The server counts anew each second: what is read is up to that old.
SETTLING_S = 1.5


class ErrorTally:
    """Count from `begin` to `end`; use it once, in a loop.

    Args:
        target: The server.
        token: The token to show, '' for none.
        least_s: For how long to count, at least.
    """

    def __init__(self, target: Target, token: str, least_s: float) -> None:
        self._target = target
        self._token = token
        self._least_s = least_s
        self._started_s = 0.0
        self._earlier: tuple[Readings | None, Reach] = None, Reach()
        self._own: Counter[str] = Counter()

    async def begin(self) -> None:
        """Take what was counted until now."""
        self._started_s = asyncio.get_running_loop().time()
        self._earlier = await self._read()

    def own(self, code: str) -> None:
        """Leave out one error of this code: the doctor has provoked it."""
        self._own[code] += 1

    async def end(self) -> Finding:
        """Return what was added, when it has been counted for long enough."""
        earlier, reach = self._earlier
        if earlier is None:
            return wire_verdicts.judge_no_errors_page(reach)
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(self._least_s - (loop.time() - self._started_s), SETTLING_S))
        later, reach = await self._read()
        if later is None:
            return wire_verdicts.judge_no_errors_page(reach)
        added = later.since(earlier).without(self._own)
        return wire_verdicts.judge_errors(added, later, loop.time() - self._started_s)

    async def _read(self) -> tuple[Readings | None, Reach]:
        """Return the counts of /metrics, or None, and how the page was reached."""
        reach = await wire.get(self._target, 'metrics', self._token)
        if reach.status != HTTPStatus.OK:
            return None, reach
        try:
            return read(reach.detail), reach
        except ValueError as error:
            return None, Reach(Trouble.STATUS, str(error), status=reach.status)
