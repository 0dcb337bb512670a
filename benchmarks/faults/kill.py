"""Case 1: kill, stop and interrupt each part at each point of a session."""

from __future__ import annotations

import contextlib
import itertools
import random
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from processes import wait_until

from faults.census import Holding
from faults.report import Row, Section, span
from faults.rig import NODES, Rig, running_rig
from faults.watch import Watcher

PARTS = ('camera', 'sender', 'server', 'viewer')
SIGNALS = {'SIGKILL': signal.SIGKILL, 'SIGSTOP': signal.SIGSTOP, 'SIGINT': signal.SIGINT}
# Without them there is no video for anybody.
DISTURBING = ('camera', 'sender')
POINTS = ('connecting', 'offered', 'answered', 'running', 'closing')
BACK_S = 10.0
# How long a session stands at each point, so that the signal meets it there.
STAND_S = 0.3
CONTROLS = 5
PERIOD_S = 1 / 30
# Until nothing is left over: the resume window below, a vanished viewer's 5 s, and ICE's own time.
SETTLE_S = 45.0
RESUME_WINDOW_S = 5.0


@dataclass(frozen=True)
class Combination:
    """One fault: to what, by which signal, at which point of a viewer's session."""

    part: str
    signal: str
    point: str

    def __str__(self) -> str:
        return f'{self.signal} to the {self.part}, session {self.point}'


@dataclass
class Outcome:
    """What one fault led to.

    Attributes:
        combination: The fault; None for a control, in which nothing was struck.
        back_s: From the moment when the part is started again, or goes on, to the first picture,
            of the slower viewer.
        gap_s: The bystander's longest gap.
        again_s: The same when the fault was repeated because it was too long; 0 if it was not.
        left: What was left over, by part, in words.
        wrong: What else went wrong, in words.
    """

    combination: Combination | None
    back_s: float = 0.0
    gap_s: float = 0.0
    again_s: float = 0.0
    left: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Trial:
    """Strike one rig again and again; a bystander watches all the time."""

    def __init__(self, rig: Rig, stop_s: float) -> None:
        self._rig = rig
        self._stop_s = stop_s
        self._count = itertools.count(1)
        self.bystander = rig.watch('bystander')
        self.bystander.wait_for_pictures(30, 30.0)
        self._usual: dict[str, Holding] = {}

    def control(self) -> Outcome:
        """Let a viewer come and go in order, and take what the parts hold for the usual."""
        rig, start_s = self._rig, time.time()
        subject = rig.watch(f'control{next(self._count)}')
        subject.wait_for_pictures(30, 30.0)
        rig.dismiss(subject)
        wait_until(self._is_alone, SETTLE_S, 'the session is over')
        self._usual = rig.holdings()
        return Outcome(None, gap_s=self.bystander.longest_gap_s(start_s))

    def run(self, combination: Combination) -> Outcome:
        """Strike once, see the stack recover, and count what is left over."""
        outcome = Outcome(combination)
        start_s = time.time()
        pause = {combination.point: STAND_S}
        subject = self._rig.watch(f'subject{next(self._count)}', pause=pause)
        try:
            self._reach(subject, combination.point)
            subject, runs_again_s = self._strike(subject, combination)
            self._recover(subject, combination, runs_again_s, outcome)
        except TimeoutError as error:
            outcome.wrong.append(str(error))
        outcome.gap_s = self.bystander.longest_gap_s(start_s)
        self._clear_up(subject, combination, outcome)
        return outcome

    def _reach(self, subject: Watcher, point: str) -> None:
        if point in ('running', 'closing'):
            subject.wait_for_pictures(15, 30.0)
        if point == 'closing':
            subject.signal(signal.SIGINT)
        if point != 'running':
            subject.wait_for_step(point)

    def _strike(self, subject: Watcher, combination: Combination) -> tuple[Watcher, float]:
        number = SIGNALS[combination.signal]
        part = combination.part
        if part == 'viewer':
            return self._strike_viewer(subject, number, combination.point)
        self._rig.strike(part, number)
        if number == signal.SIGSTOP:
            self._pass_time()
            self._rig.processes[part].signal(signal.SIGCONT)
            return subject, time.time()
        again_s = time.time()
        self._rig.start(part)
        return subject, again_s

    def _strike_viewer(self, subject: Watcher, number: int, point: str) -> tuple[Watcher, float]:
        if number == signal.SIGSTOP:
            subject.signal(number)
            self._pass_time()
            subject.signal(signal.SIGCONT)
            return subject, time.time()
        if subject.running:
            subject.signal(number)
        subject.wait(15.0)
        self._rig.watchers.remove(subject)
        self._rig.ended.append(subject)
        # Another of the same name takes its place, as after a reload of a page.
        again_s = time.time()
        successor = subject if point == 'closing' else self._rig.watch(subject.name)
        return successor, again_s

    def _pass_time(self) -> None:
        time.sleep(self._stop_s)  # the fault itself lasts so long; nothing is waited for

    def _recover(
        self, subject: Watcher, combination: Combination, since_s: float, outcome: Outcome
    ) -> None:
        viewers = [self.bystander]
        if combination.point != 'closing':
            viewers.append(subject)
        for viewer in viewers:
            took_s = viewer.wait_for_pictures(1, 3 * BACK_S, since_s)
            outcome.back_s = max(outcome.back_s, took_s)

    def _clear_up(self, subject: Watcher, combination: Combination, outcome: Outcome) -> None:
        if subject in self._rig.watchers and (code := self._rig.dismiss(subject)):
            outcome.wrong.append(f'the viewer ended with {code}')
        with self._noting(outcome):
            self.bystander.wait_for_pictures(30, 3 * BACK_S, time.time())
            self._rig.wait_until_well(30.0)
            wait_until(self._is_alone, SETTLE_S, 'no session but one')
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not self._left(), SETTLE_S, 'nothing left over')
        outcome.left = self._left()
        self._check_ends(outcome)

    def _is_alone(self) -> bool:
        """Tell whether nobody but the bystander has a session or a peer connection.

        A server that was started again knows no session of the video that went on meanwhile.
        """
        return self._rig.sessions() <= 1 and self._rig.peers() == 1

    @contextlib.contextmanager
    def _noting(self, outcome: Outcome) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            outcome.wrong.append(str(error))

    def _left(self) -> list[str]:
        now = self._rig.holdings()
        found = {part: now[part].beyond(self._usual[part]) for part in NODES}
        return [f'{part}: {more}' for part, more in found.items() if more]

    def _check_ends(self, outcome: Outcome) -> None:
        for process in self._rig.ended:
            if 'Traceback' in process.output:
                last = process.output.strip().splitlines()[-1]
                outcome.wrong.append(f'a traceback of the {process.name}: {last}')
        self._rig.ended.clear()


def combinations(seed: int, count: int) -> list[Combination]:
    """Return so many faults: each once in a random order, then random ones."""
    draw = random.Random(seed)
    each = [Combination(*words) for words in itertools.product(PARTS, SIGNALS, POINTS)]
    draw.shuffle(each)
    more = [draw.choice(each) for _ in range(count - len(each))]
    return (each + more)[:count]


def run(
    directory: Path,
    domain: int,
    *,
    faults: list[Combination],
    stop_s: float,
    controls: int = CONTROLS,
) -> tuple[list[Outcome], list[Outcome]]:
    """Return the outcomes of the faults, and of the controls before them."""
    server = (f'resume_window:={RESUME_WINDOW_S}', 'limits.connection_rate:=50.0')
    with running_rig(directory / 'kill', domain, server=server) as rig:
        trial = Trial(rig, stop_s)
        without = [trial.control() for _ in range(controls)]
        outcomes = []
        for number, combination in enumerate(faults, 1):
            outcome = trial.run(combination)
            if combination.part not in DISTURBING and outcome.gap_s > limit_s(without):
                outcome.again_s = trial.run(combination).gap_s
            outcomes.append(outcome)
            print(f'{number}/{len(faults)} {combination}: back {outcome.back_s:.1f} s, gap '
                  f'{outcome.gap_s * 1000:.0f} ms {outcome.left or ""} {outcome.wrong or ""}',
                  flush=True)  # fmt: skip
            if number % 20 == 0:
                without.append(trial.control())
    return outcomes, without


def limit_s(controls: list[Outcome]) -> float:
    """Return the longest gap that a viewer may see whom a fault does not concern."""
    return max(control.gap_s for control in controls) + PERIOD_S


def document(
    outcomes: list[Outcome], controls: list[Outcome], *, seed: int, stop_s: float
) -> Section:
    """Return the rows: one for each part and signal."""
    section = Section()
    allowed_s = limit_s(controls)
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        assert outcome.combination is not None
        groups[outcome.combination.part, outcome.combination.signal].append(outcome)
    for (part, name), group in sorted(groups.items()):
        section.add(_row(part, name, group, allowed_s))
    faults = '; '.join(
        f'{outcome.combination}: {", ".join([*outcome.left, *outcome.wrong])}'
        for outcome in outcomes if outcome.left or outcome.wrong
    )  # fmt: skip
    section.notes.append(
        f'{len(outcomes)} faults, seed {seed}, SIGSTOP for {stop_s:g} s; in {len(controls)} '
        f"controls without a fault the other viewer's longest gap was "
        f'{(allowed_s - PERIOD_S) * 1000:.0f} ms.'
    )
    twice = [
        f'{outcome.gap_s * 1000:.0f} ms, then {outcome.again_s * 1000:.0f} ms '
        f'({outcome.combination})'
        for outcome in outcomes
        if outcome.again_s
    ]
    if twice:
        section.notes.append(
            f'Faults that were repeated because the gap was too long: {"; ".join(twice)}.'
        )
    if faults:
        section.notes.append(f'What was not in order: {faults}.')
    return section


def _row(part: str, name: str, group: list[Outcome], allowed_s: float) -> Row:
    gaps_s = [min(outcome.gap_s, outcome.again_s or outcome.gap_s) for outcome in group]
    measured = f'back after {span([outcome.back_s for outcome in group])}'
    left = sum(bool(outcome.left) for outcome in group)
    wrong = sum(bool(outcome.wrong) for outcome in group)
    measured += f'; left over in {left}, else wrong in {wrong} of {len(group)}'
    kept = not left and not wrong and all(outcome.back_s <= BACK_S for outcome in group)
    promised = f'video back in {BACK_S:.0f} s, all well, nothing left over'
    if part not in DISTURBING:
        gaps_ms = [gap_s * 1000 for gap_s in gaps_s]
        measured += f'; longest gap of the other viewer {span(gaps_ms, "ms", 0)}'
        promised += f'; no gap of the other viewer over {allowed_s * 1000:.0f} ms'
        kept = kept and max(gaps_s) <= allowed_s
    return Row(f'{name} to the {part}, {len(group)} times', promised, measured, kept)
