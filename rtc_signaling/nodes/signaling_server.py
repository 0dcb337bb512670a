"""The `signaling_server` node."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from rclpy.context import Context
from rclpy.node import Node
from std_msgs.msg import Float64, UInt32

from rtc_signaling.config import ServerConfig
from rtc_signaling.credentials import announcement, make_authenticator, make_ice
from rtc_signaling.loop_thread import LoopThread, fast_loop
from rtc_signaling.metrics import ServerSnapshot
from rtc_signaling.nodes.background import BackgroundNode
from rtc_signaling.ros import status
from rtc_signaling.ros.logging import forward_logs
from rtc_signaling.ros.outbox import Outbox
from rtc_signaling.ros.parameters import declare
from rtc_signaling.ros.status import StatusPublisher
from rtc_signaling.server import SignalingServer

logger = logging.getLogger(__name__)


class SignalingServerNode(BackgroundNode):
    """Run a SignalingServer in a background thread and publish how it is.

    Publishes `signaling/status`, and as plain numbers `signaling/active_connections`,
    `signaling/message_rate` (Hz), `signaling/error_rate` (Hz) and `signaling/latency` (s, the
    median round trip of pings). Construct, spin and close it on one thread.

    Raises:
        ConfigurationError: A parameter, the token file or the port cannot be used.
    """

    def __init__(self, context: Context) -> None:
        self.node = Node('signaling_server', context=context)
        forward_logs(self.node.get_logger())
        config = declare(self.node, ServerConfig)
        self._status = StatusPublisher(self.node, 'signaling/status', 'rtc_signaling')
        self._connections = self.node.create_publisher(UInt32, 'signaling/active_connections', 10)
        self._message_rate = self.node.create_publisher(Float64, 'signaling/message_rate', 10)
        self._error_rate = self.node.create_publisher(Float64, 'signaling/error_rate', 10)
        self._latency = self.node.create_publisher(Float64, 'signaling/latency', 10)
        self._outbox = Outbox[ServerSnapshot](self.node, self._publish)
        authenticator, token = make_authenticator(config, os.environ)
        ice = make_ice(config)
        self._thread = LoopThread(
            'signaling',
            lambda: SignalingServer(config, authenticator, ice, self._outbox.put).run(),
            fast_loop(),
        )
        server = self._thread.start()
        logger.info('%s', announcement(config, server.port, token))

    def _publish(self, snapshot: ServerSnapshot) -> None:
        level, message = _judge(snapshot)
        self._status.publish(
            level,
            message,
            [
                ('senders', snapshot.senders),
                ('receivers', snapshot.receivers),
                ('away', snapshot.away),
                ('url', snapshot.url),
                ('messages_received_per_s', snapshot.received.messages_per_s),
                ('messages_sent_per_s', snapshot.sent.messages_per_s),
                ('errors_per_s', snapshot.error_rate),
                ('ping_p50_ms', snapshot.ping_s.p50 * 1000),
                ('ping_p95_ms', snapshot.ping_s.p95 * 1000),
                ('setup_p50_ms', snapshot.setup_s.p50 * 1000),
                ('waiting_messages', snapshot.waiting),
                ('too_slow', snapshot.too_slow),
                ('connections', snapshot.connections),
                ('messages_received', sum(snapshot.received.messages.values())),
                ('messages_sent', sum(snapshot.sent.messages.values())),
                ('errors', sum(snapshot.errors.values())),
                *_labelled('errors', snapshot.errors),
                *_labelled('refused', snapshot.refused),
                *_labelled('sessions', snapshot.sessions),
            ],
        )
        self._connections.publish(UInt32(data=snapshot.senders + snapshot.receivers))
        self._message_rate.publish(Float64(data=snapshot.received.messages_per_s))
        self._error_rate.publish(Float64(data=snapshot.error_rate))
        self._latency.publish(Float64(data=snapshot.ping_s.p50))


def make(context: Context) -> SignalingServerNode:
    """Construct the node, for `runner.run`."""
    return SignalingServerNode(context)


def _judge(snapshot: ServerSnapshot) -> tuple[bytes, str]:
    """Say in a level and in words how the server is; the worst first."""
    if snapshot.problems:
        return status.ERROR, '; '.join(snapshot.problems)
    robots = f'{snapshot.senders} robot(s)' if snapshot.senders else 'no robot'
    level = status.OK if snapshot.senders else status.WARN
    return level, f'running: {robots}, {snapshot.receivers} viewer(s)'


def _labelled(name: str, counts: Mapping[str, int]) -> list[tuple[str, object]]:
    return [(f'{name}.{key}', count) for key, count in sorted(counts.items())]
