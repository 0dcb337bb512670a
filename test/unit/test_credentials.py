"""From the parameters and their files to who may come in, and what the server says of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import socket

import jwt
import pytest

from rtc_signaling.auth import OpenAuthenticator, TokenAuthenticator
from rtc_signaling.credentials import LEEWAY_S, announcement, make_authenticator, make_ice
from rtc_signaling.errors import ConfigurationError, ProtocolError
from rtc_signaling.server_config import ServerConfig

SECRET = 'a-secret-of-thirty-two-characters'


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Be the home directory, so that nothing is ever made in the real one."""
    monkeypatch.setenv('HOME', str(tmp_path))
    return tmp_path


@pytest.fixture
def file(tmp_path):
    path = tmp_path / 'secret'
    path.write_text(f'{SECRET}\n', encoding='utf-8')
    path.chmod(0o600)
    return path


def test_the_tokens_are_those_of_the_file(tmp_path):
    path = tmp_path / 'named.json'
    config = ServerConfig(auth_token_file=str(path))
    authenticator, shown = make_authenticator(config, {})
    assert shown in path.read_text(encoding='utf-8')
    assert isinstance(authenticator, TokenAuthenticator)
    # What is shown is for viewers: it never admits a sender.
    assert authenticator.authenticate(shown).roles == ('receiver',)
    assert make_authenticator(config, {})[1] == shown


def test_without_a_name_the_file_is_in_ros_home(tmp_path):
    _, shown = make_authenticator(ServerConfig(), {'ROS_HOME': str(tmp_path)})
    assert shown in (tmp_path / 'rtc_signaling' / 'tokens.json').read_text(encoding='utf-8')


def test_whoever_needs_no_credential_is_warned_of(caplog):
    authenticator, shown = make_authenticator(ServerConfig(auth_mode='none'), {})
    assert isinstance(authenticator, OpenAuthenticator)
    assert shown == ''
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith('auth.mode is none: anyone')


def test_jwts_are_checked_by_the_key_the_audience_and_the_leeway(file):
    config = ServerConfig(auth_mode='jwt', auth_key_file=str(file), auth_audience='robot')
    authenticator, shown = make_authenticator(config, {})
    assert shown == ''
    claims = {'exp': 60, 'aud': 'robot', 'sub': 'anna', 'role': 'receiver'}
    token = jwt.encode(claims, SECRET, 'HS256')
    assert authenticator.authenticate(token, 60 + LEEWAY_S - 1).subject == 'anna'
    for wrong, now_s in (
        (token, 60 + LEEWAY_S),
        (jwt.encode(claims | {'aud': 'another'}, SECRET, 'HS256'), 0.0),
        (jwt.encode(claims, SECRET[::-1], 'HS256'), 0.0),
    ):
        with pytest.raises(ProtocolError):
            authenticator.authenticate(wrong, now_s)


def test_jwts_need_a_key():
    with pytest.raises(ConfigurationError) as caught:
        make_authenticator(ServerConfig(auth_mode='jwt'), {})
    assert str(caught.value) == "auth.key_file = '': must be set for auth.mode = jwt"


def test_files_may_be_named_from_the_home_directory(file, home):
    assert file == home / 'secret'
    make_authenticator(ServerConfig(auth_mode='jwt', auth_key_file='~/secret'), {})
    make_ice(ServerConfig(turn_secret_file='~/secret'))


def test_turn_credentials_come_from_the_secret_and_live_as_long_as_the_parameter_says(file):
    config = ServerConfig(
        ice_servers=('stun:a', 'turn:b'), turn_secret_file=str(file), turn_ttl_s=600.0
    )
    stun, turn = make_ice(config).ice_servers('pilot', 1000.0)
    assert (stun.urls, turn.urls) == ('stun:a', 'turn:b')
    assert turn.username == '1600:pilot'
    # The end of the line is none of the secret: base64(HMAC-SHA-1(secret, '1600:pilot')).
    digest = hmac.new(SECRET.encode(), b'1600:pilot', hashlib.sha1).digest()
    assert turn.credential == base64.b64encode(digest).decode()


def test_without_a_turn_secret_there_are_the_stun_servers_alone():
    (stun,) = make_ice(ServerConfig(ice_servers=('stun:a',))).ice_servers('pilot', 0.0)
    assert stun.urls == 'stun:a'
    with pytest.raises(ConfigurationError, match=r'^ice_servers = .*turn:b'):
        make_ice(ServerConfig(ice_servers=('turn:b',)))


def test_a_turn_secret_is_read_as_secrets_are(file, caplog):
    file.chmod(0o644)
    make_ice(ServerConfig(turn_secret_file=str(file)))
    assert str(file) in caplog.text
    assert SECRET not in caplog.text
    file.unlink()
    with pytest.raises(ConfigurationError, match=r'^turn\.secret_file = .* cannot be read'):
        make_ice(ServerConfig(turn_secret_file=str(file)))


@pytest.mark.parametrize(
    ('host', 'shown'),
    [
        ('192.0.2.1', '192.0.2.1'),
        ('::1', '[::1]'),
        ('robot.local', 'robot.local'),
        # Where it listens everywhere, the machine's name leads there from elsewhere too.
        ('0.0.0.0', 'the-robot'),
        ('::', 'the-robot'),
        ('', 'the-robot'),
    ],
)
def test_the_announcement_names_where_to_look(host, shown, monkeypatch):
    monkeypatch.setattr(socket, 'gethostname', lambda: 'the-robot')
    line = announcement(ServerConfig(host=host), 8765, '')
    assert line == f'open http://{shown}:8765/ in a browser to see the camera'


def test_the_announcement_holds_the_token_in_the_fragment_which_browsers_keep_to_themselves():
    line = announcement(ServerConfig(host='h', tls_certificate='cert.pem'), 1, 'the-token')
    assert line.startswith('open https://h:1/#token=the-token in ')
