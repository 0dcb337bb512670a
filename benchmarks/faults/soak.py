"""Case 6: much coming and going for a long time, and whether anything grows."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from faults.census import Holding
from faults.crowd import Crowd
from faults.report import Row, Section
from faults.rig import NODES, running_rig

# Ten times the one join in two seconds of a busy robot.
CHURN_HZ = 5.0
TURN_S = 20.0
WARM_UP = 0.25
LINES_PER_JOIN = 8.0
# With fewer samples the interval says nothing.
LEAST_TURNS = 6


def slope(times_s: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Return the slope of a line through samples, and half of its 95 % interval, both per minute.

    The t quantile is taken as 2.2, that of ten degrees of freedom, or 2 from 60 on.
    """
    count = len(times_s)
    mean_t, mean_v = statistics.fmean(times_s), statistics.fmean(values)
    spread = sum((t - mean_t) ** 2 for t in times_s)
    rise = sum((t - mean_t) * (v - mean_v) for t, v in zip(times_s, values, strict=True)) / spread
    rest = sum(
        (v - mean_v - rise * (t - mean_t)) ** 2 for t, v in zip(times_s, values, strict=True)
    )
    error = math.sqrt(rest / (count - 2) / spread)
    return rise * 60, (2.0 if count > 60 else 2.2) * error * 60


def run(directory: Path, domain: int, duration_s: float) -> Section:
    """Let viewers come and go, and look at what the nodes hold after each turn."""
    server = (
        'max_connections:=40', 'limits.connection_rate:=50.0', 'limits.connection_burst:=100',
        'resume_window:=2.0',
    )  # fmt: skip
    samples: list[tuple[float, dict[str, Holding]]] = []
    joins = failures = 0
    with running_rig(
        directory / 'soak', domain, server=server, sender=('max_viewers:=40',)
    ) as rig:
        with Crowd(rig) as crowd:
            end_s = time.monotonic() + duration_s
            while time.monotonic() < end_s:
                told = crowd.churn(CHURN_HZ, TURN_S)
                joins += told['joins']
                failures += len(told['failures'])
                samples.append((time.monotonic(), rig.holdings()))
        lines = {part: len(rig.processes[part].output.splitlines()) for part in NODES}
    return _section(samples, joins, failures, lines)


def _section(
    samples: list[tuple[float, dict[str, Holding]]],
    joins: int,
    failures: int,
    lines: dict[str, int],
) -> Section:
    section = Section()
    steady = samples[int(len(samples) * WARM_UP) :]
    if len(steady) < LEAST_TURNS:
        raise SystemExit(
            f'a soak takes {LEAST_TURNS / (1 - WARM_UP) * TURN_S * 1.2:.0f} s or more'
        )
    times_s = [at_s for at_s, _ in steady]
    minutes = (times_s[-1] - times_s[0]) / 60
    for part in NODES:
        section.add(_row(part, times_s, [held[part] for _, held in steady], minutes, joins))
    noisy = {part: count / joins for part, count in lines.items()}
    section.add(
        Row(
            f'{joins} joins and leaves, {CHURN_HZ:g} a second',
            f'all get a picture; under {LINES_PER_JOIN:g} lines of log a join of each node',
            f'{failures} without a picture; lines of log a join: '
            + ', '.join(f'{part} {count:.1f}' for part, count in noisy.items()),
            not failures and max(noisy.values()) < LINES_PER_JOIN,
        )
    )
    return section


def _row(part: str, times_s: list[float], held: list[Holding], minutes: float, joins: int) -> Row:
    parts, kept = [], True
    for name, unit in (('memory_kb', 'kB'), ('files', ''), ('threads', '')):
        values = [float(getattr(each, name)) for each in held]
        rise, error = slope(times_s, values)
        parts.append(
            f'{name.removesuffix("_kb")} {values[0]:.0f} to {values[-1]:.0f} {unit}'.strip()
            + f', slope {rise:+.2f} ± {error:.2f} a minute'
        )
        kept = kept and rise - error <= 0
    return Row(
        f'the {part}, {minutes:.0f} minutes after warming up',
        'memory, descriptors and threads do not grow (the 95 % interval of the slope has 0 in it)',
        '; '.join(parts),
        kept,
    )
