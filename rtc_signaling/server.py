"""The signaling server: WebSockets around the core of `sessions`."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from rtc_signaling import messages
from rtc_signaling.auth import RECEIVER, SENDER, Authenticator
from rtc_signaling.config import ServerConfig
from rtc_signaling.connection import ClientConnection
from rtc_signaling.errors import ConfigurationError, ProtocolError
from rtc_signaling.messages import (
    Answer,
    Authenticate,
    Decoder,
    Encoder,
    FromClient,
    IceCandidate,
    IceServer,
    Message,
    Offer,
    Ping,
    Pong,
)
from rtc_signaling.metrics import ServerMetrics, ServerSnapshot
from rtc_signaling.pages import Pages, plain
from rtc_signaling.sessions import (
    Changed,
    Client,
    Close,
    CloseCode,
    Effect,
    PeerState,
    Rules,
    Send,
    SignalingCore,
)

logger = logging.getLogger(__name__)

SNAPSHOT_PERIOD_S = 1.0
CLOSE_TIMEOUT_S = 1.0
_WEBSOCKET_PATHS = ('/', '/ws')


class SignalingServer:
    """Connect a robot's sender with its receivers.

    Use it in one event loop: `async with SignalingServer(...).run():`. Everything below belongs
    to that loop's thread.

    Args:
        config: The operator's settings.
        authenticator: Who may come in.
        on_snapshot: Called in the loop with the figures, on each change and each second.
    """

    def __init__(
        self,
        config: ServerConfig,
        authenticator: Authenticator,
        on_snapshot: Callable[[ServerSnapshot], None] = lambda snapshot: None,
    ) -> None:
        self._config = config
        self._on_snapshot = on_snapshot
        self._metrics = ServerMetrics()
        self._pages = Pages()
        self._decoder: Decoder[FromClient] = Decoder(FromClient)
        self._encoder = Encoder()
        self._port = 0
        rules = Rules(
            max_connections=config.max_connections,
            heartbeat_s=config.timeout_s / 3,
            timeout_s=config.timeout_s,
            ice_servers=tuple(IceServer(urls=url) for url in config.ice_servers),
        )
        self._core = SignalingCore(rules, authenticator, lambda: secrets.token_urlsafe(9))
        self._handlers: dict[type[Message], Callable[..., None]] = {
            Authenticate: self.handle_authenticate,
            Offer: self.handle_offer,
            Answer: self.handle_answer,
            IceCandidate: self.handle_ice_candidate,
            messages.ExtendedIceCandidate: self.handle_ice_candidate,
            Ping: self.handle_ping,
            Pong: self.handle_pong,
            messages.Leave: self.handle_leave,
        }

    @property
    def port(self) -> int:
        """The TCP port that is listened on."""
        return self._port

    @property
    def clients(self) -> Mapping[str, Client]:
        """The clients that are in, by client_id."""
        return self._core.clients

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[SignalingServer]:
        """Listen while the context lasts; leaving it closes every connection with 1001.

        Raises:
            ConfigurationError: The port is taken, or the address is not this machine's.
        """
        config = self._config
        try:
            listener = await serve(
                self._handle_client,
                config.host,
                config.port,
                # Its annotation asks for a class, its documentation for any factory.
                create_connection=functools.partial(  # type: ignore[arg-type]
                    ClientConnection, signaling=self
                ),
                process_request=self._process_request,
                compression=None,
                max_size=config.max_message_bytes,
                ping_interval=config.timeout_s / 3,
                ping_timeout=config.timeout_s * 2 / 3,
                open_timeout=config.auth_timeout_s,
                close_timeout=CLOSE_TIMEOUT_S,
                server_header=None,
            )
        except OSError as error:
            raise _listen_error(config, error) from error
        self._port = next(iter(listener.sockets)).getsockname()[1]
        logger.info('bound on %s port %d', config.host, self._port)
        reporter = asyncio.create_task(self._report())
        try:
            yield self
        finally:
            listener.close(code=CloseCode.GOING_AWAY)
            await listener.wait_closed()
            reporter.cancel()
            await asyncio.gather(reporter, return_exceptions=True)

    def snapshot(self) -> ServerSnapshot:
        """Return the figures of now."""
        roles = [client.role for client in self._core.clients.values()]
        url = f'ws://{self._config.host}:{self._port}/'
        return self._metrics.snapshot(url, roles.count(SENDER), roles.count(RECEIVER))

    def receive(self, client: Client, text: str) -> None:
        """Take one message of a client."""
        self._metrics.messages_received += 1
        try:
            message: Message = self._decoder.decode(text)
        except ProtocolError as error:
            self._apply(self._core.reject(client, error))
            return
        self._handlers[type(message)](client, message)

    def handle_authenticate(self, client: Client, message: Authenticate) -> None:
        """Let a client in that sends its token as its first message."""
        self._apply(self._core.authenticate(client, message))

    def handle_offer(self, client: Client, message: Offer) -> None:
        """Forward an offer to the peer that it is meant for."""
        self._apply(self._core.offer(client, message))

    def handle_answer(self, client: Client, message: Answer) -> None:
        """Forward an answer to the peer that made the offer."""
        self._apply(self._core.answer(client, message))

    def handle_ice_candidate(self, client: Client, message: IceCandidate) -> None:
        """Forward an ICE candidate to the peer that it is meant for."""
        self._apply(self._core.ice_candidate(client, message))

    def handle_ping(self, client: Client, message: Ping) -> None:
        """Answer a ping."""
        self._apply([Send(client, Pong(msg_id=message.msg_id))])

    def handle_pong(self, client: Client, message: Pong) -> None:
        """Take a pong: that something came is all there is to it."""

    def handle_leave(self, client: Client, _message: messages.Leave) -> None:
        """Let a client go that says goodbye."""
        self._apply(self._core.leave(client))

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer plain HTTP, and refuse a WebSocket that cannot be served."""
        url = urlsplit(request.path)
        if _header(request.headers, 'Upgrade').lower() != 'websocket':
            return self._pages.respond(url.path)
        if url.path not in _WEBSOCKET_PATHS:
            return plain(HTTPStatus.NOT_FOUND, f'no WebSocket here; use {_WEBSOCKET_PATHS[0]}')
        role = _query(request).get('role', RECEIVER)
        if not self._core.has_room(role):
            self._metrics.errors['too_many_connections'] += 1
            # Quoted and cut: the role is whatever somebody wrote into a URL.
            logger.warning(
                'refused a client, role %.20r: all %d places are taken',
                role,
                self._config.max_connections,
            )
            return plain(HTTPStatus.SERVICE_UNAVAILABLE, 'all places are taken')
        return None

    async def _handle_client(self, connection: ServerConnection) -> None:
        """See one client through, from the upgrade to the end of its connection."""
        assert isinstance(connection, ClientConnection)  # noqa: S101  # told to `serve` above
        assert connection.request is not None  # noqa: S101  # there was one, or no upgrade
        query = _query(connection.request)
        self._metrics.connections += 1
        client, effects = self._core.connect(
            connection,
            query.get('role', RECEIVER),
            query.get('client_id', ''),
            _bearer(connection.request.headers),
        )
        connection.client = client
        self._apply(effects)
        timer = asyncio.get_running_loop().call_later(
            self._config.auth_timeout_s, self._on_authentication_timeout, client
        )
        try:
            await connection.ended.wait()
        finally:
            timer.cancel()
            self._apply(self._core.disconnected(client, _end_reason(connection)))

    def _on_authentication_timeout(self, client: Client) -> None:
        self._apply(self._core.authentication_timed_out(client))

    def _apply(self, effects: list[Effect]) -> None:
        """Carry out what the core decided, in order."""
        for effect in effects:
            connection = effect.client.link
            assert isinstance(connection, ClientConnection)  # noqa: S101  # links are ours
            if isinstance(effect, Send):
                self._send(connection, effect.message)
            elif isinstance(effect, Close):
                connection.start_closing(effect.code, effect.reason)
            else:
                self._announce(effect)

    def _send(self, connection: ClientConnection, message: Message) -> None:
        if isinstance(message, messages.Error):
            self._metrics.errors[message.code] += 1
            logger.warning('told %s: %s: %s', _name(connection), message.code, message.message)
        if connection.send_now(self._encoder.encode(message)):
            self._metrics.messages_sent += 1

    def _announce(self, change: Changed) -> None:
        client = change.client
        if client.client_id:
            logger.info(
                '%s %s: %s (%s)', client.role, client.client_id, client.state.value, change.reason
            )
        if client.state is not PeerState.AUTHENTICATING:
            self._on_snapshot(self.snapshot())

    async def _report(self) -> None:
        while True:
            self._on_snapshot(self.snapshot())
            await asyncio.sleep(SNAPSHOT_PERIOD_S)


def _listen_error(config: ServerConfig, error: OSError) -> ConfigurationError:
    if error.errno == errno.EADDRINUSE:
        return ConfigurationError(
            'port',
            config.port,
            'is in use by another program (8765 is also the default of foxglove_bridge): stop '
            'that, or set another port here and in server_url of camera_sender',
        )
    return ConfigurationError(
        'host', config.host, f'cannot be listened on (port {config.port}): {error.strerror}'
    )


def _query(request: Request) -> dict[str, str]:
    return {key: values[-1] for key, values in parse_qs(urlsplit(request.path).query).items()}


def _bearer(headers: Headers) -> str | None:
    scheme, _, token = _header(headers, 'Authorization').partition(' ')
    return token.strip() if scheme.lower() == 'bearer' else None


def _header(headers: Headers, name: str) -> str:
    """Return a header that must be there once; '' if it is missing or ambiguous."""
    values = headers.get_all(name)
    return values[0] if len(values) == 1 else ''


def _end_reason(connection: ClientConnection) -> str:
    """Tell an orderly goodbye from a lost connection, for `peer_left`."""
    orderly = (CloseCode.NORMAL, CloseCode.GOING_AWAY)
    return 'left' if connection.protocol.close_code in orderly else 'connection_lost'


def _name(connection: ClientConnection) -> str:
    client = connection.client
    return client.client_id if client is not None and client.client_id else 'a client'
