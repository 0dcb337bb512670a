"""Whether other processes of this machine reach this one by Fast DDS's shared memory.

A process of Fast DDS listens to ports, each a file in /dev/shm. Where a process was killed, the
others remove its port once they notice. If the next process opens the port at that moment, it
listens to the removed file from then on: publishers are found and matched, and nothing of theirs
arrives, for as long as it lives. Fast DDS 3.2 did so in about every thirtieth restart after a
`kill -9`; see https://github.com/eProsima/Fast-DDS/issues/5737.
"""

from __future__ import annotations

import contextlib
import logging
import re
from pathlib import Path

from rclpy.context import Context
from rclpy.node import Node

logger = logging.getLogger(__name__)

_PROCESS = Path('/proc/self')
_REMOVED = re.compile(r'/fast(?:dds|rtps)_port(\d+) \(deleted\)$', re.MULTILINE)
# Fast DDS names the threads that listen after their ports.
_LISTENER = re.compile(r'dds\.shm\.(\d+)$')
# RTPS 2.5, 9.6.2.3: the ports of participants begin here. Below are Fast DDS's shared ones.
_FIRST_PORT = 7400


def removed_ports(process: Path = _PROCESS) -> set[int]:
    """Return the ports that a process listens to although they are removed.

    Without a /proc there are none; another process's port that was removed is none either.

    Args:
        process: Its directory in /proc.
    """
    with contextlib.suppress(OSError):
        removed = {int(port) for port in _REMOVED.findall((process / 'maps').read_text())}
        return removed and removed & listened_ports(process)
    return set()


class Ears:
    """Notice that a context has become deaf, and keep its ports from the context after it.

    A context of a new number is heard again; the number of one that is shut down would be taken
    by the next. Use it on one thread.
    """

    def __init__(self) -> None:
        self._lost: set[int] = set()
        self._keepers: list[Node] = []

    def are_deaf(self, context: Context) -> bool:
        """Tell whether a context has become deaf; if so, it must not be shut down before `close`.

        Args:
            context: One with a node of its own, which may be destroyed after this.
        """
        ports = removed_ports() - self._lost
        if not ports:
            return False
        self._lost |= ports
        logger.warning(
            'Fast DDS has lost the shared memory of port %s, and no images would arrive: '
            'starting anew', ', '.join(map(str, sorted(ports))),
        )  # fmt: skip
        keeper = Node(
            '_deaf', context=context, enable_rosout=False, start_parameter_services=False,
            use_global_arguments=False,
        )  # fmt: skip
        self._keepers.append(keeper)
        return True

    def close(self) -> None:
        """Shut the deaf contexts down."""
        for keeper in self._keepers:
            keeper.destroy_node()
            keeper.context.try_shutdown()


def listened_ports(process: Path = _PROCESS) -> set[int]:
    """Return the ports of Fast DDS's shared memory to which a process alone listens.

    Args:
        process: Its directory in /proc.

    Raises:
        OSError: There is none.
    """
    ports = set()
    for task in (process / 'task').iterdir():
        with contextlib.suppress(FileNotFoundError):  # it has ended meanwhile
            if found := _LISTENER.match((task / 'comm').read_text().strip()):
                ports.add(int(found[1]))
    return {port for port in ports if port >= _FIRST_PORT}
