"""The robot's launch file with real launch: nodes, topics, page, video, and an orderly end."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path
from unittest import mock

import pytest

for name in ('launch_ros', 'launch_testing'):
    pytest.importorskip(
        name, reason=f'no {name} here: it comes with an installation of ROS 2, not as a wheel'
    )

# ruff: noqa: E402  # only now it is sure that they can be imported

import aioice.ice
import launch_testing.actions
import launch_testing.asserts
import launch_testing.markers
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from diagnostic_msgs.msg import DiagnosticStatus
from fakes import viewing
from launch import LaunchDescription
from launch.actions import (
    GroupAction,
    IncludeLaunchDescription,
    SetEnvironmentVariable,
    UnsetEnvironmentVariable,
)
from processes import free_port
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import Image

from rtc_signaling.media._aiortc import offer_addresses
from rtc_signaling.tokens import TOKEN_VARIABLE, load

DOMAIN_ID = 72
# Three processes that import rclpy, aiortc and OpenCV at the same time, on a busy machine.
DEADLINE_S = 30.0
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
PARAMETERS = """
/**/signaling_server:
  ros__parameters: {{host: 127.0.0.1, port: {port}}}
/**/camera_sender:
  ros__parameters: {{server_url: 'ws://127.0.0.1:{port}', ice_addresses: [127.0.0.1]}}
/**/test_camera:
  ros__parameters: {{width: 320, height: 240}}
"""


@pytest.mark.launch_test
@launch_testing.parametrize('arguments_given', [False, True])
def generate_test_description(arguments_given):
    """Launch with the port and the topic as the parameter file or as arguments say them."""
    home = tempfile.TemporaryDirectory(prefix='rtc_signaling_launch.')
    port = free_port()
    file = Path(home.name, 'params.yaml')
    file.write_text(
        PARAMETERS.format(port=free_port() if arguments_given else port), encoding='utf-8'
    )
    arguments = {'params_file': str(file), 'test_camera': 'true'}
    image_topic = '/camera/image_raw'
    if arguments_given:
        image_topic = '/front/image_raw'
        arguments |= {'port': str(port), 'image_topic': image_topic}
    prefix, prefixes = find_package()
    environment = {
        'AMENT_PREFIX_PATH': prefixes,
        'ROS_DOMAIN_ID': str(DOMAIN_ID),
        'ROS_HOME': home.name,
    }
    robot = IncludeLaunchDescription(
        f'{prefix}/share/rtc_signaling/launch/robot.launch.py',
        launch_arguments=arguments.items(),
    )
    description = LaunchDescription(
        [
            # Scoped: the environment of the test's own process comes back.
            GroupAction(
                [
                    *(SetEnvironmentVariable(*item) for item in environment.items()),
                    UnsetEnvironmentVariable(TOKEN_VARIABLE),
                    robot,
                ]
            ),
            launch_testing.actions.ReadyToTest(),
        ]
    )
    return description, {'home': home, 'port': port, 'image_topic': image_topic}


def find_package():
    """Return where the package is installed, and the AMENT_PREFIX_PATH by which it is found.

    As colcon has installed it; without colcon, as it is in this virtual environment.
    """
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '')
    try:
        return get_package_prefix('rtc_signaling'), prefixes
    except PackageNotFoundError:
        return sys.prefix, f'{sys.prefix}:{prefixes}'


class TestRobot(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.context = Context()
        cls.context.init([], domain_id=DOMAIN_ID)
        cls.node = Node('test_robot_launch', context=cls.context)
        cls.executor = SingleThreadedExecutor(context=cls.context)
        cls.executor.add_node(cls.node)

    @classmethod
    def tearDownClass(cls):
        cls.executor.shutdown()
        cls.node.destroy_node()
        cls.context.try_shutdown()
        # launch asks this thread for its event loop next, and would leave a new one unclosed.
        loop = asyncio.new_event_loop()
        loop.close()
        asyncio.set_event_loop(loop)

    def wait_for(self, kind, topic, qos, accept=lambda message: True):
        """Return the first message on a topic that is accepted."""
        messages = []
        subscription = self.node.create_subscription(kind, topic, messages.append, qos)
        end_s = time.monotonic() + DEADLINE_S
        while not any(accept(message) for message in messages):
            assert time.monotonic() < end_s, f'{topic}: of {messages[-1:]} none was it'
            self.executor.spin_once(timeout_sec=0.2)
        self.node.destroy_subscription(subscription)
        return next(filter(accept, messages))

    def wait_until_ok(self, topic):
        """Wait for a status of level OK; return its values."""
        status = self.wait_for(
            DiagnosticStatus, topic, LATCHED, lambda status: status.level == DiagnosticStatus.OK
        )
        return {item.key: item.value for item in status.values}

    def test_server_says_that_a_robot_is_there(self):
        assert self.wait_until_ok('/signaling/status')['senders'] == '1'

    def test_sender_says_what_it_sends(self, port):
        values = self.wait_until_ok('/camera_sender/status')
        assert values['linked'] == 'yes'
        assert values['image'] == '320x240 bgr8'
        assert values['server_url'] == f'ws://127.0.0.1:{port}'

    def test_images_are_on_the_topic(self, image_topic):
        image = self.wait_for(Image, image_topic, qos_profile_sensor_data)
        assert (image.width, image.height, image.encoding) == (320, 240, 'bgr8')
        assert len(image.data) == 320 * 240 * 3

    def test_page_and_its_files_are_served(self, port):
        self.wait_until_ok('/signaling/status')
        for path in ('', 'viewer.js'):
            with urllib.request.urlopen(f'http://127.0.0.1:{port}/{path}', timeout=5) as answer:
                assert answer.status == 200
                assert answer.read()

    def test_parameters_are_read_by_their_service(self, port):
        client = AsyncParameterClient(self.node, 'signaling_server')
        assert client.wait_for_services(DEADLINE_S)
        future = client.get_parameters(['port', 'host'])
        self.executor.spin_until_future_complete(future, DEADLINE_S)
        values = future.result().values
        assert [values[0].integer_value, values[1].string_value] == [port, '127.0.0.1']

    def test_viewer_sees_the_scene(self, home, port):
        self.wait_until_ok('/camera_sender/status')
        token = load(Path(home.name, 'rtc_signaling', 'tokens.json')).receiver
        # Put back afterwards: it is chosen for the whole process.
        with mock.patch.object(aioice.ice, 'get_host_addresses'):
            offer_addresses(('127.0.0.1',))
            first, *_, last = asyncio.run(watch(port, token))
        assert last > first


async def watch(port, token):
    """Return the numbers of some pictures of the scene, whose colours have to be right."""
    async with asyncio.timeout(DEADLINE_S), viewing(port, token=token) as viewer:
        await viewer.join()
        return await viewer.watch()


@launch_testing.post_shutdown_test()
class TestRobotAfterShutdown(unittest.TestCase):
    def test_all_nodes_ended_in_order(self, proc_info, proc_output, home):
        self.addCleanup(home.cleanup)
        names = {name.rpartition('-')[0] for name in proc_info.process_names()}
        assert names == {'signaling_server', 'camera_sender', 'test_camera'}
        launch_testing.asserts.assertExitCodes(proc_info)
        written = ''.join(output.text.decode() for output in proc_output)
        assert 'open http://127.0.0.1:' in written
        assert 'Traceback' not in written
