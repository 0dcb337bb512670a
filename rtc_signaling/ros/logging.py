"""The package's stdlib loggers, forwarded to the ROS logger."""

from __future__ import annotations

import logging
from collections.abc import Callable

from rclpy.impl.logging_severity import LoggingSeverity
from rclpy.impl.rcutils_logger import RcutilsLogger


class RosLogHandler(logging.Handler):
    """Forward log records to a node's ROS logger; records may come from any thread.

    Of an exception in a record the traceback goes out with CRITICAL records, which tell of bugs.
    With others it goes out at DEBUG level: a person who runs a robot needs the line alone.
    """

    def __init__(self, ros_logger: RcutilsLogger) -> None:
        super().__init__()
        self._ros_logger = ros_logger
        # One lambda a level, since rclpy binds a call site to the first severity it sees there.
        # ruff: noqa: PLW0108
        self._emitters: list[tuple[int, Callable[[str], object]]] = [
            (logging.CRITICAL, lambda text: ros_logger.fatal(text)),
            (logging.ERROR, lambda text: ros_logger.error(text)),
            (logging.WARNING, lambda text: ros_logger.warning(text)),
            (logging.INFO, lambda text: ros_logger.info(text)),
            (logging.NOTSET, lambda text: ros_logger.debug(text)),
        ]

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record to ROS."""
        emitter = next(call for level, call in self._emitters if record.levelno >= level)
        emitter(record.getMessage())
        if record.exc_info:
            trace = logging.Formatter().formatException(record.exc_info)
            if record.levelno >= logging.CRITICAL:
                self._ros_logger.fatal(trace)
            else:
                self._ros_logger.debug(trace)


def forward_logs(ros_logger: RcutilsLogger, level: str = 'default') -> None:
    """Send what this package logs at `level`, and what its libraries log at WARNING, to ROS.

    Call it on the main thread, before threads start; a later node takes an earlier one's place.
    """
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, RosLogHandler)]:
        root.removeHandler(handler)
    root.addHandler(RosLogHandler(ros_logger))
    root.setLevel(logging.WARNING)
    set_log_level(ros_logger, level)


def set_log_level(ros_logger: RcutilsLogger, level: str) -> None:
    """Choose what this package logs: debug, info, warn, error, or default (as ROS was told)."""
    severity = LoggingSeverity.UNSET if level == 'default' else LoggingSeverity[level.upper()]
    ros_logger.set_level(severity)
    # The numbers are the same in both worlds.
    logging.getLogger('rtc_signaling').setLevel(int(ros_logger.get_effective_level()))
