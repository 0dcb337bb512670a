"""What a camera sender counts, and the frozen snapshot that its topics are made of."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from rtc_signaling.metrics import SAMPLES, Quantiles, rate

# So many looks, one a second, tell of replaced images: who publishes it once a second as well
# would now and then miss what a single look tells.
DROP_LOOKS = 5


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
        self.fps = rate(shown - shown_then, now_s - then_s)
        self._last = (now_s, shown)
        self._counts.append((received, replaced))
        received_then, replaced_then = self._counts[0]
        self.drop_rate = rate(replaced - replaced_then, received - received_then)


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
