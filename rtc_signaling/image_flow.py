"""Whether a camera's images really arrive: counts, rates, and what to do where they do not."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rtc_signaling.report import Level

# What the rates are taken over: long enough for the few images of a bad transport.
WINDOW_S = 5.0
# Bounds the memory; a camera of 240 Hz fills half of it.
MAX_EVENTS = 2400
# An image more or less at either end of the window is no loss.
MIN_ARRIVING = 0.9
# No camera is faster: what comes above that is a publisher that runs wild.
FASTEST_HZ = 240.0
# Of a slower camera nothing is said of losses: a single one would decide.
MIN_JUDGED_HZ = 2.0
# A step of the stamps beyond this is a jump of a clock, or a camera that was away.
MAX_STEP_NS = 5_000_000_000
MIN_STEPS = 4
# Steps that are multiples of a period lie closer to them than this, in periods; those of a camera
# without a period lie 0.25 away on the average.
MAX_RESIDUE = 0.15
# An error of the period adds up over more periods than this.
MAX_FITTED = 4.5
REMEDY = (
    'start it with FASTDDS_DEFAULT_PROFILES_FILE set to config/fastdds_images.xml, '
    'see docs/images-over-dds.md'
)


@dataclass(frozen=True, slots=True)
class Publisher:
    """Name one publisher of the images, and what it offers."""

    node: str
    reliable: bool


@dataclass(frozen=True, slots=True)
class ImageFlow:
    """Hold how images arrive, of one moment; the counts are since the start.

    Attributes:
        topic: The topic, whole.
        reliable: Whether the subscription asks for reliable delivery.
        publishers: Who publishes there, as discovered.
        received: Images that came.
        lost: Images of which the middleware reported that they were lost.
        incompatible: How often a publisher was found that offers less than is asked for.
        incompatible_policy: The QoS policy that it was about, the last time; '' if never.
        received_hz: Images per second that come.
        published_hz: Images per second that are published, as far as can be told.
        reported_lost_hz: Lost images per second, as the middleware reports them.
        silence_s: Time since the last image came, in s; infinite if none did.
        age_s: Time since the newest image was taken, by its stamp, in s. Negative if the clocks
            differ; None if there is no image, or it has no stamp.
    """

    topic: str
    reliable: bool
    publishers: tuple[Publisher, ...]
    received: int
    lost: int
    incompatible: int
    incompatible_policy: str
    received_hz: float
    published_hz: float
    reported_lost_hz: float
    silence_s: float
    age_s: float | None

    @property
    def unheard(self) -> tuple[Publisher, ...]:
        """The publishers whose images cannot come because of what is asked for."""
        return tuple(p for p in self.publishers if self.reliable and not p.reliable)


class FlowMeter:
    """Count images, losses and publishers that do not match; one thread."""

    def __init__(self) -> None:
        self.received = 0
        self.lost = 0
        self.incompatible = 0
        self.incompatible_policy = ''
        # When, how many came, how many were lost.
        self._events: deque[tuple[float, int, int]] = deque(maxlen=MAX_EVENTS)
        self._stamps: deque[tuple[float, int]] = deque(maxlen=MAX_EVENTS)
        self._since_s = math.inf
        self._last_s = -math.inf
        self._stamp_ns = 0

    def image(self, now_s: float, stamp_ns: int) -> None:
        """Count an image.

        Args:
            now_s: A monotonic clock, in s.
            stamp_ns: The image's header stamp, in ns; 0 if it has none.
        """
        self.received += 1
        self._last_s = now_s
        self._stamp_ns = stamp_ns
        self._stamps.append((now_s, stamp_ns))
        self._add(now_s, 1, 0)

    def images_lost(self, now_s: float, count: int) -> None:
        """Count images of which the middleware reports that they were lost."""
        self.lost += count
        self._add(now_s, 0, count)

    def mismatch(self, count: int, policy: str) -> None:
        """Count publishers that offer less than is asked for, by the policy's name."""
        self.incompatible += count
        self.incompatible_policy = policy

    def flow(
        self,
        now_s: float,
        clock_ns: int,
        topic: str,
        reliable: bool,
        publishers: Iterable[Publisher],
    ) -> ImageFlow:
        """Return the figures of now.

        Args:
            now_s: The monotonic clock, in s.
            clock_ns: The clock that stamps are of, in ns.
            topic: The topic, whole.
            reliable: Whether reliable delivery is asked for.
            publishers: Who publishes there.
        """
        self._forget(now_s)
        span_s = min(WINDOW_S, now_s - self._since_s)
        received = sum(event[1] for event in self._events)
        lost = sum(event[2] for event in self._events)
        published = max(received + lost, received * self._spacing())
        # Of a shorter time no rate can be told.
        scale = 1 / span_s if span_s >= 1.0 else 0.0
        return ImageFlow(
            topic=topic,
            reliable=reliable,
            publishers=tuple(publishers),
            received=self.received,
            lost=self.lost,
            incompatible=self.incompatible,
            incompatible_policy=self.incompatible_policy,
            received_hz=received * scale,
            published_hz=published * scale,
            reported_lost_hz=lost * scale,
            silence_s=now_s - self._last_s,
            age_s=(clock_ns - self._stamp_ns) / 1e9 if self._stamp_ns else None,
        )

    def _add(self, now_s: float, received: int, lost: int) -> None:
        self._forget(now_s)
        if not self._events:
            self._since_s = now_s
        elif len(self._events) == MAX_EVENTS:
            self._since_s = max(self._since_s, self._events[1][0])
        self._events.append((now_s, received, lost))

    def _forget(self, now_s: float) -> None:
        for kept in (self._events, self._stamps):
            while kept and kept[0][0] <= now_s - WINDOW_S:
                kept.popleft()

    def _spacing(self) -> float:
        stamps = [stamp for _, stamp in self._stamps]
        return spacing([b - a for a, b in itertools.pairwise(stamps)])


def spacing(steps_ns: Sequence[int]) -> float:
    """Return how many images were published for each that came: 1.0 if none was lost.

    Where most images are lost, hardly two of those that come were neighbours; still the steps of
    their stamps are multiples of the camera's period. The period is taken to be a short one of
    the steps (at the 10 % quantile: a single odd stamp is no period), so the result may be too
    low, and is hardly ever too high. Nothing is read into the stamps of a camera that has no
    period, nor into those that stand still or jump.

    Args:
        steps_ns: Differences of the stamps of images that came one after the other, in ns.
    """
    steps = sorted(step for step in steps_ns if 0 < step < MAX_STEP_NS)
    if len(steps) < MIN_STEPS:
        return 1.0
    period_ns = steps[len(steps) // 10]
    periods = [step / period_ns for step in steps]
    near = [value for value in periods if value < MAX_FITTED]
    residue = sum(abs(value - round(value)) for value in near) / len(near)
    if residue > MAX_RESIDUE:
        return 1.0
    return sum(max(1, round(value)) for value in periods) / len(periods)


def judge(flow: ImageFlow, stale_timeout_s: float) -> tuple[Level, str]:
    """Say in a level and in words how the images arrive, and what to do; '' if all is well."""
    stale = flow.silence_s > stale_timeout_s
    if flow.unheard:
        names = ', '.join(publisher.node for publisher in flow.unheard)
        return (
            Level.ERROR if stale else Level.WARN,
            f'the publisher {names} of {flow.topic} offers best effort, image_qos is reliable: '
            'set image_qos to auto or best_effort',
        )
    # First: who publishes so many is bound to lose some of them.
    if runs_wild(flow) and not stale:
        return Level.WARN, wildness(flow)
    if _loses(flow):
        return Level.STALE if stale else Level.WARN, _loss(flow)
    if not stale:
        return Level.OK, ''
    names = ', '.join(publisher.node for publisher in flow.publishers)
    if not names:
        return Level.STALE, f'no images from the camera: nobody publishes {flow.topic}'
    return (
        Level.STALE,
        f'no images from the camera: {names} publishes {flow.topic}, but nothing arrives',
    )


def runs_wild(flow: ImageFlow) -> bool:
    """Tell whether more images are published than any camera gives."""
    return flow.published_hz > FASTEST_HZ


def wildness(flow: ImageFlow) -> str:
    """Say how many images there are, and what to do."""
    names = ', '.join(publisher.node for publisher in flow.publishers)
    return (
        f'about {flow.published_hz:.0f} images a second on {flow.topic} from {names}, which no '
        'camera gives: slow the publisher down, or set max_fps'
    )


def _loses(flow: ImageFlow) -> bool:
    fast = flow.published_hz >= MIN_JUDGED_HZ
    return fast and flow.received_hz < MIN_ARRIVING * flow.published_hz


def _loss(flow: ImageFlow) -> str:
    rates = f'about {flow.published_hz:.0f} Hz are published, {flow.received_hz:.0f} Hz arrive: '
    if flow.reported_lost_hz or flow.reliable:
        return f"{rates}the publisher's DDS transport loses large images; {REMEDY}"
    # By the stamps alone: the middleware has delivered all that it knows of.
    return f'{rates}this machine is too busy, or the publisher loses large images; {REMEDY}'
