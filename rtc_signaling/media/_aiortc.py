"""What reaches into the private parts of aiortc and aioice, with the reason for each.

Checked with aiortc 1.14 to 1.16 and aioice 0.10 to 0.13. `test/unit/test_aiortc_hooks.py` fails
when a version changes what is relied on here.
"""

from __future__ import annotations

from typing import Any

import aioice.ice
from aioice.ice import get_host_addresses
from aiortc import RTCRtpReceiver, RTCRtpSender

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


def force_key_frame(sender: RTCRtpSender) -> None:
    """Have the next picture of `sender` encoded as a key frame, as a viewer's PLI does.

    aiortc has no public way; its handler of RTCP calls this method.
    """
    sender._send_keyframe()
