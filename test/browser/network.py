"""A robot and its viewers in network namespaces, with cables that can be pulled.

Nothing of it is seen outside: the namespaces have no way to any other network. It takes root, and
a kernel that lets it; where it does not, `Network` raises `NoNamespacesError` with what `ip` said.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

ROBOT = '10.77.0.1'  # on no wire, so that it is reached by each
WIRES = {'wifi': '10.77.1', 'cable': '10.77.2', 'guest': '10.77.3'}
_SINK_TABLE = '77'


class NoNamespacesError(Exception):
    """Say why there are no network namespaces here."""


def run(*command: str) -> None:
    """Run a command; CalledProcessError if it fails."""
    subprocess.run(command, check=True, capture_output=True, text=True)


class Space:
    """Be one network namespace.

    Attributes:
        prefix: Words that run the command after them in it.
    """

    def __init__(self, name: str) -> None:
        self.name = f'rtc{os.getpid()}{name}'
        run('ip', 'netns', 'add', self.name)
        self.prefix = ('nsenter', f'--net=/run/netns/{self.name}')
        self.ip('link', 'set', 'lo', 'up')

    def ip(self, *words: str) -> None:
        run('ip', '-netns', self.name, *words)

    def drop_udp(self, *selector: str) -> None:
        """Let UDP vanish without a word, as by a firewall: all, or what a rule of `ip` selects."""
        self.ip('rule', 'add', *selector, 'ipproto', 'udp', 'table', _SINK_TABLE)

    def pass_udp(self, *selector: str) -> None:
        self.ip('rule', 'del', *selector, 'ipproto', 'udp', 'table', _SINK_TABLE)

    def make_sink(self) -> None:
        """Make what `drop_udp` sends to: a wire without anybody at its other end."""
        self.ip('link', 'add', 'sink', 'type', 'veth', 'peer', 'name', 'hole')
        self.ip('link', 'set', 'sink', 'arp', 'off', 'up')
        self.ip('link', 'set', 'hole', 'arp', 'off', 'up')
        self.ip('route', 'add', 'default', 'dev', 'sink', 'table', _SINK_TABLE)

    def remove(self) -> None:
        run('ip', 'netns', 'del', self.name)


class Network:
    """Join a robot, a viewer by `wifi` and later `cable`, and a guest whose UDP is dropped."""

    def __init__(self) -> None:
        self._spaces: list[Space] = []
        try:
            self.robot, self.viewer, self.guest = map(self._space, ('robot', 'viewer', 'guest'))
            for name, net in WIRES.items():
                self._wire(name, net)
            self.robot.ip('address', 'add', f'{ROBOT}/32', 'dev', 'lo')
            for space in (self.robot, self.guest):
                space.make_sink()
        except (OSError, subprocess.CalledProcessError) as error:
            self.close()
            raise NoNamespacesError(getattr(error, 'stderr', None) or error) from error
        for name in ('wifi', 'guest'):
            self.plug(name)
        self.guest.drop_udp()
        self.robot.drop_udp('to', f'{WIRES["guest"]}.0/24')

    def plug(self, wire: str) -> None:
        """Give a viewer the address and the way to the robot that it has by a wire."""
        space = self.guest if wire == 'guest' else self.viewer
        space.ip('link', 'set', wire, 'up')
        space.ip('address', 'add', f'{WIRES[wire]}.2/24', 'dev', wire)
        space.ip('route', 'add', 'default', 'via', f'{WIRES[wire]}.1')

    def unplug(self, wire: str) -> None:
        """Take the wire away, and the address with it."""
        self.viewer.ip('address', 'flush', 'dev', wire)
        self.viewer.ip('link', 'set', wire, 'down')

    def silence(self) -> None:
        """Have the robot answer nothing, while all wires stay in."""
        self.robot.ip('address', 'del', f'{ROBOT}/32', 'dev', 'lo')

    def end_silence(self) -> None:
        self.robot.ip('address', 'add', f'{ROBOT}/32', 'dev', 'lo')

    def mend_guest(self) -> None:
        """Let the guest's UDP through."""
        self.guest.pass_udp()
        self.robot.pass_udp('to', f'{WIRES["guest"]}.0/24')

    def close(self) -> None:
        for space in self._spaces:
            with contextlib.suppress(subprocess.CalledProcessError):
                space.remove()

    def _space(self, name: str) -> Space:
        space = Space(name)
        self._spaces.append(space)
        return space

    def _wire(self, name: str, net: str) -> None:
        other = self.guest if name == 'guest' else self.viewer
        run('ip', 'link', 'add', name, 'netns', self.robot.name, 'type', 'veth',
            'peer', 'name', name, 'netns', other.name)  # fmt: skip
        self.robot.ip('address', 'add', f'{net}.1/24', 'dev', name)
        self.robot.ip('link', 'set', name, 'up')


def inside(space: Space, program: str, directory: Path) -> tuple[Path, Path]:
    """Return a script that runs a program in a namespace, and the file with its process id."""
    script, pid = directory / f'{space.name}.sh', directory / f'{space.name}.pid'
    enter = ' '.join(space.prefix)
    script.write_text(f'#!/bin/sh\necho $$ >{pid}\nexec {enter} {program} "$@"\n', 'utf-8')
    script.chmod(0o755)
    return script, pid
