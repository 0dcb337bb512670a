"""Which pages may talk to the server: the rules for Origin and Host.

A browser sends the page's origin with each WebSocket request (RFC 6455, 10.2), and a page of
another site must not use the credentials or the place on the network of whoever opened it.
The Host is checked as well: in DNS rebinding the attacker's own name resolves to the robot, so
that Origin and Host agree, and only the name itself is wrong.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


class OriginRules:
    """Judge Origin and Host headers.

    Args:
        hostname: This machine's name; it and `<name>.local` are its own, as are IP addresses and
            localhost.
        allowed_hosts: More names under which the server is reached.
        allowed_origins: Origins of pages from elsewhere that may connect; `*` for all.
    """

    def __init__(
        self, hostname: str, allowed_hosts: tuple[str, ...], allowed_origins: tuple[str, ...]
    ) -> None:
        own = {'localhost', hostname, f'{hostname}.local', *allowed_hosts}
        self._hosts = frozenset(name.lower() for name in own)
        self._origins = frozenset(origin.lower().rstrip('/') for origin in allowed_origins)

    def host_is_ours(self, host: str) -> bool:
        """Tell whether a Host header names this server; '' (none, or several) does not."""
        name = _hostname(f'//{host}')
        if name is None:
            return False
        return name in self._hosts or _is_address(name)

    def origin_may(self, origin: str | None, host: str) -> bool:
        """Tell whether a page may connect.

        Args:
            origin: The Origin header; None where there is none, as programs send none.
            host: The Host header.
        """
        if origin is None or '*' in self._origins:
            return True
        origin = origin.lower()
        if origin.rstrip('/') in self._origins:
            return True
        scheme, _, rest = origin.partition('://')
        return scheme in ('http', 'https') and bool(rest) and rest == host.lower()


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
