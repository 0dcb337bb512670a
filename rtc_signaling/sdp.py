"""The SDP manager: checks a session description on its way, and says in a line what it is.

It refuses what cannot be a WebRTC offer or answer because it is something else, or lacks what each
needs (RFC 8866, 5: the form; RFC 8839 and 8122: ICE and DTLS), and leaves everything else as it
is: not a byte is rewritten. It is no parser: each peer has one, and has to bear what it is sent.

Pure, without state. No error and no summary holds a credential, an address or a fingerprint.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from rtc_signaling.errors import ProtocolError

SdpKind = Literal['offer', 'answer']

MAX_SIZE_BYTES = 48 * 1024

_LOGGED_SECTIONS = 4
_LOGGED_CODECS = 8

_SESSION_LINES = ('\no=', '\ns=', '\nt=', '\nm=')
_TRANSPORT_LINES = ('\na=ice-ufrag:', '\na=ice-pwd:', '\na=fingerprint:')
# A media section with a port (RFC 8866, 5.14); one without is switched off and needs no transport.
_USED_SECTION = re.compile(r'\nm=\S+ 0*[1-9]')

_SECTION_START = re.compile(r'\nm=([A-Za-z0-9.+_-]{1,32}) ([0-9]{1,5})[ /]')
_DIRECTION = re.compile(r'\na=(sendrecv|sendonly|recvonly|inactive)\b')
_RTPMAP = re.compile(r'\na=rtpmap:[0-9]{1,3} ([A-Za-z0-9._+-]{1,32})/')
# Formats that repair or accompany a stream; a log line is about what carries it.
_HELPERS = frozenset({'rtx', 'red', 'ulpfec', 'flexfec', 'flexfec-03', 'telephone-event', 'CN'})


@dataclass(frozen=True, slots=True)
class MediaSummary:
    """Say what one media section is about.

    Attributes:
        kind: `audio`, `video` or `application`, or another word of 32 characters at most.
        direction: `sendrecv`, `sendonly`, `recvonly` or `inactive`; '' for what has none.
        codecs: The codecs' names in their order, without retransmission and error correction.
        rejected: Whether the section is switched off (port 0).
    """

    kind: str
    direction: str
    codecs: tuple[str, ...]
    rejected: bool

    def __str__(self) -> str:
        if self.rejected:
            return f'{self.kind} rejected'
        codecs = '/'.join(self.codecs[:_LOGGED_CODECS])
        more = '/...' if len(self.codecs) > _LOGGED_CODECS else ''
        return ' '.join(filter(None, (self.kind, self.direction, codecs + more)))


@dataclass(frozen=True, slots=True)
class SdpSummary:
    """Say what a description is about; `str()` gives one short line that may be logged.

    Attributes:
        kind: `offer` or `answer`.
        size_bytes: Its length.
        media: What each media section is about, in their order.
        candidates: How many ICE candidates it holds.
    """

    kind: SdpKind
    size_bytes: int
    media: tuple[MediaSummary, ...]
    candidates: int

    def __str__(self) -> str:
        media = ', '.join(str(section) for section in self.media[:_LOGGED_SECTIONS])
        hidden = len(self.media) - _LOGGED_SECTIONS
        more = f' and {hidden} more' if hidden > 0 else ''
        return f'{self.kind}, {self.size_bytes} B: {media}{more}; {self.candidates} candidates'


class SdpManager:
    """Check offers and answers before they are forwarded. Any thread may call."""

    def check(self, sdp: str, kind: SdpKind) -> None:
        """Let a description pass that can be one.

        Nothing but searches for fixed texts: it is done for every offer of every client, and a
        look at each line would cost as much as everything else that is done for it.

        Raises:
            ProtocolError: `invalid_sdp`, naming what it lacks.
        """
        if _size_bytes(sdp) > MAX_SIZE_BYTES:
            raise _invalid(f'must have {MAX_SIZE_BYTES} bytes at most')
        if not sdp.startswith(('v=0\r\n', 'v=0\n')):
            raise _invalid('must begin with the line v=0')
        if '\0' in sdp:
            raise _invalid('must hold no NUL')
        for start in _SESSION_LINES:
            if start not in sdp:
                raise _invalid(f'must have a line {start[1:]}')
        for start in _TRANSPORT_LINES:
            if start not in sdp and _USED_SECTION.search(sdp):
                raise _invalid(f'must have a line {start[1:-1]}, as its media are to be sent')
        # The answer decides who opens DTLS (RFC 8842, 5.3).
        if kind == 'answer' and '\na=setup:actpass' in sdp:
            raise _invalid('must have a=setup active or passive in an answer')


def summarise(sdp: str, kind: SdpKind) -> SdpSummary:
    """Return what a description is about that the SDP manager let pass."""
    starts = list(_SECTION_START.finditer(sdp))
    ends = [match.start() for match in starts[1:]] + [len(sdp)]
    first = starts[0].start() if starts else len(sdp)
    default = _direction(sdp[:first], 'sendrecv')
    return SdpSummary(
        kind=kind,
        size_bytes=_size_bytes(sdp),
        media=tuple(
            _media_summary(match[1], int(match[2]), sdp[match.start() : end], default)
            for match, end in zip(starts, ends, strict=False)
        ),
        candidates=sdp.count('\na=candidate:'),
    )


def _size_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode('utf-8', 'surrogatepass'))


def _media_summary(kind: str, port: int, section: str, default_direction: str) -> MediaSummary:
    names = dict.fromkeys(_RTPMAP.findall(section))
    return MediaSummary(
        kind=kind,
        direction=_direction(section, default_direction) if kind in ('audio', 'video') else '',
        codecs=tuple(name for name in names if name not in _HELPERS),
        rejected=port == 0 and '\na=bundle-only' not in section,
    )


def _direction(part: str, default: str) -> str:
    match = _DIRECTION.search(part)
    return match[1] if match else default


def _invalid(rule: str) -> ProtocolError:
    return ProtocolError('invalid_sdp', f'sdp: {rule}')
