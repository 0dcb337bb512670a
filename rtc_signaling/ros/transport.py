"""How a process is told to send large images by Fast DDS; for launch files and the demo."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

# The first rclpy (Kilted's) whose rmw_fastrtps reads the newer name, and warns of the older.
_FIRST_WITH_NEW_NAME = 8


def image_transport_environment(config_directory: Path) -> dict[str, str]:
    """Return the environment variables that let a publisher's large images arrive.

    Fast DDS's default shared memory segment is smaller than one VGA image; see
    config/fastdds_images.xml. Other middlewares ignore the variable.
    """
    major = int(metadata.version('rclpy').partition('.')[0])
    name = 'FASTDDS' if major >= _FIRST_WITH_NEW_NAME else 'FASTRTPS'
    return {f'{name}_DEFAULT_PROFILES_FILE': str(config_directory / 'fastdds_images.xml')}
