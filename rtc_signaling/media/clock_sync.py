"""What a viewer asks to know how old its pictures are: the clock and the stamps (docs/timing.md).

Pure: nothing here reads a clock. Everything has a bounded size, whatever cameras and viewers do.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from rtc_signaling.limits import TokenBucket
from rtc_signaling.media.timing import VIDEO_CLOCK_HZ

# A question has 60 characters.
MAX_QUESTION_CHARS = 256
# A viewer asks once a second, and ten times at the start.
QUESTIONS_PER_S = 5.0
QUESTIONS_BURST = 20.0
# One that goes on for so long has something else in mind.
MAX_IGNORED = 1000
# Cameras whose stamps stand still or jump make a run of each picture.
MAX_RUNS = 64
# What was presented longer ago is of no interest any more.
SPAN_TICKS = 4 * VIDEO_CLOCK_HZ
# RTP time is rounded to 1/90000 s, at both ends of a difference.
TOLERANCE_NS = 12_000
_RTP_MODULO = 2**32


class Question(Struct, frozen=True, tag='ping'):
    """Ask what time it is; `t0` comes back as it is.

    Attributes:
        mid: The media section of the pictures that are asked about; absent for the first.
    """

    t0: float
    mid: str | UnsetType = UNSET


class Answer(Struct, frozen=True, tag='pong', omit_defaults=True):
    """Tell what time it is and which stamps the last pictures have.

    Attributes:
        t0: The question's.
        runs: (first, last, stamp_us) each: the image whose RTP timestamp is `first` has the header
            stamp `stamp_us`, in us, and so on up to `last` by the RTP clock of 90 kHz.
        pictures: How many pictures the camera has sent so far, for whatever viewers.
        t1_us: When the question came, in us of the clock that the stamps are of.
        t2_us: When the answer went, likewise.
        simulated: That clock is a simulation's, which runs as it likes: there are no times.
        mid: The question's, if it had one.
    """

    t0: float
    runs: tuple[tuple[int, int, int], ...]
    pictures: int
    t1_us: int | UnsetType = UNSET
    t2_us: int | UnsetType = UNSET
    simulated: bool = False
    mid: str | UnsetType = UNSET

    def encode(self) -> str:
        """Return the answer as JSON."""
        return msgspec.json.encode(self).decode()


class Questions:
    """Take one viewer's questions, and ignore what is none or too much.

    Args:
        streams: Of how many cameras it may ask.

    Attributes:
        ignored: How many messages were ignored.
    """

    def __init__(self, streams: int = 1) -> None:
        self.ignored = 0
        self._bucket = TokenBucket(QUESTIONS_PER_S * streams, QUESTIONS_BURST * streams)
        self._decoder = msgspec.json.Decoder(Question)

    @property
    def excessive(self) -> bool:
        """Whether so much was ignored that the viewer is better not listened to."""
        return self.ignored > MAX_IGNORED

    def take(self, message: str | bytes, now_s: float) -> Question | None:
        """Return the question, or None if the message is to be ignored.

        Args:
            message: What came, of any size and content.
            now_s: A monotonic clock's time, in s.
        """
        question = None
        # The bucket first: a flood of garbage is not even looked at.
        if self._bucket.take(now_s) and len(message) <= MAX_QUESTION_CHARS:
            question = self._decode(message)
        self.ignored += question is None
        return question

    def _decode(self, message: str | bytes) -> Question | None:
        try:
            return self._decoder.decode(message)
        except (msgspec.DecodeError, UnicodeError):
            return None


class _Run(NamedTuple):
    """Hold pictures that the RTP clock and the header stamps agree about."""

    first_pts: int
    last_pts: int
    stamp_ns: int

    def stamp_at(self, pts: int) -> int:
        return self.stamp_ns + (pts - self.first_pts) * 1_000_000_000 // VIDEO_CLOCK_HZ


class StampTable:
    """Remember the header stamps of the last pictures, by RTP time.

    One thread may note while others read.

    Attributes:
        pictures: How many were noted so far.
    """

    def __init__(self) -> None:
        self.pictures = 0
        # Replaced as a whole, so that a reader never sees it change.
        self._runs: tuple[_Run, ...] = ()

    def note(self, pts: int, stamp_ns: int) -> None:
        """Note a picture; its RTP time never goes back.

        Args:
            pts: Its RTP time, in 1/90000 s since the first one.
            stamp_ns: Its header stamp, in ns.
        """
        self.pictures += 1
        before = self._runs
        if before and abs(before[-1].stamp_at(pts) - stamp_ns) <= TOLERANCE_NS:
            self._runs = (*before[:-1], before[-1]._replace(last_pts=pts))
        else:
            self._runs = (*before[-MAX_RUNS + 1 :], _Run(pts, pts, stamp_ns))

    def runs(self, origin: int) -> tuple[tuple[int, int, int], ...]:
        """Return the `runs` of an `Answer`, of the last `SPAN_TICKS`.

        Args:
            origin: The RTP timestamp of the picture whose RTP time is 0, 0 to 2**32 - 1.
        """
        runs = self._runs
        if not runs:
            return ()
        start_pts = runs[-1].last_pts - SPAN_TICKS
        return tuple(
            (
                (origin + (first_pts := max(run.first_pts, start_pts))) % _RTP_MODULO,
                (origin + run.last_pts) % _RTP_MODULO,
                run.stamp_at(first_pts) // 1000,
            )
            for run in runs
            if run.last_pts >= start_pts
        )
