"""Count what a process holds, so that what is left over after a fault shows."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from processes import descendants


@dataclass(frozen=True)
class Holding:
    """What one process holds.

    Attributes:
        files: Open file descriptors, sockets among them.
        sockets: Sockets alone.
        threads: Threads.
        children: Processes below it.
        memory_kb: Resident memory.
    """

    files: int
    sockets: int
    threads: int
    children: int
    memory_kb: int

    @classmethod
    def of(cls, pid: int) -> Holding:
        """Look at a process that runs."""
        links = []
        for path in Path(f'/proc/{pid}/fd').iterdir():
            try:
                links.append(os.readlink(path))
            except FileNotFoundError:  # closed since
                continue
        words = Path(f'/proc/{pid}/statm').read_text(encoding='ascii').split()
        return cls(
            files=len(links),
            sockets=sum(link.startswith('socket:') for link in links),
            threads=len(os.listdir(f'/proc/{pid}/task')),
            children=len(descendants(pid)),
            memory_kb=int(words[1]) * os.sysconf('SC_PAGESIZE') // 1024,
        )

    def beyond(self, before: Holding) -> str:
        """Return what there is more of than `before`, in words; '' for nothing."""
        more = {
            name: getattr(self, name) - getattr(before, name)
            for name in ('files', 'sockets', 'threads', 'children')
        }
        return ', '.join(f'{count:+} {name}' for name, count in more.items() if count > 0)


def segments() -> int:
    """Count Fast DDS's shared memory segments on this machine."""
    return sum(1 for path in Path('/dev/shm').glob('fast*') if not path.name.endswith('_el'))
