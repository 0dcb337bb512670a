"""Several cameras in a namespace, with respawn, by real launch: statuses, a kill, the end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
import unittest
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
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import DurabilityPolicy, QoSProfile

from rtc_signaling.media._aiortc import offer_addresses
from rtc_signaling.tokens import TOKEN_VARIABLE, load

DOMAIN_ID = 88
DEADLINE_S = 30.0
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
PARAMETERS = """
/**/signaling_server:
  ros__parameters: {host: 127.0.0.1}
/**/camera_sender:
  ros__parameters: {ice_addresses: [127.0.0.1]}
/**/test_camera:
  ros__parameters: {width: 320, height: 240}
"""
# '1' is text, though launch would read it as a number.
CAMERAS = """
cameras:
  - {name: front, client_id: '1', parameters: {max_viewers: 3}}
  - {name: rear, image_topic: arm/image_raw}
"""


@pytest.mark.launch_test
def generate_test_description():
    """Launch one robot with two cameras in a namespace."""
    home = tempfile.TemporaryDirectory(prefix='rtc_signaling_launch.')
    port = free_port()
    params, cameras = Path(home.name, 'params.yaml'), Path(home.name, 'cameras.yaml')
    params.write_text(PARAMETERS, encoding='utf-8')
    cameras.write_text(CAMERAS, encoding='utf-8')
    arguments = {
        'namespace': 'robot1', 'params_file': str(params), 'cameras_file': str(cameras),
        'port': str(port), 'test_camera': 'true', 'respawn': 'true', 'respawn_delay': '0.2',
        'log_level': 'info',
    }  # fmt: skip
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '')
    try:
        prefix = get_package_prefix('rtc_signaling')
    except PackageNotFoundError:
        prefix, prefixes = sys.prefix, f'{sys.prefix}:{prefixes}'
    environment = {
        'AMENT_PREFIX_PATH': prefixes, 'ROS_DOMAIN_ID': str(DOMAIN_ID), 'ROS_HOME': home.name,
    }  # fmt: skip
    robot = IncludeLaunchDescription(
        f'{prefix}/share/rtc_signaling/launch/robot.launch.py',
        launch_arguments=arguments.items(),
    )
    actions = [
        *(SetEnvironmentVariable(*item) for item in environment.items()),
        UnsetEnvironmentVariable(TOKEN_VARIABLE),
        robot,
    ]
    description = LaunchDescription([GroupAction(actions), launch_testing.actions.ReadyToTest()])
    return description, {'home': home, 'port': port}


class TestRobots(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.context = Context()
        cls.context.init([], domain_id=DOMAIN_ID)
        cls.node = Node('test_robots_launch', context=cls.context)
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

    def wait_until_ok(self, topic):
        """Wait for a status of level OK; return its values."""
        heard = []
        subscription = self.node.create_subscription(
            DiagnosticStatus, topic, heard.append, LATCHED
        )
        end_s = time.monotonic() + DEADLINE_S
        while not any(status.level == DiagnosticStatus.OK for status in heard):
            assert time.monotonic() < end_s, f'{topic}: {heard[-1:]}'
            self.executor.spin_once(timeout_sec=0.2)
        self.node.destroy_subscription(subscription)
        status = next(status for status in heard if status.level == DiagnosticStatus.OK)
        return {item.key: item.value for item in status.values}

    def call(self, future):
        self.executor.spin_until_future_complete(future, DEADLINE_S)
        return future.result()

    def test_each_camera_has_a_sender_that_sends(self, home, port):
        token = load_token(home)
        for name, sender in (('front', '1'), ('rear', 'rear')):
            values = self.wait_until_ok(f'/robot1/{name}/camera_sender/status')
            assert values['image'] == '320x240 bgr8'
            with mock.patch.object(aioice.ice, 'get_host_addresses'):
                offer_addresses(('127.0.0.1',))
                first, *_, last = asyncio.run(watch(port, token, sender))
            assert last > first

    def test_parameters_are_those_of_the_list_and_a_read_only_one_is_refused(self):
        client = AsyncParameterClient(self.node, '/robot1/front/camera_sender')
        assert client.wait_for_services(DEADLINE_S)
        values = self.call(client.get_parameters(['client_id', 'max_viewers'])).values
        assert (values[0].string_value, values[1].integer_value) == ('1', 3)
        wanted = Parameter('client_id', Parameter.Type.STRING, 'other')
        (result,) = self.call(client.set_parameters([wanted])).results
        assert not result.successful
        assert 'read-only' in result.reason
        values = self.call(client.get_parameters(['client_id'])).values
        assert values[0].string_value == '1'

    def test_topic_of_the_list_is_below_the_namespace(self):
        self.wait_until_ok('/robot1/rear/camera_sender/status')
        assert self.node.count_publishers('/robot1/arm/image_raw') == 1
        assert self.node.count_subscribers('/robot1/arm/image_raw') == 1

    def test_zz_a_killed_server_comes_back(self, proc_info, proc_output):
        """Last by its name: the server of the other tests is another one from here on."""
        status = '/robot1/signaling/status'
        self.wait_until_ok(status)
        (name,) = [name for name in proc_info.process_names() if 'signaling_server' in name]
        os.kill(proc_info[name].pid, signal.SIGKILL)
        end_s = time.monotonic() + DEADLINE_S
        while started(proc_output) < 2:
            assert time.monotonic() < end_s, 'the server was not started again'
            self.executor.spin_once(timeout_sec=0.2)
        assert self.wait_until_ok(status)['senders'] in ('1', '2')


def started(proc_output):
    return sum(output.text.decode().count('open http://') for output in proc_output)


def load_token(home):
    file = Path(home.name, 'rtc_signaling', 'tokens.json')
    end_s = time.monotonic() + DEADLINE_S
    while not file.exists():
        assert time.monotonic() < end_s, f'{file} is not there'
        time.sleep(0.05)
    return load(file).receiver


async def watch(port, token, sender):
    """Return the numbers of some pictures of the scene that a sender sends."""
    async with asyncio.timeout(DEADLINE_S), viewing(port, token=token) as viewer:
        await viewer.offer(sender_id=sender)
        await viewer.take_answer()
        return await viewer.watch()


@launch_testing.post_shutdown_test()
class TestRobotsAfterShutdown(unittest.TestCase):
    def test_all_ended_in_order_except_the_killed_one(self, proc_info, proc_output, home):
        self.addCleanup(home.cleanup)
        # launch_testing keeps the last exit code of each: that of the server which came back.
        assert {proc_info[name].returncode for name in proc_info.process_names()} == {0}
        assert 'Traceback' not in ''.join(output.text.decode() for output in proc_output)
