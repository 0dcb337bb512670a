"""cv_bridge, which no wheel has: with one that stands in for it, and the real one where it is."""

from __future__ import annotations

import importlib.util
import sys
from array import array
from types import ModuleType

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import Image

from rtc_signaling.media.frames import ImageError, to_i420
from rtc_signaling.ros.bridge import find_cv_bridge


class FakeCvBridgeError(Exception):
    """Be cv_bridge's error."""


@pytest.fixture
def fake(monkeypatch):
    """Put a module of that name into this process; its `answer` is what conversions do."""
    module = ModuleType('cv_bridge')
    module.asked = []

    class FakeCvBridge:
        def imgmsg_to_cv2(self, image, encoding):
            module.asked.append((image, encoding))
            return module.answer()

    module.CvBridge = FakeCvBridge
    module.CvBridgeError = FakeCvBridgeError
    monkeypatch.setitem(sys.modules, 'cv_bridge', module)
    return module


def image_in(encoding, pixel_bytes):
    return Image(height=4, width=6, encoding=encoding, step=6 * pixel_bytes,
                 data=array('B', bytes(24 * pixel_bytes)))  # fmt: skip


def test_without_cv_bridge_there_is_none(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    assert find_cv_bridge() is None


def test_what_is_unknown_is_asked_of_cv_bridge_as_bgr(fake):
    fake.answer = lambda: np.full((4, 6, 3), 255, np.uint8)
    image = image_in('8UC2', 2)
    i420 = to_i420(image, fallback=find_cv_bridge())
    assert fake.asked == [(image, 'bgr8')]
    assert set(i420[:4].flat) == {235}
    to_i420(image_in('bgr8', 3), fallback=find_cv_bridge())
    assert len(fake.asked) == 1


@pytest.mark.parametrize(
    'error',
    [
        FakeCvBridgeError('[8UC2] is not\n a color format'), cv2.error('bad'), KeyError('8U'),
        ImportError('numpy.core.multiarray failed to import'), TypeError('buffer is too small'),
        RuntimeError('Unknown'), ValueError('cannot reshape'),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_whatever_it_raises_is_one_line(fake, error):
    def answer():
        raise error

    fake.answer = answer
    with pytest.raises(ImageError, match=r"^image encoding '8UC2': cv_bridge cannot") as caught:
        to_i420(image_in('8UC2', 2), fallback=find_cv_bridge())
    assert '\n' not in str(caught.value)
    assert caught.value.__cause__ is error


def test_the_real_one_converts():
    if importlib.util.find_spec('cv_bridge') is None:
        pytest.skip('cv_bridge is not installed: PyPI has no wheel of it, ROS brings it')
    pixels = bytes(range(72))
    image = Image(height=4, width=6, encoding='rgb8', step=18, data=array('B', pixels))
    bgr = find_cv_bridge()(image)
    assert bgr[..., ::-1].tobytes() == pixels
    with pytest.raises(ImageError, match='cv_bridge cannot convert it'):
        find_cv_bridge()(image_in('novel9', 1))
