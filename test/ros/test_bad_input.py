"""What a broken camera may send, one after the other, while a viewer watches: the real node."""

from __future__ import annotations

import contextlib
import re
import threading

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from fakes import FakeImage, scene_image
from h264_camera import H264Camera
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_stage import lines, values, watching
from sensor_msgs.msg import CompressedImage, Image

from rtc_signaling.media.scene import CORNERS, read_corners

TOPIC = '/camera_sender/status'
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
GOOD = scene_image(7, 160, 120)
NO_DISTANCE = np.full((48, 64), np.nan, '<f4').tobytes()
# Name, image, what is said of it.
BAD = {
    'unknown encoding': (FakeImage(120, 160, 'rgb9', 480, GOOD.data), "encoding 'rgb9'; support"),
    'data too short': (
        FakeImage(120, 160, 'bgr8', 480, GOOD.data[:-1]),
        'image data of 57599 bytes; 120 rows with a step of 480 bytes need 57600',
    ),
    'zero size': (FakeImage(0, 0, 'bgr8', 0, b''), 'image of 0x0 pixels; it must be 2x2 or more'),
    'NaN depth': (
        FakeImage(48, 64, '32FC1', 256, NO_DISTANCE),
        'depth image of 32FC1 without any distance',
    ),
}
H264 = H264Camera(key_frame_each=5).film(60)
BAD_H264 = b'garbage, not H.264'
WILD_PERIOD_S = 0.001


@pytest.fixture
def domain_id():
    return 68


class Publishing:
    """Publish what it is told, again and again, from a thread."""

    def __init__(self, observer, kind, topic):
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        self._publisher = observer.node.create_publisher(kind, topic, qos)
        self._clock = observer.node.get_clock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish)
        self._messages = []
        self.period_s = 1 / 20

    def show(self, *messages):
        self._messages = list(messages)

    def _publish(self):
        index = 0
        while not self._stop.wait(self.period_s):
            message = self._messages[index % len(self._messages)]
            message.header.stamp = self._clock.now().to_msg()
            self._publisher.publish(message)
            index += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def message_of(image):
    message = Image(
        height=image.height, width=image.width, step=image.step, encoding=image.encoding
    )
    message.data = image.data
    return message


def fresh(viewer, observer, size=(160, 120)):
    """Return a good picture of that size that comes from now on."""

    def forget(watched):
        watched.last = None

    def good(watched):
        picture = watched.last
        same = picture is not None and picture.shape[:2] == (size[1], size[0])
        return [picture] if same and read_corners(picture) == CORNERS else []

    viewer(forget)
    return observer.spin_until(lambda: viewer(good), f'no good picture of {size}')[0]


def bad_count(status):
    return int(values(status)['images_bad'])


def test_each_is_one_clear_error_and_the_video_goes_on(sender, observer, port):
    with contextlib.ExitStack() as stack:
        raw = sender()
        camera = Publishing(observer, Image, '/camera/image_raw')
        camera.show(message_of(GOOD))
        stack.enter_context(camera)
        viewer = stack.enter_context(watching(port))
        fresh(viewer, observer)
        counted = 0
        for image, error in BAD.values():
            camera.show(message_of(image))
            status = observer.wait_for(TOPIC, ERROR, re.escape(error))
            assert bad_count(status) > counted
            camera.show(message_of(GOOD))
            counted = bad_count(observer.wait_for(TOPIC, OK, 'sending to 1 viewer'))
            fresh(viewer, observer)
        # Another size is no error: it is seen.
        camera.show(message_of(scene_image(7, 320, 240)))
        fresh(viewer, observer, (320, 240))
        camera.show(message_of(GOOD))
        fresh(viewer, observer)
        # A publisher that runs wild: what is too much is replaced, and the latest is shown.
        camera.period_s = WILD_PERIOD_S
        wild = observer.wait_for(TOPIC, WARN, r'images a second on /camera/image_raw from /obs')
        fresh(viewer, observer)
        camera.period_s = 1 / 20
        status = observer.wait_for(TOPIC, OK, 'sending to 1 viewer')
        assert bad_count(status) == counted
        assert int(values(status)['images_received']) > int(values(wild)['images_received'])
        fresh(viewer, observer)
        assert raw.running
    raw.stop()
    told = [text for _, text in lines(raw)]
    for error in (*(error for _, error in BAD.values()), 'images a second on /camera'):
        assert sum(error in text for text in told) == 1, (error, told)
    assert 'Traceback' not in raw.output


def test_garbage_h264_is_one_clear_error_and_the_video_goes_on(sender, observer, port):
    with contextlib.ExitStack() as stack:
        process = sender('image_transport:=compressed')
        camera = Publishing(observer, CompressedImage, '/camera/image_raw/compressed')
        good = [CompressedImage(format='h264', data=data) for data in H264]
        camera.show(*good)
        stack.enter_context(camera)
        viewer = stack.enter_context(watching(port))
        fresh(viewer, observer, (320, 240))
        for garbage in ([BAD_H264], [BAD_H264 * 2, BAD_H264 * 3]):
            camera.show(*(CompressedImage(format='h264', data=data) for data in garbage))
            observer.wait_for(TOPIC, ERROR, 'it begins with no start code', images_bad='[1-9]')
            camera.show(*good)
            observer.wait_for(TOPIC, OK, 'sending to 1 viewer')
            fresh(viewer, observer, (320, 240))
    process.stop()
    assert sum('no start code' in text for _, text in lines(process)) == 1
    assert 'Traceback' not in process.output
