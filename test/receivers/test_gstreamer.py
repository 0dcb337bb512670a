"""GStreamer's webrtcbin (libnice, its own DTLS and RTP) receives and decodes the camera."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from websockets.sync.client import connect

from rtc_signaling.media.scene import CORNERS, read_corners, read_index

PYTHON = '/usr/bin/python3'
SCRIPT = Path(__file__).with_name('gst_receiver.py')
DEADLINE_S = 20.0
PICTURES = 15
# rclpy's wheels set these for their own Python.
FOREIGN = ('LD_LIBRARY_PATH', '_ROS_WHEELS_BOOTSTRAP_COMPLETE', 'PYTHONPATH')
CHECK = """
import gi
for name in ('Gst', 'GstSdp', 'GstWebRTC'):
    gi.require_version(name, '1.0')
from gi.repository import Gst, GstSdp, GstWebRTC
Gst.init(None)
missing = [name for name in ('webrtcbin', 'nicesrc', 'dtlssrtpdec', 'videoconvert', 'vp8dec',
                             'avdec_h264') if not Gst.ElementFactory.find(name)]
raise SystemExit('no ' + ', '.join(missing) if missing else 0)
"""


def environment():
    return {name: value for name, value in os.environ.items() if name not in FOREIGN}


@pytest.fixture(scope='module', autouse=True)
def _gstreamer():
    try:
        check = subprocess.run(
            [PYTHON, '-c', CHECK], env=environment(), capture_output=True, text=True, check=False
        )
    except OSError as error:
        pytest.skip(f'{PYTHON} does not run: {error.strerror}')
    if check.returncode:
        reason = (check.stderr.strip() or 'unknown').splitlines()[-1]
        pytest.skip(f'no GStreamer with webrtcbin: {reason}; run "make receivers"')


class Receiver:
    """Talk to `gst_receiver.py`."""

    def __init__(self, codec, picture_file):
        self._popen = subprocess.Popen(
            [PYTHON, str(SCRIPT), codec, str(picture_file)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(),
        )  # fmt: skip

    def line(self):
        # Whoever hangs is ended, and that ends the reading.
        watchdog = threading.Timer(DEADLINE_S, self._popen.kill)
        watchdog.start()
        line = self._popen.stdout.readline()
        watchdog.cancel()
        assert line, 'gst_receiver.py has ended, or wrote nothing'
        return json.loads(line)

    def write(self, **words):
        self._popen.stdin.write(json.dumps(words).encode() + b'\n')
        self._popen.stdin.flush()

    def stop(self):
        self._popen.stdin.close()
        try:
            self._popen.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._popen.stdout.close()


@pytest.fixture
def start():
    with contextlib.ExitStack() as stack:

        def start_receiver(codec, picture_file):
            receiver = Receiver(codec, picture_file)
            stack.callback(receiver.stop)
            return receiver

        yield start_receiver


@contextlib.contextmanager
def answered(stack, offer):
    """Give the camera an offer by the signaling server; yields its answer."""
    headers = {'Authorization': f'Bearer {stack.token}'}
    with connect(stack.server_url, additional_headers=headers, proxy=None) as socket:

        def until(*kinds):
            while True:
                message = json.loads(socket.recv(DEADLINE_S))
                assert message['type'] not in ('error', 'bye'), message
                if message['type'] in kinds:
                    return message

        if not until('connected')['peers']:
            until('peer_joined')
        socket.send(json.dumps({'type': 'offer', 'sdp': offer}))
        yield until('answer')['sdp']


@pytest.mark.parametrize('codec', ['H264', 'VP8'])
def test_webrtcbin_decodes_the_moving_scene(stack, start, tmp_path, codec):
    picture_file = tmp_path / 'picture'
    receiver = start(codec, picture_file)
    with answered(stack, receiver.line()['sdp']) as answer:
        receiver.write(sdp=answer)
        pictures = [receiver.line() for _ in range(PICTURES)]
        picture = np.fromfile(picture_file, np.uint8).reshape(480, 640, 3)
    assert {(picture['width'], picture['height']) for picture in pictures} == {(640, 480)}
    times_ns = [picture['pts_ns'] for picture in pictures]
    assert times_ns == sorted(set(times_ns))
    assert read_corners(picture) == CORNERS
    assert read_index(picture) is not None
