"""Decoding and encoding, by the corpus in test/data and by what is beside the single message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from rtc_signaling.errors import ProtocolError
from rtc_signaling.messages import (
    MAX_QUOTE_CHARS,
    Decoder,
    Encoder,
    ExtendedIceCandidate,
    FromClient,
    FromServer,
    IceCandidate,
    Offer,
)

CORPUS = json.loads((Path(__file__).parents[1] / 'data' / 'messages.json').read_text('utf-8'))
DIRECTIONS = {'valid_from_client': FromClient, 'valid_from_server': FromServer}
from_client = Decoder(FromClient)


def named(entry):
    return entry.get('name') or f'{entry["type"]}-{len(entry)}'


def refused(data):
    with pytest.raises(ProtocolError) as error:
        from_client.decode(data)
    assert not error.value.fatal
    assert not error.value.retry
    return error.value


@pytest.mark.parametrize(
    ('union', 'message'),
    [(union, message) for key, union in DIRECTIONS.items() for message in CORPUS[key]],
    ids=lambda value: named(value) if isinstance(value, dict) else '',
)
def test_a_valid_message_comes_out_as_it_went_in(union, message):
    text = json.dumps(message)
    for data in (text, text.encode()):
        encoded = Encoder().encode(Decoder(union).decode(data))
        assert json.loads(encoded) == message


def test_the_corpus_has_every_type():
    for key, union in DIRECTIONS.items():
        tags = {cls.__struct_config__.tag for cls in union.__args__}
        assert {message['type'] for message in CORPUS[key]} == tags


@pytest.mark.parametrize('entry', CORPUS['invalid_from_client'], ids=named)
def test_an_invalid_message_is_refused_by_name(entry):
    error = refused(entry['text'])
    assert error.code == entry['code']
    assert entry['names'] in error.message


@pytest.mark.parametrize(
    'message', CORPUS['valid_from_client'] + CORPUS['valid_from_server'], ids=named
)
def test_unknown_members_are_ignored_but_for_a_candidates(message):
    union = FromClient if message in CORPUS['valid_from_client'] else FromServer
    grown = message | {'in_version_2': {'a': [1]}}
    encoded = json.loads(Encoder().encode(Decoder(union).decode(json.dumps(grown))))
    assert encoded == (grown if message['type'] == 'ice_candidate' else message)


def test_of_a_members_copies_the_last_counts():
    message = from_client.decode('{"type": "offer", "sdp": "one", "sdp": "two"}')
    assert Encoder().encode(message) == b'{"type":"offer","sdp":"two"}'
    # Also where another reader would take the first: one comes out, so all read the same.
    text = '{"type": "ice_candidate", "candidate": "one", "candidate": "two", "x": 1, "x": 2}'
    encoded = Encoder().encode(from_client.decode(text))
    assert encoded.count(b'candidate"') == 2  # the type, and one member
    assert json.loads(encoded) == {'type': 'ice_candidate', 'candidate': 'two', 'x': 2}


def test_a_candidates_own_members_cannot_be_overridden_by_unknown_ones():
    forged = ExtendedIceCandidate(candidate='c', client_id='me', extra={'client_id': 'you'})
    assert json.loads(Encoder().encode(forged))['client_id'] == 'me'


def test_the_class_with_the_unknown_members_is_ours_alone():
    message = from_client.decode('{"type": "ice_candidate", "candidate": "c"}')
    assert type(message) is IceCandidate
    message = from_client.decode('{"type": "ice_candidate", "candidate": "c", "extra": {"a": 1}}')
    assert message.extra == {'extra': {'a': 1}}


@pytest.mark.parametrize(
    'text',
    [
        '{"type": "offer", "sdp": "", "x": ' + '[' * 60_000,
        '{"type": "offer", "sdp": "", "x": ' + '[' * 60_000 + ']' * 60_000 + '}',
        '{"type": "ice_candidate", "candidate": ""' + ', "x": {"a": 1' * 60_000 + '}' * 60_001,
    ],
    ids=['open', 'ignored', 'kept'],
)
def test_deep_nesting_is_refused(text):
    assert str(refused(text)) == 'invalid_json: it is nested too deeply'
    assert refused('[' * 100_000).code == 'invalid_json'


def test_what_is_no_json_is_refused_with_the_reason():
    assert refused('{"type": "ping"').message == 'Input data was truncated'


def test_no_object_within_a_message_makes_the_message_wrong_and_not_the_json():
    connected = next(m for m in CORPUS['valid_from_server'] if m['type'] == 'connected')
    with pytest.raises(ProtocolError) as error:
        Decoder(FromServer).decode(json.dumps(connected | {'peers': [1]}))
    assert error.value.code == 'invalid_message'
    assert '$.peers[0]' in error.value.message


def test_what_is_no_utf_8_is_refused():
    assert refused(b'{"type": "offer", "sdp": "\xff"}').code == 'invalid_json'
    assert refused('{"type": "offer", "sdp": "\\ud800"}').code == 'invalid_json'
    assert refused('{"type": "offer", "sdp": "\ud800"}').code == 'invalid_json'


def test_the_message_of_an_error_does_not_quote_a_token():
    secret = 'x' * 4097
    assert (
        secret[:20] not in refused(json.dumps({'type': 'authenticate', 'token': secret})).message
    )


def test_the_message_of_an_error_is_one_short_line():
    message = refused(json.dumps({'type': 'x\n\x1b[2J' + 'y' * 1000})).message
    assert message.isprintable()
    assert len(message) <= MAX_QUOTE_CHARS + 20


@pytest.mark.parametrize('letter', ['y', '\x7f', '\U000e0001'])
def test_the_message_of_an_error_is_cut_in_its_middle_and_names_the_member(letter):
    message = refused(json.dumps({'type': letter * 1000}, ensure_ascii=False)).message
    assert len(message) == MAX_QUOTE_CHARS + len('...')
    assert message.startswith("Invalid value '")
    assert message.endswith(' - at `$.type`')


def test_the_message_of_an_error_shows_what_can_be_printed_and_escapes_the_rest():
    message = refused(json.dumps({'type': 'é\n\x1b[2J\u2028'})).message
    assert r"'é\n\x1b[2J\u2028'" in message


def test_only_a_message_that_is_too_long_is_cut():
    def message_about(count):
        return refused(json.dumps({'type': 'y' * count})).message

    count = MAX_QUOTE_CHARS - len(message_about(0))
    assert len(message_about(count)) == MAX_QUOTE_CHARS
    assert message_about(count).replace('y' * count, '') == message_about(0)
    assert len(message_about(count + 1)) == MAX_QUOTE_CHARS + len('...')


@pytest.mark.parametrize(
    ('text', 'msg_id'),
    [
        ('{"type": "shutdown", "msg_id": "m"}', 'm'),
        ('{"type": "offer", "sdp": 1, "msg_id": "m"}', 'm'),
        ('{"type": "offer", "sdp": 1}', UNSET),
        ('{"type": "ping", "msg_id": 1}', UNSET),
        ('{"type": "ping", "msg_id": ""}', UNSET),
        ('{"msg_id": "m"', UNSET),
        ('[]', UNSET),
        ('', UNSET),
        ('{"x": ' + '[' * 60_000 + ']' * 60_000 + '}', UNSET),
        ('\ud800', UNSET),
    ],
)
def test_of_what_is_no_message_the_id_is_made_out_if_there_is_one(text, msg_id):
    assert from_client.msg_id_of(text) == msg_id


def test_messages_cannot_be_changed():
    with pytest.raises(AttributeError):
        Offer(sdp='').sdp = 'v=0'


CODES = {'invalid_json', 'invalid_message'}
MEMBERS = (
    'token', 'role', 'client_id', 'sender_id', 'msg_id', 'sdp', 'candidate', 'sdpMid',
    'sdpMLineIndex', 'usernameFragment', 'x',
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
TYPES = sorted({message['type'] for message in CORPUS['valid_from_client']})


def decoded(data):
    """Return the message as JSON; or None, if it is refused as it should be."""
    try:
        message = from_client.decode(data)
    except ProtocolError as error:
        if error.code not in CODES:
            raise
        return None
    return json.loads(Encoder().encode(message))


@settings(deadline=None)
@given(st.text() | st.binary())
def test_whatever_comes_is_a_message_or_refused(data):
    assert decoded(data) is None or decoded(data)['type'] in TYPES


@settings(deadline=None)
@given(
    st.sampled_from(TYPES),
    st.dictionaries(st.sampled_from(MEMBERS), JSON | st.just('camera')),
)
def test_whatever_members_come_none_is_made_up(kind, members):
    message = {'type': kind} | members
    assert (decoded(json.dumps(message)) or message).items() <= message.items()


@pytest.mark.parametrize(('open_', 'close'), [('[', ']'), ('{"a":', '}')])
def test_a_member_that_is_kept_has_at_most_32_levels(open_, close):
    text = '{"type": "ice_candidate", "candidate": "c", "ok": 1, "deep\\n": %s}'
    message = from_client.decode(text % (open_ * 31 + '[]' + close * 31))
    assert from_client.decode(Encoder().encode(message)) == message
    with pytest.raises(ProtocolError) as error:
        from_client.decode(text % (open_ * 32 + '[]' + close * 32))
    assert error.value.code == 'invalid_message'
    assert error.value.message == (
        'Expected lists and objects of at most 32 levels, got more - at `$.deep\\n`'
    )
