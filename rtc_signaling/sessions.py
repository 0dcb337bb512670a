"""Connection state: who is connected, who talks to whom, and what may happen next.

A *peer* is one client's connection; a *session* is one receiver's talk with one sender. Each
change of state is a row of one of the two tables below, and every pair that is not there is
refused. The diagrams in docs/protocol.md are made from the tables.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable
from dataclasses import dataclass, field

from msgspec import UNSET, UnsetType

from rtc_signaling.auth import RECEIVER, Principal
from rtc_signaling.delivery import Delivery, Receipts
from rtc_signaling.errors import ProtocolError
from rtc_signaling.limits import Violations


class CloseCode(enum.IntEnum):
    """Name the WebSocket close codes of docs/protocol.md, 9."""

    NORMAL = 1000
    GOING_AWAY = 1001
    FRAME_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    INVALID_DATA = 1007
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    TRY_AGAIN_LATER = 1013
    PROTOCOL_ERROR = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    TIMEOUT = 4408
    REPLACED = 4409
    TOO_SLOW = 4413
    NAME_TAKEN = 4423
    TOO_MANY_MESSAGES = 4429


class PeerState(enum.StrEnum):
    """Say where a client's connection stands."""

    AUTHENTICATING = 'authenticating'
    READY = 'ready'
    AWAY = 'away'
    CLOSED = 'closed'


class PeerEvent(enum.StrEnum):
    """Say what happened to a client's connection."""

    WELCOMED = 'welcomed'
    LOST = 'lost'
    ENDED = 'ended'


class SessionState(enum.StrEnum):
    """Say where the negotiation between a receiver and a sender stands."""

    NEW = 'new'
    RECEIVER_OFFERED = 'receiver_offered'
    SENDER_OFFERED = 'sender_offered'
    STABLE = 'stable'


class SessionEvent(enum.StrEnum):
    """Say what one side of a session did."""

    RECEIVER_OFFER = 'receiver_offer'
    RECEIVER_ANSWER = 'receiver_answer'
    SENDER_OFFER = 'sender_offer'
    SENDER_ANSWER = 'sender_answer'


# A client that comes back is a new peer, which takes over what the one that was away had: of that,
# "ended" is the last event too.
PEER_TRANSITIONS: dict[tuple[PeerState, PeerEvent], PeerState] = {
    (PeerState.AUTHENTICATING, PeerEvent.WELCOMED): PeerState.READY,
    (PeerState.AUTHENTICATING, PeerEvent.ENDED): PeerState.CLOSED,
    (PeerState.READY, PeerEvent.LOST): PeerState.AWAY,
    (PeerState.READY, PeerEvent.ENDED): PeerState.CLOSED,
    (PeerState.AWAY, PeerEvent.ENDED): PeerState.CLOSED,
}

# On glare (both offered) the sender, which is impolite, wins: the receiver rolls back its offer
# and answers. A new offer supersedes the older one of the same side.
SESSION_TRANSITIONS: dict[tuple[SessionState, SessionEvent], SessionState] = {
    (SessionState.NEW, SessionEvent.RECEIVER_OFFER): SessionState.RECEIVER_OFFERED,
    (SessionState.NEW, SessionEvent.SENDER_OFFER): SessionState.SENDER_OFFERED,
    (SessionState.RECEIVER_OFFERED, SessionEvent.RECEIVER_OFFER): SessionState.RECEIVER_OFFERED,
    (SessionState.RECEIVER_OFFERED, SessionEvent.SENDER_OFFER): SessionState.SENDER_OFFERED,
    (SessionState.RECEIVER_OFFERED, SessionEvent.SENDER_ANSWER): SessionState.STABLE,
    (SessionState.SENDER_OFFERED, SessionEvent.RECEIVER_OFFER): SessionState.SENDER_OFFERED,
    (SessionState.SENDER_OFFERED, SessionEvent.SENDER_OFFER): SessionState.SENDER_OFFERED,
    (SessionState.SENDER_OFFERED, SessionEvent.RECEIVER_ANSWER): SessionState.STABLE,
    (SessionState.STABLE, SessionEvent.RECEIVER_OFFER): SessionState.RECEIVER_OFFERED,
    (SessionState.STABLE, SessionEvent.SENDER_OFFER): SessionState.SENDER_OFFERED,
}

# docs/protocol.md, 8: more violations than this within this time end the connection.
MAX_VIOLATIONS = 5
VIOLATIONS_WINDOW_S = 10.0


@dataclass(eq=False, slots=True)
class Session:
    """Hold one receiver's talk with one sender.

    Attributes:
        receiver_id: The receiver's client_id.
        sender_id: The sender's.
        state: Where the negotiation stands.
        offered_at_s: When the last offer came (monotonic).
        offer_ids: What each side called its last offer, by role.
    """

    receiver_id: str
    sender_id: str
    state: SessionState = SessionState.NEW
    offered_at_s: float | None = None
    offer_ids: dict[str, str | UnsetType] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """What tells the session from all others."""
        return (self.receiver_id, self.sender_id)

    def check_offer(self, offer_id: str | UnsetType, *roles: str) -> None:
        """See that a message is about the last offer of one of these.

        Raises:
            ProtocolError: `invalid_state`: it names another; there is a newer one.
        """
        if offer_id is not UNSET and offer_id not in map(self.offer_ids.get, roles):
            raise ProtocolError(
                'invalid_state', f'offer_id = {offer_id!r} is not that of the last offer'
            )

    def after(self, event: SessionEvent) -> SessionState:
        """Return the state that the table has for after `event`.

        Raises:
            ProtocolError: `invalid_state`: the table has no such row.
        """
        try:
            return SESSION_TRANSITIONS[self.state, event]
        except KeyError:
            raise ProtocolError(
                'invalid_state', f'{event.value} is not possible in state {self.state.value}'
            ) from None


@dataclass(eq=False, slots=True)
class Client:
    """Hold what is known of one client.

    Attributes:
        link: The shell's handle of the connection; the core only hands it back in effects.
        wished_role: The role that it asked for.
        wished_id: The client_id that it asked for, or ''.
        deadline_s: When its state ends by itself (monotonic): no token in time, or not back in
            time; None for never.
        sessions: Its sessions by the other's client_id; both sides hold the same objects.
        cameras: What a sender calls its cameras; empty if it has not said.
    """

    link: Hashable
    wished_role: str
    wished_id: str
    deadline_s: float | None = None
    state: PeerState = PeerState.AUTHENTICATING
    role: str = RECEIVER
    client_id: str = ''
    principal: Principal | None = None
    resume_token: str = ''
    delivery: Delivery | None = None
    receipts: Receipts | None = None
    violations: Violations | None = None
    sessions: dict[str, Session] = field(default_factory=dict)
    cameras: tuple[str, ...] = ()

    def change(self, event: PeerEvent) -> None:
        """Go where the table says; a missing row is a bug of the caller."""
        self.state = PEER_TRANSITIONS[self.state, event]
