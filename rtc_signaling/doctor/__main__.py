"""The doctor without the `ros2` command: `python -m rtc_signaling.doctor --help`."""

from __future__ import annotations

import sys

from rtc_signaling.nodes.doctor import main

if __name__ == '__main__':
    sys.exit(main())
