"""How much one viewer's link carries, from what its receiver reports: no clock, no socket.

A link that is full shows it in three ways, of which one is enough, as not every receiver or link
shows each: packets are lost, what is sent waits longer and longer on the way (round trips grow),
or the receiver says by itself what it can get (REMB). As long as none of them was seen, nothing is
known of the link, and nothing is held back.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

# Up to this share of lost packets a link counts as clean.
CLEAN_LOSS = 0.02
# From here on it is full, and not only bad: what is in between is repaired by sending again.
FULL_LOSS = 0.10
# So many are lost only where what arrives is all that the link carries.
BROKEN_LOSS = 0.30
# A round trip that is longer than the shortest one by so much, in s, waited in a full queue. The
# own event loop and the viewer's, when busy, are late by a third of that.
FULL_QUEUE_S = 0.3
# The same where packets are lost too: a short queue that runs over.
SHORT_QUEUE_S = 0.1
# What is taken off then, at each report, until the queue has become shorter.
QUEUE_STEP = 0.85
# Noise in the arrival times makes a receiver say 0.85 times what arrives, and a busy machine now
# and then less. Only what is below this share of what is sent, twice, tells of a full link.
REMB_DOUBT = 0.75
# Without a sign of a full link: growth per second, and near to where the link was last full.
GROWTH = 1.15
SLOW_GROWTH = 1.03
NEAR = 0.2
# What was never sent proves nothing: up to this many times of what is sent an estimate grows.
PROVEN = 1.5
# For the lowest round trip so many reports count (about half a minute): routes change.
ROUND_TRIPS = 32
# Reports that come sooner than this, in s, of several streams of a viewer, are one.
SHORTEST_S = 0.4
# Below this, in bit/s, nothing is learnt: a still picture's packets are too few.
LEAST_BPS = 20_000.0


class Reading(NamedTuple):
    """Hold what came of one receiver report.

    Attributes:
        loss: Share of the packets that were lost since the report before, 0 to 1.
        rtt_s: The round trip, in s; None if it is not known.
        remb_bps: What the receiver says it can get; None if it said nothing new.
    """

    loss: float = 0.0
    rtt_s: float | None = None
    remb_bps: float | None = None


class Estimate:
    """Estimate what one viewer's link carries; one thread.

    Attributes:
        bps: Bits of video per second; None as long as nothing has shown a limit.
        rtt_s: The last round trip, None if unknown.
    """

    def __init__(self) -> None:
        self.bps: float | None = None
        self.rtt_s: float | None = None
        self._was_full_bps: float | None = None
        self._round_trips: deque[float] = deque(maxlen=ROUND_TRIPS)
        self._last_s: float | None = None
        self._sent_bits = 0.0
        self._worst_loss = 0.0
        self._settling = False
        self._low_remb = False

    def report(self, now_s: float, reading: Reading, sent_bits: float) -> bool:
        """Take a receiver report.

        Args:
            now_s: A monotonic clock.
            reading: What it says.
            sent_bits: Bits of video that were sent to the viewer, since the start.

        Returns:
            Whether it was taken: of the first one, and of those that follow at once, nothing can
            be learnt yet.
        """
        self._worst_loss = max(self._worst_loss, reading.loss)
        if reading.rtt_s is not None:
            self.rtt_s = reading.rtt_s
        if self._last_s is None:
            self._last_s, self._sent_bits, self._worst_loss = now_s, sent_bits, 0.0
            return False
        step_s = now_s - self._last_s
        if step_s < SHORTEST_S:
            return False
        sent_bps = (sent_bits - self._sent_bits) / step_s
        loss, self._worst_loss = self._worst_loss, 0.0
        self._last_s, self._sent_bits = now_s, sent_bits
        queued = self._queued(reading.rtt_s, loss)
        said_bps = self._said(reading.remb_bps, sent_bps)
        settling, self._settling = self._settling, False
        if sent_bps < LEAST_BPS or settling:
            return True
        limit = _limit(loss, queued, said_bps, sent_bps, self.bps)
        if limit is not None:
            self.bps = max(limit, LEAST_BPS)
            self._was_full_bps = max(self.bps, sent_bps * (1 - loss))
        elif self.bps is not None and loss < CLEAN_LOSS:
            self.bps = self._grown(self.bps, step_s, sent_bps)
        return True

    def assume(self, bps: float) -> None:
        """Take it that the link carries more, in order to try whether it does."""
        if self.bps is not None:
            self.bps = max(self.bps, bps)

    def forget(self) -> None:
        """Know nothing of the link any more, as before anything showed a limit."""
        self.bps = None

    def settle(self) -> None:
        """Learn nothing of the next report: it tells of the time before less was sent."""
        self._settling = True

    def _queued(self, rtt_s: float | None, loss: float) -> bool:
        """Tell whether packets wait on the way: in two reports, one may be late by chance."""
        if rtt_s is None:
            return False
        before_s = self._round_trips[-1] if self._round_trips else rtt_s
        self._round_trips.append(rtt_s)
        queue_s = SHORT_QUEUE_S if loss >= CLEAN_LOSS else FULL_QUEUE_S
        return min(rtt_s, before_s) - min(self._round_trips) > queue_s

    def _said(self, remb_bps: float | None, sent_bps: float) -> float | None:
        """Return what the receiver says it can get, if it has said twice that it is too little."""
        if remb_bps is None:
            return None
        low, self._low_remb = self._low_remb, remb_bps < REMB_DOUBT * sent_bps
        return remb_bps if low and self._low_remb else None

    def _grown(self, bps: float, step_s: float, sent_bps: float) -> float:
        full_bps = self._was_full_bps
        near = full_bps is not None and abs(bps / full_bps - 1) <= NEAR
        grown: float = bps * (SLOW_GROWTH if near else GROWTH) ** min(step_s, 2.0)
        return max(bps, min(grown, PROVEN * sent_bps))


def _limit(
    loss: float, queued: bool, said_bps: float | None, sent_bps: float, known_bps: float | None
) -> float | None:
    """Return what the link carries, if this shows it to be full, in bit/s.

    | sign | what it carries |
    |---|---|
    | more than 30 % are lost | what arrives |
    | more than 10 % are lost | what is sent, less half of the share that is lost (as in GCC) |
    | packets wait on the way | 0.85 of what is sent |
    | the receiver says, twice, less than 0.75 of what is sent | what it says |

    The lowest of them counts.
    """
    base_bps = sent_bps if known_bps is None else min(known_bps, sent_bps)
    limits = []
    if loss > BROKEN_LOSS:
        limits.append(sent_bps * (1 - loss))
    elif loss > FULL_LOSS:
        limits.append(base_bps * (1 - loss / 2))
    if queued:
        limits.append(base_bps * QUEUE_STEP)
    if said_bps is not None:
        limits.append(said_bps if known_bps is None else min(said_bps, known_bps))
    return min(limits) if limits else None
