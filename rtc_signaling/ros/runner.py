"""Running a node: start-up, spinning and shut-down in one order for all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import rclpy.logging
from rclpy.context import Context
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from rtc_signaling.errors import RtcSignalingError
from rtc_signaling.ros.deafness import Ears

# The longest that a stop signal waits: rcl does not return from its wait for one by itself.
SPIN_TIMEOUT_S = 0.2
LISTEN_PERIOD_S = 1.0


class Application(Protocol):
    """What `run` drives: a node and, mostly, a service in a background thread."""

    node: Node

    def check(self) -> None:
        """Raise an RtcSignalingError if the background half has died; called often."""

    def close(self) -> None:
        """Stop the background half and publish the last status; ROS still works."""


def run(
    name: str,
    make: Callable[[Context], Application],
    stop_requested: Callable[[], bool],
    args: Sequence[str] | None = None,
) -> int:
    """Run one application on this thread until a signal, its own failure, or ROS stops it.

    ROS's own signal handlers stay off (a Context of one's own has none): with them the context is
    gone before the last status can be published. Where Fast DDS has lost the port of the context
    (`deafness`), the application is made anew in another context.

    Args:
        name: The node's name, for messages from before there is a node.
        make: Constructs the application in a context.
        stop_requested: Whether a signal has come; asked at least each `SPIN_TIMEOUT_S`.
        args: Command line; None takes the process's own.

    Returns:
        The process's exit code: 0 after an orderly stop, 1 after an error.
    """
    ears = Ears()
    context = Context()
    try:
        while True:
            context.init(list(args) if args is not None else None)
            code = _run(name, make(context), context, stop_requested, ears)
            if code is not None:
                return code
            context = Context()
    # RuntimeError is how rcl reports arguments and parameter files that it cannot read.
    except (RtcSignalingError, ParameterException, RuntimeError) as error:
        return _fail(name, error)
    finally:
        context.try_shutdown()
        ears.close()


def _run(
    name: str,
    application: Application,
    context: Context,
    stop_requested: Callable[[], bool],
    ears: Ears,
) -> int | None:
    """Return the exit code; None if the application has to be made anew."""
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(application.node)
    listen_s = time.monotonic()
    try:
        while not stop_requested():
            executor.spin_once(timeout_sec=SPIN_TIMEOUT_S)
            application.check()
            if time.monotonic() >= listen_s:
                listen_s = time.monotonic() + LISTEN_PERIOD_S
                if ears.are_deaf(context):
                    return None
    except ExternalShutdownException:
        return 0
    except RtcSignalingError as error:
        return _fail(name, error)
    finally:
        application.close()
        executor.shutdown()
        application.node.destroy_node()
    return 0


def _fail(name: str, error: Exception) -> int:
    rclpy.logging.get_logger(name).fatal(' '.join(str(error).split()))
    return 1
