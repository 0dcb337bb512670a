"""What the parameter tables of the nodes have in common.

A node's configuration is a frozen dataclass in a module of its own (`server_config`,
`sender_config`, `test_camera_config`); `parameter()` gives each field its default, range and
description. The ROS descriptors, the checks, `config/params.yaml` and the README's table all come
from there, and a test holds them together. Secrets are never parameters: any node of the graph can
read those. They come from a file (mode 0600) or from the environment (`tokens.py`).
"""

from __future__ import annotations

import re
from typing import Any

from rtc_signaling.parameter import parameter

CLIENT_ID = re.compile(r'[A-Za-z0-9._:-]{1,64}')
# Of a camera in a robot: part of topics and of namespaces, too.
CAMERA_NAME = re.compile(r'[A-Za-z][A-Za-z0-9_]{0,63}')
ICE_URL = re.compile(r'(stun|stuns|turn|turns):[^\s@?]+(\?transport=(udp|tcp))?')


def token_file() -> Any:
    """Declare where the access tokens are kept."""
    return parameter(
        '',
        'File (mode 0600) with the access tokens; empty: rtc_signaling/tokens.json in ROS_HOME',
        name='auth.token_file',
    )


def log_level() -> Any:
    """Declare what a node logs."""
    return parameter(
        'default',
        'What is logged; default: as --log-level says, info without it',
        name='log_level',
        choices=('default', 'debug', 'info', 'warn', 'error'),
        live=True,
    )
