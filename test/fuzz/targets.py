"""What is fuzzed: each target takes bytes, and only the documented errors may come out of it.

A target gets a `Data`, from which it draws what it needs; the same bytes give the same calls, so
that a finding is a file.
"""

# ruff: noqa: PT017  # these are no tests: what a target asserts is what is looked for

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import UNSET
from websockets.datastructures import Headers
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from rtc_signaling.admission import Request, Rules
from rtc_signaling.auth import JwtAuthenticator, JwtKey, TokenAuthenticator, Tokens
from rtc_signaling.connection import _text_payload
from rtc_signaling.core import SignalingCore
from rtc_signaling.effects import Effect, Send
from rtc_signaling.errors import ProtocolError
from rtc_signaling.gate import Gate
from rtc_signaling.ice import IceManager
from rtc_signaling.messages import (
    Authenticate,
    Decoder,
    Encoder,
    Forwarded,
    FromClient,
    FromServer,
    Leave,
    Limits,
    Ping,
    Pong,
    Stats,
)
from rtc_signaling.metrics import ServerMetrics
from rtc_signaling.origins import OriginRules
from rtc_signaling.sdp import SdpKind, SdpManager, summarise
from rtc_signaling.server_config import ServerConfig
from rtc_signaling.sessions import Client, PeerState

DATA = Path(__file__).resolve().parents[1] / 'data'
SECRET = b'a-secret-of-the-fuzzer-of-32-bytes-or-more'
TOKENS = Tokens(sender='the-token-of-the-robot', receiver='the-token-of-viewers')
NAMES = ('camera', 'arm', 'pilot', 'guest', '', 'a b', 'é')
MAX_CLIENTS = 4

Choice = TypeVar('Choice')


class Data:
    """Draw choices and strings from bytes, until there are none left."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def choose(self, choices: Sequence[Choice]) -> Choice:
        return choices[self.byte() % len(choices)]

    def block(self) -> bytes:
        """Return what stands to the next zero byte."""
        end = self._data.find(b'\0', self._at)
        end = len(self._data) if end < 0 else end
        start, self._at = self._at, end + 1
        return self._data[start:end]

    def rest(self) -> bytes:
        start, self._at = self._at, len(self._data)
        return self._data[start:]


def decoder(data: Data) -> None:
    """Decode, encode and decode again: the same message, whatever the bytes are."""
    union = data.choose((FromClient, FromServer))
    text = data.rest()
    if union is FromClient:
        try:
            shown: bytes | str = text.decode()
        except UnicodeDecodeError:
            return
    else:
        shown = text
    messages: Decoder[msgspec.Struct] = Decoder(union)  # type: ignore[type-var]
    try:
        message = messages.decode(shown)
    except ProtocolError as error:
        assert error.code in ('invalid_json', 'invalid_message')
        assert error.message.isprintable()
        assert len(error.message) < 300
        return
    wire = Encoder().encode(message)  # type: ignore[arg-type]
    assert messages.decode(wire) == message
    assert wire.count(b'"type":') >= 1


def sdp(data: Data) -> None:
    """Check an SDP; what is let through has a summary that holds no secret."""
    kind: SdpKind = data.choose(('offer', 'answer'))
    text = data.rest().decode(errors='replace')
    try:
        SdpManager().check(text, kind)
    except ProtocolError as error:
        assert error.code == 'invalid_sdp'
        assert len(error.message) < 1000
        return
    str(summarise(text, kind))


def candidate(data: Data) -> None:
    """Check a candidate."""
    try:
        summary = IceManager().check_candidate(data.rest().decode(errors='replace'))
    except ProtocolError as error:
        assert error.code == 'invalid_candidate'
        assert len(error.message) < 1000
        return
    str(summary)


def origins(data: Data) -> None:
    """Judge a Host and an Origin; nobody else's name is ours."""
    host, origin = (data.block().decode('latin-1') for _ in range(2))
    rules = OriginRules('robot', ('robot.example',), ('https://app.example',))
    ours = rules.host_is_ours(host)
    assert not (ours and 'evil' in host.partition(':')[0].rpartition('@')[2].lower())
    rules.origin_may(origin, host)


def gate(data: Data) -> None:
    """Judge an HTTP request, and read what it wishes."""
    path = '/' + data.block().decode('latin-1')
    headers = Headers()
    while data:
        name = data.choose(('Host', 'Origin', 'Upgrade', 'Authorization', 'X-Other'))
        value = data.choose(('', 'robot', 'websocket', 'Bearer ')) + data.block().decode('latin-1')
        # What websockets' own parser lets through.
        headers[name] = re.sub(r'[\x00-\x08\x0a-\x1f\x7f]', ' ', value).strip(' \t')
    metrics = ServerMetrics(0.0)
    guard = Gate(ServerConfig(), 'robot', TokenAuthenticator(TOKENS), metrics)
    request = HttpRequest(path, headers)
    population = _no_population()
    verdict = guard.judge(
        request,
        '127.0.0.1',
        0.0,
        1.7e9,
        has_room=lambda _role, _name: True,
        snapshot=lambda: metrics.snapshot(1.0, '', population, ()),
    )
    if isinstance(verdict, Response):
        verdict.serialize()
    else:
        assert isinstance(verdict.role, str)


def token(data: Data) -> None:
    """Show a token: the shared ones are admitted, what is signed by nobody is not."""
    text = data.rest().decode(errors='surrogateescape')
    for authenticator in (TokenAuthenticator(TOKENS), _JWT):
        try:
            principal = authenticator.authenticate(text, 1e9)
        except ProtocolError as error:
            assert error.code == 'unauthorized'
            assert error.fatal
            assert len(text) < 8 or text not in error.message
        else:
            assert text in (TOKENS.sender, TOKENS.receiver), principal


def jwt(data: Data) -> None:
    """Show a JWT with any header and claims, rightly signed: the claims decide, or an error."""
    import jwt as pyjwt  # noqa: PLC0415  # the function has its name

    header, claims = data.block(), data.rest()
    text = '.'.join(map(_base64, (header or b'{"alg":"HS256","typ":"JWT"}', claims)))
    signature = pyjwt.get_algorithm_by_name('HS256').sign(text.encode(), SECRET)
    try:
        principal = _JWT.authenticate(f'{text}.{_base64(signature)}', 1e9)
    except ProtocolError as error:
        assert error.code == 'unauthorized'
        return
    assert principal.roles in (('sender',), ('receiver',))
    assert principal.subject
    assert principal.expires_at_s is not None
    assert math.isfinite(principal.expires_at_s)


def frame(data: Data) -> None:
    """Find a text frame the short way: it lies within what was read, and is not too long."""
    at = data.choose((0, 1, 7))
    raw = data.rest()
    start, end = _text_payload(raw, at, 1000)
    if end:
        assert raw[at] == 0x81
        assert start - at in (6, 8)
        assert start <= end <= len(raw)
        assert end - start <= 1000


def core(data: Data) -> None:
    """Let up to four clients send anything, be cut off, come back: nothing but effects comes out.

    A message goes to the other peer of its session alone, and nothing goes to who is out.
    """
    counter = itertools.count()
    server = SignalingCore(
        Rules(
            max_connections=MAX_CLIENTS,
            heartbeat_s=1.0,
            timeout_s=3.0,
            authentication_timeout_s=1.0,
            limits=Limits(
                max_message_bytes=65536, messages_per_s=50.0, burst=200, queue_messages=64,
                queue_bytes=262144, resume_window_s=5.0,
            ),
        ),
        TokenAuthenticator(TOKENS),
        IceManager(),
        lambda: f'{next(counter):06}-is-a-secret-of-128-bits',  # names are its first 12
    )  # fmt: skip
    clients: list[Client] = []
    now_s = 0.0
    while data:
        act = data.byte() % 8
        now_s += data.byte() / 100
        if act == 0 or not clients:
            request = Request(
                role=data.choose(('sender', 'receiver', 'admin')),
                client_id=data.choose(NAMES),
                token=data.choose((TOKENS.sender, TOKENS.receiver, None, 'wrong')),
                waits=data.choose((False, True)),
            )
            if server.has_room(request.role, request.client_id):
                client, effects = server.connect(object(), request, now_s, 1e9 + now_s)
                clients.append(client)
                _check(server, effects, clients)
            else:
                data.byte()
        elif act == 1:
            client = data.choose(clients)
            reason = data.choose(('left', 'connection_lost', 'refused'))
            clients.remove(client)
            _check(server, server.disconnected(client, reason, now_s), clients)
        elif act == 2:
            now_s += data.byte()
            _check(server, server.tick(now_s, 1e9 + now_s), clients)
        else:
            _check(server, _receive(server, data, clients, now_s), clients)


def _receive(
    server: SignalingCore,
    data: Data,
    clients: list[Client],
    now_s: float,
) -> list[Effect]:
    client = data.choose(clients)
    raw = data.block()
    try:
        message = _FROM_CLIENT.decode(raw)
    except ProtocolError as error:
        return server.reject(client, error, now_s)
    if isinstance(message, Authenticate):
        if message.resume_token == 'RESUME':
            wanted = data.choose(clients).resume_token
            message = msgspec.structs.replace(message, resume_token=wanted)
        return server.authenticate(client, message, now_s, 1e9 + now_s)
    if isinstance(message, Forwarded):
        return server.forward(client, message, now_s)
    if isinstance(message, Ping):
        return server.ping(client, message, now_s)
    if isinstance(message, Leave):
        return server.leave(client, message, now_s)
    assert isinstance(message, Pong)
    return server.pong(client, message, now_s)


def _check(server: SignalingCore, effects: list[Effect], clients: list[Client]) -> None:
    by_link = {id(client.link): client for client in clients}
    for effect in effects:
        if not isinstance(effect, Send):
            continue
        message = _FROM_SERVER.decode(effect.data)
        client = by_link.get(id(effect.link))
        if client is not None and isinstance(message, Forwarded):
            named = message.client_id if client.role == 'receiver' else message.sender_id
            assert named == client.client_id, (client.client_id, message)
            assert (message.seq is UNSET) == isinstance(message, Stats)
    names = [name for name, client in server.clients.items() if client.client_id == name]
    assert len(names) == len(server.clients)
    ready = [c for c in server.clients.values() if c.state is PeerState.READY]
    assert len(ready) <= MAX_CLIENTS + 1
    assert len(server.clients) <= 2 * MAX_CLIENTS + 2
    for client in server.clients.values():
        for other, session in client.sessions.items():
            assert server.clients[other].sessions[client.client_id] is session


def _base64(data: bytes) -> str:
    import base64  # noqa: PLC0415

    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


def _no_population() -> object:
    from rtc_signaling.metrics import Population  # noqa: PLC0415

    return Population(senders=0, receivers=0, away=0, sessions={}, waiting=0, ping_s=())


_FROM_SERVER: Decoder[msgspec.Struct] = Decoder(FromServer)  # type: ignore[type-var]
_FROM_CLIENT: Decoder[FromClient] = Decoder(FromClient)
_JWT = JwtAuthenticator((JwtKey(SECRET),), 'rtc_signaling', 0.0)

TARGETS: dict[str, Callable[[Data], None]] = {
    target.__name__: target
    for target in (core, decoder, sdp, candidate, gate, origins, token, jwt, frame)
}


def seeds() -> dict[str, list[bytes]]:
    """Return inputs to begin with: what is right, of each kind."""
    messages = _messages()
    sdps = [path.read_bytes() for path in sorted(DATA.glob('*.sdp'))]
    offer = json.dumps({'type': 'offer', 'sdp': sdps[1].decode()}).encode()
    answer = json.dumps({'type': 'answer', 'sdp': sdps[0].decode()}).encode()
    claims = {'sub': 'me', 'role': 'receiver', 'aud': 'rtc_signaling', 'exp': 2_000_000_000}
    greeting = b'\0\0\0\0\0\0' + b'\0\0\1\2\1\0'
    offered = greeting + b'\3\1\1' + offer + b'\0' + b'\3\1\0' + answer + b'\0'
    back = b'{"type":"authenticate","token":"the-token-of-viewers","client_id":"pilot",'
    back += b'"resume_token":"RESUME","last_seq":0}\0'
    lines = [line[2:] for text in sdps for line in text.split(b'\r\n') if b'a=candidate' in line]
    return {
        'core': [greeting, offered, offered + b'\1\0\1\1' + b'\0\0\1\2\1\1' + b'\3\0\1' + back,
                 *(b'\0\0\1\2\1\0\3\0\0' + message + b'\0' for message in messages)],
        'decoder': [head + message for message in messages for head in (b'\0', b'\1')],
        'sdp': [head + text for text in sdps for head in (b'\0', b'\1')],
        'candidate': lines or [b'candidate:1 1 udp 1 10.0.0.1 9 typ host'],
        'gate': [b'?role=sender&client_id=camera\0\0\1\0\2\2\0\3\3the-token-of-the-robot\0'],
        'origins': [b'robot:8765\0http://robot:8765\0', b'[::1]:80\0https://app.example'],
        'token': [b'the-token-of-viewers', b'eyJhbGciOiJub25lIn0.e30.'],
        'jwt': [b'\0' + json.dumps(claims).encode(),
                b'{"alg":"none"}\0' + json.dumps(claims | {'cameras': ['a'], 'nbf': 1}).encode()],
        'frame': [b'\x81\x82\1\2\3\4ab', b'\x81\xfe\0\x7e\1\2\3\4' + b'x' * 126],
    }  # fmt: skip


def _messages() -> list[bytes]:
    content = json.loads((DATA / 'messages.json').read_text(encoding='utf-8'))
    found = []
    for cases in content.values():
        for case in cases if isinstance(cases, list) else ():
            text = case.get('text', case.get('message', case)) if isinstance(case, dict) else case
            found.append((text if isinstance(text, str) else json.dumps(text)).encode())
    return found
