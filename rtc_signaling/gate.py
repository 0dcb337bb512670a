"""Before the upgrade: plain HTTP is answered, and what may not connect is refused."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import parse_qs

from websockets.datastructures import Headers
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from rtc_signaling.admission import Request
from rtc_signaling.auth import RECEIVER, Authenticator
from rtc_signaling.errors import ProtocolError, WrongTokenError
from rtc_signaling.exposition import CONTENT_TYPE, prometheus_text
from rtc_signaling.limits import AddressRules, AddressTable
from rtc_signaling.metrics import ServerMetrics, ServerSnapshot
from rtc_signaling.origins import OriginRules
from rtc_signaling.pages import Pages, plain, respond
from rtc_signaling.server_config import ServerConfig

logger = logging.getLogger(__name__)

_WEBSOCKET_PATHS = ('/', '/ws')
# A failed login is forgiven after this time.
LOGIN_PERIOD_S = 10.0


class Gate:
    """Judge HTTP requests; one thread.

    Args:
        config: The operator's settings.
        hostname: This machine's name.
        authenticator: Who may read /metrics.
        metrics: Where refusals are counted.
    """

    def __init__(
        self,
        config: ServerConfig,
        hostname: str,
        authenticator: Authenticator,
        metrics: ServerMetrics,
    ) -> None:
        self._origins = OriginRules(
            hostname, (config.host, *config.allowed_hosts), config.allowed_origins
        )
        self._address_rules = _address_rules(config)
        self._addresses = AddressTable(self._address_rules)
        self._authenticator = authenticator
        self._metrics = metrics
        self._pages = Pages()

    def reconfigure(self, config: ServerConfig) -> None:
        """Take up other limits of addresses; accounts begin anew if they are other ones."""
        rules = _address_rules(config)
        if rules != self._address_rules:
            self._address_rules = rules
            self._addresses = AddressTable(rules)

    def judge(
        self,
        request: HttpRequest,
        address: str,
        now_s: float,
        unix_s: float,
        *,
        has_room: Callable[[str, str], bool],
        snapshot: Callable[[], ServerSnapshot],
    ) -> Response | Request:
        """Answer a request, or return what it asks of the protocol: a WebSocket may be opened.

        Args:
            request: The HTTP request.
            address: Where it came from.
            now_s: The time.
            unix_s: The wall clock's, in s since 1970; tokens are dated by it.
            has_room: Tells whether there is a place for a role and a client_id.
            snapshot: Returns the server's last figures.
        """
        host = _header(request.headers, 'Host')
        if not self._origins.host_is_ours(host):
            return self._refuse(HTTPStatus.FORBIDDEN, 'host', f'Host {host!r:.80} is not ours')
        path = _path_and_query(request.path)[0]
        origins = request.headers.get_all('Origin')
        origin = origins[0] if origins else None
        welcome = len(origins) <= 1 and self._origins.origin_may(origin, host)
        if _header(request.headers, 'Upgrade').lower() != 'websocket':
            if path == '/metrics':
                return self._metrics_page(request, address, now_s, unix_s, snapshot)
            return self._plain_http(path, origin if welcome else None, snapshot)
        if path not in _WEBSOCKET_PATHS:
            return plain(HTTPStatus.NOT_FOUND, f'no WebSocket here; use {_WEBSOCKET_PATHS[0]}')
        if not welcome:
            return self._refuse(
                HTTPStatus.FORBIDDEN,
                'origin',
                f'Origin {origin!r:.80} may not connect (allowed_origins)',
            )
        return self._full(request, address, now_s, has_room)

    def login_failed(self, address: str, now_s: float) -> None:
        """Count a failed login of an address."""
        self._addresses.count_failed_login(address, now_s)

    def _read(self, request: HttpRequest) -> Request:
        query = parse_qs(_path_and_query(request.path)[1])
        wished = {key: values[-1] for key, values in query.items()}
        return Request(
            role=wished.get('role', RECEIVER),
            client_id=wished.get('client_id', ''),
            token=_bearer(request.headers),
            waits=wished.get('auth') == 'message',
        )

    def _full(
        self,
        request: HttpRequest,
        address: str,
        now_s: float,
        has_room: Callable[[str, str], bool],
    ) -> Response | Request:
        locked_out = self._locked_out(address, now_s)
        if locked_out is not None:
            return locked_out
        if not self._addresses.admit(address, now_s):
            return self._refuse(
                HTTPStatus.TOO_MANY_REQUESTS,
                'connection_rate',
                f'too many connections at once from {address}',
                retry_after_s=self._addresses.connection_wait_s(address, now_s),
            )
        wished = self._read(request)
        if not has_room(wished.role, wished.client_id):
            return self._refuse(
                HTTPStatus.SERVICE_UNAVAILABLE,
                'too_many_connections',
                'all places are taken (max_connections)',
                retry_after_s=5.0,
            )
        return wished

    def _locked_out(self, address: str, now_s: float) -> Response | None:
        """Refuse who guessed too often, before another credential is looked at."""
        login_wait_s = self._addresses.login_wait_s(address, now_s)
        if login_wait_s <= 0:
            return None
        return self._refuse(
            HTTPStatus.TOO_MANY_REQUESTS,
            'failed_logins',
            f'too many failed logins from {address}',
            retry_after_s=login_wait_s,
        )

    def _plain_http(
        self, path: str, origin: str | None, snapshot: Callable[[], ServerSnapshot]
    ) -> Response:
        if path == '/healthz':
            problems = snapshot().problems
            if problems:
                return plain(HTTPStatus.SERVICE_UNAVAILABLE, '; '.join(problems))
            return plain(HTTPStatus.OK, 'ok')
        return self._pages.respond(path, origin)

    def _metrics_page(
        self,
        request: HttpRequest,
        address: str,
        now_s: float,
        unix_s: float,
        snapshot: Callable[[], ServerSnapshot],
    ) -> Response:
        if self._authenticator.required:
            locked_out = self._locked_out(address, now_s)
            if locked_out is not None:
                return locked_out
            try:
                self._authenticator.authenticate(_bearer(request.headers) or '', unix_s)
            except ProtocolError as error:
                if isinstance(error, WrongTokenError):
                    self.login_failed(address, now_s)
                response = plain(HTTPStatus.UNAUTHORIZED, 'send a token as Authorization: Bearer')
                response.headers['WWW-Authenticate'] = 'Bearer'
                return response
        return respond(HTTPStatus.OK, CONTENT_TYPE, prometheus_text(snapshot()))

    def _refuse(
        self, status: HTTPStatus, reason: str, text: str, retry_after_s: float | None = None
    ) -> Response:
        self._metrics.refused[reason] += 1
        # Of a flood only the first is logged at once; the counts are in the status.
        if (
            self._metrics.refused[reason] in (1, 10, 100)
            or not self._metrics.refused[reason] % 1000
        ):
            logger.warning('refused (%d times so far): %s', self._metrics.refused[reason], text)
        response = plain(status, text)
        if retry_after_s is not None:
            response.headers['Retry-After'] = str(math.ceil(retry_after_s))
        return response


def _address_rules(config: ServerConfig) -> AddressRules:
    return AddressRules(
        connections_per_s=config.connection_rate_hz,
        connections_burst=config.connection_burst,
        failed_logins_per_s=1 / LOGIN_PERIOD_S,
        failed_logins_burst=config.failed_logins,
    )


def _path_and_query(target: str) -> tuple[str, str]:
    """Split a request's target (RFC 9112, 3.2.1) as it stands: `urlsplit` refuses some."""
    path, _, query = target.partition('#')[0].partition('?')
    return path, query


def _header(headers: Headers, name: str) -> str:
    """Return a header that must be there once; '' if it is missing or ambiguous."""
    values = headers.get_all(name)
    return values[0] if len(values) == 1 else ''


def _bearer(headers: Headers) -> str | None:
    scheme, _, token = _header(headers, 'Authorization').partition(' ')
    return token.strip() if scheme.lower() == 'bearer' else None
