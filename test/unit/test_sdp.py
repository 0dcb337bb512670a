"""The SDP manager, with descriptions of real browsers and of aiortc."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_signaling.errors import ProtocolError
from rtc_signaling.sdp import MAX_LINE_BYTES, MAX_SIZE_BYTES, MediaSummary, SdpManager

DATA = Path(__file__).parents[1] / 'data'
FINGERPRINT = 'sha-256 ' + ':'.join(['AB'] * 32)
HEAD = ['v=0', 'o=- 1 1 IN IP4 0.0.0.0', 's=-', 't=0 0']
ICE = ['a=ice-ufrag:abcd', 'a=ice-pwd:0123456789abcdefghijkl']
TRANSPORT = [*ICE, f'a=fingerprint:{FINGERPRINT}']
VIDEO = 'm=video 9 UDP/TLS/RTP/SAVPF 96'
LINES = [*HEAD, VIDEO, *TRANSPORT, 'a=setup:actpass']


def real(name):
    """Return a description of test/data with its line ends.

    Chromium's and aiortc's came out of createOffer and createAnswer; Firefox's was written in its
    form: session-level fingerprint, bundled sections without a transport of their own.
    """
    return (DATA / f'{name}.sdp').read_bytes().decode()


REAL = {
    name: real(name)
    for name in (
        'chromium_offer',
        'chromium_answer',
        'chromium_reoffer',
        'firefox_offer',
        'aiortc_offer',
        'aiortc_answer',
    )
}


def kind_of(name):
    return 'answer' if name.endswith('answer') else 'offer'


def check(lines, kind='offer', end='\r\n'):
    """Return what a description is about, which is checked before."""
    return summary_of(end.join([*lines, '']), kind)


def summary_of(text, kind):
    manager = SdpManager()
    manager.check(text, kind)
    return manager.summarise(text, kind)


def refused(lines, kind='offer', end='\r\n'):
    """Return the text of the refusal."""
    with pytest.raises(ProtocolError) as caught:
        check(lines, kind, end)
    assert caught.value.code == 'invalid_sdp'
    assert not caught.value.retry
    assert not caught.value.fatal
    return caught.value.message


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        (
            'chromium_offer',
            'offer, 7292 B: video recvonly VP8/VP9/H264/AV1, '
            'audio sendrecv opus/G722/PCMU/PCMA, application; 6 candidates',
        ),
        (
            'chromium_answer',
            'answer, 5201 B: video inactive VP8/VP9/H264/AV1, '
            'audio recvonly opus/G722/PCMU/PCMA, application; 1 candidates',
        ),
        (
            'chromium_reoffer',
            'offer, 7138 B: video recvonly VP8/VP9/H264/AV1, audio rejected, '
            'application; 6 candidates',
        ),
        (
            'firefox_offer',
            'offer, 1265 B: video recvonly VP8/H264, audio recvonly opus, '
            'application; 2 candidates',
        ),
        (
            'aiortc_offer',
            'offer, 4050 B: audio recvonly opus/G722/PCMU/PCMA, '
            'video recvonly VP8/H264, application; 6 candidates',
        ),
        (
            'aiortc_answer',
            'answer, 4045 B: audio inactive opus/G722/PCMU/PCMA, '
            'video inactive VP8/H264, application; 6 candidates',
        ),
    ],
)
def test_a_real_description_is_summarised(name, expected):
    assert str(summary_of(REAL[name], kind_of(name))) == expected


@pytest.mark.parametrize('name', REAL)
def test_a_summary_holds_no_credential_address_or_fingerprint(name):
    summary = summary_of(REAL[name], kind_of(name))
    shown = f'{summary} {summary!r} {summary.media!r}'
    secrets = re.findall(r'a=(?:ice-ufrag|ice-pwd):(\S+)', REAL[name])
    secrets += re.findall(
        r'[0-9A-F]{2}(?::[0-9A-F]{2})+|\S+\.local|\d+\.\d+\.\d+\.\d+', REAL[name]
    )
    assert len(secrets) > 4
    for secret in secrets:
        assert secret not in shown


@pytest.mark.parametrize('name', REAL)
def test_line_feeds_alone_and_a_missing_last_one_are_taken(name):
    text = REAL[name]
    kind = kind_of(name)
    plain = summary_of(text.replace('\r\n', '\n'), kind)
    assert plain.media == summary_of(text.removesuffix('\r\n'), kind).media
    assert plain.media == summary_of(text, kind).media


def test_a_summary_tells_each_section():
    lines = [
        *HEAD,
        'a=recvonly',
        *TRANSPORT,
        'm=audio 9 UDP/TLS/RTP/SAVPF 111 8',
        'a=rtpmap:111 opus/48000/2',
        'a=rtpmap:8 PCMA/8000',
        VIDEO,
        'a=sendonly',
        'a=rtpmap:96 VP8/90000',
        'a=rtpmap:97 rtx/90000',
        'a=rtpmap:98 VP8/90000',
        'a=rtpmap:99 \x1b[31mred/90000',
        'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
        'm=video 0 UDP/TLS/RTP/SAVPF 96',
    ]
    summary = check(lines)
    assert summary.media == (
        MediaSummary('audio', 'recvonly', ('opus', 'PCMA'), rejected=False),
        MediaSummary('video', 'sendonly', ('VP8',), rejected=False),
        MediaSummary('application', '', (), rejected=False),
        MediaSummary('video', 'recvonly', (), rejected=True),
    )
    assert summary.kind == 'offer'
    assert summary.candidates == 0
    assert summary.size_bytes == len('\r\n'.join(lines)) + 2


def test_the_direction_is_sendrecv_where_none_is_said():
    assert check(LINES).media[0].direction == 'sendrecv'


def test_the_last_line_of_the_text_counts():
    assert check([*LINES, 'a=recvonly']).media[0].direction == 'recvonly'
    section = ['m=video 0 UDP/TLS/RTP/SAVPF 96', 'a=bundle-only']
    assert not check([*LINES, *section]).media[1].rejected


def test_the_last_line_before_the_first_section_counts():
    lines = [*HEAD, *TRANSPORT, 'a=recvonly', VIDEO]
    assert check(lines).media[0].direction == 'recvonly'


def test_what_is_just_within_a_limit_is_not_blamed():
    assert refused([*LINES, *['a=x'] * 990, 'x']).startswith('line 1000: must be <type>=')
    assert refused([*LINES, 'a=' + 'x' * 4094, 'x']).startswith('line 11: must be <type>=')


def test_a_long_summary_is_cut():
    codecs = [f'a=rtpmap:{n} C{n}/90000' for n in range(96, 105)]
    summary = check([*HEAD, *TRANSPORT, *[VIDEO, *codecs] * 6])
    assert str(summary).count('C96/') == 4
    assert 'C103/... and 2 more; 0 candidates' in str(summary)
    assert 'C104' not in str(summary)
    assert str(check([*HEAD, *TRANSPORT, *[VIDEO, *codecs[:8]] * 4])).endswith(
        'C103; 0 candidates'
    )


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        ([], 'line 1: must be v=0'),
        (['v=1', *LINES[1:]], 'line 1: must be v=0'),
        (['', *LINES], 'line 1: must be v=0'),
        (['v=0'], 'line 2: must be o= with six fields, the second and third numbers'),
        (['v=0', 'o=- x 1 IN IP4 h', *LINES[2:]], 'line 2: must be o= with six fields'),
        (['v=0', 'o=- 1 1 IN IP4', *LINES[2:]], 'line 2: must be o= with six fields'),
        (['v=0', f'o={"x" * 5000} 1 1 IN IP4 h', *LINES[2:]], 'line 2: must be o='),
        (HEAD[:2], 'line 3: must be s='),
        ([*HEAD[:2], *LINES[3:]], 'line 3: must be s='),
        (HEAD, 'the sdp: must have at least one line m='),
        ([*HEAD[:3], *LINES[4:]], 'the sdp: must have a line t= before the first m='),
        ([*HEAD[:3], *LINES[4:], 't=0 0'], "line 9: 't' is no type that may stand here"),
        ([*LINES, 'v=0'], "line 10: 'v' is no type that may stand here"),
        ([*HEAD, 'x=1', *LINES[4:]], "line 5: 'x' is no type that may stand here"),
        ([*HEAD, 'v=0', *LINES[4:]], "line 5: 'v' is no type that may stand here"),
        ([*LINES, 'é=1'], 'line 10: must be <type>=<value>'),
        ([*LINES, 'nonsense'], 'line 10: must be <type>=<value>, the type one letter'),
        ([*LINES, ''], 'line 10: must be <type>=<value>'),
        ([*LINES, 'a=x\0y'], 'line 10: must hold neither NUL nor a bare carriage return'),
        (['v=0', HEAD[1], 's=\0', *LINES[3:]], 'line 3: must hold neither NUL nor a bare'),
        ([*LINES, 'a=x\ry'], 'line 10: must hold neither NUL nor a bare carriage return'),
        ([*LINES, 'a=' + 'x' * 4095], 'line 10: must have 4096 bytes at most'),
        ([*LINES, 'a=' + 'é' * 2048], 'line 10: must have 4096 bytes at most'),
        ([*HEAD[:2], 's=' + 'x' * 4095, *LINES[3:]], 'line 3: must have 4096 bytes at most'),
        ([*LINES, *['a=x'] * 992], 'the sdp: must have 1000 lines at most, not 1001'),
        ([*HEAD, *TRANSPORT, *[VIDEO] * 33], 'the sdp: must have 32 lines m= at most, not 33'),
        ([*LINES, 'm=video'], 'line 10 (m=): must be a kind, a port of 0 to 65535, a protocol'),
        ([*LINES, 'm=video 65536 UDP/TLS/RTP/SAVPF 96'], 'line 10 (m=): must be a kind'),
        ([*LINES, 'm=video 9 UDP/TLS/RTP/SAVPF'], 'line 10 (m=): must be a kind'),
        ([*LINES, 'm=vi\x1bdeo 9 UDP/TLS/RTP/SAVPF 96'], 'line 10 (m=): must be a kind'),
        ([*HEAD, 'a=ice-ufrag:abc', VIDEO], 'line 5 (a=ice-ufrag): must be 4 to 256 of A-Z a-z'),
        ([*HEAD, f'a=ice-ufrag:{"a" * 257}', VIDEO], 'line 5 (a=ice-ufrag): must be 4 to 256'),
        ([*LINES, 'a=ice-ufrag:ab cd'], 'line 10 (a=ice-ufrag): must be 4 to 256'),
        ([*LINES, f'a=ice-pwd:{"p" * 21}'], 'line 10 (a=ice-pwd): must be 22 to 256 of A-Z a-z'),
        ([*LINES, f'a=ice-pwd:{"p" * 257}'], 'line 10 (a=ice-pwd): must be 22 to 256'),
        ([*LINES, 'a=fingerprint:sha-256'], 'line 10 (a=fingerprint): must be a hash function'),
        ([*LINES, 'a=fingerprint:sha-256 AB:CG'], 'line 10 (a=fingerprint): must be a hash'),
        (
            [*LINES, 'a=fingerprint:SHA-256 AB:CD'],
            '(a=fingerprint): must be a hash function and all',
        ),
        ([*LINES, 'a=setup:holdconn'], 'line 10 (a=setup): must be actpass or active or passive'),
    ],
)
def test_what_is_no_offer_is_refused_with_its_line_and_rule(lines, message):
    assert message in refused(lines)
    assert message in refused(lines, end='\n')


def test_a_last_carriage_return_alone_is_no_end_of_line():
    text = '\r\n'.join([*LINES, 'a=x\r'])
    assert outcome(text, 'offer').startswith('invalid_sdp: line 10: must hold neither NUL nor')


@pytest.mark.parametrize('name', ['ice-ufrag', 'ice-pwd', 'fingerprint'])
def test_each_part_of_a_transport_has_to_be_there(name):
    lines = [line for line in LINES if not line.startswith(f'a={name}')]
    part = next(line for line in TRANSPORT if line.startswith(f'a={name}'))
    missing = f'line 5 (media section 0): a={name} is missing, here and before the first m='
    assert refused(lines) == missing
    assert refused([*lines, f'a={name}']) == missing
    check([*HEAD, part, *lines[4:]])
    # What another section has does not help.
    message = f'line 9 (media section 1): a={name} is missing, here and before the first m='
    assert refused([*LINES[:8], *lines[4:]]) == message


def test_a_rejected_section_needs_no_transport():
    check([*LINES, 'm=audio 0 UDP/TLS/RTP/SAVPF 111'])
    check([*HEAD, 'm=audio 0 UDP/TLS/RTP/SAVPF 111'], 'answer')


def test_a_bundled_section_may_leave_its_transport_to_the_first_of_its_group():
    second = ['m=audio 9 UDP/TLS/RTP/SAVPF 111', 'a=mid:b']
    bundled = [*LINES, 'a=mid:a', *second]
    for group in ('a=group:BUNDLE a b', 'a=group:BUNDLE a  b'):
        check([*HEAD, group, *bundled[4:]])
    for group in (
        'a=group:BUNDLE a',
        'a=group:BUNDLE ',
        'a=group:BUNDLE b a',
        'a=group:BUNDLE z b',
        'a=group:LS a b',
    ):
        assert 'media section 1' in refused([*HEAD, group, *bundled[4:]])
    # A group is one only before the first m=.
    assert 'media section 1' in refused([*bundled, 'a=group:BUNDLE a b'])


def test_a_section_without_mid_belongs_to_no_group():
    lines = [*HEAD, 'a=group:BUNDLE a', *LINES[4:], 'a=mid:a', 'm=audio 9 RTP/SAVPF 0']
    assert 'media section 1' in refused(lines)


@pytest.mark.parametrize('setup', ['actpass', 'active', 'passive'])
def test_who_opens_dtls_is_said_as_the_kind_allows(setup):
    lines = [*LINES[:-1], f'a=setup:{setup}']
    check(lines)
    if setup == 'actpass':
        assert refused(lines, 'answer') == 'line 9 (a=setup): must be active or passive'
    else:
        check(lines, 'answer')


def test_limits_are_reached_before_they_are_exceeded():
    check([*LINES, *['a=x'] * 991])
    check([*HEAD, *TRANSPORT, *[VIDEO] * 32])
    check([*LINES, 'a=' + 'x' * (MAX_LINE_BYTES - 2)])
    check([*LINES, 'a=' + 'é' * 2047])
    check([*LINES, f'a=ice-ufrag:{"u" * 256}', f'a=ice-pwd:{"p" * 256}'])
    check([*HEAD, *TRANSPORT, 'm=video 65535/2 UDP/TLS/RTP/SAVPF 96'])


@pytest.mark.parametrize('letter', ['x', 'é'])
def test_the_size_is_that_of_the_bytes(letter):
    room = MAX_SIZE_BYTES - len('\r\n'.join([*LINES, '']).encode())
    line = 'a=' + letter * 1000
    size = len(line.encode()) + 2
    lines = [*LINES, *[line] * (room // size - 1)]
    left = MAX_SIZE_BYTES - len('\r\n'.join([*lines, '']).encode())
    assert check([*lines, 'a=' + 'x' * (left - 4)]).size_bytes == MAX_SIZE_BYTES
    assert refused([*lines, 'a=' + 'x' * (left - 3)]) == 'the sdp: must have 49152 bytes at most'


def test_other_hash_functions_and_letters_beyond_ascii_are_let_through():
    check([*HEAD, 'i=Caméra \ud800', *LINES[4:], 'a=fingerprint:sha3-256 AB:CD'])
    check(['v=0', 'o=Ràul 1 1 IN IP4 0.0.0.0', *LINES[2:]])
    # Ends of lines elsewhere, none in SDP.
    check([*LINES, 'a=x\x0b\x0c\x1c\x85\u2028y'])


# A line of SDP, whole or damaged, so that the rules behind the form are reached too.
A_LINE = st.sampled_from(LINES) | st.builds(
    lambda line, at, text: line[:at] + text + line[at:],
    st.sampled_from(LINES),
    st.integers(0, 40),
    st.text(max_size=3),
)


@given(st.lists(A_LINE, max_size=20), st.booleans(), st.sampled_from(['offer', 'answer']))
def test_any_text_is_summarised_or_refused(lines, with_head, kind):
    text = '\r\n'.join([*(LINES if with_head else []), *lines])
    shown = outcome(text, kind)
    assert shown.isascii()
    assert shown.isprintable()
    if not shown.startswith('invalid_sdp'):
        assert all(line[1] == '=' for line in text.removesuffix('\r\n').split('\r\n'))


def outcome(text, kind):
    try:
        return str(summary_of(text, kind))
    except ProtocolError as error:
        return str(error)


@given(st.text(alphabet='vosmta=\r\n 0é\0'))
def test_any_characters_are_summarised_or_refused(text):
    with pytest.raises(ProtocolError, match='invalid_sdp'):
        SdpManager().check(text, 'offer')
