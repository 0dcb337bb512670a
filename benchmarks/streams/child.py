"""The harness's side: a program in a process of its own, and what the kernel says of it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

BENCHMARKS = Path(__file__).resolve().parent.parent
PROGRAMS = Path(__file__).resolve().parent / 'programs'
ANSWER_S = 60.0
STOPPING_S = 8.0


@dataclass(frozen=True)
class Holdings:
    """What a process holds at one moment.

    Attributes:
        rss_kb: Resident memory.
        threads: Its threads.
        descriptors: Its open file descriptors.
    """

    rss_kb: int
    threads: int
    descriptors: int


class Child:
    """Run a program while the context lasts; what it writes as errors is shown if it fails.

    Args:
        command: The program and its arguments.
        environment: In addition to this process's own; an empty value takes a name away.
        talks: Whether it is one of `programs`, which say hello and answer.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        talks: bool = True,
    ) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the child
        path = os.pathsep.join(filter(None, (str(BENCHMARKS), os.environ.get('PYTHONPATH'))))
        given = os.environ | {'PYTHONPATH': path} | dict(environment or {})
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
            stdout=subprocess.PIPE if talks else self._log,
            stderr=self._log,
            env={name: value for name, value in given.items() if value},
        )
        self._unread = b''
        self._name = Path(command[1]).name if talks else Path(command[0]).name
        self.hello: dict[str, Any] = {}
        try:
            if talks:
                self.hello = self._read(ANSWER_S)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def ask(self, do: str, timeout_s: float = ANSWER_S, **words: Any) -> dict[str, Any]:
        """Have the program do something and return its answer.

        Raises:
            RuntimeError: It ended, or did not answer in time.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({'do': do, **words}).encode() + b'\n')
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise RuntimeError(f'{self._name} has ended:\n{self.written()}') from error
        return self._read(timeout_s)

    def cpu_s(self) -> float:
        """Return the CPU time, user and system, of all its threads, ended ones too.

        The kernel's clock of a process (clock_getcpuclockid): nanoseconds, not steps of 10 ms.
        """
        return time.clock_gettime((~self.pid << 3) | 2)

    def holdings(self) -> Holdings:
        """Return what it holds."""
        lines = Path(f'/proc/{self.pid}/status').read_text().splitlines()
        values = dict(line.split(':', 1) for line in lines if ':' in line)
        return Holdings(
            rss_kb=int(values['VmRSS'].split()[0]),
            threads=int(values['Threads']),
            descriptors=len(os.listdir(f'/proc/{self.pid}/fd')),
        )

    def written(self) -> str:
        """Return the last of what it wrote as errors, and of a program that does not talk all."""
        self._log.seek(0)
        return self._log.read()[-3000:].decode(errors='replace')

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Add what this program wrote to an error of others that have to do with it."""
        try:
            yield
        except RuntimeError as error:
            raise RuntimeError(f'{error}\n--- {self._name}:\n{self.written()}') from error

    def close(self) -> None:
        """End it, in order if it will."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        else:
            self._process.terminate()
        try:
            self._process.wait(STOPPING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()

    def _read(self, timeout_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        end_s = time.monotonic() + timeout_s
        while b'\n' not in self._unread:
            ready, _, _ = select.select([descriptor], [], [], max(end_s - time.monotonic(), 0))
            data = os.read(descriptor, 1 << 16) if ready else b''
            if not data:
                what = 'ended' if ready else f'did not answer within {timeout_s:g} s'
                raise RuntimeError(f'{self._name} {what}:\n{self.written()}')
            self._unread += data
        line, _, self._unread = self._unread.partition(b'\n')
        answer: dict[str, Any] = json.loads(line)
        if 'failure' in answer:
            raise RuntimeError(f'{self._name}: {answer["failure"]}\n{self.written()}')
        return answer


def program(name: str, *arguments: str) -> list[str]:
    """Return the command of one of the `programs`, on this Python."""
    return [sys.executable, str(PROGRAMS / f'{name}.py'), *arguments]
