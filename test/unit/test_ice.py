"""The ICE manager: candidates, servers, credentials of TURN."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_signaling.errors import ConfigurationError, ProtocolError
from rtc_signaling.ice import CandidateSummary, IceManager, StaticCredential, TurnRest
from rtc_signaling.messages import IceServer

DATA = Path(__file__).parents[1] / 'data'
HOST = 'candidate:1 1 UDP 2130706431 192.0.2.1 50000 typ host'
MDNS = '01234567-89ab-cdef-0123-456789abcdef.local'
SECRET = 'the-secret-shared-with-coturn'
UNIX_TIME_S = 1_800_000_000.75
# printf 1433895918: | openssl dgst -sha1 -hmac north -binary | base64
KNOWN_CREDENTIAL = 'RUWjSWgLr7mh1KNVsZi4Q0FgqMc='


def check(candidate):
    return IceManager().check_candidate(candidate)


def refused(candidate):
    """Return the text of the refusal."""
    with pytest.raises(ProtocolError) as caught:
        check(candidate)
    assert caught.value.code == 'invalid_candidate'
    assert not caught.value.retry
    assert not caught.value.fatal
    return caught.value.message


def with_field(index, text):
    fields = HOST.split(' ')
    fields[index] = text
    return ' '.join(fields)


@pytest.mark.parametrize(
    ('candidate', 'expected'),
    [
        (HOST, 'host udp IPv4, component 1'),
        (HOST.removeprefix('candidate:'), 'host udp IPv4, component 1'),
        (f'{HOST} generation 0 ufrag abcd network-cost 999', 'host udp IPv4, component 1'),
        (f'{HOST} ufrag  network-id 1', 'host udp IPv4, component 1'),
        (
            f'candidate:1 2 TCP 2105524479 {MDNS} 9 typ host tcptype active',
            'host tcp active mDNS, component 2',
        ),
        (
            'candidate:1 256 tcp 1 2001:db8::1 0 typ prflx raddr :: rport 0 tcptype so',
            'prflx tcp so IPv6, component 256',
        ),
        (
            'candidate:1 1 uDp 2147483647 198.51.100.1 65535 typ srflx raddr 192.0.2.1 rport 5000',
            'srflx udp IPv4, component 1',
        ),
        (
            f'candidate:1 1 udp 1 relay.example.org 1 typ relay raddr {MDNS} rport 9',
            'relay udp name, component 1',
        ),
        ('candidate:ab+/12 1 udp 1 host.LOCAL. 1 typ new!', 'new! udp mDNS, component 1'),
    ],
)
def test_a_candidate_is_summarised(candidate, expected):
    assert str(check(candidate)) == expected


@pytest.mark.parametrize('candidate', [None, ''])
def test_no_candidate_is_the_end_of_candidates(candidate):
    assert check(candidate) is None


@pytest.mark.parametrize('path', sorted(DATA.glob('*.sdp')), ids=lambda path: path.stem)
def test_the_candidates_of_real_peers_are_taken(path):
    found = re.findall(r'a=(candidate:[^\r]*)\r', path.read_bytes().decode())
    assert found
    for candidate in found:
        assert check(candidate).typ == 'host'


@pytest.mark.parametrize(
    ('candidate', 'message'),
    [
        (f'{HOST} x {"y" * 1000}', 'candidate: must have 1024 characters at most'),
        ('candidate:', 'candidate: must be "candidate:" and eight fields or more'),
        ('candidate:1 1 UDP 1 192.0.2.1 1 host', 'candidate: must be "candidate:" and eight'),
        (with_field(6, 'TYP'), 'candidate: must be'),
        (HOST.replace(' ', '  '), 'candidate: must be'),
        (f'a={HOST}', 'foundation: must be 1 to 32 of A-Z a-z 0-9 + /'),
        (f' {HOST}', 'candidate: must be'),
        (with_field(0, 'candidate:'), 'foundation: must be'),
        (with_field(0, 'a' * 33), 'foundation: must be'),
        (with_field(0, 'candidate:candidate:1'), 'foundation: must be'),
        (with_field(1, '0'), 'component: must be a whole number from 1 to 256'),
        (with_field(1, '257'), 'component: must be'),
        (with_field(1, '-1'), 'component: must be'),
        (with_field(1, '\u0661'), 'component: must be'),
        (with_field(2, 'SCTP'), 'transport: must be UDP or TCP'),
        (with_field(3, '0'), 'priority: must be a whole number from 1 to 2147483647'),
        (with_field(3, '2147483648'), 'priority: must be'),
        (with_field(3, '00000000001'), 'priority: must be'),
        (with_field(4, '999.0.2.1'), 'address: must be an IPv4 or IPv6 address or a host name'),
        (with_field(4, '192.0.2.01'), 'address: must be'),
        (with_field(4, '[2001:db8::1]'), 'address: must be'),
        (with_field(4, '-x.example'), 'address: must be'),
        (with_field(4, 'x.1com'), 'address: must be'),
        (with_field(4, 'ä.example'), 'address: must be'),
        (with_field(4, ''), 'address: must be'),
        (with_field(4, f'{"a" * 64}.example'), 'address: must be'),
        (with_field(4, 'a.' * 125 + 'exam'), 'address: must be'),
        (with_field(4, 'fe80::1%eth0'), 'address: must have no zone'),
        (with_field(5, '65536'), 'port: must be a whole number from 0 to 65535'),
        (with_field(5, ''), 'port: must be'),
        (with_field(7, ''), 'typ: must be host, srflx, prflx, relay or another token'),
        (with_field(7, 'ho\x1bst'), 'typ: must be'),
        (with_field(7, 'x' * 33), 'typ: must be'),
        (f'{HOST}\r\n', 'typ: must be'),
        (f'{HOST} raddr', 'extensions: must be pairs of name and value'),
        (f'{HOST} raddr 1.2.3 rport 1', 'raddr: must be'),
        (f'{HOST} raddr :: rport x', 'rport: must be'),
        (f'{HOST} raddr :: rport 65536', 'rport: must be a whole number from 0 to 65535'),
        (f'{HOST} tcptype active', 'tcptype: must be there with TCP, and with TCP alone'),
        (with_field(2, 'TCP'), 'tcptype: must be there with TCP, and with TCP alone'),
        (f'{with_field(2, "TCP")} tcptype open', 'tcptype: must be active, passive, so'),
        (f'{HOST} na:me x', 'extensions: must be a token and visible characters each'),
        (f'{HOST} name \x7f', 'extensions: must be'),
        (f'{HOST}  x', 'extensions: must be'),
    ],
)
def test_what_is_no_candidate_is_refused_with_its_field_and_rule(candidate, message):
    assert refused(candidate).startswith(message)


def test_a_refusal_tells_no_address():
    for candidate in (f'{HOST} typ', with_field(4, '192.0.2.1%7'), with_field(4, '192.0.2.1.9')):
        assert '192.0.2' not in refused(candidate)
    assert '192.0.2' not in repr(check(HOST))


def test_limits_are_reached_before_they_are_exceeded():
    longest = f'{HOST} x '
    assert check(longest + 'y' * (1024 - len(longest)))
    assert check(with_field(0, 'a' * 32))
    assert check(with_field(4, 'a.' * 124 + 'exam.'))
    assert check(with_field(4, f'{"a" * 63}.example'))


FIELDS = st.sampled_from([*HOST.split(' '), 'TCP', 'tcptype', 'raddr', '::1', '::1%1', '', 'é'])


@given(st.lists(FIELDS | st.text(max_size=5), max_size=14) | st.text(max_size=40))
def test_any_text_is_summarised_or_refused(fields):
    shown = outcome(' '.join(fields))
    assert shown.isascii()
    assert shown.isprintable()


def outcome(candidate):
    try:
        return str(check(candidate))
    except ProtocolError as error:
        assert error.code == 'invalid_candidate'  # noqa: PT017  # either is right
        return str(error)


@given(st.data())
def test_every_candidate_of_the_grammar_is_taken(data):
    component = data.draw(st.integers(1, 256))
    transport = data.draw(st.sampled_from(['udp', 'UDP']))
    priority = data.draw(st.integers(1, 2**31 - 1))
    address = data.draw(st.ip_addresses())
    port = data.draw(st.integers(0, 65535))
    typ = data.draw(st.sampled_from(['host', 'srflx', 'prflx', 'relay']))
    text = f'{component} {transport} {priority} {address} {port} typ {typ}'
    expected = CandidateSummary(component, 'udp', typ, f'IPv{address.version}', '')
    assert check(f'candidate:1 {text}') == expected


def test_no_servers_by_default():
    assert IceManager().ice_servers('viewer', UNIX_TIME_S) == ()


URLS = (
    'stun:stun.example.org',
    'turn:192.0.2.1:3478?transport=udp',
    'turns:[2001:db8::1]:5349?transport=tcp',
    'stuns:h:65535',
)


def test_turn_servers_come_with_the_fixed_credential_and_stun_without():
    manager = IceManager(URLS, StaticCredential('robot', 'a-password'))
    turn = {'username': 'robot', 'credential': 'a-password'}
    assert manager.ice_servers('viewer', UNIX_TIME_S) == (
        IceServer(urls=URLS[0]),
        IceServer(urls=URLS[1], **turn),
        IceServer(urls=URLS[2], **turn),
        IceServer(urls=URLS[3]),
    )
    encoded = json.loads(msgspec.json.encode(manager.ice_servers('viewer', UNIX_TIME_S)))
    assert encoded[:2] == [{'urls': URLS[0]}, {'urls': URLS[1], **turn}]


def test_coturns_credentials_end_and_are_proven_by_the_secret():
    manager = IceManager(URLS[1:2], TurnRest(SECRET, ttl_s=3600))
    (server,) = manager.ice_servers('viewer:1', UNIX_TIME_S)
    assert server.username == '1800003600:viewer:1'
    # What coturn itself computes.
    expected = hmac.new(SECRET.encode(), server.username.encode(), hashlib.sha1).digest()
    assert server.credential == base64.b64encode(expected).decode()


def test_a_known_credential():
    (server,) = IceManager(URLS[1:2], TurnRest('north', 0)).ice_servers('', 1433895918)
    assert (server.username, server.credential) == ('1433895918:', KNOWN_CREDENTIAL)


def test_no_repr_holds_a_secret():
    for turn in (TurnRest(SECRET), StaticCredential('robot', SECRET)):
        manager = IceManager(URLS, turn)
        assert SECRET not in f'{turn!r} {manager!r} {vars(manager)!r}'


@pytest.mark.parametrize(
    ('url', 'rule'),
    [
        ('', 'must be stun:host[:port] or turn:host[:port]'),
        ('http://h', 'must be stun:'),
        ('stun://h', 'must be stun:'),
        ('STUN:h', 'must be stun:'),
        ('stun:', 'must be stun:'),
        ('stun:user@h', 'must be stun:'),
        ('turn:h?transport=sctp', 'must be stun:'),
        ('turn:h?transport=udp&x', 'must be stun:'),
        ('stun:h\n', 'must be stun:'),
        ('stun:h:', 'must be stun:'),
        ('stun:2001:db8::1', 'must be stun:'),
        ('stun:h?transport=udp', 'stun takes no ?transport='),
        ('stun:h:0', 'the port must be from 1 to 65535'),
        ('stun:h:65536', 'the port must be from 1 to 65535'),
        ('stun:256.0.0.1', 'the host must be a name or an IP address'),
        ('stun:[2001:db8::1::2]', 'the host must be a name or an IP address'),
        ('stun:-h', 'the host must be a name or an IP address'),
    ],
)
def test_a_wrong_url_is_a_clear_error(url, rule):
    with pytest.raises(ConfigurationError) as caught:
        IceManager((URLS[0], url), TurnRest(SECRET))
    assert (caught.value.name, caught.value.value) == ('ice_servers', url)
    assert rule in caught.value.rule


@pytest.mark.parametrize('address', ['[::1]', '[2001:db8::]', '[::ffff:192.0.2.1]', '192.0.2.1'])
def test_an_address_in_a_url_is_taken_as_it_stands(address):
    (server,) = IceManager((f'stun:{address}:3478',)).ice_servers('viewer', UNIX_TIME_S)
    assert server.urls == f'stun:{address}:3478'


def test_a_turn_server_needs_a_credential():
    IceManager(('stun:h', 'stuns:h', 'stun:h:1'))
    for url in ('turn:h', 'turns:h'):
        with pytest.raises(ConfigurationError, match='needs a user name and password') as caught:
            IceManager((url,))
        assert (caught.value.name, caught.value.value) == ('ice_servers', url)
