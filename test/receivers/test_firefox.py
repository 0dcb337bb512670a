"""The viewer page in Firefox: it sees the camera by VP8, as Debian's has no H.264 of its own."""

from __future__ import annotations

import re
import signal

import av
import cv2
import numpy as np
import pytest
from firefox import firefox_path, running_firefox
from processes import wait_until

from rtc_signaling.media.scene import CORNERS, read_corners, read_index

PICTURES_S = 20.0
SOON_S = 10.0

_VIDEOS = """
[...document.querySelectorAll('video')].map(
  (video) => [video.videoWidth, video.mozPaintedFrames])
"""


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    path = firefox_path()
    if path is None:
        pytest.skip('no Firefox: run "make receivers", or set FIREFOX=PATH')
    with running_firefox(path, tmp_path_factory.mktemp('firefox')) as (firefox, _):
        yield firefox


def test_firefox_shows_the_moving_scene(stack, browser):
    browser.open(stack.url)
    wait_until(lambda: browser.state == 'live', PICTURES_S, 'a live page')
    wait_until(lambda: (browser.inbound or {}).get('framesDecoded', 0) > 10, PICTURES_S, 'frames')
    assert browser.inbound['codec'] == 'video/VP8'
    first = wait_until(lambda: read_index(browser.picture()), PICTURES_S, 'a readable index')
    wait_until(lambda: (read_index(browser.picture()) or 0) > first, PICTURES_S, 'a later picture')
    picture = browser.picture()
    assert picture.shape == (480, 640, 3)
    assert read_corners(picture) == CORNERS


@pytest.fixture(scope='module')
def live(stack, browser):
    """Return the window, with the page of the first of two cameras."""
    stack.start_camera('rear', 'width:=320', 'height:=240', 'encoding:=mono8', 'rate:=10.0')
    stack.process('rear/camera_sender').wait_for_output('connected to the signaling server')
    browser.complaints.clear()
    browser.open(stack.url.replace('/#', '/?camera=camera#'))
    wait_until(lambda: browser.state == 'live', PICTURES_S, 'a live page')
    return browser


def test_a_wrong_token_is_refused_and_a_right_one_typed_in(stack, browser):
    browser.open(f'http://127.0.0.1:{stack.port}/?#token=wrong')
    wait_until(lambda: browser.state == 'refused', SOON_S, 'a refusal')
    assert browser.text('#line') == "The robot's server refused the token."
    # The field has the focus.
    browser.press(*stack.token, '\ue007')
    wait_until(lambda: browser.state == 'live', PICTURES_S, 'a live page')
    assert browser.complaints == []


def test_the_badge_and_the_details_have_figures(live):
    def age():
        return re.fullmatch(r'(\d+) ms', live.text('#age'))

    age_ms = int(wait_until(age, PICTURES_S, f'an age: {live.text("#age")}')[1])
    assert 0 < age_ms < 1000
    live.press('i')
    names = live.evaluate("[...document.querySelectorAll('dt')].map((it) => it.textContent)")

    def values():
        cells = live.evaluate("[...document.querySelectorAll('dd')].map((it) => it.textContent)")
        return dict(zip(names, cells, strict=True))

    wait_until(lambda: '\u2013' not in values().values(), PICTURES_S, f'figures: {values()}')
    assert values()['Codec'] == 'VP8'
    live.press('i')
    assert live.text('#details') == ''
    assert live.complaints == []


def test_the_menu_saves_a_picture_with_its_stamp(live):
    live.click('.icon')
    wait_until(lambda: live.text('#menu'), SOON_S, 'the menu')
    live.click('[data-key=s]')
    path = live.saved('*.png')
    assert re.fullmatch(r'camera_[\d-]+T[\d-]+\.\d{3}Z\.png', path.name)
    assert read_corners(cv2.imread(str(path))) == CORNERS
    live.click('.icon')
    wait_until(lambda: not live.text('#menu'), SOON_S, 'no menu')


def test_a_recording_plays(live):
    live.press('v')
    before = live.inbound['framesDecoded']
    wait_until(lambda: live.inbound['framesDecoded'] > before + 10, PICTURES_S, 'pictures')
    live.press('v')
    with av.open(live.saved('*.webm')) as video:
        pictures = [frame.to_ndarray(format='bgr24') for frame in video.decode(video=0)]
    assert len(pictures) > 1
    assert read_corners(pictures[-1]) == CORNERS


def test_the_grid_shows_both_cameras_and_one_can_be_chosen(live):
    live.press('a')
    wait_until(lambda: 'rear · live' in live.text('button.caption'), PICTURES_S, 'a second camera')

    def all_move():
        videos = live.evaluate(_VIDEOS)
        return len(videos) == 2 and all(frames > 5 for _, frames in videos)

    wait_until(all_move, PICTURES_S, 'two pictures that move')
    assert sorted(width for width, _ in live.evaluate(_VIDEOS)) == [320, 640]
    live.click('button.caption')
    wait_until(lambda: live.evaluate(_VIDEOS)[0][0] == 320, PICTURES_S, 'the other camera')
    assert live.evaluate('location.search') == '?camera=rear'
    assert live.complaints == []


def test_a_camera_that_stands_still_is_grey_and_labelled(stack, live):
    camera = stack.process('rear/test_camera')
    camera.signal(signal.SIGSTOP)
    try:
        wait_until(lambda: live.state == 'frozen', PICTURES_S, 'a frozen page')
        assert re.fullmatch(r'frozen for \d+\.\d s', live.text('#frozen'))
        middle = live.evaluate("getComputedStyle(document.querySelector('#video')).filter")
        assert 'grayscale(1)' in middle
    finally:
        camera.signal(signal.SIGCONT)
    wait_until(lambda: live.state == 'live', PICTURES_S, 'a live page')
    assert live.text('#frozen') == ''


def test_the_last_picture_of_a_lost_robot_stays(stack, live):
    stack.kill('rear/camera_sender')
    wait_until(lambda: 'is gone' in live.text('#line'), PICTURES_S, 'a loss that is told')
    wait_until(lambda: live.text('#frozen'), PICTURES_S, 'a label')
    height, width = live.picture().shape[:2]
    assert (height, width) == (240, 320)
    assert np.ptp(live.picture()) > 128
    assert live.complaints == []
