"""The token file: made at the first start, read by the server and the robot's sender.

The file is JSON with the members `sender` and `receiver`, mode 0600. The environment variable
RTC_SIGNALING_TOKEN stands in for it where a process gets its secret that way.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rtc_signaling import secret_files
from rtc_signaling.auth import Tokens
from rtc_signaling.errors import ConfigurationError

TOKEN_VARIABLE = 'RTC_SIGNALING_TOKEN'  # noqa: S105  # a variable's name
_PARAMETER = 'auth.token_file'

logger = logging.getLogger(__name__)


def token_path(parameter: str, environment: Mapping[str, str]) -> Path:
    """Return the token file's path: as given, or the default in ROS_HOME (~/.ros)."""
    if parameter:
        return Path(parameter).expanduser()
    home = environment.get('ROS_HOME') or '~/.ros'
    return Path(home).expanduser() / 'rtc_signaling' / 'tokens.json'


def load_or_create(path: Path) -> Tokens:
    """Return the tokens of `path`, making the file with new ones if there is none.

    Several processes may do this at once: one file wins, whole.

    Raises:
        ConfigurationError: The file cannot be made or read, or is no token file.
    """
    if not path.exists():
        _create(path)
    return load(path)


def load(path: Path) -> Tokens:
    """Return the tokens of `path`.

    Raises:
        ConfigurationError: There is no such file, or it is no token file.
    """
    file = secret_files.read(_PARAMETER, path)
    file.warn_if_exposed()
    return _parse(path, file.text)


def replace(path: Path) -> Tokens:
    """Put new tokens into the file at `path`, whole, and return them.

    Raises:
        ConfigurationError: The file cannot be written; the old tokens stay.
    """
    content = _new_tokens()
    target = path.resolve()
    try:
        with tempfile.NamedTemporaryFile('w', dir=target.parent, encoding='utf-8') as file:
            json.dump(content, file, indent=2)
            file.flush()
            # A second name for the file, which `replace` takes away again.
            waiting = Path(f'{file.name}.new')
            os.link(file.name, waiting)
            waiting.replace(target)
    except OSError as error:
        raise ConfigurationError(_PARAMETER, str(path), f'cannot be written: {error}') from error
    logger.info('put new access tokens into %s', path)
    return Tokens(**content)


class TokenReader:
    """Read the sender's token at each call, so that a new one is taken up without a restart.

    Args:
        parameter: The parameter `auth.token_file`.
        environment: The process's environment; RTC_SIGNALING_TOKEN in it goes first.
    """

    def __init__(self, parameter: str, environment: Mapping[str, str]) -> None:
        self._path = token_path(parameter, environment)
        self._from_environment = environment.get(TOKEN_VARIABLE, '')
        self._complaint = ''

    def __call__(self) -> str:
        """Return the token, or '' with a warning in the log if there is none to read."""
        if self._from_environment:
            return self._from_environment
        try:
            token = load(self._path).sender
        except ConfigurationError as error:
            if str(error) != self._complaint:
                logger.warning(
                    '%s; signaling_server makes it at its first start, on another machine copy '
                    'it or set %s',
                    error,
                    TOKEN_VARIABLE,
                )
            self._complaint = str(error)
            return ''
        self._complaint = ''
        return token


def _parse(path: Path, text: str) -> Tokens:
    rule = 'must be JSON with "sender" and "receiver", strings of 16 characters or more'
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(_PARAMETER, str(path), rule) from error
    if not isinstance(content, dict):
        raise ConfigurationError(_PARAMETER, str(path), rule)
    tokens = [content.get('sender'), content.get('receiver')]
    sender, receiver = (token if isinstance(token, str) else '' for token in tokens)
    if min(len(sender), len(receiver)) < 16 or sender == receiver:
        raise ConfigurationError(_PARAMETER, str(path), rule + ', not the same')
    return Tokens(sender=sender, receiver=receiver)


def _new_tokens() -> dict[str, str]:
    return {'sender': secrets.token_urlsafe(24), 'receiver': secrets.token_urlsafe(24)}


def _create(path: Path) -> None:
    content = _new_tokens()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A temporary file has mode 0600 from its first byte; the link makes it appear whole.
        with tempfile.NamedTemporaryFile('w', dir=path.parent, encoding='utf-8') as file:
            json.dump(content, file, indent=2)
            file.flush()
            os.link(file.name, path)
    except FileExistsError:
        logger.debug('%s was made by another process meanwhile', path)
    except OSError as error:
        raise ConfigurationError(_PARAMETER, str(path), f'cannot be made: {error}') from error
    else:
        logger.info('made new access tokens in %s', path)
