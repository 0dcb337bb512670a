"""Which of a sender's cameras goes into which video section of a viewer's offer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

UNKNOWN = 'unknown_camera'
OFF = 'disabled'


class Allotment(NamedTuple):
    """Say what a viewer gets.

    Attributes:
        sections: For each video section of the offer, in order, the camera that it carries; None
            for none.
        refused: Of cameras that were asked for, those that do not come, and why: a reason of a
            `bye` (docs/protocol.md, 3).
    """

    sections: tuple[str | None, ...]
    refused: tuple[tuple[str, str], ...] = ()


def allot(
    count: int, wanted: Sequence[str] | None, cameras: Sequence[str], off: Collection[str]
) -> Allotment:
    """Return which camera each video section carries.

    No camera goes into two: a viewer that asks for one twice gets it in the first.

    Args:
        count: How many video sections the offer has.
        wanted: What the viewer asks for, in their order; None: the first cameras that there are.
        cameras: Those of the sender, in its order.
        off: Those of them that are switched off.
    """
    if wanted is None:
        there = [name for name in cameras if name not in off][:count]
        return Allotment((*there, *[None] * (count - len(there))))
    sections: list[str | None] = []
    refused: dict[str, str] = {}
    for name in wanted[:count]:
        if name in cameras and name not in off:
            sections.append(None if name in sections else name)
        else:
            sections.append(None)
            refused[name] = OFF if name in cameras else UNKNOWN
    return Allotment((*sections, *[None] * (count - len(sections))), tuple(refused.items()))
