"""Stand-ins for the world around the package: images, clients on a wire, WebRTC viewers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass
from urllib.parse import urlencode

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from rtc_signaling.auth import Tokens
from rtc_signaling.media.scene import CORNERS, Scene, read_corners, read_index

DEADLINE_S = 10.0
TOKENS = Tokens(sender='the-token-of-the-robot', receiver='the-token-of-viewers')


@dataclass
class FakeImage:
    """Be a sensor_msgs/Image without ROS."""

    height: int
    width: int
    encoding: str
    step: int
    data: bytes
    is_bigendian: int = 0


def scene_image(index, width=320, height=240):
    """Return an image of the synthetic scene, whose corners and index can be read back."""
    picture = Scene(width, height).render(index / 30, index)
    return FakeImage(height, width, 'bgr8', width * 3, picture.tobytes())


async def until(condition, what, deadline_s=DEADLINE_S):
    """Wait until `condition()` is true, and return what it returned."""
    end_s = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < end_s, f'{what}: not within {deadline_s:.0f} s'
        await asyncio.sleep(0.01)
    return value


class WireClient:
    """Be a client that knows only JSON and WebSockets; each wait has a deadline."""

    def __init__(self, socket):
        self.socket = socket

    async def send(self, **members):
        await self.socket.send(json.dumps(members))

    async def receive(self):
        async with asyncio.timeout(DEADLINE_S):
            data = await self.socket.recv()
        assert isinstance(data, str)
        return json.loads(data)

    async def expect(self, kind):
        """Return the next message, which has to be of this type."""
        message = await self.receive()
        assert message['type'] == kind, message
        return message

    async def closed(self):
        """Read to the end; return the close code (1006 if there was none) and the messages."""
        messages = []
        try:
            async with asyncio.timeout(DEADLINE_S):
                async for data in self.socket:
                    messages.append(json.loads(data))
        except ConnectionClosed:
            pass
        return self.socket.close_code, messages


@contextlib.asynccontextmanager
async def wire_client(port, *, host='127.0.0.1', path='/', token=None, options=None, **query):
    """Connect a WireClient; the welcome is still to be read."""
    url = f'ws://{host}:{port}{path}' + (f'?{urlencode(query)}' if query else '')
    headers = {} if token is None else {'Authorization': f'Bearer {token}'}
    async with connect(
        url, additional_headers=headers, compression=None, proxy=None, **(options or {})
    ) as socket:
        yield WireClient(socket)


@contextlib.asynccontextmanager
async def welcomed(port, **arguments):
    """Connect a WireClient that was let in; yields it with its welcome."""
    async with wire_client(port, **arguments) as client:
        yield client, await client.expect('connected')


class Viewer:
    """Be a WebRTC viewer on a signaling connection."""

    def __init__(self, client):
        self.client = client
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.receiver = self.connection.addTransceiver('video', direction='recvonly').receiver
        self.last = None

    async def offer(self, **members):
        await self.connection.setLocalDescription(await self.connection.createOffer())
        await self.client.send(type='offer', sdp=self.connection.localDescription.sdp, **members)

    async def answer(self):
        """Return the next answer's SDP; the camera's coming and going may be told before."""
        others = ('peer_joined', 'peer_left', 'bye')
        while (message := await self.client.receive())['type'] in others:
            pass
        assert message['type'] == 'answer'
        return message['sdp']

    async def take_answer(self):
        await self.connection.setRemoteDescription(
            RTCSessionDescription(await self.answer(), 'answer')
        )

    async def join(self):
        await self.offer()
        await self.take_answer()

    async def picture(self):
        """Return the next picture, BGR."""
        async with asyncio.timeout(DEADLINE_S):
            frame = await self.receiver.track.recv()
        return frame.to_ndarray(format='bgr24')

    async def take_pictures(self):
        """Take what comes until cancelled; `last` is the newest picture, BGR."""
        while True:
            frame = await self.receiver.track.recv()
            self.last = frame.to_ndarray(format='bgr24')

    async def watch(self, count=3):
        """Return the indices of the next pictures, which have to be of the scene."""
        indices = []
        while len(indices) < count:
            picture = await self.picture()
            assert read_corners(picture) == CORNERS
            indices.append(read_index(picture))
        assert None not in indices
        return indices

    async def close(self):
        await self.connection.close()

    def vanish(self):
        """Fall silent from one moment to the next, as a machine without power does."""
        self.client.socket.transport.abort()
        self.fall_silent()

    def fall_silent(self):
        """Let no media go either way any more; the signaling goes on."""
        for protocol in self.receiver.transport.transport._connection._protocols:
            protocol.transport.abort()


@contextlib.asynccontextmanager
async def viewing(port, **arguments):
    """Connect a viewer that has not made its offer yet."""
    async with wire_client(port, role='receiver', **arguments) as client:
        await client.expect('connected')
        viewer = Viewer(client)
        try:
            yield viewer
        finally:
            await viewer.close()
