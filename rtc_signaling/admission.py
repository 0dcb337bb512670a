"""The door of the server: names, roles, places, and coming back (docs/protocol.md, 2 and 5)."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass

from msgspec import UNSET

from rtc_signaling.auth import RECEIVER, ROLES, SENDER, Principal
from rtc_signaling.common_config import CLIENT_ID
from rtc_signaling.delivery import MAX_BYTES, MAX_MESSAGES
from rtc_signaling.errors import ProtocolError
from rtc_signaling.messages import Authenticate, Limits
from rtc_signaling.server_config import ServerConfig
from rtc_signaling.sessions import Client, PeerEvent, PeerState, SessionState


@dataclass(frozen=True, slots=True)
class Rules:
    """Hold what the operator decided, as far as the core needs it."""

    max_connections: int
    heartbeat_s: float
    timeout_s: float
    authentication_timeout_s: float
    limits: Limits

    @classmethod
    def of(cls, config: ServerConfig) -> Rules:
        """Return the rules that the parameters make."""
        return cls(
            max_connections=config.max_connections,
            heartbeat_s=config.timeout_s / 3,
            timeout_s=config.timeout_s,
            authentication_timeout_s=config.auth_timeout_s,
            limits=Limits(
                max_message_bytes=config.max_message_bytes,
                messages_per_s=config.message_rate_hz,
                burst=config.message_burst,
                queue_messages=MAX_MESSAGES,
                queue_bytes=MAX_BYTES,
                resume_window_s=config.resume_window_s,
            ),
        )


@dataclass(frozen=True, slots=True)
class Request:
    """Hold what a connection's HTTP request asked for.

    Attributes:
        role: The role, as it was written.
        client_id: The name, as it was written, or ''.
        token: The Bearer token, or None.
        waits: Whether the client wants to send `authenticate` first in any case.
    """

    role: str
    client_id: str
    token: str | None
    waits: bool


class Door:
    """Know who is in, who is away and who stands at the door.

    Args:
        max_connections: Places for connections; one more is kept for a sender.
        new_secret: Makes an unguessable string of 128 bits or more.
    """

    def __init__(self, max_connections: int, new_secret: Callable[[], str]) -> None:
        self.max_connections = max_connections
        self.clients: dict[str, Client] = {}
        self.entering: set[Client] = set()
        self._new_secret = new_secret

    def has_room(self, role: str, client_id: str) -> bool:
        """Tell whether one more connection may come: there is a place, or it takes its own."""
        if client_id in self.clients:
            return len(self.entering) <= self.max_connections
        return self._connections() < self.max_connections + (role == SENDER)

    def enter(
        self, client: Client, principal: Principal, message: Authenticate
    ) -> tuple[Client | None, bool]:
        """Let a client in whose credential was accepted.

        Returns:
            The client that it takes the place of, if there was one, with its `link` set to None if
            its connection was gone already, and with what waited for it in vain; and whether it
            resumes what that one had. One that begins anew has the same sessions, too, unless its
            credential admits other cameras: then the older client has yet to be parted from them.

        Raises:
            ProtocolError: It asked for what it may not have.
        """
        if message.role is not UNSET:
            client.wished_role = message.role
        if message.client_id is not UNSET:
            client.wished_id = message.client_id
        _check_wishes(client, principal)
        old = self.clients.get(client.wished_id)
        self._check_room(client, old)
        resumed = False
        if old is not None:
            _check_takeover(client, principal, old)
            resumed = _can_resume(old, message)
            if resumed or _sees_as(principal, old.principal):
                self._inherit(client, old, resumed)
            _end(old)
        self.entering.discard(client)
        client.deadline_s = None
        client.role, client.principal = client.wished_role, principal
        if client.role == SENDER and message.cameras is not UNSET:
            client.cameras = tuple(dict.fromkeys(message.cameras))
        client.client_id = client.wished_id or self._new_secret()[:12]
        client.resume_token = self._new_secret()
        client.change(PeerEvent.WELCOMED)
        self.clients[client.client_id] = client
        return old, resumed

    def withdraw(self, client: Client) -> None:
        """Let nothing wait for others any more that a client sent which ends."""
        for peer_id in client.sessions:
            delivery = self.clients[peer_id].delivery
            if delivery is not None:
                delivery.withdraw(client.client_id)

    def forget_resumption(self, client: Client) -> None:
        """Make the client's resume token worthless."""
        client.resume_token = self._new_secret()

    def away(self) -> list[Client]:
        """Return the clients that are away, the longest first."""
        away = [client for client in self.clients.values() if client.state is PeerState.AWAY]
        return sorted(away, key=lambda client: client.deadline_s or 0.0)

    def _connections(self) -> int:
        return len(self.clients) - len(self.away()) + len(self.entering)

    def _check_room(self, client: Client, old: Client | None) -> None:
        # A request may claim the sender's place and then ask to be a receiver.
        replaced = old is not None and old.state is PeerState.READY
        if (
            client.wished_role == RECEIVER
            and self._connections() - replaced > self.max_connections
        ):
            raise ProtocolError(
                'too_many_connections', 'all places are taken', retry=True, fatal=True
            )

    def _inherit(self, client: Client, old: Client, resumed: bool) -> None:
        client.sessions = old.sessions
        if resumed:
            client.delivery, client.receipts = old.delivery, old.receipts
            client.cameras = old.cameras
            return
        self.withdraw(old)
        for session in client.sessions.values():
            session.state = SessionState.NEW
            session.offer_ids.pop(old.role, None)
        if old.delivery is not None:
            client.delivery = old.delivery.begin_anew()
            for item in client.delivery.waiting:
                client.sessions[item.from_id].state = (
                    SessionState.SENDER_OFFERED
                    if old.role == RECEIVER
                    else SessionState.RECEIVER_OFFERED
                )


def _end(old: Client) -> None:
    """End the older connection of a name, so that no ghost keeps it."""
    if old.state is PeerState.AWAY:
        old.link = None
    old.change(PeerEvent.ENDED)


def _check_wishes(client: Client, principal: Principal) -> None:
    role, client_id = client.wished_role, client.wished_id
    if role not in ROLES:
        raise ProtocolError(
            'invalid_message', f'role = {role!r:.80}: must be sender or receiver', fatal=True
        )
    if client_id and not CLIENT_ID.fullmatch(client_id):
        raise ProtocolError(
            'invalid_message',
            f'client_id = {client_id!r:.80}: must match {CLIENT_ID.pattern}',
            fatal=True,
        )
    if role not in principal.roles:
        raise ProtocolError('forbidden_role', f'the token admits no {role}', fatal=True)
    if role == SENDER and not principal.may_use(client_id):
        raise ProtocolError(
            'forbidden_role', f'the token admits no sender {client_id!r:.80}', fatal=True
        )


def still_admits(principal: Principal, client: Client) -> bool:
    """Tell whether a new credential of a client that is in admits its role and its name."""
    is_named = client.role != SENDER or principal.may_use(client.client_id)
    return is_named and client.role in principal.roles


def _sees_as(principal: Principal, other: Principal | None) -> bool:
    return other is not None and principal.cameras == other.cameras


def _check_takeover(client: Client, principal: Principal, old: Client) -> None:
    subject = old.principal.subject if old.principal is not None else ''
    if subject != principal.subject or old.role != client.wished_role:
        raise ProtocolError(
            'name_taken', f'client_id = {old.client_id!r}: another client has it', fatal=True
        )


def _can_resume(old: Client, message: Authenticate) -> bool:
    if message.resume_token is UNSET or not hmac.compare_digest(
        message.resume_token.encode(), old.resume_token.encode()
    ):
        return False
    last_seq = None if message.last_seq is UNSET else message.last_seq
    if old.delivery is None:
        return last_seq in (None, 0)
    return old.delivery.can_resume(last_seq)
