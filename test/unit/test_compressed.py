"""Compressed images: JPEG and PNG, of any size, and what is neither."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from rtc_signaling.media.compressed import compressed_to_i420
from rtc_signaling.media.frames import ImageError
from rtc_signaling.media.scene import CORNERS, Scene, read_corners, read_index


def compressed(picture, ending):
    return SimpleNamespace(
        format=f'bgr8; {ending} compressed bgr8',
        data=cv2.imencode(f'.{ending}', picture)[1].tobytes(),
    )


@pytest.mark.parametrize('ending', ['jpg', 'png'])
@pytest.mark.parametrize('size', [(320, 240), (321, 241)])
def test_the_scene_can_be_read_from_it(ending, size):
    i420 = compressed_to_i420(compressed(Scene(*size).render(1.0, 7), ending))
    assert i420.shape == (360, 320)
    assert i420.dtype == np.uint8
    bgr = cv2.cvtColor(i420, cv2.COLOR_YUV2BGR_I420)
    assert read_corners(bgr) == CORNERS
    assert read_index(bgr) == 7


@pytest.mark.parametrize('ending', ['jpg', 'png'])
def test_a_grey_one_is_grey(ending):
    i420 = compressed_to_i420(compressed(np.full((32, 64), 200, np.uint8), ending))
    assert i420.shape == (48, 64)
    assert abs(i420[32:].astype(int) - 128).max() <= 1


@pytest.mark.parametrize('data', [b'', b'\x00' * 100, b'\xff\xd8\xff\xe0 no more', b'\x89PNG\r\n'])
def test_what_cannot_be_decoded_is_a_clear_error(data):
    with pytest.raises(
        ImageError, match=f"^compressed image of {len(data)} bytes, format 'jpeg': cannot be"
    ):
        compressed_to_i420(SimpleNamespace(format='jpeg', data=data))


def test_what_opencv_raises_is_the_same_error(monkeypatch):
    # OpenCV 4 does so for a header that tells of too many pixels; 5 returns None.
    def imdecode(data, flags):
        raise cv2.error('too many pixels')

    monkeypatch.setattr(cv2, 'imdecode', imdecode)
    with pytest.raises(ImageError, match='cannot be decoded'):
        compressed_to_i420(SimpleNamespace(format='png', data=b'huge'))


def test_a_picture_too_small_for_video_is_an_error():
    with pytest.raises(ImageError, match='cannot be decoded'):
        compressed_to_i420(compressed(np.zeros((1, 8, 3), np.uint8), 'png'))
