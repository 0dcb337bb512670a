"""A receiver that counts what comes and decodes nothing.

aiortc's own receiver does all the rest: it reassembles, asks for lost packets again, sends
receiver reports. Reached into, of aiortc 1.14 to 1.16: the module's `decoder_worker`, which is
replaced, and the receiver's `_handle_rtp_packet`, which is called for each decrypted packet.
"""

from __future__ import annotations

import asyncio
import queue
import statistics
import threading
import time
from typing import Any

import aiortc.rtcrtpreceiver
from aiortc import RTCRtpReceiver

# NAL unit types (RFC 6184): a picture to begin with, what describes it, and two kinds of packets.
_IDR, _SPS, _STAP_A, _FU_A = 5, 7, 24, 28
RTP_HZ = 90_000


def _discard(
    loop: asyncio.AbstractEventLoop,
    frames: queue.Queue[Any],
    pictures: asyncio.Queue[Any],
    error: threading.Event,
) -> None:
    while (task := frames.get()) is not None:
        _, frame = task
        loop.call_soon_threadsafe(pictures.put_nowait, frame.timestamp)
    loop.call_soon_threadsafe(pictures.put_nowait, None)


def decode_nothing() -> None:
    """Have all tracks of this process give the frames' RTP times in place of pictures."""
    aiortc.rtcrtpreceiver.decoder_worker = _discard


def begins_key_frame(payload: bytes) -> bool:
    """Tell whether a payload of H.264 is the first, or the only one, of a key frame."""
    kind = payload[0] & 0x1F
    if kind == _STAP_A and len(payload) > 3:
        return payload[3] & 0x1F in (_IDR, _SPS)
    if kind == _FU_A and len(payload) > 1:
        return payload[1] & 0x9F in (0x80 | _IDR, 0x80 | _SPS)
    return kind in (_IDR, _SPS)


class Tap:
    """Count the frames of one receiver by marker bits, timestamps and sequence numbers.

    Attributes:
        first_key_s: When the first key frame was there, whole, by time.monotonic(); 0 before.
        first_frame: Set then.
        key_times_s: The time of each key frame, by its RTP timestamp: that of the camera.
    """

    def __init__(self, receiver: RTCRtpReceiver, *, estimates: bool) -> None:
        self._handle = receiver._handle_rtp_packet
        self._estimates = estimates
        receiver._handle_rtp_packet = self._take
        self.first_key_s = 0.0
        self.first_frame = asyncio.Event()
        self._key_timestamp: int | None = None
        self._next: int | None = None
        self._whole = False
        self.reset()

    def reset(self) -> None:
        """Count from here on."""
        self.frames = self.incomplete = self.packets = self.size_bytes = 0
        self.key_times_s: list[float] = []
        self.arrivals_s: list[float] = []
        self.timestamps: set[int] = set()

    async def _take(self, packet: Any, arrival_time_ms: int) -> None:
        if packet.payload:
            self._count(packet)
        if not self._estimates:
            # What REMB is estimated from: without it a sender keeps its bitrate.
            packet.extensions.abs_send_time = None
        await self._handle(packet, arrival_time_ms)

    def _count(self, packet: Any) -> None:
        now_s = time.monotonic()
        if self._next is not None and (packet.sequence_number - self._next) & 0x8000:
            return  # it was late, or sent again
        if packet.sequence_number != self._next:
            self._whole = self._next is None
        self._next = (packet.sequence_number + 1) & 0xFFFF
        self.packets += 1
        self.size_bytes += len(packet.payload)
        if packet.timestamp != self._key_timestamp and begins_key_frame(packet.payload):
            self._key_timestamp = packet.timestamp
            self.key_times_s.append(packet.timestamp / RTP_HZ)
        if packet.marker:
            self._end_frame(packet.timestamp, now_s)

    def _end_frame(self, timestamp: int, now_s: float) -> None:
        if self._whole and timestamp not in self.timestamps:
            self.frames += 1
            self.timestamps.add(timestamp)
            self.arrivals_s.append(now_s)
            if not self.first_key_s and timestamp == self._key_timestamp:
                self.first_key_s = now_s
                self.first_frame.set()
        else:
            self.incomplete += 1
        self._whole = True

    def report(self) -> dict[str, Any]:
        """Return what was counted since the last `reset`."""
        gaps_ms = [
            (later - earlier) * 1000
            for earlier, later in zip(self.arrivals_s, self.arrivals_s[1:], strict=False)
        ]
        return {
            'frames': self.frames,
            'incomplete': self.incomplete,
            'packets': self.packets,
            'size_bytes': self.size_bytes,
            'key_times_s': self.key_times_s,
            'gap_p95_ms': statistics.quantiles(gaps_ms, n=20)[18] if len(gaps_ms) > 20 else None,
        }
