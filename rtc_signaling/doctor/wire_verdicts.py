"""What the facts of the wire mean: port, HTTP, WebSocket, tokens, messages, errors, clocks.

Pure: facts in, a finding out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from rtc_signaling.doctor.findings import Finding, fail, ok, skip, warn
from rtc_signaling.doctor.readings import Readings
from rtc_signaling.doctor.target import Target
from rtc_signaling.messages import PROTOCOL_VERSION, Connected, Error, Pong

# The `Date` of HTTP counts whole seconds, and an answer takes some time as well.
CLOCK_RESOLUTION_S = 1.5
# What a server forgives in the times of a JWT; docs/protocol.md, 2.
JWT_LEEWAY_S = 10.0

START = 'start it: ros2 launch rtc_signaling robot.launch.py'
NOT_OURS = (
    'something else listens there (8765 is the default of foxglove_bridge too): give the '
    'signaling server a port of its own (port:=9000) and the doctor that URL'
)
MORE_PLACES = 'close viewers that nobody needs, or raise max_connections'


class Trouble(StrEnum):
    """Name what keeps a connection from coming about."""

    NONE = ''
    NAME = 'name'
    LOOKUP = 'lookup'
    REFUSED = 'refused'
    TIMEOUT = 'timeout'
    NETWORK = 'network'
    UNTRUSTED = 'untrusted'
    OUT_OF_DATE = 'out_of_date'
    OTHER_NAME = 'other_name'
    TLS = 'tls'
    NOT_HTTP = 'not_http'
    STATUS = 'status'


@dataclass(frozen=True, slots=True)
class Reach:
    """Hold how an attempt to reach the server went.

    Attributes:
        trouble: What was in the way.
        detail: The same in the words of the system or the server.
        took_ms: How long it took.
        status: The HTTP status of an answer, 0 if there was none.
        skew_s: Server's clock minus ours, in s; None if the server did not tell its time.
    """

    trouble: Trouble = Trouble.NONE
    detail: str = ''
    took_ms: float = 0.0
    status: int = 0
    skew_s: float | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """Hold what the server said to a credential.

    Attributes:
        welcome: Its welcome, if it let us in.
        close_code: With which code it hung up; 0 if it did not.
        text: What it said before, or what was wrong with what it said.
        foreign: Whether it said something that is no message of this protocol.
    """

    welcome: Connected | None = None
    close_code: int = 0
    text: str = ''
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class TokenSource:
    """Hold where the doctor has its token from.

    Attributes:
        found_in: Where it was found; '' if it was not found.
        looked_in: Where was looked for it.
        problem: What is wrong with a place that should hold one.
        exposed: The file that others can read, with its mode; or ''.
    """

    found_in: str
    looked_in: str
    problem: str = ''
    exposed: str = ''


def judge_port(target: Target, reach: Reach) -> Finding:
    """Judge an attempt to open a TCP connection."""
    tried = f'TCP connection to {target.authority}'
    remedies = {
        Trouble.NAME: 'check the spelling, or use the IP address',
        Trouble.LOOKUP: 'use the IP address, and check the name servers (resolvectl status)',
        Trouble.REFUSED: f'nothing listens there: {START}, or give the URL that its log shows',
        Trouble.TIMEOUT: 'check the address, that both are in one network, and the firewall',
    }
    if reach.trouble is Trouble.NONE:
        return ok('port', tried, f'open, after {reach.took_ms:.0f} ms')
    remedy = remedies.get(reach.trouble, 'check the address and the network')
    return fail('port', tried, reach.detail, remedy)


def judge_health(target: Target, reach: Reach) -> Finding:
    """Judge the answer of /healthz."""
    tried = f'GET {target.path}healthz'
    if reach.status == 200 and reach.detail.strip() == 'ok':
        return ok('health', tried, 'ok')
    if reach.status == 503:
        return warn('health', tried, f'503: {reach.detail}', 'mend what it names')
    if reach.status == 403:
        return warn('health', tried, f'403: {reach.detail}', _host_remedy(target))
    return warn('health', tried, _words(reach), _other_server_remedy(target, reach))


def judge_websocket(target: Target, reach: Reach) -> Finding:
    """Judge a WebSocket's handshake."""
    tried = f'WebSocket to {target.websocket_url}'
    if reach.trouble is Trouble.NONE:
        return ok('websocket', tried, f'open, after {reach.took_ms:.0f} ms')
    remedies = {
        403: _host_remedy(target),
        429: 'wait for a minute: this address has connected or failed to log in too often',
        503: MORE_PLACES,
    }
    remedy = remedies.get(reach.status) or _other_server_remedy(target, reach)
    return fail('websocket', tried, _words(reach), remedy)


def _other_server_remedy(target: Target, reach: Reach) -> str:
    """Return what to do where no signaling server has answered, or not by this scheme."""
    remedies = {
        Trouble.UNTRUSTED: (
            "set SSL_CERT_FILE to the certificate of the server's issuer (of a self-signed one to "
            'the file of tls.certificate itself)'
        ),
        Trouble.OUT_OF_DATE: (
            'renew the certificate (the server takes a new file without a restart), or set the '
            'clock of this machine if it is wrong (timedatectl)'
        ),
        Trouble.OTHER_NAME: 'use a name or an address that stands in the certificate',
    }
    # Who is spoken to in the other scheme answers what makes no sense, or hangs up.
    if reach.trouble in (Trouble.TLS, Trouble.NOT_HTTP, Trouble.NETWORK):
        other, has = ('ws', 'no TLS') if target.secure else ('wss', 'TLS')
        return f'if the server has {has}, try {other}://{target.authority}; else {NOT_OURS}'
    return remedies.get(reach.trouble, NOT_OURS)


def judge_clock(reach: Reach) -> Finding:
    """Judge the server's clock against this machine's."""
    tried = 'compare the clocks by the Date of the handshake (whole seconds)'
    if reach.skew_s is None:
        return skip('clock', 'the server does not tell its time')
    ahead = 'ahead of' if reach.skew_s > 0 else 'behind'
    seen = f'the server is {abs(reach.skew_s):.0f} s {ahead} this machine'
    if abs(reach.skew_s) <= CLOCK_RESOLUTION_S:
        return ok('clock', tried, 'no difference to be seen')
    remedy = 'set both by NTP (timedatectl set-ntp true); latencies are wrong until then'
    if abs(reach.skew_s) > JWT_LEEWAY_S:
        remedy += f', and JWTs may be refused (more than {JWT_LEEWAY_S:.0f} s)'
    return warn('clock', tried, seen, remedy)


def judge_token(source: TokenSource) -> Finding:
    """Judge the search for a token."""
    tried = f'look for a token in {source.looked_in}'
    if source.problem:
        return warn('token', tried, source.problem, 'mend it, or give another by --token-file')
    if not source.found_in:
        return warn(
            'token',
            tried,
            'none found',
            'give the address with #token=... from the log of signaling_server, or --token-file',
        )
    if source.exposed:
        seen = f'found in {source.found_in}, which others can read ({source.exposed})'
        return warn('token', tried, seen, f'chmod 600 {source.found_in}')
    return ok('token', tried, f'found in {source.found_in}')


def judge_authentication(source: TokenSource, login: Login) -> Finding:
    """Judge what the server said to the token that was found, or to none."""
    token = f'the token of {source.found_in}' if source.found_in else 'no token'
    tried = f'log in as a viewer with {token}'
    if login.welcome is not None:
        if login.welcome.protocol != PROTOCOL_VERSION:
            seen = f'protocol {login.welcome.protocol}; this doctor knows {PROTOCOL_VERSION}'
            return warn('authentication', tried, seen, 'install the same version on both sides')
        return ok('authentication', tried, 'let in')
    if login.foreign:
        return fail('authentication', tried, login.text, NOT_OURS)
    return fail('authentication', tried, _refusal(login), _login_remedy(source, login.close_code))


def _refusal(login: Login) -> str:
    code = f' (close code {login.close_code})' if login.close_code else ''
    return f'{login.text or "no answer"}{code}'


def _login_remedy(source: TokenSource, close_code: int) -> str:
    if close_code == 4401 and not source.found_in:
        return 'give the address with #token=... from the log of signaling_server, or --token-file'
    remedies = {
        4401: (
            'take the token of the file that this server uses (auth.token_file; it may run as '
            'another user or on another machine), or a new JWT'
        ),
        4403: "take a viewer's token",
        1013: MORE_PLACES,
    }
    return remedies.get(close_code, 'look into the log of signaling_server')


def judge_wrong_token(login: Login) -> Finding:
    """Judge what the server said to a token that nobody has given out."""
    tried = 'log in with a wrong token (once: it counts as one of 10 failed logins)'
    if login.welcome is not None:
        return warn(
            'wrong_token',
            tried,
            'let in',
            'anyone who reaches the port may watch and send: set auth.mode to token',
        )
    if login.close_code == 4401:
        return ok('wrong_token', tried, 'refused, as it should be')
    remedy = 'close code 4401 was expected: look into the log of signaling_server'
    return warn('wrong_token', tried, _refusal(login), remedy)


def judge_messages(pong: object, error: object, msg_ids: tuple[str, str]) -> Finding:
    """Judge what came back for a ping, and for a candidate to a camera that there is not.

    Args:
        pong: What came first, or a text that says why nothing did.
        error: What came then, likewise.
        msg_ids: Those of the ping and of the candidate.
    """
    tried = 'send a ping, and an ICE candidate for a camera that does not exist'
    remedy = 'install the same version on both sides, and look into the log of signaling_server'
    if not isinstance(pong, Pong) or pong.msg_id != msg_ids[0]:
        return fail('messages', tried, f'instead of a pong: {_name(pong)}', remedy)
    if not isinstance(error, Error) or error.msg_id != msg_ids[1]:
        seen = f'a pong; but instead of an error: {_name(error)}'
        return fail('messages', tried, seen, remedy)
    if error.code not in ('peer_unavailable', 'forbidden_camera'):
        return fail('messages', tried, f'a pong; but {error.code}: {error.message}', remedy)
    return ok('messages', tried, f'a pong, and {error.code}: both as the protocol says')


def _name(answer: object) -> str:
    return answer if isinstance(answer, str) else type(answer).__name__


# What to do about errors that clients are told, and about refused connections.
_CURES = {
    'invalid_json': 'a client sends what is not JSON',
    'invalid_message': 'a client breaks docs/protocol.md',
    'invalid_sdp': 'a client sends an SDP that cannot work',
    'invalid_candidate': 'a client sends malformed candidates',
    'peer_unavailable': 'viewers ask for a camera that is not there: is camera_sender running?',
    'rate_limited': 'a client sends more than limits.message_rate',
    'expired': 'a peer was lost and did not come back',
    'unauthorized': 'somebody has a wrong or an old token',
    'timeout': 'clients connect and send no token',
    'too_many_connections': MORE_PLACES,
    'host': 'a name is missing in allowed_hosts',
    'origin': 'a page is missing in allowed_origins',
    'connection_rate': 'an address connects too often',
    'failed_logins': 'an address has shown too many wrong tokens',
    'too_slow': "a client's network is too slow",
}


def judge_errors(added: Readings, total: Readings, window_s: float) -> Finding:
    """Judge the errors that were counted during the examination.

    Args:
        added: What was added meanwhile, the doctor's own errors left out.
        total: The counts since the server's start.
        window_s: How long was counted.
    """
    tried = f'count errors in /metrics for {window_s:.1f} s'
    since_start = f'{_sum(total)} since the server started, those of the doctor among them'
    recent = {**added.errors, **{f'refused {k}': v for k, v in added.refused.items()}}
    if added.too_slow:
        recent['too_slow'] = added.too_slow
    if not recent:
        return ok('errors', tried, f'none ({since_start})')
    seen = ', '.join(f'{count:.0f} {name}' for name, count in sorted(recent.items()))
    names = [name.removeprefix('refused ') for name in sorted(recent)]
    cures = '; '.join(f'{name}: {_CURES[name]}' for name in names if name in _CURES)
    return warn(
        'errors',
        tried,
        f'{seen} ({since_start})',
        cures or 'look into the log of signaling_server',
    )


def _sum(total: Readings) -> str:
    return f'{sum(total.errors.values()) + sum(total.refused.values()) + total.too_slow:.0f}'


def judge_no_errors_page(reach: Reach) -> Finding:
    """Judge that /metrics could not be read."""
    return warn(
        'errors',
        'count errors in /metrics',
        _words(reach),
        'look into the log of signaling_server instead',
    )


def _host_remedy(target: Target) -> str:
    return f'add {target.host!r} to allowed_hosts of signaling_server, or use the IP address'


def _words(reach: Reach) -> str:
    detail = re.sub(r'\s+', ' ', reach.detail).strip()[:200]
    return f'HTTP {reach.status}: {detail}' if reach.status else detail
