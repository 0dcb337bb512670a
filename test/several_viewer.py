"""A WebRTC viewer of several cameras in one peer connection."""

from __future__ import annotations

import asyncio
import contextlib
import re

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from fakes import DEADLINE_S, wire_client

from rtc_signaling.media.scene import read_index


class Viewer:
    """Be a WebRTC viewer with several video sections."""

    def __init__(self, client, count):
        self.client = client
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.transceivers = [
            self.connection.addTransceiver('video', direction='recvonly') for _ in range(count)
        ]
        self.loop = asyncio.get_running_loop()

    async def join(self, **members):
        await self.connection.setLocalDescription(await self.connection.createOffer())
        sdp = self.connection.localDescription.sdp
        await self.client.send(type='offer', sdp=sdp, **members)
        self.sdp = (await self.hear('answer'))['sdp']
        await self.connection.setRemoteDescription(RTCSessionDescription(self.sdp, 'answer'))

    async def hear(self, kind):
        """Return the next message of this type."""
        while (message := await self.client.receive())['type'] != kind:
            pass
        return message

    @property
    def streams(self):
        """The id of the MediaStream of each video section of the answer; None if inactive."""
        sections = re.split(r'^m=', self.sdp, flags=re.M)[1:]
        return [
            re.search(r'^a=msid:(\S+) ', section, re.M)[1]
            if re.search(r'^a=sendonly', section, re.M)
            else None
            for section in sections
            if section.startswith('video')
        ]

    async def watch(self, place, count=3):
        """Return the width of a section's pictures, which have to go on."""
        indices = []
        async with asyncio.timeout(DEADLINE_S):
            while len(indices) < count:
                frame = await self.transceivers[place].receiver.track.recv()
                indices.append(read_index(frame.to_ndarray(format='bgr24')))
        assert indices == sorted(set(indices))
        return frame.width

    async def take(self, place):
        """Take what comes in a section until cancelled, or until the camera ends."""
        with contextlib.suppress(MediaStreamError):
            while True:
                await self.transceivers[place].receiver.track.recv()

    async def drain(self, place):
        """Take what comes in a section until nothing has come for a second."""
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(1.0):
                    await self.transceivers[place].receiver.track.recv()


@contextlib.asynccontextmanager
async def viewing(port, count, **arguments):
    async with wire_client(port, role='receiver', **arguments) as client:
        viewer = Viewer(client, count)
        viewer.welcome = await client.expect('connected')
        try:
            yield viewer
        finally:
            await viewer.connection.close()
