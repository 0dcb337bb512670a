"""What is streamed, with which settings, and how much of it is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rtc_signaling.parameter import from_values, parameters
from rtc_signaling.sender_config import SenderConfig

RATE_HZ = 30
# x264's own, which plain aiortc and GStreamer have too if nothing is set.
KEY_INTERVAL_FRAMES = 250
PRESET = 'superfast'


@dataclass(frozen=True)
class Stream:
    """One size of picture, with the bitrate that it is encoded at."""

    width: int
    height: int
    bitrate_bps: int

    @property
    def name(self) -> str:
        """The size, as people write it."""
        return f'{self.width}x{self.height}'

    def arguments(self) -> list[str]:
        """Return it as words of a command line, for `from_arguments` in another process."""
        return [str(self.width), str(self.height), str(self.bitrate_bps)]


def from_arguments(words: list[str]) -> Stream:
    """Return the stream that `arguments` wrote."""
    return Stream(*map(int, words[:3]))


VGA = Stream(640, 480, 1_500_000)
HD = Stream(1280, 720, 2_500_000)
STREAMS = {stream.name: stream for stream in (VGA, HD)}


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: How often each contender has its turn.
        viewers: Numbers of viewers, in this order, for each contender.
        settle_s: From the last viewer's first picture to the measurement.
        measure_s: Length of one measurement of CPU time.
        watch_s: Length of one measurement of latency.
        late_joins: Joins whose first picture is timed.
        bursts: How often 8 viewers join at once.
        joins: Joins and leaves of the churn.
    """

    rounds: int = 3
    viewers: tuple[int, ...] = (1, 2, 4, 8)
    settle_s: float = 1.0
    measure_s: float = 3.0
    watch_s: float = 8.0
    late_joins: int = 20
    bursts: int = 5
    joins: int = 60


def wanted_settings(stream: Stream) -> dict[str, Any]:
    """Return what the sender's parameters are set to, by ROS name."""
    return {
        'bitrate': stream.bitrate_bps,
        'codec_preference': ('h264', 'vp8'),
        'encoder': 'libx264',
        'encoder_preset': PRESET,
        'key_frame_interval': KEY_INTERVAL_FRAMES / RATE_HZ,
        'max_viewers': 20,
    }


def sender_settings(stream: Stream) -> dict[str, Any]:
    """Return those of the wanted settings that this version of the sender has, by ROS name."""
    known = {spec.name for spec in parameters(SenderConfig).values()}
    return {name: value for name, value in wanted_settings(stream).items() if name in known}


def sender_config(stream: Stream, server_url: str) -> SenderConfig:
    """Return the configuration of a sender without ROS."""
    own = {'server_url': server_url, 'ice_addresses': ('127.0.0.1',)}
    return from_values(SenderConfig, own | sender_settings(stream))
