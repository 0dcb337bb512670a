"""What an examination found, check by check, and how that is told: in lines, or in JSON.

Pure. What a server or a camera has said stands in the findings, so whatever could disturb a
terminal is taken out here, and so is every secret that the doctor knows.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

MAX_WORDS_CHARS = 400
# In the order in which they are reported.
CHECKS = (
    'port', 'health', 'websocket', 'clock', 'token', 'authentication', 'wrong_token', 'messages',
    'session', 'ice', 'turn', 'errors', 'camera_topic', 'qos', 'rate', 'dds',
)  # fmt: skip


class Level(StrEnum):
    """Say how a check came out; `SKIP` is one that could not be tried, or has nothing to try."""

    OK = 'ok'
    WARN = 'warn'
    FAIL = 'fail'
    SKIP = 'skip'


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold what one check found.

    Attributes:
        check: One of CHECKS.
        level: How it came out.
        tried: What was tried.
        seen: What was seen then; of a check that was skipped the reason.
        remedy: What to do about it; '' where nothing has to be done.
    """

    check: str
    level: Level
    tried: str
    seen: str
    remedy: str = ''


def ok(check: str, tried: str, seen: str, remedy: str = '') -> Finding:
    """Return a finding that all is well."""
    return Finding(check, Level.OK, tried, seen, remedy)


def warn(check: str, tried: str, seen: str, remedy: str) -> Finding:
    """Return a finding that somebody should look at, though it keeps no picture away."""
    return Finding(check, Level.WARN, tried, seen, remedy)


def fail(check: str, tried: str, seen: str, remedy: str) -> Finding:
    """Return a finding of something that does not work."""
    return Finding(check, Level.FAIL, tried, seen, remedy)


def skip(check: str, seen: str, remedy: str = '') -> Finding:
    """Return a finding that a check was not made, and why."""
    return Finding(check, Level.SKIP, 'nothing', seen, remedy)


@dataclass(frozen=True, slots=True)
class Report:
    """Hold the findings of an examination, in the order of CHECKS.

    Attributes:
        url: The server's URL, without any token.
    """

    url: str
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, url: str, findings: Sequence[Finding], secrets: Sequence[str] = ()) -> Report:
        """Return the report of these findings, clean and in order.

        Args:
            url: The server's URL.
            findings: One for each check that was made, in any order.
            secrets: Texts that must not be told, whoever has said them.
        """
        ordered = sorted(findings, key=lambda finding: CHECKS.index(finding.check))
        return cls(_clean(url, secrets), tuple(_cleaned(finding, secrets) for finding in ordered))

    @property
    def level(self) -> Level:
        """The worst that was found; what was skipped is not bad."""
        levels = {finding.level for finding in self.findings}
        return next((bad for bad in (Level.FAIL, Level.WARN) if bad in levels), Level.OK)

    @property
    def exit_code(self) -> int:
        """The process's exit code: 1 if something failed, else 0."""
        return int(self.level is Level.FAIL)

    def as_text(self) -> str:
        """Return a line for each finding, and one that sums them up."""
        lines = [_line(finding) for finding in self.findings]
        return '\n'.join([*lines, f'{self.url}: {self._summary()}']) + '\n'

    def as_json(self) -> str:
        """Return the same as JSON, for programs."""
        content: dict[str, Any] = {
            'url': self.url,
            'level': self.level,
            'checks': [asdict(finding) for finding in self.findings],
        }
        return json.dumps(content, indent=2) + '\n'

    def _summary(self) -> str:
        counts = Counter(finding.level for finding in self.findings)
        words = {
            Level.OK: 'well', Level.WARN: 'to look at', Level.FAIL: 'failed',
            Level.SKIP: 'skipped',
        }  # fmt: skip
        return ', '.join(f'{counts[level]} {words[level]}' for level in Level if counts[level])


def _line(finding: Finding) -> str:
    head = f'{finding.level.upper():4} {finding.check:<14} '
    what = f'skipped: {finding.seen}' if finding.level is Level.SKIP else (
        f'{finding.tried}: {finding.seen}'
    )  # fmt: skip
    return head + what + (f' -> {finding.remedy}' if finding.remedy else '')


def _cleaned(finding: Finding, secrets: Sequence[str]) -> Finding:
    return replace(
        finding,
        tried=_clean(finding.tried, secrets),
        seen=_clean(finding.seen, secrets),
        remedy=_clean(finding.remedy, secrets),
    )


def _clean(text: str, secrets: Sequence[str]) -> str:
    for secret in filter(None, secrets):
        text = text.replace(secret, '***')
    shown = ''.join(char if char.isprintable() else ' ' for char in text)
    words = ' '.join(shown.split())
    return words if len(words) <= MAX_WORDS_CHARS else f'{words[: MAX_WORDS_CHARS - 3]}...'
