"""The whole stack as processes: a camera driver, the server, the sender, an observer, viewers."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from processes import Process, executable, free_port, ros_environment, wait_until

from faults import REPOSITORY
from faults.census import Holding
from faults.programs.watcher import Plan
from faults.space import inside
from faults.watch import Lines, Watcher
from rtc_signaling.tokens import load

PROGRAMS = REPOSITORY / 'benchmarks/faults/programs'
NODES = ('camera', 'server', 'sender')
READY = {'camera': 'publishing', 'server': 'open http://', 'sender': 'waiting for images'}
WELL_S = 20.0
START_S = 60.0
STOP_S = 12.0


class Rig:
    """Run the stack; each part may be struck, and started again.

    Args:
        directory: For the token file, the logs of ROS and the camera's habits.
        domain: ROS_DOMAIN_ID.
        camera: What the camera does, see `programs/camera.py`.
        server: Parameters of the signaling server beside those that it needs.
        sender: Those of the camera sender.
        host: The address of the server.
        addresses: What the sender offers for video; '' for all but loopback.
        namespace: The network namespace of all parts but the viewers; '' for the machine's.
        variables: By part, what is set in its environment.
    """

    def __init__(
        self,
        directory: Path,
        domain: int,
        *,
        camera: dict[str, Any] | None = None,
        server: tuple[str, ...] = (),
        sender: tuple[str, ...] = (),
        host: str = '127.0.0.1',
        addresses: str = '127.0.0.1',
        namespace: str = '',
        variables: dict[str, dict[str, str]] | None = None,
    ) -> None:
        self.directory = directory
        self.host = host
        self.port = free_port()
        self.environment = ros_environment(domain, directory)
        self.processes: dict[str, Process] = {}
        self.watchers: list[Watcher] = []
        self.ended: list[Process] = []
        self.status: dict[str, dict[str, Any]] = {}
        self.namespace = namespace
        self._variables = variables or {}
        self._tokens = directory / 'tokens.json'
        self._habit_file = directory / 'camera.json'
        self._habit = camera or {}
        self._write_habit()
        token_file = f'auth.token_file:={self._tokens}'
        url_host = f'[{host}]' if ':' in host else host
        self.url = f'ws://{url_host}:{self.port}/'
        offered = (f'ice_addresses:=["{addresses}"]',) if addresses else ()
        self._settings = {
            'server': (f'host:={host}', f'port:={self.port}', token_file, *server),
            'sender': (f'server_url:={self.url}', token_file, *offered, *sender),
        }

    @property
    def token(self) -> str:
        """The viewers' token."""
        return load(self._tokens).receiver

    @property
    def output(self) -> str:
        """What all processes have written."""
        all_of_them = (*self.ended, *self.processes.values(), *self.watchers)
        return ''.join(f'--- {process.name}\n{process.output}' for process in all_of_them)

    def command(self, part: str) -> list[str]:
        prefix = ('ip', 'netns', 'exec', self.namespace) if self.namespace else ()
        if part == 'camera':
            return [*prefix, sys.executable, str(PROGRAMS / 'camera.py'), str(self._habit_file)]
        if part == 'observer':
            return [*prefix, sys.executable, str(PROGRAMS / 'observer.py')]
        node = {'server': 'signaling_server', 'sender': 'camera_sender'}[part]
        words = [word for value in self._settings[part] for word in ('-p', value)]
        return [*prefix, executable(node), '--ros-args', *words]

    def start(self, part: str, *, wait: bool = True) -> None:
        """Start a part, and wait until it is up."""
        environment = self.environment | self._variables.get(part, {})
        if part == 'observer':
            self.processes[part] = Lines(part, self.command(part), environment)
            return
        self.processes[part] = Process(part, self.command(part), environment)
        if wait:
            self.processes[part].wait_for_output(READY[part], START_S)

    def start_all(self) -> None:
        """Start everything, at the same time as far as one does not need the other."""
        self.start('observer')
        for part in NODES:
            self.start(part, wait=False)
        for part in NODES:
            self.processes[part].wait_for_output(READY[part], START_S)
        self.wait_until_well()

    def add_camera(self, number: int) -> Callable[[], None]:
        """Start another camera with a sender of its own, and return what stops both."""
        name = f'camera{number}'
        remap = ('--ros-args', '-r', f'__ns:=/{name}')
        camera = Process(name, [*self.command('camera'), *remap], self.environment)
        words = [*self.command('sender'), *remap[1:], '-p', f'client_id:={name}']
        sender = Process(f'{name} sender', words, self.environment)
        sender.wait_for_output(READY['sender'], START_S)

        def stop() -> None:
            self.ended += [sender, camera]
            sender.stop()
            camera.stop()

        return stop

    def set_camera(self, **habits: Any) -> None:
        """Have the camera do something else from now on."""
        self._habit |= habits
        self._write_habit()
        self.processes['camera'].signal(signal.SIGUSR1)

    def _write_habit(self) -> None:
        part = self._habit_file.with_suffix('.part')
        part.write_text(json.dumps(self._habit), encoding='utf-8')
        part.replace(self._habit_file)

    def watch(
        self,
        name: str,
        prefix: tuple[str, ...] = (),
        variables: dict[str, str] | None = None,
        **options: Any,
    ) -> Watcher:
        """Start a viewer; in another place, with `prefix`, it offers all of its addresses."""
        if prefix:
            options.setdefault('addresses', ())
        plan = Plan(options.pop('url', self.url), self.token, name, **options)
        watcher = Watcher(plan, self.environment | (variables or {}), prefix)
        self.watchers.append(watcher)
        return watcher

    def dismiss(self, watcher: Watcher) -> int:
        """End a viewer in order, and return its exit code; a stopped one goes on before."""
        if watcher.running:
            watcher.signal(signal.SIGCONT)
            watcher.signal(signal.SIGINT)
        self.watchers.remove(watcher)
        self.ended.append(watcher)
        try:
            return watcher.wait(STOP_S)
        except subprocess.TimeoutExpired:
            watcher.kill()
            return -signal.SIGKILL

    def strike(self, part: str, number: int) -> None:
        """Send a part a signal; after one that ends it, wait for that."""
        process = self.processes[part]
        if number == signal.SIGKILL:
            process.kill()
        else:
            process.signal(number)
        if number != signal.SIGSTOP:
            process.wait(STOP_S)
            self.ended.append(self.processes.pop(part))

    def look(self) -> None:
        """Take up what the observer has heard."""
        for line in self.processes['observer'].new_lines():  # type: ignore[attr-defined]
            self.status[line.pop('who')] = {'at': time.time(), **line}

    def holdings(self) -> dict[str, Holding]:
        """Count what each part holds."""
        return {part: Holding.of(self.processes[part].pid) for part in NODES}

    def answer(self, path: str) -> str:
        """Return what the server says at /healthz or /metrics; '' if it does not."""
        request = urllib.request.Request(
            self.url.replace('ws', 'http', 1) + path,
            headers={'Authorization': f'Bearer {self.token}'},
        )

        def ask() -> str:
            try:
                with urllib.request.urlopen(request, timeout=3.0) as response:
                    return str(response.read().decode())
            except OSError:
                return ''

        return inside(self.namespace, ask) if self.namespace else ask()

    def sessions(self) -> int:
        """Return how many sessions the server has, those of clients that are away too."""
        lines = self.answer('metrics').splitlines()
        wanted = ('rtc_signaling_sessions{', 'rtc_signaling_clients_away')
        return int(sum(float(line.rsplit(' ', 1)[1]) for line in lines if line.startswith(wanted)))

    def peers(self) -> int:
        """Return how many peer connections the sender says that it has."""
        self.look()
        told = self.status['sender']
        return int(told['viewers']) + int(told['viewers_joining'])

    def ailments(self) -> str:
        """Return what is not well, in words; '' if all is well."""
        self.look()
        found = [part for part in NODES if not self.processes[part].running]
        if not self.answer('healthz'):
            found.append('healthz')
        for node in ('server', 'sender'):
            told = self.status.get(node)
            if told is None or time.time() - told['at'] > 3.0:
                found.append(f'no status of the {node}')
            elif told['level']:
                found.append(f'{node}: {told["text"]}')
        return '; '.join(found)

    def wait_until_well(self, timeout_s: float = WELL_S) -> None:
        try:
            wait_until(lambda: not self.ailments(), timeout_s, 'well')
        except TimeoutError:
            raise TimeoutError(f'not well: {self.ailments()}') from None

    def stop(self) -> None:
        """End all; what does not end by itself is killed, and told of at the end.

        Raises:
            TimeoutError: Something had to be killed.
        """
        stubborn = []
        for process in (*self.watchers, *self.processes.values()):
            self.ended.append(process)
            if process.running:
                process.signal(signal.SIGCONT)
                process.signal(signal.SIGINT)
        for process in (*self.watchers, *self.processes.values()):
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                stubborn.append(process.name)
        self.watchers.clear()
        self.processes.clear()
        if stubborn:
            raise TimeoutError(f'did not end within {STOP_S:.0f} s: {", ".join(stubborn)}')


@contextlib.contextmanager
def running_rig(directory: Path, domain: int, **options: Any) -> Iterator[Rig]:
    """Run a rig as long as the context lasts; after an error its output is on the disk."""
    directory.mkdir(parents=True, exist_ok=True)
    rig = Rig(directory, domain, **options)
    try:
        rig.start_all()
        yield rig
    finally:
        try:
            rig.stop()
        finally:
            (directory / 'output.txt').write_text(rig.output, encoding='utf-8')
