"""What keeps a server from listening, in words for its operator."""

from __future__ import annotations

import errno

from rtc_signaling.errors import ConfigurationError
from rtc_signaling.server_config import ServerConfig


def listen_error(config: ServerConfig, error: OSError) -> ConfigurationError:
    """Return what to tell an operator whose server cannot listen."""
    if error.errno == errno.EADDRINUSE:
        return ConfigurationError(
            'port',
            config.port,
            'is in use by another program (8765 is also the default of foxglove_bridge): stop '
            'that, or set another port here and in server_url of camera_sender',
        )
    return ConfigurationError(
        'host', config.host, f'cannot be listened on (port {config.port}): {error.strerror}'
    )
