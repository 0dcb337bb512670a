"""The data channel on which a viewer learns how old its pictures are (docs/timing.md)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from aiortc import RTCDataChannel, RTCPeerConnection
from msgspec import UNSET

from rtc_signaling.media._aiortc import DataGuard
from rtc_signaling.media.clock_sync import Answer, Question, Questions
from rtc_signaling.media.viewer_stream import ViewerStream

logger = logging.getLogger(__name__)

LABEL = 'timing'
# With one camera. The page opens one for each; each of those that stay open costs memory.
MAX_CHANNELS = 4
# An answer has 100 bytes, up to 2500; a viewer that takes none gets no more.
MAX_UNSENT_BYTES = 16 * 1024


class TimingChannel:
    """Answer the questions that one viewer asks about the time; use it in the loop.

    What a viewer sends over data channels can cost it these channels, all of them, and nothing
    else: the video goes on.

    Args:
        connection: The viewer's, before it has taken the offer.
        streams: The cameras that it gets.
        now_ns: Returns the time of the clock that stamps are of, in ns; None if that is simulated.
        name: The viewer's, for the log.
    """

    def __init__(
        self,
        connection: RTCPeerConnection,
        streams: Sequence[ViewerStream],
        now_ns: Callable[[], int | None],
        name: str,
    ) -> None:
        self._connection = connection
        self._streams = streams
        self._now_ns = now_ns
        self._name = name
        cameras = max(len(streams), 1)
        self._questions = Questions(cameras)
        self._max_channels = MAX_CHANNELS + cameras - 1
        self._channels = 0
        self._guard: DataGuard | None = None
        self._over = False
        connection.on('datachannel', self._on_channel)

    @property
    def ignored(self) -> int:
        """How many messages were ignored."""
        return self._questions.ignored

    def guard(self) -> None:
        """Watch over what comes; to be called as soon as the viewer's offer was taken."""
        if self._connection.sctp is not None and self._guard is None:
            self._guard = DataGuard(self._connection.sctp, self._on_excess)

    def _on_channel(self, channel: RTCDataChannel) -> None:
        self._channels += 1
        if self._channels > self._max_channels:
            self._on_excess(f'more than {self._max_channels} of them')
        else:
            channel.on('message', lambda message: self._on_message(channel, message))

    def _on_message(self, channel: RTCDataChannel, message: str | bytes) -> None:
        came_ns = self._now_ns()
        asked = None
        if channel.label == LABEL:
            asked = self._questions.take(message, time.monotonic())
        else:
            self._questions.ignored += 1
        if asked is not None:
            self._answer(channel, asked, came_ns)
        elif self._questions.excessive:
            self._on_excess(f'{self.ignored} messages that are no questions, or too many')
        elif self.ignored == 1:
            logger.warning('viewer %s: what it asks about the time is ignored in part', self._name)

    def _answer(self, channel: RTCDataChannel, asked: Question, came_ns: int | None) -> None:
        if channel.readyState != 'open' or channel.bufferedAmount > MAX_UNSENT_BYTES:
            return
        stream = self._stream(asked)
        runs, pictures = ((), 0) if stream is None else (stream.runs(), stream.pictures)
        now_ns = self._now_ns()
        if came_ns is None or now_ns is None:
            answer = Answer(asked.t0, runs, pictures, simulated=True, mid=asked.mid)
        else:
            t1_us, t2_us = came_ns // 1000, now_ns // 1000
            answer = Answer(asked.t0, runs, pictures, t1_us, t2_us, mid=asked.mid)
        try:
            channel.send(answer.encode())
        except ValueError:  # longer than the viewer says that it takes
            self._on_excess('it takes no answer of ordinary length')

    def _stream(self, asked: Question) -> ViewerStream | None:
        """Return what the question is about; None if that is no video of ours."""
        if asked.mid is UNSET:
            return next(iter(self._streams), None)
        return next((stream for stream in self._streams if stream.mid == asked.mid), None)

    def _on_excess(self, what: str) -> None:
        """Listen to none of the viewer's data channels any more; its video goes on."""
        if self._over:
            return
        self._over = True
        logger.warning('viewer %s: its data channels are closed: %s', self._name, what)
        if self._guard is not None:
            self._guard.close()
