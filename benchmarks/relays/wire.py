"""WebSocket clients on plain sockets, cheap enough that the server is the bottleneck.

The load generator must cost less than the servers that it measures, so it has no event loop, no
library and no JSON: frames are built once and sent many times, and what comes back is told apart
by the lengths in the frame headers.
"""

from __future__ import annotations

import base64
import os
import socket
import ssl
import time
from collections.abc import Callable

TEXT, BINARY, CLOSE, PING, PONG, CONT = 0x1, 0x2, 0x8, 0x9, 0xA, 0x0
SHORT = 126
READ_BYTES = 64 * 1024  # malloc takes this from its heap: more would be mapped anew each time


def frame(payload: bytes, opcode: int = TEXT, fin: bool = True) -> bytes:
    """Return one masked client frame; the mask is random and the work to remove it is real."""
    size = len(payload)
    head = bytes([opcode | (0x80 if fin else 0)])
    if size < SHORT:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += bytes([0x80 | SHORT]) + size.to_bytes(2)
    else:
        head += bytes([0x80 | 127]) + size.to_bytes(8)
    mask = os.urandom(4)
    repeated = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload) ^ int.from_bytes(repeated)
    return head + mask + masked.to_bytes(size)


class Connection:
    """One client: connects, shakes hands, and then counts what comes.

    Args:
        port: The server's port on 127.0.0.1.
        path: The request's path and query.
        headers: More request headers.
        tls: Wraps the socket, if given.
        receive_bytes: SO_RCVBUF, for a client that is meant to stall; 0 leaves the default.
    """

    def __init__(
        self,
        port: int,
        path: str,
        headers: dict[str, str],
        *,
        tls: ssl.SSLContext | None = None,
        receive_bytes: int = 0,
    ) -> None:
        raw = socket.socket()
        if receive_bytes:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        raw.settimeout(10)
        raw.connect(('127.0.0.1', port))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = raw if tls is None else tls.wrap_socket(raw)
        self._rest = b''
        self.closed = False
        self.close_code = 0
        self._shake_hands(port, path, headers)

    def _shake_hands(self, port: int, path: str, headers: dict[str, str]) -> None:
        lines = [
            f'GET {path} HTTP/1.1',
            f'Host: 127.0.0.1:{port}',
            'Upgrade: websocket',
            'Connection: Upgrade',
            f'Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}',
            'Sec-WebSocket-Version: 13',
            *(f'{name}: {value}' for name, value in headers.items()),
        ]
        self.socket.sendall('\r\n'.join([*lines, '', '']).encode())
        response = b''
        while b'\r\n\r\n' not in response:
            chunk = self.socket.recv(READ_BYTES)
            if not chunk:
                raise ConnectionError(f'closed during the handshake: {response!r}')
            response += chunk
        head, self._rest = response.split(b'\r\n\r\n', 1)
        if b' 101 ' not in head.split(b'\r\n', 1)[0]:
            raise ConnectionError(head.decode(errors='replace'))

    def fileno(self) -> int:
        """Return the socket's descriptor, for `select`."""
        return self.socket.fileno()

    def send(self, text: str) -> None:
        """Send one text message."""
        self.socket.sendall(frame(text.encode()))

    def read(self) -> list[bytes]:
        """Wait for bytes and return the whole text messages in them; answer pings on the way."""
        try:
            chunk = self.socket.recv(READ_BYTES)
        except ConnectionResetError:
            chunk = b''
        self.closed = self.closed or not chunk
        return self.parse(chunk)

    def parse(self, chunk: bytes) -> list[bytes]:
        """Return the text messages that are whole now."""
        data = self._rest + chunk if self._rest else chunk
        position, end = 0, len(data)
        found: list[bytes] = []
        while end - position >= 2:
            size, head = data[position + 1], 2
            if size >= SHORT:
                head = 4 if size == SHORT else 10
                size = int.from_bytes(data[position + 2 : position + head])
            after = position + head + size
            if end - position < head or after > end:
                break
            opcode = data[position] & 0xF
            payload = data[position + head : after]
            if opcode in (TEXT, BINARY):
                found.append(payload)
            else:
                self._control(opcode, payload)
            position = after
        self._rest = data[position:]
        return found

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self.socket.sendall(frame(payload, PONG))
        elif opcode == CLOSE:
            self.close_code = int.from_bytes(payload[:2])

    def wait_for(self, is_it: Callable[[bytes], bool], timeout_s: float = 10) -> bytes:
        """Read until a message comes that `is_it` accepts; others are dropped."""
        messages = self.parse(b'')
        deadline = time.monotonic() + timeout_s
        while True:
            for message in messages:
                if is_it(message):
                    return message
            if self.closed or time.monotonic() > deadline:
                raise ConnectionError(f'it never came; close code {self.close_code}')
            messages = self.read()

    def close(self) -> None:
        """Close in order: both close frames, then the end of the stream."""
        self.socket.sendall(frame((1000).to_bytes(2), CLOSE))
        while not self.closed:
            self.read()
        self.socket.close()
