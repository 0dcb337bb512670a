"""The core with clients around it, each on a line of its own; no sockets and no clock.

What clients send goes through the decoder as it does in the server, and what the core decides is
carried out as the server does it.
"""

from __future__ import annotations

import itertools
import json

from rtc_signaling.admission import Request, Rules
from rtc_signaling.auth import RECEIVER, ROLES, SENDER, OpenAuthenticator, Principal
from rtc_signaling.core import SignalingCore
from rtc_signaling.delivery import MAX_BYTES, MAX_MESSAGES
from rtc_signaling.effects import Changed, Close, Negotiated, Refused, Send
from rtc_signaling.errors import ProtocolError
from rtc_signaling.ice import IceManager
from rtc_signaling.messages import (
    Authenticate,
    Decoder,
    FromClient,
    FromServer,
    Leave,
    Limits,
    Ping,
    Pong,
)
from rtc_signaling.sessions import Client

NUMBERED = {'offer', 'answer', 'ice_candidate', 'bye', 'peer_joined', 'peer_left'}
TRANSPORT = (
    'a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijkl\r\n'
    f'a=fingerprint:sha-256 {":".join(["AB"] * 32)}\r\n'
)
CANDIDATE = 'candidate:1 1 udp 2113937151 10.0.0.7 50000 typ host'


def sdp(kind='offer', name='-', padding=0):
    """Return a description that can work, told apart by its name, longer by `padding` bytes."""
    setup = 'actpass' if kind == 'offer' else 'active'
    more = 'a=x:' + 'x' * 1000 + '\r\n'
    return (
        f'v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns={name}\r\nt=0 0\r\n'
        f'm=video 9 UDP/TLS/RTP/SAVPF 96\r\n{TRANSPORT}a=setup:{setup}\r\n'
    ) + more * (padding // len(more))


class Keys:
    """Be an authenticator with a principal for each token."""

    required = True

    def __init__(self, **principals):
        self.principals = principals

    def authenticate(self, token, unix_time_s=0.0):
        principal = self.principals.get(token)
        if principal is None or (principal.expires_at_s or 1e99) <= unix_time_s:
            raise ProtocolError('unauthorized', 'the token is missing or wrong', fatal=True)
        return principal


ANNA = Principal('anna', ROLES)
BERT = Principal('bert', ROLES)
WATCHER = Principal('watcher', (RECEIVER,))


class World:
    """Hold a core, its time, and what came out of it."""

    def __init__(
        self, authenticator=None, *, ice_servers=(), turn=None, window_s=30.0, max_connections=10
    ):
        numbers = itertools.count(1)
        self.now_s = 1000.0
        self.unix_s = 1.7e9
        self.rules = Rules(
            max_connections=max_connections,
            heartbeat_s=10.0,
            timeout_s=30.0,
            authentication_timeout_s=5.0,
            limits=Limits(
                max_message_bytes=65536,
                messages_per_s=50.0,
                burst=200,
                queue_messages=MAX_MESSAGES,
                queue_bytes=MAX_BYTES,
                resume_window_s=window_s,
            ),
        )
        self.core = SignalingCore(
            self.rules,
            authenticator or OpenAuthenticator(),
            IceManager(ice_servers, turn),
            lambda: f'secret{next(numbers):06}-and-more',
        )
        self.changes = []
        self.refusals = []
        self.setups_s = []

    def carry_out(self, effects):
        for effect in effects:
            if isinstance(effect, Send):
                effect.link.receive(effect)
            elif isinstance(effect, Close):
                effect.link.close(effect)
            elif isinstance(effect, Changed):
                self.changes.append((effect.client.client_id, effect.client.state, effect.reason))
            elif isinstance(effect, Refused):
                assert isinstance(effect.client, Client)
                self.refusals.append(effect.error.code)
            else:
                assert isinstance(effect, Negotiated)
                self.setups_s.append(effect.duration_s)

    def connect(self, role, client_id='', token=None, *, waits=False):
        """Open a connection; return its line, with what came over it still to be read."""
        line = Line(self)
        request = Request(role, client_id, token, waits)
        line.client, effects = self.core.connect(line, request, self.now_s, self.unix_s)
        self.carry_out(effects)
        return line

    def enter(self, role, client_id='', token=None):
        """Connect a client that has to be let in; its welcome is read."""
        line = self.connect(role, client_id, token)
        line.welcomed()
        return line

    def resume(self, old, last_seq=None, **members):
        """Come back as the client of another line; the answer is still to be read."""
        line = self.connect(old.client.wished_role, waits=True)
        given = {'resume_token': old.resume_token, 'client_id': old.client.client_id}
        if last_seq is not None:
            given['last_seq'] = last_seq
        line.put('authenticate', **{'token': old.token} | given | members)
        return line

    def wait(self, duration_s):
        """Let time pass in steps as the server's ticks do."""
        end_s = self.now_s + duration_s
        while self.now_s < end_s:
            step_s = min(1.0, end_s - self.now_s)
            self.now_s += step_s
            self.unix_s += step_s
            self.carry_out(self.core.tick(self.now_s, self.unix_s))


class Line:
    """Hold one connection as its client sees it."""

    def __init__(self, world):
        self.world = world
        self.client = None
        self.inbox = []
        self.last_seq = 0
        self.sizes = {}
        self.resume_token = ''
        self.token = ''
        self.close_code = None
        self.close_reason = ''
        self.lost = False

    def receive(self, effect):
        assert self.close_code is None, 'sent after the close'
        assert not self.lost, 'sent on a connection that the core knows to be lost'
        message = json.loads(effect.data)
        assert message['type'] == effect.kind
        Decoder(FromServer).decode(effect.data)
        # An error is numbered only where it answers nothing: `expired`.
        expired = message['type'] == 'error' and message['code'] == 'expired'
        assert ('seq' in message) == (message['type'] in NUMBERED or expired)
        if 'seq' in message:
            self.last_seq = message['seq']
            self.sizes[self.last_seq] = len(effect.data)
        self.inbox.append(message)

    def close(self, effect):
        if not self.lost and self.close_code is None:
            self.close_code = int(effect.code)
            assert effect.reason
            self.close_reason = effect.reason

    def send(self, kind, **members):
        """Send a message; return what came for this client since it last looked."""
        self.put(kind, **members)
        return self.read()

    def put(self, kind, **members):
        """Send a message; what comes for this client is still to be read."""
        text = json.dumps({'type': kind} | members)
        core, now_s = self.world.core, self.world.now_s
        try:
            message = Decoder(FromClient).decode(text)
        except ProtocolError as error:
            self.world.carry_out(
                core.undecoded(self.client, error, now_s, Decoder(FromClient).msg_id_of(text))
            )
            return
        if isinstance(message, Authenticate):
            self.token = message.token
            effects = core.authenticate(self.client, message, now_s, self.world.unix_s)
        else:
            takers = {Ping: core.ping, Pong: core.pong, Leave: core.leave}
            take = takers.get(type(message), core.forward)
            effects = take(self.client, message, now_s)
        self.world.carry_out(effects)

    def offer(self, name='-', **members):
        return self.send('offer', sdp=sdp('offer', name), **members)

    def answer(self, name='-', **members):
        return self.send('answer', sdp=sdp('answer', name), **members)

    def trickle(self, mid='0', **members):
        return self.send('ice_candidate', candidate=CANDIDATE, sdpMid=mid, **members)

    def read(self):
        """Return what came, and forget it."""
        messages, self.inbox = self.inbox, []
        for message in messages:
            if message['type'] == 'connected':
                self.resume_token = message['resume_token']
        return messages

    def only(self, kind):
        """Return the one message that came, which has to be of this type."""
        [message] = self.read()
        assert message['type'] == kind, message
        return message

    def welcomed(self):
        """Return the welcome, which has to be all that came."""
        welcome = self.only('connected')
        assert welcome['client_id'] == self.client.client_id
        return welcome

    def refused(self):
        """Return the error's code and the close code with which the connection ended."""
        [error] = self.read()
        assert error['type'] == 'error'
        assert self.close_code is not None
        return error['code'], self.close_code

    def drop(self):
        """Lose the connection, and let the server see it."""
        self.end('connection_lost')

    def end(self, reason):
        self.lost = True
        effects = self.world.core.disconnected(self.client, reason, self.world.now_s)
        self.world.carry_out(effects)


def pair(world=None):
    """Return a world with a sender `camera` and a receiver `pilot`, who know of each other."""
    world = world or World()
    camera = world.enter(SENDER, 'camera')
    pilot = world.connect(RECEIVER, 'pilot')
    pilot.read()
    camera.read()
    return world, camera, pilot
