"""Who may come in."""

from __future__ import annotations

import hmac

import pytest
from fakes import TOKENS

from rtc_signaling.auth import OpenAuthenticator, TokenAuthenticator
from rtc_signaling.errors import ProtocolError


def test_the_tokens_and_what_they_admit():
    authenticator = TokenAuthenticator(TOKENS)
    assert authenticator.required
    robot = authenticator.authenticate(TOKENS.sender)
    viewer = authenticator.authenticate(TOKENS.receiver)
    assert robot.roles == ('sender', 'receiver')
    assert viewer.roles == ('receiver',)
    assert robot.subject != viewer.subject


@pytest.mark.parametrize(
    'token',
    ['', ' ', 'ä', '\0', TOKENS.sender[:-1], TOKENS.sender + 'x', TOKENS.sender.upper()],
)
def test_anything_else_is_refused_without_a_word_more(token):
    with pytest.raises(ProtocolError) as error:
        TokenAuthenticator(TOKENS).authenticate(token)
    assert (error.value.code, error.value.fatal) == ('unauthorized', True)
    assert error.value.message == 'the token is missing or wrong'


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


def test_tokens_do_not_show_themselves():
    for text in (repr(TOKENS), str(TOKENS), f'{TOKENS}'):
        assert TOKENS.sender not in text
        assert TOKENS.receiver not in text


def test_without_tokens_everybody_is_the_same_and_may_do_all():
    authenticator = OpenAuthenticator()
    assert not authenticator.required
    assert authenticator.authenticate('') == authenticator.authenticate('x')
    assert authenticator.authenticate('').roles == ('sender', 'receiver')
