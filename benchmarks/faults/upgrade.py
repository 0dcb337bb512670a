"""Case 8: clients and servers of another minor version, and those who know the oldest formats."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from processes import Process, wait_until

from faults import REPOSITORY
from faults.report import Row, Section
from faults.rig import PROGRAMS, Rig, running_rig
from faults.watch import Lines

FIRST_S = 10.0
OLDEST = str(REPOSITORY / 'test/minimal_client.py')


def run(directory: Path, domain: int) -> Section:
    """Let newer and older ends talk to this one."""
    section = Section()
    with running_rig(directory / 'upgrade', domain) as rig:
        wire = Lines('newer', [sys.executable, str(PROGRAMS / 'newer.py'), str(rig.port)],
                     rig.environment)  # fmt: skip
        rig.processes['newer'] = wire
        port = wait_until(wire.new_lines, 20.0, 'the wire')[0]['port']
        newer = f'ws://127.0.0.1:{port}/'
        section.add(_viewer_row(rig, 'a viewer and a server that seem newer to each other', newer))
        section.add(_oldest_row(rig))
        section.add(_sender_row(rig, newer))
    return section


def _viewer_row(rig: Rig, done: str, url: str) -> Row:
    start_s = time.time()
    viewer = rig.watch('newer', url=url)
    try:
        first_s = viewer.wait_for_pictures(1, 30.0, start_s)
        viewer.wait_for_pictures(60, 30.0, start_s)
    except TimeoutError:
        first_s = float('inf')
    errors = [step for step in viewer.steps if 'error' in step]
    rig.dismiss(viewer)
    return Row(
        f'{done}: unknown members in each message, unknown types',
        f'a picture in {FIRST_S:.0f} s, no error',
        f'first picture after {first_s:.1f} s, {len(errors)} errors',
        first_s <= FIRST_S and not errors,
    )


def _oldest_row(rig: Rig) -> Row:
    start_s = time.time()
    done = subprocess.run(
        [sys.executable, OLDEST, rig.url, rig.token],
        check=False, capture_output=True, text=True, timeout=60.0, env=rig.environment,
    )  # fmt: skip
    took_s = time.time() - start_s
    pictures = done.stdout.count('VideoFrame')
    return Row(
        'a viewer that knows the fixed formats alone (`test/minimal_client.py`)',
        '100 pictures',
        f'{pictures} pictures in {took_s:.1f} s, its start included',
        pictures == 100 and done.returncode == 0,
    )


def _sender_row(rig: Rig, url: str) -> Row:
    """Start a second camera that reaches the server by the wire."""
    words = [*rig.command('sender'), '-r', '__ns:=/newer', '-p', 'client_id:=newer',
             '-p', f'server_url:={url}']  # fmt: skip
    remap = ['--ros-args', '-r', '__ns:=/newer']
    camera = Process('newer camera', [*rig.command('camera'), *remap], rig.environment)
    sender = Process('newer sender', words, rig.environment)
    start_s = time.time()
    try:
        sender.wait_for_output('connected to the signaling server', 30.0)
        viewer = rig.watch('of-newer', camera='newer')
        viewer.wait_for_pictures(60, 30.0, start_s)
        rig.dismiss(viewer)
        said = 'video of it'
    except (TimeoutError, EOFError) as error:
        said = str(error)
    for process in (sender, camera):
        process.stop()
        rig.ended.append(process)
    complaints = [line for line in sender.output.splitlines() if 'WARN' in line or 'ERROR' in line]
    return Row(
        'a camera sender and a server that seem newer to each other',
        'video, and no complaint in the log',
        f'{said}; {len(complaints)} complaints',
        said == 'video of it' and not complaints,
    )
