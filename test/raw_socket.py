"""WebSockets without a library: frames as wrong as a test wants them, from any address."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import socket
import time
from typing import Any

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
DEADLINE_S = 10.0
_addresses = itertools.count(256 + 1)

Json = dict[str, Any]


def new_address() -> str:
    """Return an address of 127.0.0.0/8 of one's own: limits by address then do not mix."""
    number = next(_addresses)
    return f'127.0.{number // 250}.{number % 250 + 1}'


def frame(
    payload: bytes = b'',
    opcode: int = TEXT,
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    size: int | None = None,
) -> bytes:
    """Return one frame; `size` is what its header says if that is not the truth."""
    size = len(payload) if size is None else size
    mask_bit = 0x80 if masked else 0
    head = bytes([opcode | rsv << 4 | (0x80 if fin else 0)])
    if size < 126:
        head += bytes([mask_bit | size])
    elif size < 1 << 16:
        head += bytes([mask_bit | 126]) + size.to_bytes(2)
    else:
        head += bytes([mask_bit | 127]) + size.to_bytes(8)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (
        head + mask + (int.from_bytes(payload) ^ int.from_bytes(repeated)).to_bytes(len(payload))
    )


def request(port: int, path: str = '/', host: str = '', **headers: str) -> bytes:
    """Return the request that opens a WebSocket; `_` in names of headers stands for `-`."""
    lines = [
        f'GET {path} HTTP/1.1',
        f'Host: {host or f"127.0.0.1:{port}"}',
        'Upgrade: websocket',
        'Connection: Upgrade',
        f'Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}',
        'Sec-WebSocket-Version: 13',
        *(f'{name.replace("_", "-")}: {value}' for name, value in headers.items()),
    ]
    return '\r\n'.join([*lines, '', '']).encode('latin-1')


class RawSocket:
    """Be one TCP connection to the server; as a context, closed at its end.

    Args:
        port: The server's port on 127.0.0.1.
        address: Where it seems to come from.
        receive_bytes: SO_RCVBUF, for one that does not read.
    """

    def __init__(self, port: int, *, address: str = '', receive_bytes: int = 0) -> None:
        self.port = port
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.bind((address or new_address(), 0))
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect(('127.0.0.1', port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.close_code = 0
        self._rest = b''

    def __enter__(self) -> RawSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def upgrade(self, path: str = '/', host: str = '', **headers: str) -> tuple[int, str]:
        """Ask for a WebSocket; return the status and the head of the answer."""
        self.send(request(self.port, path, host, **headers))
        return self.response()

    def response(self) -> tuple[int, str]:
        """Return the status and the head of an HTTP response; 0 if the server hung up."""
        while b'\r\n\r\n' not in self._rest:
            if not self._fill():
                break
        head, _, self._rest = self._rest.partition(b'\r\n\r\n')
        text = head.decode('latin-1')
        return (int(text.split()[1]) if text else 0), text

    def enter(self, token: str, client_id: str = '', role: str = 'receiver') -> Json:
        """Come in with a token; return the welcome."""
        name = f'&client_id={client_id}' if client_id else ''
        status, head = self.upgrade(f'/?role={role}{name}', Authorization=f'Bearer {token}')
        assert status == 101, head
        return self.expect('connected')

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def say(self, **members: object) -> None:
        """Send one message."""
        self.send(frame(json.dumps(members).encode()))

    def expect(self, kind: str) -> Json:
        """Return the next message of this type; others before it are dropped."""
        while (message := self.message())['type'] != kind:
            pass
        return message

    def message(self) -> Json:
        """Return the next message; ConnectionError if the server closes instead."""
        while (got := self.read()) is not None:
            opcode, payload = got
            if opcode == TEXT:
                message: Json = json.loads(payload)
                return message
        raise ConnectionError(f'the connection has ended, code {self.close_code}')

    def read(self) -> tuple[int, bytes] | None:
        """Return the next frame, None at the end; pings are answered, close codes kept."""
        while (got := self._parse()) is None:
            if not self._fill():
                return None
        opcode, payload = got
        if opcode == PING:
            self.send(frame(payload, PONG))
        elif opcode == CLOSE:
            self.close_code = int.from_bytes(payload[:2])
            with contextlib.suppress(OSError):
                self.send(frame(payload[:2], CLOSE))
        return got

    def end(self) -> int:
        """Read to the end; return the close code, 1006 if there was none."""
        deadline_s = time.monotonic() + DEADLINE_S
        try:
            while self.read() is not None:
                assert time.monotonic() < deadline_s, 'the server lets it stay'
        except ConnectionError:
            pass
        return self.close_code or 1006

    def _fill(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self._rest += data
        return bool(data)

    def _parse(self) -> tuple[int, bytes] | None:
        data = self._rest
        if len(data) < 2:
            return None
        size, start = data[1] & 0x7F, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(data) < start:
                return None
            size = int.from_bytes(data[2:start])
        if len(data) < start + size:
            return None
        self._rest = data[start + size :]
        return data[0] & 0xF, data[start : start + size]
