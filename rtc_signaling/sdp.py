"""The SDP manager: checks a session description on its way, and says in a line what it is.

It refuses what cannot be a WebRTC offer or answer, so that the peer behind the server need not
fear it, and it leaves everything else as it is: not a byte is rewritten. The rules are those of
RFC 8866 (the form), RFC 8839 (ICE), RFC 8122 and 8842 (DTLS), RFC 9143 (BUNDLE) and RFC 9429
(JSEP). What a description may lack without harm, it may lack here.

Pure, without state. No error and no summary holds a credential, an address or a fingerprint.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
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
_VALUE = rf'=.{{0,{MAX_LINE_BYTES - 2}}}\r?\n'


# The check runs for every offer of every client, so regular expressions do the work: a loop over
# the lines would cost several times as much. Only what is wrong is looked at line by line.
_FORM = re.compile(
    rf'v=0\r?\n{_ORIGIN}\r?\ns{_VALUE}(?:[{_SESSION_TYPES}]{_VALUE})*+'
    rf'(?:m{_VALUE}(?:[{_MEDIA_TYPES}]{_VALUE})*+)++',
    re.ASCII,
)
_BARE_RETURN = re.compile(r'\r(?!\n)')
_CHECKED = re.compile(r'\n(m=|a=(?:ice-ufrag|ice-pwd|fingerprint|setup|mid):)([^\r\n]*)')
_TRANSPORT = ('a=ice-ufrag:', 'a=ice-pwd:', 'a=fingerprint:')
_BUNDLE = re.compile(r'\na=group:BUNDLE ([^\r\n]*)')

_PORT = '[0-9]{1,4}|[0-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]'
_MEDIA = re.compile(rf'[A-Za-z0-9.+_-]{{1,32}} (?:{_PORT})(?:/[0-9]{{1,5}})? \S+ \S.*', re.ASCII)
_UNUSED = re.compile(r'\S+ 0+[ /]')
_HASH_BYTES = {'sha-1': 20, 'sha-224': 28, 'sha-256': 32, 'sha-384': 48, 'sha-512': 64}
_BYTE = '[0-9A-Fa-f][0-9A-Fa-f]'
# There may be several, and a peer takes one that it knows: those unknown here may be right.
_FINGERPRINT = '|'.join(
    [f'(?i:{name}) {_BYTE}(?::{_BYTE}){{{count - 1}}}' for name, count in _HASH_BYTES.items()]
    + [f'(?!(?i:{"|".join(_HASH_BYTES)}) )[A-Za-z0-9-]{{1,32}} {_BYTE}(?::{_BYTE})*+']
)

_DIRECTION = re.compile(r'\na=(sendrecv|sendonly|recvonly|inactive)\r?(?:\n|\Z)')
_RTPMAP = re.compile(r'\na=rtpmap:[0-9]{1,3} ([A-Za-z0-9._+-]{1,32})/')
_BUNDLE_ONLY = re.compile(r'\na=bundle-only\r?(?:\n|\Z)')
# Formats that repair or accompany a stream; a log line is about what carries it.
_HELPERS = frozenset({'rtx', 'red', 'ulpfec', 'flexfec', 'flexfec-03', 'telephone-event', 'CN'})


@dataclass(frozen=True, slots=True)
class _Rule:
    """Hold what the value of a line has to match, and that in words."""

    pattern: re.Pattern[str]
    text: str


_RULES = {
    'm=': _Rule(
        _MEDIA, 'must be a kind, a port of 0 to 65535, a protocol and at least one format'
    ),
    'a=ice-ufrag:': _Rule(
        re.compile(r'[A-Za-z0-9+/]{4,256}'), 'must be 4 to 256 of A-Z a-z 0-9 + /'
    ),
    'a=ice-pwd:': _Rule(
        re.compile(r'[A-Za-z0-9+/]{22,256}'), 'must be 22 to 256 of A-Z a-z 0-9 + /'
    ),
    'a=fingerprint:': _Rule(
        re.compile(_FINGERPRINT),
        'must be a hash function and all of its bytes (32 for sha-256) in hexadecimal with '
        'colons between',
    ),
    'a=mid:': _Rule(re.compile(r'.*'), ''),
}
_SETUP: dict[SdpKind, _Rule] = {
    'offer': _Rule(re.compile('actpass|active|passive'), 'must be actpass or active or passive'),
    'answer': _Rule(re.compile('active|passive'), 'must be active or passive'),
}


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


# A part of a description: the values that were checked, by their markers. A later one of the same
# marker takes the place of an earlier one.
_Section = dict[str, str]


class SdpManager:
    """Check offers and answers before they are forwarded. Any thread may call."""

    def __init__(self) -> None:
        self._rules: dict[SdpKind, dict[str, _Rule]] = {
            kind: _RULES | {'a=setup:': rule} for kind, rule in _SETUP.items()
        }

    def check(self, sdp: str, kind: SdpKind) -> None:
        """Let a description pass that can be one.

        Raises:
            ProtocolError: `invalid_sdp`, naming the line (from 1) and the rule that it breaks.
        """
        text = _octets(sdp)
        _check_form(text)
        rules = self._rules[kind]
        session: _Section = {}
        sections: list[_Section] = []
        section = session
        for marker, value in _CHECKED.findall(text):
            if marker == 'm=':
                section = {}
                sections.append(section)
            if rules[marker].pattern.fullmatch(value) is None:
                raise _value_error(text, rules)
            section[marker] = value
        if len(sections) > MAX_SECTIONS:
            rule = f'must have {MAX_SECTIONS} lines m= at most, not {len(sections)}'
            raise _invalid('the sdp', rule)
        _check_transports(text, session, sections)

    def summarise(self, sdp: str, kind: SdpKind) -> SdpSummary:
        """Return what a description is about that `check` let pass."""
        text = _octets(sdp)
        session, *sections = re.split('(?<=\n)(?=m=)', text)
        direction = _direction(session, 'sendrecv')
        return SdpSummary(
            kind=kind,
            size_bytes=len(text),
            media=tuple(_media_summary(section, direction) for section in sections),
            candidates=text.count('\na=candidate:'),
        )


def _octets(sdp: str) -> str:
    """Return one character for each byte, so that every length is one of bytes."""
    return sdp if sdp.isascii() else sdp.encode('utf-8', 'surrogatepass').decode('latin-1')


def _check_form(text: str) -> None:
    if len(text) > MAX_SIZE_BYTES:
        raise _invalid('the sdp', f'must have {MAX_SIZE_BYTES} bytes at most')
    whole = text if text.endswith('\n') else f'{text}\n'
    # The shortest line has three bytes, so most texts need not be counted.
    has_room = len(whole) <= 3 * MAX_LINES or whole.count('\n') <= MAX_LINES
    has_stray = '\0' in text or _BARE_RETURN.search(text)
    if has_stray or not _FORM.fullmatch(whole) or not has_room:
        raise _form_error(text.replace('\r\n', '\n').removesuffix('\n').split('\n'))
    if '\nt=' not in whole:
        raise _invalid('the sdp', 'must have a line t= before the first m=')


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


def _value_error(text: str, rules: dict[str, _Rule]) -> ProtocolError:
    """Say what is wrong with the first value that breaks its rule."""
    wrong = next(
        line
        for line in _CHECKED.finditer(text)
        if rules[line[1]].pattern.fullmatch(line[2]) is None
    )
    where = f'{_line(text, wrong.start())} ({wrong[1].rstrip(":")})'
    return _invalid(where, rules[wrong[1]].text)


def _line(text: str, at: int) -> str:
    """Name the line that begins after the line end at `at`."""
    return f'line {text.count(chr(10), 0, at) + 2}'


def _check_transports(text: str, session: _Section, sections: list[_Section]) -> None:
    """Find ICE credentials and a fingerprint for each section that is in use."""
    lacking = [
        (index, missing)
        for index, section in enumerate(sections)
        if (missing := _missing(section, session)) and not _UNUSED.match(section['m='])
    ]
    if not lacking:
        return
    # A bundled section may leave its transport to the first of its group (RFC 9143, 7.1.3).
    by_mid = {section.get('a=mid:', ''): section for section in sections}
    first = {
        mid: by_mid.get(mids[0], session)
        for mids in map(str.split, _BUNDLE.findall(text, 0, text.find('\nm=')))
        for mid in mids
    }
    for index, missing in lacking:
        bundled = first.get(sections[index].get('a=mid:', ''), session)
        if _missing(bundled, session):
            start = [match.start() for match in re.finditer('\nm=', text)][index]
            where = f'{_line(text, start)} (media section {index})'
            raise _invalid(where, f'{missing[:-1]} is missing, here and before the first m=')


def _missing(section: _Section, session: _Section) -> str:
    """Return the marker of the first attribute that a transport lacks, or ''."""
    for marker in _TRANSPORT:
        if marker not in section and marker not in session:
            return marker
    return ''


def _media_summary(section: str, default_direction: str) -> MediaSummary:
    kind = section[2:].partition(' ')[0]
    names = dict.fromkeys(_RTPMAP.findall(section))
    return MediaSummary(
        kind=kind,
        direction=_direction(section, default_direction) if kind in ('audio', 'video') else '',
        codecs=tuple(name for name in names if name not in _HELPERS),
        rejected=bool(_UNUSED.match(section[2:])) and not _BUNDLE_ONLY.search(section),
    )


def _direction(part: str, default: str) -> str:
    match = _DIRECTION.search(part)
    return match[1] if match else default


def _invalid(where: str, rule: str) -> ProtocolError:
    return ProtocolError('invalid_sdp', f'{where}: {rule}')
