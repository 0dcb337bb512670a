"""Who is told of whom: clients that come, go, and may meet others than before.

See docs/protocol.md, 2 (credentials) and 4.
"""

from __future__ import annotations

from msgspec import UNSET

from rtc_signaling.admission import Door
from rtc_signaling.auth import RECEIVER, Principal
from rtc_signaling.effects import Effect
from rtc_signaling.messages import FromServerMessage, PeerJoined, PeerLeft
from rtc_signaling.post import Post
from rtc_signaling.routing import may_meet, may_see
from rtc_signaling.sessions import Client


class Presence:
    """Tell clients of the other role that one is there, and end its sessions when it is not."""

    def __init__(self, door: Door, post: Post) -> None:
        self._door = door
        self._post = post

    def counterparts(self, client: Client) -> list[Client]:
        """Return the clients of the other role that may have to do with this one."""
        return [peer for peer in self._door.clients.values() if may_meet(client, peer)]

    def entered(self, client: Client, old: Client | None, resumed: bool) -> list[Effect]:
        """Tell whom it concerns that a client is in; `old` is the one that it takes the place of.

        That one is resumed, or goes on under the same sessions, or has to be parted from them.
        """
        if old is not None and resumed:
            return self.readmitted(client, old.principal)
        joined = _joined(client)
        if old is None:
            return self._tell_all(self.counterparts(client), joined)
        if client.sessions is old.sessions:
            told = self._tell_all(self.counterparts(client), joined)
            return told + self._post.expire(old, 'began anew')
        return self.left(old, 'refused') + self._tell_all(self.counterparts(client), joined)

    def left(self, client: Client, reason: str) -> list[Effect]:
        """End what a client has to do with others that is out for good, and tell them."""
        self._door.withdraw(client)
        for peer_id in client.sessions:
            # Both sides of a session are in, or it would not be.
            del self._door.clients[peer_id].sessions[client.client_id]
        effects = self._tell_all(self.counterparts(client), _left(client, reason))
        return effects + self._post.expire(client, 'did not come back')

    def readmitted(self, client: Client, before: Principal | None) -> list[Effect]:
        """Take note of a new credential: part a receiver from cameras, and show it others."""
        if client.role != RECEIVER or before is None:
            return []
        effects: list[Effect] = []
        for camera in [peer for peer in self._door.clients.values() if peer.role != RECEIVER]:
            saw, sees = before.may_use(camera.client_id), may_see(client, camera)
            if saw and not sees:
                effects += self._part(client, camera)
            elif sees and not saw:
                effects += self._post.tell(client, _joined(camera))
                effects += self._post.tell(camera, _joined(client))
        return effects

    def _part(self, receiver: Client, sender: Client) -> list[Effect]:
        effects: list[Effect] = []
        for client, peer in ((receiver, sender), (sender, receiver)):
            client.sessions.pop(peer.client_id, None)
            if client.delivery is not None:
                client.delivery.withdraw(peer.client_id)
            effects += self._post.tell(client, _left(peer, 'refused'))
        return effects

    def _tell_all(self, peers: list[Client], message: FromServerMessage) -> list[Effect]:
        return [effect for peer in peers for effect in self._post.tell(peer, message)]


def _joined(client: Client) -> PeerJoined:
    return PeerJoined(
        client_id=client.client_id,
        role=client.role,
        name=client.client_id,
        cameras=list(client.cameras) or UNSET,
    )


def _left(client: Client, reason: str) -> PeerLeft:
    return PeerLeft(client_id=client.client_id, role=client.role, reason=reason)
