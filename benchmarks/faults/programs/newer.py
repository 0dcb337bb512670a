"""A wire between clients and the server on which everybody seems to be of a newer version.

    newer.py SERVER_PORT

Each JSON message gets members that nobody knows, and before each message of the server comes one
of a type that nobody knows. It prints the port that it listens on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

FUTURE = {'x_future': {'nested': [1, None, {'deep': True}]}, 'minor': 7}


def grown(text: str | bytes) -> str:
    """Return a message with more members, in its lists of objects as well."""
    message: dict[str, Any] = json.loads(text)
    for value in message.values():
        for item in value if isinstance(value, list) else []:
            if isinstance(item, dict):
                item.update(FUTURE)
    return json.dumps({**message, **FUTURE})


async def carry(source: Any, sink: Any, *, unknown: bool) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for text in source:
            if unknown:
                await sink.send(json.dumps({'type': 'x_unknown', **FUTURE}))
            await sink.send(grown(text))
    code = source.close_code or 1006
    await sink.close(code if code != 1006 else 1011)


async def main(port: int) -> None:
    async def handle(client: ServerConnection) -> None:
        assert client.request is not None
        names = ('Authorization',)
        headers = {name: client.request.headers[name] for name in names
                   if name in client.request.headers}  # fmt: skip
        url = f'ws://127.0.0.1:{port}{client.request.path}'
        async with connect(url, additional_headers=headers, proxy=None) as server:
            await asyncio.gather(
                carry(client, server, unknown=False), carry(server, client, unknown=True)
            )

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    async with serve(handle, '127.0.0.1', 0) as listener:
        own = next(iter(listener.sockets)).getsockname()[1]
        print(json.dumps({'port': own}), flush=True)
        await stop.wait()


if __name__ == '__main__':
    asyncio.run(main(int(sys.argv[1])))
