"""Depth images through the whole node: what a viewer sees of them, and the live mapping."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from fakes import FakeImage, viewing
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from ros_stage import DEADLINE_S, lines

from rtc_signaling.auth import OpenAuthenticator
from rtc_signaling.server import SignalingServer
from rtc_signaling.server_config import ServerConfig

DOMAIN_ID = 80


@pytest.fixture
def domain_id():
    return DOMAIN_ID


def set_double(observer, name, value):
    value = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=value)
    request = SetParameters.Request(parameters=[Parameter(name=name, value=value)])
    result = observer.call(SetParameters, '/camera_sender/set_parameters', request).results[0]
    return result.successful, result.reason


async def shade_near(viewer, wanted):
    """Watch until the picture has that shade, give or take what the encoder does to it."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            picture = await viewer.picture()
            if abs(picture.mean() - wanted) < 6:
                return picture


async def test_a_viewer_sees_depth_as_the_parameters_say(start, observer):
    metres = np.full((64, 96), 2.0, '<f4')
    driver = observer.driver()
    driver.show(FakeImage(64, 96, '32FC1', 96 * 4, metres.tobytes()))
    config = ServerConfig(host='127.0.0.1', port=0)
    async with SignalingServer(config, OpenAuthenticator()).run() as server:
        with driver:
            url = f'server_url:=ws://127.0.0.1:{server.port}'
            process = await asyncio.to_thread(start, 'camera_sender', url, 'depth.far:=4.0')
            await asyncio.to_thread(process.wait_for_output, 'connected to the signaling server')
            async with viewing(server.port) as viewer:
                await viewer.join()
                # 2 m between 0.3 and 4: 26 + 229 * (4 - 2) / (4 - 0.3).
                await shade_near(viewer, 150)
                words = 'images are 96x64 32FC1, shown as depth in grey from 0.3 m (bright) to 4 m'
                assert process.output.count(words) == 1
                assert await asyncio.to_thread(set_double, observer, 'depth.near', 3.0) == (
                    True, '',
                )  # fmt: skip
                await shade_near(viewer, 255)
                refused = await asyncio.to_thread(set_double, observer, 'depth.far', 2.5)
                assert refused == (False, 'depth.far = 2.5: must be above depth.near, 3')
                assert await asyncio.to_thread(set_double, observer, 'depth.near', 1.0) == (
                    True, '',
                )  # fmt: skip
                await shade_near(viewer, 26 + 229 * 2 / 3)
    assert not [line for line in lines(process) if 'image' in line]
