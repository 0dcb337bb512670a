"""Which server is tested, and with which credentials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """Name a server and the credentials for it.

    Attributes:
        url: ws://HOST:PORT/ or wss://HOST:PORT/.
        token: Admits receivers, and no sender.
        sender_token: Admits senders.
        other_token: Admits receivers, as another subject than `token`; '' if there is none.
        restricted_token: Admits receivers, but to none of the kit's senders; '' if there is none.
        mint_expiring: Returns a token of the subject of `token` that soon expires; None if there
            is none.
        narrow_token: Of the subject of `token`, but to none of the kit's senders; '' if there is
            none.
        expired_token: Was good for receivers until a while ago; '' if there is none.
        is_foreign: Whether somebody else runs the server.
    """

    url: str
    token: str
    sender_token: str
    other_token: str = ''
    restricted_token: str = ''
    mint_expiring: Callable[[], str] | None = None
    narrow_token: str = ''
    expired_token: str = ''
    is_foreign: bool = False
