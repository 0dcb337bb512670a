"""RTP time from header stamps."""

from __future__ import annotations

from collections.abc import Sequence

VIDEO_CLOCK_HZ = 90_000
# A stamp this far from the one before is a jump of the clock or a camera that was away.
MAX_STEP_NS = 5_000_000_000


class RtpClock:
    """Map header stamps to RTP timestamps that never go back (RFC 3550, 5.1).

    The stamps' own spacing is kept, so that video plays as it was taken. Where stamps stand
    still or jump, the time of arrival goes on in their place.
    """

    def __init__(self) -> None:
        self._last_stamp_ns: int | None = None
        self._last_arrival_ns = 0
        self._elapsed_ns = 0

    def pts(self, stamp_ns: int, arrival_ns: int) -> int:
        """Return the RTP time of an image, in 1/90000 s since the first one.

        Args:
            stamp_ns: The image's header stamp, in ns.
            arrival_ns: When it arrived by a monotonic clock, in ns.
        """
        if self._last_stamp_ns is None:
            step_ns = 0
        else:
            step_ns = stamp_ns - self._last_stamp_ns
            if not 0 < step_ns < MAX_STEP_NS:
                step_ns = max(arrival_ns - self._last_arrival_ns, 1_000_000)
        self._last_stamp_ns = stamp_ns
        self._last_arrival_ns = arrival_ns
        self._elapsed_ns += step_ns
        return self._elapsed_ns * VIDEO_CLOCK_HZ // 1_000_000_000


# Rates that encoders are told, in Hz: those that cameras have.
USUAL_RATES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 90, 120, 240)
ASSUMED_RATE = 30


def usual_rate(steps: Sequence[int]) -> int:
    """Return the usual rate that pictures with these steps of RTP time hardly exceed, in Hz.

    Args:
        steps: In 1/90000 s; the median counts.
    """
    if len(steps) < 2:
        return ASSUMED_RATE
    rate_hz = VIDEO_CLOCK_HZ / max(sorted(steps)[len(steps) // 2], 1)
    return next((usual for usual in USUAL_RATES if rate_hz <= 1.1 * usual), USUAL_RATES[-1])


class Pacer:
    """Choose the images to send when a camera gives more than are wanted, evenly.

    Args:
        max_fps: Most pictures per second; 0 takes every image.
    """

    def __init__(self, max_fps: float = 0.0) -> None:
        self.max_fps = max_fps
        self._next_ns = 0

    def admits(self, arrival_ns: int) -> bool:
        """Tell whether to send the image that came at `arrival_ns` of a monotonic clock."""
        if self.max_fps <= 0:
            return True
        period_ns = int(1e9 / self.max_fps)
        # Images do not come on the dot: one that is early by half a period is the one.
        if arrival_ns < self._next_ns - period_ns // 2:
            return False
        # Kept on the grid, so that a camera of 30 Hz gives 20 and not 15; not after a pause.
        late_ns = arrival_ns - self._next_ns
        self._next_ns = (self._next_ns if late_ns < period_ns else arrival_ns) + period_ns
        return True
