"""The doctor's look at the camera's topic: real DDS, and publishers in other processes."""

from __future__ import annotations

import contextlib
import sys
import time

import pytest
from processes import Process, executable, ros_environment
from rclpy.qos import qos_profile_sensor_data
from ros_stage import observing
from sensor_msgs.msg import Image

from rtc_signaling.doctor.findings import Verdict
from rtc_signaling.doctor.ros_verdicts import judge
from rtc_signaling.errors import ConfigurationError
from rtc_signaling.ros.camera_probe import CameraProbe

DOMAIN_ID = 83
# After the camera was found and the probe has let things settle.
LATE_S = 2.5
# Subscribes as it is told, and says so.
LISTENER = """
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('listener')
qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
node.create_subscription(Image, 'camera/image_raw', lambda image: None, qos)
print('listening', flush=True)
rclpy.spin(node)
"""


@pytest.fixture(autouse=True)
def _domain(monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(DOMAIN_ID))
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')


@pytest.fixture
def camera(tmp_path):
    """Return a function that runs test_camera, with transports for large images or without."""
    with contextlib.ExitStack() as stack:

        def start(*options, large=True):
            environment = ros_environment(DOMAIN_ID, tmp_path)
            if not large:
                environment = {k: v for k, v in environment.items() if 'PROFILES_FILE' not in k}
            command = [executable('test_camera'), '--ros-args', *options]
            process = Process('test_camera', command, environment)
            stack.callback(process.stop)
            process.wait_for_output('publishing')
            return process

        yield start


def observe(topic='', *ros_arguments, video_came=False):
    """Return the facts and the findings by check."""
    facts = CameraProbe(topic, ros_arguments)(lambda: False)
    return facts, {finding.check: finding for finding in judge(facts, video_came)}


def test_a_camera_of_another_process(camera):
    camera('-p', 'width:=320', '-p', 'height:=240')
    facts, found = observe()
    assert facts.image == '320x240 bgr8'
    assert facts.received > 0
    assert '/test_camera' in found['camera_topic'].seen
    assert found['camera_topic'].verdict is Verdict.OK
    assert found['qos'].verdict is Verdict.WARN
    assert 'nobody listens but the doctor' in found['qos'].seen
    assert found['dds'].verdict is Verdict.OK
    assert f'domain {DOMAIN_ID}, discovery LOCALHOST' in found['dds'].seen


def test_compressed_images_beside_the_topic(camera):
    camera('-p', 'width:=320', '-p', 'height:=240', '-p', 'image_transport:=compressed')
    facts, found = observe()
    assert facts.topic == '/camera/image_raw/compressed'
    assert facts.image.startswith('jpeg')
    assert facts.received > 0
    assert found['camera_topic'].verdict is Verdict.OK
    assert 'image_transport:=compressed' in found['camera_topic'].seen


def test_large_images_that_get_lost_are_named_with_the_remedy(camera):
    camera('-p', 'width:=1280', '-p', 'height:=720', large=False)
    facts, found = observe()
    if 'fastrtps' not in facts.middleware:
        pytest.skip(f'{facts.middleware} is not Fast DDS, whose loss this is about')
    assert found['rate'].verdict is Verdict.WARN
    assert f'{facts.lost} of {facts.received + facts.lost} were lost' in found['rate'].seen
    assert 'fastdds_images.xml' in found['rate'].remedy


def test_a_subscription_that_wants_more_than_is_offered(camera, tmp_path):
    camera('-p', 'width:=64', '-p', 'height:=64')
    listener = Process(
        'listener', [sys.executable, '-c', LISTENER], ros_environment(DOMAIN_ID, tmp_path)
    )
    try:
        listener.wait_for_output('listening')
        facts, found = observe()
    finally:
        listener.kill()
    assert found['qos'].verdict is Verdict.FAIL
    assert found['qos'].seen == (
        '/test_camera (best_effort, volatile) does not reach /listener (reliable, volatile)'
    )
    assert [endpoint.node for endpoint in facts.subscriptions] == ['/listener']


def test_a_subscription_that_is_discovered_later_than_the_camera_is_waited_for(camera):
    camera('-p', 'width:=64', '-p', 'height:=64')
    with observing(DOMAIN_ID) as listener:
        begun_s = time.monotonic()
        heard = []

        def stopped():
            if not heard and time.monotonic() > begun_s + LATE_S:
                heard.append(listener.hear('/camera/image_raw', Image, qos_profile_sensor_data))
            return False

        facts = CameraProbe('', [])(stopped)
    assert [endpoint.node for endpoint in facts.subscriptions] == ['/observer']


def test_no_camera_at_all():
    facts, found = observe('/nobody/image_raw')
    assert facts.publishers == ()
    assert found['camera_topic'].verdict is Verdict.FAIL
    assert found['rate'].verdict is Verdict.SKIP


def test_it_stops_when_it_is_told():
    facts = CameraProbe('/nobody/image_raw', [])(lambda: True)
    assert facts.waited_s < 1.0


@pytest.mark.parametrize(
    ('topic', 'arguments', 'name'),
    [
        ('', (), '/camera/image_raw'),
        ('rear/image', (), '/rear/image'),
        ('', ('--ros-args', '-r', 'camera/image_raw:=/front/image_raw'), '/front/image_raw'),
        ('', ('--ros-args', '-r', '__ns:=/robot'), '/robot/camera/image_raw'),
    ],
)
def test_the_topic_is_named_and_remapped_as_of_any_node(topic, arguments, name):
    assert CameraProbe(topic, arguments)(lambda: True).topic == name


@pytest.mark.parametrize(
    ('topic', 'arguments'), [('a b', ()), ('', ('--ros-args', '-r', 'nonsense'))]
)
def test_what_ros_cannot_read_is_one_error(topic, arguments):
    with pytest.raises(ConfigurationError, match='--topic, --ros-args'):
        CameraProbe(topic, arguments)
