"""Connection state: who is connected, who talks to whom, and what may happen next.

This is the server without its sockets. It takes what happened and returns effects, in order; the
shell (`server.py`) carries them out. It knows no clock and no I/O, and each change of state is a
row of one of the two tables below.

A *peer* is one client's connection; a *session* is one receiver talking to one sender. A session
is named by its receiver's client_id in both directions (docs/protocol.md).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import msgspec
from msgspec import UNSET, UnsetType

from rtc_signaling.auth import RECEIVER, ROLES, SENDER, Authenticator, Principal
from rtc_signaling.config import CLIENT_ID
from rtc_signaling.errors import ProtocolError
from rtc_signaling.messages import (
    PROTOCOL_VERSION,
    Answer,
    Authenticate,
    Connected,
    Error,
    IceCandidate,
    IceServer,
    Message,
    Offer,
    Peer,
    PeerJoined,
    PeerLeft,
    Signal,
)


class CloseCode(enum.IntEnum):
    """Name the WebSocket close codes of docs/protocol.md."""

    NORMAL = 1000
    GOING_AWAY = 1001
    TRY_AGAIN_LATER = 1013
    PROTOCOL_ERROR = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    TIMEOUT = 4408
    REPLACED = 4409
    NAME_TAKEN = 4423


class PeerState(enum.Enum):
    """Say where a client's connection stands."""

    AUTHENTICATING = 'authenticating'
    READY = 'ready'
    CLOSED = 'closed'


class SessionState(enum.Enum):
    """Say where the negotiation between a receiver and a sender stands."""

    NEW = 'new'
    RECEIVER_OFFERED = 'receiver_offered'
    SENDER_OFFERED = 'sender_offered'
    STABLE = 'stable'


PEER_TRANSITIONS: dict[tuple[PeerState, str], PeerState] = {
    (PeerState.AUTHENTICATING, 'authenticated'): PeerState.READY,
    (PeerState.AUTHENTICATING, 'ended'): PeerState.CLOSED,
    (PeerState.READY, 'ended'): PeerState.CLOSED,
}

# On glare (both offered) the sender, which is impolite, wins: the receiver rolls back its offer
# and answers. A new offer supersedes the older one of the same side.
SESSION_TRANSITIONS: dict[tuple[SessionState, str], SessionState] = {
    (SessionState.NEW, 'receiver_offer'): SessionState.RECEIVER_OFFERED,
    (SessionState.NEW, 'sender_offer'): SessionState.SENDER_OFFERED,
    (SessionState.RECEIVER_OFFERED, 'receiver_offer'): SessionState.RECEIVER_OFFERED,
    (SessionState.RECEIVER_OFFERED, 'sender_offer'): SessionState.SENDER_OFFERED,
    (SessionState.RECEIVER_OFFERED, 'sender_answer'): SessionState.STABLE,
    (SessionState.SENDER_OFFERED, 'receiver_offer'): SessionState.SENDER_OFFERED,
    (SessionState.SENDER_OFFERED, 'sender_offer'): SessionState.SENDER_OFFERED,
    (SessionState.SENDER_OFFERED, 'receiver_answer'): SessionState.STABLE,
    (SessionState.STABLE, 'receiver_offer'): SessionState.RECEIVER_OFFERED,
    (SessionState.STABLE, 'sender_offer'): SessionState.SENDER_OFFERED,
}


@dataclass(eq=False, slots=True)
class Client:
    """Hold what is known of one connection.

    Attributes:
        link: The shell's handle of the connection; the core only hands it back in effects.
        wished_role: The role that the request asked for.
        wished_id: The client_id that the request asked for, or ''.
    """

    link: Hashable
    wished_role: str
    wished_id: str
    state: PeerState = PeerState.AUTHENTICATING
    role: str = RECEIVER
    client_id: str = ''
    subject: str = ''
    sessions: dict[str, Session] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Session:
    """Hold one receiver's talk with one sender."""

    receiver_id: str
    sender_id: str
    state: SessionState = SessionState.NEW


@dataclass(frozen=True, slots=True)
class Send:
    """Effect: send `message` to `client`."""

    client: Client
    message: Message


@dataclass(frozen=True, slots=True)
class Close:
    """Effect: close the connection of `client`."""

    client: Client
    code: CloseCode
    reason: str


@dataclass(frozen=True, slots=True)
class Changed:
    """Effect: a client changed its state; for logs, status and metrics."""

    client: Client
    state: PeerState
    reason: str


Effect = Send | Close | Changed


@dataclass(frozen=True, slots=True)
class Rules:
    """Hold what the operator decided, as far as the core needs it."""

    max_connections: int
    heartbeat_s: float
    timeout_s: float
    ice_servers: tuple[IceServer, ...]


class SignalingCore:
    """Decide what each message and each connection leads to.

    Every method returns the effects to carry out, in order. One thread may call.

    Args:
        rules: The operator's limits.
        authenticator: Who may come in.
        new_client_id: Makes an unguessable client_id for clients that wish none.
    """

    def __init__(
        self, rules: Rules, authenticator: Authenticator, new_client_id: Callable[[], str]
    ) -> None:
        self._rules = rules
        self._authenticator = authenticator
        self._new_client_id = new_client_id
        self._clients: dict[str, Client] = {}
        self._entering: set[Client] = set()

    @property
    def clients(self) -> dict[str, Client]:
        """The clients that are in, by client_id."""
        return self._clients

    def has_room(self, role: str) -> bool:
        """Tell whether one more connection may come; one place is kept for a sender."""
        places = self._rules.max_connections + (role == SENDER)
        return len(self._clients) + len(self._entering) < places

    def connect(
        self, link: Hashable, role: str, wished_id: str, token: str | None
    ) -> tuple[Client, list[Effect]]:
        """Take a new connection, with the token that its request carried, if any."""
        client = Client(link, role, wished_id)
        self._entering.add(client)
        if token is None and self._authenticator.required:
            return client, []
        return client, self._guard(client, lambda: self._enter(client, token or ''))

    def authenticate(self, client: Client, message: Authenticate) -> list[Effect]:
        """Take the first message of a client that showed no token in its request."""
        return self._guard(client, lambda: self._on_authenticate(client, message), message)

    def offer(self, client: Client, message: Offer) -> list[Effect]:
        """Take an offer, and forward it to its peer."""
        return self._guard(client, lambda: self._forward(client, message, 'offer'), message)

    def answer(self, client: Client, message: Answer) -> list[Effect]:
        """Take an answer, and forward it to the peer that made the offer."""
        return self._guard(client, lambda: self._forward(client, message, 'answer'), message)

    def ice_candidate(self, client: Client, message: IceCandidate) -> list[Effect]:
        """Take an ICE candidate, and forward it to its peer."""
        return self._guard(client, lambda: self._forward(client, message, None), message)

    def leave(self, client: Client) -> list[Effect]:
        """Let a client go that says goodbye."""
        return [*self._remove(client, 'left'), Close(client, CloseCode.NORMAL, 'left')]

    def reject(
        self, client: Client, error: ProtocolError, message: Message | None = None
    ) -> list[Effect]:
        """Answer what cannot be served; close the connection if the error is fatal."""
        msg_id = message.msg_id if message is not None else UNSET
        effects: list[Effect] = [
            Send(
                client,
                Error(
                    code=error.code,
                    message=error.message,
                    retry=error.retry,
                    msg_id=msg_id,
                ),
            )
        ]
        if error.fatal:
            effects += self._expel(client, error)
        return effects

    def authentication_timed_out(self, client: Client) -> list[Effect]:
        """Turn away a client that showed no token in time; nothing if it did meanwhile."""
        if client.state is not PeerState.AUTHENTICATING:
            return []
        return self.reject(
            client, ProtocolError('timeout', 'no authenticate message came in time', fatal=True)
        )

    def disconnected(self, client: Client, reason: str) -> list[Effect]:
        """Take the end of a connection; harmless when the client is out already."""
        return self._remove(client, reason)

    def _guard(
        self, client: Client, action: Callable[[], list[Effect]], message: Message | None = None
    ) -> list[Effect]:
        if client.state is PeerState.CLOSED:
            return []
        try:
            return action()
        except ProtocolError as error:
            return self.reject(client, error, message)

    def _on_authenticate(self, client: Client, message: Authenticate) -> list[Effect]:
        if client.state is PeerState.READY:
            # A page cannot know whether the server asks for tokens: it always shows what it has.
            self._authenticator.authenticate(message.token)
            return []
        if message.role is not UNSET:
            client.wished_role = message.role
        if message.client_id is not UNSET:
            client.wished_id = message.client_id
        return self._enter(client, message.token)

    def _enter(self, client: Client, token: str) -> list[Effect]:
        principal = self._authenticator.authenticate(token)
        self._check_wishes(client, principal)
        client_id = client.wished_id or self._new_client_id()
        old = self._clients.get(client_id)
        effects = self._take_over(client_id, old, principal, client.wished_role)
        self._entering.discard(client)
        client.role, client.client_id, client.subject = (
            client.wished_role,
            client_id,
            principal.subject,
        )
        if old is not None:
            client.sessions = old.sessions
        self._clients[client_id] = client
        effects += self._change(client, 'authenticated', 'connected')
        effects.append(Send(client, self._welcome(client)))
        joined = PeerJoined(client_id=client_id, role=client.role, name=client_id)
        return effects + [Send(peer, joined) for peer in self._counterparts(client)]

    def _check_wishes(self, client: Client, principal: Principal) -> None:
        role = client.wished_role
        if role not in ROLES:
            raise ProtocolError(
                'invalid_message', f'role = {role!r}: must be sender or receiver', fatal=True
            )
        if client.wished_id and not CLIENT_ID.fullmatch(client.wished_id):
            raise ProtocolError(
                'invalid_message',
                f'client_id = {client.wished_id!r}: must match {CLIENT_ID.pattern}',
                fatal=True,
            )
        if role not in principal.roles:
            raise ProtocolError('forbidden_role', f'the token admits no {role}', fatal=True)
        # The request may have claimed the sender's place and then ask to be a receiver.
        taken = len(self._clients) + len(self._entering) - 1
        if role == RECEIVER and taken >= self._rules.max_connections:
            raise ProtocolError(
                'too_many_connections', 'all places are taken', retry=True, fatal=True
            )

    def _take_over(
        self, client_id: str, old: Client | None, principal: Principal, role: str
    ) -> list[Effect]:
        """End the older connection of the same name, so that no ghost keeps a name."""
        if old is None:
            return []
        if old.subject != principal.subject or old.role != role:
            raise ProtocolError(
                'name_taken', f'client_id = {client_id!r}: another client has it', fatal=True
            )
        del self._clients[client_id]
        return [
            *self._change(old, 'ended', 'replaced'),
            Close(old, CloseCode.REPLACED, 'a newer connection took this client_id'),
        ]

    def _welcome(self, client: Client) -> Connected:
        return Connected(
            client_id=client.client_id,
            role=client.role,
            protocol=PROTOCOL_VERSION,
            polite=client.role == RECEIVER,
            ice_servers=list(self._rules.ice_servers),
            peers=[
                Peer(client_id=peer.client_id, role=peer.role, name=peer.client_id)
                for peer in self._counterparts(client)
            ],
            heartbeat_s=self._rules.heartbeat_s,
            timeout_s=self._rules.timeout_s,
        )

    def _counterparts(self, client: Client) -> list[Client]:
        return [peer for peer in self._clients.values() if peer.role != client.role]

    def _forward(self, client: Client, message: Signal, step: str | None) -> list[Effect]:
        if client.state is not PeerState.READY:
            raise ProtocolError('unauthorized', 'authenticate first', fatal=True)
        receiver, sender = self._route(client, message)
        session = receiver.sessions.get(sender.client_id)
        if session is None:
            session = receiver.sessions[sender.client_id] = Session(
                receiver.client_id, sender.client_id
            )
        if step is not None:
            self._advance(session, f'{client.role}_{step}')
        stamped = msgspec.structs.replace(message, client_id=receiver.client_id)
        return [Send(sender if client is receiver else receiver, stamped)]

    def _advance(self, session: Session, event: str) -> None:
        try:
            session.state = SESSION_TRANSITIONS[session.state, event]
        except KeyError:
            raise ProtocolError(
                'invalid_state', f'{event} is not possible in state {session.state.value}'
            ) from None

    def _route(self, client: Client, message: Signal) -> tuple[Client, Client]:
        """Return the receiver and the sender whose session the message belongs to."""
        if client.role == SENDER:
            return self._find(RECEIVER, message.client_id), client
        if message.client_id is not UNSET and message.client_id != client.client_id:
            raise ProtocolError(
                'forbidden_client_id',
                f'client_id = {message.client_id!r}: a receiver may only name itself',
            )
        wanted = message.sender_id if isinstance(message, Offer) else UNSET
        if wanted is UNSET and len(client.sessions) == 1:
            wanted = next(iter(client.sessions))
        return client, self._find(SENDER, wanted)

    def _find(self, role: str, client_id: str | UnsetType) -> Client:
        if client_id is UNSET:
            candidates = [peer for peer in self._clients.values() if peer.role == role]
            if len(candidates) > 1:
                member = 'client_id' if role == RECEIVER else 'sender_id'
                raise ProtocolError(
                    'ambiguous_target', f'{member} is missing: there are several {role}s'
                )
            found = candidates[0] if candidates else None
        else:
            found = self._clients.get(client_id)
        if found is None or found.role != role:
            raise ProtocolError('peer_unavailable', f'there is no such {role} now', retry=True)
        return found

    def _expel(self, client: Client, error: ProtocolError) -> list[Effect]:
        codes = {
            'unauthorized': CloseCode.UNAUTHORIZED,
            'forbidden_role': CloseCode.FORBIDDEN,
            'name_taken': CloseCode.NAME_TAKEN,
            'timeout': CloseCode.TIMEOUT,
            'too_many_connections': CloseCode.TRY_AGAIN_LATER,
        }
        code = codes.get(error.code, CloseCode.PROTOCOL_ERROR)
        return [*self._remove(client, 'refused'), Close(client, code, error.code)]

    def _remove(self, client: Client, reason: str) -> list[Effect]:
        if client.state is PeerState.CLOSED:
            return []
        was_in = client.state is PeerState.READY
        effects = self._change(client, 'ended', reason)
        self._entering.discard(client)
        if not was_in:
            return effects
        del self._clients[client.client_id]
        counterparts = self._counterparts(client)
        for peer in counterparts:
            peer.sessions.pop(client.client_id, None)
        left = PeerLeft(client_id=client.client_id, role=client.role, reason=reason)
        return effects + [Send(peer, left) for peer in counterparts]

    def _change(self, client: Client, event: str, reason: str) -> list[Effect]:
        client.state = PEER_TRANSITIONS[client.state, event]
        return [Changed(client, client.state, reason)]
