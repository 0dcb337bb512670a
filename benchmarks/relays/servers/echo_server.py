"""Echo what comes, over the server's own connection class: what Autobahn's test suite talks to.

Usage: echo_server.py PORT
"""

from __future__ import annotations

import asyncio
import functools
import signal
import sys
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from rtc_signaling.connection import ClientConnection
from rtc_signaling.server.outgoing import Outgoing
from rtc_signaling.server_config import ServerConfig


class EchoConnection(ClientConnection):
    """Send each whole message back instead of handing it to the signaling server.

    The server takes text alone; so that Autobahn's binary cases say something about the frames
    as well, here both are echoed.
    """

    def _deliver(self, data: bytes, client: Any) -> None:
        if self._is_text:
            super()._deliver(data, client)
        else:
            self.protocol.send_binary(data)
            self.send_data()


class Echo:
    """Stand in for the signaling server."""

    def __init__(self) -> None:
        self._outgoing = Outgoing()

    def socket_opened(self, _connection: EchoConnection) -> bool:
        """Take every socket."""
        return True

    def socket_closed(self, connection: EchoConnection) -> None:
        """Take the end of one."""

    def flush(self) -> None:
        """Write what a read has led to."""
        self._outgoing.flush()

    def receive(self, client: EchoConnection, text: str, _size_bytes: int) -> None:
        """Send the text back to where it came from; the connection is its own client here."""
        self._outgoing.add(client, text.encode())


async def handle(connection: ServerConnection) -> None:
    """See one client through."""
    assert isinstance(connection, EchoConnection)
    connection.client = connection  # type: ignore[assignment]
    await connection.ended.wait()


async def main(port: int) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with serve(
        handle,
        '127.0.0.1',
        port,
        create_connection=functools.partial(EchoConnection, signaling=Echo()),  # type: ignore[arg-type]
        compression=None,
        max_size=ServerConfig().max_message_bytes,
    ):
        await stop.wait()


if __name__ == '__main__':
    asyncio.run(main(int(sys.argv[1])))
