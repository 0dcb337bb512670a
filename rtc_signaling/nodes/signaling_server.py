"""The `signaling_server` node."""

from __future__ import annotations

import logging
import os

from rclpy.context import Context
from rclpy.node import Node
from std_msgs.msg import Float64, UInt32
from std_srvs.srv import Trigger

from rtc_signaling import server_reports
from rtc_signaling.auth import TokenAuthenticator, Tokens
from rtc_signaling.credentials import announcement, make_authenticator, make_ice
from rtc_signaling.errors import BusyError, ConfigurationError
from rtc_signaling.loop_thread import LoopThread, fast_loop
from rtc_signaling.metrics import ServerSnapshot
from rtc_signaling.nodes.background import BackgroundNode
from rtc_signaling.report import Report
from rtc_signaling.ros.logging import forward_logs, set_log_level
from rtc_signaling.ros.parameters import LiveParameters, declare
from rtc_signaling.server import SignalingServer
from rtc_signaling.server_config import ServerConfig
from rtc_signaling.tokens import replace, token_path

logger = logging.getLogger(__name__)


class SignalingServerNode(BackgroundNode[ServerSnapshot, SignalingServer]):
    """Run a SignalingServer in a background thread and publish how it is.

    Publishes `signaling/status`, `signaling/errors`, /diagnostics, and as plain numbers
    `signaling/active_connections`, `signaling/message_rate` (Hz), `signaling/error_rate` (Hz) and
    `signaling/latency` (s, the median round trip of pings). Services
    `signaling_server/disconnect_all` and `signaling_server/rotate_token`. Construct, spin and
    close it on one thread.

    Raises:
        ConfigurationError: A parameter, the token file or the port cannot be used.
    """

    def __init__(self, context: Context) -> None:
        self.node = node = Node('signaling_server', context=context)
        self._config = config = declare(node, ServerConfig)
        forward_logs(node.get_logger(), config.log_level)
        put = self._publish_as('signaling', 'rtc_signaling')
        self._connections = node.create_publisher(UInt32, 'signaling/active_connections', 10)
        self._message_rate = node.create_publisher(Float64, 'signaling/message_rate', 10)
        self._error_rate = node.create_publisher(Float64, 'signaling/error_rate', 10)
        self._latency = node.create_publisher(Float64, 'signaling/latency', 10)
        self._authenticator, token = make_authenticator(config, os.environ)
        ice = make_ice(config)
        self._thread = LoopThread(
            'signaling',
            lambda: SignalingServer(config, self._authenticator, ice, put).run(),
            fast_loop(),
        )
        self._server = self._thread.start()
        LiveParameters(node, config, self._reconfigure, self._ask_thread)
        node.create_service(Trigger, 'signaling_server/disconnect_all', self._disconnect_all)
        node.create_service(Trigger, 'signaling_server/rotate_token', self._rotate_token)
        logger.info('%s', announcement(config, self._server.port, token))

    def _publish(self, snapshot: ServerSnapshot) -> None:
        self._status.publish(server_reports.status(snapshot))
        self._connections.publish(UInt32(data=snapshot.senders + snapshot.receivers))
        self._message_rate.publish(Float64(data=snapshot.received.messages_per_s))
        self._error_rate.publish(Float64(data=snapshot.error_rate))
        self._latency.publish(Float64(data=snapshot.ping_s.p50))

    def _reports(self, snapshot: ServerSnapshot) -> list[Report]:
        return server_reports.diagnostics(snapshot, self._config)

    def _reconfigure(self, config: ServerConfig) -> None:
        self._config = config
        set_log_level(self.node.get_logger(), config.log_level)
        self._thread.call_soon(lambda: self._server.reconfigure(config))

    def _disconnect_all(
        self, _request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        def act() -> str:
            count = self._thread.call(
                lambda: self._server.disconnect_all('an operator asked for it')
            )
            return f'disconnected {count} client(s); they may come back'

        return self._respond(response, act)

    def _rotate_token(
        self, _request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        return self._respond(response, self._replace_tokens)

    def _replace_tokens(self) -> str:
        mode = self._config.auth_mode
        if not isinstance(self._authenticator, TokenAuthenticator):
            raise ConfigurationError('auth.mode', mode, 'there are no tokens to change')
        path = token_path(self._config.auth_token_file, os.environ)
        tokens = replace(path)
        logger.info('%s', announcement(self._config, self._server.port, tokens.receiver))
        try:
            count = self._thread.call(lambda: self._admit(tokens))
        except BusyError as error:
            raise BusyError(f'new tokens are in {path}, not admitted yet: {error}') from error
        # The answer can be heard by others: the tokens are in the file, and in the log's URL.
        return f'new tokens are in {path}; disconnected {count} client(s)'

    def _admit(self, tokens: Tokens) -> int:
        """Admit these tokens, and no client that came by others; in the loop."""
        assert isinstance(self._authenticator, TokenAuthenticator)  # noqa: S101  # asked above
        self._authenticator.replace(tokens)
        return self._server.disconnect_all('the tokens were changed')


def make(context: Context) -> SignalingServerNode:
    """Construct the node, for `runner.run`."""
    return SignalingServerNode(context)
