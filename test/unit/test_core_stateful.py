"""Any interleaving of what clients and networks do to the core, against a model of the promises.

The model knows what each client has read and what it has been promised: a message that was
acknowledged as `delivered` flies to its peer, one that was `queued` waits for it. It is read once,
by the peer that it was for, in the order of its session, unless either of both began anew, a newer
offer took its place, or the error `expired` told of it.
"""

from __future__ import annotations

import gc
import types
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from world import ANNA, BERT, CANDIDATE, Keys, Line, World, sdp

from rtc_signaling.auth import RECEIVER, SENDER
from rtc_signaling.delivery import MAX_BYTES, MAX_MESSAGES, MAX_RECEIPTS
from rtc_signaling.sessions import (
    MAX_VIOLATIONS,
    PEER_TRANSITIONS,
    SESSION_TRANSITIONS,
    Client,
    PeerState,
    Session,
)

ROLES = {'front': SENDER, 'rear': SENDER, 'ann': RECEIVER, 'bob': RECEIVER, 'cleo': RECEIVER}
WINDOW_S = 30.0
MAX_CONNECTIONS = 5
PEER_STEPS = {(state, to) for (state, _), to in PEER_TRANSITIONS.items()}
SESSION_STEPS = {(state, to) for (state, _), to in SESSION_TRANSITIONS.items()}
# More than the server's own messages: below so much room left in a queue they may not fit.
SMALL_BYTES = 1024

names = st.sampled_from(sorted(ROLES))
kinds = st.sampled_from(['offer', 'answer', 'ice_candidate', 'bye'])
subjects = st.sampled_from(['anna', 'anna', 'anna', 'bert'])


@dataclass
class Letter:
    """Hold a message of a client's that was acknowledged and not read yet."""

    number: int
    kind: str
    session: tuple[str, str]
    from_id: str
    msg_id: str


@dataclass(eq=False)
class Persona:
    """Hold one client over all of its connections, as long as they are resumed."""

    name: str
    token: str
    line: Line
    resume_token: str
    deaf: bool = False  # its connection is broken, and the server does not know
    last_seq: int = 0
    sizes: dict[int, int] = field(default_factory=dict)
    flying: list[Letter] = field(default_factory=list)
    waiting: list[Letter] = field(default_factory=list)
    peers: set[str] = field(default_factory=set)
    sent: list[tuple[str, dict[str, object], dict[str, object]]] = field(default_factory=list)
    old_tokens: list[str] = field(default_factory=list)

    @property
    def role(self):
        return ROLES[self.name]

    @property
    def state(self):
        return self.line.client.state

    def can_speak(self):
        return self.state is PeerState.READY and not self.deaf

    def unseen(self):
        """Return the sizes of the numbered messages that it has not read."""
        return [size for seq, size in self.sizes.items() if seq > self.last_seq]


def number_of(message):
    """Return the number that a test wrote into a message."""
    text = (
        message.get('sdpMid')
        or message.get('reason')
        or message['sdp'].partition('s=n')[2].partition('\r')[0]
    )
    return int(text.lstrip('n'))


class Traffic(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.world = World(
            Keys(anna=ANNA, bert=BERT), window_s=WINDOW_S, max_connections=MAX_CONNECTIONS
        )
        self.personas = {}
        self.doors = []
        self.count = 0
        self.read_numbers = set()
        self.states = {}

    @initialize()
    def begin(self):
        for name in ROLES:
            self.connect(name, 'anna')

    # What clients do.

    @rule(name=names, token=subjects)
    def connect(self, name, token):
        if self.world.core.has_room(ROLES[name], name):
            line = self.world.connect(ROLES[name], name, token)
            self.entered(name, token, line, may_resume=False)

    @rule(
        name=names,
        token=subjects,
        shown=st.sampled_from(['right', 'right', 'right', 'right', 'old', 'wrong']),
        seen=st.sampled_from(['honest', 'honest', 'honest', 'none', 'beyond']),
    )
    def resume(self, name, token, shown, seen):
        old = self.personas.get(name)
        if old is None or not self.world.core.has_room(ROLES[name], name):
            return
        tokens = {'right': old.resume_token, 'wrong': 'wrong', 'old': old.old_tokens}[shown]
        resume_token = tokens if isinstance(tokens, str) else (tokens or ['none yet'])[-1]
        last_seq = {
            'honest': {'last_seq': old.last_seq},
            'none': {} if not old.unseen() else {'last_seq': old.last_seq},
            'beyond': {'last_seq': max(old.sizes, default=0) + 1},
        }[seen]
        line = self.world.connect(ROLES[name], waits=True)
        line.put(
            'authenticate', token=token, client_id=name, resume_token=resume_token, **last_seq
        )
        unseen = old.unseen()
        kept = len(unseen) <= MAX_MESSAGES and sum(unseen) <= MAX_BYTES
        may_resume = shown == 'right' and seen != 'beyond' and kept
        self.entered(name, token, line, may_resume=may_resume)

    def entered(self, name, token, line, *, may_resume):
        """Take note of how the server answered who wants a name."""
        old = self.personas.get(name)
        welcome = line.inbox[0]
        if welcome['type'] == 'error':
            full = (welcome['code'], line.close_code) == ('too_many_connections', 1013)
            taken = (welcome['code'], line.close_code) == ('name_taken', 4423)
            assert full or (taken and old.token != token)
            return
        assert old is None or old.token == token
        token_was_kept = old is not None and old.line.client.resume_token == old.resume_token
        assert welcome['resumed'] == (may_resume and token_was_kept)
        if welcome['resumed']:
            persona = old
            persona.old_tokens.append(old.resume_token)
            persona.flying += old.waiting
            persona.deaf = False
            line.sizes = old.sizes | line.sizes
        else:
            # What had been written to the old one's connection is gone with it.
            persona = Persona(name, token, line, '')
            # It begins anew, and so do its sessions.
            for session in line.client.sessions.values():
                self.states.pop(session, None)
            if old is not None:
                self.withdraw(name)
                persona.flying = self.of_use(old)
                in_vain = [letter for letter in old.waiting if letter not in persona.flying]
                self.check_expired(in_vain)
        persona.waiting = []
        persona.line, persona.sizes = line, line.sizes
        persona.resume_token = welcome['resume_token']
        self.personas[name] = persona

    def withdraw(self, name):
        """Note that what a client sent, and what still waits, is not delivered any more."""
        for persona in self.personas.values():
            persona.waiting = [item for item in persona.waiting if item.from_id != name]

    def of_use(self, old):
        """Return what of the waiting passes to a new session: offers and their candidates."""
        offered, passed = set(), []
        for letter in old.waiting:
            if letter.kind == 'offer':
                offered.add(letter.session)
            if letter.session in offered and letter.kind in ('offer', 'ice_candidate'):
                passed.append(letter)
        return passed

    def check_expired(self, letters):
        """See that who wrote these, and is there, was told that they were in vain."""
        for letter in letters:
            origin = self.personas.get(letter.from_id)
            if origin is None:
                continue
            # Its acknowledgement is void: under the same id it may be sent again.
            origin.sent = [item for item in origin.sent if item[1]['msg_id'] != letter.msg_id]
            if origin.state is PeerState.READY:
                assert any(
                    m.get('code') == 'expired' and m['msg_id'] == letter.msg_id
                    for m in origin.line.inbox
                )

    @rule()
    def knock(self):
        """Connect, and show no credential."""
        if self.world.core.has_room(RECEIVER, ''):
            self.doors.append(self.world.connect(RECEIVER, waits=True))

    @rule(
        name=names, which=st.integers(0, 7), kind=kinds,
        padding=st.sampled_from([0, 0, 0, 0, 20_000, 40_000]),
        times=st.sampled_from([1, 1, 1, 30]),
    )  # fmt: skip
    def send(self, name, which, kind, padding, times):
        # Now and then one that cannot be: itself, or nobody.
        others = [other for other in ROLES if ROLES[other] != ROLES[name]]
        peer = [*others, *others, name, 'nobody'][which % (2 * len(others) + 2)]
        for _ in range(times):
            self.send_one(name, peer, kind, padding)

    def send_one(self, name, peer, kind, padding):
        persona = self.personas.get(name)
        if persona is None or not persona.can_speak():
            return
        self.count += 1
        text = f'n{self.count}'
        members = {
            'offer': {'sdp': sdp('offer', text, padding)},
            'answer': {'sdp': sdp('answer', text, padding)},
            'ice_candidate': {'candidate': CANDIDATE, 'sdpMid': text, 'padding': 'x' * padding},
            'bye': {'reason': text},
        }[kind]
        members['client_id' if persona.role == SENDER else 'sender_id'] = peer
        members['msg_id'] = text
        reply = self.exchange(persona, peer, kind, members)
        persona.sent.append((kind, members, reply))

    def exchange(self, persona, peer, kind, members):
        """Send a message; check who got what because of it, and return the answer."""
        before = {line: len(line.inbox) for line in self.lines()}
        persona.line.put(kind, **members)
        news = {line: line.inbox[before[line] :] for line in before}
        [reply] = [m for m in news.pop(persona.line) if m.get('msg_id') == members['msg_id']]
        got = [(line, m) for line, messages in news.items() for m in messages]
        status = reply.get('status', 'refused')
        ended = persona.state is PeerState.CLOSED
        forwarded = [m for _, m in got if m['type'] not in ('peer_left', 'error')]
        assert ended or [m for _, m in got] == forwarded
        if status == 'delivered':
            target = self.personas[peer]
            [(line, message)] = got
            assert line is target.line
            assert number_of(message) == int(members['msg_id'][1:])
        else:
            assert forwarded == []
        if status in ('delivered', 'queued'):
            self.promised(persona, self.personas[peer], kind, members, status)
        return reply

    def promised(self, persona, target, kind, members, status):
        assert target.role != persona.role
        receiver, sender = (target, persona) if persona.role == SENDER else (persona, target)
        session = (receiver.name, sender.name)
        letter = Letter(int(members['msg_id'][1:]), kind, session, persona.name, members['msg_id'])
        assert (status == 'queued') == (target.state is PeerState.AWAY)
        if status == 'delivered':
            target.flying.append(letter)
            return
        if kind == 'offer':
            target.waiting = [
                item for item in target.waiting
                if item.session != session or item.from_id != persona.name
                or item.kind not in ('offer', 'ice_candidate')
            ]  # fmt: skip
        target.waiting.append(letter)

    @rule(name=names, which=st.integers(0, 10))
    def repeat(self, name, which):
        """Send a message again under its id; what was acknowledged goes no further."""
        persona = self.personas.get(name)
        if persona is None or not persona.can_speak():
            return
        taken = [item for item in persona.sent if item[2]['type'] == 'ack'][-MAX_RECEIPTS:]
        if not taken:
            return
        kind, members, reply = taken[-1 - which % len(taken)]
        before = {line: len(line.inbox) for line in self.lines()}
        persona.line.put(kind, **members)
        assert persona.line.inbox[-1] == reply
        before[persona.line] += 1
        assert before == {line: len(line.inbox) for line in self.lines()}

    @rule(name=names)
    def misbehave(self, name):
        persona = self.personas.get(name)
        if persona is not None and persona.can_speak():
            persona.line.put('shutdown')

    @rule(name=names, count=st.sampled_from([1, 2, 5, 1000, 1000]))
    def read(self, name, count):
        persona = self.personas.get(name)
        if persona is None or not persona.can_speak():
            return
        line = persona.line
        messages, line.inbox = line.inbox[:count], line.inbox[count:]
        for message in messages:
            self.take(persona, message)
        if not line.inbox:
            assert persona.flying == [], 'promised, and never sent'
            others = {n for n, c in self.world.core.clients.items() if c.role != persona.role}
            assert persona.peers == others

    def take(self, persona, message):
        if 'seq' in message:
            assert message['seq'] == persona.last_seq + 1
            persona.last_seq = message['seq']
        kind = message['type']
        if kind == 'connected':
            if not message['resumed']:
                persona.last_seq = 0
            persona.peers = {peer['client_id'] for peer in message['peers']} | (
                persona.peers if message['resumed'] else set()
            )
        elif kind == 'peer_joined':
            persona.peers.add(message['client_id'])
        elif kind == 'peer_left':
            persona.peers.discard(message['client_id'])
        elif kind in ('offer', 'answer', 'ice_candidate', 'bye'):
            session = (message['client_id'], message['sender_id'])
            assert persona.name in session
            first = next(item for item in persona.flying if item.session == session)
            assert number_of(message) == first.number
            assert first.number not in self.read_numbers
            if kind == 'answer':
                assert any(
                    sent == 'offer'
                    and reply['type'] == 'ack'
                    and first.from_id in members.values()
                    for sent, members, reply in persona.sent
                ), 'an answer to an offer that it did not make'
            self.read_numbers.add(first.number)
            persona.flying.remove(first)

    # What happens to connections.

    @rule(name=names)
    def break_unnoticed(self, name):
        if name in self.personas:
            self.personas[name].deaf = True

    @rule(name=names)
    def lose(self, name):
        persona = self.personas.get(name)
        if persona is not None and persona.state is PeerState.READY:
            persona.line.drop()

    @rule(name=names, by_message=st.booleans())
    def leave(self, name, by_message):
        persona = self.personas.get(name)
        if persona is not None and persona.can_speak():
            if by_message:
                persona.line.put('leave')
            else:
                persona.line.end('left')

    @rule(duration_s=st.sampled_from([0.5, 3.0, 11.0, WINDOW_S]))
    def wait(self, duration_s):
        self.world.wait(duration_s)

    @precondition(lambda self: self.count > 20)
    @rule()
    def stop_the_server(self):
        self.world.carry_out(self.world.core.disconnect_all('the server stops'))
        assert not self.world.core.clients

    # What holds after each step.

    @invariant()
    def the_ended_are_gone_and_who_wrote_to_them_in_vain_knows(self):
        ended = [p for p in self.personas.values() if p.state is PeerState.CLOSED]
        for persona in ended:
            del self.personas[persona.name]
        for persona in ended:
            self.check_expired(persona.waiting)
            self.withdraw(persona.name)
        assert set(self.personas) == set(self.world.core.clients)

    @invariant()
    def only_a_full_queue_makes_a_token_worthless(self):
        for persona in self.personas.values():
            client = persona.line.client
            if client.resume_token != persona.resume_token:
                size_bytes = sum(item.size_bytes for item in client.delivery.waiting)
                full = len(client.delivery.waiting) == MAX_MESSAGES
                assert full or size_bytes > MAX_BYTES - SMALL_BYTES or persona.line.lost

    @invariant()
    def memory_is_bounded(self):
        for client in self.world.core.clients.values():
            if client.delivery is not None:
                sizes = [item.size_bytes for item in client.delivery.waiting]
                assert len(sizes) <= MAX_MESSAGES
                assert client.delivery._waiting_bytes == sum(sizes) <= MAX_BYTES
                sent = client.delivery._sent
                assert len(sent) <= MAX_MESSAGES
                assert client.delivery._sent_bytes == sum(len(n.data) for n in sent) <= MAX_BYTES
                assert client.state is PeerState.AWAY or not sizes
            if client.receipts is not None:
                assert len(client.receipts._statuses) <= MAX_RECEIPTS
            if client.violations is not None:
                assert len(client.violations._times_s) <= MAX_VIOLATIONS + 1

    @invariant()
    def nothing_is_kept_of_who_is_gone(self):
        core = self.world.core
        door = core._door
        clients, sessions = reachable(core)
        assert clients == set(core.clients.values()) | door.entering
        assert all(client.state is PeerState.AUTHENTICATING for client in door.entering)
        for client in core.clients.values():
            assert client.state in (PeerState.READY, PeerState.AWAY)
            for peer_id, session in client.sessions.items():
                assert core.clients[peer_id].sessions[client.client_id] is session
                assert client.client_id in session.key
                assert peer_id in session.key
        assert len(sessions) * 2 == sum(len(c.sessions) for c in core.clients.values())

    @invariant()
    def every_change_is_a_row_of_the_table(self):
        clients, sessions = reachable(self.world.core)
        now = {client: client.state for client in clients} | {s: s.state for s in sessions}
        for thing, state in now.items():
            before = self.states.get(thing, state)
            steps = PEER_STEPS if isinstance(thing, Client) else SESSION_STEPS
            assert before is state or (before, state) in steps
        self.states = now

    def lines(self):
        return [persona.line for persona in self.personas.values()] + self.doors

    def teardown(self):
        for name in list(self.personas):
            self.read(name, 1000)


def reachable(core):
    """Return the clients and the sessions that the core holds on to."""
    seen, clients, sessions = set(), set(), set()
    todo = [core]
    skipped = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, Line)
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, skipped):
            continue
        seen.add(id(thing))
        if isinstance(thing, Client):
            clients.add(thing)
        elif isinstance(thing, Session):
            sessions.add(thing)
        todo += gc.get_referents(thing)
    return clients, sessions


Traffic.TestCase.settings = settings(
    max_examples=200,
    stateful_step_count=80,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestTraffic = Traffic.TestCase
