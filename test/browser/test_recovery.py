"""Nodes that are killed and come back, as a viewer lives through it without a click."""

from __future__ import annotations

import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from processes import running_stack, wait_until
from ros_stage import observing, values

DOMAIN_ID = 63
CAMERA = 'camera_sender: camera'
# The parameter's default.
STALE_TIMEOUT_S = 2.0
PICTURES_S = 30.0
BACK_S = 30.0
# The page's longest back-off; a short absence of the server never gets so far.
PAGE_BACK_S = 30.0
# Of a stream of 30 pictures a second on two cores that others use as well.
NO_GAP_S = 1.5
# Between the first packet of a new connection and its first picture.
NO_PICTURE_S = 0.5


@pytest.fixture(scope='module')
def stack(tmp_path_factory, browser):
    with running_stack(tmp_path_factory.mktemp('stack'), DOMAIN_ID) as stack:
        stack.process('camera_sender').wait_for_output('connected to the signaling server')
        yield stack


@pytest.fixture
def viewer(stack, new_viewer):
    viewer = new_viewer(stack.url)
    viewer.wait_for_state('live', PICTURES_S)
    viewer.watch(5, PICTURES_S)
    return viewer


def test_video_outlives_the_server_and_everybody_comes_back_to_it(stack, viewer, new_viewer):
    viewer.record()
    stack.kill('signaling_server')
    viewer.wait_for_state('reconnecting', PICTURES_S)
    assert viewer.text('line') == 'Server lost; the video goes on.'
    viewer.watch(60, PICTURES_S)

    stack.start('signaling_server')
    since = time.monotonic()
    newcomer = new_viewer(stack.url)
    newcomer.wait_for_state('live', BACK_S)
    newcomer.watch(5, PICTURES_S)
    took_s = time.monotonic() - since
    print(f'the sender was back after {took_s:.1f} s')
    assert took_s < BACK_S

    viewer.wait_for_state('live', PAGE_BACK_S, cause='')
    viewer.watch(10, PICTURES_S)
    assert viewer.same_connection()
    print(f'longest gap {viewer.longest_gap_s():.2f} s')
    assert viewer.longest_gap_s() < NO_GAP_S


def test_video_comes_back_after_the_sender_was_killed(stack, viewer):
    viewer.record()
    stack.kill('camera_sender')
    viewer.wait_for_state('waiting', PICTURES_S, cause='lost')
    assert viewer.text('line').startswith("The robot's camera is gone.")
    viewer.look_at_stale()
    stack.start('camera_sender')
    viewer.wait_for_state('live', PICTURES_S, cause='')
    viewer.watch(30, PICTURES_S)
    assert viewer.text('frozen') == ''
    # The old connection is given up for a new one, but not its last picture.
    assert not viewer.same_connection()
    print(f'black for {viewer.longest_black_s():.2f} s')
    assert viewer.longest_black_s() < NO_PICTURE_S


def test_the_page_and_diagnostics_say_that_the_camera_is_silent_until_another_is_there(
    stack, viewer
):
    viewer.record()
    with observing(DOMAIN_ID) as observer:
        observer.wait_for_part(CAMERA, DiagnosticStatus.OK)
        assert viewer.picture().shape == (480, 640, 3)
        stack.kill('test_camera')
        report = observer.wait_for_part(CAMERA, DiagnosticStatus.STALE, 'no images from the')
        silent_s = float(values(report)['frame_age_ms']) / 1000
        print(f'STALE {silent_s:.1f} s after the last image')
        # The figure is rounded to whole milliseconds.
        assert STALE_TIMEOUT_S <= silent_s < STALE_TIMEOUT_S + BACK_S
        viewer.wait_for_state('frozen', PICTURES_S)
        said = viewer.page.get_by_text('its camera sends no pictures')
        said.wait_for(timeout=PICTURES_S * 1000)
        viewer.look_at_stale()
        stack.set('test_camera', 'width:=320', 'height:=240', 'encoding:=mono8')
        stack.start('test_camera')
        observer.wait_for_part(CAMERA, DiagnosticStatus.OK)
    viewer.wait_for_state('live', PICTURES_S, cause='')
    viewer.watch(30, PICTURES_S)
    assert viewer.same_connection()
    assert not said.is_visible()
    picture = viewer.picture().astype(int)
    assert picture.shape == (240, 320, 3)
    # Grey, and no plain surface.
    assert np.ptp(picture, axis=2).max() < 16
    assert np.ptp(picture) > 128


def test_video_comes_back_after_a_restart_of_the_sender_that_is_too_quick_to_notice(stack, viewer):
    viewer.record()
    stack.kill('camera_sender')
    stack.start('camera_sender')
    wait_until(lambda: not viewer.same_connection(), PICTURES_S, 'a new peer connection')
    viewer.wait_for_state('live', PICTURES_S, cause='')
    viewer.watch(30, PICTURES_S)
