"""What is counted, and the frozen snapshots that topics, /metrics and /healthz are made of."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# The samples that quantiles are taken over: some minutes of set-ups, some rounds of pings.
SAMPLES = 256
# So many looks, one a second, tell of replaced images: who publishes it once a second as well
# would now and then miss what a single look tells.
DROP_LOOKS = 5


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Hold the usual three quantiles of some samples, in their unit; 0 where there are none."""

    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    count: int = 0

    @classmethod
    def of(cls, samples: Iterable[float]) -> Quantiles:
        """Return the quantiles (nearest rank) of `samples`."""
        ordered = sorted(samples)
        if not ordered:
            return cls()
        p50, p95, p99 = (ordered[math.ceil(q * len(ordered)) - 1] for q in (0.5, 0.95, 0.99))
        return cls(p50, p95, p99, len(ordered))


@dataclass(frozen=True, slots=True)
class Traffic:
    """Hold what went one way: counts since the start, and rates over the last period.

    Attributes:
        messages: Messages by type.
        size_bytes: Their length in all.
        messages_per_s: Messages per second.
        bytes_per_s: Bytes per second.
    """

    messages: Mapping[str, int]
    size_bytes: int
    messages_per_s: float
    bytes_per_s: float


@dataclass(frozen=True, slots=True)
class ServerSnapshot:
    """Hold the signaling server's figures of one moment; counts are since the start.

    Attributes:
        url: Where it listens, without any token.
        senders: Senders that are in.
        receivers: Receivers that are in.
        away: Clients whose connection was lost and that may come back.
        connections: Connections that there were.
        received: What clients sent.
        sent: What went to clients.
        errors: Errors that clients were told, by code.
        error_rate: Errors per second over the last period.
        sessions: Sessions by state.
        ping_s: Round trips of the pings, over all clients.
        setup_s: From an offer to its answer.
        connected_s: From an offer to a connection, as receivers reported it.
        latency_s: Age of pictures when they were presented, as receivers reported it.
        waiting: Messages that wait for clients that are away.
        too_slow: Clients that were cut off because they did not read.
        refused: Connections that were refused before the upgrade, by reason.
        problems: What is not well, in words; empty when all is well.
    """

    url: str
    senders: int
    receivers: int
    away: int
    connections: int
    received: Traffic
    sent: Traffic
    errors: Mapping[str, int]
    error_rate: float
    sessions: Mapping[str, int]
    ping_s: Quantiles
    setup_s: Quantiles
    connected_s: Quantiles
    latency_s: Quantiles
    waiting: int
    too_slow: int
    refused: Mapping[str, int]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Population:
    """Hold what the server counts by looking, not by adding up; see `ServerSnapshot`."""

    senders: int
    receivers: int
    away: int
    sessions: Mapping[str, int]
    waiting: int
    ping_s: tuple[float, ...]


class TrafficCounter:
    """Count messages and bytes one way; one thread."""

    __slots__ = (
        '_bytes_per_s', '_last_bytes', '_last_messages', '_messages', '_messages_per_s',
        '_size_bytes',
    )  # fmt: skip

    def __init__(self) -> None:
        self._messages: Counter[str] = Counter()
        self._size_bytes = 0
        self._last_messages = 0
        self._last_bytes = 0
        self._messages_per_s = 0.0
        self._bytes_per_s = 0.0

    def add(self, kind: str, size_bytes: int) -> None:
        """Count one message."""
        self._messages[kind] += 1
        self._size_bytes += size_bytes

    def look(self, period_s: float) -> None:
        """Take the rates over the `period_s` since the call before."""
        total = self._messages.total()
        self._messages_per_s = _rate(total - self._last_messages, period_s)
        self._bytes_per_s = _rate(self._size_bytes - self._last_bytes, period_s)
        self._last_messages, self._last_bytes = total, self._size_bytes

    @property
    def traffic(self) -> Traffic:
        """The counts of now, and the rates of the last look."""
        return Traffic(
            messages=dict(self._messages),
            size_bytes=self._size_bytes,
            messages_per_s=self._messages_per_s,
            bytes_per_s=self._bytes_per_s,
        )


class ServerMetrics:
    """Count what the server does; one thread."""

    def __init__(self, now_s: float) -> None:
        self.received = TrafficCounter()
        self.sent = TrafficCounter()
        self.connections = 0
        self.too_slow = 0
        self.errors: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._setup_s: deque[float] = deque(maxlen=SAMPLES)
        self._connected_s: deque[float] = deque(maxlen=SAMPLES)
        self._latency_s: deque[float] = deque(maxlen=SAMPLES)
        self._last_errors = 0
        self._last_time_s = now_s
        self._error_rate = 0.0

    def negotiated(self, duration_s: float) -> None:
        """Count an offer that was answered after `duration_s`."""
        self._setup_s.append(duration_s)

    def connected(self, duration_s: float) -> None:
        """Count a connection that a receiver reported, `duration_s` after its offer."""
        self._connected_s.append(duration_s)

    def presented(self, latency_s: float) -> None:
        """Count a receiver's report that its pictures were `latency_s` old when it showed them."""
        self._latency_s.append(latency_s)

    def look(self, now_s: float) -> None:
        """Take the rates over the time since the call before."""
        period_s = now_s - self._last_time_s
        errors = self.errors.total()
        self.received.look(period_s)
        self.sent.look(period_s)
        self._error_rate = _rate(errors - self._last_errors, period_s)
        self._last_errors, self._last_time_s = errors, now_s

    def snapshot(
        self, url: str, population: Population, problems: tuple[str, ...]
    ) -> ServerSnapshot:
        """Return the figures of now; the rates are those of the last look."""
        return ServerSnapshot(
            url=url,
            senders=population.senders,
            receivers=population.receivers,
            away=population.away,
            connections=self.connections,
            received=self.received.traffic,
            sent=self.sent.traffic,
            errors=dict(self.errors),
            error_rate=self._error_rate,
            sessions=population.sessions,
            ping_s=Quantiles.of(population.ping_s),
            setup_s=Quantiles.of(self._setup_s),
            connected_s=Quantiles.of(self._connected_s),
            latency_s=Quantiles.of(self._latency_s),
            waiting=population.waiting,
            too_slow=self.too_slow,
            refused=dict(self.refused),
            problems=problems,
        )


def _rate(count: int, period_s: float) -> float:
    return count / period_s if period_s > 0 else 0.0


class SenderMeter:
    """Turn the camera sender's counts into rates.

    Attributes:
        fps: Pictures shown per second, from the last look to this one.
        drop_rate: Share of the images that were replaced unseen, in the last `DROP_LOOKS` looks,
            0 to 1.
    """

    def __init__(self) -> None:
        self.fps = 0.0
        self.drop_rate = 0.0
        self._last = (0.0, 0)
        self._counts = deque([(0, 0)], maxlen=DROP_LOOKS + 1)

    def look(self, now_s: float, received: int, replaced: int, shown: int) -> None:
        """Take the counts of now, which are since the start."""
        then_s, shown_then = self._last
        self.fps = _rate(shown - shown_then, now_s - then_s)
        self._last = (now_s, shown)
        self._counts.append((received, replaced))
        received_then, replaced_then = self._counts[0]
        self.drop_rate = _rate(replaced - replaced_then, received - received_then)


@dataclass(frozen=True, slots=True)
class PictureAges:
    """Hold how old the last pictures were at each step, in s since their images were taken.

    Attributes:
        arrived: When the image came from ROS.
        begun: When its encoding began.
        encoded: When its packet was ready.
        sent: When its last packet was on its way, over all viewers.
    """

    arrived: Quantiles = Quantiles()
    begun: Quantiles = Quantiles()
    encoded: Quantiles = Quantiles()
    sent: Quantiles = Quantiles()


@dataclass(frozen=True, slots=True)
class EncoderFigures:
    """Hold how the encoder of one codec does; the counts are since the start.

    Attributes:
        codec: 'h264' or 'vp8'; 'passed_on' for H.264 as the camera makes it.
        encoder: FFmpeg's name of the encoder that runs, or ran last; 'camera' for none.
        note: Why it is not the wished one; '' if it is.
        viewers: Viewers that its pictures go to.
        key_frames: Key frames that it made.
        encode_s: How long a picture takes, from its conversion to its packet.
        layer: 'full', or which encode for weak links it is (docs/media.md).
        bitrate_bps: What it may have, in bit/s; None for all of the operator's, or unknown.
    """

    codec: str
    encoder: str
    note: str
    viewers: int
    key_frames: int
    encode_s: Quantiles
    layer: str = 'full'
    bitrate_bps: int | None = None


class PictureMeter:
    """Keep the ages of the last pictures at each step; one thread."""

    def __init__(self) -> None:
        self._arrived_s: deque[float] = deque(maxlen=SAMPLES)
        self._begun_s: deque[float] = deque(maxlen=SAMPLES)
        self._encoded_s: deque[float] = deque(maxlen=SAMPLES)
        self._sent_s: deque[float] = deque(maxlen=SAMPLES)
        self._encode_s: dict[str, deque[float]] = {}

    def encoded(self, codec: str, arrived_s: float, begun_s: float, encoded_s: float) -> None:
        """Add a picture, by how old it was at each step."""
        self._arrived_s.append(arrived_s)
        self._begun_s.append(begun_s)
        self._encoded_s.append(encoded_s)
        samples = self._encode_s.setdefault(codec, deque(maxlen=SAMPLES))
        samples.append(encoded_s - begun_s)

    def sent(self, age_s: float) -> None:
        """Add a picture that went to a viewer, by how old it was."""
        self._sent_s.append(age_s)

    @property
    def ages(self) -> PictureAges:
        """The quantiles of now."""
        return PictureAges(
            Quantiles.of(self._arrived_s),
            Quantiles.of(self._begun_s),
            Quantiles.of(self._encoded_s),
            Quantiles.of(self._sent_s),
        )

    def encode_s(self, codec: str) -> Quantiles:
        """Return how long the pictures of a codec took."""
        return Quantiles.of(self._encode_s.get(codec, ()))


@dataclass(frozen=True, slots=True)
class ViewerFigures:
    """Hold how one viewer's video is; None is what it has not reported.

    Attributes:
        client_id: The viewer.
        state: The W3C RTCPeerConnectionState of its connection.
        bitrate_bps: Bits per second that go to it.
        fps: Pictures per second that it presents.
        loss: Share of its packets that are lost, 0 to 1.
        freezes: How often its picture froze.
        rtt_s: Round trip to it.
        latency_s: Age of the pictures when it presents them.
        timing_ignored: Messages on its data channels that were none to answer (docs/timing.md).
        layer: Which encode of the camera it gets (docs/media.md), '' if it gets none yet.
        estimate_bps: Bits of video per second that its link carries; None as long as nothing shows
            a limit.
        camera: Which of several cameras it is the video of.
    """

    client_id: str
    state: str
    bitrate_bps: float
    fps: float | None = None
    loss: float | None = None
    freezes: float | None = None
    rtt_s: float | None = None
    latency_s: float | None = None
    timing_ignored: int = 0
    layer: str = ''
    estimate_bps: float | None = None
    camera: str = ''


@dataclass(frozen=True, slots=True)
class SenderSnapshot:
    """Hold the camera sender's figures of one moment; the counts are since its start.

    Attributes:
        server_url: The signaling server.
        linked: Whether the server has let it in.
        refusal: Why the server refuses it, or ''.
        viewers: How many viewers are served.
        viewers_connected: How many of them have a connection for video.
        images_received: Images that came from ROS.
        images_replaced: Images that a newer one replaced before they were looked at.
        images_bad: Images that could not be converted, or in which nothing is.
        pictures_shown: Pictures that were encoded for viewers or passed on, each counted once.
        last_error: What is wrong with the images, or ''.
        enabled: Whether the camera is switched on.
        fps: Pictures per second that went to the viewers' tracks.
        bitrate_bps: Bits per second that go to all viewers.
        drop_rate: Share of the last images that were replaced before they were looked at.
        viewer_figures: Of each viewer.
        pictures_dropped: Pictures that single viewers missed because they were slow.
        encoder_error: What is wrong with the encoder, or ''.
        encoder_failures: Pictures that an encoder failed at.
        encoders: Of each codec that is or was sent.
        ages: How old the pictures are at each step.
        stream: What the camera's own H.264 is, in words; '' if it gives none.
        key_frame_wait_s: How long viewers wait by now for a key frame of it.
        key_frame_spacing_s: How long it was last without a key frame; 0 if that is not known.
        cameras: Of a sender with several cameras, the figures of each by its name; in those the
            other figures are sums, and what cannot be summed is empty.
    """

    server_url: str
    linked: bool
    refusal: str
    viewers: int
    viewers_connected: int
    images_received: int
    images_replaced: int
    images_bad: int
    pictures_shown: int
    last_error: str
    enabled: bool = True
    fps: float = 0.0
    bitrate_bps: float = 0.0
    drop_rate: float = 0.0
    viewer_figures: tuple[ViewerFigures, ...] = ()
    pictures_dropped: int = 0
    encoder_error: str = ''
    encoder_failures: int = 0
    encoders: tuple[EncoderFigures, ...] = ()
    ages: PictureAges = PictureAges()
    stream: str = ''
    key_frame_wait_s: float = 0.0
    key_frame_spacing_s: float = 0.0
    cameras: Mapping[str, SenderSnapshot] = field(default_factory=dict)

    @property
    def latency_s(self) -> float | None:
        """The median age of the pictures, over the viewers that have measured it."""
        measured = [v.latency_s for v in self.viewer_figures if v.latency_s is not None]
        return Quantiles.of(measured).p50 if measured else None
