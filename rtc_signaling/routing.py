"""Who a message is for (docs/protocol.md, 3)."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from rtc_signaling.auth import RECEIVER, SENDER
from rtc_signaling.errors import ProtocolError
from rtc_signaling.messages import Forwarded
from rtc_signaling.sessions import Client, Session


def find_session(
    clients: dict[str, Client], client: Client, message: Forwarded
) -> tuple[Session, Client]:
    """Return the session that a client's message belongs to, and the peer that it is for.

    A new session is not kept yet: `keep_session` does that once the message is served. Away
    clients count: messages wait for them.

    Raises:
        ProtocolError: `forbidden_client_id`, `forbidden_camera`, `ambiguous_target` or
            `peer_unavailable`.
    """
    if client.role == SENDER:
        peer = _find(clients, client, message.client_id)
        receiver, sender = peer, client
    else:
        if message.client_id is not UNSET and message.client_id != client.client_id:
            raise ProtocolError(
                'forbidden_client_id',
                f'client_id = {message.client_id!r}: a receiver may only name itself',
            )
        peer = _find(clients, client, _wanted_sender(client, message))
        receiver, sender = client, peer
    session = receiver.sessions.get(sender.client_id)
    return session or Session(receiver.client_id, sender.client_id), peer


def keep_session(session: Session, client: Client, peer: Client) -> None:
    """Let both sides of a session know it."""
    client.sessions[peer.client_id] = session
    peer.sessions[client.client_id] = session


def may_see(receiver: Client, sender: Client) -> bool:
    """Tell whether the receiver's credential admits this camera."""
    return receiver.principal is None or receiver.principal.may_use(sender.client_id)


def may_meet(client: Client, other: Client) -> bool:
    """Tell whether two clients may have to do with each other: then each is told of the other."""
    if client.role == RECEIVER:
        return other.role == SENDER and may_see(client, other)
    return other.role == RECEIVER and may_see(other, client)


def _wanted_sender(receiver: Client, message: Forwarded) -> str | UnsetType:
    wanted = message.sender_id
    if wanted is UNSET:
        return next(iter(receiver.sessions)) if len(receiver.sessions) == 1 else UNSET
    # Whether or not there is such a camera: that is not for this receiver to know.
    if receiver.principal is not None and not receiver.principal.may_use(wanted):
        raise ProtocolError(
            'forbidden_camera', f'sender_id = {wanted!r}: the token does not admit it'
        )
    return wanted


def _find(clients: dict[str, Client], client: Client, peer_id: str | UnsetType) -> Client:
    """Return the client of this name, or the only one, of those that `client` is told of."""
    role = RECEIVER if client.role == SENDER else SENDER
    if peer_id is UNSET:
        candidates = [peer for peer in clients.values() if may_meet(client, peer)]
        if len(candidates) > 1:
            member = 'client_id' if role == RECEIVER else 'sender_id'
            raise ProtocolError(
                'ambiguous_target', f'{member} is missing: there are several {role}s'
            )
        found = candidates[0] if candidates else None
    else:
        found = clients.get(peer_id)
    if found is None or not may_meet(client, found):
        raise ProtocolError('peer_unavailable', f'there is no such {role} now', retry=True)
    return found
