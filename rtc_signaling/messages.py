"""The signaling messages: one typed class each, decoded strictly.

The wire format is that of docs/protocol.md: JSON objects in WebSocket text frames, told apart by
their member `type`. A message is decoded and encoded again on its way, never passed on as bytes,
so that duplicate keys and what is not understood smuggle nothing. Unknown members are ignored, so
that the protocol can grow; those of an ICE candidate travel on with it (`IceCandidate.extra`).
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar, cast

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from rtc_signaling.errors import ProtocolError

PROTOCOL_VERSION = 1

ClientId = Annotated[str, Meta(pattern=r'^[A-Za-z0-9._:-]{1,64}\Z')]
MessageId = Annotated[str, Meta(min_length=1, max_length=64)]
Token = Annotated[str, Meta(max_length=4096)]
Text = Annotated[str, Meta(max_length=256)]
MLineIndex = Annotated[int, Meta(ge=0, le=255)]


class Message(Struct, kw_only=True, frozen=True, tag_field='type', omit_defaults=True):
    """Be the base of all messages.

    Attributes:
        msg_id: The sender's own name for the message; answers to it carry the same.
    """

    msg_id: MessageId | UnsetType = UNSET


class Authenticate(Message, kw_only=True, frozen=True, tag='authenticate'):
    """Show a credential (client to server), within `auth.timeout` of connecting."""

    token: Token
    role: Annotated[str, Meta(pattern=r'^(sender|receiver)\Z')] | UnsetType = UNSET
    client_id: ClientId | UnsetType = UNSET


class Peer(Struct, kw_only=True, frozen=True):
    """Name another client, as `connected` lists it."""

    client_id: str
    role: str
    name: str


class IceServer(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Name a STUN or TURN server: a W3C RTCIceServer."""

    urls: str | list[str]
    username: str | UnsetType = UNSET
    credential: str | UnsetType = UNSET


class Connected(Message, kw_only=True, frozen=True, tag='connected'):
    """Welcome a client whose credential was accepted (server to client)."""

    client_id: str
    role: str
    protocol: int
    polite: bool
    ice_servers: list[IceServer]
    peers: list[Peer]
    heartbeat_s: float
    timeout_s: float


class Offer(Message, kw_only=True, frozen=True, tag='offer'):
    """Offer a session (W3C RTCSessionDescription); between peers."""

    sdp: str
    client_id: ClientId | UnsetType = UNSET
    sender_id: ClientId | UnsetType = UNSET


class Answer(Message, kw_only=True, frozen=True, tag='answer'):
    """Answer an offer (W3C RTCSessionDescription); between peers."""

    sdp: str
    client_id: ClientId | UnsetType = UNSET


class IceCandidate(Message, kw_only=True, frozen=True, tag='ice_candidate'):
    """Tell an address to try (W3C RTCIceCandidateInit); between peers.

    An empty or null candidate means that no more will come.
    """

    candidate: str | None
    sdp_mid: str | UnsetType | None = msgspec.field(default=UNSET, name='sdpMid')
    sdp_m_line_index: MLineIndex | UnsetType | None = msgspec.field(
        default=UNSET, name='sdpMLineIndex'
    )
    username_fragment: str | UnsetType | None = msgspec.field(
        default=UNSET, name='usernameFragment'
    )
    client_id: ClientId | UnsetType = UNSET


class ExtendedIceCandidate(IceCandidate, kw_only=True, frozen=True, tag='ice_candidate'):
    """Keep the members of a candidate that this version does not know, to send them on.

    Only `decode` makes it. It is no part of the decoders' unions, so nobody can send one.
    """

    extra: dict[str, Any]


class PeerJoined(Message, kw_only=True, frozen=True, tag='peer_joined'):
    """Tell that a peer can be talked to now (server to client)."""

    client_id: str
    role: str
    name: str


class PeerLeft(Message, kw_only=True, frozen=True, tag='peer_left'):
    """Tell that a peer is gone (server to client).

    Attributes:
        reason: `left` when it said so or closed in order, `connection_lost`, `timeout`,
            `replaced` or `refused` otherwise.
    """

    client_id: str
    role: str
    reason: str


class Ping(Message, kw_only=True, frozen=True, tag='ping'):
    """Ask for a pong; for clients that cannot send WebSocket pings."""


class Pong(Message, kw_only=True, frozen=True, tag='pong'):
    """Answer a ping, with its `msg_id`."""


class Leave(Message, kw_only=True, frozen=True, tag='leave'):
    """End this client's sessions at once (client to server)."""


class Error(Message, kw_only=True, frozen=True, tag='error'):
    """Tell what was wrong with a message, or with the session."""

    code: str
    message: str
    retry: bool
    retry_after_s: float | UnsetType = UNSET
    client_id: str | UnsetType = UNSET


Signal = Offer | Answer | IceCandidate
FromClient = Authenticate | Offer | Answer | IceCandidate | Ping | Pong | Leave
FromServer = (
    Connected | Offer | Answer | IceCandidate | PeerJoined | PeerLeft | Ping | Pong | Error
)

_CANDIDATE_MEMBERS = {
    'type',
    *(member.encode_name for member in msgspec.structs.fields(IceCandidate)),
}
MessageT = TypeVar('MessageT', bound=Message)


class Decoder(Generic[MessageT]):
    """Decode the messages of one direction; make one and keep it.

    Args:
        union: The classes that may come: `FromClient` or `FromServer`.
    """

    def __init__(self, union: Any) -> None:
        self._typed = msgspec.json.Decoder(union)
        self._plain = msgspec.json.Decoder(dict[str, Any])

    def decode(self, data: bytes | str) -> MessageT:
        """Return the message in `data`.

        Raises:
            ProtocolError: `invalid_json` if it is not JSON, `invalid_message` if it is not one of
                the messages; the text names the member and the rule.
        """
        try:
            message: MessageT = self._typed.decode(data)
            if isinstance(message, IceCandidate):
                return self._with_extra(message, data)
        except msgspec.ValidationError as error:
            raise ProtocolError('invalid_message', str(error)) from error
        except (msgspec.DecodeError, UnicodeError) as error:
            raise ProtocolError('invalid_json', str(error)) from error
        except RecursionError as error:
            raise ProtocolError('invalid_json', 'it is nested too deeply') from error
        return message

    def _with_extra(self, message: MessageT, data: bytes | str) -> MessageT:
        members = self._plain.decode(data)
        extra = {key: members[key] for key in members.keys() - _CANDIDATE_MEMBERS}
        if not extra:
            return message
        return cast(MessageT, ExtendedIceCandidate(**msgspec.structs.asdict(message), extra=extra))


class Encoder:
    """Encode messages to JSON."""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()

    def encode(self, message: Message) -> bytes:
        """Return `message` as UTF-8 JSON."""
        if isinstance(message, ExtendedIceCandidate):
            members = msgspec.to_builtins(message)
            return self._encoder.encode(members.pop('extra') | members)
        return self._encoder.encode(message)
