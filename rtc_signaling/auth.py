"""Who may come in, and as what. Pure: the tokens come from `tokens.py`."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Protocol

from rtc_signaling.errors import ProtocolError

SENDER = 'sender'
RECEIVER = 'receiver'
ROLES = (SENDER, RECEIVER)


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
    """

    subject: str
    roles: tuple[str, ...]


class Authenticator(Protocol):
    """Turn a credential into a principal."""

    @property
    def required(self) -> bool:
        """Whether a client must show a credential at all."""

    def authenticate(self, token: str) -> Principal:
        """Return whose `token` it is, or raise ProtocolError `unauthorized`."""


class TokenAuthenticator:
    """Admit holders of a shared token."""

    required = True

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def authenticate(self, token: str) -> Principal:
        """Return whose `token` it is; both comparisons always run, in constant time.

        Raises:
            ProtocolError: `unauthorized`; the message does not say more, and holds no token.
        """
        shown = token.encode()
        is_sender = hmac.compare_digest(shown, self._tokens.sender.encode())
        is_receiver = hmac.compare_digest(shown, self._tokens.receiver.encode())
        if is_sender:
            return Principal('sender', ROLES)
        if is_receiver:
            return Principal('receiver', (RECEIVER,))
        raise ProtocolError('unauthorized', 'the token is missing or wrong', fatal=True)


class OpenAuthenticator:
    """Admit anyone, in any role: `auth.mode: none`."""

    required = False

    def authenticate(self, token: str) -> Principal:
        """Return the one principal that everybody is."""
        return Principal('anonymous', ROLES)
