"""What reaches into the private parts of aiortc and aioice, with the reason for each.

Checked with aiortc 1.14 to 1.16 and aioice 0.10 to 0.13. `test/unit/test_aiortc_hooks.py` fails
when a version changes what is relied on here.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import Callable, Coroutine
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
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
    unpack_remb_fci,
)

from rtc_signaling.media.estimate import Reading
from rtc_signaling.media.pacing import Spread

LOOPBACK = '127.0.0.1'
# What of a viewer's messages may be under way: a hundred times what honest ones need.
MAX_UNREAD_BYTES = 64 * 1024
MAX_GAPS = 64
MAX_STREAMS = 16
# From the epoch of NTP, 1900, to that of Unix (RFC 868).
_NTP_EPOCH_S = 2_208_988_800
# Where aiortc keeps the timestamp of the last packet of an RTCRtpSender.
_LAST_TIMESTAMP = '_RTCRtpSender__rtp_timestamp'
# Where it keeps of its last sender report the time as RTCP has it and as time.time() has it, and
# which and how many packets it has sent.
_LAST_REPORT = '_RTCRtpSender__lsr'
_LAST_REPORT_TIME = '_RTCRtpSender__lsr_time'
_HISTORY = '_RTCRtpSender__rtp_history'
_PACKET_COUNT = '_RTCRtpSender__packet_count'
# Sender reports that are remembered: receivers answer some of them late.
REPORTS_KEPT = 16
LONGEST_ROUND_TRIP_S = 60.0
# What may be sent again: so many packets at once, and so much of what is sent.
RESEND_BURST = 64
RESEND_SHARE = 0.5
# Of an RTP packet, where its stream's SSRC stands (RFC 3550, 5.1).
_SSRC = slice(8, 12)
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
        new_remb_bps: Likewise; None if it has not said so since its last receiver report.
    """

    lost_packets: int = 0
    loss: float | None = None
    remb_bps: int | None = None
    new_remb_bps: int | None = None


def watch_feedback(
    sender: RTCRtpSender,
    on_key_frame_request: Callable[[], None],
    on_report: Callable[[Reading], None] = lambda reading: None,
) -> Feedback:
    """Learn what a viewer reports of the packets that `sender` sends, as it comes.

    aiortc means its encoder to use it: of a track that gives packets it drops every request for a
    key frame (`_send_keyframe` sets a flag that only its encoder reads), and the estimate of the
    bitrate goes to an encoder that does nothing. There is no public way to either. What aiortc
    itself does with RTCP, retransmission above all, goes on.

    Args:
        sender: Of the viewer's connection.
        on_key_frame_request: Called in the loop when the viewer needs a key frame (PLI, FIR).
        on_report: Called in the loop with each receiver report.

    Returns:
        What is filled in from now on, in the loop.
    """
    feedback = Feedback()
    handle = sender._handle_rtcp_packet
    round_trips = RoundTrips(sender)

    async def watched(packet: AnyRtcpPacket) -> None:
        round_trips.look()
        for report in _note(feedback, packet, sender._ssrc):
            rtt_s = round_trips.of(report)
            remb_bps, feedback.new_remb_bps = feedback.new_remb_bps, None
            on_report(Reading(report.fraction_lost / 256, rtt_s, remb_bps))
        await handle(packet)

    sender._handle_rtcp_packet = watched  # type: ignore[method-assign]
    sender._send_keyframe = on_key_frame_request  # type: ignore[method-assign]
    return feedback


def _note(feedback: Feedback, packet: AnyRtcpPacket, ssrc: int) -> list[RtcpReceiverInfo]:
    """Note what a packet says, and return the receiver reports of this stream."""
    if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
        reports = [report for report in packet.reports if report.ssrc == ssrc]
        for report in reports:
            feedback.loss = report.fraction_lost / 256
        return reports
    if isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK:
        feedback.lost_packets += len(packet.lost)
    elif isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
        with contextlib.suppress(ValueError):  # of a form that is no REMB
            bitrate_bps, ssrcs = unpack_remb_fci(packet.fci)
            if ssrc in ssrcs:
                feedback.remb_bps = feedback.new_remb_bps = bitrate_bps
    return []


class RoundTrips:
    """Measure round trips by receiver reports (RFC 3550, 6.4.1).

    aiortc knows only its last sender report, and smooths over many: on a link whose queue is
    longer than the time between two of them, where it matters, it measures nothing. So those
    before are kept here, as they are seen.

    Args:
        sender: Of the viewer's connection.
    """

    def __init__(self, sender: RTCRtpSender) -> None:
        self._sender = sender
        self._sent_s: dict[int, float] = {}
        self._last = -1

    def look(self) -> None:
        """Note the last sender report."""
        state = vars(self._sender)
        name, sent_s = state.get(_LAST_REPORT), state.get(_LAST_REPORT_TIME)
        if name is not None and sent_s is not None and name not in self._sent_s:
            self._sent_s[name] = sent_s
            if len(self._sent_s) > REPORTS_KEPT:
                del self._sent_s[next(iter(self._sent_s))]

    def of(self, report: RtcpReceiverInfo) -> float | None:
        """Return the round trip that a receiver report is the end of, in s; None if unknown."""
        sent_s = self._sent_s.get(report.lsr)
        # Some receivers report more often than the sender: each round trip is one.
        if sent_s is None or not report.dlsr or report.lsr == self._last:
            return None
        self._last = report.lsr
        # By time.time(), as aiortc: if that was set meanwhile, this is nonsense.
        rtt_s = time.time() - sent_s - report.dlsr / 65536
        return rtt_s if 0.0 <= rtt_s < LONGEST_ROUND_TRIP_S else None


class Resending:
    """Keep what is sent again within half of what is sent.

    aiortc sends whatever a receiver asks for again (NACK), as often as it asks. On a link that is
    full this is most of it, fills the link further, and is lost again; a hostile viewer gets all
    of the history, over and over. Its way is `_retransmit`, for each packet.

    Args:
        sender: Of the viewer's connection.
    """

    def __init__(self, sender: RTCRtpSender) -> None:
        self._sender = sender
        self._resend = sender._retransmit
        self._tokens = float(RESEND_BURST)
        self._seen = 0
        sender._retransmit = self._retransmit  # type: ignore[method-assign]

    def forget(self) -> None:
        """Send nothing again of what was sent up to now: nobody needs it any more."""
        vars(self._sender)[_HISTORY].clear()

    async def _retransmit(self, sequence_number: int) -> None:
        count = vars(self._sender)[_PACKET_COUNT]
        earned = (count - self._seen) * RESEND_SHARE
        self._tokens = min(self._tokens + earned, float(RESEND_BURST))
        self._seen = count
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            await self._resend(sequence_number)


_Send = Callable[[bytes], Coroutine[Any, Any, None]]


class PacketPacer:
    """Spread the packets of large pictures; all others leave as they come.

    aiortc sends the packets of a picture one after the other without a pause. It awaits
    `_send_rtp` of the DTLS transport for each, which is the only place to wait at: the hook
    returns aiortc's own coroutine but for the packets of a picture that is to be spread.

    Args:
        sender: Of the viewer's connection; one that does not send yet.
    """

    def __init__(self, sender: RTCRtpSender) -> None:
        self._sender = sender
        self._ssrc = struct.pack('!L', sender._ssrc)
        self._send: _Send = sender.transport._send_rtp
        self._hooked = False
        self._spread: Spread | None = None
        self._sent = 0
        self._begun_s = 0.0

    def pace(self, spread: Spread | None) -> None:
        """Spread the packets of the next picture like this; None for not at all."""
        if spread is not None and not self._hooked:
            # Not sooner: with several cameras the transport is another one before negotiation.
            transport = self._sender.transport
            self._hooked = True
            self._send = transport._send_rtp
            vars(transport)['_send_rtp'] = self._send_rtp
        self._spread = spread
        self._sent = 0

    def _send_rtp(self, data: bytes) -> Coroutine[Any, Any, None]:
        spread = self._spread
        if spread is None or data[_SSRC] != self._ssrc:
            return self._send(data)
        self._sent += 1
        if self._sent == 1:
            self._begun_s = time.monotonic()
        bursts, place = divmod(self._sent - 1, spread.packets)
        if bursts == 0 or place:
            return self._send(data)
        at_s = self._begun_s + bursts * spread.gap_s
        return self._send_at(at_s, data, self._send)

    @staticmethod
    async def _send_at(at_s: float, data: bytes, send: _Send) -> None:
        wait_s = at_s - time.monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        await send(data)


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
