"""A server of this repository as a process, for when no other one is named by --url.

This is the only module of the kit that knows how that server is started and configured.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from target import Target

REPOSITORY = Path(__file__).resolve().parents[2]
START_S = 30.0
STOP_S = 10.0
# The server bears clocks that differ by so much, in s: it takes a JWT for so long after its end.
LEEWAY_S = 10.0
LIFETIME_S = 3.0

# Short where a test waits for the end; high where a test would only be slowed down.
PARAMETERS = {
    'host': '127.0.0.1',
    'port': 0,
    'auth.timeout': 2.5,
    'resume_window': 2.0,
    'max_connections': 50,
    'limits.connection_rate': 1000.0,
    'limits.connection_burst': 1000,
    'limits.failed_logins': 1000,
    'limits.byte_rate': 1e7,
    'limits.byte_burst': 10_000_000,
}


class OwnServer:
    """Run the server as long as the tests want it.

    Args:
        directory: For its secrets.
        parameters: What is not as in PARAMETERS.
    """

    def __init__(self, directory: Path, **parameters: object) -> None:
        self._lines: list[str] = []
        self._changed = threading.Condition()
        command = [sys.executable, '-m', 'rtc_signaling.server']
        for name, value in (PARAMETERS | parameters).items():
            command += [f'--{name}', str(value)]
        environment = {k: v for k, v in os.environ.items() if k != 'RTC_SIGNALING_TOKEN'}
        environment['ROS_HOME'] = str(directory)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=REPOSITORY,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.port = self._wait_for_port()
        except BaseException:
            self.stop()
            raise

    @property
    def output(self) -> str:
        """What it has logged so far."""
        with self._changed:
            return ''.join(self._lines)

    def terminate(self) -> None:
        """Ask it to end, as an operator does."""
        self._process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """End it, and see that it is gone."""
        self.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        finally:
            self._process.wait()
            self._reader.join()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()

    def _wait_for_port(self) -> int:
        deadline = time.monotonic() + START_S
        with self._changed:
            while not (match := re.search(r'bound on \S+ port (\d+)', ''.join(self._lines))):
                left_s = deadline - time.monotonic()
                if left_s < 0 or not self._reader.is_alive():
                    raise RuntimeError(f'the server did not start:\n{"".join(self._lines)}')
                self._changed.wait(min(left_s, 0.1))
        return int(match[1])


def with_tokens(directory: Path, **parameters: object) -> tuple[OwnServer, Target]:
    """Start a server that has a token for senders and one for receivers."""
    tokens = {role: secrets.token_urlsafe(24) for role in ('sender', 'receiver')}
    file = directory / 'tokens.json'
    file.write_text(json.dumps(tokens), encoding='utf-8')
    file.chmod(0o600)
    server = OwnServer(directory, **{'auth.token_file': file}, **parameters)
    target = Target(_url(server), tokens['receiver'], tokens['sender'])
    return server, target


def with_subjects(directory: Path, **parameters: object) -> tuple[OwnServer, Target]:
    """Start a server whose tokens are JWTs: with subjects, an end, and a list of cameras."""
    secret = secrets.token_urlsafe(32)
    file = directory / 'key'
    file.write_text(secret, encoding='utf-8')
    file.chmod(0o600)
    options = {'auth.mode': 'jwt', 'auth.key_file': file}
    server = OwnServer(directory, **options, **parameters)
    target = Target(
        _url(server),
        _mint(secret, 'pilot', 'receiver'),
        _mint(secret, 'robot', 'sender'),
        other_token=_mint(secret, 'visitor', 'receiver'),
        restricted_token=_mint(secret, 'guest', 'receiver', cameras=['nobody']),
        narrow_token=_mint(secret, 'pilot', 'receiver', cameras=['nobody']),
        expired_token=_mint(secret, 'pilot', 'receiver', -3600.0),
        mint_expiring=lambda: _mint(secret, 'pilot', 'receiver', LIFETIME_S - LEEWAY_S),
    )
    return server, target


def _url(server: OwnServer) -> str:
    return f'ws://127.0.0.1:{server.port}/'


def _mint(secret: str, subject: str, role: str, lifetime_s: float = 3600.0, **claims: Any) -> str:
    claims |= {'sub': subject, 'role': role, 'aud': 'rtc_signaling'}
    claims |= {'exp': time.time() + lifetime_s}
    parts = [_base64url(json.dumps(part).encode()) for part in ({'alg': 'HS256'}, claims)]
    signature = hmac.digest(secret.encode(), '.'.join(parts).encode(), 'sha256')
    return '.'.join([*parts, _base64url(signature)])


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip('=')
