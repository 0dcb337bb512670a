"""One WebSocket connection of the server: frames in, messages out, nothing that waits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN

if TYPE_CHECKING:
    from rtc_signaling.server import SignalingServer
    from rtc_signaling.sessions import Client

# RFC 6455 close codes that this layer uses by itself.
UNSUPPORTED_DATA = 1003
INVALID_DATA = 1007
TOO_BIG = 1009

MAX_FRAGMENTS = 64
MAX_UNSENT_BYTES = 256 * 1024
_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


class ClientConnection(ServerConnection):
    """Relay messages inside the event that brings them.

    websockets' own way is a queue, a task and an await for each message; here `process_event`
    hands the message to the server at once, and the server writes to the other connection at
    once. Nothing queues and nobody is waited for: a peer with more than MAX_UNSENT_BYTES unsent
    is cut off. Since `recv()` is never used, its guard on the number of fragments is here.
    """

    def __init__(self, *args: Any, signaling: SignalingServer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.client: Client | None = None
        self.ended = asyncio.Event()
        self._signaling = signaling
        self._fragments: list[bytes] = []
        self._is_text = True

    def process_event(self, event: Any) -> None:
        """Take one event of the protocol: the request, or a frame."""
        if isinstance(event, Request) or event.opcode not in _DATA:
            super().process_event(event)
        elif self.client is None:
            # It came before the request was answered: no real client sends that.
            self.transport.abort()
        elif self.protocol.state is OPEN:
            self._take(event, self.client)

    def _take(self, frame: Frame, client: Client) -> None:
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        self._fragments.append(bytes(frame.data))
        if len(self._fragments) > MAX_FRAGMENTS:
            self.start_closing(TOO_BIG, f'more than {MAX_FRAGMENTS} fragments')
        elif frame.fin:
            data = b''.join(self._fragments)
            self._fragments.clear()
            self._deliver(data, client)

    def _deliver(self, data: bytes, client: Client) -> None:
        if not self._is_text:
            self.start_closing(UNSUPPORTED_DATA, 'messages are text')
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self.start_closing(INVALID_DATA, 'messages are UTF-8')
            return
        self._signaling.receive(client, text)

    def send_now(self, data: bytes) -> bool:
        """Write a text message without waiting; return whether it could be written."""
        if self.protocol.state is not OPEN:
            return False
        self.protocol.send_text(data)
        self.send_data()
        if self.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self.transport.abort()
            return False
        return True

    def start_closing(self, code: int, reason: str) -> None:
        """Send a close frame; the handler then sees the close to its end, by a deadline."""
        if self.protocol.state is OPEN:
            self.protocol.send_close(code, reason)
            self.send_data()
        self.ended.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the server as well."""
        super().connection_lost(exc)
        self.ended.set()
