"""Which cameras a robot has: `cameras` and `cameras_file` of the launch file.

Each camera gets a `camera_sender` in a namespace of its name, since the sender's topics and
services (`camera_sender/status`) are relative: in one namespace two senders would share them. With
`one_process` they get one `camera_sender` together, which has them apart by their names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rtc_signaling.common_config import CAMERA_NAME as NAME
from rtc_signaling.common_config import CLIENT_ID
from rtc_signaling.errors import ConfigurationError
from rtc_signaling.parameter import parameters
from rtc_signaling.sender_config import SenderConfig

TOPIC = re.compile(r'/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*')
NAMESPACE = TOPIC

_NAME_RULE = 'a name has 1 to 64 letters, digits and underscores, and begins with a letter'
_TOPIC_RULE = 'must be a topic: names of letters, digits and underscores with / between'
_TEXTS = {
    'name': (NAME, _NAME_RULE),
    'image_topic': (TOPIC, _TOPIC_RULE),
    'client_id': (CLIENT_ID, f'must match {CLIENT_ID.pattern}'),
}
_KEYS = ('name', 'image_topic', 'client_id', 'parameters')


@dataclass(frozen=True)
class CameraSpec:
    """Describe one camera.

    Attributes:
        name: Namespace of its sender, below the robot's; no two cameras share one.
        image_topic: Where its images are; without a leading slash, below the robot's namespace.
        client_id: Its name in the page and in the protocol; no two cameras share one.
        parameters: Parameters of this sender alone, by their ROS names.
    """

    name: str
    image_topic: str
    client_id: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


def from_names(text: str) -> tuple[CameraSpec, ...]:
    """Read `cameras`: names with commas between; none for an empty text.

    Raises:
        ConfigurationError: A name is none, or is there twice.
    """
    if not text.strip():
        return ()
    found = []
    for name in (part.strip() for part in text.split(',')):
        if not NAME.fullmatch(name):
            raise ConfigurationError('cameras', text, f'{name!r} is no name: {_NAME_RULE}')
        found.append(_default(name))
    return _distinct('cameras', found)


def from_list(file: str, document: Any) -> tuple[CameraSpec, ...]:
    """Read `cameras_file`: what YAML has made of it, `{'cameras': [{'name': ...}, ...]}`.

    Args:
        file: Its path, for errors.
        document: The content.

    Raises:
        ConfigurationError: It is no such list, or an entry breaks a rule.
    """
    source = f'cameras_file {file}'
    if not isinstance(document, dict) or set(document) != {'cameras'}:
        raise ConfigurationError(source, document, 'must have one key, cameras, with a list')
    entries = document['cameras']
    if not isinstance(entries, list) or not entries:
        raise ConfigurationError(f'{source}: cameras', entries, 'must be a list with a camera')
    found = [_entry(f'{source}: cameras[{i}]', entry) for i, entry in enumerate(entries)]
    return _distinct(source, found)


def in_one_process(source: str, cameras: Sequence[CameraSpec]) -> tuple[CameraSpec, ...]:
    """Return the cameras as those of one sender, which has one name and one set of parameters.

    Raises:
        ConfigurationError: One has a client_id or parameters of its own, or there are too many.
    """
    for camera in cameras:
        if camera.client_id != camera.name:
            rule = f'{camera.name} cannot have its own with one_process'
            raise ConfigurationError(f'{source}: client_id', camera.client_id, rule)
        if camera.parameters:
            rule = f'{camera.name} cannot have its own with one_process'
            raise ConfigurationError(f'{source}: parameters', dict(camera.parameters), rule)
    SenderConfig(cameras=tuple(camera.name for camera in cameras))
    return tuple(cameras)


def absolute(namespace: str, topic: str) -> str:
    """Return a topic as seen from everywhere, one without a leading slash below `namespace`."""
    if topic.startswith('/'):
        return topic
    return '/'.join(['', *filter(None, namespace.split('/')), topic])


def check_topic(name: str, value: str) -> str:
    """Return the value of an argument that has to be a topic, or raise ConfigurationError."""
    if not TOPIC.fullmatch(value):
        raise ConfigurationError(name, value, _TOPIC_RULE)
    return value


def check_namespace(name: str, value: str) -> str:
    """Return the value of an argument that has to be empty or a namespace, or raise."""
    if value and not NAMESPACE.fullmatch(value):
        rule = 'must be empty or names of letters, digits and underscores with / between'
        raise ConfigurationError(name, value, rule)
    return value


def _default(name: str) -> CameraSpec:
    return CameraSpec(name, f'{name}/image_raw', name)


def _entry(where: str, entry: Any) -> CameraSpec:
    if not isinstance(entry, dict):
        raise ConfigurationError(where, entry, f'must have keys: {", ".join(_KEYS)}')
    for key in entry:
        if key not in _KEYS:
            raise ConfigurationError(
                f'{where}.{key}', entry[key], f'there are only the keys {", ".join(_KEYS)}'
            )
    name = _text(where, entry, 'name', '')
    default = _default(name)
    return CameraSpec(
        name,
        _text(where, entry, 'image_topic', default.image_topic),
        _text(where, entry, 'client_id', name),
        _parameters(f'{where}.parameters', entry.get('parameters', {})),
    )


def _text(where: str, entry: dict[str, Any], key: str, default: str) -> str:
    value = entry.get(key, default)
    pattern, rule = _TEXTS[key]
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ConfigurationError(f'{where}.{key}', value, rule)
    return value


def _parameters(where: str, given: Any) -> Mapping[str, Any]:
    """Check them here: ROS would pass over a parameter that nobody declares without a word."""
    if not isinstance(given, dict):
        raise ConfigurationError(where, given, 'must be names of parameters with their values')
    table = {spec.name: spec for spec in parameters(SenderConfig).values()}
    for name, value in given.items():
        if name == 'client_id':
            raise ConfigurationError(f'{where}.{name}', value, 'is a key of the camera itself')
        if name not in table:
            raise ConfigurationError(
                f'{where}.{name}', value, 'camera_sender has no such parameter'
            )
        try:
            table[name].check(value)
        except ConfigurationError as error:
            raise ConfigurationError(f'{where}.{name}', value, error.rule) from error
    return given


def _distinct(source: str, cameras: list[CameraSpec]) -> tuple[CameraSpec, ...]:
    for key in ('name', 'client_id'):
        values = [getattr(camera, key) for camera in cameras]
        for value in values:
            if values.count(value) > 1:
                raise ConfigurationError(source, value, f'two cameras have this {key}')
    return tuple(cameras)
