"""What reaches into the private parts of aiortc and aioice, with the reason for each.

Checked with aiortc 1.14 to 1.16 and aioice 0.10 to 0.13. `test/unit/test_aiortc_hooks.py` fails
when a version changes what is relied on here.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aioice.ice
import aiortc.clock
from aioice.ice import get_host_addresses
from aiortc import RTCRtpReceiver, RTCRtpSender, RTCSctpTransport
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_RTPFB_NACK,
    AnyRtcpPacket,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
    unpack_remb_fci,
)

LOOPBACK = '127.0.0.1'
# What of a viewer's messages may be under way: a hundred times what honest ones need.
MAX_UNREAD_BYTES = 64 * 1024
MAX_GAPS = 64
MAX_STREAMS = 16
# From the epoch of NTP, 1900, to that of Unix (RFC 868).
_NTP_EPOCH_S = 2_208_988_800
# Where aiortc keeps the timestamp of the last packet of an RTCRtpSender.
_LAST_TIMESTAMP = '_RTCRtpSender__rtp_timestamp'
# What aiortc's SCTP raises at packets that make no sense.
_NONSENSE = (AssertionError, AttributeError, LookupError, TypeError, ValueError, struct.error)


def offer_addresses(addresses: tuple[str, ...]) -> None:
    """Choose the local addresses that ICE offers, in this whole process.

    aioice has no option for it: its `Connection` asks the module's function
    `get_host_addresses`. That also skips loopback always, so that nothing would work on a machine
    without a network.

    Args:
        addresses: IP addresses; empty for all but loopback, or loopback if there is no other.
    """

    def chosen(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        found = list(addresses) or get_host_addresses(use_ipv4, use_ipv6) or [LOOPBACK]
        return [address for address in found if (use_ipv6 if ':' in address else use_ipv4)]

    aioice.ice.get_host_addresses = chosen


def chosen_candidates(receiver: RTCRtpReceiver) -> tuple[Any, Any] | None:
    """Return the local and the remote candidate (aioice's) of the way that ICE has chosen.

    aiortc's statistics have no candidate pairs: aioice's `Connection` keeps the pair of each
    component under a private name.

    Returns:
        None as long as none is chosen.
    """
    # From DTLS to ICE to aioice.
    connection = receiver.transport.transport._connection
    pair = connection._nominated.get(1)
    return None if pair is None else (pair.local_candidate, pair.remote_candidate)


def name_stream(sender: RTCRtpSender, name: str) -> None:
    """Have the answer say `name` as the id of the MediaStream that a track is of (RFC 8830).

    aiortc puts all tracks of a connection into one stream with an id that it draws at random, and
    keeps it under a private name of each sender.

    Args:
        sender: Before the answer is made.
        name: Letters, digits and `._-` alone.
    """
    sender._stream_id = name


def ntp_time(time_ns: int) -> int:
    """Return a time of the wall clock as an NTP timestamp (RFC 5905 section 6).

    Args:
        time_ns: Since the epoch of Unix, in ns.

    Returns:
        Seconds since 1900 in the upper 32 bits, their fraction in the lower.
    """
    seconds, rest_ns = divmod(time_ns, 10**9)
    return (seconds + _NTP_EPOCH_S) << 32 | (rest_ns << 32) // 10**9


def quicken_clock() -> None:
    """Have aiortc read the clock in a quarter of the time, in this whole process.

    It reads it twice for each packet, by way of datetime and timedelta, which takes a seventh of
    all that a packet costs.
    """
    aiortc.clock.current_ntp_time = lambda: ntp_time(time.time_ns())


@dataclass(slots=True)
class Feedback:
    """Hold what a viewer's RTCP said, since the start.

    Attributes:
        lost_packets: Packets that it asked for again (NACK).
        loss: Share of the packets that were lost, of its last receiver report, 0 to 1; None before
            the first.
        remb_bps: The bitrate that it estimates it can receive; None if it does not say.
    """

    lost_packets: int = 0
    loss: float | None = None
    remb_bps: int | None = None


def watch_feedback(sender: RTCRtpSender, on_key_frame_request: Callable[[], None]) -> Feedback:
    """Learn what a viewer reports of the packets that `sender` sends, as it comes.

    aiortc means its encoder to use it: of a track that gives packets it drops every request for a
    key frame (`_send_keyframe` sets a flag that only its encoder reads), and the estimate of the
    bitrate goes to an encoder that does nothing. There is no public way to either. What aiortc
    itself does with RTCP, retransmission above all, goes on.

    Args:
        sender: Of the viewer's connection.
        on_key_frame_request: Called in the loop when the viewer needs a key frame (PLI, FIR).

    Returns:
        What is filled in from now on, in the loop.
    """
    feedback = Feedback()
    handle = sender._handle_rtcp_packet

    async def watched(packet: AnyRtcpPacket) -> None:
        _note(feedback, packet, sender._ssrc)
        await handle(packet)

    sender._handle_rtcp_packet = watched  # type: ignore[method-assign]
    sender._send_keyframe = on_key_frame_request  # type: ignore[method-assign]
    return feedback


def _note(feedback: Feedback, packet: AnyRtcpPacket, ssrc: int) -> None:
    if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
        for report in packet.reports:
            if report.ssrc == ssrc:
                feedback.loss = report.fraction_lost / 256
    elif isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK:
        feedback.lost_packets += len(packet.lost)
    elif isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
        with contextlib.suppress(ValueError):  # of a form that is no REMB
            bitrate_bps, ssrcs = unpack_remb_fci(packet.fci)
            if ssrc in ssrcs:
                feedback.remb_bps = bitrate_bps


class RtpOrigin:
    """Find out with which RTP timestamp a sender has begun.

    aiortc draws it at random into a local variable of `_run_rtp`. It is the difference between
    the timestamp of the last packet, which is kept under a private name, and that of the frame
    which the packet was of, as `_next_encoded_frame` returned it. The hook goes as soon as it
    knows. If a version of aiortc has no such names, it never knows, and the video is the same.

    Args:
        sender: One that has sent nothing yet.

    Attributes:
        value: 0 to 2**32 - 1; None until the second frame.
    """

    def __init__(self, sender: RTCRtpSender) -> None:
        self.value: int | None = None
        self._sender = sender
        self._next: Any = getattr(sender, '_next_encoded_frame', None)
        self._timestamp: int | None = None
        if self._next is not None:
            vars(sender)['_next_encoded_frame'] = self._next_frame

    async def _next_frame(self, codec: Any) -> Any:
        # aiortc comes back only when all packets of the frame before are sent.
        sent = vars(self._sender).get(_LAST_TIMESTAMP)
        if self._timestamp is not None and sent is not None:
            self.value = (sent - self._timestamp) % 2**32
            del vars(self._sender)['_next_encoded_frame']
        frame = await self._next(codec)
        # None is a frame that is not sent.
        self._timestamp = None if frame is None else frame.timestamp
        return frame


class DataGuard:
    """Watch over what a viewer sends to our end of its data channels.

    aiortc bounds neither the size of a message, nor how many have gaps, nor the number of
    streams, and a packet that makes no sense ends the whole connection with a traceback. All of
    it comes through `RTCSctpTransport._handle_data`.

    Args:
        sctp: The transport of all data channels, before it starts.
        on_excess: Called once, with what was too much in words; from then on it is closed.
    """

    def __init__(self, sctp: RTCSctpTransport, on_excess: Callable[[str], None]) -> None:
        self._sctp = sctp
        self._on_excess = on_excess
        self._handle = sctp._handle_data
        self._room_bytes = sctp._advertised_rwnd
        self._end: asyncio.Task[None] | None = None
        vars(sctp)['_handle_data'] = self._handle_data

    def close(self) -> None:
        """Close all data channels, and listen to them no more."""
        if self._end is None:
            self._end = asyncio.create_task(self._sctp.stop())

    async def _handle_data(self, data: bytes) -> None:
        if self._end is not None:
            return
        try:
            await self._handle(data)
        except _NONSENSE as error:
            excess = f'a packet that makes no sense ({error!r})'
        else:
            excess = self._excess()
        if excess and self._end is None:
            self.close()
            self._on_excess(excess)

    def _excess(self) -> str:
        sctp = self._sctp
        if self._room_bytes - sctp._advertised_rwnd > MAX_UNREAD_BYTES:
            return f'a message of more than {MAX_UNREAD_BYTES} bytes'
        if len(sctp._sack_misordered) > MAX_GAPS:
            return f'more than {MAX_GAPS} packets out of order'
        if len(sctp._inbound_streams) > MAX_STREAMS:
            return f'more than {MAX_STREAMS} streams'
        return ''
