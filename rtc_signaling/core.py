"""The signaling server without its sockets.

`SignalingCore` takes what happened and the time, and returns effects, in order; the shell
(`server.py`) carries them out. It knows no clock, no socket and no thread. Times are monotonic
seconds (`now_s`), but for tokens, which are dated in Unix time (`unix_s`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from msgspec import UNSET, UnsetType

from rtc_signaling.admission import Door, Request, Rules, still_admits
from rtc_signaling.auth import RECEIVER, SENDER, Authenticator, Principal
from rtc_signaling.delivery import Receipts
from rtc_signaling.effects import Changed, Close, Effect, Negotiated, Refused
from rtc_signaling.errors import ProtocolError
from rtc_signaling.ice import IceManager
from rtc_signaling.limits import Violations
from rtc_signaling.messages import (
    CONNECTION_LOST,
    PROTOCOL_VERSION,
    Ack,
    Answer,
    Authenticate,
    Bye,
    Connected,
    Encoder,
    Error,
    Forwarded,
    IceCandidate,
    Message,
    Offer,
    Peer,
    Ping,
    Pong,
    Stats,
)
from rtc_signaling.post import Post
from rtc_signaling.presence import Presence
from rtc_signaling.routing import find_session, keep_session
from rtc_signaling.sdp import SdpManager
from rtc_signaling.sessions import (
    MAX_VIOLATIONS,
    VIOLATIONS_WINDOW_S,
    Client,
    CloseCode,
    PeerEvent,
    PeerState,
    SessionEvent,
)

# What is wrong with a message in itself, whatever others do meanwhile.
_VIOLATIONS = frozenset(
    {
        'forbidden_client_id',
        'forbidden_message',
        'invalid_candidate',
        'invalid_json',
        'invalid_message',
        'invalid_sdp',
    }
)
_CLOSE_CODES = {
    'forbidden_role': CloseCode.FORBIDDEN,
    'name_taken': CloseCode.NAME_TAKEN,
    'rate_limited': CloseCode.TOO_MANY_MESSAGES,
    'timeout': CloseCode.TIMEOUT,
    'too_many_connections': CloseCode.TRY_AGAIN_LATER,
    'unauthorized': CloseCode.UNAUTHORIZED,
}


class SignalingCore:
    """Decide what each message and each connection leads to.

    Every public method returns the effects to carry out, in order. One thread may call.

    Args:
        rules: The operator's limits.
        authenticator: Who may come in.
        ice: The ICE servers to hand out, and the check of candidates.
        new_secret: Makes an unguessable string of 128 bits or more.
    """

    def __init__(
        self,
        rules: Rules,
        authenticator: Authenticator,
        ice: IceManager,
        new_secret: Callable[[], str],
    ) -> None:
        self._rules = rules
        self._authenticator = authenticator
        self._ice = ice
        self._sdp = SdpManager()
        self._encoder = Encoder()
        self._door = Door(rules.max_connections, new_secret)
        self._post = Post(self._door, self._encoder)
        self._presence = Presence(self._door, self._post)

    @property
    def clients(self) -> dict[str, Client]:
        """The clients that are in or away, by client_id."""
        return self._door.clients

    @property
    def rules(self) -> Rules:
        """The operator's limits; set them to change them at run time."""
        return self._rules

    @rules.setter
    def rules(self, rules: Rules) -> None:
        self._rules = rules
        self._door.max_connections = rules.max_connections

    def has_room(self, role: str, client_id: str) -> bool:
        """Tell whether one more connection may come; one place is kept for a sender."""
        return self._door.has_room(role, client_id)

    def connect(
        self, link: Hashable, request: Request, now_s: float, unix_s: float
    ) -> tuple[Client, list[Effect]]:
        """Take a new connection."""
        deadline_s = now_s + self._rules.authentication_timeout_s
        client = Client(link, request.role, request.client_id, deadline_s)
        self._door.entering.add(client)
        needs_token = self._authenticator.required and request.token is None
        if needs_token or request.waits:
            return client, []
        first = Authenticate(token=request.token or '')
        return client, self.authenticate(client, first, now_s, unix_s)

    def authenticate(
        self, client: Client, message: Authenticate, now_s: float, unix_s: float
    ) -> list[Effect]:
        """Let a client in, or renew the credential of one that is in."""
        if client.state is PeerState.CLOSED:
            return []
        try:
            principal = self._authenticator.authenticate(message.token, unix_s)
            if client.state is PeerState.READY:
                return self._renew(client, principal, message)
            return self._enter(client, principal, message, unix_s)
        except ProtocolError as error:
            return self.reject(client, error, now_s, message.msg_id)

    def forward(self, client: Client, message: Forwarded, now_s: float) -> list[Effect]:
        """Take a message for a peer, check it, and pass it on."""
        if client.state is not PeerState.READY:
            return self._turn_away(client, message.msg_id, now_s)
        try:
            done = self._receipt(client, message)
            if done is not None:
                return self._acknowledge(client, message, done)
            return self._forward(client, message, now_s)
        except ProtocolError as error:
            return self.reject(client, error, now_s, message.msg_id)

    def ping(self, client: Client, message: Ping, now_s: float) -> list[Effect]:
        """Answer a ping."""
        if client.state is not PeerState.READY:
            return self._turn_away(client, message.msg_id, now_s)
        return [self._post.reply(client, Pong(msg_id=message.msg_id))]

    def pong(self, client: Client, message: Pong, now_s: float) -> list[Effect]:
        """Take a pong: that something came is all there is to it."""
        if client.state is not PeerState.READY:
            return self._turn_away(client, message.msg_id, now_s)
        return self._acknowledge(client, message, 'delivered')

    def leave(self, client: Client, message: Message, now_s: float) -> list[Effect]:
        """Let a client go that says goodbye."""
        if client.state is not PeerState.READY:
            return self._turn_away(client, message.msg_id, now_s)
        effects = self._acknowledge(client, message, 'delivered')
        effects += self._remove(client, 'left')
        return [*effects, Close(client.link, CloseCode.NORMAL, 'left')]

    def reject(
        self,
        client: Client,
        error: ProtocolError,
        now_s: float,
        msg_id: str | UnsetType = UNSET,
    ) -> list[Effect]:
        """Tell a client what was wrong; close its connection if that is fatal, or too often."""
        answer = Error(
            code=error.code,
            message=error.message,
            retry=error.retry,
            retry_after_s=UNSET if error.retry_after_s is None else error.retry_after_s,
            msg_id=msg_id,
        )
        effects: list[Effect] = [
            Refused(client, error),
            self._post.reply(client, answer),
        ]
        if error.fatal:
            code = _CLOSE_CODES.get(error.code, CloseCode.PROTOCOL_ERROR)
            return effects + self._expel(client, code, error.code)
        if error.code in _VIOLATIONS:
            if client.violations is None:
                client.violations = Violations(MAX_VIOLATIONS, VIOLATIONS_WINDOW_S)
            if client.violations.add(now_s):
                effects += self._expel(client, CloseCode.PROTOCOL_ERROR, 'too many violations')
        return effects

    def undecoded(
        self, client: Client, error: ProtocolError, now_s: float, msg_id: str | UnsetType
    ) -> list[Effect]:
        """Answer what was no message, as far as it goes."""
        if client.state is not PeerState.READY:
            return self._turn_away(client, msg_id, now_s)
        return self.reject(client, error, now_s, msg_id)

    def disconnected(self, client: Client, reason: str, now_s: float) -> list[Effect]:
        """Take the end of a connection; harmless when the client is out already.

        Args:
            client: Whose connection it was.
            reason: `connection_lost`, or if it was closed for good `left` or `refused`.
            now_s: The time.
        """
        if client.state is not PeerState.READY or reason != CONNECTION_LOST:
            return self._remove(client, reason)
        client.change(PeerEvent.LOST)
        client.deadline_s = now_s + self._rules.limits.resume_window_s
        effects: list[Effect] = [Changed(client, 'connection lost')]
        away = self._door.away()
        if len(away) > self._rules.max_connections:
            effects += self._remove(away[0], CONNECTION_LOST)
        return effects

    def tick(self, now_s: float, unix_s: float) -> list[Effect]:
        """Do what is due: call it once a second or so."""
        effects: list[Effect] = []
        for client in [*self._door.entering, *self._door.clients.values()]:
            if client.deadline_s is not None and now_s >= client.deadline_s:
                effects += self._on_deadline(client, now_s)
            elif client.state is PeerState.READY and _expired(client.principal, unix_s):
                error = ProtocolError('unauthorized', 'the token has expired', fatal=True)
                effects += self.reject(client, error, now_s)
        return effects

    def disconnect_all(self, reason: str) -> list[Effect]:
        """Close every connection; the clients may come back."""
        effects: list[Effect] = []
        for client in [*self._door.entering, *self._door.clients.values()]:
            # They may come back, so nobody has to think that they were sent away.
            effects += self._remove(client, CONNECTION_LOST)
            effects.append(Close(client.link, CloseCode.GOING_AWAY, reason))
        return effects

    def _enter(
        self, client: Client, principal: Principal, message: Authenticate, unix_s: float
    ) -> list[Effect]:
        old, resumed = self._door.enter(client, principal, message)
        effects: list[Effect] = []
        if old is not None and old.link is not None:
            reason = 'a newer connection has this client_id'
            effects.append(Close(old.link, CloseCode.REPLACED, reason))
        effects.append(Changed(client, 'resumed' if resumed else 'connected'))
        effects.append(self._post.reply(client, self._welcome(client, resumed, unix_s)))
        effects += self._acknowledge(client, message, 'delivered')
        last_seq = message.last_seq if resumed and message.last_seq is not UNSET else None
        effects += self._post.resume(client, last_seq)
        return effects + self._presence.entered(client, old, resumed)

    def _renew(self, client: Client, principal: Principal, message: Authenticate) -> list[Effect]:
        old = client.principal
        if old is None or principal.subject != old.subject or not still_admits(principal, client):
            reason = 'the token is of another subject, or does not admit this client'
            raise ProtocolError('unauthorized', reason, fatal=True)
        client.principal = principal
        effects = self._acknowledge(client, message, 'delivered')
        return effects + self._presence.readmitted(client, old)

    def _welcome(self, client: Client, resumed: bool, unix_s: float) -> Connected:
        return Connected(
            client_id=client.client_id,
            role=client.role,
            protocol=PROTOCOL_VERSION,
            polite=client.role == RECEIVER,
            ice_servers=list(self._ice.ice_servers(client.client_id, unix_s)),
            peers=[
                Peer(
                    client_id=peer.client_id,
                    role=peer.role,
                    name=peer.client_id,
                    cameras=list(peer.cameras) or UNSET,
                )
                for peer in self._presence.counterparts(client)
            ],
            resume_token=client.resume_token,
            resumed=resumed,
            heartbeat_s=self._rules.heartbeat_s,
            timeout_s=self._rules.timeout_s,
            limits=self._rules.limits,
        )

    def _turn_away(self, client: Client, msg_id: str | UnsetType, now_s: float) -> list[Effect]:
        """Answer what came before the client was in, or after it went."""
        if client.state is PeerState.CLOSED:
            return []
        error = ProtocolError('unauthorized', 'authenticate first', fatal=True)
        return self.reject(client, error, now_s, msg_id)

    def _forward(self, client: Client, message: Forwarded, now_s: float) -> list[Effect]:
        self._check(client, message)
        session, peer = find_session(self._door.clients, client, message)
        if isinstance(message, Answer):
            session.check_offer(message.offer_id, peer.role)
        elif isinstance(message, Bye):
            session.check_offer(message.offer_id, client.role, peer.role)
        event = _EVENTS.get((client.role, type(message)))
        state = session.after(event) if event is not None else session.state
        sent = self._post.forward(peer, message, session, client)
        session.state = state
        keep_session(session, client, peer)
        status = 'delivered'
        if sent is None:
            status = 'dropped' if isinstance(message, Stats) else 'queued'
        effects = self._acknowledge(client, message, status)
        if isinstance(message, Offer):
            session.offered_at_s = now_s
            session.offer_ids[client.role] = message.offer_id
        elif isinstance(message, Answer) and session.offered_at_s is not None:
            effects.append(Negotiated(now_s - session.offered_at_s))
        return effects if sent is None else [sent, *effects]

    def _check(self, client: Client, message: Forwarded) -> None:
        if isinstance(message, Offer):
            self._sdp.check(message.sdp, 'offer')
        elif isinstance(message, Answer):
            self._sdp.check(message.sdp, 'answer')
        elif isinstance(message, IceCandidate):
            self._ice.check_candidate(message.candidate)
        elif isinstance(message, Stats) and client.role == SENDER:
            raise ProtocolError('forbidden_message', 'only receivers send stats')

    def _receipt(self, client: Client, message: Message) -> str | None:
        if message.msg_id is UNSET or client.receipts is None:
            return None
        return client.receipts.get(message.msg_id)

    def _acknowledge(self, client: Client, message: Message, status: str) -> list[Effect]:
        if message.msg_id is UNSET:
            return []
        if client.receipts is None:
            client.receipts = Receipts()
        client.receipts.add(message.msg_id, status)
        ack = Ack(msg_id=message.msg_id, status=status)
        return [self._post.reply(client, ack)]

    def _on_deadline(self, client: Client, now_s: float) -> list[Effect]:
        if client.state is PeerState.AWAY:
            return self._remove(client, CONNECTION_LOST)
        error = ProtocolError(
            'timeout', 'no authenticate message came in time', retry=True, fatal=True
        )
        return self.reject(client, error, now_s)

    def _expel(self, client: Client, code: CloseCode, reason: str) -> list[Effect]:
        return [*self._remove(client, 'refused'), Close(client.link, code, reason)]

    def _remove(self, client: Client, reason: str) -> list[Effect]:
        """Take a client out for good, and tell who has to know."""
        if client.state is PeerState.CLOSED:
            return []
        self._door.entering.discard(client)
        known = self._door.clients.get(client.client_id) is client
        client.change(PeerEvent.ENDED)
        effects: list[Effect] = [Changed(client, reason)]
        if not known:
            return effects
        del self._door.clients[client.client_id]
        return effects + self._presence.left(client, reason)


_EVENTS: dict[tuple[str, type[Message]], SessionEvent] = {
    (RECEIVER, Offer): SessionEvent.RECEIVER_OFFER,
    (RECEIVER, Answer): SessionEvent.RECEIVER_ANSWER,
    (SENDER, Offer): SessionEvent.SENDER_OFFER,
    (SENDER, Answer): SessionEvent.SENDER_ANSWER,
}


def _expired(principal: Principal | None, unix_s: float) -> bool:
    expires_at_s = principal.expires_at_s if principal is not None else None
    return expires_at_s is not None and unix_s >= expires_at_s
