"""The topics of errors: what the package logs as a warning or worse."""

from __future__ import annotations

import logging
import time

from rclpy.node import Node

from rtc_signaling.limits import TokenBucket
from rtc_signaling.report import Level, Report
from rtc_signaling.ros.outbox import Outbox
from rtc_signaling.ros.status import ReportPublisher

PACKAGE = 'rtc_signaling'
# A late subscriber gets so many.
LATCHED_ERRORS = 10
# Whoever provokes errors on purpose must not fill the network with them.
ERRORS_HZ = 5.0
ERRORS_BURST = 20
_MOST_WAITING = 64


class ErrorTopic(logging.Handler):
    """Publish each warning and error of this package's log as a DiagnosticStatus.

    So there is one place that decides what is worth telling, and what must not be told: no secret
    is ever logged. Records may come from any thread. There is one node in a process.

    Args:
        node: The node that publishes.
        topic: The topic, such as `signaling/errors`.
        hardware_id: As in the node's other statuses.
    """

    def __init__(self, node: Node, topic: str, hardware_id: str) -> None:
        super().__init__(logging.WARNING)
        publisher = ReportPublisher(node, topic, hardware_id, LATCHED_ERRORS)
        self._outbox = Outbox[Report](node, publisher.publish, _MOST_WAITING)
        self._bucket = TokenBucket(ERRORS_HZ, ERRORS_BURST)
        self._suppressed = 0
        logging.getLogger(PACKAGE).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Hand over one record."""
        if not self._bucket.take(time.monotonic()):
            self._suppressed += 1
            return
        values: list[tuple[str, object]] = [('source', record.name.removeprefix(f'{PACKAGE}.'))]
        if self._suppressed:
            values.append(('suppressed_before', self._suppressed))
            self._suppressed = 0
        level = Level.ERROR if record.levelno >= logging.ERROR else Level.WARN
        self._outbox.put(Report('error', level, record.getMessage(), tuple(values)))

    def stop(self) -> None:
        """Deliver what waits, and take no more; on the executor's thread, when it has stopped.

        Not `close`, which logging calls at the process's end, when there is no node any more.
        """
        logging.getLogger(PACKAGE).removeHandler(self)
        self._outbox.close()
