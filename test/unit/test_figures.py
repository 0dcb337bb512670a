"""The figures that are handed out each second, and that the loop was late."""

from __future__ import annotations

import asyncio
import time

from fakes import until

from rtc_signaling.metrics import ServerMetrics
from rtc_signaling.server import figures
from rtc_signaling.server.figures import LAGS, Figures


async def test_a_late_loop_is_told_several_times_and_then_forgotten(monkeypatch):
    monkeypatch.setattr(figures, 'PERIOD_S', 0.01)
    monkeypatch.setattr(figures, 'MAX_LAG_S', 0.5)
    problems = []
    late = Figures(ServerMetrics(0.0), lambda: problems.append(late.problem), lambda _: None)
    running = asyncio.create_task(late.run(lambda: None))
    try:
        await until(lambda: problems, 'a first look')
        asyncio.get_running_loop().call_soon(time.sleep, 0.7)  # which the loop waits for
        await until(lambda: any(problems), 'late')
        await until(lambda: not problems[-1], 'in time again')
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    told = [problem for problem in problems if problem]
    assert len(told) >= LAGS
    assert told[0].startswith('overloaded: the event loop was 0.')
