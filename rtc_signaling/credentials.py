"""From the parameters and the files that they name to who may come in, and with what."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from pathlib import Path

from rtc_signaling import keys, secret_files
from rtc_signaling.auth import (
    Authenticator,
    JwtAuthenticator,
    OpenAuthenticator,
    TokenAuthenticator,
)
from rtc_signaling.errors import ConfigurationError
from rtc_signaling.ice import IceManager, TurnRest
from rtc_signaling.server_config import ServerConfig
from rtc_signaling.tokens import load_or_create, token_path

# Clocks of robots and of those who issue tokens differ by so much.
LEEWAY_S = 10.0

logger = logging.getLogger(__name__)


def make_authenticator(
    config: ServerConfig, environment: Mapping[str, str]
) -> tuple[Authenticator, str]:
    """Return who decides who comes in, and the token for viewers ('' where there is no one).

    Raises:
        ConfigurationError: A file that it needs cannot be used.
    """
    if config.auth_mode == 'none':
        logger.warning('auth.mode is none: anyone who reaches the port can watch and send')
        return OpenAuthenticator(), ''
    if config.auth_mode == 'jwt':
        if not config.auth_key_file:
            raise ConfigurationError('auth.key_file', '', 'must be set for auth.mode = jwt')
        path = Path(config.auth_key_file).expanduser()
        return JwtAuthenticator(keys.load(path), config.auth_audience, LEEWAY_S), ''
    tokens = load_or_create(token_path(config.auth_token_file, environment))
    return TokenAuthenticator(tokens), tokens.receiver


def make_ice(config: ServerConfig) -> IceManager:
    """Return what hands out the ICE servers.

    Raises:
        ConfigurationError: The file with the TURN secret cannot be used.
    """
    if not config.turn_secret_file:
        return IceManager(config.ice_servers)
    file = secret_files.read('turn.secret_file', Path(config.turn_secret_file).expanduser())
    file.warn_if_exposed()
    turn = TurnRest(file.text.strip(), config.turn_ttl_s)
    return IceManager(config.ice_servers, turn)


def announcement(config: ServerConfig, port: int, token: str) -> str:
    """Return the line that tells where to look; the only one in which a token may stand."""
    anywhere = config.host in ('0.0.0.0', '::', '')  # noqa: S104  # compared, not bound
    host = socket.gethostname() if anywhere else config.host
    host = f'[{host}]' if ':' in host else host
    scheme = 'https' if config.tls_certificate else 'http'
    fragment = f'#token={token}' if token else ''
    return f'open {scheme}://{host}:{port}/{fragment} in a browser to see the camera'
