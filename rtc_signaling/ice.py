"""The ICE manager: checks candidates on their way, and hands out STUN and TURN servers.

Candidates follow the grammar of RFC 8839, 5.1, with TCP (RFC 6544) and names of multicast DNS in
place of addresses, as browsers hide theirs (RFC 8828). TURN servers want a credential: a fixed
one, or one with an end, which coturn checks by a secret that it shares with us (its option
`use-auth-secret`).

Pure, without state. No error, no summary and no `repr` holds an address or a secret.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from rtc_signaling.errors import ConfigurationError, ProtocolError
from rtc_signaling.messages import IceServer

MAX_CANDIDATE_CHARS = 1024

_FOUNDATION = re.compile(r'[A-Za-z0-9+/]{1,32}')
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,32}")
_VISIBLE = re.compile(r'[!-~]*')
_NUMBER = re.compile(r'[0-9]{1,10}')
_LABEL = r'[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?'
# The last label of a name begins with a letter, so that a wrong IPv4 address is none.
_NAME = re.compile(rf'(?=.{{1,253}}\.?\Z)(?:{_LABEL}\.)*(?=[A-Za-z]){_LABEL}\.?')
_TCP_TYPES = ('active', 'passive', 'so')
_URL = re.compile(
    r'(?P<scheme>stuns?|turns?):(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)'
    r'(?::(?P<port>[0-9]{1,5}))?(?P<query>\?transport=(?:udp|tcp))?'
)


@dataclass(frozen=True, slots=True)
class CandidateSummary:
    """Say what a candidate is, without its address; `str()` may be logged.

    Attributes:
        component: 1 for RTP and everything multiplexed with it, 2 for RTCP.
        transport: `udp` or `tcp`.
        typ: `host`, `srflx`, `prflx`, `relay`, or another token.
        address_kind: `IPv4`, `IPv6`, `mDNS` or `name`.
        tcp_type: `active`, `passive` or `so`; '' for UDP.
    """

    component: int
    transport: str
    typ: str
    address_kind: str
    tcp_type: str

    def __str__(self) -> str:
        words = (self.typ, self.transport, self.tcp_type, self.address_kind)
        return f'{" ".join(filter(None, words))}, component {self.component}'


@dataclass(frozen=True, slots=True)
class StaticCredential:
    """Hold the fixed name and password of the TURN servers."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TurnRest:
    """Hold what time-limited credentials are made from.

    Attributes:
        secret: What coturn has as `static-auth-secret`.
        ttl_s: How long a credential is good for, in s. A relay ends with its credential, so it
            should outlast the longest session.
    """

    secret: str = field(repr=False)
    ttl_s: float = 86400.0

    def credential(self, client_id: str, unix_time_s: float) -> StaticCredential:
        """Return the credential of `client_id` from `unix_time_s` on."""
        username = f'{int(unix_time_s + self.ttl_s)}:{client_id}'
        # SHA-1 is what coturn's scheme prescribes; as an HMAC it is not broken.
        digest = hmac.digest(self.secret.encode(), username.encode(), 'sha1')
        return StaticCredential(username, base64.b64encode(digest).decode())


class IceManager:
    """Check candidates and hand out ICE servers. Any thread may call.

    Args:
        urls: STUN and TURN servers (RFC 7064 and 7065): `stun:host[:port]`,
            `turn:host[:port][?transport=udp|tcp]`, and the same with `stuns` and `turns`.
        turn: How clients show the TURN servers who they are; None without TURN servers.

    Raises:
        ConfigurationError: A URL has not the form, or a TURN server has no credential.
    """

    def __init__(
        self, urls: Sequence[str] = (), turn: StaticCredential | TurnRest | None = None
    ) -> None:
        for url in urls:
            _check_url(url)
            if url.startswith('turn') and turn is None:
                rule = 'needs a user name and password, or a shared secret: browsers insist'
                raise ConfigurationError('ice_servers', url, rule)
        self._urls = tuple(urls)
        self._turn = turn

    def ice_servers(self, client_id: str, unix_time_s: float) -> tuple[IceServer, ...]:
        """Return the servers for `client_id`, in the order of their URLs.

        Args:
            client_id: Whom the credentials are for; it stands in the TURN server's log.
            unix_time_s: Wall clock, in s since 1970.
        """
        turn = self._turn
        if isinstance(turn, TurnRest):
            turn = turn.credential(client_id, unix_time_s)
        return tuple(
            IceServer(urls=url, username=turn.username, credential=turn.password)
            if turn is not None and url.startswith('turn')
            else IceServer(urls=url)
            for url in self._urls
        )

    def check_candidate(self, candidate: str | None) -> CandidateSummary | None:
        """Return what `candidate` is, or None if it says that no more will come.

        Args:
            candidate: The member `candidate` of a W3C RTCIceCandidateInit.

        Raises:
            ProtocolError: `invalid_candidate`, naming the field and the rule that it breaks.
        """
        if not candidate:
            return None
        if len(candidate) > MAX_CANDIDATE_CHARS:
            raise _invalid('candidate', f'must have {MAX_CANDIDATE_CHARS} characters at most')
        fields = candidate.removeprefix('candidate:').split(' ')
        if len(fields) < 8 or fields[6] != 'typ':
            rule = 'must be "candidate:" and eight fields or more, the seventh "typ"'
            raise _invalid('candidate', rule)
        if not _FOUNDATION.fullmatch(fields[0]):
            raise _invalid('foundation', 'must be 1 to 32 of A-Z a-z 0-9 + /')
        component = _number('component', fields[1], 1, 256)
        transport = fields[2].lower()
        if transport not in ('udp', 'tcp'):
            raise _invalid('transport', 'must be UDP or TCP')
        _number('priority', fields[3], 1, 2**31 - 1)
        address_kind = _address('address', fields[4])
        _number('port', fields[5], 0, 65535)
        if not _TOKEN.fullmatch(fields[7]):
            raise _invalid('typ', 'must be host, srflx, prflx, relay or another token')
        tcp_type = _extensions(fields[8:])
        if (transport == 'tcp') != bool(tcp_type):
            raise _invalid('tcptype', 'must be there with TCP, and with TCP alone')
        return CandidateSummary(component, transport, fields[7], address_kind, tcp_type)


def _extensions(fields: list[str]) -> str:
    """Check the names and values after the type; return the tcptype, or ''."""
    if len(fields) % 2:
        raise _invalid('extensions', 'must be pairs of name and value')
    tcp_type = ''
    for name, value in zip(fields[::2], fields[1::2], strict=True):
        if name == 'raddr':
            _address('raddr', value)
        elif name == 'rport':
            _number('rport', value, 0, 65535)
        elif name == 'tcptype':
            if value not in _TCP_TYPES:
                raise _invalid('tcptype', f'must be {", ".join(_TCP_TYPES)}')
            tcp_type = value
        elif not (_TOKEN.fullmatch(name) and _VISIBLE.fullmatch(value)):
            raise _invalid('extensions', 'must be a token and visible characters each')
    return tcp_type


def _number(name: str, text: str, low: int, high: int) -> int:
    if not _NUMBER.fullmatch(text) or not low <= int(text) <= high:
        raise _invalid(name, f'must be a whole number from {low} to {high}')
    return int(text)


def _address(name: str, text: str) -> str:
    """Return the kind of the address `text`."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        if not _NAME.fullmatch(text):
            rule = 'must be an IPv4 or IPv6 address or a host name'
            raise _invalid(name, rule) from None
        return 'mDNS' if text.rstrip('.').lower().endswith('.local') else 'name'
    # A zone means nothing on another machine.
    if '%' in text:
        raise _invalid(name, 'must have no zone')
    return f'IPv{address.version}'


def _check_url(url: str) -> None:
    match = _URL.fullmatch(url)
    if match is None:
        rule = 'must be stun:host[:port] or turn:host[:port][?transport=udp|tcp], or stuns, turns'
        raise ConfigurationError('ice_servers', url, rule)
    scheme, host, port, query = match.group('scheme', 'host', 'port', 'query')
    if query and scheme.startswith('stun'):
        raise ConfigurationError('ice_servers', url, 'stun takes no ?transport=')
    if port and not 1 <= int(port) <= 65535:
        raise ConfigurationError('ice_servers', url, 'the port must be from 1 to 65535')
    if not _is_host(host):
        raise ConfigurationError('ice_servers', url, 'the host must be a name or an IP address')


def _is_host(host: str) -> bool:
    try:
        if host.startswith('['):
            ipaddress.IPv6Address(host[1:-1])
        elif not _NAME.fullmatch(host):
            ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _invalid(name: str, rule: str) -> ProtocolError:
    return ProtocolError('invalid_candidate', f'{name}: {rule}')
