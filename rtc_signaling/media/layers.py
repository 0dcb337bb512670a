"""Who gets which encode of a camera, and how many bits each encode has: no clock, no threads.

full --- cannot keep up ---> half --- cannot keep up ---> fewer
<-- keeps up, tries --       <-- keeps up, tries --
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

SHARED = 'shared'
LAYERED = 'layers'
ADAPTATIONS = (SHARED, LAYERED)


@dataclass(frozen=True, slots=True)
class Layer:
    """Describe one encode of a camera, or a way to take part in one.

    Attributes:
        name: For people.
        halved: Whether width and height are half of the camera's.
        max_fps: Most pictures per second, 0 for all.
        most: What it has of the operator's bitrate, at most, 0 to 1.
        least: And at least: less is for a lower layer.
        key_frames_only: Whether its viewers get key frames alone.
    """

    name: str
    halved: bool = False
    max_fps: float = 0.0
    most: float = 1.0
    least: float = 0.02
    key_frames_only: bool = False


FULL = Layer('full', least=0.4)
HALF = Layer('half', halved=True, most=0.35, least=0.12)
FEWER = Layer('fewer', halved=True, max_fps=8.0, most=0.12)
# With one encode for all, that encode may become as small as it has to for the best served.
ONLY = Layer('full')
STILLS = Layer('stills', key_frames_only=True)

# The layers of each value of `adaptation`, the best first.
LADDERS: dict[str, tuple[Layer, ...]] = {LAYERED: (FULL, HALF, FEWER), SHARED: (ONLY, STILLS)}
# Those that are encodes of their own.
LOWER_ENCODES = (HALF, FEWER)

# Who has less than this share of what its layer takes cannot keep up ...
WEAK = 0.8
# ... if so many reports in a row say so.
WEAK_REPORTS = 2
# Who has so many times of the most that its layer can take may try the next better one.
STRONG = 1.2
# An encode that makes less than this share of what it may is of a picture in which little moves:
# then so many times of what it makes are enough.
DEMANDING = 0.4
# How long it has to keep up before it tries, in s. Each try that fails within TRIED_S doubles it.
FIRST_HOLD_S = 5.0
LONGEST_HOLD_S = 60.0
TRIED_S = 15.0
# A link's estimate less this is what an encode for it has: packets have headers, and some are sent
# twice.
HEADROOM = 0.9
# Steps of a bitrate that are worth making, as shares.
STEP_UP = 0.2
STEP_DOWN = 0.1


def wanted_bps(
    layer: Layer, bitrate_bps: int, now_bps: int | None, estimates: Iterable[float | None]
) -> int:
    """Return the bitrate of an encode: what the best served of its viewers can take.

    Args:
        layer: Whose encode it is.
        bitrate_bps: The operator's.
        now_bps: What it has; None if it has not been said yet.
        estimates: Of each viewer that takes it, in bit/s; None where nothing shows a limit.
    """
    most, least = layer.most * bitrate_bps, layer.least * bitrate_bps
    best = max((math.inf if bps is None else bps for bps in estimates), default=math.inf)
    wish = int(max(least, min(most, best * HEADROOM)))
    if now_bps is None or not least <= now_bps <= most:
        return wish
    step = wish / now_bps - 1
    worth_it = step > STEP_UP or step < -STEP_DOWN or wish in (int(most), int(least))
    return wish if worth_it else now_bps


def enough_bps(layer: Layer, bitrate_bps: int, target_bps: int | None, taken_bps: float) -> float:
    """Return what a link has to carry before its viewer tries a better layer than this one.

    Args:
        layer: The one that it has.
        bitrate_bps: The operator's.
        target_bps: What this layer's encode may have; None if it has none of its own.
        taken_bps: What it takes by now.
    """
    demanding = target_bps is not None and taken_bps >= DEMANDING * target_bps
    return STRONG * (layer.most * bitrate_bps if demanding else taken_bps)


class Climber:
    """Move one viewer between the layers of a ladder; one thread.

    Args:
        first_hold_s: How long a viewer keeps up before it tries the next better layer.

    Attributes:
        rung: Its place, 0 for the best.
    """

    def __init__(self, first_hold_s: float = FIRST_HOLD_S) -> None:
        self.rung = 0
        self._first_hold_s = self._hold_s = first_hold_s
        self._weak = 0
        self._strong_since_s: float | None = None
        self._tried_s: float | None = None

    def look(
        self,
        now_s: float,
        estimate_bps: float | None,
        taken_bps: float,
        enough_bps: float,
        rungs: int,
    ) -> int:
        """Decide after a receiver report.

        Args:
            now_s: A monotonic clock.
            estimate_bps: What the viewer's link carries; None if nothing shows a limit.
            taken_bps: What its layer takes by now.
            enough_bps: What its link has to carry before it tries a better one (`enough_bps`).
            rungs: How many there are.

        Returns:
            1 if the viewer goes to the next lower layer, -1 to the next better one, or 0.
        """
        carried_bps = math.inf if estimate_bps is None else estimate_bps
        if self._tried_s is not None and now_s - self._tried_s > TRIED_S:
            # The last try was good.
            self._tried_s, self._hold_s = None, self._first_hold_s
        self._weak = self._weak + 1 if carried_bps < WEAK * taken_bps else 0
        if self._weak:
            self._strong_since_s = None
            if self._weak < WEAK_REPORTS or self.rung >= rungs - 1:
                return 0
            if self._tried_s is not None:
                self._hold_s = min(2 * self._hold_s, LONGEST_HOLD_S)
            return self._move(1)
        if self.rung == 0 or carried_bps < enough_bps:
            self._strong_since_s = None
            return 0
        if self._strong_since_s is None:
            self._strong_since_s = now_s
        if now_s - self._strong_since_s < self._hold_s:
            return 0
        self._tried_s = now_s
        return self._move(-1)

    def _move(self, step: int) -> int:
        self.rung += step
        self._weak = 0
        self._strong_since_s = None
        if step > 0:
            self._tried_s = None
        return step
