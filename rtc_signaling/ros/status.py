"""Reports as ROS messages: the latched status and error topics, and /diagnostics."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from rtc_signaling.report import Level, Report

# Part of the 4 s in which a node ends; a subscriber that hangs must not take them all.
LAST_WORD_TIMEOUT_S = 0.5
DIAGNOSTICS_PERIOD_S = 1.0


class ReportPublisher:
    """Publish a node's reports on a topic; a late subscriber gets the last (transient local).

    Use it on the executor's thread.

    Args:
        node: The node that publishes.
        topic: The topic, such as `signaling/status`.
        hardware_id: What the reports are about; stable over restarts.
        depth: How many a late subscriber gets.
    """

    def __init__(self, node: Node, topic: str, hardware_id: str, depth: int = 1) -> None:
        latched = QoSProfile(
            depth=depth,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
            reliability=ReliabilityPolicy.RELIABLE,
        )
        self._publisher = node.create_publisher(DiagnosticStatus, topic, latched)
        self._node = node
        self._hardware_id = hardware_id

    def publish(self, report: Report) -> None:
        """Publish one report."""
        self._publisher.publish(status_of(self._node, report, self._hardware_id))

    def publish_last(self, report: Report) -> None:
        """Publish what stays when the node is gone, and wait until it has arrived.

        What is still on its way when a publisher goes is lost.
        """
        self.publish(report)
        self._publisher.wait_for_all_acked(Duration(seconds=LAST_WORD_TIMEOUT_S))


class DiagnosticsPublisher:
    """Publish a node's parts on /diagnostics each second (REP 107).

    The timer is the executor's own and of a steady clock, so that it goes on when the node's work
    hangs, and when simulated time stands still.

    Args:
        node: The node that publishes.
        hardware_id: What the reports are about; stable over restarts.
        reports: Returns the reports of now; called on the executor's thread.
    """

    def __init__(
        self, node: Node, hardware_id: str, reports: Callable[[], Iterable[Report]]
    ) -> None:
        self._node = node
        self._hardware_id = hardware_id
        self._reports = reports
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(DIAGNOSTICS_PERIOD_S, self._publish, clock=steady)

    def publish_last(self, level: Level, message: str) -> None:
        """Publish every part as it stays when the node is gone; its timer ends."""
        self._node.destroy_timer(self._timer)
        self._send([Report(report.part, level, message) for report in self._reports()])
        self._publisher.wait_for_all_acked(Duration(seconds=LAST_WORD_TIMEOUT_S))

    def _publish(self) -> None:
        self._send(self._reports())

    def _send(self, reports: Iterable[Report]) -> None:
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.status = [status_of(self._node, report, self._hardware_id) for report in reports]
        self._publisher.publish(message)


def status_of(node: Node, report: Report, hardware_id: str) -> DiagnosticStatus:
    """Return a report as a message.

    Its name begins with the node's, with the namespace: all robots share one /diagnostics.
    """
    name = node.get_fully_qualified_name().lstrip('/')
    return DiagnosticStatus(
        level=bytes([report.level]),
        name=f'{name}: {report.part}',
        message=report.message,
        hardware_id=hardware_id,
        values=[KeyValue(key=key, value=_text(value)) for key, value in report.values],
    )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    return f'{value:.3g}' if isinstance(value, float) else str(value)
