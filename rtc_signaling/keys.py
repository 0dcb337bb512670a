"""The key file of JWTs, the parameter `auth.key_file`. What stands in it says what it is:

- a public key of Ed25519 in PEM (`openssl pkey -pubout`);
- a JSON Web Key or a set of them (RFC 7517), each Ed25519 (`OKP`, RFC 8037) or a secret (`oct`);
- anything else is one line, the secret of HS256: 32 printable characters or more without spaces.
  They are the key as they stand, neither hexadecimal nor base64 is decoded.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from rtc_signaling import secret_files
from rtc_signaling.auth import MIN_SECRET_BYTES, JwtKey
from rtc_signaling.errors import ConfigurationError

_PARAMETER = 'auth.key_file'
_SECRET = re.compile(rf'[!-~]{{{MIN_SECRET_BYTES},}}')
_BASE64URL = re.compile(r'[A-Za-z0-9_-]+')
_ED25519_ONLY = 'the public key must be one of Ed25519'


def load(path: Path) -> tuple[JwtKey, ...]:
    """Return the keys of `path`, one or more; of several each has a `kid` of its own.

    Warns if others can read a secret.

    Raises:
        ConfigurationError: There is no such file, or it is none of the three.
    """
    file = secret_files.read(_PARAMETER, path)
    try:
        keys = _parse(file.text)
    except ValueError as error:
        raise ConfigurationError(_PARAMETER, str(path), str(error)) from None
    if any(isinstance(key.key, bytes) for key in keys):
        file.warn_if_exposed()
    return keys


def _parse(text: str) -> tuple[JwtKey, ...]:
    """Return the keys, or raise ValueError with the rule that is broken."""
    if text.lstrip().startswith('-----BEGIN'):
        return (_from_pem(text),)
    if text.lstrip().startswith('{'):
        return _from_json(text)
    secret = text.removesuffix('\n')
    if not _SECRET.fullmatch(secret):
        raise ValueError(
            'must be a public key of Ed25519 in PEM, a JSON Web Key (set), or one line with a '
            f'secret of {MIN_SECRET_BYTES} printable characters or more'
        )
    return (JwtKey(secret.encode()),)


def _from_pem(text: str) -> JwtKey:
    if 'PRIVATE KEY' in text:
        raise ValueError('must be the public key, not the private one: openssl pkey -pubout')
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(_ED25519_ONLY) from None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(_ED25519_ONLY)
    return JwtKey(key)


def _from_json(text: str) -> tuple[JwtKey, ...]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError('must be JSON, as it begins with {') from None
    jwks = content.get('keys', [content])
    if not isinstance(jwks, list) or not jwks:
        raise ValueError('keys must be a list of one key or more')
    keys = tuple(_from_jwk(f'keys[{index}]', jwk) for index, jwk in enumerate(jwks))
    kids = {key.kid for key in keys}
    if len(keys) > 1 and ('' in kids or len(kids) < len(keys)):
        raise ValueError('of several keys each must have a kid of its own')
    return keys


def _from_jwk(name: str, jwk: Any) -> JwtKey:
    if not isinstance(jwk, dict):
        raise ValueError(f'{name} must be an object')
    kid = jwk.get('kid', '')
    if jwk.get('kty') == 'OKP' and jwk.get('crv') == 'Ed25519':
        member, algorithm = 'x', 'EdDSA'
    elif jwk.get('kty') == 'oct':
        member, algorithm = 'k', 'HS256'
    else:
        raise ValueError(f'{name} must have kty OKP with crv Ed25519, or kty oct')
    if jwk.get('alg', algorithm) != algorithm:
        raise ValueError(f'{name}: alg must be {algorithm}, or be left out')
    if jwk.get('use', 'sig') != 'sig':
        raise ValueError(f'{name}: use must be sig, or be left out')
    if 'd' in jwk:
        raise ValueError(f'{name} must be the public key alone, without d')
    if not isinstance(kid, str):
        raise ValueError(f'{name}: kid must be a string')
    value = _decoded(f'{name}: {member}', jwk.get(member))
    try:
        return JwtKey(value if member == 'k' else Ed25519PublicKey.from_public_bytes(value), kid)
    except ValueError as error:
        raise ValueError(f'{name}: {error}') from None


def _decoded(name: str, text: Any) -> bytes:
    if not isinstance(text, str) or not _BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        raise ValueError(f'{name} must be base64url')
    return base64.urlsafe_b64decode(text + '=' * (-len(text) % 4))
