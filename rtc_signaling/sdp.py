"""The SDP manager: checks a session description on its way, and says in a line what it is.

It refuses what cannot be a WebRTC offer or answer, so that the peer behind the server need not
fear it, and it leaves everything else as it is: not a byte is rewritten. The rules are those of
RFC 8866 (the form), RFC 8839 (ICE), RFC 8122 and 8842 (DTLS), RFC 9143 (BUNDLE) and RFC 9429
(JSEP). What a description may lack without harm, it may lack here.

Pure, without state. No error and no summary holds a credential, an address or a fingerprint.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from rtc_signaling.errors import ProtocolError

SdpKind = Literal['offer', 'answer']

MAX_SIZE_BYTES = 48 * 1024
MAX_LINE_BYTES = 4096
MAX_LINES = 1000
MAX_SECTIONS = 32

_LOGGED_SECTIONS = 4
_LOGGED_CODECS = 8

_SESSION_TYPES = 'iuepcbtrzka'
_MEDIA_TYPES = 'icbka'
_ORIGIN = r'o=\S{1,255} [0-9]{1,20} [0-9]{1,20} \S{1,16} \S{1,16} \S{1,255}'
_VALUE = rf'=.{{0,{MAX_LINE_BYTES - 2}}}\n'

# The check runs for every offer of every client: this one match says whether the text has the
# form of SDP, and the rest looks for what it needs with str.find. A loop over the lines would cost
# several times as much. Only what is wrong is looked at line by line.
_FORM = re.compile(
    rf'v=0\n{_ORIGIN}\ns{_VALUE}(?:[{_SESSION_TYPES}]{_VALUE})*+'
    rf'(?:m{_VALUE}(?:[{_MEDIA_TYPES}]{_VALUE})*+)++',
    re.ASCII,
)
_RTPMAP = re.compile(r'\na=rtpmap:[0-9]{1,3} ([A-Za-z0-9._+-]{1,32})/')
_DIRECTION = re.compile(r'\na=(sendrecv|sendonly|recvonly|inactive)\n')

_BUNDLE = re.compile(r'\na=group:BUNDLE (.*)')
_MEDIA = re.compile(r'([A-Za-z0-9.+_-]{1,32}) ([0-9]{1,5})(?:/[0-9]{1,5})? \S+ \S.*', re.ASCII)
_UFRAG = re.compile(r'[A-Za-z0-9+/]{4,256}')
_PWD = re.compile(r'[A-Za-z0-9+/]{22,256}')
_FINGERPRINT = re.compile(r'([A-Za-z0-9-]{1,32}) ([0-9A-Fa-f]{2}(?::[0-9A-Fa-f][0-9A-Fa-f])*+)')
_HASH_BYTES = {'sha-1': 20, 'sha-224': 28, 'sha-256': 32, 'sha-384': 48, 'sha-512': 64}
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


@dataclass(slots=True)
class _Section:
    """Hold what a media section, or the part before the first one, says about its transport.

    Attributes:
        start: Where it starts in the text: the end of the line before it.
        end: Where the next one starts.
    """

    start: int
    end: int
    kind: str = ''
    port: int = 0
    bundle_only: bool = False
    mid: str = ''
    ufrag: str = ''
    pwd: str = ''
    fingerprint: str = ''

    @property
    def rejected(self) -> bool:
        return self.port == 0 and not self.bundle_only


@dataclass(frozen=True, slots=True)
class SdpSummary:
    """Say what a description is about; `str()` gives one short line that may be logged.

    It is read out of the text when asked for, because mostly nobody asks.
    """

    kind: SdpKind
    size_bytes: int
    _text: str = field(repr=False)
    _sections: list[_Section] = field(repr=False)

    @property
    def media(self) -> tuple[MediaSummary, ...]:
        """What each media section is about, in their order."""
        match = _DIRECTION.search(self._text, 0, self._sections[0].start + 1)
        default = match[1] if match else 'sendrecv'
        return tuple(self._summary(section, default) for section in self._sections)

    @property
    def candidates(self) -> int:
        """How many ICE candidates it holds."""
        return self._text.count('\na=candidate:')

    def __str__(self) -> str:
        media = ', '.join(str(section) for section in self.media[:_LOGGED_SECTIONS])
        hidden = len(self._sections) - _LOGGED_SECTIONS
        more = f' and {hidden} more' if hidden > 0 else ''
        return f'{self.kind}, {self.size_bytes} B: {media}{more}; {self.candidates} candidates'

    def _summary(self, section: _Section, default_direction: str) -> MediaSummary:
        bounds = section.start, section.end + 1
        match = _DIRECTION.search(self._text, *bounds)
        direction = match[1] if match else default_direction
        names = dict.fromkeys(_RTPMAP.findall(self._text, *bounds))
        return MediaSummary(
            kind=section.kind,
            direction=direction if section.kind in ('audio', 'video') else '',
            codecs=tuple(name for name in names if name not in _HELPERS),
            rejected=section.rejected,
        )


# Takes an attribute's value into the section; returns the rule that it breaks, or ''.
_Reader = Callable[[_Section, str], str]


class SdpManager:
    """Check offers and answers before they are forwarded. Any thread may call."""

    def __init__(self) -> None:
        self._readers: dict[SdpKind, dict[str, _Reader]] = {
            'offer': _READERS | {'\na=setup:': _setup('actpass', 'active', 'passive')},
            'answer': _READERS | {'\na=setup:': _setup('active', 'passive')},
        }

    def check(self, sdp: str, kind: SdpKind) -> SdpSummary:
        """Return what `sdp` is about.

        Raises:
            ProtocolError: `invalid_sdp`, naming the line (from 1) and the rule that it breaks.
        """
        # One character for each byte, so that every length below is one of bytes.
        data = sdp if sdp.isascii() else sdp.encode('utf-8', 'surrogatepass').decode('latin-1')
        if len(data) > MAX_SIZE_BYTES:
            raise _invalid('the sdp', f'must have {MAX_SIZE_BYTES} bytes at most')
        text = _check_form(data)
        readers = self._readers[kind]
        session, *sections = _sections(text)
        _read(text, session, readers)
        for section in sections:
            _read_media(text, section)
            _read(text, section, readers)
        _check_transports(text, session, sections)
        return SdpSummary(kind, len(data), text, sections)


def _check_form(data: str) -> str:
    """Return the text with line feeds alone as ends of lines."""
    text = data.replace('\r', '')
    is_plain = len(data) - len(text) == data.count('\r\n') and '\0' not in data
    if not text.endswith('\n'):
        text += '\n'
    if not is_plain or not _FORM.fullmatch(text) or text.count('\n') > MAX_LINES:
        raise _form_error(data.replace('\r\n', '\n').removesuffix('\n').split('\n'))
    return text


def _form_error(lines: list[str]) -> ProtocolError:
    """Say what is wrong with lines of which it is known that something is."""
    if len(lines) > MAX_LINES:
        return _invalid('the sdp', f'must have {MAX_LINES} lines at most, not {len(lines)}')
    rules = [
        (r'v=0', 'must be v=0'),
        (_ORIGIN, 'must be o= with six fields, the second and third numbers'),
        (r's=.*', 'must be s='),
    ]
    for number, (line, (pattern, rule)) in enumerate(
        zip([*lines, '', ''], rules, strict=False), 1
    ):
        if not re.fullmatch(pattern, line, re.ASCII):
            return _invalid(f'line {number}', rule)
    types = 'vos'
    for number, line in enumerate(lines, 1):
        if rule := _line_rule(line, types):
            return _invalid(f'line {number}', rule)
        if line[0] == 'm':
            types = _MEDIA_TYPES + 'm'
        elif number == 3:
            types = _SESSION_TYPES + 'm'
    return _invalid('the sdp', 'must have at least one line m=')


def _line_rule(line: str, types: str) -> str:
    """Return the rule that a line breaks, or ''."""
    if '\0' in line or '\r' in line:
        return 'must hold neither NUL nor a bare carriage return'
    if len(line) > MAX_LINE_BYTES:
        return f'must have {MAX_LINE_BYTES} bytes at most'
    if line[1:2] != '=':
        return 'must be <type>=<value>, the type one letter'
    return '' if line[0] in types else f'{line[0]!a} is no type that may stand here'


def _sections(text: str) -> list[_Section]:
    """Return the part before the first media section, and the media sections."""
    starts = [0]
    while (start := text.find('\nm=', starts[-1] + 1)) >= 0:
        starts.append(start)
    if len(starts) - 1 > MAX_SECTIONS:
        rule = f'must have {MAX_SECTIONS} lines m= at most, not {len(starts) - 1}'
        raise _invalid('the sdp', rule)
    if text.find('\nt=', 0, starts[1]) < 0:
        raise _invalid('the sdp', 'must have a line t= before the first m=')
    starts.append(len(text) - 1)
    return [_Section(start, end) for start, end in itertools.pairwise(starts)]


def _read_media(text: str, section: _Section) -> None:
    value_at = section.start + len('\nm=')
    match = _MEDIA.fullmatch(text, value_at, text.index('\n', value_at))
    port = int(match[2]) if match else 0
    if match is None or port > 65535:
        rule = 'must be a kind, a port of 0 to 65535, a protocol and at least one format'
        raise _invalid(f'{_line(text, section.start)} (m=)', rule)
    section.kind = match[1]
    section.port = port
    if port == 0:
        found = text.find('\na=bundle-only\n', section.start, section.end + 1)
        section.bundle_only = found >= 0


def _read(text: str, section: _Section, readers: dict[str, _Reader]) -> None:
    """Read the attributes of `readers`, which begin with the end of the line before."""
    start, end = section.start, section.end
    for marker, reader in readers.items():
        at = text.find(marker, start, end)
        while at >= 0:
            value_at = at + len(marker)
            if rule := reader(section, text[value_at : text.index('\n', value_at)]):
                raise _invalid(f'{_line(text, at)} ({marker[1:-1]})', rule)
            at = text.find(marker, value_at, end)


def _line(text: str, at: int) -> str:
    """Name the line that begins after the line end at `at`."""
    return f'line {text.count(chr(10), 0, at) + 2}'


def _check_transports(text: str, session: _Section, sections: list[_Section]) -> None:
    """Find ICE credentials and a fingerprint for each section that is in use."""
    lacking = [
        (index, missing)
        for index, section in enumerate(sections)
        if section.port != 0 and (missing := _missing(section, session))
    ]
    if not lacking:
        return
    # A bundled section may leave its transport to the first of its group (RFC 9143, 7.1.3).
    by_mid = {section.mid: section for section in sections}
    first = {
        mid: by_mid.get(mids[0], session)
        for mids in map(str.split, _BUNDLE.findall(text, 0, session.end + 1))
        for mid in mids
    }
    for index, missing in lacking:
        section = sections[index]
        if _missing(first.get(section.mid, session), session):
            where = f'{_line(text, section.start)} (media section {index})'
            raise _invalid(where, f'a={missing} is missing, here and before the first m=')


def _missing(section: _Section, session: _Section) -> str:
    """Return the first attribute that a transport lacks, or ''."""
    if not (section.ufrag or session.ufrag):
        return 'ice-ufrag'
    if not (section.pwd or session.pwd):
        return 'ice-pwd'
    if not (section.fingerprint or session.fingerprint):
        return 'fingerprint'
    return ''


def _invalid(where: str, rule: str) -> ProtocolError:
    return ProtocolError('invalid_sdp', f'{where}: {rule}')


def _ufrag(section: _Section, value: str) -> str:
    section.ufrag = value
    return '' if _UFRAG.fullmatch(value) else 'must be 4 to 256 of A-Z a-z 0-9 + /'


def _pwd(section: _Section, value: str) -> str:
    section.pwd = value
    return '' if _PWD.fullmatch(value) else 'must be 22 to 256 of A-Z a-z 0-9 + /'


def _fingerprint(section: _Section, value: str) -> str:
    match = _FINGERPRINT.fullmatch(value)
    if match is None:
        return 'must be a hash function and bytes in hexadecimal with colons between'
    wanted = _HASH_BYTES.get(match[1].lower())
    # There may be several, and a peer takes one that it knows: those unknown here may be right.
    if wanted is not None and len(match[2]) != 3 * wanted - 1:
        return f'must have {wanted} bytes for {match[1]}'
    section.fingerprint = value
    return ''


def _setup(*legal: str) -> _Reader:
    rule = f'must be {" or ".join(legal)}'
    return lambda section, value: '' if value in legal else rule


def _mid(section: _Section, value: str) -> str:
    section.mid = value
    return ''


_READERS: dict[str, _Reader] = {
    '\na=ice-ufrag:': _ufrag,
    '\na=ice-pwd:': _pwd,
    '\na=fingerprint:': _fingerprint,
    '\na=mid:': _mid,
}
