"""The SDP manager, with descriptions of real browsers and of aiortc."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_signaling.errors import ProtocolError
from rtc_signaling.sdp import MAX_SIZE_BYTES, MediaSummary, SdpManager, summarise

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
    SdpManager().check(text, kind)
    return summarise(text, kind)


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


def test_a_direction_is_of_its_own_section_alone():
    lines = [*LINES, 'a=sendonly', 'm=audio 9 UDP/TLS/RTP/SAVPF 111']
    assert [section.direction for section in check(lines).media] == ['sendonly', 'sendrecv']


def test_the_last_line_of_the_text_counts():
    assert check([*LINES, 'a=recvonly']).media[0].direction == 'recvonly'
    section = ['m=video 0 UDP/TLS/RTP/SAVPF 96', 'a=bundle-only']
    assert not check([*LINES, *section]).media[1].rejected


def test_the_last_line_before_the_first_section_counts():
    lines = [*HEAD, *TRANSPORT, 'a=recvonly', VIDEO]
    assert check(lines).media[0].direction == 'recvonly'


def test_a_long_summary_is_cut():
    codecs = [f'a=rtpmap:{n} C{n}/90000' for n in range(96, 105)]
    summary = check([*HEAD, *TRANSPORT, *[VIDEO, *codecs] * 6])
    assert str(summary).count('C96/') == 4
    assert 'C103/... and 2 more; 0 candidates' in str(summary)
    assert ' and 1 more; ' in str(check([*HEAD, *TRANSPORT, *[VIDEO] * 5]))
    assert 'C104' not in str(summary)
    assert str(check([*HEAD, *TRANSPORT, *[VIDEO, *codecs[:8]] * 4])).endswith(
        'C103; 0 candidates'
    )


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        ([], 'must begin with the line v=0'),
        (['v=1', *LINES[1:]], 'must begin with the line v=0'),
        (['v=0x', *LINES[1:]], 'must begin with the line v=0'),
        (['', *LINES], 'must begin with the line v=0'),
        (['v=0'], 'must have a line o='),
        (HEAD[:2], 'must have a line s='),
        ([*HEAD[:3], *LINES[4:]], 'must have a line t='),
        (HEAD, 'must have a line m='),
        (['v=0', 'x=o=s=t=m='], 'must have a line o='),
        ([*LINES, 'a=x\0y'], 'must hold no NUL'),
    ],
)
def test_what_is_no_sdp_is_refused_with_what_it_lacks(lines, message):
    assert refused(lines) == f'sdp: {message}'
    assert refused(lines, end='\n') == f'sdp: {message}'


@pytest.mark.parametrize('name', ['ice-ufrag', 'ice-pwd', 'fingerprint'])
def test_each_part_of_a_transport_has_to_be_there(name):
    lines = [line for line in LINES if not line.startswith(f'a={name}')]
    part = next(line for line in TRANSPORT if line.startswith(f'a={name}'))
    missing = f'sdp: must have a line a={name}, as its media are to be sent'
    assert refused(lines) == missing
    assert refused([*lines, f'a={name}']) == missing
    assert refused([*lines, f'a=x a={name}:']) == missing
    check([*HEAD, part, *lines[4:]])


@pytest.mark.parametrize('port', ['0', '00', '0/2'])
def test_a_rejected_section_needs_no_transport(port):
    check([*HEAD, f'm=audio {port} UDP/TLS/RTP/SAVPF 111'], 'answer')
    assert 'a=ice-ufrag' in refused([*HEAD, f'm=audio {port} RTP/SAVPF 0', VIDEO], 'answer')


@pytest.mark.parametrize('setup', ['actpass', 'active', 'passive'])
def test_an_answer_says_who_opens_dtls(setup):
    lines = [*LINES[:-1], f'a=setup:{setup}']
    check(lines)
    if setup == 'actpass':
        assert refused(lines, 'answer') == 'sdp: must have a=setup active or passive in an answer'
    else:
        check(lines, 'answer')


@pytest.mark.parametrize('letter', ['x', 'é', '\ud800'])
def test_the_size_is_that_of_the_bytes(letter):
    letter_bytes = len(letter.encode('utf-8', 'surrogatepass'))
    room = MAX_SIZE_BYTES - len('\r\n'.join([*LINES, '']).encode()) - len('a=\r\n')
    line = 'a=' + letter * (room // letter_bytes)
    line += 'x' * (room % letter_bytes)
    assert check([*LINES, line]).size_bytes == MAX_SIZE_BYTES
    assert refused([*LINES, f'{line}x']) == 'sdp: must have 49152 bytes at most'


def test_a_summary_bears_what_the_check_does_not_look_at():
    lines = [*LINES, 'm=', 'm=video', 'm=vi\x1bdeo 9 x', 'm=audio 99999999 x', 'nonsense']
    assert check(lines).media == (MediaSummary('video', 'sendrecv', (), rejected=False),)
    assert check([*HEAD, *TRANSPORT, 'm=']).media == ()


@pytest.mark.parametrize(
    'name', ['rtx', 'red', 'ulpfec', 'flexfec', 'flexfec-03', 'telephone-event', 'CN']
)
def test_what_accompanies_a_stream_is_no_codec_of_the_summary(name):
    lines = [*LINES, 'a=rtpmap:96 VP8/90000', f'a=rtpmap:97 {name}/90000']
    assert check(lines).media[0].codecs == ('VP8',)


# A line of SDP, whole or damaged, so that the rules behind the form are reached too.
A_LINE = st.sampled_from(LINES) | st.builds(
    lambda line, at, text: line[:at] + text + line[at:],
    st.sampled_from(LINES),
    st.integers(0, 40),
    st.text(max_size=3),
)


@given(st.lists(A_LINE, max_size=20), st.booleans(), st.sampled_from(['offer', 'answer']))
def test_any_text_is_summarised_or_refused(lines, with_head, kind):
    shown = outcome('\r\n'.join([*(LINES if with_head else []), *lines]), kind)
    assert shown.isascii()
    assert shown.isprintable()


def outcome(text, kind):
    try:
        return str(summary_of(text, kind))
    except ProtocolError as error:
        return str(error)


@given(st.text(alphabet='vosmta=\r\n 0é\0'))
def test_any_characters_are_refused(text):
    with pytest.raises(ProtocolError, match='invalid_sdp'):
        SdpManager().check(text, 'offer')
