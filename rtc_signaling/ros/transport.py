"""How a process is told to send large images by Fast DDS; for launch files and the demo."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

# The first rclpy (Kilted's) whose rmw_fastrtps reads the newer name, and warns of the older.
_FIRST_WITH_NEW_NAME = 8
_PROFILES_FILES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
# A profile with transports of its own would silently undo a choice made by this one.
_USERS_CHOICES = (*_PROFILES_FILES, 'FASTDDS_BUILTIN_TRANSPORTS')


def image_transport_environment(
    config_directory: Path, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the environment variables that let a publisher's large images arrive.

    Fast DDS's default shared memory segment is smaller than one VGA image; see
    config/fastdds_images.xml. Other middlewares ignore the variable.

    Args:
        config_directory: Where the profile `fastdds_images.xml` lies.
        environment: What the process would have without; transports that the user has chosen in
            it stay as they are, and nothing is returned.
    """
    if any(environment.get(name) for name in _USERS_CHOICES):
        return {}
    major = int(metadata.version('rclpy').partition('.')[0])
    name = _PROFILES_FILES[0 if major >= _FIRST_WITH_NEW_NAME else 1]
    return {name: str(config_directory / 'fastdds_images.xml')}
