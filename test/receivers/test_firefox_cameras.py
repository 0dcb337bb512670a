"""Two cameras of one sender in Firefox: one connection, and each told for itself."""

from __future__ import annotations

import re

import pytest
from firefox import firefox_path, running_firefox
from processes import Process, executable, wait_until

PICTURES_S = 30.0
CAMERAS = {'left': [], 'right': ['width:=320', 'height:=240', 'encoding:=mono8']}

_VIDEOS = """
[...document.querySelectorAll('video')].map(
  (video) => [video.videoWidth, video.mozPaintedFrames])
"""
_STATS = """
window.rtcViewer.media?.parts.map(({ name, stats }) => [name, stats.frameWidth])
"""


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    path = firefox_path()
    if path is None:
        pytest.skip('no Firefox: run "make receivers", or set FIREFOX=PATH')
    with running_firefox(path, tmp_path_factory.mktemp('firefox')) as (firefox, _):
        yield firefox


@pytest.fixture(scope='module')
def twin(stack):
    """Run a sender with two cameras, and their drivers."""
    running = []
    sender = [f'server_url:={stack.server_url}', 'client_id:=twin', 'cameras:=[left,right]',
              f'auth.token_file:={stack.token_file}']  # fmt: skip
    starts = [('camera_sender', sender, [])]
    for name, settings in CAMERAS.items():
        remap = ['-r', f'camera/image_raw:=/{name}/image_raw']
        starts.append(('test_camera', ['rate:=10.0', *settings], remap))
    try:
        for node, settings, remap in starts:
            words = [word for value in settings for word in ('-p', value)]
            command = [executable(node), '--ros-args', *remap, *words]
            running.append(Process(node, command, stack.environment))
        running[0].wait_for_output('connected to the signaling server')
        yield
    finally:
        for process in running:
            process.stop()


def test_both_come_by_one_connection_with_figures_of_their_own(stack, twin, browser):
    browser.open(stack.url.replace('/#', '/?camera=left@twin#'))
    wait_until(lambda: browser.state == 'live', PICTURES_S, 'a live page')
    browser.press('a')

    def both_move():
        found = dict(browser.evaluate(_VIDEOS) or [])
        return {320, 640} <= found.keys() and found[320] > 5 and found[640] > 5

    wait_until(both_move, PICTURES_S, 'two pictures that move')
    assert browser.evaluate('window.rtcViewer.media.ids') == ['left@twin', 'right@twin']
    wait_until(
        lambda: browser.evaluate(_STATS) == [['left', 640], ['right', 320]],
        PICTURES_S, 'figures of each',
    )  # fmt: skip
    captions = "[...document.querySelectorAll('.caption')].map((it) => it.textContent).join()"
    wait_until(
        lambda: re.search(r'right@twin \xb7 live \xb7 \d+ ms', browser.evaluate(captions)),
        PICTURES_S, 'an age',
    )  # fmt: skip
    assert browser.complaints == []
