"""The signaling messages: one typed class each, decoded strictly.

The wire format is that of docs/protocol.md: JSON objects in WebSocket text frames, told apart by
their member `type`. A message is decoded and encoded again on its way, never passed on as bytes,
so that duplicate keys and what is not understood smuggle nothing. Unknown members are ignored, so
that the protocol can grow; those of an ICE candidate travel on with it (`IceCandidate.extra`).
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar, cast, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from rtc_signaling.errors import ProtocolError

PROTOCOL_VERSION = 1
MAX_QUOTE_CHARS = 200
# Of a candidate's unknown members. Reading bears more than writing, so the first limit that is met
# has to be this one.
MAX_DEPTH = 32
CONNECTION_LOST = 'connection_lost'  # a reason of `peer_left`

MAX_CAMERAS = 12  # of one sender

ClientId = Annotated[str, Meta(pattern=r'^[A-Za-z0-9._:-]{1,64}\Z')]
# What may stand in a=msid as well (RFC 8830).
CameraName = Annotated[str, Meta(pattern=r'^[A-Za-z0-9._-]{1,64}\Z')]
CameraNames = Annotated[list[CameraName], Meta(max_length=MAX_CAMERAS)]
MessageId = Annotated[str, Meta(min_length=1, max_length=64)]
Token = Annotated[str, Meta(max_length=4096)]
# JSON has no infinity, but 1e999 reads as one.
Amount = Annotated[float, Meta(ge=0, le=1e15)]
MLineIndex = Annotated[int, Meta(ge=0, le=255)]


class Message(Struct, kw_only=True, frozen=True, tag_field='type', omit_defaults=True):
    """Be the base of all messages.

    Attributes:
        msg_id: The sender's own name for the message; answers to it carry the same.
    """

    msg_id: MessageId | UnsetType = UNSET


class FromServerMessage(Message, kw_only=True, frozen=True):
    """Be the base of what the server may send again when a client resumes.

    Attributes:
        seq: The number of the message for this client, from 1; only the server sets it.
    """

    seq: Annotated[int, Meta(ge=1)] | UnsetType = UNSET


class Authenticate(Message, kw_only=True, frozen=True, tag='authenticate'):
    """Show a credential (client to server), within `auth.timeout` of connecting.

    Attributes:
        cameras: What a sender that has several cameras calls them, in its order.
    """

    token: Token
    role: Annotated[str, Meta(pattern=r'^(sender|receiver)\Z')] | UnsetType = UNSET
    client_id: ClientId | UnsetType = UNSET
    resume_token: Token | UnsetType = UNSET
    last_seq: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    cameras: CameraNames | UnsetType = UNSET


class Peer(Struct, kw_only=True, frozen=True):
    """Name another client, as `connected` lists it."""

    client_id: str
    role: str
    name: str
    cameras: list[str] | UnsetType = UNSET


class IceServer(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Name a STUN or TURN server: a W3C RTCIceServer."""

    urls: str | list[str]
    username: str | UnsetType = UNSET
    credential: str | UnsetType = UNSET


class Limits(Struct, kw_only=True, frozen=True):
    """Tell a client what it has to keep to."""

    max_message_bytes: int
    messages_per_s: float
    burst: int
    queue_messages: int
    queue_bytes: int
    resume_window_s: float


class Connected(Message, kw_only=True, frozen=True, tag='connected'):
    """Welcome a client whose credential was accepted (server to client)."""

    client_id: str
    role: str
    protocol: int
    polite: bool
    ice_servers: list[IceServer]
    peers: list[Peer]
    resume_token: str
    resumed: bool
    heartbeat_s: float
    timeout_s: float
    limits: Limits


class Offer(FromServerMessage, kw_only=True, frozen=True, tag='offer'):
    """Offer a session (W3C RTCSessionDescription); between peers.

    Attributes:
        offer_id: The maker's name for it, so that an answer can say what it answers.
        cameras: Which of the sender's cameras a receiver wants in each video section, in order.
    """

    sdp: str
    client_id: ClientId | UnsetType = UNSET
    sender_id: ClientId | UnsetType = UNSET
    offer_id: MessageId | UnsetType = UNSET
    cameras: CameraNames | UnsetType = UNSET


class Answer(FromServerMessage, kw_only=True, frozen=True, tag='answer'):
    """Answer an offer (W3C RTCSessionDescription); between peers.

    Attributes:
        offer_id: That of the offer, if it has one.
    """

    sdp: str
    client_id: ClientId | UnsetType = UNSET
    sender_id: ClientId | UnsetType = UNSET
    offer_id: MessageId | UnsetType = UNSET


class IceCandidate(FromServerMessage, kw_only=True, frozen=True, tag='ice_candidate'):
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
    sender_id: ClientId | UnsetType = UNSET


class ExtendedIceCandidate(IceCandidate, kw_only=True, frozen=True, tag='ice_candidate'):
    """Keep the members of a candidate that this version does not know, to send them on.

    Only `decode` makes it. It is no part of the decoders' unions, so nobody can send one.
    """

    extra: dict[str, Any]


class Bye(FromServerMessage, kw_only=True, frozen=True, tag='bye'):
    """Tell that one's own end of a session's video is gone, or will not be; between peers.

    Attributes:
        reason: `busy`, `lost`, `failed`, `disabled`, `ended` or `unknown_camera`
            (docs/protocol.md, 3).
        retry_after_s: When an offer may be of use.
        offer_id: That of the offer which the video came from, if it has one.
        camera: The only one of the session's cameras that it is about; the others go on.
        message: Why, in words.
    """

    reason: Annotated[str, Meta(max_length=256)]
    retry_after_s: Amount | UnsetType = UNSET
    client_id: ClientId | UnsetType = UNSET
    sender_id: ClientId | UnsetType = UNSET
    offer_id: MessageId | UnsetType = UNSET
    camera: CameraName | UnsetType = UNSET
    message: Annotated[str, Meta(max_length=1024)] | UnsetType = UNSET


class PeerJoined(FromServerMessage, kw_only=True, frozen=True, tag='peer_joined'):
    """Tell that a peer can be talked to now (server to client)."""

    client_id: str
    role: str
    name: str
    cameras: list[str] | UnsetType = UNSET


class PeerLeft(FromServerMessage, kw_only=True, frozen=True, tag='peer_left'):
    """Tell that a peer is gone (server to client).

    Attributes:
        reason: `left` when it said so or closed in order, `connection_lost` when it did not come
            back in time, `refused` when it was expelled.
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


class Ack(Message, kw_only=True, frozen=True, tag='ack'):
    """Tell that a message was taken (server to client).

    Attributes:
        status: `delivered`; if its peer is away `queued`, or `dropped` for what does not wait.
    """

    status: str


class Stats(FromServerMessage, kw_only=True, frozen=True, tag='stats'):
    """Report how the video is at the receiver; forwarded to the sender.

    Attributes:
        fps: Pictures presented, per s.
        bitrate_bps: Received bits, per s.
        rtt_ms: Round trip between receiver and sender.
        jitter_ms: Jitter of the packets (RFC 3550).
        loss: Share of lost packets, 0 to 1.
        freezes: How often the picture froze, since the start.
        latency_ms: Age of the picture when it was presented.
        setup_ms: Time from the receiver's offer to a connection.
        camera: Which of the session's cameras it is about; absent for the first.
    """

    client_id: ClientId | UnsetType = UNSET
    sender_id: ClientId | UnsetType = UNSET
    fps: Amount | UnsetType = UNSET
    bitrate_bps: Amount | UnsetType = UNSET
    rtt_ms: Amount | UnsetType = UNSET
    jitter_ms: Amount | UnsetType = UNSET
    loss: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    freezes: Amount | UnsetType = UNSET
    latency_ms: Amount | UnsetType = UNSET
    setup_ms: Amount | UnsetType = UNSET
    camera: CameraName | UnsetType = UNSET


class Error(FromServerMessage, kw_only=True, frozen=True, tag='error'):
    """Tell what was wrong with a message, or with the session."""

    code: str
    message: str
    retry: bool
    retry_after_s: float | UnsetType = UNSET
    client_id: str | UnsetType = UNSET


Forwarded = Offer | Answer | IceCandidate | Bye | Stats
FromClient = Authenticate | Offer | Answer | IceCandidate | Bye | Stats | Ping | Pong | Leave
FromServer = (
    Connected
    | Offer
    | Answer
    | IceCandidate
    | Bye
    | Stats
    | PeerJoined
    | PeerLeft
    | Ack
    | Ping
    | Pong
    | Error
)

_CANDIDATE_MEMBERS = {
    'type',
    *(member.encode_name for member in msgspec.structs.fields(IceCandidate)),
}
MessageT = TypeVar('MessageT', bound=Message)


class _Named(Struct):
    """Read nothing of a message but its id."""

    msg_id: MessageId | UnsetType = UNSET


class Decoder(Generic[MessageT]):
    """Decode the messages of one direction; make one and keep it.

    Args:
        union: The classes that may come: `FromClient` or `FromServer`.
    """

    def __init__(self, union: Any) -> None:
        self._typed = msgspec.json.Decoder(union)
        self._plain = msgspec.json.Decoder(dict[str, Any])
        self._named = msgspec.json.Decoder(_Named)

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
            # Without a path it is about the whole, which is then no object.
            is_object = ' - at `$' in str(error) or not str(error).startswith('Expected `object`')
            code = 'invalid_message' if is_object else 'invalid_json'
            raise ProtocolError(code, _on_one_line(str(error))) from error
        except (msgspec.DecodeError, UnicodeError) as error:
            raise ProtocolError('invalid_json', _on_one_line(str(error))) from error
        except RecursionError as error:
            raise ProtocolError('invalid_json', 'it is nested too deeply') from error
        return message

    def msg_id_of(self, data: bytes | str) -> str | UnsetType:
        """Return the `msg_id` in what could not be decoded, if one can be made out."""
        try:
            found = self._named.decode(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return UNSET
        return found.msg_id

    def _with_extra(self, message: MessageT, data: bytes | str) -> MessageT:
        members = self._plain.decode(data)
        extra = {key: members[key] for key in members.keys() - _CANDIDATE_MEMBERS}
        if not extra:
            return message
        for name, value in extra.items():
            if _is_deeper(value, MAX_DEPTH):
                rule = f'Expected lists and objects of at most {MAX_DEPTH} levels, got more'
                raise ProtocolError('invalid_message', _on_one_line(f'{rule} - at `$.{name}`'))
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


def _is_deeper(value: Any, levels: int) -> bool:
    """Tell whether lists and objects are nested deeper in `value` than so many levels."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return False
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in value)


def _on_one_line(text: str) -> str:
    """Return a text that may quote the other side, short and fit for a log."""
    return _short(
        ''.join(char if char.isprintable() else ascii(char)[1:-1] for char in _short(text))
    )


def _short(text: str) -> str:
    """Cut a long text in its middle: what is wrong stands before a quotation, where behind it."""
    if len(text) <= MAX_QUOTE_CHARS:
        return text
    return f'{text[: MAX_QUOTE_CHARS // 2]}...{text[-MAX_QUOTE_CHARS // 2 :]}'


# Kept, because msgspec makes a class's configuration anew each time that it is asked for.
_KINDS: dict[type[Message], str] = {
    kind: str(kind.__struct_config__.tag)
    for kind in (*get_args(FromClient), *get_args(FromServer), ExtendedIceCandidate)
}


def kind_of(message: Message) -> str:
    """Return the wire's name of the message's type."""
    return _KINDS[type(message)]
