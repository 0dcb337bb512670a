"""The demo in a real browser: what a stranger with a laptop and no ROS sees."""

from __future__ import annotations

import time

import numpy as np
import pytest
from processes import running_demo, wait_until

from rtc_signaling.media.scene import CORNERS, read_corners, read_index

DOMAIN_ID = 61
FIRST_PICTURES_S = 5.0
PICTURES_S = 30.0


@pytest.fixture(scope='module')
def demo(tmp_path_factory, browser):
    # The browser runs first: its start is not what is measured.
    with running_demo(tmp_path_factory.mktemp('demo'), DOMAIN_ID, '--synthetic') as demo:
        demo.wait_for_url()
        yield demo


def index_of(viewer):
    """Return the index in a picture of the scene; the first pictures may be too coarse."""
    return wait_until(lambda: read_index(viewer.picture()), PICTURES_S, 'a readable index')


# First in the module: nobody has watched this demo yet.
def test_moving_video_within_5_s_of_the_pages_opening(demo, new_viewer):
    viewer = new_viewer(demo.wait_for_url())
    viewer.wait_for_state('live', FIRST_PICTURES_S)
    live_s = time.monotonic() - viewer.opened_at
    first = index_of(viewer)
    viewer.watch(5, FIRST_PICTURES_S)
    second = index_of(viewer)
    moving_s = time.monotonic() - viewer.opened_at
    print(f'live after {live_s:.1f} s, seen to move after {moving_s:.1f} s')
    assert first < second
    assert moving_s < FIRST_PICTURES_S
    assert viewer.complaints == []


def test_colours_and_orientation_are_those_of_the_scene(demo, new_viewer):
    viewer = new_viewer(demo.wait_for_url())
    viewer.wait_for_state('live', PICTURES_S)
    viewer.watch(10, PICTURES_S)
    picture = viewer.picture()
    assert picture.shape == (480, 640, 3)
    assert read_corners(picture) == CORNERS
    # And so for the eye, with all that the page lays over the video.
    assert read_corners(viewer.picture_in(viewer.screenshot())) == CORNERS


def test_the_token_leaves_the_address_bar_and_survives_a_reload(demo, new_viewer):
    url = demo.wait_for_url()
    viewer = new_viewer(url)
    viewer.wait_for_state('live', PICTURES_S)
    assert viewer.page.url == url.partition('#')[0]
    viewer.page.reload()
    viewer.wait_for_state('live', PICTURES_S)
    assert viewer.page.url == url.partition('#')[0]


@pytest.mark.parametrize('fragment', ['#token=wrong', ''])
def test_a_wrong_or_missing_token_is_asked_for(demo, new_viewer, fragment):
    address, _, token = demo.wait_for_url().partition('#token=')
    viewer = new_viewer(address + fragment)
    viewer.wait_for_state('refused', PICTURES_S, 'wrong_token' if fragment else 'no_token')
    assert 'token' in viewer.text('line')
    viewer.page.get_by_label('Access token').fill(token)
    viewer.page.get_by_role('button', name='Connect').click()
    viewer.wait_for_state('live', PICTURES_S)
    viewer.watch(5, PICTURES_S)
    assert viewer.complaints == []


def test_viewers_come_and_go_without_disturbing_each_other(demo, new_viewer):
    url = demo.wait_for_url()
    viewers = [new_viewer(url) for _ in range(3)]
    for viewer in viewers:
        viewer.wait_for_state('live', PICTURES_S)
        viewer.watch(5, PICTURES_S)
    first, leaving, third = viewers
    for viewer in (first, third):
        viewer.record()
    leaving.close()
    for viewer in (first, third):
        before = index_of(viewer)
        viewer.watch(60, PICTURES_S)
        assert index_of(viewer) > before
        assert viewer.same_connection()
        assert viewer.longest_gap_s() < 1.5


def test_on_a_telephone_the_whole_picture_is_seen(demo, new_viewer, tmp_path):
    telephone = {'width': 390, 'height': 844}
    viewer = new_viewer(
        demo.wait_for_url(), viewport=telephone, is_mobile=True, has_touch=True,
        device_scale_factor=2,
    )  # fmt: skip
    viewer.wait_for_state('live', PICTURES_S)
    viewer.watch(10, PICTURES_S)
    seen = viewer.screenshot(tmp_path / 'telephone.png')
    assert seen.shape == (844, 390, 3)
    picture = viewer.picture_in(seen)
    assert picture.shape[1] > 380
    assert read_corners(picture) == CORNERS
    assert viewer.page.evaluate('document.documentElement.scrollWidth') == 390


def test_make_demo_shows_the_clip_until_ctrl_c(tmp_path, new_viewer):
    with running_demo(tmp_path, DOMAIN_ID + 1, by_make=True) as demo:
        viewer = new_viewer(demo.wait_for_url())
        viewer.wait_for_state('live', FIRST_PICTURES_S)
        viewer.watch(10, FIRST_PICTURES_S)
        assert time.monotonic() - viewer.opened_at < FIRST_PICTURES_S
        first = viewer.picture().astype(float)
        viewer.watch(30, PICTURES_S)
        assert np.abs(viewer.picture() - first).mean() > 1.0
        assert viewer.complaints == []
        demo.interrupt()
        viewer.wait_for_state('reconnecting', PICTURES_S)
