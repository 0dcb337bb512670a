"""werift, a WebRTC stack of its own in TypeScript, receives the camera by the protocol's document.

It has no decoder: frames are whole, begin with a key frame, and have the times of the camera.
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DEADLINE_S = 30.0
FRAMES = 30
RTP_HZ = 90_000


@pytest.fixture(scope='module', autouse=True)
def _werift():
    if shutil.which('node') is None:
        pytest.skip('no Node: install it, then run "make receivers"')
    if not (HERE / 'node_modules' / 'werift').is_dir():
        pytest.skip('no werift: run "make receivers", or npm ci in test/receivers')


@pytest.mark.parametrize('codec', ['H264', 'VP8'])
def test_werift_gets_whole_frames_with_the_cameras_times(stack, codec):
    script = str(HERE / 'werift_receiver.mjs')
    result = subprocess.run(
        ['node', script, stack.server_url, stack.token, codec, str(FRAMES)],
        capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    frames = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(frames) == FRAMES
    assert frames[0]['key_frame']
    assert all(frame['bytes'] > 0 for frame in frames)
    steps = [
        (later['timestamp'] - earlier['timestamp']) & 0xFFFFFFFF
        for earlier, later in itertools.pairwise(frames)
    ]
    assert all(0 < step < RTP_HZ * 10 for step in steps), steps
    # Three seconds, of which a busy machine may take half a second more or less on the way.
    elapsed_s = (frames[-1]['at_ms'] - frames[0]['at_ms']) / 1000
    assert sum(steps) / RTP_HZ == pytest.approx(elapsed_s, rel=0.4)
