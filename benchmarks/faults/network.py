"""Case 2: what becomes of the video when the viewer's network fails, shrinks, moves or loses."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from processes import wait_until

from faults.report import Row, Section
from faults.rig import Rig, running_rig
from faults.space import Space, space
from faults.watch import Watcher

# Its 2.5 Mbit/s are too many for what is between the robot and the viewer.
LARGE = {'width': 640, 'height': 480}
BACK_S = 10.0
PERIOD_S = 1 / 30
CONTROL_S = 10.0
# A viewer on another network sees no longer gap; two cores that others use make some of their own.
UNTOUCHED_S = 0.5
# A picture at the start: signaling, ICE, DTLS, a key frame; and the viewer's process has to start.
FIRST_S = 10.0
FRESH_P95_MS = 1000.0
# After a vanished viewer: the sender's viewer_timeout (5 s) and its looks, each second.
UNREPORTED_S = 8.0
# The server's: timeout, looks, and the resume window.
FORGOTTEN_S = 70.0


class Scenery:
    """A rig in namespaces, a viewer on a bad network and another on a good one."""

    def __init__(self, rig: Rig, places: Space) -> None:
        self.rig, self.places = rig, places
        self.other = rig.watch('other', places.prefix('other'))
        self.other.wait_for_pictures(30, 30.0)
        start_s = time.time()
        self.pass_time(CONTROL_S)
        end_s = time.time()
        self.usual_s = self.other.longest_gap_s(start_s, end_s)
        self.usual_fps = self.other.fps(start_s, end_s)

    def join(self, name: str = 'viewer', **options: Any) -> tuple[Watcher, float]:
        """Start the viewer; return it and how long its first picture took, in s."""
        start_s = time.time()
        viewer = self.rig.watch(name, self.places.prefix('viewer'), **options)
        return viewer, viewer.wait_for_pictures(1, 60.0, start_s)

    @staticmethod
    def pass_time(duration_s: float) -> None:
        """Let a fault last; nothing is waited for."""
        time.sleep(duration_s)

    def untouched(self, start_s: float, end_s: float) -> tuple[str, bool]:
        """Say how the other viewer fared, and whether it saw nothing of the fault."""
        gap_s = self.other.longest_gap_s(start_s, end_s)
        allowed_s = max(UNTOUCHED_S, self.usual_s + PERIOD_S)
        text = f'the other viewer: longest gap {gap_s * 1000:.0f} ms'
        if gap_s > allowed_s:
            text += f' (in {CONTROL_S:.0f} s before any fault {self.usual_s * 1000:.0f} ms'
            text += f' and {self.usual_fps:.0f} pictures/s)'
        return text, gap_s <= allowed_s


@contextlib.contextmanager
def scenery(
    directory: Path, domain: int, *, line: bool = False, ipv6: bool = False, **options: Any
) -> Iterator[Scenery]:
    """Set the scene while the context lasts."""
    directory.mkdir(parents=True, exist_ok=True)
    options.setdefault('camera', {'width': 320, 'height': 240})
    with space(directory, line=line, ipv6=ipv6) as places:
        robot = places.address('robot')
        with running_rig(
            directory,
            domain,
            host=robot,
            addresses=robot,
            namespace=places.name('robot'),
            **options,
        ) as rig:
            yield Scenery(rig, places)


def figures(viewer: Watcher, start_s: float, end_s: float) -> tuple[str, float]:
    """Say how a viewer fared; return the words and the 95th percentile of the age, in ms."""
    p50, p95 = viewer.ages_ms(start_s, end_s)
    freezes = viewer.freezes(start_s, end_s)
    frozen = f'{len(freezes)} freezes, {sum(freezes):.1f} s in all' if freezes else 'no freeze'
    fps = viewer.fps(start_s, end_s)
    return f'{fps:.0f} pictures/s, age p50 {p50:.0f} ms, p95 {p95:.0f} ms, {frozen}', p95


def link(directory: Path, domain: int, durations_s: tuple[float, ...]) -> Section:
    """Pull the viewer's cable for a while."""
    section = Section()
    with scenery(directory / 'link', domain) as scene:
        viewer, _ = scene.join()
        for duration_s in durations_s:
            viewer.wait_for_pictures(60, 30.0, time.time())
            down_s = time.time()
            scene.places.ip('router', 'link', 'set', 'to-viewer', 'down')
            scene.pass_time(duration_s)
            scene.places.ip('router', 'link', 'set', 'to-viewer', 'up')
            up_s = time.time()
            section.add(_back_row(scene, viewer, f'link down for {duration_s:g} s', down_s, up_s))
    return section


def _back_row(scene: Scenery, viewer: Watcher, done: str, start_s: float, since_s: float) -> Row:
    """Wait for the video to be back, and return the row."""
    try:
        back_s = viewer.wait_for_pictures(1, 60.0, since_s)
        viewer.wait_for_pictures(60, 30.0, since_s)
    except TimeoutError:
        back_s = float('inf')
    text, well = scene.untouched(start_s, time.time())
    made = sum(step.get('step') == 'offered' and step['t'] > start_s for step in viewer.steps)
    return Row(
        done,
        f'video back in {BACK_S:.0f} s, other viewers untouched',
        f'back after {back_s:.1f} s, {made} new connection(s); {text}',
        back_s <= BACK_S and well,
    )


def address(directory: Path, domain: int) -> Section:
    """Move the viewer to another network, and let one vanish without a word."""
    section = Section()
    with scenery(directory / 'address', domain) as scene:
        viewer, _ = scene.join()
        viewer.wait_for_pictures(60, 30.0, time.time())
        start_s = time.time()
        scene.places.move_viewer()
        moved_s = time.time()
        section.add(_back_row(scene, viewer, "the viewer's address changes", start_s, moved_s))
        section.add(_vanish(scene, viewer))
    return section


def _vanish(scene: Scenery, viewer: Watcher) -> Row:
    """Pull the cable, kill the viewer, and see when the robot has let it go."""
    start_s = time.time()
    scene.places.ip('router', 'link', 'set', 'to-viewer', 'down')
    viewer.kill()
    scene.rig.watchers.remove(viewer)
    wait_until(lambda: scene.rig.peers() == 1, 60.0, 'the sender lets the viewer go')
    let_go_s = time.time() - start_s
    wait_until(lambda: scene.rig.sessions() == 1, 120.0, 'the server forgets the viewer')
    forgotten_s = time.time() - start_s
    text, well = scene.untouched(start_s, time.time())
    return Row(
        'the viewer vanishes without a FIN',
        f'no video sent to it after {UNREPORTED_S:.0f} s, its session forgotten after '
        f'{FORGOTTEN_S:.0f} s, other viewers untouched',
        f'let go after {let_go_s:.1f} s, forgotten after {forgotten_s:.1f} s; {text}',
        let_go_s <= UNREPORTED_S and forgotten_s <= FORGOTTEN_S and well,
    )


def bandwidth(
    directory: Path, domain: int, rates_mbit: tuple[float, ...], duration_s: float
) -> Section:
    """Narrow the viewer's link with a token bucket, and widen it again."""
    section = Section()
    with scenery(directory / 'bandwidth', domain, camera=LARGE) as scene:
        viewer, _ = scene.join(browser=True)
        for rate in rates_mbit:
            viewer.wait_for_pictures(60, 60.0, time.time())
            start_s = time.time()
            sent = _sent_bytes(scene)
            scene.places.tc('qdisc', 'add', 'dev', 'to-viewer', 'root', 'tbf', 'rate',
                            f'{rate:g}mbit', 'burst', '16kb', 'latency', '300ms')  # fmt: skip
            scene.pass_time(duration_s)
            end_s = time.time()
            mbit = (_sent_bytes(scene) - sent) * 8e-6 / (end_s - start_s)
            scene.places.tc('qdisc', 'del', 'dev', 'to-viewer', 'root')
            section.add(_bandwidth_row(scene, viewer, rate, mbit, (start_s, end_s)))
    return section


def _bandwidth_row(
    scene: Scenery, viewer: Watcher, rate: float, mbit: float, stretch: tuple[float, float]
) -> Row:
    start_s, end_s = stretch
    try:
        back_s = viewer.wait_for_pictures(30, 60.0, end_s)
    except TimeoutError:
        back_s = float('inf')
    text, well = scene.untouched(start_s, time.time())
    # The first seconds are for finding out how narrow it is.
    seen, p95 = figures(viewer, start_s + 5.0, end_s)
    frozen_s = sum(viewer.freezes(start_s + 5.0, end_s))
    return Row(
        f'{rate:g} Mbit/s for {end_s - start_s:.0f} s, and back',
        f'from 5 s on age p95 under {FRESH_P95_MS:.0f} ms, frozen for less than 10 %; video back '
        f'in {BACK_S:.0f} s; other viewers untouched',
        f'{seen}; {mbit:.2f} Mbit/s reached the link; back after {back_s:.1f} s; {text}',
        p95 <= FRESH_P95_MS
        and frozen_s < 0.1 * (end_s - start_s - 5.0)
        and back_s <= BACK_S
        and well,
    )


def _sent_bytes(scene: Scenery) -> int:
    """Return how many bytes have left the router towards the viewer."""
    path = '/sys/class/net/to-viewer/statistics/tx_bytes'
    words = [*scene.places.prefix('router'), 'cat', path]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def loss(directory: Path, domain: int, shares: tuple[float, ...], duration_s: float) -> Section:
    """Lose, hold up and reorder packets, both ways, by the harness's own cable."""
    section = Section()
    with scenery(directory / 'loss', domain, line=True, camera=LARGE) as scene:
        viewer, _ = scene.join(browser=True)
        file = directory / 'loss/line.json'
        assert scene.places.line is not None
        for kind in ('loss', 'jitter', 'reorder'):
            for share in shares:
                viewer.wait_for_pictures(30, 60.0, time.time())
                _set_line(scene, file, {kind: share})
                start_s = time.time()
                scene.pass_time(duration_s)
                end_s = time.time()
                _set_line(scene, file, {})
                section.add(_loss_row(scene, viewer, kind, share, (start_s, end_s)))
    return section


def _set_line(scene: Scenery, file: Path, settings: dict[str, float]) -> None:
    file.write_text(json.dumps(settings), encoding='utf-8')
    assert scene.places.line is not None
    scene.places.line.signal(signal.SIGUSR1)


def _loss_row(
    scene: Scenery, viewer: Watcher, kind: str, share: float, stretch: tuple[float, float]
) -> Row:
    start_s, end_s = stretch
    text, well = scene.untouched(start_s, end_s)
    seen, p95 = figures(viewer, start_s, end_s)
    frozen_s = sum(viewer.freezes(start_s, end_s))
    names = {'loss': 'lost', 'jitter': 'held up by 50 ms', 'reorder': 'overtaken (20 ms)'}
    return Row(
        f'{share:.0%} of the packets {names[kind]}, each way, {end_s - start_s:.0f} s',
        f'age p95 under {FRESH_P95_MS:.0f} ms, frozen for less than 10 %, other viewers untouched',
        f'{seen}; {text}',
        p95 <= FRESH_P95_MS and frozen_s < 0.1 * (end_s - start_s) and well,
    )
