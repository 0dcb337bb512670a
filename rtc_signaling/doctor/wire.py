"""What the doctor does on the wire: TCP, HTTP, the WebSocket, one message at a time.

Each function returns facts, whatever the other side does or leaves undone: no step takes longer
than STEP_TIMEOUT_S. `wire_verdicts` says what the facts mean.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import ssl
import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from http.client import HTTPException, parse_headers
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
)

from rtc_signaling.client import MAX_MESSAGE_BYTES
from rtc_signaling.doctor.target import Target
from rtc_signaling.doctor.wire_verdicts import Login, Reach, Trouble
from rtc_signaling.errors import ProtocolError
from rtc_signaling.messages import (
    Authenticate,
    Connected,
    Decoder,
    Encoder,
    Error,
    FromServer,
    Message,
)

STEP_TIMEOUT_S = 5.0
_LATE = f'no answer within {STEP_TIMEOUT_S:g} s'
# /metrics has some 10 kB; what pours out more is no server of ours.
MAX_PAGE_BYTES = 1_048_576
# By the verification's results in OpenSSL's x509_vfy.h; every other one is about trust.
_CERTIFICATE_TROUBLES = {
    9: Trouble.OUT_OF_DATE,  # X509_V_ERR_CERT_NOT_YET_VALID
    10: Trouble.OUT_OF_DATE,  # X509_V_ERR_CERT_HAS_EXPIRED
    62: Trouble.OTHER_NAME,  # X509_V_ERR_HOSTNAME_MISMATCH
    64: Trouble.OTHER_NAME,  # X509_V_ERR_IP_ADDRESS_MISMATCH
}
_QUERY = 'role=receiver&auth=message'


async def open_port(target: Target) -> Reach:
    """Open a TCP connection to the server and close it again."""
    started_s = time.monotonic()
    try:
        async with asyncio.timeout(STEP_TIMEOUT_S):
            # Apart from the connection, so that it can be told which of both hangs.
            await asyncio.get_running_loop().getaddrinfo(
                target.host, target.port, type=socket.SOCK_STREAM
            )
    except TimeoutError:
        return Reach(Trouble.LOOKUP, f'looking up the name {target.host!r}: {_LATE}')
    except (OSError, UnicodeError) as error:
        return _unreachable(target, error)
    try:
        async with asyncio.timeout(STEP_TIMEOUT_S):
            _, writer = await asyncio.open_connection(target.host, target.port)
    except OSError as error:
        return _unreachable(target, error)
    writer.close()
    return Reach(took_ms=(time.monotonic() - started_s) * 1000)


async def get(target: Target, page: str, token: str = '') -> Reach:
    """Get a page of the server; returns its status, and its text as the detail.

    Args:
        target: The server.
        page: The page's name, such as `healthz`.
        token: Sent as a Bearer token, if there is one.
    """
    authorization = f'Authorization: Bearer {token}\r\n' if token else ''
    request = (
        f'GET {target.path}{page} HTTP/1.1\r\nHost: {target.authority}\r\n'
        f'Connection: close\r\n{authorization}\r\n'
    )
    try:
        async with asyncio.timeout(STEP_TIMEOUT_S):
            answer = await _exchange(target, request.encode('utf-8', 'replace'))
        head, _, body = answer.partition(b'\r\n\r\n')
        status_line, _, headers = head.partition(b'\r\n')
        protocol, status, *_ = status_line.decode('latin-1').split(' ', 2)
        parse_headers(io.BytesIO(headers + b'\r\n\r\n'))
        if not protocol.startswith('HTTP/'):
            raise ValueError(protocol)
        return Reach(Trouble.STATUS, body.decode('utf-8', 'replace'), status=int(status))
    except OSError as error:
        return _unreachable(target, error)
    except (ValueError, HTTPException):
        return Reach(Trouble.NOT_HTTP, 'the answer is not HTTP')


async def _exchange(target: Target, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(
        target.host, target.port, ssl=ssl.create_default_context() if target.secure else None
    )
    try:
        writer.write(request)
        answer = b''
        while len(answer) < MAX_PAGE_BYTES and (data := await reader.read(65536)):
            answer += data
        return answer
    finally:
        writer.close()


class Line:
    """Be a WebSocket to the server, open or not.

    Attributes:
        reach: How opening it went.
    """

    def __init__(self, reach: Reach, socket: ClientConnection | None = None) -> None:
        self.reach = reach
        self._socket = socket
        self._decoder: Decoder[FromServer] = Decoder(FromServer)
        self._encoder = Encoder()

    async def log_in(self, token: str) -> Login:
        """Show a token ('' for none), and return what the server said to it."""
        try:
            async with asyncio.timeout(STEP_TIMEOUT_S):
                return await self._log_in(token)
        except TimeoutError:
            return Login(text=_LATE, foreign=True)

    async def _log_in(self, token: str) -> Login:
        first = await self._ask(Authenticate(token=token))
        if isinstance(first, Connected):
            return Login(welcome=first)
        if isinstance(first, Error):
            return Login(close_code=await self._close_code(), text=first.message)
        if isinstance(first, str):
            return Login(None, self._code(), first, foreign=not self._code())
        return Login(text=f'{type(first).__name__} in place of a welcome', foreign=True)

    async def answer(self, message: Message) -> FromServer | str:
        """Send a message and return what comes with its `msg_id`; others are passed over.

        Returns:
            A text that says why there is no answer, where there is none.
        """
        try:
            async with asyncio.timeout(STEP_TIMEOUT_S):
                found = await self._ask(message)
                while not isinstance(found, str) and found.msg_id != message.msg_id:
                    found = await self._next()
                return found
        except TimeoutError:
            return _LATE

    async def _ask(self, message: Message) -> FromServer | str:
        assert self._socket is not None  # noqa: S101  # the caller looks at `reach` first
        with contextlib.suppress(ConnectionClosed):  # what was said before is still to be read
            await self._socket.send(self._encoder.encode(message), text=True)
        return await self._next()

    async def _next(self) -> FromServer | str:
        assert self._socket is not None  # noqa: S101  # see `_ask`
        try:
            return self._decoder.decode(await self._socket.recv())
        except ConnectionClosed:
            return 'the server hung up'
        except ProtocolError as error:
            return f'what came is no message of the protocol: {error.message}'

    def _code(self) -> int:
        return (self._socket.close_code if self._socket is not None else None) or 0

    async def _close_code(self) -> int:
        while not isinstance(await self._next(), str):
            pass
        return self._code()


@contextlib.asynccontextmanager
async def line(target: Target) -> AsyncIterator[Line]:
    """Open a WebSocket to the server, as long as the context lasts; see `Line.reach`."""
    started_s = time.monotonic()
    try:
        connection = await _connect(target)
    except InvalidStatus as error:
        body = (error.response.body or b'').decode('utf-8', 'replace')
        yield Line(Reach(Trouble.STATUS, body, status=error.response.status_code))
        return
    except (InvalidHandshake, InvalidMessage, InvalidURI, EOFError) as error:
        yield Line(Reach(Trouble.NOT_HTTP, f'no answer as of a WebSocket server: {error}'))
        return
    except (OSError, UnicodeError) as error:
        yield Line(_unreachable(target, error))
        return
    took_s = time.monotonic() - started_s
    try:
        yield Line(Reach(took_ms=took_s * 1000, skew_s=_skew_s(connection, took_s)), connection)
    finally:
        await connection.close()


async def _connect(target: Target) -> ClientConnection:
    return await connect(
        f'{target.websocket_url}?{_QUERY}',
        compression=None,
        max_size=MAX_MESSAGE_BYTES,
        open_timeout=STEP_TIMEOUT_S,
        close_timeout=1.0,
        proxy=None,
        process_exception=lambda error: error,
    )


def _skew_s(connection: ClientConnection, took_s: float) -> float | None:
    """Return how far the server's clock is ahead, by the `Date` of its handshake."""
    response: Any = connection.response
    try:
        # It is cut to whole seconds: on average it was half of one later.
        server_s = parsedate_to_datetime(response.headers['Date']).timestamp() + 0.5
    except (KeyError, ValueError):
        return None
    return server_s - (time.time() - took_s / 2)


def _unreachable(target: Target, error: OSError | UnicodeError) -> Reach:
    if isinstance(error, ssl.SSLCertVerificationError):
        trouble = _CERTIFICATE_TROUBLES.get(error.verify_code, Trouble.UNTRUSTED)
        return Reach(trouble, f'the certificate is not accepted: {error.verify_message}')
    if isinstance(error, ssl.SSLError):
        return Reach(Trouble.TLS, f'the TLS handshake failed: {error.reason}')
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
        return Reach(Trouble.LOOKUP, f'looking up the name {target.host!r}: {error.strerror}')
    if isinstance(error, UnicodeError | socket.gaierror):
        return Reach(Trouble.NAME, f'there is no host {target.host!r} ({error})')
    if isinstance(error, ConnectionRefusedError):
        return Reach(Trouble.REFUSED, 'refused')
    if isinstance(error, TimeoutError):
        return Reach(Trouble.TIMEOUT, _LATE)
    # Without words where it ends within a TLS handshake.
    return Reach(Trouble.NETWORK, str(error) or 'the server hung up')
