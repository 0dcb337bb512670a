"""A server in a process of its own, on a core of its own, and what /proc says of it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

STARTING_S = 15.0
STOPPING_S = 5.0


class ServerProcess:
    """Look at one running server from outside."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.port = port

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def cpu_s(self) -> float:
        """Return the CPU time, user and system, of all its threads and children so far.

        The kernel's own nanoseconds; /proc/<pid>/stat has the same sum in steps of 10 ms.
        """
        total_ns = 0
        for pid in [self.pid, *_children(self.pid)]:
            for task in Path(f'/proc/{pid}/task').glob('*/schedstat'):
                total_ns += int(task.read_text().split()[0])
        return total_ns / 1e9

    def stat_cpu_s(self) -> float:
        """Return the same from /proc/<pid>/stat, with children that ended, in steps of 10 ms."""
        fields = Path(f'/proc/{self.pid}/stat').read_text().rsplit(')', 1)[1].split()
        return sum(int(field) for field in fields[11:15]) / os.sysconf('SC_CLK_TCK')

    def rss_kb(self) -> int:
        """Return the resident memory in kB."""
        for line in Path(f'/proc/{self.pid}/status').read_text().splitlines():
            if line.startswith('VmRSS:'):
                return int(line.split()[1])
        raise RuntimeError('the server has no memory: it died')


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f'/proc/{pid}/task').glob('*/children'):
        for child in map(int, task.read_text().split()):
            found += [child, *_children(child)]
    return found


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port: int = probe.getsockname()[1]
    return port


@contextlib.contextmanager
def running(
    command: Sequence[str], port: int, core: int | None, environment: dict[str, str]
) -> Iterator[ServerProcess]:
    """Run a server while the context lasts; its log goes to a file that is shown if it fails."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command if core is None else ['taskset', '-c', str(core), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
        )
        server = ServerProcess(process, port)
        try:
            _wait_until_it_listens(server)
            yield server
        except RuntimeError:
            log.seek(0)
            print(log.read()[-2000:].decode(errors='replace'), file=sys.stderr)
            raise
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOPPING_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_it_listens(server: ServerProcess) -> None:
    deadline = time.monotonic() + STARTING_S
    while server.is_alive and time.monotonic() < deadline:
        try:
            socket.create_connection(('127.0.0.1', server.port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)  # a poll of another process, not a synchronisation
    raise RuntimeError('the server did not start')
