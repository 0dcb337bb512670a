"""What people paste as the server's address."""

from __future__ import annotations

import pytest

from rtc_signaling.doctor.target import DEFAULT_URL, Target, parse
from rtc_signaling.errors import ConfigurationError


@pytest.mark.parametrize(
    ('text', 'target'),
    [
        (DEFAULT_URL, Target('127.0.0.1', 8765)),
        ('robot', Target('robot', 8765)),
        (' robot:9000 ', Target('robot', 9000)),
        ('ws://robot', Target('robot', 80)),
        ('wss://robot', Target('robot', 443, secure=True)),
        ('ws://robot:8765/ws', Target('robot', 8765)),
        ('http://robot:8765/#token=abc', Target('robot', 8765, token='abc')),
        ('https://robot/index.html#token=a&x=y', Target('robot', 443, True, token='a')),
        ('robot:8765/#token=abc', Target('robot', 8765, token='abc')),
        ('wss://fleet.example/robot1', Target('fleet.example', 443, True, '/robot1/')),
        ('wss://fleet.example/robot1/ws', Target('fleet.example', 443, True, '/robot1/')),
        ('ws://[fd00::2]:8765', Target('fd00::2', 8765)),
        ('[fd00::2]', Target('fd00::2', 8765)),
    ],
)
def test_a_server_is_found_in(text, target):
    assert parse(text) == target


@pytest.mark.parametrize(
    'text',
    [
        '', '#token=abc', 'ftp://robot', 'ws://', 'ws://robot:0', 'ws://robot:port', 'robot:99999',
        'ws://me:secret@robot', 'http://[fd00', '://robot',
    ],
)  # fmt: skip
def test_what_names_no_server_is_refused(text):
    with pytest.raises(ConfigurationError, match='must be ws://host:port'):
        parse(text)


def test_neither_errors_nor_repr_show_the_token():
    with pytest.raises(ConfigurationError) as error:
        parse('ftp://robot/#token=s3cret')
    assert 's3cret' not in str(error.value)
    assert 's3cret' not in repr(parse('http://robot/#token=s3cret'))


def test_it_is_written_as_a_websockets_url():
    assert parse('https://[fd00::2]:9000/').websocket_url == 'wss://[fd00::2]:9000/'
    assert parse('http://robot:8765/#token=abc').websocket_url == 'ws://robot:8765/'
