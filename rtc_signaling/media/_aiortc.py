"""What reaches into the private parts of aiortc and aioice, with the reason for each.

Checked with aiortc 1.14 to 1.16 and aioice 0.10 to 0.13. `test/unit/test_aiortc_hooks.py` fails
when a version changes what is relied on here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aioice.ice
from aioice.ice import get_host_addresses
from aiortc import RTCRtpReceiver, RTCRtpSender
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
