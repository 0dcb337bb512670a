"""When the packets of a large picture leave: spread out, so that they do not burst a thin link."""

from __future__ import annotations

import math
from typing import NamedTuple

# A picture of up to so many times the usual size goes out at once, which costs nothing.
LARGE = 2.0
SMALLEST_BYTES = 3600
# The packets of a large one leave at so many times the link's rate.
PACE = 2.5
# In bursts so far apart, in s, or farther: an event loop keeps no finer time.
BURST_S = 0.005
# What a packet holds, about.
PACKET_BYTES = 1200
# Part of the time to the next picture that may be used.
SHARE = 0.6


class Spread(NamedTuple):
    """Hold how a picture is spread out.

    Attributes:
        packets: Packets of a burst.
        gap_s: Time from one burst to the next.
    """

    packets: int
    gap_s: float


def spread(size_bytes: int, rate_bps: float, period_s: float, room: int) -> Spread | None:
    """Return how to send a picture, None for at once.

    Args:
        size_bytes: Of the picture.
        rate_bps: What the viewer gets or, if that is less, what its link carries.
        period_s: Time to the next picture.
        room: Pictures that may wait for the viewer meanwhile.
    """
    usual_bytes = rate_bps * period_s / 8
    if size_bytes <= max(LARGE * usual_bytes, SMALLEST_BYTES):
        return None
    whole_s = min(size_bytes * 8 / (PACE * rate_bps), (room - 1 + SHARE) * period_s)
    count = math.ceil(size_bytes / PACKET_BYTES)
    packets = math.ceil(count / max(1, int(whole_s / BURST_S)))
    return Spread(packets, whole_s * packets / count)
