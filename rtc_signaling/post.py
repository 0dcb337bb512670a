"""Getting messages to clients, whether they are here or away (docs/protocol.md, 5)."""

from __future__ import annotations

from msgspec import UNSET
from msgspec.structs import replace

from rtc_signaling.admission import Door
from rtc_signaling.delivery import Delivery, Numbered
from rtc_signaling.effects import Effect, Send
from rtc_signaling.errors import ProtocolError
from rtc_signaling.messages import (
    Encoder,
    Error,
    Forwarded,
    FromServerMessage,
    Message,
    Stats,
    kind_of,
)
from rtc_signaling.sessions import Client, PeerState, Session


class Post:
    """Deliver messages to clients that are here, and keep them for those that are away."""

    def __init__(self, door: Door, encoder: Encoder) -> None:
        self._door = door
        self._encoder = encoder

    def forward(
        self, peer: Client, message: Forwarded, session: Session, origin: Client
    ) -> Send | None:
        """Return the effect that delivers a client's message, or None for a peer that is away.

        It gets the names of its session, whatever it had, and loses its `msg_id`.

        Raises:
            ProtocolError: `peer_unavailable`: the peer is away and its queue is full.
        """
        names = {'client_id': session.receiver_id, 'sender_id': session.sender_id}
        if isinstance(message, Stats):
            # Figures are of use at once or never: they are neither replayed nor kept waiting.
            if peer.state is not PeerState.READY:
                return None
            return self.reply(peer, replace(message, **names, msg_id=UNSET, seq=UNSET))
        delivery = self._delivery(peer)
        if peer.state is PeerState.READY:
            return _send(peer, delivery.number(message, **names, msg_id=UNSET))
        msg_id = '' if message.msg_id is UNSET else message.msg_id
        stamped = replace(message, **names, msg_id=UNSET, seq=UNSET)
        if not delivery.wait(stamped, session.key, origin.client_id, msg_id):
            raise ProtocolError(
                'peer_unavailable', f'the {peer.role} is away and its queue is full', retry=True
            )
        return None

    def resume(self, client: Client, last_seq: int | None) -> list[Effect]:
        """Deliver what a client that came back has not got yet."""
        if client.delivery is None:
            return []
        return [_send(client, numbered) for numbered in client.delivery.resume(last_seq)]

    def reply(self, client: Client, message: Message) -> Send:
        """Return the effect that sends what is not numbered: it answers, and is not replayed."""
        return Send(client.link, self._encoder.encode(message), kind_of(message))

    def expire(self, client: Client, why: str) -> list[Effect]:
        """Tell who wrote to a client in vain, for each message that still waits."""
        effects: list[Effect] = []
        for item in client.delivery.waiting if client.delivery is not None else ():
            origin = self._door.clients.get(item.from_id)
            if origin is None:
                continue  # it is the server's own
            expired = Error(
                code='expired',
                message=f'the {client.role} {why}',
                retry=True,
                client_id=item.session[0],
                msg_id=item.msg_id or UNSET,
            )
            if origin.receipts is not None:
                origin.receipts.forget(item.msg_id)
            effects += self.tell(origin, expired)
        return effects

    def tell(self, client: Client, message: FromServerMessage) -> list[Effect]:
        """Send what the server itself has to say, or let it wait."""
        delivery = self._delivery(client)
        if client.state is PeerState.READY:
            return [_send(client, delivery.number(message))]
        if not delivery.wait(message, ('', ''), '', ''):
            # It would come back to a world that it does not know: let it start anew then.
            self._door.forget_resumption(client)
        return []

    def _delivery(self, client: Client) -> Delivery:
        if client.delivery is None:
            client.delivery = Delivery(self._encoder)
        return client.delivery


def _send(client: Client, numbered: Numbered) -> Send:
    return Send(client.link, numbered.data, numbered.kind)
