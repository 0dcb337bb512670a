"""What is counted, and the frozen snapshots that status topics are made of."""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerSnapshot:
    """Hold the signaling server's figures of one moment.

    Attributes:
        url: Where it listens, without any token.
        senders: How many senders are in.
        receivers: How many receivers are in.
        messages_received: How many messages came, since the start.
        messages_sent: How many messages went out, since the start.
        connections: How many connections there were, since the start.
        errors: How many errors were answered, by code, since the start.
    """

    url: str
    senders: int
    receivers: int
    messages_received: int
    messages_sent: int
    connections: int
    errors: dict[str, int]


class RateMeter:
    """Tell how often something happens, over the last few events."""

    def __init__(self, window: int = 31) -> None:
        self._times_s: deque[float] = deque(maxlen=window)

    def count(self, now_s: float) -> None:
        """Count one event."""
        self._times_s.append(now_s)

    def silence_s(self, now_s: float) -> float:
        """Return the time since the last event, in s; infinite if there was none."""
        return now_s - self._times_s[-1] if self._times_s else math.inf

    def rate_hz(self, now_s: float) -> float:
        """Return the rate over the window, in Hz; it falls while nothing comes."""
        if len(self._times_s) < 2:
            return 0.0
        intervals = len(self._times_s) - 1
        span_s = self._times_s[-1] - self._times_s[0]
        mean_s = span_s / intervals
        return 1.0 / max(mean_s, self.silence_s(now_s), 1e-6)


class ServerMetrics:
    """Count what the server does; one thread writes."""

    def __init__(self) -> None:
        self.messages_received = 0
        self.messages_sent = 0
        self.connections = 0
        self.errors: Counter[str] = Counter()

    def snapshot(self, url: str, senders: int, receivers: int) -> ServerSnapshot:
        """Return the figures of now."""
        return ServerSnapshot(
            url=url,
            senders=senders,
            receivers=receivers,
            messages_received=self.messages_received,
            messages_sent=self.messages_sent,
            connections=self.connections,
            errors=dict(self.errors),
        )


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
        images_bad: Images that could not be converted.
        pictures_shown: Pictures that went to the viewers' tracks.
        last_error: What is wrong with the images, or ''.
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
