"""How all findings together are told: in lines, or in JSON.

Pure. What a server or a camera has said stands in the findings, so whatever could disturb a
terminal is taken out here, and so is every secret that the doctor knows.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rtc_signaling.doctor.findings import Finding, Verdict

MAX_WORDS_CHARS = 400


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Hold the findings of an examination, in the order of the checks.

    Attributes:
        url: The server's URL, without any token.
    """

    url: str
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, url: str, findings: Sequence[Finding], secrets: Sequence[str] = ()) -> Diagnosis:
        """Return the diagnosis of these findings, with clean words.

        Args:
            url: The server's URL.
            findings: One for each check.
            secrets: Texts that must not be told, whoever has said them.
        """
        return cls(_clean(url, secrets), tuple(_cleaned(finding, secrets) for finding in findings))

    @property
    def verdict(self) -> Verdict:
        """The worst that was found; what was skipped is not bad."""
        verdicts = {finding.verdict for finding in self.findings}
        return next((bad for bad in (Verdict.FAIL, Verdict.WARN) if bad in verdicts), Verdict.OK)

    @property
    def exit_code(self) -> int:
        """The process's exit code: 1 if something failed, else 0."""
        return int(self.verdict is Verdict.FAIL)

    def as_text(self) -> str:
        """Return a line for each finding, and one that sums them up."""
        lines = [_line(finding) for finding in self.findings]
        return '\n'.join([*lines, f'{self.url}: {self._summary()}']) + '\n'

    def as_json(self) -> str:
        """Return the same as JSON, for programs."""
        content: dict[str, Any] = {
            'url': self.url,
            'verdict': self.verdict,
            'checks': [asdict(finding) for finding in self.findings],
        }
        return json.dumps(content, indent=2) + '\n'

    def _summary(self) -> str:
        counts = Counter(finding.verdict for finding in self.findings)
        words = {
            Verdict.OK: 'well', Verdict.WARN: 'to look at', Verdict.FAIL: 'failed',
            Verdict.SKIP: 'skipped',
        }  # fmt: skip
        summary = ', '.join(f'{counts[verdict]} {words[verdict]}' for verdict in words
                            if counts[verdict])  # fmt: skip
        # What was found later may come of that.
        failed = [finding.check for finding in self.findings if finding.verdict is Verdict.FAIL]
        return summary + (f'; begin with {failed[0]}' if failed else '')


def _line(finding: Finding) -> str:
    tried = 'skipped' if finding.verdict is Verdict.SKIP else finding.tried
    remedy = f' -> {finding.remedy}' if finding.remedy else ''
    return f'{finding.verdict.upper():4} {finding.check:<14} {tried}: {finding.seen}{remedy}'


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
