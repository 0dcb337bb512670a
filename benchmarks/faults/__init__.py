"""Break the real stack on purpose, and measure what becomes of the video.

The processes are started by `test/processes.py`, which the tests of the nodes use as well.
"""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
for _path in (REPOSITORY / 'test', REPOSITORY / 'benchmarks'):
    if str(_path) not in sys.path:
        sys.path.insert(0, str(_path))
