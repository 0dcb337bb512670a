"""Medians, ratios and goals, as Markdown."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Goal:
    """One figure that is to be reached.

    Attributes:
        what: The figure, in words.
        value: What was measured.
        limit: The most that it may be.
        unit: Of both; `x` for a ratio.
        least: The limit is the least that it may be.
    """

    what: str
    value: float
    limit: float
    unit: str
    least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the value is within the limit."""
        return self.value >= self.limit if self.least else self.value <= self.limit

    def row(self) -> list[str]:
        """Return it as a row of a table."""
        verdict = 'met' if self.is_met else 'missed'
        return [
            self.what,
            f'{_number(self.value)} {self.unit}',
            f'{_number(self.limit)} {self.unit}',
            verdict,
        ]


def _number(value: float) -> str:
    return f'{value:.2f}' if abs(value) < 10 else f'{value:.1f}'


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = ['| ' + ' | '.join(head) + ' |', '|' + '---|' * len(head)]
    lines += ['| ' + ' | '.join(row) + ' |' for row in rows]
    return '\n'.join(lines)


def median(values: Sequence[float], digits: int = 1) -> str:
    """Return the median with the range it was found in: `19.4 (18.8 to 22.1)`."""
    middle = statistics.median(values)
    if len(values) == 1:
        return f'{middle:.{digits}f}'
    return f'{middle:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})'


def ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """Return the ratio of the medians."""
    return statistics.median(values) / statistics.median(others)


def write_section(path: Path, program: str, text: str) -> None:
    """Put `text` between the two markers of a program in a document, or append both to it."""
    begin, end = f'<!-- begin: {program} -->', f'<!-- end: {program} -->'
    document = path.read_text(encoding='utf-8') if path.exists() else ''
    section = f'{begin}\n{text.strip()}\n{end}'
    if begin in document:
        pattern = re.escape(begin) + '.*?' + re.escape(end)
        document = re.sub(pattern, lambda _: section, document, flags=re.DOTALL)
    else:
        document = f'{document.rstrip()}\n\n{section}\n'
    path.write_text(document, encoding='utf-8')
