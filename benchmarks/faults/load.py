"""Case 3: many viewers, many cameras, much coming and going, many signaling clients."""

from __future__ import annotations

import contextlib
import itertools
import statistics
import time
from pathlib import Path
from typing import Any

from processes import wait_until

from faults.census import Holding
from faults.crowd import Crowd
from faults.report import Row, Section, span
from faults.rig import Rig, running_rig
from faults.watch import Watcher

AGE_MS = 200.0
# Pictures at regular intervals: the 95th percentile of the gaps over the median.
EVEN = 3.0
CHURN_HZ = 5.0
CLIENTS = 1000
CAMERAS = 4


def viewers(directory: Path, domain: int, counts: tuple[int, ...], duration_s: float) -> Section:
    """Have more and more viewers of one camera."""
    section = Section()
    server = ('max_connections:=30', 'limits.connection_rate:=50.0')
    with running_rig(
        directory / 'viewers', domain, server=server, sender=('max_viewers:=30',)
    ) as rig:
        watching: list[Watcher] = []
        for count in counts:
            while len(watching) < count:
                watching.append(rig.watch(f'viewer{len(watching)}'))
            for viewer in watching:
                viewer.wait_for_pictures(30, 60.0, time.time())
            section.add(_viewers_row(rig, watching, duration_s))
    section.notes.append(
        'The viewers decode every picture, on the same two cores; they use most of the time there.'
    )
    return section


def _viewers_row(rig: Rig, watching: list[Watcher], duration_s: float) -> Row:
    cpu_s = cpu_of(rig.processes['sender'].pid)
    start_s = time.time()
    time.sleep(duration_s)
    end_s = time.time()
    cpu = (cpu_of(rig.processes['sender'].pid) - cpu_s) / (end_s - start_s)
    rig.look()
    p95s = [viewer.ages_ms(start_s, end_s)[1] for viewer in watching]
    rates = [viewer.fps(start_s, end_s) for viewer in watching]
    evenness = max(even(viewer, start_s, end_s) for viewer in watching)
    status = rig.status['sender']
    told = f'; status: "{status["text"]}"' if status['level'] else ''
    return Row(
        f'{len(watching)} viewer(s) of 30 Hz for {duration_s:.0f} s',
        f'age p95 under {AGE_MS:.0f} ms, dropped evenly (gap p95 under {EVEN:g} medians)',
        f'pictures/s {span(rates, "", 0)}; age p95 {span(p95s, "ms", 0)}; gap p95 {evenness:.1f} '
        f'medians at most; {cpu:.2f} cores for the sender{told}',
        max(p95s) <= AGE_MS and evenness <= EVEN,
    )


def even(viewer: Watcher, start_s: float, end_s: float) -> float:
    """Return the 95th percentile of the gaps between pictures, in medians."""
    times = [picture.t for picture in viewer.since(start_s, end_s)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    if len(gaps) < 2:
        return float('inf')
    return statistics.quantiles(gaps, n=20)[18] / statistics.median(gaps)


def cpu_of(pid: int) -> float:
    """Return the CPU time of a process so far, in s, of all its threads."""
    tasks = Path(f'/proc/{pid}/task').glob('*/schedstat')
    return sum(int(path.read_text(encoding='ascii').split()[0]) for path in tasks) / 1e9


def churn(directory: Path, domain: int, duration_s: float) -> Section:
    """Let viewers join and leave, 5 a second, beside one who stays."""
    section = Section()
    server = (
        'max_connections:=40', 'limits.connection_rate:=50.0', 'limits.connection_burst:=100',
        'resume_window:=2.0',
    )  # fmt: skip
    with running_rig(
        directory / 'churn', domain, server=server, sender=('max_viewers:=40',)
    ) as rig:
        steady = rig.watch('steady')
        steady.wait_for_pictures(60, 30.0)
        with Crowd(rig) as crowd:
            crowd.churn(CHURN_HZ, 5.0)  # warms up
            wait_until(lambda: rig.peers() == 1, 40.0, 'all have left')
            before = rig.holdings()
            start_s = time.time()
            told = crowd.churn(CHURN_HZ, duration_s)
            end_s = time.time()
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not left_over(rig, before), 45.0, 'nothing left over')
        section.add(_churn_row(steady, (start_s, end_s), told, left_over(rig, before)))
    return section


def left_over(rig: Rig, before: dict[str, Holding]) -> str:
    """Return what the parts hold beyond `before`, and sessions and peers beyond one."""
    now = rig.holdings()
    found = [
        f'{part}: {more}' for part, past in before.items() if (more := now[part].beyond(past))
    ]
    # Asked only then: the question itself takes a socket for a moment.
    if not found and (rig.peers() > 1 or rig.sessions() > 1):
        found.append(f'{rig.peers()} peers, {rig.sessions()} sessions')
    return '; '.join(found)


def _churn_row(
    steady: Watcher, stretch: tuple[float, float], told: dict[str, Any], left: str
) -> Row:
    start_s, end_s = stretch
    failures = told['failures']
    reasons = f' ({", ".join(sorted(set(failures))[:3])})' if failures else ''
    _, p95 = steady.ages_ms(start_s, end_s)
    gap_s = steady.longest_gap_s(start_s, end_s)
    return Row(
        f'{CHURN_HZ:g} joins and leaves a second for {end_s - start_s:.0f} s',
        'all get a picture, nothing left over; who stays: age p95 under 1000 ms, no gap over 1 s',
        f'{told["joins"]} joins, {len(failures)} without a picture{reasons}; first packet after '
        f'{span(told["first_s"], "s", 2)}; left over: {left or "nothing"}; who stays: '
        f'age p95 {p95:.0f} ms, longest gap {gap_s * 1000:.0f} ms',
        not failures and not left and p95 < 1000.0 and gap_s < 1.0,
    )


def clients(directory: Path, domain: int, duration_s: float) -> Section:
    """Have a thousand signaling clients beside the video."""
    section = Section()
    server = (
        'max_connections:=1100', 'limits.connection_rate:=1000.0',
        'limits.connection_burst:=2000',
    )  # fmt: skip
    with running_rig(directory / 'clients', domain, server=server) as rig:
        viewer = rig.watch('viewer')
        viewer.wait_for_pictures(60, 30.0)
        before_kb = rig.holdings()['server'].memory_kb
        with Crowd(rig) as crowd:
            start_s = time.time()
            told = crowd.ask(120.0, do='connect', count=CLIENTS)
            memory_kb = (rig.holdings()['server'].memory_kb - before_kb) / CLIENTS
            cpu_s = cpu_of(rig.processes['server'].pid)
            quiet_s = time.time()
            time.sleep(duration_s)
            cpu = (cpu_of(rig.processes['server'].pid) - cpu_s) / (time.time() - quiet_s)
            answer = crowd.ask(30.0, do='ping')
            ill = rig.ailments()
        _, p95 = viewer.ages_ms(start_s)
        gap_s = viewer.longest_gap_s(start_s)
    section.add(
        Row(
            f'{CLIENTS} signaling clients with max_connections:=1100, {duration_s:.0f} s',
            'all stay connected, the status is OK, a ping takes under 500 ms, video goes on',
            f'{answer["alive"]} connected, in {told["took_s"]:.1f} s; {memory_kb:.1f} kB each; '
            f'{cpu:.2f} cores; ping {answer["ping_ms"]:.1f} ms; video: age p95 {p95:.0f} ms, '
            f'longest gap {gap_s * 1000:.0f} ms' + (f'; {ill}' if ill else ''),
            answer['alive'] == CLIENTS and not ill and answer['ping_ms'] < 500.0 and gap_s < 2.0,
        )
    )
    return section


def cameras(directory: Path, domain: int, duration_s: float) -> Section:
    """Have four cameras with two viewers each."""
    section = Section()
    server = ('max_connections:=20', 'limits.connection_rate:=50.0')
    with (
        running_rig(directory / 'cameras', domain, server=server) as rig,
        contextlib.ExitStack() as more,
    ):
        for number in range(1, CAMERAS):
            more.callback(rig.add_camera(number))
        watching = [
            rig.watch(f'viewer{number}-{place}', camera=camera)
            for number, camera in enumerate(['camera', 'camera1', 'camera2', 'camera3'])
            for place in range(2)
        ]
        for viewer in watching:
            viewer.wait_for_pictures(30, 60.0, time.time())
        start_s = time.time()
        time.sleep(duration_s)
        end_s = time.time()
        p95s = [viewer.ages_ms(start_s, end_s)[1] for viewer in watching]
        rates = [viewer.fps(start_s, end_s) for viewer in watching]
        evenness = max(even(viewer, start_s, end_s) for viewer in watching)
        for viewer in watching:
            rig.dismiss(viewer)
    section.add(
        Row(
            f'{CAMERAS} cameras of 320x240 at 30 Hz, 2 viewers each, {duration_s:.0f} s',
            f'age p95 under {AGE_MS:.0f} ms, dropped evenly (gap p95 under {EVEN:g} medians)',
            f'pictures/s {span(rates, "", 0)}; age p95 {span(p95s, "ms", 0)}; gap p95 '
            f'{evenness:.1f} medians at most',
            max(p95s) <= AGE_MS and evenness <= EVEN,
        )
    )
    return section
