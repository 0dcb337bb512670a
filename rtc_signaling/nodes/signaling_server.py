"""The `signaling_server` node."""

from __future__ import annotations

import logging
import os
import socket

from rclpy.context import Context
from rclpy.node import Node

from rtc_signaling.auth import Authenticator, OpenAuthenticator, TokenAuthenticator
from rtc_signaling.config import ServerConfig
from rtc_signaling.loop_thread import LoopThread
from rtc_signaling.metrics import ServerSnapshot
from rtc_signaling.ros import status
from rtc_signaling.ros.logging import forward_logs
from rtc_signaling.ros.outbox import Outbox
from rtc_signaling.ros.parameters import declare
from rtc_signaling.ros.status import StatusPublisher
from rtc_signaling.server import SignalingServer
from rtc_signaling.tokens import load_or_create, token_path

logger = logging.getLogger(__name__)


class SignalingServerNode:
    """Run a SignalingServer in a background thread and publish how it is.

    Publishes `signaling/status`. Construct, spin and close it on one thread.

    Raises:
        ConfigurationError: A parameter, the token file or the port cannot be used.
    """

    def __init__(self, context: Context) -> None:
        self.node = Node('signaling_server', context=context)
        forward_logs(self.node.get_logger())
        config = declare(self.node, ServerConfig)
        self._status = StatusPublisher(self.node, 'signaling/status', 'rtc_signaling')
        self._outbox: Outbox[ServerSnapshot] = Outbox(self.node, self._publish)
        authenticator, token = _authenticator(config)
        self._thread = LoopThread(
            'signaling', lambda: SignalingServer(config, authenticator, self._outbox.put).run()
        )
        server = self._thread.start()
        _announce(config, server.port, token)

    def check(self) -> None:
        """Raise the error that ended the server's thread, if one did."""
        self._thread.check()

    def close(self) -> None:
        """Stop the server, and publish that it stopped."""
        self._outbox.close()
        died = self._thread.error is not None
        self._thread.stop()
        level, message = (status.ERROR, 'died') if died else (status.STALE, 'stopped')
        self._status.publish_last(level, message)

    def _publish(self, snapshot: ServerSnapshot) -> None:
        robots = 'no robot' if snapshot.senders == 0 else f'{snapshot.senders} robot(s)'
        self._status.publish(
            status.OK if snapshot.senders else status.WARN,
            f'running: {robots}, {snapshot.receivers} viewer(s)',
            [
                ('senders', snapshot.senders),
                ('receivers', snapshot.receivers),
                ('url', snapshot.url),
                ('messages_received', snapshot.messages_received),
                ('messages_sent', snapshot.messages_sent),
                ('connections', snapshot.connections),
                ('errors', sum(snapshot.errors.values())),
                *((f'errors.{code}', count) for code, count in sorted(snapshot.errors.items())),
            ],
        )


def make(context: Context) -> SignalingServerNode:
    """Construct the node, for `runner.run`."""
    return SignalingServerNode(context)


def _authenticator(config: ServerConfig) -> tuple[Authenticator, str]:
    """Return who decides who comes in, and the token for viewers ('' if none is needed)."""
    if config.auth_mode == 'none':
        logger.warning('auth.mode is none: anyone who reaches the port can watch and send')
        return OpenAuthenticator(), ''
    tokens = load_or_create(token_path(config.auth_token_file, os.environ))
    return TokenAuthenticator(tokens), tokens.receiver


def _announce(config: ServerConfig, port: int, token: str) -> None:
    """Log the viewer's URL; the one line in which a token may stand."""
    anywhere = config.host in ('0.0.0.0', '::', '')  # noqa: S104  # compared, not bound
    host = socket.gethostname() if anywhere else config.host
    host = f'[{host}]' if ':' in host else host
    fragment = f'#token={token}' if token else ''
    logger.info('open http://%s:%d/%s in a browser to see the camera', host, port, fragment)
