"""Messages to one client: numbered, kept for replay, and bounded (docs/protocol.md, 5)."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from rtc_signaling.messages import Encoder, FromServerMessage, IceCandidate, Offer, kind_of

MAX_MESSAGES = 64
MAX_BYTES = 256 * 1024
MAX_RECEIPTS = 256


class Numbered(NamedTuple):
    """Hold a message that went out: its number, its JSON, and its type."""

    seq: int
    data: bytes
    kind: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Hold a message that waits for a client that is away.

    Attributes:
        message: It, without its number.
        size_bytes: Its length as JSON.
        session: The session that it belongs to, as (receiver's, sender's client_id).
        from_id: The client_id of who sent it.
        msg_id: What that client called it, or ''.
    """

    message: FromServerMessage
    size_bytes: int
    session: tuple[str, str]
    from_id: str
    msg_id: str


class Delivery:
    """Number the messages to one client, and keep what it may have to get again.

    What was written to its connection is kept for a while: the connection may have broken before
    it arrived. What comes while the client is away waits, and is numbered when it goes out.
    """

    __slots__ = ('_encoder', '_sent', '_sent_bytes', '_seq', '_waiting', '_waiting_bytes')

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._seq = 0
        self._sent: deque[Numbered] = deque()
        self._sent_bytes = 0
        self._waiting: list[Waiting] = []
        self._waiting_bytes = 0

    @property
    def waiting(self) -> list[Waiting]:
        """What waits for the client, the oldest first."""
        return self._waiting

    def number(self, message: FromServerMessage, **members: Any) -> Numbered:
        """Return `message` with the next number, as JSON, and keep it for a replay.

        Args:
            message: It, with any number or none.
            members: More of its members to set.
        """
        self._seq += 1
        data = self._encoder.encode(msgspec.structs.replace(message, seq=self._seq, **members))
        numbered = Numbered(self._seq, data, kind_of(message))
        self._sent.append(numbered)
        self._sent_bytes += len(data)
        while len(self._sent) > MAX_MESSAGES or self._sent_bytes > MAX_BYTES:
            self._sent_bytes -= len(self._sent.popleft().data)
        return numbered

    def wait(
        self, message: FromServerMessage, session: tuple[str, str], from_id: str, msg_id: str
    ) -> bool:
        """Let `message` wait for the client; return whether there was room.

        A newer offer takes the place of an older one of its session and of that one's candidates.
        """
        kept, kept_bytes = self._waiting, self._waiting_bytes
        if isinstance(message, Offer):
            kept = [item for item in kept if not _is_superseded(item, session, from_id)]
            kept_bytes = sum(item.size_bytes for item in kept)
        size_bytes = len(self._encoder.encode(message))
        if len(kept) >= MAX_MESSAGES or kept_bytes + size_bytes > MAX_BYTES:
            return False
        kept.append(Waiting(message, size_bytes, session, from_id, msg_id))
        self._waiting, self._waiting_bytes = kept, kept_bytes + size_bytes
        return True

    def withdraw(self, from_id: str) -> None:
        """Let nothing wait any more that this client sent: it is gone, or begins anew."""
        self._waiting = [item for item in self._waiting if item.from_id != from_id]
        self._waiting_bytes = sum(item.size_bytes for item in self._waiting)

    def begin_anew(self) -> Delivery:
        """Return the delivery of a client that begins anew, with what it can make use of.

        Those are the offers that wait, and their candidates. An answer is to an offer that it has
        not made; this and the like stay here, in vain.
        """
        successor = Delivery(self._encoder)
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        offered: set[tuple[str, str]] = set()
        for item in waiting:
            if isinstance(item.message, Offer):
                offered.add(item.session)
            is_of_use = item.session in offered and isinstance(item.message, Offer | IceCandidate)
            heir = successor if is_of_use else self
            heir._waiting.append(item)
            heir._waiting_bytes += item.size_bytes
        return successor

    def can_resume(self, last_seq: int | None) -> bool:
        """Tell whether every message after `last_seq` is still there; None means the last one."""
        if last_seq is None:
            return True
        oldest = self._sent[0].seq if self._sent else self._seq + 1
        return oldest - 1 <= last_seq <= self._seq

    def resume(self, last_seq: int | None) -> list[Numbered]:
        """Return, numbered and in order, what the client has not got yet."""
        after = self._seq if last_seq is None else last_seq
        replay = [numbered for numbered in self._sent if numbered.seq > after]
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        return replay + [self.number(item.message) for item in waiting]


def _is_superseded(item: Waiting, session: tuple[str, str], from_id: str) -> bool:
    """Tell whether a new offer of `from_id` in `session` takes the place of a waiting message."""
    if item.session != session or item.from_id != from_id:
        return False
    return isinstance(item.message, Offer | IceCandidate)


class Receipts:
    """Remember what became of a client's last messages, by their ids."""

    __slots__ = ('_statuses',)

    def __init__(self) -> None:
        self._statuses: OrderedDict[str, str] = OrderedDict()

    def get(self, msg_id: str) -> str | None:
        """Return the status that was acknowledged for `msg_id`, if it is remembered."""
        return self._statuses.get(msg_id)

    def forget(self, msg_id: str) -> None:
        """Forget a message that was in vain, so that it can be sent again under its id."""
        self._statuses.pop(msg_id, None)

    def add(self, msg_id: str, status: str) -> None:
        """Remember a status; the oldest is forgotten beyond MAX_RECEIPTS."""
        self._statuses[msg_id] = status
        if len(self._statuses) > MAX_RECEIPTS:
            self._statuses.popitem(last=False)
