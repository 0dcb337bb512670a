"""Which of a sender's cameras goes into which video section of a viewer's offer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Allotment(NamedTuple):
    """Say what a viewer gets.

    Attributes:
        sections: For each video section of the offer, in order, the camera that it carries; None
            for none.
        unknown: What was asked for and is no camera here, once each.
    """

    sections: tuple[str | None, ...]
    unknown: tuple[str, ...] = ()


def allot(count: int, wanted: Sequence[str] | None, cameras: Sequence[str]) -> Allotment:
    """Return which camera each video section carries.

    No camera goes into two: a viewer that asks for one twice gets it in the first.

    Args:
        count: How many video sections the offer has.
        wanted: What the viewer asks for, in their order; None: the first cameras that there are.
        cameras: Those of the sender, in its order.
    """
    asked = list(cameras if wanted is None else wanted)[:count]
    sections = [
        name if name in cameras and name not in asked[:place] else None
        for place, name in enumerate(asked)
    ]
    unknown = dict.fromkeys(name for name in asked if name not in cameras)
    return Allotment((*sections, *[None] * (count - len(asked))), tuple(unknown))
