"""What the tests' clients say: descriptions and candidates that every server has to take."""

from __future__ import annotations

import json
from typing import Any

FINGERPRINT = ':'.join(f'{number:02X}' for number in range(32))


def sdp(tag: str = 'kit', *, setup: str = 'actpass', size_bytes: int = 0) -> str:
    """Return a description of one video, with lines that a server must not touch.

    Args:
        tag: What tells it from others.
        setup: `actpass` in an offer, `active` or `passive` in an answer.
        size_bytes: Exactly so long, if that is more than it needs.
    """
    lines = [
        'v=0',
        'o=- 4611731400430051336 2 IN IP4 127.0.0.1',
        f's={tag}',
        't=0 0',
        'a=group:BUNDLE 0',
        'a=x-unknown:  kept  as it  is ',
        'm=video 9 UDP/TLS/RTP/SAVPF 96',
        'c=IN IP4 0.0.0.0',
        'a=ice-ufrag:kitu',
        'a=ice-pwd:kitkitkitkitkitkitkitkit',
        f'a=fingerprint:sha-256 {FINGERPRINT}',
        f'a=setup:{setup}',
        'a=mid:0',
        'a=recvonly',
        'a=rtcp-mux',
        'a=rtpmap:96 VP8/90000',
    ]
    text = '\r\n'.join([*lines, ''])
    while (missing := size_bytes - len(text)) > 0:
        # No line may be left that is too short to be one.
        line_bytes = missing if missing <= 1000 else min(1000, missing - 20)
        text += f'a=x-pad:{"p" * (line_bytes - 10)}\r\n'
    return text


def answer(tag: str = 'kit') -> str:
    """Return a description that answers `sdp()`."""
    return sdp(tag, setup='active')


def candidate(number: int = 1) -> dict[str, Any]:
    """Return the members of a candidate, which `number` tells from others."""
    return {
        'candidate': f'candidate:{number} 1 udp 2113937151 192.0.2.7 {50000 + number} typ host',
        'sdpMid': '0',
        'sdpMLineIndex': 0,
    }


def padded(kind: str, size_bytes: int, **members: Any) -> str:
    """Return a message of exactly `size_bytes`, by a member that nobody knows."""
    empty = len(json.dumps({'type': kind, **members, 'pad': ''}))
    return json.dumps({'type': kind, **members, 'pad': 'p' * (size_bytes - empty)})
