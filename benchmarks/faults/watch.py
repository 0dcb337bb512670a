"""What a watcher (`programs/watcher.py`) has told, and what it means: gaps, ages, freezes."""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from processes import Process, wait_until

from faults import REPOSITORY
from faults.programs.watcher import Plan

# What was under way when a process was stopped does not count as video that is back.
FRESH_S = 1.0
PROGRAMS = REPOSITORY / 'benchmarks/faults/programs'


@dataclass(frozen=True)
class Picture:
    """One picture at a watcher: when it came (wall clock, s), how old it was (s), its size."""

    t: float
    age: float | None
    size: str


class Lines(Process):
    """Run a program that prints lines of JSON, and take them as they come."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        self._read_to = 0
        super().__init__(name, command, environment)

    def new_lines(self) -> list[dict[str, Any]]:
        """Return the whole lines since the call before; what is no JSON is left out."""
        with self._changed:
            end = self._written.rfind(b'\n') + 1
            data = bytes(self._written[self._read_to : end])
            self._read_to = max(end, self._read_to)
        return [json.loads(line) for line in data.splitlines() if line.startswith(b'{')]


class Watcher(Lines):
    """Run a viewer, and know what it has seen.

    Args:
        plan: What it does.
        environment: Of its process.
        prefix: Words before the command, such as those that enter a network namespace.
    """

    def __init__(self, plan: Plan, environment: Mapping[str, str], prefix: tuple[str, ...] = ()):
        self.plan = plan
        self.pictures: list[Picture] = []
        self.steps: list[dict[str, Any]] = []
        program = str(PROGRAMS / ('browsing.py' if plan.browser else 'watcher.py'))
        command = [*prefix, sys.executable, program, json.dumps(asdict(plan))]
        super().__init__(plan.name, command, environment)

    def update(self) -> None:
        for line in self.new_lines():
            if 'size' in line:
                self.pictures.append(Picture(line['t'], line['age'], line['size']))
            else:
                self.steps.append(line)

    def has_step(self, step: str, since_s: float = 0.0) -> bool:
        self.update()
        return any(told.get('step') == step and told['t'] >= since_s for told in self.steps)

    def wait_for_step(self, step: str, timeout_s: float = 30.0, since_s: float = 0.0) -> None:
        wait_until(lambda: self.has_step(step, since_s), timeout_s, f'{self.name}: {step}')

    def wait_for_pictures(self, count: int, timeout_s: float, since_s: float = 0.0) -> float:
        """Wait for so many fresh pictures since a time; return how long the first took, in s."""

        def fresh() -> list[Picture]:
            return [p for p in self.since(since_s) if p.age is None or p.age < FRESH_S]

        wait_until(lambda: len(fresh()) >= count, timeout_s, f'{self.name}: {count} pictures')
        return fresh()[0].t - since_s

    def since(self, start_s: float, end_s: float = float('inf')) -> list[Picture]:
        """Return the pictures of a stretch of time."""
        self.update()
        first = len(self.pictures)
        while first and self.pictures[first - 1].t >= start_s:
            first -= 1
        return [picture for picture in self.pictures[first:] if picture.t <= end_s]

    def longest_gap_s(self, start_s: float, end_s: float | None = None) -> float:
        """Return the longest time without a new picture in a stretch, its edges included."""
        end_s = time.time() if end_s is None else end_s
        times = [start_s, *(picture.t for picture in self.since(start_s, end_s)), end_s]
        return max(later - earlier for earlier, later in itertools.pairwise(times))

    def freezes(self, start_s: float, end_s: float | None = None) -> list[float]:
        """Return the freezes of a stretch, in s, as WebRTC's statistics define them.

        A gap is a freeze if it is longer than three average gaps, and than one and 150 ms.
        """
        end_s = time.time() if end_s is None else end_s
        times = [picture.t for picture in self.since(start_s, end_s)]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        if not gaps:
            return [end_s - start_s]
        usual_s = statistics.median(gaps)
        gaps += [times[0] - start_s, end_s - times[-1]]
        return [gap for gap in gaps if gap > max(3 * usual_s, usual_s + 0.15)]

    def ages_ms(self, start_s: float, end_s: float = float('inf')) -> tuple[float, float]:
        """Return the median and the 95th percentile of the age, in ms; nan without any."""
        ages = [p.age * 1000 for p in self.since(start_s, end_s) if p.age is not None]
        if len(ages) < 2:
            return float('nan'), float('nan')
        cuts = statistics.quantiles(ages, n=20, method='inclusive')
        return cuts[9], cuts[18]

    def fps(self, start_s: float, end_s: float) -> float:
        return len(self.since(start_s, end_s)) / (end_s - start_s)


def wait_for_all(conditions: list[Callable[[], Any]], timeout_s: float, what: str) -> None:
    """Wait until all are true at the same time."""
    wait_until(lambda: all(condition() for condition in conditions), timeout_s, what)
