"""How something is, in a level, in words and in values: statuses and diagnostics."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class Level(enum.IntEnum):
    """Be the level of a diagnostic_msgs/DiagnosticStatus (REP 107)."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True, slots=True)
class Report:
    """Say how one part is.

    Attributes:
        part: Which part of its node, such as `connections`.
        level: How bad it is.
        message: The same in words, for a person.
        values: The figures, the most important first.
    """

    part: str
    level: Level
    message: str
    values: tuple[tuple[str, object], ...] = ()


Finding = tuple[Level, str]


def worst(findings: Iterable[Finding], well: str) -> Finding:
    """Return the worst finding, the first of several; if none is worse than OK, `well`.

    STALE counts as less than ERROR and more than WARN: nothing is known, which may be worse.
    """
    order = (Level.OK, Level.WARN, Level.STALE, Level.ERROR)
    level, message = max(findings, key=lambda found: order.index(found[0]), default=(Level.OK, ''))
    return (level, message) if level is not Level.OK else (Level.OK, well)
