"""The harness's side of `programs/crowd.py`: many clients in one process."""

from __future__ import annotations

import itertools
import json
import signal
import sys
from types import TracebackType
from typing import Any

from processes import wait_until

from faults.rig import PROGRAMS, Rig
from faults.watch import Lines


class Crowd:
    """Run a crowd while the context lasts."""

    _numbers = itertools.count(1)

    def __init__(self, rig: Rig) -> None:
        self._file = rig.directory / f'crowd{next(self._numbers)}.json'
        command = [sys.executable, str(PROGRAMS / 'crowd.py'), rig.url, rig.token, str(self._file)]
        self._process = Lines('crowd', command, rig.environment)
        self._rig = rig
        self._next(60.0)

    def __enter__(self) -> Crowd:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._rig.ended.append(self._process)
        self._process.stop()

    def _next(self, timeout_s: float) -> dict[str, Any]:
        lines = wait_until(self._process.new_lines, timeout_s, 'the crowd answers')
        return lines[0]

    def ask(self, timeout_s: float, **command: Any) -> dict[str, Any]:
        """Have it do something; return what it answers."""
        self._file.write_text(json.dumps(command), encoding='utf-8')
        self._process.signal(signal.SIGUSR1)
        return self._next(timeout_s)

    def churn(self, rate: float, duration_s: float) -> dict[str, Any]:
        return self.ask(duration_s + 60.0, do='churn', rate=rate, duration_s=duration_s)
