"""Firefox sees the camera by VP8: Debian's has no H.264 of its own."""

from __future__ import annotations

import pytest
from firefox import firefox_path, running_firefox
from processes import wait_until

from rtc_signaling.media.scene import CORNERS, read_corners, read_index

PICTURES_S = 20.0


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
