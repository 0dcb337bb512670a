"""Case 4: what becomes of the video when the camera misbehaves."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults.report import Row, Section
from faults.rig import Rig, running_rig
from faults.watch import Watcher

USUAL_HZ = 30.0
USUAL = {
    'rate': USUAL_HZ, 'width': 320, 'height': 240, 'encoding': 'bgr8', 'stamp': 'now', 'burst': 1,
    'cut': 0,
}  # fmt: skip
BACK_S = 5.0
FRESH_P95_MS = 500.0
# Of what the camera gives, so much has to arrive; a machine that others use loses some.
SHARE = 0.8
STALE_S = 4.0


@dataclass(frozen=True)
class Trouble:
    """One habit of the camera.

    Attributes:
        done: What it is, in words.
        habit: What the camera does meanwhile.
        expected_hz: Pictures that a viewer should get a second; None for none at all.
        told: What the sender's status has to say meanwhile, a part of its text; '' for anything.
        arriving: Whether pictures are compared with the images that arrive, not with those that
            there should be: a camera of Python draws no two images of 4K a second everywhere.
    """

    done: str
    habit: dict[str, Any] = field(default_factory=dict)
    expected_hz: float | None = 30.0
    told: str = ''
    arriving: bool = False


@dataclass(frozen=True)
class Seen:
    """How a viewer and the status saw one habit.

    Attributes:
        fps: Pictures a second.
        p95_ms: Age; nan where pictures have none.
        sizes: Of the pictures.
        back_s: Until the first picture of the usual habit.
        told: The status's text.
        well: Whether all was well again afterwards.
        arrived_hz: Images that arrived at the sender a second.
    """

    fps: float
    p95_ms: float
    sizes: list[str]
    back_s: float
    told: str
    well: bool
    arrived_hz: float


TROUBLES = (
    Trouble('1 Hz', {'rate': 1.0}, 1.0),
    Trouble('5 Hz', {'rate': 5.0}, 5.0),
    Trouble('60 Hz', {'rate': 60.0}, 60.0),
    Trouble('120 Hz', {'rate': 120.0}, 120.0),
    Trouble('bursts: 10 images at once, 3 times a second', {'rate': 3.0, 'burst': 10}, 3.0),
    Trouble('a stall', {'rate': 0}, None, 'no image'),
    Trouble('stamps a minute back', {'stamp': 'back'}, 30.0, 'old when they come'),
    Trouble('stamps that stand still', {'stamp': 'still'}, 30.0),
    Trouble('no stamps (0)', {'stamp': 'zero'}, 30.0),
    Trouble('another size, 640x360', {'width': 640, 'height': 360}),
    Trouble('odd sizes, 321x241', {'width': 321, 'height': 241}),
    Trouble('16x16', {'width': 16, 'height': 16}),
    Trouble(
        '3840x2160 at up to 2 Hz',
        {'width': 3840, 'height': 2160, 'rate': 2.0},
        2.0,
        arriving=True,
    ),
    Trouble('another encoding, mono8', {'encoding': 'mono8'}),
    Trouble('another encoding, yuv422', {'encoding': 'yuv422'}),
    Trouble('an unknown encoding', {'encoding': 'bgr8x'}, None, 'bgr8x'),
    Trouble('images cut short by 1000 bytes', {'cut': 1000}, None, 'bytes'),
)


def run(directory: Path, domain: int, duration_s: float) -> Section:
    """Try each habit in turn, with the usual one in between."""
    section = Section()
    with running_rig(directory / 'camera', domain, camera=dict(USUAL)) as rig:
        viewer = rig.watch('viewer')
        viewer.wait_for_pictures(30, 30.0)
        for trouble in TROUBLES:
            section.add(_try(rig, viewer, trouble, duration_s))
    with running_rig(
        directory / 'camera_sim', domain, camera=dict(USUAL), sender=('use_sim_time:=true',)
    ) as rig:
        viewer = rig.watch('viewer')
        viewer.wait_for_pictures(30, 30.0)
        section.add(_try(rig, viewer, Trouble('use_sim_time without a clock'), duration_s))
    return section


def _try(rig: Rig, viewer: Watcher, trouble: Trouble, duration_s: float) -> Row:
    rig.set_camera(**USUAL | trouble.habit)
    time.sleep(1.0)  # what was under way is gone
    start_s = time.time()
    told = _watch_status(rig, trouble, duration_s)
    arrived_hz = float(rig.status['sender']['image_rate'])
    end_s = time.time()
    rig.set_camera(**USUAL)
    try:
        viewer.wait_for_pictures(15, 30.0, end_s)
        back_s = viewer.wait_for_pictures(1, 1.0, end_s)
        rig.wait_until_well(20.0)
        well = True
    except TimeoutError as error:
        back_s, well = float('inf'), False
        print(error)
    fps = viewer.fps(start_s, end_s)
    sizes = sorted({picture.size for picture in viewer.since(start_s, end_s)})
    _, p95 = viewer.ages_ms(start_s, end_s)
    return _row(trouble, Seen(fps, p95, sizes, back_s, told, well, arrived_hz))


def _watch_status(rig: Rig, trouble: Trouble, duration_s: float) -> str:
    """Watch the sender's status for a while, and return the expected, or the last, text."""
    deadline_s = time.monotonic() + duration_s
    text = ''
    while time.monotonic() < deadline_s:
        time.sleep(0.2)
        rig.look()
        told = rig.status['sender']
        if trouble.told and trouble.told in text:
            continue
        text = str(told['text']) if told['level'] else ''
    return text


def _row(trouble: Trouble, seen: Seen) -> Row:
    fps, p95, back_s, told = seen.fps, seen.p95_ms, seen.back_s, seen.told
    expected = trouble.expected_hz
    if trouble.arriving and expected is not None:
        expected = min(expected, seen.arrived_hz)
    promised = 'no picture' if expected is None else f'{SHARE:.0%} of {expected:.3g} pictures/s'
    promised += f', back in {BACK_S:.0f} s'
    kept = seen.well and back_s <= BACK_S
    measured = f'{fps:.1f} pictures/s of {", ".join(seen.sizes) or "no size"}'
    kept = kept and (fps < 1.0 if expected is None else fps >= SHARE * expected)
    if not math.isnan(p95):  # it is where pictures have no age
        measured += f', age p95 {p95:.0f} ms'
        # aiortc's receiver holds a picture until the next one begins.
        allowed_ms = FRESH_P95_MS + 1000 / (expected or USUAL_HZ)
        promised += f', age p95 under {allowed_ms:.0f} ms'
        kept = kept and p95 <= allowed_ms
    measured += f'; back after {back_s:.1f} s'
    if trouble.told:
        promised += '; the status says so'
        kept = kept and trouble.told in told
    if told:
        measured += f'; status: "{told}"'
    return Row(trouble.done, promised, measured, kept)
