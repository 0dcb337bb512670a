"""Every parameter of every node, declared once.

A node's configuration is a frozen dataclass; `parameter()` gives each field its default, range and
description. The ROS descriptors, the checks, `config/params.yaml` and the README's table all come
from here, and a test holds them together. Secrets are never parameters: any node of the graph can
read those. They come from a file (mode 0600) or from the environment (`tokens.py`).
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rtc_signaling.errors import ConfigurationError

CLIENT_ID = re.compile(r'[A-Za-z0-9._:-]{1,64}')
ICE_URL = re.compile(r'(stun|stuns|turn|turns):[^\s@?]+(\?transport=(udp|tcp))?')

Value = bool | int | float | str | tuple[str, ...]
ConfigT = TypeVar('ConfigT')
_TYPE_NAMES: dict[type, str] = {
    bool: 'true or false',
    int: 'an integer',
    float: 'a number',
    str: 'a string',
    tuple: 'a list of strings',
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """Describe one parameter.

    Attributes:
        name: The ROS name; dots make groups.
        default: Its default, whose type is the parameter's type.
        description: One line for people; it ends with the unit where there is one.
        minimum: Lowest allowed number, or None.
        maximum: Highest allowed number, or None.
        choices: The allowed strings; empty allows all.
        pattern: What a string, or each string of a list, must match whole; None allows all.
    """

    name: str
    default: Value
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None

    def check(self, value: Any) -> Value:
        """Return `value` in the parameter's type.

        Raises:
            ConfigurationError: It has another type, or breaks a rule.
        """
        typed = self._typed(value)
        if isinstance(typed, int | float) and not isinstance(typed, bool):
            self._check_range(typed)
        for text in typed if isinstance(typed, tuple) else (typed,):
            if isinstance(text, str):
                self._check_text(text)
        return typed

    def _typed(self, value: Any) -> Value:
        kind = type(self.default)
        if kind is tuple and isinstance(value, list | tuple):
            if all(isinstance(item, str) for item in value):
                # An empty list in YAML has no type, so [''] is how ROS users write "none".
                return tuple(item for item in value if item)
        elif kind is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        elif type(value) is kind:
            return value
        raise ConfigurationError(self.name, value, f'must be {_TYPE_NAMES[kind]}')

    def _check_range(self, number: float) -> None:
        low, high = self.minimum, self.maximum
        # Written so that NaN, which is neither below nor above anything, is refused.
        if not ((low is None or number >= low) and (high is None or number <= high)):
            bounds = [f'at least {low:g}'] if low is not None else []
            bounds += [f'at most {high:g}'] if high is not None else []
            raise ConfigurationError(self.name, number, f'must be {" and ".join(bounds)}')

    def _check_text(self, text: str) -> None:
        if self.choices and text not in self.choices:
            raise ConfigurationError(self.name, text, f'must be one of {", ".join(self.choices)}')
        if text and self.pattern is not None and not self.pattern.fullmatch(text):
            raise ConfigurationError(self.name, text, f'must match {self.pattern.pattern}')


def parameter(default: Value, description: str, *, name: str, **rules: Any) -> Any:
    """Declare a field of a configuration dataclass; `rules` are those of `Parameter`."""
    spec = Parameter(name, default, description, **rules)
    return field(default=default, metadata={'parameter': spec})


def parameters(config: type[Any]) -> dict[str, Parameter]:
    """Return the parameters of a configuration dataclass, by field name, in their order."""
    return {f.name: f.metadata['parameter'] for f in dataclasses.fields(config)}


def from_values(config: type[ConfigT], values: dict[str, Any]) -> ConfigT:
    """Build a configuration from ROS names and raw values, checking each.

    Raises:
        ConfigurationError: A value has the wrong type or breaks a rule, or a name is unknown.
    """
    table = parameters(config)
    unknown = values.keys() - {spec.name for spec in table.values()}
    if unknown:
        name = min(unknown)
        raise ConfigurationError(name, values[name], 'there is no such parameter')
    return config(
        **{
            attribute: spec.check(values.get(spec.name, spec.default))
            for attribute, spec in table.items()
        }
    )


_CREDENTIALS_HELP = (
    'File (mode 0600) with the access tokens; empty: rtc_signaling/tokens.json in ROS_HOME'
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
        'token: clients must show a token; none: anyone who reaches the port may watch',
        name='auth.mode',
        choices=('token', 'none'),
    )
    auth_token_file: str = parameter('', _CREDENTIALS_HELP, name='auth.token_file')
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
        minimum=1,
        maximum=1000,
    )
    viewer_timeout_s: float = parameter(
        5.0,
        'A viewer whose receiver reports stop for so long is let go, in s',
        name='viewer_timeout',
        minimum=2.0,
        maximum=60.0,
    )
    stale_timeout_s: float = parameter(
        2.0,
        'No image for so long: the camera counts as stale, in s',
        name='stale_timeout',
        minimum=0.1,
        maximum=60.0,
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
