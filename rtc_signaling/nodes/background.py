"""What the nodes with a service in a background thread have in common."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from rclpy.node import Node

from rtc_signaling.errors import BusyError, RtcSignalingError
from rtc_signaling.loop_thread import LoopThread
from rtc_signaling.report import Level, Report
from rtc_signaling.ros.errors import ErrorTopic
from rtc_signaling.ros.outbox import Outbox
from rtc_signaling.ros.status import DiagnosticsPublisher, ReportPublisher

logger = logging.getLogger(__name__)

SnapshotT = TypeVar('SnapshotT')
ServiceT = TypeVar('ServiceT')
# Figures come each second; without any for so long, the background half hangs.
MAX_SILENCE_S = 3.0


class BackgroundNode(Generic[SnapshotT, ServiceT]):
    """Be the base of an application for `runner.run` whose work is done in a LoopThread.

    It publishes a status at each snapshot, errors, and /diagnostics each second. A subclass calls
    `_publish_as`, sets `_thread`, and says how a snapshot is published and reported. Use it on the
    executor's thread.

    Attributes:
        node: The ROS node.
    """

    node: Node
    _thread: LoopThread[ServiceT]

    def _publish_as(self, prefix: str, hardware_id: str) -> Callable[[SnapshotT], None]:
        """Create the publishers below `prefix`; return what takes snapshots, from any thread."""
        self._status = ReportPublisher(self.node, f'{prefix}/status', hardware_id)
        self._errors = ErrorTopic(self.node, f'{prefix}/errors', hardware_id)
        self._outbox = Outbox[SnapshotT](self.node, self._take)
        self._last: SnapshotT | None = None
        self._heard_s = time.monotonic()
        self._diagnostics = DiagnosticsPublisher(self.node, hardware_id, self._parts)
        return self._outbox.put

    def _publish(self, snapshot: SnapshotT) -> None:
        """Publish the status and the figures of a snapshot."""
        raise NotImplementedError

    def _reports(self, snapshot: SnapshotT) -> list[Report]:
        """Return the parts of a snapshot for /diagnostics."""
        raise NotImplementedError

    def _respond(self, response: Any, act: Callable[[], str]) -> Any:
        """Answer a service: with what `act` says that it has done, or why it could not.

        A thread that hangs must not end the node, whose diagnostics tell of it.

        Args:
            response: The service's, with `success` and `message`.
            act: Does it; may raise an RtcSignalingError.
        """
        try:
            response.message = act()
            response.success = True
            logger.info('%s', response.message)
        except RtcSignalingError as error:
            late = isinstance(error, BusyError)
            response.message = f'{error}; it may still happen' if late else str(error)
            response.success = False
            logger.warning('a service failed: %s', response.message)
        return response

    def _ask_thread(self) -> None:
        """Return once the thread has answered.

        Raises:
            BusyError: It hangs.
            NotRunningError: It has died.
        """
        self._thread.call(lambda: None)

    def check(self) -> None:
        """Raise the error that ended the thread, if one did."""
        self._thread.check()

    def close(self) -> None:
        """Stop the thread, and publish that it stopped, or that it had died."""
        self._outbox.close()
        died = self._thread.error is not None
        self._thread.stop()
        self._errors.stop()
        level, message = (Level.ERROR, 'died') if died else (Level.STALE, 'stopped')
        self._diagnostics.publish_last(level, message)
        self._publish_last(Report('status', level, message))

    def _publish_last(self, report: Report) -> None:
        """Publish the status that stays when the node is gone."""
        self._status.publish_last(report)

    def _take(self, snapshot: SnapshotT) -> None:
        self._last = snapshot
        self._heard_s = time.monotonic()
        self._publish(snapshot)

    def _parts(self) -> list[Report]:
        if self._last is None:
            return []
        parts = self._reports(self._last)
        silence_s = time.monotonic() - self._heard_s
        if silence_s > MAX_SILENCE_S:
            text = f'hangs: no figures for {silence_s:.0f} s'
            parts = [Report(part.part, Level.ERROR, text) for part in parts]
        return parts
