"""The page with one sender that has two cameras: one connection for both, each told for itself.

`front` is the scene in colour, `rear` is grey and smaller.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from processes import Process, Stack, executable, wait_until
from ros_stage import observing
from std_srvs.srv import SetBool

DOMAIN_ID = 34
PICTURES_S = 30.0
SOON_S = 15.0
CAMERAS = {
    'front': [],
    'rear': ['width:=320', 'height:=240', 'encoding:=mono8'],
}

# Note the peer connections, and what the page reports to the robot.
_OVERHEAR = """
window.testConnections = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...options) { super(...options); window.testConnections.push(this); }
};
window.testReports = [];
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (text) {
  const message = JSON.parse(text);
  if (message.type === 'stats') window.testReports.push(message);
  return send.call(this, text);
};
"""
_OPEN = "window.testConnections.filter((pc) => pc.connectionState !== 'closed').length"
# Of each video on the page: its width and how many pictures it has shown.
_VIDEOS = """
[...document.querySelectorAll('video')].map((video) => [
  video.videoWidth, video.getVideoPlaybackQuality().totalVideoFrames,
])
"""
_REPORTED = """
[...new Set(window.testReports.filter(({ latency_ms }) => latency_ms).map(({ camera }) => camera))]
"""


class Robot:
    """Be a robot: its server, its sender, and a driver for each of two cameras."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.drivers: dict[str, Process] = {}

    def start(self, name: str) -> None:
        words = [word for value in CAMERAS[name] for word in ('-p', value)]
        remap = ['-r', f'camera/image_raw:=/{name}/image_raw']
        command = [executable('test_camera'), '--ros-args', *remap, *words]
        self.drivers[name] = Process(name, command, self._stack.environment)

    def stop(self, name: str) -> None:
        self.drivers.pop(name).stop()


@pytest.fixture(scope='module')
def stack(tmp_path_factory, browser) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp('stack'), DOMAIN_ID)
    stack.set('camera_sender', 'cameras:=[front,rear]', 'client_id:=robot')
    try:
        stack.start('signaling_server', 'camera_sender')
        stack.process('camera_sender').wait_for_output('connected to the signaling server')
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope='module')
def robot(stack) -> Iterator[Robot]:
    robot = Robot(stack)
    try:
        for name in CAMERAS:
            robot.start(name)
        yield robot
    finally:
        for name in list(robot.drivers):
            robot.stop(name)


def moving(viewer, *widths):
    """Wait until there are videos of these widths alone, all of which go on."""
    before = {}

    def move():
        now = viewer.page.evaluate(_VIDEOS)
        for width, frames in now:
            before.setdefault(width, frames)
        found = sorted(width for width, _ in now)
        return found == sorted(widths) and all(f > before[w] + 5 for w, f in now)

    wait_until(move, PICTURES_S, f'moving pictures of {widths}')


def test_one_of_the_cameras_is_chosen(stack, robot, new_viewer):
    viewer = new_viewer(stack.url, script=_OVERHEAR)
    viewer.wait_for_state('live', PICTURES_S)
    choice = viewer.page.get_by_role('combobox', name='Camera')
    choice.wait_for(timeout=SOON_S * 1000)
    names = choice.evaluate('(list) => [...list.options].map(({ value }) => value)')
    assert names == ['front@robot', 'rear@robot', '*']
    assert viewer.picture().shape == (480, 640, 3)
    choice.select_option('rear@robot')
    moving(viewer, 320)
    assert np.ptp(viewer.picture().astype(int), axis=2).max() < 16
    assert viewer.page.evaluate(_OPEN) == 1
    viewer.page.reload()
    moving(viewer, 320)
    assert viewer.complaints == []


def test_all_cameras_come_by_one_connection_and_are_told_apart(stack, robot, new_viewer):
    address, _, fragment = stack.url.partition('#')
    viewer = new_viewer(f'{address}?camera=*#{fragment}', script=_OVERHEAR)
    moving(viewer, 320, 640)
    assert viewer.page.evaluate(_OPEN) == 1
    # Each has an age of its own, and is reported for itself.
    tile = viewer.page.get_by_role('button', name=re.compile(r'^rear@robot · live · \d+ ms$'))
    tile.wait_for(timeout=SOON_S * 1000)
    wait_until(
        lambda: sorted(viewer.page.evaluate(_REPORTED)) == ['front', 'rear'], SOON_S, 'reports'
    )
    # One stops, and the other goes on.
    robot.stop('rear')
    frozen = viewer.page.locator('.cell:not(#main) .frozen')
    frozen.wait_for(timeout=SOON_S * 1000)
    assert viewer.text('frozen') == ''
    viewer.watch(10, SOON_S)
    robot.start('rear')
    moving(viewer, 320, 640)
    assert viewer.page.evaluate(_OPEN) == 1
    # One is switched off, and its picture says so; it comes back by itself.
    with observing(DOMAIN_ID) as observer:
        for enabled in (False, True):
            request = SetBool.Request(data=enabled)
            assert observer.call(SetBool, '/camera_sender/front/set_enabled', request).success
            if not enabled:
                line = viewer.page.locator('#line', has_text='is switched off')
                line.wait_for(timeout=SOON_S * 1000)
                assert viewer.text('frozen').startswith('frozen for ')
    moving(viewer, 320, 640)
    assert viewer.page.evaluate(_OPEN) == 1
    tile = viewer.page.get_by_role('button', name=re.compile('^rear@robot · live'))
    tile.click()
    moving(viewer, 320)
    assert viewer.page.url.endswith('/?camera=rear%40robot')
    assert viewer.page.evaluate(_OPEN) == 1
    assert viewer.complaints == []
