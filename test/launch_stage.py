"""The robot's launch file in a test: where it is found, and another node that watches it."""

from __future__ import annotations

import asyncio
import os
import sys
import unittest
from pathlib import Path
from unittest import mock

import aioice.ice
import launch_testing.actions
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from fakes import viewing
from launch import LaunchDescription
from launch.actions import (
    GroupAction,
    IncludeLaunchDescription,
    SetEnvironmentVariable,
    SetLaunchConfiguration,
    UnsetEnvironmentVariable,
)
from processes import wait_until
from ros_stage import DEADLINE_S, observing

from rtc_signaling.media._aiortc import offer_addresses
from rtc_signaling.tokens import TOKEN_VARIABLE, load


def robot(home, domain_id, arguments):
    """Return the description of a robot in a domain of its own, with its files in `home`."""
    prefix, prefixes = _find_package()
    environment = {
        'AMENT_PREFIX_PATH': prefixes, 'ROS_DOMAIN_ID': str(domain_id), 'ROS_HOME': home,
    }  # fmt: skip
    actions = [
        *(SetEnvironmentVariable(*item) for item in environment.items()),
        UnsetEnvironmentVariable(TOKEN_VARIABLE),
        IncludeLaunchDescription(
            f'{prefix}/share/rtc_signaling/launch/robot.launch.py',
            launch_arguments=arguments.items(),
        ),
    ]
    return LaunchDescription(
        [
            # On a busy machine Python alone takes as long as launch waits before it sends SIGTERM.
            SetLaunchConfiguration('sigterm_timeout', str(DEADLINE_S)),
            # Scoped: the environment of the test's own process comes back.
            GroupAction(actions),
            launch_testing.actions.ReadyToTest(),
        ]
    )


def _find_package():
    """Return where the package is installed, and the AMENT_PREFIX_PATH by which it is found.

    As colcon has installed it; without colcon, as it is in this virtual environment.
    """
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '')
    try:
        return get_package_prefix('rtc_signaling'), prefixes
    except PackageNotFoundError:
        return sys.prefix, f'{sys.prefix}:{prefixes}'


class ObservedTestCase(unittest.TestCase):
    """Have an observer in the domain of the robot.

    Attributes:
        domain_id: To be said by the class.
        observer: A `ros_stage.Observer`.
    """

    @classmethod
    def setUpClass(cls):
        cls.observer = cls.enterClassContext(observing(cls.domain_id))

    @classmethod
    def tearDownClass(cls):
        # launch asks this thread for its event loop next, and would leave a new one unclosed.
        loop = asyncio.new_event_loop()
        loop.close()
        asyncio.set_event_loop(loop)


def receive(home, port, sender):
    """Return the numbers of some pictures that a viewer gets of a camera's scene, in order."""
    file = Path(home, 'rtc_signaling', 'tokens.json')
    wait_until(file.exists, DEADLINE_S, f'{file} is not there')
    # Put back afterwards: it is chosen for the whole process.
    with mock.patch.object(aioice.ice, 'get_host_addresses'):
        offer_addresses(('127.0.0.1',))
        return asyncio.run(_watch(port, load(file).receiver, sender))


async def _watch(port, token, sender):
    async with asyncio.timeout(DEADLINE_S), viewing(port, token=token) as viewer:
        await viewer.offer(sender_id=sender)
        await viewer.take_answer()
        return await viewer.watch()
