"""The signaling server: WebSockets around the core."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from rtc_signaling import messages
from rtc_signaling.admission import Rules
from rtc_signaling.auth import Authenticator
from rtc_signaling.connection import ClientConnection
from rtc_signaling.core import SignalingCore
from rtc_signaling.effects import Changed, Close, Effect, Negotiated, Refused, Send
from rtc_signaling.errors import ProtocolError, WrongTokenError
from rtc_signaling.flood import FloodGuard
from rtc_signaling.gate import Gate
from rtc_signaling.ice import IceManager
from rtc_signaling.messages import (
    Answer,
    Authenticate,
    Bye,
    Decoder,
    FromClient,
    IceCandidate,
    Leave,
    Message,
    Offer,
    Ping,
    Pong,
    Stats,
    kind_of,
)
from rtc_signaling.metrics import ServerMetrics, ServerSnapshot
from rtc_signaling.sdp import SdpKind, summarise
from rtc_signaling.server.binding import listen_error
from rtc_signaling.server.census import connection_of, population
from rtc_signaling.server.figures import Figures
from rtc_signaling.server.heartbeats import Heartbeats
from rtc_signaling.server.outgoing import Outgoing
from rtc_signaling.server.sockets import Sockets
from rtc_signaling.server_config import ServerConfig
from rtc_signaling.sessions import Client, CloseCode
from rtc_signaling.tls import TlsFiles, server_tls

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 1.0


class SignalingServer:
    """Connect robots' senders with their receivers.

    Use it in one event loop: `async with SignalingServer(...).run():`. Everything below belongs
    to that loop's thread.

    Args:
        config: The operator's settings.
        authenticator: Who may come in.
        ice: The ICE servers to hand out; None for none.
        on_snapshot: Called in the loop with the figures, on each change and each second.

    Raises:
        ConfigurationError: The TLS files cannot be used.
    """

    def __init__(
        self,
        config: ServerConfig,
        authenticator: Authenticator,
        ice: IceManager | None = None,
        on_snapshot: Callable[[ServerSnapshot], None] = lambda snapshot: None,
    ) -> None:
        self._config = config
        self._tls: TlsFiles | None = server_tls(config.tls_certificate, config.tls_key)
        self._core = SignalingCore(
            Rules.of(config),
            authenticator,
            ice or IceManager(),
            functools.partial(secrets.token_urlsafe, 18),
        )
        self._metrics = ServerMetrics(time.monotonic())
        self._gate = Gate(config, socket.gethostname(), authenticator, self._metrics)
        self._flood = FloodGuard(config)
        self._decoder: Decoder[FromClient] = Decoder(FromClient)
        self._outgoing = Outgoing()
        self._heartbeats = Heartbeats(Rules.of(config).heartbeat_s)
        self._sockets = Sockets(config)
        self._port = 0
        self._figures = Figures(self._metrics, self.snapshot, on_snapshot)
        self._last = self.snapshot()
        self._handlers: dict[type[Message], Callable[..., None]] = {
            Authenticate: self.handle_authenticate,
            Offer: self.handle_offer,
            Answer: self.handle_answer,
            IceCandidate: self.handle_ice_candidate,
            messages.ExtendedIceCandidate: self.handle_ice_candidate,
            Bye: self.handle_bye,
            Stats: self.handle_stats,
            Ping: self.handle_ping,
            Pong: self.handle_pong,
            Leave: self.handle_leave,
        }

    @property
    def port(self) -> int:
        """The TCP port that is listened on."""
        return self._port

    @property
    def url(self) -> str:
        """The URL for clients, as far as the server knows it; without any token."""
        scheme, host = 'wss' if self._tls else 'ws', self._config.host
        return f'{scheme}://{f"[{host}]" if ":" in host else host}:{self._port}/'

    @property
    def clients(self) -> Mapping[str, Client]:
        """The clients that are in, or away, by client_id."""
        return self._core.clients

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[SignalingServer]:
        """Listen while the context lasts; leaving it closes every connection with 1001.

        Raises:
            ConfigurationError: The port is taken, or the address is not this machine's.
        """
        try:
            listener = await self._listen()
        except OSError as error:
            raise listen_error(self._config, error) from error
        self._port = next(iter(listener.sockets)).getsockname()[1]
        logger.info('bound on %s port %d', self._config.host, self._port)
        ticker = asyncio.create_task(self._figures.run(self._tick))
        try:
            yield self
        finally:
            listener.close(code=CloseCode.GOING_AWAY)
            for connection in self._sockets:
                if connection.client is None:  # websockets would wait for its handshake
                    connection.transport.abort()
            await listener.wait_closed()
            ticker.cancel()
            self._heartbeats.stop()
            await asyncio.gather(ticker, return_exceptions=True)

    def reconfigure(self, config: ServerConfig) -> None:
        """Take up the parameters that are live; what is read at the start stays."""
        self._config = config
        self._core.rules = Rules.of(config)
        self._gate.reconfigure(config)
        self._flood.reconfigure(config)
        self._sockets.reconfigure(config)
        for connection in self._sockets:
            if connection.client is not None:
                connection.control_frames = self._flood.control_bucket()

    def snapshot(self) -> ServerSnapshot:
        """Return the figures of now; the rates in them are those of the last second."""
        self._last = self._metrics.snapshot(
            self.url, population(self._core.clients.values()), self._problems()
        )
        return self._last

    def disconnect_all(self, reason: str) -> int:
        """Close every connection with 1001, and return how many there were."""
        effects = self._core.disconnect_all(reason)
        closing = [effect.link for effect in effects if isinstance(effect, Close)]
        count = sum(connection_of(link).is_open for link in closing)
        self._apply(effects)
        self.flush()
        return count

    # What connections call.

    def socket_opened(self, connection: ClientConnection) -> bool:
        """Count a socket in; return whether there is room for it."""
        if self._sockets.opened(connection):
            return True
        self._metrics.refused['too_many_sockets'] += 1
        text = f'refused a connection from {connection.address}: too many are open'
        self._flood.log(logger, text, 'too_many_sockets', time.monotonic())
        return False

    def socket_closed(self, connection: ClientConnection) -> None:
        """Count a socket out."""
        self._sockets.closed(connection)
        self._heartbeats.discard(connection)
        self._metrics.too_slow += connection.too_slow

    def receive(self, client: Client, text: str, size_bytes: int) -> None:
        """Take one message of a client."""
        now_s = time.monotonic()
        flood = self._flood.judge(client, size_bytes, now_s)
        try:
            message: Message = self._decoder.decode(text)
            handle = self._handlers[type(message)]
        except ProtocolError as error:
            self._metrics.received.add('invalid', size_bytes)
            msg_id = self._decoder.msg_id_of(text)
            self._apply(self._core.undecoded(client, flood or error, now_s, msg_id))
            return
        self._metrics.received.add(kind_of(message), size_bytes)
        if flood is not None:
            self._apply(self._core.reject(client, flood, now_s, message.msg_id))
        else:
            handle(client, message, now_s)

    def flush(self) -> None:
        """Write what the messages taken so far have led to."""
        self._outgoing.flush()

    # One for each type of message.

    def handle_authenticate(self, client: Client, message: Authenticate, now_s: float) -> None:
        """Let a client in that sends its token as a message, or renew its credential."""
        self._apply(self._core.authenticate(client, message, now_s, time.time()))

    def handle_offer(self, client: Client, message: Offer, now_s: float) -> None:
        """Forward an offer to the peer that it is meant for."""
        self._note(client, message.sdp, 'offer')
        self._apply(self._core.forward(client, message, now_s))

    def handle_answer(self, client: Client, message: Answer, now_s: float) -> None:
        """Forward an answer to the peer that made the offer."""
        self._note(client, message.sdp, 'answer')
        self._apply(self._core.forward(client, message, now_s))

    def handle_ice_candidate(self, client: Client, message: IceCandidate, now_s: float) -> None:
        """Forward an ICE candidate to the peer that it is meant for."""
        self._apply(self._core.forward(client, message, now_s))

    def handle_bye(self, client: Client, message: Bye, now_s: float) -> None:
        """Forward to the peer that the other end of its video is gone."""
        self._apply(self._core.forward(client, message, now_s))

    def handle_stats(self, client: Client, message: Stats, now_s: float) -> None:
        """Forward a receiver's report to its sender, and take its times for the metrics."""
        effects = self._core.forward(client, message, now_s)
        self._apply(effects)
        forwarded = any(isinstance(effect, Send) and effect.kind == 'stats' for effect in effects)
        if forwarded and isinstance(message.setup_ms, float):
            self._metrics.connected(message.setup_ms / 1000)
        if forwarded and isinstance(message.latency_ms, float):
            self._metrics.presented(message.latency_ms / 1000)

    def handle_ping(self, client: Client, message: Ping, now_s: float) -> None:
        """Answer a ping."""
        self._apply(self._core.ping(client, message, now_s))

    def handle_pong(self, client: Client, message: Pong, now_s: float) -> None:
        """Take a pong."""
        self._apply(self._core.pong(client, message, now_s))

    def handle_leave(self, client: Client, message: Leave, now_s: float) -> None:
        """Let a client go that says goodbye."""
        self._apply(self._core.leave(client, message, now_s))

    # Connections.

    async def _listen(self) -> Server:
        config = self._config
        return await serve(
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
            ping_interval=None,  # see Heartbeats
            open_timeout=config.auth_timeout_s,
            close_timeout=CLOSE_TIMEOUT_S,
            server_header=None,
            ssl=self._tls.context if self._tls else None,
        )

    def _process_request(
        self, connection: ServerConnection, request: HttpRequest
    ) -> Response | None:
        """Answer plain HTTP, and refuse a WebSocket that cannot be served."""
        assert isinstance(connection, ClientConnection)  # noqa: S101  # told to `serve` above
        verdict = self._gate.judge(
            request,
            connection.address,
            time.monotonic(),
            time.time(),
            has_room=self._core.has_room,
            snapshot=lambda: self._last,
        )
        if isinstance(verdict, Response):
            return verdict
        connection.wish = verdict
        return None

    async def _handle_client(self, connection: ServerConnection) -> None:
        """See one client through, from the upgrade to the end of its connection."""
        assert isinstance(connection, ClientConnection)  # noqa: S101  # told to `serve` above
        wish, connection.wish = connection.wish, None
        assert wish is not None  # noqa: S101  # or there was no upgrade
        self._metrics.connections += 1
        client, effects = self._core.connect(connection, wish, time.monotonic(), time.time())
        connection.client = client
        self._sockets.shook_hands(connection)
        connection.control_frames = self._flood.control_bucket()
        self._apply(effects)
        self.flush()
        self._heartbeats.add(connection)
        try:
            await connection.ended.wait()
        finally:
            now_s = time.monotonic()
            self._apply(self._core.disconnected(client, connection.end_reason, now_s))
            self.flush()
            self._flood.forget(client)

    def _apply(self, effects: list[Effect]) -> None:
        """Carry out what the core decided, in order."""
        for effect in effects:
            if isinstance(effect, Send):
                self._send(effect)
            elif isinstance(effect, Close):
                connection_of(effect.link).start_closing(effect.code, effect.reason)
            elif isinstance(effect, Changed):
                self._announce(effect)
            elif isinstance(effect, Refused):
                self._refused(effect)
            elif isinstance(effect, Negotiated):
                self._metrics.negotiated(effect.duration_s)

    def _send(self, effect: Send) -> None:
        if self._outgoing.add(connection_of(effect.link), effect.data):
            self._metrics.sent.add(effect.kind, len(effect.data))

    def _refused(self, effect: Refused) -> None:
        code = effect.error.code
        self._metrics.errors[code] += 1
        if isinstance(effect.error, WrongTokenError):
            address = connection_of(effect.client.link).address
            self._gate.login_failed(address, time.monotonic())
        name = effect.client.client_id or 'a client'
        self._flood.log(logger, f'told {name}: {effect.error}', code, time.monotonic())

    def _announce(self, change: Changed) -> None:
        client = change.client
        if client.client_id:
            logger.info(
                '%s %s: %s (%s)',
                client.role,
                client.client_id,
                client.state.value,
                change.reason,
            )
            self._figures.changed()

    def _note(self, client: Client, sdp: str, kind: SdpKind) -> None:
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug('%s: %s', client.client_id, summarise(sdp, kind))

    # Figures.

    def _tick(self) -> None:
        self._apply(self._core.tick(time.monotonic(), time.time()))
        self.flush()
        if self._tls is not None:
            self._tls.refresh()

    def _problems(self) -> tuple[str, ...]:
        problems = (self._figures.problem, self._tls.problem if self._tls is not None else '')
        return tuple(problem for problem in problems if problem)
