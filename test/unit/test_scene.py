"""The synthetic scene can be read back, also after what a video path does to it."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_signaling.media.scene import CORNERS, Scene, clock_text, read_corners, read_index

SIZES = [(64, 64), (320, 240), (640, 480), (480, 640), (1280, 720), (1920, 1080), (641, 479)]


def encoded_and_decoded(frames, codec, bit_rate):
    """Send frames through a video encoder and decoder; returns BGR."""
    height, width = frames[0].shape[:2]
    encoder = av.CodecContext.create(codec, 'w')
    encoder.width, encoder.height, encoder.pix_fmt = width, height, 'yuv420p'
    encoder.bit_rate = bit_rate
    encoder.framerate = 30
    encoder.time_base = Fraction(1, 30)
    encoder.options = {'preset': 'superfast', 'tune': 'zerolatency'} if 'x264' in codec else {
        'deadline': 'realtime', 'lag-in-frames': '0',
    }  # fmt: skip
    decoder = av.CodecContext.create('h264' if 'x264' in codec else 'vp8', 'r')
    result = []
    for number, bgr in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(bgr, format='bgr24').reformat(format='yuv420p')
        frame.pts = number
        for packet in encoder.encode(frame):
            result += decoder.decode(packet)
    for packet in encoder.encode(None):
        result += decoder.decode(packet)
    result += decoder.decode(None)
    return [frame.to_ndarray(format='bgr24') for frame in result]


@pytest.mark.parametrize(('width', 'height'), SIZES)
@pytest.mark.parametrize('index', [0, 1, 0x8000, 0xA5C3, 0xFFFF])
def test_marks_read_back(width, height, index):
    bgr = Scene(width, height).render(47543.123, index)
    assert bgr.shape == (height, width, 3)
    assert bgr.dtype == np.uint8
    assert read_corners(bgr) == CORNERS
    assert read_index(bgr) == index


@given(
    width=st.integers(64, 700), height=st.integers(64, 700), index=st.integers(0, 2**20),
    time_s=st.floats(0, 4e9),
)  # fmt: skip
def test_any_size_time_and_index_read_back(width, height, index, time_s):
    bgr = Scene(width, height).render(time_s, index)
    assert read_corners(bgr) == CORNERS
    assert read_index(bgr) == index % 65536


@pytest.mark.parametrize(('codec', 'bit_rate'), [('libx264', 400_000), ('libvpx', 400_000)])
def test_marks_survive_compression(codec, bit_rate):
    scene = Scene(640, 480)
    sent = [scene.render(100 + number / 30, 0x5555 + number) for number in range(12)]
    received = encoded_and_decoded(sent, codec, bit_rate)
    assert [read_index(bgr) for bgr in received] == [0x5555 + number for number in range(12)]
    assert {read_corners(bgr) for bgr in received} == {CORNERS}


@pytest.mark.parametrize('scale', [0.3, 0.5, 0.77, 1.5, 2.0])
def test_marks_survive_scaling(scale):
    bgr = cv2.resize(Scene(640, 480).render(1.0, 0xBEEF), None, fx=scale, fy=scale)
    assert read_corners(bgr) == CORNERS
    assert read_index(bgr) == 0xBEEF


def test_wrong_colours_and_orientations_are_seen():
    bgr = Scene(640, 480).render(1.0, 3)
    assert read_corners(bgr[..., ::-1]) == ('blue', 'green', 'red', 'other')
    assert read_corners(bgr[:, ::-1]) == ('green', 'red', 'yellow', 'blue')
    assert read_corners(bgr[::-1]) == ('blue', 'yellow', 'red', 'green')


def test_a_picture_of_something_else_has_no_index():
    assert read_index(np.full((480, 640, 3), 128, np.uint8)) is None


def test_the_scene_moves_and_has_texture():
    scene = Scene(640, 480)
    first, second = scene.render(1.0, 7), scene.render(1.1, 7)
    changed = (first != second).any(axis=2).mean()
    assert 0.1 < changed < 0.6
    middle = cv2.cvtColor(first[100:460], cv2.COLOR_BGR2GRAY)
    assert cv2.Laplacian(middle, cv2.CV_64F).var() > 100


def test_frames_are_independent():
    scene = Scene(64, 64)
    first = scene.render(1.0, 1)
    first[:] = 0
    assert read_corners(scene.render(1.0, 1)) == CORNERS


def test_the_same_arguments_give_the_same_picture():
    assert np.array_equal(Scene(320, 240).render(5.5, 9), Scene(320, 240).render(5.5, 9))


@pytest.mark.parametrize(
    ('time_s', 'text'),
    [
        (0, '00:00:00.000'),
        (47543.123, '13:12:23.123'),
        (86399.9999, '23:59:59.999'),
        (86400 * 20000 + 61.5, '00:01:01.500'),
    ],
)
def test_clock(time_s, text):
    assert clock_text(time_s) == text


@pytest.mark.parametrize(('width', 'height'), SIZES)
def test_the_clock_is_whole_inside_the_picture(width, height):
    # At these two times everything but the clock is in the same place.
    round_s = 12 * 31 * 23
    scene = Scene(width, height)
    changed = (scene.render(0, 5) != scene.render(round_s, 5)).any(axis=2)
    rows, columns = changed.nonzero()
    assert height * 0.25 < rows.min() < rows.max() < height * 0.65
    assert width * 0.1 < columns.min() < columns.max() < width * 0.9
