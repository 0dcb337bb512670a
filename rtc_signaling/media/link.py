"""One viewer's link: what it carries, shared by all cameras that the viewer watches."""

from __future__ import annotations

from typing import Protocol

from rtc_signaling.media.estimate import Estimate, Reading


class Stream(Protocol):
    """Be one of the streams that go over a link.

    Attributes:
        sent_bits: Bits of video that were sent, since the start.
    """

    sent_bits: int

    def reported(self, now_s: float) -> None:
        """Take notice that the link's estimate was looked at again."""


class Link:
    """Keep the estimate of one viewer's link; use it in the loop.

    Attributes:
        streams: What goes over it.
    """

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self._estimate = Estimate()
        # Of streams that have ended.
        self._sent_bits = 0
        self._reported_bits: dict[int, int] = {}

    @property
    def bps(self) -> float | None:
        """Bits of video per second that it carries; None as long as nothing shows a limit."""
        return self._estimate.bps

    @property
    def share_bps(self) -> float | None:
        """What one of its streams may have of that."""
        bps = self._estimate.bps
        return None if bps is None else bps / max(1, len(self.streams))

    @property
    def rtt_s(self) -> float | None:
        """The last round trip, None if that is not known."""
        return self._estimate.rtt_s

    def assume(self, share_bps: float) -> None:
        """Take it that each stream can have more, in order to try whether that is so."""
        self._estimate.assume(share_bps * max(1, len(self.streams)))

    def forget(self) -> None:
        """Know nothing of the link any more."""
        self._estimate.forget()

    def settle(self, now_s: float) -> None:
        """Learn nothing of the next reports: they tell of the time before less was sent."""
        self._estimate.settle(now_s)

    def take(self, now_s: float, reading: Reading, stream: Stream) -> None:
        """Take a receiver report of one of the streams, and tell all of them."""
        sent_bits = self._sent_bits + sum(other.sent_bits for other in self.streams)
        reported_bits = stream.sent_bits - self._reported_bits.get(id(stream), 0)
        self._reported_bits[id(stream)] = stream.sent_bits
        if self._estimate.report(now_s, reading, sent_bits, reported_bits):
            for other in tuple(self.streams):
                other.reported(now_s)

    def leave(self, stream: Stream) -> None:
        """Take away a stream that has ended."""
        if stream in self.streams:
            self.streams.remove(stream)
            self._sent_bits += stream.sent_bits
            self._reported_bits.pop(id(stream), None)
