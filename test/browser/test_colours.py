"""Colours as a browser shows them, of pictures for which another matrix would be guessed."""

from __future__ import annotations

import time

import numpy as np
import pytest
from fakes import FakeImage
from ros_stage import observer, serving, start

__all__ = ['observer', 'start']

DOMAIN_ID = 84
START_S = 30.0
# Not the most saturated ones, of which an error would be cut off.
COLOURS = np.array(
    [
        [(205, 205, 205), (205, 205, 50), (50, 205, 205), (50, 205, 50), (128, 128, 128)],
        [(205, 50, 205), (205, 50, 50), (50, 50, 205), (50, 50, 50), (200, 120, 40)],
    ],
    np.uint8,
)


@pytest.fixture
def domain_id():
    return DOMAIN_ID


def difference(rgb):
    """Return how far the colours at the middles of the patches are from what was published."""
    height, width = rgb.shape[:2]
    rows = np.arange(2) * height // 2 + height // 4
    columns = np.arange(5) * width // 5 + width // 10
    return int(np.abs(rgb[np.ix_(rows, columns)].astype(int) - COLOURS).max())


@pytest.mark.parametrize(('width', 'height'), [(640, 480), (1280, 720)])
def test_a_browser_shows_the_colours_that_were_published(
    new_viewer, start, observer, width, height
):
    rgb = np.repeat(np.repeat(COLOURS, height // 2, axis=0), width // 5, axis=1)
    driver = observer.driver()
    driver.show(FakeImage(height, width, 'rgb8', width * 3, rgb.tobytes()))
    with serving() as port, driver:
        sender = start('camera_sender', f'server_url:=ws://127.0.0.1:{port}')
        sender.wait_for_output('connected to the signaling server')
        viewer = new_viewer(f'http://127.0.0.1:{port}/')
        viewer.wait_for_state('live', START_S)
        viewer.watch(5, START_S)
        deadline_s = time.monotonic() + START_S
        # The first pictures are coarse. With the matrix of BT.709 green would be 24 off.
        while (found := difference(viewer.picture()[..., ::-1])) > 8:
            assert time.monotonic() < deadline_s, f'{found} off'
            viewer.watch(5, START_S)
