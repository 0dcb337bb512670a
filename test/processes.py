"""The package's programs as real processes, for the tests that run them from outside.

All waiting is for events, with a deadline. What a process wrote is kept, and `conftest.py` adds it
to the report of a test that fails.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from rtc_signaling.ros.transport import image_transport_environment
from rtc_signaling.tokens import load

REPOSITORY = Path(__file__).resolve().parent.parent
NODES = ('signaling_server', 'test_camera', 'camera_sender')
# Two noisy cores, and three processes that import rclpy, aiortc and OpenCV at the same time.
START_S = 30.0
# A node takes up to 4 s; the demo stops three, one after the other.
STOP_S = 12.0
CTRL_C = b'\x03'

Value = TypeVar('Value')


def wait_until(condition: Callable[[], Value], timeout_s: float, what: str) -> Value:
    """Return the first true value of `condition`, or raise TimeoutError naming `what`."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f'not within {timeout_s:.1f} s: {what}')
        threading.Event().wait(0.02)
    return value


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


def own_domain(first: int) -> int:
    """Return a ROS domain of this process of pytest-xdist, for what several modules share.

    Args:
        first: Of the first process, or of the only one; the next domains are those of the others.
    """
    return first + int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw'))


def ros_environment(domain_id: int, home: Path) -> dict[str, str]:
    """Return an environment in which nodes see only those of the same test module."""
    unwanted = ('RTC_SIGNALING_TOKEN', '_ROS_WHEELS_BOOTSTRAP_COMPLETE')
    return {
        **{name: value for name, value in os.environ.items() if name not in unwanted},
        **image_transport_environment(REPOSITORY / 'config'),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'ROS_DOMAIN_ID': str(domain_id),
        'ROS_HOME': str(home),
    }


def executable(name: str) -> str:
    """Return the path of an entry point of this environment, or skip the test without one."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        pytest.skip(f'{name} is not installed beside {sys.executable}')
    return str(path)


class Process:
    """Run one process in a session of its own, and keep what it writes.

    Args:
        name: For messages.
        command: Program and arguments.
        environment: All of it.
        terminal: Give it a terminal, a pseudo one, for Ctrl-C.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        terminal: bool = False,
    ) -> None:
        self.name = name
        self._written = bytearray()
        self._changed = threading.Condition()
        self._hung_up = threading.Event()
        self._keyboard = -1
        # Not `start_new_session`: a session gets its terminal by `setsid --ctty`.
        make_session = ['setsid', *(['--ctty'] if terminal else [])]
        # What a script runs in its background, or by nohup, ignores these, and make keeps that.
        heed_signals = ['env', '--default-signal=INT,HUP']
        source, sink = os.openpty() if terminal else os.pipe()
        if terminal:
            self._keyboard = source
        self._popen = subprocess.Popen(
            [*make_session, *heed_signals, *command],
            stdin=sink if terminal else subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env=dict(environment),
            cwd=REPOSITORY,
        )
        os.close(sink)
        self._reader = threading.Thread(target=self._read, args=(source,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def output(self) -> str:
        """Everything that it has written so far, both streams."""
        with self._changed:
            return self._written.decode(errors='replace').replace('\r\n', '\n')

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def wait_for_output(self, pattern: str, timeout_s: float = START_S) -> re.Match[str]:
        """Return the first match in the output; TimeoutError or EOFError if there is none."""
        deadline = time.monotonic() + timeout_s
        while True:
            with self._changed:
                ended = not self._reader.is_alive()
                if match := re.search(pattern, self.output):
                    return match
                if ended:
                    raise EOFError(f'{self.name} has ended and never wrote {pattern!r}')
                left_s = deadline - time.monotonic()
                if left_s < 0:
                    raise TimeoutError(f'{self.name} did not write {pattern!r}')
                self._changed.wait(min(left_s, 0.1))

    def signal(self, number: int) -> None:
        self._popen.send_signal(number)

    def interrupt(self) -> None:
        """Press Ctrl-C, which reaches all that runs in the terminal; without one, send SIGINT."""
        if self._keyboard >= 0:
            os.write(self._keyboard, CTRL_C)
        else:
            self.signal(signal.SIGINT)

    def close_terminal(self) -> None:
        """Do what closing a terminal's window does, and what the shell in it does then."""
        self._hung_up.set()
        self._reader.join()
        self._keyboard = -1
        os.killpg(self.pid, signal.SIGHUP)

    def wait(self, timeout_s: float = STOP_S) -> int:
        """Return the exit code; subprocess.TimeoutExpired if it does not end."""
        code = self._popen.wait(timeout_s)
        self._reader.join(timeout_s)
        return code

    def kill(self) -> None:
        """End it as `kill -9` does, and remove the shared memory that this leaves behind."""
        segments = _shared_memory(self.pid)
        self._popen.kill()
        self.wait()
        _remove_orphans(segments)

    def stop(self) -> None:
        """End it in order where it still runs; kill it, and raise, where it does not end."""
        if not self.running:
            self.wait()
            return
        self.interrupt()
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            for pid in descendants(self.pid):
                os.kill(pid, signal.SIGKILL)
            self.kill()
            raise

    def _read(self, source: int) -> None:
        # A terminal whose last user has ended reports an error instead of the end.
        with contextlib.suppress(OSError):
            while not self._hung_up.is_set():
                if not select.select([source], [], [], 0.05)[0]:
                    continue
                if not (data := os.read(source, 65536)):
                    break
                with self._changed:
                    self._written += data
                    self._changed.notify_all()
        os.close(source)


class Stack:
    """Run the three nodes, each of which a test may end and start again.

    Args:
        directory: For the token file and the logs of ROS.
        domain_id: A ROS_DOMAIN_ID that no other module uses.
        ice_addresses: What the camera offers for video, `address` by default; '' for all but
            loopback.
        rate_hz: Of the camera.
        address: Of the server, in the nodes' network.
        prefix: Words that run the command after them in another network.
    """

    def __init__(
        self,
        directory: Path,
        domain_id: int,
        ice_addresses: str | None = None,
        rate_hz: float = 30.0,
        *,
        address: str = '127.0.0.1',
        prefix: Sequence[str] = (),
    ) -> None:
        self.port = free_port()
        self._address = address
        self._prefix = prefix
        if ice_addresses is None:
            ice_addresses = address
        self.rate_hz = rate_hz
        self.environment = ros_environment(domain_id, directory)
        self.token_file = directory / 'tokens.json'
        self._running: dict[str, Process] = {}
        self._ended: list[Process] = []
        self._settings: dict[str, tuple[str, ...]] = {}
        token_file = f'auth.token_file:={self.token_file}'
        self._parameters = {
            'signaling_server': [f'host:={address}', f'port:={self.port}', token_file],
            'test_camera': [f'rate:={rate_hz}'],
            'camera_sender': [
                f'server_url:=ws://{address}:{self.port}', token_file,
                *([f'ice_addresses:=[{ice_addresses}]'] if ice_addresses else []),
            ],
        }  # fmt: skip

    @property
    def server_url(self) -> str:
        return f'ws://{self._address}:{self.port}/'

    @property
    def token(self) -> str:
        """The viewers' token, which the server has made."""
        return load(self.token_file).receiver

    @property
    def url(self) -> str:
        return f'http://{self._address}:{self.port}/#token={self.token}'

    @property
    def output(self) -> str:
        processes = (*self._ended, *self._running.values())
        return ''.join(f'--- {process.name}\n{process.output}' for process in processes)

    def set(self, name: str, *settings: str) -> None:
        """Have a node start with these parameters beside its own from the next time on."""
        self._settings[name] = settings

    def start(self, *names: str) -> None:
        """Start nodes, and wait for the server to listen if it is among them."""
        for name in names:
            settings = (*self._parameters[name], *self._settings.get(name, ()))
            options = [word for value in settings for word in ('-p', value)]
            command = [*self._prefix, executable(name), '--ros-args', *options]
            self._running[name] = Process(name, command, self.environment)
        if 'signaling_server' in names:
            self._running['signaling_server'].wait_for_output('open http://')

    def start_camera(self, client_id: str, *settings: str) -> None:
        """Start one more camera and its sender, both in the namespace of the sender's name.

        Args:
            client_id: The sender's.
            settings: The camera's parameters.
        """
        sends = (*self._parameters['camera_sender'], f'client_id:={client_id}')
        for name, values in (('test_camera', settings), ('camera_sender', sends)):
            options = [word for value in values for word in ('-p', value)]
            program = [*self._prefix, executable(name)]
            command = [*program, '--ros-args', '-r', f'__ns:=/{client_id}', *options]
            self._running[f'{client_id}/{name}'] = Process(name, command, self.environment)

    def process(self, name: str) -> Process:
        return self._running[name]

    def kill(self, name: str) -> None:
        """End a node as `kill -9` does."""
        process = self._running.pop(name)
        self._ended.append(process)
        process.kill()

    def stop(self) -> None:
        """Stop all nodes that run."""
        with contextlib.ExitStack() as all_of_them:
            for process in self._running.values():
                all_of_them.callback(process.stop)


@contextlib.contextmanager
def running_stack(directory: Path, domain_id: int, *names: str, **options: Any) -> Iterator[Stack]:
    """Run these nodes as long as the context lasts; all three if none is named.

    The options are those of `Stack`.
    """
    stack = Stack(directory, domain_id, **options)
    try:
        stack.start(*(names or NODES))
        yield stack
    finally:
        stack.stop()


class Demo(Process):
    """Run the demo's program, or `make demo`.

    Args:
        directory: For the logs of ROS.
        domain_id: A ROS_DOMAIN_ID that no other module uses.
        port: Of the page; any free one where it does not matter.
        options: For tools/demo.py.
        by_make: Run `make demo` in a terminal, as a person does.
    """

    def __init__(
        self,
        directory: Path,
        domain_id: int,
        *options: str,
        port: int | None = None,
        by_make: bool = False,
    ) -> None:
        self.port = port or free_port()
        options = ('--port', str(self.port), '--ice-addresses', '127.0.0.1', *options)
        environment = ros_environment(domain_id, directory)
        command = [sys.executable, 'tools/demo.py', *options]
        if by_make:
            _require_environment_of_make()
            command = ['make', 'demo', f'DEMO_ARGS={" ".join(options)}']
        executable('signaling_server')
        super().__init__('demo', command, environment, terminal=by_make)

    def wait_for_url(self) -> str:
        """Return the address in the line that the demo prints."""
        return self.wait_for_output(r'Open (http://\S+) in a browser')[1]


@contextlib.contextmanager
def running_demo(*arguments: Any, **options: Any) -> Iterator[Demo]:
    """Run a `Demo` as long as the context lasts, unless it ends before."""
    demo = Demo(*arguments, **options)
    try:
        yield demo
    finally:
        demo.stop()


def _require_environment_of_make() -> None:
    """Skip the test where `make demo` would first have to install things from the network."""
    if not any(REPOSITORY.glob('.venv*/.ready-run')):
        pytest.skip('the environment was not made by make, so make demo would install one')


def descendants(pid: int) -> list[int]:
    """Return the ids of a process's children and theirs; none if it is gone."""
    try:
        text = Path(f'/proc/{pid}/task/{pid}/children').read_text(encoding='ascii')
    except FileNotFoundError:
        return []
    children = [int(word) for word in text.split()]
    return children + [below for child in children for below in descendants(child)]


def is_gone(pid: int) -> bool:
    """Tell whether no process of this id runs."""
    return not Path(f'/proc/{pid}').exists()


def _shared_memory(pid: int) -> set[Path]:
    """Return Fast DDS's segments that a process has mapped, its own and others'."""
    maps = Path(f'/proc/{pid}/maps').read_text(encoding='utf-8')
    return {Path(path) for path in re.findall(r'/dev/shm/fast(?:dds|rtps)_[0-9a-f]{16}\b', maps)}


def _remove_orphans(segments: set[Path]) -> None:
    """Remove the segments whose owner is gone: 34 MB each, and containers have 64 MB in all."""
    for segment in segments:
        lock = segment.with_name(f'{segment.name}_el')
        with contextlib.suppress(FileNotFoundError, BlockingIOError), lock.open('rb') as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            segment.unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
