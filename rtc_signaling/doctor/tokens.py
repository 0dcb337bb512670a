"""Where the doctor finds a token: what it was given, the environment, the token file."""

from __future__ import annotations

import stat
from collections.abc import Mapping

from rtc_signaling import secret_files, tokens
from rtc_signaling.doctor.wire_verdicts import TokenSource
from rtc_signaling.errors import ConfigurationError
from rtc_signaling.tokens import TOKEN_VARIABLE, token_path


def find(given: str, file_option: str, environment: Mapping[str, str]) -> tuple[str, TokenSource]:
    """Return the token ('' if there is none) and where it is from.

    Args:
        given: The token that stands in the URL or in the option, or ''.
        file_option: The file that the user names; '' for that of signaling_server.
        environment: The process's environment.
    """
    if given:
        return given, TokenSource('the command line', 'the command line')
    from_environment = environment.get(TOKEN_VARIABLE, '')
    if from_environment and not file_option:
        return from_environment, TokenSource(TOKEN_VARIABLE, TOKEN_VARIABLE)
    path = token_path(file_option, environment)
    looked_in = str(path) if file_option else f'the URL, {TOKEN_VARIABLE} and {path}'
    try:
        mode = secret_files.read('token_file', path).mode
        token = tokens.load(path).receiver
    except ConfigurationError as error:
        is_missing = isinstance(error.__cause__, FileNotFoundError)
        problem = '' if is_missing and not file_option else f'{path}: {error.rule}'
        return '', TokenSource('', looked_in, problem)
    exposed = f'mode {stat.filemode(mode)[1:]}' if mode & 0o077 else ''
    return token, TokenSource(str(path), looked_in, '', exposed)
