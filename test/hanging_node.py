"""Run a node whose background loop can be made to hang: SIGUSR1 blocks it, SIGUSR2 lets it go on.

python test/hanging_node.py signaling_server --ros-args ...
"""

from __future__ import annotations

import importlib
import signal
import sys
import threading
from typing import Any

from rtc_signaling.nodes.entry import StopSignals


def main(name: str) -> int:
    """Run the node as its own console script does; return the exit code."""
    stop = StopSignals()
    runner = importlib.import_module('rtc_signaling.ros.runner')
    node = importlib.import_module(f'rtc_signaling.nodes.{name}')

    def make(context: Any) -> Any:
        application = node.make(context)
        go_on = threading.Event()

        def hang() -> None:
            print('the loop hangs', flush=True)
            go_on.wait()
            go_on.clear()

        signal.signal(signal.SIGUSR1, lambda *_: application._thread.call_soon(hang))
        signal.signal(signal.SIGUSR2, lambda *_: go_on.set())
        print('it can be made to hang', flush=True)
        return application

    return int(runner.run(name, make, stop.requested))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
