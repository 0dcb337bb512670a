"""A client that knows only the message formats receives video from the real nodes."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path

import aioice.ice
import minimal_client
import pytest
from processes import running_stack

from rtc_signaling.media.scene import CORNERS, read_corners, read_index

DOMAIN_ID = 65
PICTURES = 60
DEADLINE_S = 30.0


@pytest.fixture(scope='module')
def stack(tmp_path_factory):
    with running_stack(tmp_path_factory.mktemp('stack'), DOMAIN_ID) as stack:
        stack.process('camera_sender').wait_for_output('connected to the signaling server')
        yield stack


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch):
    # aioice leaves loopback out, and a machine without a network has nothing else.
    addresses = ['127.0.0.1']
    monkeypatch.setattr(aioice.ice, 'get_host_addresses', lambda **_: addresses)


async def test_it_receives_the_camera(stack):
    pictures = []
    async with asyncio.timeout(DEADLINE_S):
        await minimal_client.receive(stack.server_url, stack.token, PICTURES, pictures.append)
    last = pictures[-1].to_ndarray(format='bgr24')
    assert last.shape == (480, 640, 3)
    assert read_corners(last) == CORNERS
    indices = [read_index(picture.to_ndarray(format='bgr24')) for picture in pictures]
    readable = [index for index in indices if index is not None]
    assert len(readable) > PICTURES / 2
    assert readable == sorted(set(readable))


async def test_it_says_why_the_server_refused_it(stack):
    with pytest.raises(ExceptionGroup) as refused:
        await minimal_client.receive(stack.server_url, 'wrong', 1, print)
    assert 'the server says: ' in str(refused.value.exceptions)


def test_it_knows_nothing_of_this_package_and_stays_small():
    text = Path(minimal_client.__file__).read_text(encoding='utf-8')
    imported = {
        name.split('.')[0]
        for node in ast.walk(ast.parse(text))
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else [node.module] if isinstance(node, ast.ImportFrom)
            else []
        )
    }  # fmt: skip
    assert 'rtc_signaling' not in imported
    assert {'aiortc', 'websockets'} <= imported
    assert len(text.splitlines()) <= 60
