"""What the nodes with a service in a background thread have in common."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

from rtc_signaling.loop_thread import LoopThread
from rtc_signaling.ros import status
from rtc_signaling.ros.outbox import Outbox
from rtc_signaling.ros.status import StatusPublisher


class BackgroundNode:
    """Be the base of an application for `runner.run` whose work is done in a LoopThread.

    A subclass makes all four attributes. Use it on the executor's thread.

    Attributes:
        node: The ROS node.
    """

    node: Node
    _status: StatusPublisher
    _outbox: Outbox[Any]
    _thread: LoopThread[Any]

    def check(self) -> None:
        """Raise the error that ended the thread, if one did."""
        self._thread.check()

    def close(self) -> None:
        """Stop the thread, and publish that it stopped, or that it had died."""
        self._outbox.close()
        died = self._thread.error is not None
        self._thread.stop()
        level, message = (status.ERROR, 'died') if died else (status.STALE, 'stopped')
        self._status.publish_last(level, message)
