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
        peer = _find(clients, RECEIVER, message.client_id)
        receiver, sender = peer, client
    else:
        if message.client_id is not UNSET and message.client_id != client.client_id:
            raise ProtocolError(
                'forbidden_client_id',
                f'client_id = {message.client_id!r}: a receiver may only name itself',
            )
        peer = _find(clients, SENDER, _wanted_sender(client, message))
        receiver, sender = client, peer
    session = receiver.sessions.get(sender.client_id)
    if session is None:
        _check_camera(receiver, sender)
        session = Session(receiver.client_id, sender.client_id)
    return session, peer


def keep_session(session: Session, client: Client, peer: Client) -> None:
    """Let both sides of a session know it."""
    client.sessions[peer.client_id] = session
    peer.sessions[client.client_id] = session


def _wanted_sender(receiver: Client, message: Forwarded) -> str | UnsetType:
    if message.sender_id is UNSET and len(receiver.sessions) == 1:
        return next(iter(receiver.sessions))
    return message.sender_id


def _find(clients: dict[str, Client], role: str, client_id: str | UnsetType) -> Client:
    if client_id is UNSET:
        candidates = [peer for peer in clients.values() if peer.role == role]
        if len(candidates) > 1:
            member = 'client_id' if role == RECEIVER else 'sender_id'
            raise ProtocolError(
                'ambiguous_target', f'{member} is missing: there are several {role}s'
            )
        found = candidates[0] if candidates else None
    else:
        found = clients.get(client_id)
    if found is None or found.role != role:
        raise ProtocolError('peer_unavailable', f'there is no such {role} now', retry=True)
    return found


def may_see(receiver: Client, sender: Client) -> bool:
    """Tell whether the receiver's credential admits this camera."""
    principal = receiver.principal
    cameras = principal.cameras if principal is not None else None
    return cameras is None or sender.client_id in cameras


def _check_camera(receiver: Client, sender: Client) -> None:
    if not may_see(receiver, sender):
        raise ProtocolError(
            'forbidden_camera', f'sender_id = {sender.client_id!r}: the token does not admit it'
        )
