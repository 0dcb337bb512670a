"""Which server a person means: any address that is at hand, of the page or of the WebSocket."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from rtc_signaling.errors import ConfigurationError

DEFAULT_URL = 'ws://127.0.0.1:8765'
DEFAULT_PORT = 8765
_RULE = 'must be ws://host:port, or the address of the viewer page'
_SECURE = {'ws': False, 'http': False, 'wss': True, 'https': True}


@dataclass(frozen=True, slots=True)
class Target:
    """Hold where the server is.

    Attributes:
        host: A name or an address, of IPv6 without brackets.
        port: 1 to 65535.
        secure: Whether it speaks TLS.
        path: Where its page is, with a slash at both ends; `/` unless there is a proxy before it.
        token: The token that the address carried, or ''.
    """

    host: str
    port: int
    secure: bool = False
    path: str = '/'
    token: str = field(default='', repr=False)

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL."""
        host = f'[{self.host}]' if ':' in self.host else self.host
        return f'{host}:{self.port}'

    @property
    def websocket_url(self) -> str:
        """The URL for WebSockets, without the token."""
        return f'{"wss" if self.secure else "ws"}://{self.authority}{self.path}'


def parse(text: str) -> Target:
    """Return the server that `text` names.

    It may be `host`, `host:port`, `ws://...`, or what the server's log shows and a browser's
    address line has: `http://host:8765/#token=...`.

    Raises:
        ConfigurationError: It names none. The error holds no token.
    """
    shown = text.strip().partition('#')[0]
    given = text.strip() if '://' in text else f'//{text.strip()}'
    try:
        parts = urlsplit(given)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError('url', shown, f'{_RULE}: {error}') from None
    if not host or port == 0 or parts.username is not None:
        raise ConfigurationError('url', shown, _RULE)
    secure = _SECURE.get(parts.scheme or 'ws')
    if secure is None:
        raise ConfigurationError('url', shown, _RULE)
    if port is None:
        port = DEFAULT_PORT if not parts.scheme else 443 if secure else 80
    path = parts.path.removesuffix('index.html').removesuffix('ws')
    token = parse_qs(parts.fragment).get('token', [''])[-1]
    return Target(host, port, secure, path if path.endswith('/') else f'{path}/', token)
