"""What the core asks its shell to do."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from rtc_signaling.errors import ProtocolError
from rtc_signaling.sessions import Client, CloseCode


# Not frozen: a frozen dataclass takes four times as long to make, and there is one a message.
@dataclass(slots=True)
class Send:
    """Effect: write `data`, a message of type `kind`, to the connection `link`."""

    link: Hashable
    data: bytes
    kind: str


@dataclass(frozen=True, slots=True)
class Close:
    """Effect: close the connection `link`."""

    link: Hashable
    code: CloseCode
    reason: str


@dataclass(frozen=True, slots=True)
class Changed:
    """Effect: a client came, went away or left; for logs, status and metrics."""

    client: Client
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Effect: a client was told an error; for logs and metrics."""

    client: Client
    error: ProtocolError


@dataclass(frozen=True, slots=True)
class Negotiated:
    """Effect: an offer was answered, `duration_s` after it came; for metrics."""

    duration_s: float


Effect = Send | Close | Changed | Refused | Negotiated
