"""The console scripts: signals first, then the node.

Importing rclpy and aiortc takes a second or two. Signals are caught before that, so that a Ctrl-C
at any moment ends the process in order, with exit code 0 and no traceback.
"""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Callable
from types import FrameType


class StopSignals:
    """Remember that SIGINT or SIGTERM came; a second one changes nothing.

    Construct it on the main thread, as the first thing that a process does, and call `ignore` as
    the last.
    """

    def __init__(self) -> None:
        self._requested = False
        self._handle(self._on_signal)

    def requested(self) -> bool:
        """Tell whether the process was asked to stop."""
        return self._requested

    def ignore(self) -> None:
        """Let signals change nothing any more, up to the very end of the process.

        While Python takes itself down it puts the system's handlers in the place of its own, and
        one more signal would turn an orderly end into a death.
        """
        self._handle(signal.SIG_IGN)

    @staticmethod
    def _handle(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._requested = True


def _main(name: str) -> int:
    stop = StopSignals()
    # Imported here and not above, so that a signal during these imports is caught as well.
    try:
        runner = importlib.import_module('rtc_signaling.ros.runner')
        node_module = importlib.import_module(f'rtc_signaling.nodes.{name}')
    except ModuleNotFoundError as error:
        return _missing(name, error)
    code = int(runner.run(name, node_module.make, stop.requested))
    stop.ignore()
    return code


def _missing(name: str, error: ModuleNotFoundError) -> int:
    """Say which library is missing and what to do; return the exit code."""
    sys.stderr.write(
        f'{name}: {sys.executable} has no module {error.name!r}. Make the environment with '
        '`make env`, and run colcon build inside it (README, "On a robot").\n'
    )
    return 1


def signaling_server() -> int:
    """Run the `signaling_server` node; returns its exit code."""
    return _main('signaling_server')


def camera_sender() -> int:
    """Run the `camera_sender` node; returns its exit code."""
    return _main('camera_sender')


def test_camera() -> int:
    """Run the `test_camera` node; returns its exit code."""
    return _main('test_camera')


def doctor() -> int:
    """Run the doctor; returns its exit code. It is a tool that ends by itself, and no node."""
    try:
        tool = importlib.import_module('rtc_signaling.nodes.doctor')
    except ModuleNotFoundError as error:
        return _missing('doctor', error)
    return int(tool.main())


test_camera.__test__ = False  # type: ignore[attr-defined]  # the name is no invitation to pytest
