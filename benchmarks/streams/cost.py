"""What a streamed second costs the sender's process, for each contender and number of viewers."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

from streams.child import Child, program
from streams.contenders import Contender, Sender
from streams.plan import RATE_HZ, Plan, Stream

# costs[stream's name][contender's key][viewers] holds one measurement a round.
Costs = dict[str, dict[str, dict[str, list[dict[str, float]]]]]


def measure(
    plan: Plan, streams: Sequence[Stream], contenders: Sequence[Contender]
) -> tuple[Costs, dict[str, str]]:
    """Give each contender its turn for each size, and that `plan.rounds` times.

    Returns:
        The costs, and what could not be measured, with the reason: of a contender that has failed
        twice with so many viewers, no more are tried.
    """
    costs: Costs = {
        stream.name: {contender.key: {} for contender in contenders} for stream in streams
    }
    most = {(s.name, c.key): max(plan.viewers) for s in streams for c in contenders}
    failures: dict[str, str] = {}
    for number in range(plan.rounds):
        for stream in streams:
            for contender in contenders:
                place = stream.name, contender.key
                counts = [count for count in plan.viewers if count <= most[place]]
                if contender.only:
                    counts = [count for count in counts if count in contender.only]
                if not counts:
                    continue
                print(f'round {number + 1}: {stream.name} {contender.key}', file=sys.stderr)
                try:
                    _turn(plan, stream, contender, counts, costs[stream.name][contender.key])
                except TurnError as error:
                    print(error, file=sys.stderr)
                    what = f'{stream.name} {contender.key}, viewers: {error.count}'
                    if what in failures:
                        most[place] = error.count - 1
                    failures[what] = str(error).splitlines()[0]
    return costs, failures


class TurnError(Exception):
    """Say that a contender could not serve `count` viewers."""

    def __init__(self, count: int, reason: str) -> None:
        super().__init__(reason)
        self.count = count


def _turn(
    plan: Plan,
    stream: Stream,
    contender: Contender,
    counts: Sequence[int],
    into: dict[str, list[dict[str, float]]],
) -> None:
    count, wanted = 0, counts[0]
    try:
        with contender.running(stream) as sender, sender.child.explained():
            if not contender.viewers:
                time.sleep(plan.settle_s)
                into.setdefault('0', []).append(_alone(plan, sender))
                return
            with Child(program('viewers', sender.way, str(sender.port))) as viewers:
                for wanted in counts:
                    viewers.ask('join', count=wanted - count)
                    count = wanted
                    time.sleep(plan.settle_s)
                    cost = _watched(plan, sender, viewers)
                    into.setdefault(str(count), []).append(cost)
    except RuntimeError as error:
        raise TurnError(wanted, str(error)) from error


def _watched(plan: Plan, sender: Sender, viewers: Child) -> dict[str, float]:
    """Measure while viewers watch.

    A streamed second is 30 frames at each viewer, however long that took: a sender that does not
    keep up does not look cheap.
    """
    before_s, viewers_before_s = sender.child.cpu_s(), viewers.cpu_s()
    report = viewers.ask('watch', duration_s=plan.measure_s)
    cpu_s, viewers_s = sender.child.cpu_s() - before_s, viewers.cpu_s() - viewers_before_s
    taps = report['viewers']
    frames = [tap['frames'] for tap in taps]
    if not min(frames):
        raise RuntimeError(f'viewers without a frame in {plan.measure_s:g} s: {frames}')
    elapsed_s = report['elapsed_s']
    return {
        'cpu_s': cpu_s / (statistics.mean(frames) / RATE_HZ),
        'fps': statistics.mean(frames) / elapsed_s,
        'least_fps': min(frames) / elapsed_s,
        'incomplete': sum(tap['incomplete'] for tap in taps),
        'mbps': statistics.mean(tap['size_bytes'] for tap in taps) * 8 / elapsed_s / 1e6,
        'key_frames': statistics.mean(len(tap['key_times_s']) for tap in taps),
        'viewers_cpu_s': viewers_s / elapsed_s,
    }


def _alone(plan: Plan, sender: Sender) -> dict[str, float]:
    before, before_s, start_s = sender.child.ask('report'), sender.child.cpu_s(), time.monotonic()
    time.sleep(plan.measure_s)
    after, cpu_s = sender.child.ask('report'), sender.child.cpu_s() - before_s
    elapsed_s = time.monotonic() - start_s
    frames = after['frames'] - before['frames']
    return {
        'cpu_s': cpu_s / (frames / RATE_HZ),
        'fps': frames / elapsed_s,
        'mbps': (after['size_bytes'] - before['size_bytes']) * 8 / elapsed_s / 1e6,
    }


def figures(costs: dict[str, Any], stream: str, contender: str, viewers: int, name: str) -> Any:
    """Return one figure of all rounds; empty if it was not measured."""
    measured = costs.get(stream, {}).get(contender, {}).get(str(viewers), [])
    return [cost[name] for cost in measured if name in cost]
