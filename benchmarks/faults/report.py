"""Rows of docs/reliability.md: what was done, what was promised, what was measured."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from relays.report import table, write_section

from faults import REPOSITORY

DOCUMENT = REPOSITORY / 'docs/reliability.md'
HEAD = ('what was done', 'what was promised', 'what was measured', 'kept')


@dataclass(frozen=True)
class Row:
    """One case.

    Attributes:
        done: What was done to the stack.
        promised: What should hold.
        measured: The figures.
        kept: Whether it held; None where nothing is promised.
    """

    done: str
    promised: str
    measured: str
    kept: bool | None

    def cells(self) -> list[str]:
        verdict = {True: 'yes', False: '**no**', None: '-'}[self.kept]
        return [*(text.replace('|', '/') for text in (self.done, self.promised, self.measured)),
                verdict]  # fmt: skip


@dataclass
class Section:
    """What one run of one case has found.

    Attributes:
        rows: One each.
        notes: Sentences below the table: seeds, lengths, single failures.
        loads: The machine's load average at the time of each row.
    """

    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        self.loads.append(os.getloadavg()[0])
        print(f'{" | ".join(row.cells())}', flush=True)

    @property
    def broken(self) -> list[Row]:
        """Rows whose promise was not kept."""
        return [row for row in self.rows if row.kept is False]

    def text(self, command: str) -> str:
        load = f'Load average {min(self.loads):.1f} to {max(self.loads):.1f}'
        paragraphs = [
            table(HEAD, [row.cells() for row in self.rows]),
            *self.notes,
            f'{load} on {os.cpu_count()} cores, the measurement itself included.',
            f'    {command}',
        ]
        return '\n\n'.join(paragraphs)


def write(name: str, section: Section, command: str, path: Path = DOCUMENT) -> None:
    """Put what was found in place of what a run before had found."""
    write_section(path, f'reliability {name}', section.text(command))


def span(values: Sequence[float], unit: str = 's', digits: int = 1) -> str:
    """Write values as `1.2 s (0.9 to 3.4)`: the median, the least and the most."""
    if not values:
        return 'none'
    ordered = sorted(values)
    middle = ordered[len(ordered) // 2]
    text = f'{middle:.{digits}f} {unit}'
    if len(ordered) > 1:
        text += f' ({ordered[0]:.{digits}f} to {ordered[-1]:.{digits}f})'
    return text
