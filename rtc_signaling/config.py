"""Every parameter of every node, declared once.

A node's configuration is a frozen dataclass; `parameter()` gives each field its default, range and
description. The ROS descriptors, the checks, `config/params.yaml` and the README's table all come
from here, and a test holds them together. Secrets are never parameters: any node of the graph can
read those. They come from a file (mode 0600) or from the environment (`tokens.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from rtc_signaling.errors import ConfigurationError
from rtc_signaling.parameter import parameter

CLIENT_ID = re.compile(r'[A-Za-z0-9._:-]{1,64}')
ICE_URL = re.compile(r'(stun|stuns|turn|turns):[^\s@?]+(\?transport=(udp|tcp))?')
ORIGIN = re.compile(r'\*|https?://[^\s/?#@]+')
HOST_NAME = re.compile(r'[A-Za-z0-9.-]+')

_CREDENTIALS_HELP = (
    'File (mode 0600) with the access tokens; empty: rtc_signaling/tokens.json in ROS_HOME'
)


def _log_level() -> Any:
    """Declare the parameter that both nodes have."""
    return parameter(
        'default',
        'What is logged; default: as --log-level says, info without it',
        name='log_level',
        choices=('default', 'debug', 'info', 'warn', 'error'),
        live=True,
    )


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
    auth_token_file: str = parameter('', _CREDENTIALS_HELP, name='auth.token_file')
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
    log_level: str = _log_level()


@dataclass(frozen=True)
class SenderConfig:
    """Configure the camera sender (`camera_sender`)."""

    server_url: str = parameter(
        'ws://127.0.0.1:8765',
        "The signaling server's URL",
        name='server_url',
        pattern=re.compile(r'wss?://[^\s/?#@]+(/[^\s?#]*)?'),
    )
    client_id: str = parameter(
        'camera',
        'Name of this camera, as receivers see it',
        name='client_id',
        pattern=CLIENT_ID,
    )
    auth_token_file: str = parameter('', _CREDENTIALS_HELP, name='auth.token_file')
    reconnect_min_s: float = parameter(
        0.5,
        'First back-off before connecting again, in s',
        name='reconnect.min',
        minimum=0.05,
        maximum=60.0,
    )
    reconnect_max_s: float = parameter(
        8.0,
        'Longest back-off before connecting again, in s',
        name='reconnect.max',
        minimum=0.05,
        maximum=600.0,
    )
    ice_servers: tuple[str, ...] = parameter(
        (),
        "STUN or TURN URLs besides the signaling server's; none by default",
        name='ice_servers',
        pattern=ICE_URL,
    )
    ice_addresses: tuple[str, ...] = parameter(
        (),
        'Local IP addresses to offer for video; empty: all but loopback',
        name='ice_addresses',
        pattern=re.compile(r'[0-9A-Fa-f.:]+'),
    )
    max_viewers: int = parameter(
        10,
        'Most viewers at once; an offer beyond is not answered',
        name='max_viewers',
        live=True,
        minimum=1,
        maximum=1000,
    )
    viewer_timeout_s: float = parameter(
        5.0,
        'A viewer whose receiver reports stop for so long is let go, in s',
        name='viewer_timeout',
        live=True,
        minimum=2.0,
        maximum=60.0,
    )
    stale_timeout_s: float = parameter(
        2.0,
        'No image for so long: the camera counts as stale, in s',
        name='stale_timeout',
        live=True,
        minimum=0.1,
        maximum=60.0,
    )
    image_qos: str = parameter(
        'auto',
        'QoS reliability asked for; auto: reliable if every publisher is, best effort otherwise',
        name='image_qos',
        choices=('auto', 'best_effort', 'reliable'),
    )
    image_transport: str = parameter(
        'raw',
        'raw: sensor_msgs/Image; compressed: sensor_msgs/CompressedImage (JPEG, PNG or H.264) on '
        'the same topic with /compressed behind it',
        name='image_transport',
        choices=('raw', 'compressed'),
    )
    enabled: bool = parameter(
        True,
        'Whether the camera is on at the start; service set_enabled changes it',
        name='enabled',
    )
    max_fps: float = parameter(
        0.0,
        'Most pictures per second that are sent, in Hz; 0 sends every image',
        name='max_fps',
        minimum=0.0,
        maximum=240.0,
        live=True,
    )
    depth_near_m: float = parameter(
        0.3,
        'Depth images (16UC1, 32FC1): what is so near or nearer is brightest, in m; below '
        'depth.far',
        name='depth.near',
        minimum=0.0,
        maximum=1000.0,
        live=True,
    )
    depth_far_m: float = parameter(
        10.0,
        'Depth images: what is so far or farther is darkest, in m; without a distance: black',
        name='depth.far',
        minimum=0.001,
        maximum=1000.0,
        live=True,
    )
    depth_colour: str = parameter(
        'grey',
        'Depth images: shades of grey, or turbo: blue (far) to red (near)',
        name='depth.colour',
        choices=('grey', 'turbo'),
        live=True,
    )
    codec_preference: tuple[str, ...] = parameter(
        ('h264', 'vp8'),
        'Video codecs, the preferred one first; a viewer gets the first that it has',
        name='codec_preference',
        choices=('h264', 'vp8'),
    )
    bitrate_bps: int = parameter(
        2_500_000,
        'Bits per second of the video, in bit/s; each viewer gets the same stream',
        name='bitrate',
        minimum=50_000,
        maximum=100_000_000,
        live=True,
    )
    key_frame_interval_s: float = parameter(
        0.0,
        'Longest time without a key frame, in s; 0: only when a viewer needs one',
        name='key_frame_interval',
        minimum=0.0,
        maximum=3600.0,
        live=True,
    )
    encoder: str = parameter(
        'auto',
        "FFmpeg's H.264 encoder, such as libx264 or h264_nvenc; auto: hardware if it works",
        name='encoder',
        pattern=re.compile(r'auto|lib[a-z0-9]+|h264_[a-z0-9]+'),
    )
    encoder_preset: str = parameter(
        '',
        "The H.264 encoder's preset, such as veryfast; empty: what docs/media.md says",
        name='encoder_preset',
        pattern=re.compile(r'[A-Za-z0-9_-]+'),
    )
    expected_rate_hz: float = parameter(
        0.0,
        'Images per second that the camera should give, in Hz; fewer are a warning; 0: unknown',
        name='expected_rate',
        minimum=0.0,
        maximum=1000.0,
        live=True,
    )
    warn_frame_age_s: float = parameter(
        0.5,
        'Images older than this when they come are a warning, in s',
        name='warn.frame_age',
        minimum=0.001,
        maximum=60.0,
        live=True,
    )
    warn_latency_s: float = parameter(
        0.5,
        'Pictures older than this at a viewer are a warning, in s',
        name='warn.latency',
        minimum=0.001,
        maximum=60.0,
        live=True,
    )
    warn_loss: float = parameter(
        0.05,
        'More lost packets of a viewer than this share are a warning',
        name='warn.loss',
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    log_level: str = _log_level()

    def __post_init__(self) -> None:
        """Check what is a rule of two parameters.

        Raises:
            ConfigurationError: `depth.near` is not below `depth.far`.
        """
        if not self.depth_near_m < self.depth_far_m:
            raise ConfigurationError(
                'depth.far', self.depth_far_m, f'must be above depth.near, {self.depth_near_m:g}'
            )


@dataclass(frozen=True)
class TestCameraConfig:
    """Configure the synthetic camera (`test_camera`)."""

    __test__ = False  # the name is no invitation to pytest

    width: int = parameter(
        640,
        'Width of the synthetic scene, in pixels',
        name='width',
        minimum=64,
        maximum=7680,
    )
    height: int = parameter(
        480,
        'Height of the synthetic scene, in pixels',
        name='height',
        minimum=64,
        maximum=4320,
    )
    rate_hz: float = parameter(
        30.0,
        'Images per second of the synthetic scene, in Hz',
        name='rate',
        minimum=0.1,
        maximum=240.0,
    )
    encoding: str = parameter(
        'bgr8',
        'Encoding of the images',
        name='encoding',
        choices=('bgr8', 'rgb8', 'mono8', 'yuv422'),
    )
    video_file: str = parameter(
        '',
        'Video file to publish at its own rate, looped; empty: the synthetic scene',
        name='video_file',
    )
    frame_id: str = parameter('camera', 'frame_id of the headers', name='frame_id')
    reliability: str = parameter(
        'best_effort',
        'QoS reliability of the publisher',
        name='reliability',
        choices=('best_effort', 'reliable'),
    )
    image_transport: str = parameter(
        'raw',
        'raw: sensor_msgs/Image; compressed: JPEG as sensor_msgs/CompressedImage on the same '
        'topic with /compressed behind it',
        name='image_transport',
        choices=('raw', 'compressed'),
    )
