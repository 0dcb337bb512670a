"""Status topics: a DiagnosticStatus, latched, for people and programs."""

from __future__ import annotations

from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

OK: bytes = DiagnosticStatus.OK
WARN: bytes = DiagnosticStatus.WARN
ERROR: bytes = DiagnosticStatus.ERROR
STALE: bytes = DiagnosticStatus.STALE

# Part of the 4 s in which a node ends; a subscriber that hangs must not take them all.
LAST_WORD_TIMEOUT_S = 0.5


class StatusPublisher:
    """Publish a node's status; a late subscriber gets the last one (transient local).

    Use it on the executor's thread.

    Args:
        node: The node that publishes.
        topic: Relative topic, such as `signaling/status`.
        hardware_id: What the status is about; stable over restarts.
    """

    def __init__(self, node: Node, topic: str, hardware_id: str) -> None:
        latched = QoSProfile(
            depth=1,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
            reliability=ReliabilityPolicy.RELIABLE,
        )
        self._publisher = node.create_publisher(DiagnosticStatus, topic, latched)
        self._name = f'{node.get_name()}: status'
        self._hardware_id = hardware_id

    def publish(self, level: bytes, message: str, values: Sequence[tuple[str, object]]) -> None:
        """Publish one status: its level, a message in words, and values by importance."""
        self._publisher.publish(
            DiagnosticStatus(
                level=level,
                name=self._name,
                message=message,
                hardware_id=self._hardware_id,
                values=[KeyValue(key=key, value=_text(value)) for key, value in values],
            )
        )

    def publish_last(self, level: bytes, message: str) -> None:
        """Publish the status that stays when the node is gone, and wait until it has arrived.

        What is still on its way when a publisher goes is lost.
        """
        self.publish(level, message, [])
        self._publisher.wait_for_all_acked(Duration(seconds=LAST_WORD_TIMEOUT_S))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    return f'{value:.3g}' if isinstance(value, float) else str(value)
