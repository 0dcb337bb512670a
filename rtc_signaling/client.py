"""The client side of the signaling protocol, for programs: connects, stays connected, talks."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidURI
from websockets.uri import parse_uri

from rtc_signaling.backoff import Backoff
from rtc_signaling.errors import (
    ConfigurationError,
    ConnectionFailedError,
    ProtocolError,
    RefusedError,
)
from rtc_signaling.messages import (
    Ack,
    Authenticate,
    Connected,
    Decoder,
    Encoder,
    Error,
    FromServer,
    FromServerMessage,
    Message,
    Ping,
    Pong,
)

logger = logging.getLogger(__name__)

# docs/protocol.md, close codes: these say that coming back as one is does not help.
DO_NOT_COME_BACK = frozenset({1002, 1003, 1007, 1009, 4400, 4401, 4403, 4404, 4409, 4423})
UNAUTHORIZED = 4401
OPEN_TIMEOUT_S = 5.0
# A silent network is noticed after 4 to 7 s, so that with a new connection and its negotiation
# video is back within 10 s of a change of address.
PING_INTERVAL_S = 3.0
PING_TIMEOUT_S = 4.0
# docs/protocol.md, 9: after an outage of any length a client is back in less than 10 s.
BACK_OFF_S = (0.5, 8.0)
MAX_MESSAGE_BYTES = 1_048_576
DELIVERY_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 5.0


class SignalingClient:
    """Talk to a signaling server, and come back by itself when the connection is lost.

    Use it in one event loop:

        async with SignalingClient('ws://robot:8765', 'receiver') as client:
            async for message in client:
                ...

    Each (re)connection begins with a `Connected` message. A connection that was lost is resumed:
    if `Connected.resumed` is true nothing was missed.

    Args:
        url: The server, `ws://host:port/` or `wss://...`.
        role: `sender` or `receiver`.
        client_id: The name to ask for; the server gives one if it is ''.
        read_token: Returns the credential, '' if there is none yet, or None for none at all;
            called at each attempt, so that a new token is taken up without a restart. It may
            raise ConfigurationError.
        backoff: How long to wait between attempts.
        on_link: Called in the loop when the link came up (True) or was lost (False).
        cameras: What a sender that has several cameras calls them.

    Raises:
        ConfigurationError: `url` is no address that one could connect to.
    """

    def __init__(
        self,
        url: str,
        role: str,
        client_id: str = '',
        *,
        read_token: Callable[[], str | None] = lambda: None,
        backoff: Backoff | None = None,
        on_link: Callable[[bool], None] = lambda up: None,
        cameras: Sequence[str] = (),
    ) -> None:
        name = f'&client_id={quote(client_id)}' if client_id else ''
        self._url = url
        query = f'role={role}{name}&auth=message'
        self._request_url = f'{url}{"" if "/" in url[6:] else "/"}?{query}'
        try:
            parse_uri(self._request_url)
        except (InvalidURI, ValueError) as error:
            raise ConfigurationError('server_url', url, f'cannot be used: {error}') from error
        self._read_token = read_token
        self._backoff = backoff or Backoff(*BACK_OFF_S, random.uniform)
        self._on_link = on_link
        self._cameras = list(cameras) or UNSET
        self._decoder: Decoder[FromServer] = Decoder(FromServer)
        self._encoder = Encoder()
        self._socket: ClientConnection | None = None
        self._complained = False
        self._token: str | None = None
        self._client_id = client_id
        self._resume_token = ''
        self._last_seq = 0
        # Ids of another run of this program must not look like repetitions of this one's.
        self._run = secrets.token_urlsafe(6)
        self._ids = itertools.count(1)
        self._unanswered: dict[str, asyncio.Future[Ack | Error]] = {}
        self._incoming: AsyncGenerator[FromServer, None] | None = None

    async def __aenter__(self) -> SignalingClient:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._incoming is not None:
            await self._incoming.aclose()

    def __aiter__(self) -> AsyncGenerator[FromServer, None]:
        self._incoming = self.messages()
        return self._incoming

    @property
    def connected(self) -> bool:
        """Whether the server has let this client in, and the link is up."""
        return self._socket is not None

    async def send(self, message: Message) -> None:
        """Send a message.

        Raises:
            ConnectionFailedError: The link is down; it comes back by itself.
        """
        if self._socket is None:
            raise ConnectionFailedError(f'no connection to {self._url}')
        try:
            await self._write(self._socket, message)
        except ConnectionClosed as error:
            raise ConnectionFailedError(f'the connection to {self._url} was lost') from error

    async def deliver(self, message: Message, timeout_s: float = DELIVERY_TIMEOUT_S) -> str:
        """Send a message, again and again under the same id, until the server has taken it.

        Somebody has to iterate over the messages meanwhile: the answer is one of them.

        Returns:
            `delivered`, or `queued` if its peer is away.

        Raises:
            ConnectionFailedError: It was not taken within `timeout_s`; the text says why.
            ProtocolError: The server refused it, and would again.
        """
        msg_id = f'{self._run}.{next(self._ids)}'
        named = msgspec.structs.replace(message, msg_id=msg_id)
        backoff = Backoff(0.2, 5.0, random.uniform)
        why = f'no connection to {self._url}'
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    wait_s = backoff.next_s()
                    answer = await self._ask(named, msg_id)
                    if isinstance(answer, Ack):
                        return answer.status
                    if answer is not None:
                        why = f'{answer.code}: {answer.message}'
                        if not answer.retry:
                            raise ProtocolError(answer.code, answer.message)
                        if answer.retry_after_s is not UNSET:
                            wait_s = max(wait_s, answer.retry_after_s)
                    await asyncio.sleep(wait_s)
        except TimeoutError:
            raise ConnectionFailedError(f'not delivered within {timeout_s:g} s: {why}') from None

    async def _ask(self, message: Message, msg_id: str) -> Ack | Error | None:
        """Send a message once; return the answer, or None if there is none (yet)."""
        future: asyncio.Future[Ack | Error] = asyncio.get_running_loop().create_future()
        self._unanswered[msg_id] = future
        try:
            await self.send(message)
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await future
        except (ConnectionFailedError, TimeoutError):
            return None
        finally:
            del self._unanswered[msg_id]

    async def messages(self) -> AsyncGenerator[FromServer, None]:
        """Yield what the server sends, over as many connections as it takes.

        Raises:
            RefusedError: The server said no in a way that will not change by itself.
            ConfigurationError: `read_token` has none to read.
        """
        while True:
            try:
                # Whoever leaves the loop ends the connection then, not when it is collected.
                async with contextlib.aclosing(self._one_connection()) as incoming:
                    async for message in incoming:
                        yield message
            except ConnectionFailedError as error:
                self._complain(str(error))
            await asyncio.sleep(self._backoff.next_s())

    async def _one_connection(self) -> AsyncGenerator[FromServer, None]:
        refusal = ''
        try:
            async with self._connect() as socket:
                try:
                    await self._write(socket, self._credentials())
                    async for data in socket:
                        message = self._decode(data)
                        if isinstance(message, Error):
                            refusal = message.message
                        if message is not None and not await self._take(socket, message):
                            yield message
                finally:
                    self._lost()
                    # Left to the context manager, a cancellation would go out as an error.
                    await socket.close()
            self._check_close(socket.close_code, refusal)
        except ConnectionClosed as error:
            code = error.rcvd.code if error.rcvd is not None else 1006
            self._check_close(code, refusal or str(error))
        # UnicodeError: the host's name is none, such as `robot..local`.
        except (OSError, InvalidHandshake, InvalidMessage, EOFError, UnicodeError) as error:
            raise ConnectionFailedError(
                f'cannot reach the signaling server at {self._url}: {error or "timed out"}'
            ) from error

    async def _take(self, socket: ClientConnection, message: FromServer) -> bool:
        """Do what a message means to the connection; return whether that was all of it."""
        if isinstance(message, Connected):
            self._welcomed(socket, message)
        elif isinstance(message, Ping):
            await self._write(socket, Pong(msg_id=message.msg_id))
            return True
        elif isinstance(message, Ack | Error) and message.msg_id is not UNSET:
            future = self._unanswered.get(message.msg_id)
            if future is not None and not future.done():
                future.set_result(message)
                return True
        if isinstance(message, FromServerMessage) and message.seq is not UNSET:
            self._last_seq = message.seq
        return False

    def _credentials(self) -> Authenticate:
        self._token = self._read_token()
        token = self._token or ''
        if not self._resume_token:
            return Authenticate(token=token, cameras=self._cameras)
        return Authenticate(
            token=token,
            client_id=self._client_id,
            resume_token=self._resume_token,
            last_seq=self._last_seq,
            cameras=self._cameras,
        )

    async def _write(self, socket: ClientConnection, message: Message) -> None:
        await socket.send(self._encoder.encode(message), text=True)

    def _connect(self) -> Any:
        return connect(
            self._request_url,
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            open_timeout=OPEN_TIMEOUT_S,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_TIMEOUT_S,
            close_timeout=1.0,
            proxy=None,
            process_exception=lambda error: error,
        )

    def _decode(self, data: str | bytes) -> FromServer | None:
        """Return the message, or None for one that this version does not know."""
        try:
            return self._decoder.decode(data)
        except ProtocolError as error:
            logger.debug('ignored a message of the server: %s', error)
            return None

    def _welcomed(self, socket: ClientConnection, welcome: Connected) -> None:
        self._socket = socket
        self._client_id = welcome.client_id
        self._resume_token = welcome.resume_token
        if not welcome.resumed:
            self._last_seq = 0
        self._backoff.reset()
        self._complained = False
        logger.info('connected to the signaling server at %s', self._url)
        self._on_link(True)

    def _lost(self) -> None:
        if self._socket is not None:
            self._socket = None
            self._on_link(False)

    def _check_close(self, code: int | None, text: str) -> None:
        if code == UNAUTHORIZED and self._token == '':
            # The server makes its tokens at its first start, and may be just about to.
            raise ConnectionFailedError(f'{self._url} wants a token, and there is none yet')
        if code in DO_NOT_COME_BACK:
            raise RefusedError(f'{self._url} refused the connection: {text} ({code})', code)
        raise ConnectionFailedError(
            f'the signaling server at {self._url} closed the connection: {text or "no reason"}'
        )

    def _complain(self, text: str) -> None:
        """Log the first failure of a row as a warning; the others would say nothing new."""
        level = logging.DEBUG if self._complained else logging.WARNING
        logger.log(level, '%s; trying again until it is back', text)
        self._complained = True
