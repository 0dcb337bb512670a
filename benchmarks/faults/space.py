"""Network namespaces: a robot, a viewer and another viewer around a router.

    robot 10.77.1.2 --- 10.77.1.1 router 10.77.2.1 --- 10.77.2.2 viewer
                                  router 10.77.3.1 --- 10.77.3.2 other

Each line is a veth pair, or for the viewer a pair of TUN devices between which a program of the
harness (`programs/line.py`) carries the packets. With IPv6 the networks are fd77:0:0:N::/64.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from processes import Process, wait_until

from faults import REPOSITORY

CLONE_NEWNET = 0x40000000
PLACES = ('robot', 'viewer', 'other')
# Linux tells of a cable a second late.
UP_S = 10.0
LINE = str(REPOSITORY / 'benchmarks/faults/programs/line.py')
Value = TypeVar('Value')


def enter(namespace: str) -> None:
    """Move the calling thread into a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f'/var/run/netns/{namespace}').open('rb') as file:
        if libc.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f'setns {namespace}')


def inside(namespace: str, do: Callable[[], Value]) -> Value:
    """Call a function in a thread of its own that is in a network namespace."""
    results: list[Value] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            enter(namespace)
            results.append(do())
        except Exception as error:  # noqa: BLE001  # raised again below, in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


class Space:
    """Hold the namespaces; use `space()`."""

    def __init__(self, *, ipv6: bool = False) -> None:
        self.ipv6 = ipv6
        self._name = f'flt{os.getpid()}'
        self.line: Process | None = None

    def name(self, place: str) -> str:
        return f'{self._name}-{place}'

    def prefix(self, place: str) -> tuple[str, ...]:
        """Return the words that run a command there."""
        return ('ip', 'netns', 'exec', self.name(place))

    def address(self, place: str, host: int = 2) -> str:
        """Return the address of a place, or with `host` 1 that of the router towards it."""
        return self._of_network(PLACES.index(place) + 1, host)

    def _of_network(self, network: int, host: int) -> str:
        return f'fd77:0:0:{network}::{host}' if self.ipv6 else f'10.77.{network}.{host}'

    def ip(self, place: str, *words: str) -> None:
        """Run `ip` in a namespace."""
        _run('ip', '-n', self.name(place), *words)

    def tc(self, *words: str) -> None:
        """Run `tc` in the router's namespace."""
        _run('ip', 'netns', 'exec', self.name('router'), 'tc', *words)

    def make(self) -> None:
        for place in (*PLACES, 'router'):
            _run('ip', 'netns', 'add', self.name(place))
            self.ip(place, 'link', 'set', 'lo', 'up')
        forwarding = 'ipv6/conf/all/forwarding' if self.ipv6 else 'ipv4/ip_forward'
        _run(*self.prefix('router'), 'sh', '-c', f'echo 1 >/proc/sys/net/{forwarding}')

    def connect(self, place: str) -> None:
        """Lay a cable from the router to a place: `to-<place>` at the router, `e0` there."""
        pair = ('type', 'veth', 'peer', 'name', 'e0', 'netns', self.name(place))
        self.ip('router', 'link', 'add', f'to-{place}', *pair)
        self.configure(place)
        # Fast DDS tells by the addresses of running devices whether two processes are of one host,
        # and has no shared memory between them if one of them started before this.
        wait_until(lambda: self._runs(place), UP_S, f'a cable to {place}')

    def _runs(self, place: str) -> bool:
        words = ('ip', '-n', self.name(place), '-brief', 'link', 'show', 'dev', 'e0', 'up')
        return ' UP ' in subprocess.run(words, check=True, capture_output=True, text=True).stdout

    def connect_by_line(self, directory: Path) -> None:
        """Connect the viewer by a program that loses, delays and reorders packets."""
        ends = (f'{self.name("router")}:to-viewer', f'{self.name("viewer")}:e0')
        command = [sys.executable, LINE, str(directory / 'line.json'), *ends]
        self.line = Process('line', command, dict(os.environ))
        self.line.wait_for_output('ready')
        self.configure('viewer')

    def configure(self, place: str) -> None:
        """Give both ends of a place's cable their addresses."""
        bits, flags = ('64', ('nodad',)) if self.ipv6 else ('24', ())
        self.ip('router', 'addr', 'add', f'{self.address(place, 1)}/{bits}', 'dev',
                f'to-{place}', *flags)  # fmt: skip
        self.ip('router', 'link', 'set', f'to-{place}', 'up')
        self.ip(place, 'addr', 'add', f'{self.address(place)}/{bits}', 'dev', 'e0', *flags)
        self.ip(place, 'link', 'set', 'e0', 'up')
        self.ip(place, 'route', 'add', 'default', 'via', self.address(place, 1))

    def move_viewer(self) -> str:
        """Give the viewer another address in another network, and take the old one away."""
        new, router = self._of_network(4, 2), self._of_network(4, 1)
        self.ip('router', 'addr', 'add', f'{router}/24', 'dev', 'to-viewer')
        self.ip('viewer', 'addr', 'add', f'{new}/24', 'dev', 'e0')
        self.ip('viewer', 'route', 'replace', 'default', 'via', router)
        self.ip('viewer', 'addr', 'del', f'{self.address("viewer")}/24', 'dev', 'e0')
        return new

    def block_udp(self) -> None:
        """Have the router drop all UDP of the viewer's, what is for the router itself as well."""
        # Before the table of the router's own addresses, which would be looked at first.
        self.ip('router', 'rule', 'add', 'pref', '10', 'lookup', 'local')
        self.ip('router', 'rule', 'del', 'pref', '0')
        for words in (('iif', 'to-viewer'), ('to', f'{self.address("viewer")}/32')):
            self.ip('router', 'rule', 'add', 'pref', '5', *words, 'ipproto', 'udp', 'blackhole')

    def remove(self) -> None:
        if self.line is not None:
            self.line.stop()
        for place in (*PLACES, 'router'):
            subprocess.run(['ip', 'netns', 'del', self.name(place)], check=False)


def _run(*words: str) -> None:
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f'{" ".join(words)}: {done.stderr.strip()}')


@contextlib.contextmanager
def space(directory: Path, *, line: bool = False, **options: Any) -> Iterator[Space]:
    """Make namespaces while the context lasts; it takes root.

    Args:
        directory: For the settings of the line.
        line: Whether the viewer is connected by the program, not by a veth pair.
        options: Those of `Space`.
    """
    made = Space(**options)
    try:
        made.make()
        made.connect('robot')
        made.connect('other')
        if line:
            made.connect_by_line(directory)
        else:
            made.connect('viewer')
        yield made
    finally:
        made.remove()
