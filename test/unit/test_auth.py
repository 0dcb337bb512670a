"""Who may come in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import traceback

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fakes import TOKENS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtc_signaling.auth import (
    JwtAuthenticator,
    JwtKey,
    OpenAuthenticator,
    Principal,
    TokenAuthenticator,
    Tokens,
)
from rtc_signaling.errors import ProtocolError, WrongTokenError


def was_guessed(authenticator, token, unix_time_s=0.0):
    """Tell whether a token that has to be refused counts against the address that showed it."""
    with pytest.raises(ProtocolError) as caught:
        authenticator.authenticate(token, unix_time_s)
    return isinstance(caught.value, WrongTokenError)


def test_the_tokens_and_what_they_admit():
    authenticator = TokenAuthenticator(TOKENS)
    assert authenticator.required
    robot = authenticator.authenticate(TOKENS.sender)
    viewer = authenticator.authenticate(TOKENS.receiver)
    assert robot.roles == ('sender', 'receiver')
    assert viewer.roles == ('receiver',)
    assert (robot.subject, viewer.subject) == ('sender', 'receiver')


@pytest.mark.parametrize(
    'token',
    ['', ' ', 'ä', '\0', '\udcff', TOKENS.sender[:-1], TOKENS.sender + 'x', TOKENS.sender.upper()],
)
def test_anything_else_is_refused_without_a_word_more(token):
    with pytest.raises(ProtocolError) as error:
        TokenAuthenticator(TOKENS).authenticate(token)
    assert (error.value.code, error.value.fatal) == ('unauthorized', True)
    assert error.value.message == 'the token is missing or wrong'


def test_a_wrong_token_may_be_a_guess_and_none_is_no_guess():
    assert was_guessed(TokenAuthenticator(TOKENS), 'wrong')
    assert not was_guessed(TokenAuthenticator(TOKENS), '')


@pytest.mark.parametrize('token', [TOKENS.sender, TOKENS.receiver, 'wrong'])
def test_both_tokens_are_compared_in_constant_time_whatever_was_shown(token, monkeypatch):
    compared = []

    def compare_digest(one, other):
        compared.append(other)
        return one == other

    monkeypatch.setattr(hmac, 'compare_digest', compare_digest)
    try:
        TokenAuthenticator(TOKENS).authenticate(token)
    except ProtocolError:
        assert token == 'wrong'
    assert compared == [TOKENS.sender.encode(), TOKENS.receiver.encode()]


def test_new_tokens_take_the_place_of_the_old():
    authenticator = TokenAuthenticator(TOKENS)
    authenticator.replace(Tokens(sender='s' * 16, receiver='r' * 16))
    assert authenticator.authenticate('s' * 16).subject == 'sender'
    assert authenticator.authenticate('r' * 16).subject == 'receiver'
    for token in (TOKENS.sender, TOKENS.receiver):
        with pytest.raises(ProtocolError):
            authenticator.authenticate(token)


def test_tokens_do_not_show_themselves():
    assert repr(TOKENS) == 'Tokens(...)'
    for text in (repr(TOKENS), str(TOKENS), f'{TOKENS}'):
        assert TOKENS.sender not in text
        assert TOKENS.receiver not in text


def test_without_tokens_everybody_is_the_same_and_may_do_all():
    authenticator = OpenAuthenticator()
    assert not authenticator.required
    assert authenticator.authenticate('') == authenticator.authenticate('x')
    assert authenticator.authenticate('') == Principal('anonymous', ('sender', 'receiver'))


def test_a_token_without_an_end_admits_to_all_cameras():
    for principal in (
        TokenAuthenticator(TOKENS).authenticate(TOKENS.receiver, 1e9),
        OpenAuthenticator().authenticate('', 1e9),
    ):
        assert principal.expires_at_s is None
        assert principal.cameras is None
        assert principal.may_use('any')


def test_who_has_cameras_named_may_use_these():
    principal = Principal('x', ('receiver',), cameras=('front', 'rear'))
    assert principal.may_use('rear')
    assert not principal.may_use('re')
    assert not Principal('x', ('receiver',), cameras=()).may_use('rear')


# JSON Web Tokens.

NOW_S = 1_800_000_000.0
LEEWAY_S = 10.0
SECRET = b'a-secret-of-the-robot-32-bytes-l'
OTHER_SECRET = SECRET[::-1]
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key()
CLAIMS = {
    'exp': NOW_S + 60,
    'aud': 'rtc_signaling',
    'sub': 'operator-7',
    'role': 'receiver',
}


def admit(token, *keys, unix_time_s=NOW_S):
    authenticator = JwtAuthenticator(keys or (JwtKey(SECRET),), 'rtc_signaling', LEEWAY_S)
    return authenticator.authenticate(token, unix_time_s)


def refused(token, *keys, unix_time_s=NOW_S):
    """Return why a token is refused; neither that nor the traceback quotes it."""
    with pytest.raises(ProtocolError) as caught:
        admit(token, *keys, unix_time_s=unix_time_s)
    assert (caught.value.code, caught.value.fatal) == ('unauthorized', True)
    if len(token) > 30:
        shown = ''.join(traceback.format_exception_only(caught.value))
        assert token not in shown
        assert 'operator-7' not in shown
    return caught.value.message


def signed(claims=CLAIMS, key=SECRET, algorithm='HS256', **header):
    return jwt.encode(claims, key, algorithm, headers=header)


def without(name):
    return {key: value for key, value in CLAIMS.items() if key != name}


def raw(header, claims=CLAIMS, secret=SECRET):
    """Return a token with any header, signed by HMAC whatever the header says."""
    parts = [header if isinstance(header, bytes) else json.dumps(header).encode()]
    parts.append(claims if isinstance(claims, bytes) else json.dumps(claims).encode())
    body = b'.'.join(base64.urlsafe_b64encode(part).rstrip(b'=') for part in parts)
    signature = hmac.digest(secret, body, hashlib.sha256)
    return f'{body.decode()}.{base64.urlsafe_b64encode(signature).rstrip(b"=").decode()}'


@pytest.mark.parametrize('role', ['sender', 'receiver'])
@pytest.mark.parametrize(
    ('signing_key', 'algorithm', 'key'),
    [(SECRET, 'HS256', JwtKey(SECRET)), (PRIVATE, 'EdDSA', JwtKey(PUBLIC))],
    ids=['HS256', 'EdDSA'],
)
def test_a_jwt_admits_whom_it_names_in_its_one_role(role, signing_key, algorithm, key):
    token = signed(CLAIMS | {'role': role}, signing_key, algorithm)
    principal = admit(token, key)
    assert principal == Principal('operator-7', (role,), NOW_S + 60 + LEEWAY_S, None)


def test_a_jwt_is_required():
    assert JwtAuthenticator([JwtKey(SECRET)], 'rtc_signaling', 0).required


def test_a_jwt_may_name_its_cameras():
    assert admit(signed(CLAIMS | {'cameras': ['front']})).cameras == ('front',)
    assert admit(signed(CLAIMS | {'cameras': []})).cameras == ()
    for wrong in ('front', None, {}, [1], ['front', None]):
        message = refused(signed(CLAIMS | {'cameras': wrong}))
        assert message == 'the claim cameras must be a list of strings'


def test_an_audience_among_several_will_do():
    admit(signed(CLAIMS | {'aud': ['other', 'rtc_signaling']}))
    for wrong in ('other', ['other'], [], 'rtc_signaling2'):
        token = signed(CLAIMS | {'aud': wrong})
        assert refused(token) in {
            'the token is for another audience',
            'the token lacks one of the claims exp, aud, sub and role',
        }


def test_the_callers_clock_decides_when_a_jwt_ends():
    token = signed()
    assert admit(token, unix_time_s=NOW_S + 69.9).expires_at_s == NOW_S + 70
    assert refused(token, unix_time_s=NOW_S + 70) == 'the token has expired'
    # A clock that was forgotten lets nobody in.
    with pytest.raises(ProtocolError, match='expired'):
        JwtAuthenticator([JwtKey(SECRET)], 'rtc_signaling', 10).authenticate(token)


def test_an_expired_token_of_somebody_else_is_just_wrong():
    token = signed(key=OTHER_SECRET)
    assert refused(token, unix_time_s=NOW_S + 999) == "the token's signature is wrong"


@pytest.mark.parametrize(
    'changes',
    [
        {'exp': 0}, {'nbf': NOW_S + 999}, {'iat': NOW_S + 999}, {'aud': 'another'},
        {'exp': None}, {'role': 'admin'}, {'cameras': 'front'}, {'sub': ''},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_of_the_key_is_no_guess(changes):
    one_key = JwtAuthenticator([JwtKey(SECRET)], 'rtc_signaling', LEEWAY_S)
    assert not was_guessed(one_key, signed(CLAIMS | changes), NOW_S)
    # Signed by another key it is one, whatever it claims.
    assert was_guessed(one_key, signed(CLAIMS | changes, OTHER_SECRET), NOW_S)


@pytest.mark.parametrize(
    ('token', 'guessed'),
    [('', False), ('hello', True), ('x' * 5000, True), (signed(kid='c'), True), ('a.b.c', True)],
    ids=['none', 'no_jwt', 'long', 'no_key', 'no_json'],
)
def test_what_is_no_jwt_of_a_key_may_be_a_guess(token, guessed):
    keys = [JwtKey(SECRET, 'a'), JwtKey(OTHER_SECRET, 'b')]
    assert was_guessed(JwtAuthenticator(keys, 'rtc_signaling', LEEWAY_S), token, NOW_S) is guessed


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('nbf', 'the token is not valid yet'),
        ('iat', 'the token was issued in the future: one of the clocks is wrong'),
    ],
)
def test_a_jwt_of_the_future_is_refused(name, message):
    admit(signed(CLAIMS | {name: NOW_S + LEEWAY_S}))
    admit(signed(CLAIMS | {name: 0}))
    assert refused(signed(CLAIMS | {name: NOW_S + LEEWAY_S + 0.1})) == message


@pytest.mark.parametrize('name', ['exp', 'nbf', 'iat'])
@pytest.mark.parametrize(
    'value',
    [True, [], {}, 'soon', '1800000060', -1, 2**53 + 2, 10**400, float('nan'), float('inf')],
)
def test_a_time_has_to_be_one(name, value):
    message = refused(signed(CLAIMS | {name: value}))
    assert message.startswith(f'the claim {name} must be a number of seconds')


def test_the_latest_time_that_a_float_counts_to_the_second_is_taken():
    assert admit(signed(CLAIMS | {'exp': 2**53})).expires_at_s >= 2**53


def test_times_that_are_null_are_none():
    assert 'exp' in refused(signed(CLAIMS | {'exp': None}))
    assert refused(signed(CLAIMS | {'nbf': None})).startswith('the claim nbf must be')


@pytest.mark.parametrize('name', ['exp', 'aud', 'sub', 'role'])
def test_a_jwt_has_to_make_its_claims(name):
    message = refused(signed(without(name)))
    assert message == 'the token lacks one of the claims exp, aud, sub and role'


@pytest.mark.parametrize('role', ['admin', '', 'Sender', 1, ['sender'], {}])
def test_other_roles_are_refused(role):
    token = signed(CLAIMS | {'role': role})
    assert refused(token) == 'the claim role must be sender or receiver'


@pytest.mark.parametrize('subject', ['', 7, 'x' * 257, ['x']])
def test_the_subject_has_to_be_a_short_string(subject):
    token = raw({'alg': 'HS256'}, CLAIMS | {'sub': subject})
    assert refused(token) in {
        'the claim sub must be a string of 1 to 256 characters',
        'the token is no JWT as it should be',
    }
    admit(signed(CLAIMS | {'sub': 'x' * 256}))


def test_another_key_is_refused():
    assert refused(signed(key=OTHER_SECRET)) == "the token's signature is wrong"
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    token = signed(key=other, algorithm='EdDSA')
    assert refused(token, JwtKey(PUBLIC)) == "the token's signature is wrong"


@pytest.mark.parametrize('place', ['header', 'claims', 'signature'])
def test_a_changed_token_is_refused(place):
    header, claims, signature = signed().split('.')
    if place == 'header':
        header = raw({'alg': 'HS256', 'typ': 'jwt'}).split('.')[0]
    elif place == 'claims':
        claims = raw({}, CLAIMS | {'role': 'sender'}).split('.')[1]
    else:
        signature = ('A' if signature[0] != 'A' else 'B') + signature[1:]
    assert refused(f'{header}.{claims}.{signature}') == "the token's signature is wrong"


OTHER_ALGORITHM = 'the token is signed by another algorithm than that of the key'


@pytest.mark.parametrize('algorithm', ['none', 'None', 'NONE', '', 'HS512', 'RS256', 'EdDSA', 1])
def test_the_key_decides_the_algorithm_of_a_secret(algorithm):
    token = raw({'alg': algorithm})
    assert refused(token) == OTHER_ALGORITHM
    header, claims, _ = token.split('.')
    assert refused(f'{header}.{claims}.') == 'the token is missing or no JWT'
    assert refused(f'{header}.{claims}.AAAA') == OTHER_ALGORITHM
    assert refused(raw({})) == OTHER_ALGORITHM


def test_a_public_key_is_no_secret():
    """Whoever knows the public key must not be able to sign with it as if it were a secret."""
    forms = [
        PUBLIC.public_bytes_raw(),
        PUBLIC.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    ]
    for form in forms:
        for algorithm in ('HS256', 'EdDSA', 'none'):
            token = raw({'alg': algorithm}, secret=form)
            assert refused(token, JwtKey(PUBLIC)) in {
                OTHER_ALGORITHM,
                "the token's signature is wrong",
            }
    with pytest.raises(ValueError, match='a public key or a certificate is no secret'):
        JwtKey(forms[1])


def test_a_key_in_the_header_is_not_followed():
    attacker = Ed25519PrivateKey.generate()
    jwk = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(attacker.public_key()))
    header = {'jwk': jwk, 'jku': 'http://127.0.0.1:1/', 'x5u': 'http://127.0.0.1:1/', 'x5c': ['x']}
    token = signed(key=attacker, algorithm='EdDSA', **header)
    assert refused(token, JwtKey(PUBLIC)) == "the token's signature is wrong"
    # They hurt nobody in a token that is right.
    admit(signed(key=PRIVATE, algorithm='EdDSA', **header), JwtKey(PUBLIC))


def test_what_a_header_calls_critical_is_not_understood():
    for header in ({'crit': ['exp']}, {'crit': []}, {'crit': ['b64'], 'b64': True}):
        token = raw({'alg': 'HS256'} | header)
        assert refused(token) in {
            "the token's header asks for what is not understood here (crit)",
            'the token is no JWT as it should be',
        }


def test_a_jwt_may_have_4096_characters():
    # Base64 has no text of 4n + 1 characters, so both parts are varied.
    by_length = {
        len(token): token
        for header in range(3)
        for claims in range(2850, 3000)
        for token in [signed(CLAIMS | {'x': 'x' * claims}, kid='k' * header)]
    }
    admit(by_length[4096])
    assert refused(by_length[4097]) == 'the token is missing or no JWT'


def test_of_several_keys_the_kid_chooses():
    keys = (JwtKey(SECRET, 'a'), JwtKey(OTHER_SECRET, 'b'), JwtKey(PUBLIC, 'c'))
    admit(signed(kid='a'), *keys)
    admit(signed(key=OTHER_SECRET, kid='b'), *keys)
    admit(signed(key=PRIVATE, algorithm='EdDSA', kid='c'), *keys)
    assert refused(signed(kid='b'), *keys) == "the token's signature is wrong"
    assert refused(signed(kid='c'), *keys) == OTHER_ALGORITHM
    for header in ({'kid': 'd'}, {'kid': ''}, {}):
        assert refused(signed(**header), *keys) == 'the token names none of the keys by its kid'
    for kid in (None, 1, ['a'], {}):
        assert refused(raw({'alg': 'HS256', 'kid': kid}), *keys)


def test_one_key_needs_no_kid():
    admit(signed(kid='whatever'))
    admit(signed(), JwtKey(SECRET, 'a'))


def test_a_short_secret_is_refused():
    with pytest.raises(ValueError, match='a secret must have 32 bytes or more'):
        JwtKey(SECRET[:-1])


@pytest.mark.parametrize('key', [SECRET, PUBLIC])
def test_a_key_does_not_show_itself(key):
    authenticator = JwtAuthenticator([JwtKey(key, 'a')], 'rtc_signaling', 0)
    assert SECRET.decode() not in f'{JwtKey(key)} {authenticator} {vars(authenticator)}'
    assert repr(JwtKey(key, 'a')) == "JwtKey(kid='a')"


@pytest.mark.parametrize(
    'token',
    [
        '', '.', '..', 'a.b', 'a.b.c.d', 'a.b.c', 'ä.b.c', '\udcff.b.c', '=.=.=', 'a.b.c\n',
        raw(b'[]'), raw(b'1'), raw(b'{'), raw(b'\xff'), raw(b'{"a":' * 400 + b'1' + b'}' * 400),
        raw(b'[' * 2500), raw({'alg': 'HS256'}, b'[]'), raw({'alg': 'HS256'}, b'{'),
        raw({'alg': 'HS256'}, b'[' * 2500), raw({'alg': 'HS256'}, b'\xff'),
        raw({'alg': 'HS256', 'b64': False}), signed(CLAIMS | {'x': 'x' * 4096}),
    ],
)  # fmt: skip
def test_what_is_no_jwt_is_refused(token):
    assert refused(token)
    assert refused(token, JwtKey(SECRET, 'a'), JwtKey(OTHER_SECRET, 'b'))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


# Making JSON is slow at first, on a busy machine too slow for the check of that.
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from(['alg', 'kid', 'typ', 'crit', 'b64']), JSON)
    | st.just({'alg': 'HS256'}),
    st.dictionaries(st.sampled_from([*CLAIMS, 'nbf', 'iat', 'cameras']), JSON),
)
def test_any_claims_are_refused_or_name_somebody(header, claims):
    principal = outcome(raw(header, CLAIMS | claims))
    if principal is not None:
        assert header['alg'] == 'HS256'
        assert principal.roles in (('sender',), ('receiver',))
        assert principal.expires_at_s > NOW_S
        assert 0 < len(principal.subject) <= 256


def outcome(token):
    try:
        return admit(token)
    except ProtocolError as error:
        assert error.code == 'unauthorized'  # noqa: PT017  # either is right
        return None


@given(st.text(max_size=40) | st.from_regex(r'[\w-]{0,9}\.[\w-]{0,9}\.[\w-]{0,9}'))
def test_any_text_is_refused(text):
    assert refused(text)
