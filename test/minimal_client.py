"""Receive a robot's camera knowing nothing but the message formats of docs/protocol.md.

python test/minimal_client.py ws://robot:8765/ TOKEN
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp
from websockets.asyncio.client import ClientConnection, connect


async def receive(url: str, token: str, count: int, show: Callable[[Any], None]) -> None:
    """Call `show` with each of the next `count` pictures, which are av.VideoFrame."""
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    pc.addTransceiver('video', direction='recvonly')
    tracks: asyncio.Queue[MediaStreamTrack] = asyncio.Queue()
    pc.on('track', tracks.put_nowait)
    headers = {'Authorization': f'Bearer {token}'}
    try:
        async with (
            connect(url, additional_headers=headers, proxy=None) as socket,
            asyncio.TaskGroup() as group,
        ):
            listening = group.create_task(listen(socket, pc))
            track = await tracks.get()
            for _ in range(count):
                show(await track.recv())
            listening.cancel()
    finally:
        await pc.close()


async def listen(socket: ClientConnection, pc: RTCPeerConnection) -> None:
    """Offer to receive once the server has said hello, then take what the camera answers."""
    async for text in socket:
        message = json.loads(text)
        if message['type'] == 'connected':
            await pc.setLocalDescription(await pc.createOffer())
            await socket.send(json.dumps({'type': 'offer', 'sdp': pc.localDescription.sdp}))
        elif message['type'] == 'answer':
            await pc.setRemoteDescription(RTCSessionDescription(message['sdp'], 'answer'))
        elif message['type'] == 'ice_candidate' and message['candidate']:
            candidate = candidate_from_sdp(message['candidate'].removeprefix('candidate:'))
            candidate.sdpMid = message['sdpMid']
            candidate.sdpMLineIndex = message['sdpMLineIndex']
            await pc.addIceCandidate(candidate)
        elif message['type'] == 'error':
            raise RuntimeError(f'the server says: {message["message"]}')


if __name__ == '__main__':
    server, access_token = sys.argv[1:]
    asyncio.run(receive(server, access_token, 100, print))
