"""Viewers that come and go: how soon they see something, what others notice, what is left."""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import Any

from streams.child import Child, program
from streams.contenders import CONTENDERS, OURS
from streams.plan import RATE_HZ, VGA, Plan

BURST = 8
BURST_WITHIN_S = 0.3
# The camera's times are not the sender's: half a frame period less.
APART_S = BURST_WITHIN_S - 0.5 / RATE_HZ
# A receiver report, the end of a connection and of its threads take a second or two.
REST_S = 3.0
WARM_UP = 10


def joining(plan: Plan) -> dict[str, Any]:
    """Time the first picture of late joiners; count the key frames that a crowd brings about."""
    firsts_s: list[float] = []
    bursts_s: list[float] = []
    key_times_s: list[list[float]] = []
    with (
        CONTENDERS[OURS].running(VGA) as sender,
        Child(program('viewers', sender.way, str(sender.port))) as observer,
        Child(program('viewers', sender.way, str(sender.port))) as others,
    ):
        observer.ask('join', count=1)
        for _ in range(plan.late_joins):
            firsts_s += others.ask('join', count=1)['first_s']
            others.ask('leave', count=1)
        for number in range(plan.bursts):
            print(f'burst {number + 1}', file=sys.stderr)
            time.sleep(REST_S)
            observer.ask('reset')
            bursts_s += others.ask('join', count=BURST, within_s=BURST_WITHIN_S)['first_s']
            time.sleep(plan.settle_s)
            key_times_s.append(observer.ask('report')['viewers'][0]['key_times_s'])
            others.ask('leave', count=BURST)
    return {
        'first_s': firsts_s,
        'burst_first_s': bursts_s,
        'key_frames': [len(times) for times in key_times_s],
        'most_within': max(_most_within(times, APART_S) for times in key_times_s),
    }


def _most_within(times_s: list[float], span_s: float) -> int:
    """Return the most of these times that lie within one such span."""
    return max(
        (sum(start <= other < start + span_s for other in times_s) for start in times_s), default=0
    )


def churn(plan: Plan) -> dict[str, Any]:
    """Let viewers join and leave, one after the other, while another watches on."""
    with (
        CONTENDERS[OURS].running(VGA) as sender,
        Child(program('viewers', sender.way, str(sender.port))) as steady,
        Child(program('viewers', sender.way, str(sender.port))) as others,
    ):
        steady.ask('join', count=1)

        def come_and_go(joins: int) -> dict[str, int]:
            for _ in range(joins):
                others.ask('join', count=1)
                others.ask('leave', count=1)
            time.sleep(REST_S)
            holdings = dataclasses.asdict(sender.child.holdings())
            return {**holdings, **sender.child.ask('census')}

        before = come_and_go(WARM_UP)
        after = come_and_go(plan.joins)
    return {'joins': plan.joins, 'before': before, 'after': after}
