"""The key file of JWTs: its three forms, and what is refused."""

from __future__ import annotations

import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from rtc_signaling import keys
from rtc_signaling.auth import JwtAuthenticator, JwtKey
from rtc_signaling.errors import ConfigurationError

SECRET = 'a-secret-of-the-robot-32-chars-l'
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key()


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


def pem(key):
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


OKP = {'kty': 'OKP', 'crv': 'Ed25519', 'x': base64url(PUBLIC.public_bytes_raw())}
OCT = {'kty': 'oct', 'k': base64url(SECRET.encode())}


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'jwt.key'


def write(path, content, mode=0o600):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def load(path, content):
    return keys.load(write(path, content))


def refused(path, content):
    """Return the rule that a key file breaks; no text of it is told."""
    with pytest.raises(ConfigurationError) as caught:
        load(path, content)
    assert (caught.value.name, caught.value.value) == ('auth.key_file', str(path))
    for secret in (SECRET, OCT['k'], OKP['x']):
        assert secret not in str(caught.value)
    return caught.value.rule


def public(key):
    assert isinstance(key.key, Ed25519PublicKey)
    return key.key.public_bytes_raw()


def test_a_public_key_in_pem(path):
    for content in (pem(PUBLIC), f'\n{pem(PUBLIC)}\n', pem(PUBLIC).replace('\n', '\r\n')):
        (key,) = load(path, content)
        assert (key.algorithm, key.kid) == ('EdDSA', '')
        assert public(key) == PUBLIC.public_bytes_raw()


@pytest.mark.parametrize('end', ['', '\n', '\r\n'])
def test_one_line_is_a_secret_as_it_stands(path, end):
    assert load(path, SECRET + end) == (JwtKey(SECRET.encode()),)
    # Neither hexadecimal nor base64 is decoded: 64 digits are 64 bytes.
    (key,) = load(path, 'ab' * 32 + end)
    assert key.key == b'ab' * 32
    assert key.algorithm == 'HS256'


@pytest.mark.parametrize(
    'content',
    [
        '',
        '\n',
        SECRET[:-1],
        f'{SECRET[:-1]}\n',
        f'{SECRET}\n\n',
        f' {SECRET}',
        f'{SECRET} x',
        f'{SECRET}\n{SECRET}',
        f'{SECRET}ä',
        f'{SECRET}\0',
        f'[{SECRET}\n]',
    ],
)
def test_what_is_none_of_the_three_is_refused(path, content):
    assert refused(path, content).startswith('must be a public key of Ed25519 in PEM, a JSON Web')


def test_what_stands_before_a_json_web_key_does_not_matter(path):
    assert load(path, f'\n  {json.dumps(OCT)}') == (JwtKey(SECRET.encode()),)


def test_a_json_web_key_alone_and_in_a_set(path):
    for content in (OKP, OKP | {'alg': 'EdDSA', 'use': 'sig', 'other': 1}, {'keys': [OKP]}):
        (key,) = load(path, json.dumps(content, indent=2) + '\n')
        assert public(key) == PUBLIC.public_bytes_raw()
    assert load(path, json.dumps(OCT)) == (JwtKey(SECRET.encode()),)
    assert load(path, json.dumps(OCT | {'alg': 'HS256', 'kid': 'x'})) == (
        JwtKey(SECRET.encode(), 'x'),
    )
    assert len(load(path, json.dumps({'keys': [OKP | {'kid': 'a'}, OCT | {'kid': 'b'}]}))) == 2


@pytest.mark.parametrize('size_bytes', range(32, 48))
def test_a_secret_in_a_json_web_key_may_have_any_length(path, size_bytes):
    secret = bytes(range(200, 200 + size_bytes))
    assert load(path, json.dumps(OCT | {'k': base64url(secret)})) == (JwtKey(secret),)


@pytest.mark.parametrize(
    ('content', 'rule'),
    [
        ('{', 'must be JSON, as it begins with {'),
        ('{"a":' * 100_000, 'must be JSON, as it begins with {'),
        ({}, 'keys[0] must have kty OKP with crv Ed25519, or kty oct'),
        ({'keys': []}, 'keys must be a list of one key or more'),
        ({'keys': OKP}, 'keys must be a list of one key or more'),
        ({'keys': [1]}, 'keys[0] must be an object'),
        ({'keys': [OKP, {'kty': 'RSA'}]}, 'keys[1] must have kty OKP with crv Ed25519'),
        (OKP | {'kty': ['OKP']}, 'keys[0] must have kty'),
        (OKP | {'crv': 'Ed448'}, 'keys[0] must have kty'),
        (OKP | {'crv': []}, 'keys[0] must have kty'),
        (OKP | {'alg': 'HS256'}, 'keys[0]: alg must be EdDSA, or be left out'),
        (OCT | {'alg': 'HS512'}, 'keys[0]: alg must be HS256, or be left out'),
        (OCT | {'alg': None}, 'keys[0]: alg must be HS256, or be left out'),
        (OKP | {'use': 'enc'}, 'keys[0]: use must be sig, or be left out'),
        (OKP | {'d': OKP['x']}, 'keys[0] must be the public key alone, without d'),
        (OKP | {'kid': 1}, 'keys[0]: kid must be a string'),
        (OKP | {'x': None}, 'keys[0]: x must be base64url'),
        (OKP | {'x': OKP['x'] + '='}, 'keys[0]: x must be base64url'),
        (OKP | {'x': 'AAAAA'}, 'keys[0]: x must be base64url'),
        (OKP | {'x': 'AAAA'}, 'keys[0]: '),
        ({'kty': 'oct'}, 'keys[0]: k must be base64url'),
        (OCT | {'k': base64url(b'x' * 31)}, 'keys[0]: a secret must have 32 bytes or more'),
        (OCT | {'k': base64url(pem(PUBLIC).encode())}, 'keys[0]: a public key or a certificate'),
        ({'keys': [OKP, OCT]}, 'of several keys each must have a kid of its own'),
        ({'keys': [OKP | {'kid': 'a'}, OCT]}, 'of several keys each must have a kid'),
        ({'keys': [k | {'kid': 'a'} for k in (OKP, OCT)]}, 'of several keys each must have a kid'),
    ],
)
def test_a_wrong_json_web_key_is_refused_with_its_place_and_rule(path, content, rule):
    text = content if isinstance(content, str) else json.dumps(content)
    assert refused(path, text).startswith(rule)


def test_other_kinds_of_keys_are_refused(path):
    rule = 'the public key must be one of Ed25519'
    private_keys = [
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP256R1()),
        ed448.Ed448PrivateKey.generate(),
    ]
    for key in private_keys:
        assert refused(path, pem(key.public_key())) == rule
    assert refused(path, '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n') == rule
    assert refused(path, '-----BEGIN nonsense') == rule


def test_a_private_key_is_refused(path):
    for key in (PRIVATE, ec.generate_private_key(ec.SECP256R1())):
        rule = refused(path, private_pem(key))
        assert rule == 'must be the public key, not the private one: openssl pkey -pubout'


def test_what_cannot_be_read_is_refused_by_name(path, tmp_path):
    for bad in (path, tmp_path):
        with pytest.raises(ConfigurationError, match=r'^auth\.key_file = .* cannot be read'):
            keys.load(bad)
    assert refused(path, b'\xff' * 40).startswith('cannot be read')


@pytest.mark.parametrize(
    ('content', 'mode', 'warned'),
    [
        (SECRET, 0o600, 0),
        (SECRET, 0o640, 1),
        (json.dumps(OCT), 0o604, 1),
        (json.dumps(OKP), 0o644, 0),
        (pem(PUBLIC), 0o644, 0),
    ],
)
def test_a_secret_that_others_can_read_is_warned_of(path, content, mode, warned, caplog):
    keys.load(write(path, content, mode))
    assert len(caplog.records) == warned
    assert all(str(path) in record.getMessage() for record in caplog.records)
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ('content', 'signing_key', 'algorithm', 'kid'),
    [
        (SECRET, SECRET, 'HS256', None),
        (json.dumps({'keys': [OKP | {'kid': 'a'}, OCT | {'kid': 'b'}]}), SECRET, 'HS256', 'b'),
        (json.dumps({'keys': [OKP | {'kid': 'a'}, OCT | {'kid': 'b'}]}), PRIVATE, 'EdDSA', 'a'),
        (pem(PUBLIC), PRIVATE, 'EdDSA', None),
    ],
)
def test_a_token_that_was_signed_elsewhere_is_admitted(path, content, signing_key, algorithm, kid):
    claims = {'exp': 60, 'aud': 'robot', 'sub': 'x', 'role': 'sender'}
    headers = {} if kid is None else {'kid': kid}
    token = jwt.encode(claims, signing_key, algorithm, headers=headers)
    authenticator = JwtAuthenticator(load(path, content), 'robot', 0)
    assert authenticator.authenticate(token, 0).subject == 'x'


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_any_file_is_read_or_refused(tmp_path_factory, content):
    path = write(tmp_path_factory.getbasetemp() / 'any.key', content)
    try:
        loaded = keys.load(path)
    except ConfigurationError as error:
        assert error.name == 'auth.key_file'  # noqa: PT017  # either is right
    else:
        assert all(key.algorithm in ('HS256', 'EdDSA') for key in loaded)
