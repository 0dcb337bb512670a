"""What docs/protocol.md says, read as a stranger reads it: rules, and the tables of codes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TEXT = (Path(__file__).resolve().parents[2] / 'docs' / 'protocol.md').read_text('utf-8')

_RULE = re.compile(r'^\* \[([A-Z]\d+)\] (.*(?:\n  .*)*)', re.MULTILINE)
_ERROR = re.compile(
    r'^\| `([a-z_]+)` \|[^|\n]*\| (yes|no) \| *(yes|no|) *\| *(\d{4})?[^|\n]*\|$', re.MULTILINE
)
_CLOSE = re.compile(r'^\| (\d{4}) \| ([^|\n]*) \| ([^|\n]*) \|$', re.MULTILINE)


@dataclass(frozen=True)
class ErrorRow:
    """Hold a row of the table of errors.

    Attributes:
        code: The code.
        retry: Whether the same message may succeed later.
        violation: Whether it counts as a violation of the protocol (E2).
        close_code: What the connection is closed with, or None.
    """

    code: str
    retry: bool
    violation: bool
    close_code: int | None


def rules() -> dict[str, str]:
    """Return the numbered rules, each on one line: `{'C1': 'The server MUST ...', ...}`."""
    return {number: ' '.join(text.split()) for number, text in _RULE.findall(TEXT)}


def errors() -> dict[str, ErrorRow]:
    """Return the rows of the table of errors by code."""
    return {
        code: ErrorRow(code, retry == 'yes', violation == 'yes', int(close) if close else None)
        for code, retry, violation, close in _ERROR.findall(_section('8. Errors'))
    }


def close_codes() -> dict[int, str]:
    """Return what the table of close codes says about coming back, by code."""
    return {int(code): back for code, _, back in _CLOSE.findall(_section('9. Close codes'))}


def _section(title: str) -> str:
    return TEXT.partition(f'\n## {title}\n')[2].partition('\n## ')[0]
