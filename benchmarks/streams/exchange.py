"""How a viewer's offer reaches a sender and the answer comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection, connect


class Exchange(Protocol):
    """Hand over an offer and return the answer."""

    async def __call__(self, sdp: str) -> str: ...


@contextlib.asynccontextmanager
async def by_line(port: int) -> AsyncIterator[Exchange]:
    """Talk to `plain` or `gst`: one line each way, and the connection's end is the viewer's."""
    reader, writer = await asyncio.open_connection('127.0.0.1', port, limit=1_000_000)

    async def exchange(sdp: str) -> str:
        writer.write(json.dumps({'sdp': sdp}).encode() + b'\n')
        answer: dict[str, str] = json.loads(await reader.readline())
        return answer['sdp']

    try:
        yield exchange
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def by_signaling(port: int) -> AsyncIterator[Exchange]:
    """Talk to a camera by the signaling server, as docs/protocol.md says."""
    async with connect(f'ws://127.0.0.1:{port}/', proxy=None, compression=None) as socket:
        reading: list[asyncio.Task[None]] = []

        async def exchange(sdp: str) -> str:
            await _until_there_is_a_camera(socket)
            await socket.send(json.dumps({'type': 'offer', 'sdp': sdp}))
            answer = await _next(socket, 'answer')
            reading.append(asyncio.create_task(_read_on(socket)))
            return str(answer['sdp'])

        try:
            yield exchange
        finally:
            for task in reading:
                task.cancel()


async def _until_there_is_a_camera(socket: ClientConnection) -> None:
    welcome = await _next(socket, 'connected')
    if not welcome['peers']:
        await _next(socket, 'peer_joined')


async def _next(socket: ClientConnection, kind: str) -> dict[str, Any]:
    while True:
        message: dict[str, Any] = json.loads(await socket.recv())
        if message['type'] == kind:
            return message
        if message['type'] in ('error', 'bye'):
            raise RuntimeError(f'no {kind} but {message}')


async def _read_on(socket: ClientConnection) -> None:
    async for _ in socket:
        pass
