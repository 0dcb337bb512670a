"""Who may come in, and as what.

Pure: the shared tokens come from `tokens.py`, the keys of JWTs from `keys.py`, and the time from
the caller. `unix_time_s` is the wall clock's, in s since 1970: a JWT's times are. No error text
and no `repr` holds a credential.
"""

from __future__ import annotations

import hmac
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from rtc_signaling.errors import ProtocolError, WrongTokenError

SENDER = 'sender'
RECEIVER = 'receiver'
ROLES = (SENDER, RECEIVER)

MIN_SECRET_BYTES = 32  # RFC 7518, 3.2: a key for HS256 has 256 bits or more
MAX_JWT_CHARS = 4096
_MAX_SUBJECT_CHARS = 256
_MAX_TIME_S = 2**53

# Looked at before anything is decoded. PyJWT is not handed what cannot be a JWT.
_JWT = re.compile(r'[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+')
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (jwt.InvalidAlgorithmError, 'the token is signed by another algorithm than that of the key'),
    (jwt.InvalidSignatureError, "the token's signature is wrong"),
    (jwt.InvalidAudienceError, 'the token is for another audience'),
    (jwt.MissingRequiredClaimError, 'the token lacks one of the claims exp, aud, sub and role'),
    (Exception, 'the token is no JWT as it should be'),
)
# PyJWT looks at the claims of a token only when its signature is right.
_GENUINE = (jwt.InvalidAudienceError, jwt.MissingRequiredClaimError)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Hold the two shared secrets; `repr` shows neither.

    Attributes:
        sender: Admits the robot, as a sender or a receiver.
        receiver: Admits viewers, as receivers only.
    """

    sender: str
    receiver: str

    def __repr__(self) -> str:
        return 'Tokens(...)'


@dataclass(frozen=True, slots=True)
class Principal:
    """Say whose credential was shown.

    Attributes:
        subject: A stable name; only the same subject may take over its client ids.
        roles: The roles that it may take.
        expires_at_s: Until when it may stay, by the wall clock in s since 1970; None for ever.
        cameras: The client_ids of the senders that it may see or be; None for all.
    """

    subject: str
    roles: tuple[str, ...]
    expires_at_s: float | None = None
    cameras: tuple[str, ...] | None = None

    def may_use(self, sender_id: str) -> bool:
        """Return whether it may see, or be, the sender of this client_id."""
        return self.cameras is None or sender_id in self.cameras


class Authenticator(Protocol):
    """Turn a credential into a principal."""

    @property
    def required(self) -> bool:
        """Whether a client must show a credential at all."""

    def authenticate(self, token: str, unix_time_s: float = 0.0) -> Principal:
        """Return whose `token` it is, or raise ProtocolError `unauthorized`."""


class TokenAuthenticator:
    """Admit holders of a shared token."""

    required = True

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def replace(self, tokens: Tokens) -> None:
        """Admit holders of these tokens from now on, and no others."""
        self._tokens = tokens

    def authenticate(self, token: str, unix_time_s: float = 0.0) -> Principal:
        """Return whose `token` it is; both comparisons always run, in constant time.

        Raises:
            ProtocolError: `unauthorized`, a WrongTokenError unless there was no token at all; the
                message does not say more, and holds no token.
        """
        # A header's bytes beyond ASCII come as lone surrogates, which are no UTF-8.
        shown = token.encode('utf-8', 'surrogatepass')
        is_sender = hmac.compare_digest(shown, self._tokens.sender.encode())
        is_receiver = hmac.compare_digest(shown, self._tokens.receiver.encode())
        if is_sender:
            return Principal('sender', ROLES)
        if is_receiver:
            return Principal('receiver', (RECEIVER,))
        reason = 'the token is missing or wrong'
        raise WrongTokenError(reason) if token else _unauthorized(reason)


class OpenAuthenticator:
    """Admit anyone, in any role: `auth.mode: none`."""

    required = False

    def authenticate(self, token: str, unix_time_s: float = 0.0) -> Principal:
        """Return the one principal that everybody is."""
        return Principal('anonymous', ROLES)


@dataclass(frozen=True, slots=True)
class JwtKey:
    """Hold a key that JWTs are checked with. Its kind decides the algorithm, not the token.

    Attributes:
        key: The shared secret of HS256, or the public key of EdDSA (Ed25519).
        kid: By which name tokens ask for it; '' for none.

    Raises:
        ValueError: A secret is too short, or is a key of another kind by mistake.
    """

    key: bytes | Ed25519PublicKey = field(repr=False)
    kid: str = ''

    def __post_init__(self) -> None:
        if isinstance(self.key, bytes):
            if len(self.key) < MIN_SECRET_BYTES:
                raise ValueError(f'a secret must have {MIN_SECRET_BYTES} bytes or more')
            try:
                jwt.get_algorithm_by_name('HS256').prepare_key(self.key)
            except jwt.InvalidKeyError as error:
                raise ValueError('a public key or a certificate is no secret') from error

    @property
    def algorithm(self) -> str:
        """The one algorithm that tokens for this key may be signed by."""
        return 'HS256' if isinstance(self.key, bytes) else 'EdDSA'


class JwtAuthenticator:
    """Admit holders of a JSON Web Token (RFC 7519, with the advice of RFC 8725).

    A token needs the claims exp, aud, sub and role (`sender` or `receiver`, and it may be no
    other); nbf and iat are honoured; cameras, a list of sender ids, restricts it. With one key
    that key decides, with several the token's `kid` chooses. What else a token's header says of
    keys (jku, jwk, x5u, x5c) is never looked at.

    Args:
        keys: One key, or several that all have a `kid` of their own.
        audience: What `aud` has to name.
        leeway_s: By how much the clocks may differ, in s.
    """

    required = True

    def __init__(self, keys: Sequence[JwtKey], audience: str, leeway_s: float) -> None:
        self._keys = {key.kid: key for key in keys}
        self._audience = audience
        self._leeway_s = leeway_s

    # Who forgets the time is told that every token has expired.
    def authenticate(self, token: str, unix_time_s: float = math.inf) -> Principal:
        """Return whom the token names.

        Raises:
            ProtocolError: `unauthorized`, with what is wrong in a few words; a WrongTokenError if
                it is not of one of the keys.
        """
        if len(token) > MAX_JWT_CHARS or not _JWT.fullmatch(token):
            reason = 'the token is missing or no JWT'
            raise WrongTokenError(reason) if token else _unauthorized(reason)
        claims = self._verified(token)
        expires_at_s = self._check_times(claims, unix_time_s)
        subject, role = claims['sub'], claims['role']
        if not (isinstance(subject, str) and 0 < len(subject) <= _MAX_SUBJECT_CHARS):
            raise _unauthorized(
                f'the claim sub must be a string of 1 to {_MAX_SUBJECT_CHARS} characters'
            )
        if role not in ROLES:
            raise _unauthorized('the claim role must be sender or receiver')
        return Principal(subject, (role,), expires_at_s, _cameras(claims))

    def _verified(self, token: str) -> dict[str, Any]:
        """Return the claims of a token whose signature and audience are right."""
        try:
            key = self._key(token)
            # The times are checked against the caller's clock, not PyJWT's.
            decoded = jwt.decode_complete(
                token,
                key.key,
                algorithms=[key.algorithm],
                audience=self._audience,
                options={
                    'require': ['exp', 'aud', 'sub', 'role'],
                    'verify_exp': False,
                    'verify_nbf': False,
                    'verify_iat': False,
                },
            )
        except (jwt.PyJWTError, RecursionError) as error:
            # Older versions of PyJWT let a header nest too deeply. Not chained: the cause may
            # quote the token.
            reason = next(reason for kind, reason in _REASONS if isinstance(error, kind))
            genuine = isinstance(error, _GENUINE)
            raise (_unauthorized(reason) if genuine else WrongTokenError(reason)) from None
        if 'crit' in decoded['header']:
            raise _unauthorized("the token's header asks for what is not understood here (crit)")
        claims: dict[str, Any] = decoded['payload']
        return claims

    def _key(self, token: str) -> JwtKey:
        if len(self._keys) == 1:
            return next(iter(self._keys.values()))
        kid = jwt.get_unverified_header(token).get('kid')
        if kid not in self._keys:
            raise WrongTokenError('the token names none of the keys by its kid')
        return self._keys[kid]

    def _check_times(self, claims: dict[str, Any], unix_time_s: float) -> float:
        """Return from when on the token is not taken any more."""
        expires_at_s = _time_s(claims, 'exp') + self._leeway_s
        if unix_time_s >= expires_at_s:
            raise _unauthorized('the token has expired')
        latest_s = unix_time_s + self._leeway_s
        if 'nbf' in claims and _time_s(claims, 'nbf') > latest_s:
            raise _unauthorized('the token is not valid yet')
        if 'iat' in claims and _time_s(claims, 'iat') > latest_s:
            raise _unauthorized('the token was issued in the future: one of the clocks is wrong')
        return expires_at_s


def _time_s(claims: dict[str, Any], name: str) -> float:
    value = claims[name]
    # bool is an int; NaN, which JSON has not but Python reads, is neither below nor above.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _unauthorized(f'the claim {name} must be a number of seconds')
    if not 0 <= value <= _MAX_TIME_S:
        raise _unauthorized(f'the claim {name} must be a number of seconds since 1970')
    return float(value)


def _cameras(claims: dict[str, Any]) -> tuple[str, ...] | None:
    if 'cameras' not in claims:
        return None
    cameras = claims['cameras']
    if not isinstance(cameras, list) or not all(isinstance(name, str) for name in cameras):
        raise _unauthorized('the claim cameras must be a list of strings')
    return tuple(cameras)


def _unauthorized(reason: str) -> ProtocolError:
    return ProtocolError('unauthorized', reason, fatal=True)
