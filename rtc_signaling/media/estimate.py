"""How much one viewer's link carries, from what its receiver reports: no clock, no socket.

A link that is full shows it in three ways, of which one is enough, as not every receiver or link
shows each: packets are lost, what is sent waits longer and longer on the way (round trips grow),
or there is a little of both, and the receiver says by itself that it gets too little (REMB). As
long as none of them was seen, nothing is known of the link, and nothing is held back.
"""

from __future__ import annotations

import math
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
# What a receiver says it can get grows from what it got, by 8 % a second: after more is sent it is
# too low for a while. Noise in the arrival times makes it 0.85 times what arrives, and a busy
# machine now and then less. So it counts where it is below this share of what is sent, and packets
# are lost or wait, too.
REMB_DOUBT = 0.75
# While a link is full it falls below what the link carries. No more than so many times at once.
REMB_STEP = 3.0
# Without a sign of a full link: growth per second, and near to where the link was last full.
GROWTH = 1.15
SLOW_GROWTH = 1.03
NEAR = 0.2
# What was never sent proves nothing: up to this many times of what is sent an estimate grows.
PROVEN = 1.8
# For the lowest round trip so many reports count (about half a minute): routes change.
ROUND_TRIPS = 32
# What of the link is used then, so that its queue runs empty.
DRAIN = 0.7
# So long after less is sent, in s, reports still tell of the time before.
SETTLED_S = 1.5
# Reports that come sooner than this, in s, of several streams or of few packets, are one.
SHORTEST_S = 0.7
# Over so long it is known what was sent, in s.
WINDOW_S = 2.0
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
        self._sent: deque[tuple[float, float]] = deque()
        self._reported_bits = 0.0
        self._lost_bits = 0.0
        self._said_bps: float | None = None
        self._settled_s = -math.inf

    def report(
        self, now_s: float, reading: Reading, sent_bits: float, reported_bits: float
    ) -> bool:
        """Take a receiver report.

        Args:
            now_s: A monotonic clock.
            reading: What it says.
            sent_bits: Bits of video that were sent to the viewer, since the start.
            reported_bits: Those that the report is of: of one stream, since its report before.

        Returns:
            Whether the estimate was looked at again: not at the first one, nor at those that come
            soon after one; they count at the next.
        """
        self._reported_bits += reported_bits
        self._lost_bits += reading.loss * reported_bits
        if reading.rtt_s is not None:
            self.rtt_s = reading.rtt_s
            self._round_trips.append(reading.rtt_s)
        if reading.remb_bps is not None:
            self._said_bps = reading.remb_bps
        if self._sent and now_s - self._sent[-1][0] < SHORTEST_S:
            return False
        first = not self._sent
        step_s, sent_bps = self._sent_rate(now_s, sent_bits)
        loss = self._lost_bits / self._reported_bits if self._reported_bits else 0.0
        said_bps, self._said_bps = self._said_bps, None
        self._lost_bits = self._reported_bits = 0.0
        if first:
            return False
        if now_s < self._settled_s:
            self._sent.clear()
            self._sent.append((now_s, sent_bits))
        elif sent_bps >= LEAST_BPS:
            self._learn(step_s, sent_bps, loss, said_bps)
        return True

    def _sent_rate(self, now_s: float, sent_bits: float) -> tuple[float, float]:
        """Return the time since the last look, and what was sent a second: over some, or in it.

        The larger one: a sender that stood still for a moment has not learnt that a link is thin.
        """
        rates = [
            (sent_bits - bits) / (now_s - at_s)
            for at_s, bits in (self._sent[0], self._sent[-1])
        ] if self._sent else [0.0]  # fmt: skip
        step_s = now_s - self._sent[-1][0] if self._sent else 0.0
        self._sent.append((now_s, sent_bits))
        while len(self._sent) > 1 and now_s - self._sent[1][0] >= WINDOW_S:
            self._sent.popleft()
        return step_s, max(rates)

    def _learn(self, step_s: float, sent_bps: float, loss: float, said_bps: float | None) -> None:
        queue_s = self._queue_s()
        lossy = loss >= CLEAN_LOSS
        queued = queue_s > (SHORT_QUEUE_S if lossy else FULL_QUEUE_S)
        troubled = lossy or queue_s > SHORT_QUEUE_S
        limit = _limit(loss, queued, said_bps if troubled else None, sent_bps, self.bps)
        if limit is not None:
            self.bps = max(limit, LEAST_BPS)
            # All of these are a little less than what it carries.
            self._was_full_bps = self.bps / QUEUE_STEP
        elif self.bps is not None and not lossy:
            self.bps = self._grown(self.bps, step_s, sent_bps)

    def assume(self, bps: float) -> None:
        """Take it that the link carries more, in order to try whether it does."""
        if self.bps is not None:
            self.bps = max(self.bps, bps)

    def forget(self) -> None:
        """Know nothing of the link any more, as before anything showed a limit."""
        self.bps = None

    def settle(self, now_s: float) -> None:
        """Learn nothing of the next reports: they tell of the time before less was sent.

        The link's queue is full, and has to run empty meanwhile.
        """
        self._settled_s = now_s + SETTLED_S
        if self.bps is not None:
            self.bps = max(self.bps * DRAIN, LEAST_BPS)

    def _queue_s(self) -> float:
        """Return how long packets wait on the way, in two round trips: one may be by chance."""
        if len(self._round_trips) < 2:
            return 0.0
        return min(self._round_trips[-1], self._round_trips[-2]) - min(self._round_trips)

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
    | the receiver says less than 0.75 of what is sent | what it says, a third of that at least |

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
    if said_bps is not None and said_bps < REMB_DOUBT * sent_bps:
        said_bps = max(said_bps, sent_bps / REMB_STEP)
        limits.append(said_bps if known_bps is None else min(said_bps, known_bps))
    return min(limits) if limits else None
