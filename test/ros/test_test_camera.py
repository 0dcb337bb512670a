"""The test camera as a real process, its images received over real DDS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from rtc_signaling.media.frames import FROM_BGR, to_i420
from rtc_signaling.media.scene import CORNERS, read_corners, read_index
from rtc_signaling.parameter import parameters
from rtc_signaling.ros.transport import image_transport_environment
from rtc_signaling.test_camera_config import TestCameraConfig

# rclpy's message support imports lark, which imports the deprecated sre_parse.
pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / 'rtc_signaling' / 'clips' / 'walking.mp4'
DOMAIN_ID = 71
# Starting takes about 1 s; this is for a busy machine.
DEADLINE_S = 30.0
RUN = 'import sys; from rtc_signaling.nodes.entry import test_camera; sys.exit(test_camera())'


@contextmanager
def camera(*settings):
    """Run the node with parameters, such as 'rate:=10'."""
    environment = (
        os.environ
        | {
            # In front of what is there: it is by this variable that Python finds an installed ROS.
            'PYTHONPATH': os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]),
            'ROS_DOMAIN_ID': str(DOMAIN_ID),
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        }
        | image_transport_environment(ROOT / 'config')
    )
    arguments = [item for setting in settings for item in ('-p', setting)]
    process = subprocess.Popen(
        [sys.executable, '-c', RUN, '--ros-args', *arguments],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        # A killed participant stays in the others' tables for a while and slows the next test.
        process.terminate()
        try:
            process.wait(timeout=4)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


class Viewer:
    """Collect images; every wait has a deadline."""

    def __init__(self, node, executor, reliability=ReliabilityPolicy.BEST_EFFORT):
        self._executor = executor
        self.images = []
        self.arrived_s = []
        qos = QoSProfile(depth=1, reliability=reliability)
        self._subscription = node.create_subscription(
            Image, '/camera/image_raw', self._on_image, qos
        )

    def _on_image(self, image):
        self.images.append(image)
        self.arrived_s.append(time.monotonic())

    def wait(self, count, process):
        """Return the images once there are `count`."""
        deadline_s = time.monotonic() + DEADLINE_S
        while len(self.images) < count:
            assert time.monotonic() < deadline_s, f'{len(self.images)} of {count} images came'
            assert process.poll() is None, process.stdout.read()
            self._executor.spin_once(timeout_sec=0.1)
        return self.images[:count]


@pytest.fixture
def ros(monkeypatch):
    """Make a node and an executor in a context of the test's own."""
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    context = Context()
    context.init([], domain_id=DOMAIN_ID)
    node = rclpy.create_node('viewer', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    yield node, executor
    executor.shutdown()
    node.destroy_node()
    context.try_shutdown()


def stamp_ns(image):
    return image.header.stamp.sec * 1_000_000_000 + image.header.stamp.nanosec


def to_bgr(image):
    return cv2.cvtColor(to_i420(image), cv2.COLOR_YUV2BGR_I420)


def finish(process, number):
    """Send a signal; returns the exit code and all that was printed."""
    process.send_signal(number)
    code = process.wait(timeout=4)
    return code, process.stdout.read()


@pytest.mark.parametrize(
    ('encoding', 'step'), [('bgr8', 960), ('rgb8', 960), ('mono8', 320), ('yuv422', 640)]
)
def test_the_scene_arrives_in_each_encoding(ros, encoding, step):
    viewer = Viewer(*ros)
    with camera(
        'width:=320', 'height:=240', 'rate:=30', f'encoding:={encoding}', 'frame_id:=front'
    ) as process:
        images = viewer.wait(12, process)
    for image in images:
        assert (image.width, image.height, image.step) == (320, 240, step)
        assert (image.encoding, image.is_bigendian) == (encoding, 0)
        assert image.header.frame_id == 'front'
        assert len(image.data) == 240 * step
        if encoding != 'mono8':
            assert read_corners(to_bgr(image)) == CORNERS
    stamps = [stamp_ns(image) for image in images]
    assert stamps == sorted(set(stamps))
    assert abs(stamps[-1] / 1e9 - time.time()) < DEADLINE_S
    indices = [read_index(to_bgr(image)) for image in images]
    assert None not in indices
    assert indices == sorted(set(indices))


def test_large_images_arrive_whole_and_at_the_set_rate(ros):
    viewer = Viewer(*ros)
    with camera('width:=1280', 'height:=720', 'rate:=20') as process:
        images = viewer.wait(41, process)
    indices = [read_index(to_bgr(image)) for image in images]
    # Without the transport profile nearly all of them are lost between processes.
    lost = indices[-1] - indices[0] - 40
    assert lost <= 8
    seconds = (stamp_ns(images[-1]) - stamp_ns(images[0])) / 1e9
    # Never faster; a busy machine may be late.
    assert 0.9 / 20 < seconds / (40 + lost) < 2 / 20


def test_reliable_publishers_serve_reliable_subscribers(ros):
    viewer = Viewer(*ros, reliability=ReliabilityPolicy.RELIABLE)
    with camera('width:=64', 'height:=64', 'reliability:=reliable') as process:
        viewer.wait(3, process)


def test_a_video_file_plays_at_its_own_rate(ros):
    viewer = Viewer(*ros)
    with camera(f'video_file:={CLIP}', 'rate:=1') as process:
        images = viewer.wait(31, process)
    first = np.frombuffer(images[0].data, np.uint8).reshape(480, 640, 3)
    last = np.frombuffer(images[-1].data, np.uint8).reshape(480, 640, 3)
    assert images[0].encoding == 'bgr8'
    assert (np.abs(first.astype(int) - last) > 30).mean() > 0.001
    seconds = (stamp_ns(images[-1]) - stamp_ns(images[0])) / 1e9
    assert 0.9 < seconds < 1.6


@pytest.mark.parametrize(
    ('setting', 'message'),
    [
        ('video_file:=/nowhere/to.mp4', "video_file = '/nowhere/to.mp4': there is no such file"),
        (f'video_file:={ROOT}/LICENSE', 'cannot be played as video'),
        ('encoding:=16UC1', "encoding = '16UC1': must be one of bgr8, rgb8, mono8, yuv422"),
        ('rate:=0', 'rate = 0.0: must be'),
        ('width:=10', 'width = 10: must be'),
        ('rate:=fast', "rate = 'fast': must be a"),
    ],
)
def test_a_wrong_setting_is_one_line_and_the_end(setting, message):
    with camera(setting) as process:
        assert process.wait(timeout=DEADLINE_S) == 1
        printed = process.stdout.read()
    assert message in printed
    assert len(printed.splitlines()) == 1
    assert 'Traceback' not in printed


def test_a_file_that_goes_away_ends_the_node_with_one_line(ros, tmp_path):
    clip = tmp_path / 'clip.mp4'
    clip.write_bytes(CLIP.read_bytes())
    viewer = Viewer(*ros)
    with camera(f'video_file:={clip}') as process:
        viewer.wait(1, process)
        clip.unlink()
        # The clip is 8 s long; only at its end is the file looked for again.
        assert process.wait(timeout=DEADLINE_S) == 1
        printed = process.stdout.read()
    assert f'{clip}: there is no such file; check the path' in printed
    assert 'Traceback' not in printed


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('settings', [(), (f'video_file:={CLIP}',)])
def test_a_signal_ends_it_in_order(ros, number, settings):
    viewer = Viewer(*ros)
    with camera(*settings) as process:
        viewer.wait(1, process)
        code, printed = finish(process, number)
    assert code == 0
    assert 'Traceback' not in printed


def test_a_second_ctrl_c_changes_nothing(ros):
    viewer = Viewer(*ros)
    with camera() as process:
        viewer.wait(1, process)
        process.send_signal(signal.SIGINT)
        code, printed = finish(process, signal.SIGINT)
    assert code == 0
    assert 'Traceback' not in printed


def test_every_offered_encoding_can_be_made():
    assert set(parameters(TestCameraConfig)['encoding'].choices) == set(FROM_BGR)
