"""How late pictures are: from their publication to a page in Chromium, and what disturbs that."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

from streams.browser import Window, chromium, watching
from streams.child import Child, program
from streams.contenders import CONTENDERS, NODE, Sender
from streams.plan import VGA, Plan

CLEAN, LOSSY, SLOW = 'clean', '5 % loss', '0.5 Mbit/s'
WEAKNESSES: dict[str, dict[str, float] | None] = {
    CLEAN: None,
    LOSSY: {'loss': 0.05},
    SLOW: {'rate_bps': 500_000},
}
STEPS = ('received', 'presented', 'displayed')
# Delays[case][step] holds a delay in ms for each picture, of all rounds; Delays[case]['fps'] the
# pictures a second that were presented, one figure a round.
Delays = dict[str, dict[str, list[float]]]


def _settle(window: Window, plan: Plan) -> None:
    window.watch(plan.settle_s * 2)


def _look(window: Window, sender: Sender, duration_s: float) -> dict[str, list[float]]:
    """Return the delays of the pictures that are presented in this time."""
    assert sender.publisher is not None
    offset_ms = window.clock_offset_ms()
    frames = window.watch(duration_s)
    published = sender.publisher.ask('published')['times_ns']
    delays: dict[str, list[float]] = {step: [] for step in STEPS}
    unread = 0
    for frame in frames:
        time_ns = published.get(str(frame['index']))
        if time_ns is None:
            unread += 1
            continue
        for step in STEPS:
            delays[step].append(frame[f'{step}_ms'] - offset_ms - time_ns / 1e6)
    if len(frames) < 10 or unread > len(frames) / 10:
        raise RuntimeError(f'{len(frames)} pictures in {duration_s:g} s, {unread} unreadable')
    delays['fps'] = [len(frames) / duration_s]
    return delays


def _add(delays: Delays, case: str, more: dict[str, list[float]]) -> None:
    for step, values in more.items():
        delays.setdefault(case, {}).setdefault(step, []).extend(values)


def latency(plan: Plan, counts: Sequence[int] = (1, 8)) -> Delays:
    """Watch in Chromium, alone and among others that are cheap, in turn."""
    delays: Delays = {}
    with (
        CONTENDERS[NODE].running(VGA) as sender,
        Child(program('viewers', sender.way, str(sender.port))) as viewers,
        chromium() as browser,
        watching(browser, sender.port) as window,
    ):
        for number in range(plan.rounds):
            for count in counts:
                print(f'round {number + 1}: latency, viewers: {count}', file=sys.stderr)
                if count > 1:
                    viewers.ask('join', count=count - 1)
                _settle(window, plan)
                _add(delays, str(count), _look(window, sender, plan.watch_s))
                if count > 1:
                    viewers.ask('leave', count=count - 1)
    return delays


def disturbance(plan: Plan, count: int = 8) -> dict[str, Any]:
    """Let one of the viewers have a weak link; watch in Chromium what others notice of it."""
    delays: Delays = {}
    weak_fps: dict[str, list[float]] = {}
    with (
        CONTENDERS[NODE].running(VGA) as sender,
        Child(program('viewers', sender.way, str(sender.port))) as viewers,
        Child(program('viewers', sender.way, str(sender.port))) as weak,
        chromium() as browser,
        watching(browser, sender.port) as window,
    ):
        viewers.ask('join', count=count - 2)
        for number in range(plan.rounds):
            for case, weakness in WEAKNESSES.items():
                print(f'round {number + 1}: one viewer with: {case}', file=sys.stderr)
                weak.ask('join', count=1, weakness=weakness)
                _settle(window, plan)
                weak.ask('reset')
                start_s = time.monotonic()
                _add(delays, case, _look(window, sender, plan.watch_s))
                tap = weak.ask('report')['viewers'][0]
                elapsed_s = time.monotonic() - start_s
                weak_fps.setdefault(case, []).append(tap['assembled'] / elapsed_s)
                weak.ask('leave', count=1)
    return {'delays': delays, 'weak_fps': weak_fps}


def percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return p50, p95 and p99."""
    cuts = statistics.quantiles(values, n=100)
    return cuts[49], cuts[94], cuts[98]
