"""Every parameter of the signaling server, declared once."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rtc_signaling.common_config import ICE_URL, log_level, token_file
from rtc_signaling.parameter import parameter

ORIGIN = re.compile(r'\*|https?://[^\s/?#@]+')
HOST_NAME = re.compile(r'[A-Za-z0-9.-]+')


@dataclass(frozen=True)
class ServerConfig:
    """Configure the signaling server (`signaling_server`)."""

    host: str = parameter('0.0.0.0', 'Address to listen on', name='host')  # noqa: S104
    port: int = parameter(
        8765,
        'TCP port for the WebSocket, the page and /healthz; 0 takes a free one',
        name='port',
        minimum=0,
        maximum=65535,
    )
    max_connections: int = parameter(
        10,
        'Most WebSocket connections at once; one more is kept for a sender',
        name='max_connections',
        live=True,
        minimum=1,
        maximum=10_000,
    )
    timeout_s: float = parameter(
        30.0,
        'A peer that answers no ping for so long is disconnected, in s',
        name='timeout',
        minimum=1.0,
        maximum=3600.0,
    )
    max_message_bytes: int = parameter(
        65536,
        'Largest message accepted, in bytes',
        name='max_message_size',
        minimum=1024,
        maximum=1_048_576,
    )
    auth_mode: str = parameter(
        'token',
        'token: the two tokens of auth.token_file; jwt: tokens signed by a key of auth.key_file; '
        'none: anyone who reaches the port may watch and send',
        name='auth.mode',
        choices=('token', 'jwt', 'none'),
    )
    auth_token_file: str = token_file()
    auth_key_file: str = parameter(
        '',
        'File with the keys of JWTs: a PEM public key, a JWK set, or an HS256 secret',
        name='auth.key_file',
    )
    auth_audience: str = parameter(
        'rtc_signaling', 'What the claim aud of a JWT has to be', name='auth.audience'
    )
    auth_timeout_s: float = parameter(
        5.0,
        'How long a client that sent no token with its request may take to send one, in s',
        name='auth.timeout',
        minimum=0.5,
        maximum=60.0,
    )
    ice_servers: tuple[str, ...] = parameter(
        (),
        'STUN or TURN URLs handed to every client; none by default',
        name='ice_servers',
        pattern=ICE_URL,
    )
    turn_secret_file: str = parameter(
        '',
        'File (mode 0600) with the secret shared with the TURN server (coturn: '
        'static-auth-secret); clients get time-limited credentials made from it',
        name='turn.secret_file',
    )
    turn_ttl_s: float = parameter(
        86400.0,
        'How long such credentials are good for, in s',
        name='turn.ttl',
        minimum=60.0,
        maximum=604800.0,
    )
    resume_window_s: float = parameter(
        30.0,
        'A client whose connection was lost may come back for so long, in s',
        name='resume_window',
        minimum=0.0,
        maximum=3600.0,
    )
    message_rate_hz: float = parameter(
        50.0,
        'Messages per second that a client may send in the long run, in Hz',
        name='limits.message_rate',
        live=True,
        minimum=0.1,
        maximum=1e6,
    )
    message_burst: int = parameter(
        200,
        'Messages that a client may send at once',
        name='limits.message_burst',
        live=True,
        minimum=1,
        maximum=1_000_000,
    )
    byte_rate: float = parameter(
        262144.0,
        'Bytes per second that a client may send in the long run',
        name='limits.byte_rate',
        live=True,
        minimum=1024.0,
        maximum=1e9,
    )
    byte_burst: int = parameter(
        1_048_576,
        'Bytes that a client may send at once',
        name='limits.byte_burst',
        live=True,
        minimum=1024,
        maximum=1_000_000_000,
    )
    control_rate_hz: float = parameter(
        20.0,
        'Control frames (pings, pongs) per second that a client may send, in Hz',
        name='limits.control_rate',
        live=True,
        minimum=1.0,
        maximum=1e6,
    )
    connection_rate_hz: float = parameter(
        10.0,
        'Connections per second from one address in the long run, in Hz',
        name='limits.connection_rate',
        live=True,
        minimum=0.1,
        maximum=1e6,
    )
    connection_burst: int = parameter(
        20,
        'Connections from one address at once',
        name='limits.connection_burst',
        live=True,
        minimum=1,
        maximum=1_000_000,
    )
    failed_logins: int = parameter(
        10,
        'Failed logins of one address after which it has to wait; one is forgiven each 10 s',
        name='limits.failed_logins',
        live=True,
        minimum=1,
        maximum=1_000_000,
    )
    tls_certificate: str = parameter(
        '', 'PEM file with the certificate chain; empty: no TLS', name='tls.certificate'
    )
    tls_key: str = parameter('', 'PEM file with its private key', name='tls.key')
    allowed_origins: tuple[str, ...] = parameter(
        (),
        'Origins of pages from elsewhere that may connect; * for all',
        name='allowed_origins',
        pattern=ORIGIN,
    )
    allowed_hosts: tuple[str, ...] = parameter(
        (),
        "Names under which the server is reached, besides addresses and the machine's own name",
        name='allowed_hosts',
        pattern=HOST_NAME,
    )
    warn_error_rate_hz: float = parameter(
        1.0,
        'More errors per second are a warning in /diagnostics, in Hz',
        name='warn.error_rate',
        minimum=0.0,
        maximum=1e6,
        live=True,
    )
    warn_latency_s: float = parameter(
        0.5,
        'Pings that take longer (95th percentile) are a warning in /diagnostics, in s',
        name='warn.latency',
        minimum=0.001,
        maximum=60.0,
        live=True,
    )
    log_level: str = log_level()
