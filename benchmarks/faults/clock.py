"""Case 5: the wall clock of the robot is set while everything runs, by libfaketime."""

from __future__ import annotations

import time
from pathlib import Path

from faults.report import Row, Section
from faults.rig import Rig, running_rig
from faults.watch import Watcher

LIBRARY = Path('/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1')
HOUR = 3600
SETTINGS = {
    'not at all (libfaketime is loaded)': 0,
    'an hour forth': HOUR,
    'back to the right time': 0,
    'an hour back': -HOUR,
    'the right time again': 0,
}
GAP_S = 1.0
FIRST_S = 10.0
PARTS = {
    'the server': ('server',),
    'the whole robot': ('camera', 'server', 'sender'),
}


def run(directory: Path, domain: int, duration_s: float) -> Section:
    """Set the clock of some parts, forth and back."""
    if not LIBRARY.exists():
        raise SystemExit(f'{LIBRARY} is missing: apt install libfaketime')
    section = Section()
    for name, parts in PARTS.items():
        folder = directory / f'clock-{len(parts)}'
        folder.mkdir(parents=True)
        file = folder / 'offset'
        _set(file, 0)
        faked = {
            'LD_PRELOAD': str(LIBRARY),
            'FAKETIME_TIMESTAMP_FILE': str(file),
            'FAKETIME_CACHE_DURATION': '1',  # s; to look at each call would slow all down
            # What timers and time-outs are made of is not set on a real machine either.
            'FAKETIME_DONT_FAKE_MONOTONIC': '1',
        }
        variables = dict.fromkeys(parts, faked)
        with running_rig(folder, domain, variables=variables) as rig:
            viewer = rig.watch('viewer')
            viewer.wait_for_pictures(60, 30.0)
            for number, (words, offset_s) in enumerate(SETTINGS.items()):
                _set(file, offset_s)
                done = f'the clock of {name} is set: {words}'
                section.add(_row(rig, viewer, done, f'new{number}', duration_s))
    section.notes.append(
        'Only CLOCK_REALTIME is set, as on a real machine. JWTs and TURN credentials expire by '
        'the wall clock by their nature; the tokens here have no time in them.'
    )
    return section


def _set(file: Path, offset_s: int) -> None:
    part = file.with_suffix('.part')
    part.write_text(f'{offset_s:+d}s\n', encoding='ascii')
    part.replace(file)


def _row(rig: Rig, viewer: Watcher, done: str, name: str, duration_s: float) -> Row:
    connections = _connections(rig)
    start_s = time.time()
    time.sleep(duration_s)
    lost = sum(step.get('link') is False and step['t'] > start_s for step in viewer.steps)
    try:
        rig.wait_until_well(5.0)
        ill = ''
    except TimeoutError as error:
        ill = str(error)
    joined_s = time.time()
    newcomer = rig.watch(name)
    try:
        first_s = newcomer.wait_for_pictures(1, 30.0, joined_s)
    except TimeoutError:
        first_s = float('inf')
    rig.dismiss(newcomer)
    again = _connections(rig) - connections - 1
    gap_s = viewer.longest_gap_s(start_s)
    return Row(
        done,
        f'no gap over {GAP_S:g} s, nobody loses its connection, the status is OK, a new viewer '
        f'has a picture in {FIRST_S:.0f} s',
        f'longest gap {gap_s * 1000:.0f} ms, {lost + again} connections anew, first picture of a '
        f'new viewer after {first_s:.1f} s{"; " + ill if ill else ""}',
        gap_s <= GAP_S and not ill and not lost and not again and first_s <= FIRST_S,
    )


def _connections(rig: Rig) -> int:
    for line in rig.answer('metrics').splitlines():
        if line.startswith('rtc_signaling_connections_total '):
            return int(float(line.rsplit(' ', 1)[1]))
    raise RuntimeError('the server does not count connections')
