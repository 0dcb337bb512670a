"""What the checks of an examination found, one by one, and which are still to be made.

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

# In the order in which they are made, and told.
WIRE_CHECKS = (
    'port', 'health', 'token', 'websocket', 'clock', 'authentication', 'messages', 'wrong_token',
    'session', 'ice', 'turn', 'errors',
)  # fmt: skip
ROS_CHECKS = ('camera_topic', 'qos', 'rate', 'dds')
CHECKS = WIRE_CHECKS + ROS_CHECKS


class Verdict(StrEnum):
    """Say how a check came out; `SKIP` is one that could not be made, or has nothing to try."""

    OK = 'ok'
    WARN = 'warn'
    FAIL = 'fail'
    SKIP = 'skip'


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold what one check found.

    Attributes:
        check: One of CHECKS.
        verdict: How it came out.
        tried: What was tried; '' of a check that was skipped.
        seen: What was seen then; of a check that was skipped the reason.
        remedy: What to do about it; '' where nothing has to be done.
    """

    check: str
    verdict: Verdict
    tried: str
    seen: str
    remedy: str = ''


def ok(check: str, tried: str, seen: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(check, Verdict.OK, tried, seen)


def warn(check: str, tried: str, seen: str, remedy: str) -> Finding:
    """Return a finding that somebody should look at, though it keeps no picture away."""
    return Finding(check, Verdict.WARN, tried, seen, remedy)


def fail(check: str, tried: str, seen: str, remedy: str) -> Finding:
    """Return a finding of something that does not work."""
    return Finding(check, Verdict.FAIL, tried, seen, remedy)


def skip(check: str, seen: str) -> Finding:
    """Return a finding that a check was not made, and why."""
    return Finding(check, Verdict.SKIP, '', seen)


class Findings:
    """Collect findings, one for each check."""

    def __init__(self) -> None:
        self._by_check: dict[str, Finding] = {}

    def add(self, *findings: Finding) -> None:
        """Take findings, each the first of its check."""
        for finding in findings:
            assert finding.check not in self._by_check, finding  # noqa: S101  # a bug of ours
            self._by_check[finding.check] = finding

    def all(self) -> list[Finding]:
        """Return all findings in the order of CHECKS."""
        return [self._by_check[check] for check in CHECKS if check in self._by_check]

    def skip_rest(self, checks: Sequence[str], reason: str) -> None:
        """Skip those of some checks that have not been made."""
        self.add(*(skip(check, reason) for check in self._missing(checks)))

    def time_is_over(self, timeout_s: float) -> None:
        """Let the check fail that is being made, the first one missing, and skip the others."""
        for check in self._missing(CHECKS)[:1]:
            self.add(
                fail(
                    check,
                    'make this check',
                    f'not done when the {timeout_s:g} s for all checks were over',
                    'raise --timeout; if that does not help, look into the logs of both nodes',
                )
            )
        self.skip_rest(CHECKS, f'no time was left of the {timeout_s:g} s (--timeout)')

    def _missing(self, checks: Sequence[str]) -> list[str]:
        return [check for check in checks if check not in self._by_check]
