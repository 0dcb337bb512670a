"""How each server wants to be spoken to: the same work, each in its own messages."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from urllib.parse import quote

from relays.wire import Connection

TOKEN = 'benchmark-token-0123456789abcdef'  # a secret of nothing: servers here live for seconds
_CANDIDATE = (
    'a=candidate:{n} 1 udp {priority} 192.168.17.{n} {port} typ host generation 0 '
    'ufrag EsAw network-id {n}\r\n'
)
SENDER, RECEIVER = 'sender', 'receiver'


def sdp(size_bytes: int, number: int = 0) -> str:
    """Return an offer as a browser makes it, padded with candidates to `size_bytes`.

    `number`, at most 8 digits, is its session id: messages can be told apart by it.
    """
    text = (
        f'v=0\r\no=- {number:08d} 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n'
        'a=group:BUNDLE 0\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n'
        'm=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99\r\nc=IN IP4 0.0.0.0\r\n'
        'a=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n'
        'a=ice-options:trickle\r\na=fingerprint:sha-256 D2:FA:0E:C3:22:59:5E:14:95:69:92:3D:13:'
        'B4:84:24:2C:C2:A2:C0:3E:FD:34:8E:5E:EA:6F:AF:52:CE:E6:0F\r\na=setup:actpass\r\n'
        'a=mid:0\r\na=recvonly\r\na=rtcp-mux\r\na=rtcp-rsize\r\n'
        'a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 goog-remb\r\na=rtcp-fb:96 ccm fir\r\n'
        'a=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtpmap:97 rtx/90000\r\n'
        'a=fmtp:97 apt=96\r\na=rtpmap:98 H264/90000\r\na=rtcp-fb:98 nack pli\r\n'
        'a=fmtp:98 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n'
        'a=rtpmap:99 rtx/90000\r\na=fmtp:99 apt=98\r\n'
    )
    n = 1
    while True:
        line = _CANDIDATE.format(n=n, priority=2130706431 - n, port=50000 + n)
        if len(text) + len(line) + 5 > size_bytes:
            break
        text, n = text + line, n + 1
    return text + 'a=x-' + 'p' * (size_bytes - len(text) - 6) + '\r\n'


@dataclass(frozen=True)
class Dialect:
    """Speak to one kind of server.

    Attributes:
        name: What the table calls it.
    """

    name: str

    def path(self, client_id: str, role: str) -> str:
        """Return the path and query of a client's request."""
        raise NotImplementedError

    def headers(self, role: str) -> dict[str, str]:
        """Return more headers of the request."""
        return {}

    def greetings(self, client_id: str, role: str) -> list[str]:
        """Return what a client sends before it is in."""
        return []

    def is_welcome(self, message: bytes) -> bool:
        """Tell whether `message` says that the client is in."""
        raise NotImplementedError

    def offer(self, source: str, target: str, text: str) -> str:
        """Return the message of client `source` that brings the SDP `text` to `target`."""
        raise NotImplementedError

    def heartbeat(self) -> str:
        """Return what a client says now and then to be held alive; '' if pongs are enough."""
        return ''

    def connect(
        self,
        port: int,
        client_id: str,
        role: str,
        *,
        tls: ssl.SSLContext | None = None,
        receive_bytes: int = 0,
    ) -> Connection:
        """Return a client that is in: connected, authenticated and welcomed."""
        connection = Connection(
            port,
            self.path(client_id, role),
            self.headers(role),
            tls=tls,
            receive_bytes=receive_bytes,
        )
        for text in self.greetings(client_id, role):
            connection.send(text)
        connection.wait_for(self.is_welcome)
        return connection


class Ours(Dialect):
    """rtc_signaling, the token in the request as robots and programs send it."""

    def path(self, client_id: str, role: str) -> str:
        return f'/?role={role}&client_id={client_id}'

    def headers(self, role: str) -> dict[str, str]:
        return {'Authorization': f'Bearer {TOKEN}-{role}'}

    def is_welcome(self, message: bytes) -> bool:
        return b'"type":"connected"' in message

    def offer(self, source: str, target: str, text: str) -> str:
        # A receiver names the sender; a sender names the receiver, whose id is the session's.
        member = 'client_id' if source.startswith(SENDER) else 'sender_id'
        return json.dumps({'type': 'offer', member: target, 'sdp': text})


class OursInBand(Ours):
    """rtc_signaling, the token in the first message as browsers must send it."""

    def headers(self, role: str) -> dict[str, str]:
        return {}

    def greetings(self, client_id: str, role: str) -> list[str]:
        return [json.dumps({'type': 'authenticate', 'token': f'{TOKEN}-{role}'})]


class PeerServer(Dialect):
    """PeerJS's server."""

    def path(self, client_id: str, role: str) -> str:
        return f'/peerjs?key=peerjs&id={client_id}&token={TOKEN}&version=1.5.4'

    def is_welcome(self, message: bytes) -> bool:
        return message == b'{"type":"OPEN"}'

    def offer(self, source: str, target: str, text: str) -> str:
        payload = {
            'sdp': {'type': 'offer', 'sdp': text},
            'type': 'media',
            'connectionId': 'mc_q5v9zl0w2ab',
            'browser': 'chrome',
        }
        return json.dumps({'type': 'OFFER', 'src': source, 'dst': target, 'payload': payload})

    def heartbeat(self) -> str:
        return '{"type":"HEARTBEAT"}'


class YWebrtc(Dialect):
    """y-webrtc's signaling server: topics, and no authentication."""

    def path(self, client_id: str, role: str) -> str:
        return '/'

    def greetings(self, client_id: str, role: str) -> list[str]:
        return [
            json.dumps({'type': 'subscribe', 'topics': [client_id]}),
            json.dumps({'type': 'ping'}),
        ]

    def is_welcome(self, message: bytes) -> bool:
        return message == b'{"type":"pong"}'

    def offer(self, source: str, target: str, text: str) -> str:
        signal = {'type': 'offer', 'sdp': text}
        data = {'type': 'signal', 'from': source, 'to': target, 'signal': signal}
        return json.dumps({'type': 'publish', 'topic': target, 'data': data})


class WsRelay(Dialect):
    """servers/ws_relay.mjs."""

    def path(self, client_id: str, role: str) -> str:
        return f'/?id={client_id}&token={quote(TOKEN)}'

    def is_welcome(self, message: bytes) -> bool:
        return b'"type":"connected"' in message

    def offer(self, source: str, target: str, text: str) -> str:
        return json.dumps({'type': 'offer', 'to': target, 'sdp': text})


class UwsRelay(Dialect):
    """servers/uws_relay.cjs: bytes behind an address."""

    def path(self, client_id: str, role: str) -> str:
        return f'/?id={client_id}&token={quote(TOKEN)}'

    def is_welcome(self, message: bytes) -> bool:
        return message == b'connected'

    def offer(self, source: str, target: str, text: str) -> str:
        return f'{target}\n{json.dumps({"type": "offer", "sdp": text})}'
