"""The core of the server, without sockets: who may do what, and what follows."""

from __future__ import annotations

import itertools

import pytest
from fakes import TOKENS

from rtc_signaling.auth import OpenAuthenticator, TokenAuthenticator
from rtc_signaling.errors import ProtocolError
from rtc_signaling.messages import (
    Answer,
    Authenticate,
    Connected,
    Decoder,
    Error,
    FromClient,
    IceCandidate,
    IceServer,
    Offer,
    Peer,
    PeerJoined,
    PeerLeft,
    Ping,
)
from rtc_signaling.sessions import (
    PEER_TRANSITIONS,
    SESSION_TRANSITIONS,
    Changed,
    Client,
    Close,
    CloseCode,
    PeerState,
    Rules,
    Send,
    SessionState,
    SignalingCore,
)

SDP = 'v=0\r\n'

# What docs/protocol.md says, once more: the table in the code has to be this one.
STEPS = {
    ('new', 'receiver_offer'): 'receiver_offered',
    ('new', 'sender_offer'): 'sender_offered',
    ('receiver_offered', 'receiver_offer'): 'receiver_offered',
    ('receiver_offered', 'sender_offer'): 'sender_offered',
    ('receiver_offered', 'sender_answer'): 'stable',
    ('sender_offered', 'receiver_offer'): 'sender_offered',
    ('sender_offered', 'sender_offer'): 'sender_offered',
    ('sender_offered', 'receiver_answer'): 'stable',
    ('stable', 'receiver_offer'): 'receiver_offered',
    ('stable', 'sender_offer'): 'sender_offered',
}
WAY_TO = {
    'new': (),
    'receiver_offered': ('receiver_offer',),
    'sender_offered': ('sender_offer',),
    'stable': ('receiver_offer', 'sender_answer'),
}
EVENTS = ('receiver_offer', 'sender_offer', 'receiver_answer', 'sender_answer')


def make_core(*, tokens=None, max_connections=10):
    numbers = itertools.count(1)
    rules = Rules(
        max_connections=max_connections,
        heartbeat_s=10.0,
        timeout_s=30.0,
        ice_servers=(IceServer(urls='stun:10.0.0.1'),),
    )
    authenticator = OpenAuthenticator() if tokens is None else TokenAuthenticator(tokens)
    return SignalingCore(rules, authenticator, lambda: f'made-{next(numbers)}')


def enter(core, role, client_id='', token=None):
    """Connect a client that has to be let in."""
    client, _ = core.connect(object(), role, client_id, token)
    assert client.state is PeerState.READY
    return client


def only_error(effects, client):
    """Return the error that is all that follows; nobody else hears of it, nothing changes."""
    [effect] = effects
    assert isinstance(effect, Send)
    assert effect.client is client
    assert isinstance(effect.message, Error)
    return effect.message


def refusal(effects, client):
    """Return the error's code, whether to retry, and the close code with which a client goes."""
    error, changed, close = effects
    assert isinstance(error, Send)
    assert changed == Changed(client, PeerState.CLOSED, 'refused')
    assert isinstance(close, Close)
    assert error.client is close.client is client
    assert client.state is PeerState.CLOSED
    return error.message.code, error.message.retry, close.code


def act(core, session_event, sender, receiver):
    """Do what an event of the session table stands for."""
    role, kind = session_event.split('_')
    client = sender if role == 'sender' else receiver
    if kind == 'offer':
        return core.offer(client, Offer(sdp=SDP, client_id=receiver.client_id))
    return core.answer(client, Answer(sdp=SDP, client_id=receiver.client_id))


# The tables.


def test_the_session_table_is_the_protocols():
    table = {(s.value, event): to.value for (s, event), to in SESSION_TRANSITIONS.items()}
    assert table == STEPS
    assert set(WAY_TO) == {state.value for state in SessionState}


@pytest.mark.parametrize('state', WAY_TO)
@pytest.mark.parametrize('event', EVENTS)
def test_each_event_in_each_state_of_a_session(state, event):
    core = make_core()
    sender, receiver = enter(core, 'sender', 'camera'), enter(core, 'receiver', 'viewer')
    # A candidate opens a session without a step.
    core.ice_candidate(receiver, IceCandidate(candidate=None))
    for step in WAY_TO[state]:
        act(core, step, sender, receiver)
    session = receiver.sessions['camera']
    assert session.state.value == state
    effects = act(core, event, sender, receiver)
    to = STEPS.get((state, event))
    if to is None:
        error = only_error(effects, sender if event.startswith('sender') else receiver)
        assert (error.code, error.retry) == ('invalid_state', False)
        assert event in error.message
        assert state in error.message
        assert session.state.value == state
    else:
        assert session.state.value == to
        [effect] = effects
        assert effect.client is (receiver if event.startswith('sender') else sender)
        assert effect.message.client_id == 'viewer'
        assert effect.message.sdp == SDP


def test_the_peer_table_is_the_protocols():
    assert {(s.value, event): to.value for (s, event), to in PEER_TRANSITIONS.items()} == {
        ('authenticating', 'authenticated'): 'ready',
        ('authenticating', 'ended'): 'closed',
        ('ready', 'ended'): 'closed',
    }


def test_authenticating_to_ready():
    core = make_core(tokens=TOKENS)
    client, effects = core.connect('link', 'receiver', 'viewer', None)
    assert (client.state, client.link, effects) == (PeerState.AUTHENTICATING, 'link', [])
    changed, welcome = core.authenticate(client, Authenticate(token=TOKENS.receiver))
    assert changed == Changed(client, PeerState.READY, 'connected')
    assert welcome.client is client
    assert isinstance(welcome.message, Connected)
    assert core.clients == {'viewer': client}


def test_authenticating_to_closed():
    core = make_core(tokens=TOKENS, max_connections=1)
    client, _ = core.connect(object(), 'receiver', '', None)
    assert not core.has_room('receiver')
    assert core.disconnected(client, 'connection_lost') == [
        Changed(client, PeerState.CLOSED, 'connection_lost')
    ]
    # Its place is free again.
    assert core.has_room('receiver')


def test_ready_to_closed():
    core = make_core()
    client = enter(core, 'receiver')
    assert core.disconnected(client, 'left') == [Changed(client, PeerState.CLOSED, 'left')]
    assert not core.clients


def test_closed_stays_closed():
    core = make_core()
    sender, receiver = enter(core, 'sender'), enter(core, 'receiver', 'viewer')
    core.disconnected(receiver, 'left')
    assert core.disconnected(receiver, 'connection_lost') == []
    assert core.authentication_timed_out(receiver) == []
    for effects in (
        core.offer(receiver, Offer(sdp=SDP)),
        core.authenticate(receiver, Authenticate(token='')),
    ):
        assert effects == []
    assert set(core.clients) == {sender.client_id}
    assert receiver.state is PeerState.CLOSED


# Coming in.


def test_the_welcome():
    core = make_core()
    sender = enter(core, 'sender', 'camera')
    receiver, effects = core.connect(object(), 'receiver', '', None)
    assert receiver.client_id == 'made-1'
    assert effects == [
        Changed(receiver, PeerState.READY, 'connected'),
        Send(
            receiver,
            Connected(
                client_id='made-1', role='receiver', protocol=1, polite=True,
                ice_servers=[IceServer(urls='stun:10.0.0.1')],
                peers=[Peer(client_id='camera', role='sender', name='camera')],
                heartbeat_s=10.0, timeout_s=30.0,
            ),
        ),
        Send(sender, PeerJoined(client_id='made-1', role='receiver', name='made-1')),
    ]  # fmt: skip


def test_a_sender_is_impolite_and_hears_of_receivers_alone():
    core = make_core()
    receivers = [enter(core, 'receiver') for _ in range(2)]
    other = enter(core, 'sender', 'camera-1')
    _, effects = core.connect(object(), 'sender', 'camera-2', None)
    welcome = effects[1].message
    assert welcome.polite is False
    assert [peer.client_id for peer in welcome.peers] == [r.client_id for r in receivers]
    assert [e.client for e in effects[2:]] == receivers
    assert other not in [e.client for e in effects]


@pytest.mark.parametrize('token', ['', 'wrong', TOKENS.sender + ' '])
@pytest.mark.parametrize('in_request', [True, False])
def test_a_wrong_token_is_refused(token, in_request):
    core = make_core(tokens=TOKENS)
    client, effects = core.connect(object(), 'receiver', '', token if in_request else None)
    if not in_request:
        assert effects == []
        effects = core.authenticate(client, Authenticate(token=token, msg_id='m'))
        assert effects[0].message.msg_id == 'm'
    assert refusal(effects, client) == ('unauthorized', False, CloseCode.UNAUTHORIZED)
    assert not core.clients


def test_the_roles_of_the_tokens():
    core = make_core(tokens=TOKENS)
    for role, token in (
        ('sender', TOKENS.sender), ('receiver', TOKENS.sender), ('receiver', TOKENS.receiver),
    ):  # fmt: skip
        assert enter(core, role, token=token).role == role
    client, effects = core.connect(object(), 'sender', '', TOKENS.receiver)
    assert refusal(effects, client) == ('forbidden_role', False, CloseCode.FORBIDDEN)


def test_an_authenticate_message_may_change_the_wishes():
    core = make_core(tokens=TOKENS)
    client, _ = core.connect(object(), 'receiver', 'one', None)
    core.authenticate(
        client, Authenticate(token=TOKENS.sender, role='sender', client_id='another')
    )
    assert core.clients == {'another': client}
    assert client.role == 'sender'


def test_authenticating_twice_is_harmless_with_a_good_token_alone():
    core = make_core(tokens=TOKENS)
    client = enter(core, 'receiver', 'viewer', TOKENS.receiver)
    assert core.authenticate(client, Authenticate(token=TOKENS.receiver, role='sender')) == []
    assert client.role == 'receiver'
    effects = core.authenticate(client, Authenticate(token='wrong'))
    assert refusal(effects, client) == ('unauthorized', False, CloseCode.UNAUTHORIZED)
    assert not core.clients


@pytest.mark.parametrize(
    ('role', 'client_id', 'named'),
    [('admin', '', 'role'), ('', '', 'role')]
    + [('receiver', bad, 'client_id') for bad in ('a b', 'ä', 'x' * 65, 'viewer\n', '../etc')],
)
def test_wishes_that_cannot_be(role, client_id, named):
    core = make_core()
    client, effects = core.connect(object(), role, client_id, None)
    assert effects[0].message.message.startswith(f'{named} = ')
    assert refusal(effects, client) == ('invalid_message', False, CloseCode.PROTOCOL_ERROR)


def test_nothing_is_forwarded_before_a_client_is_in():
    core = make_core(tokens=TOKENS)
    sender = enter(core, 'sender', token=TOKENS.sender)
    for send in (
        lambda c: core.offer(c, Offer(sdp=SDP)),
        lambda c: core.answer(c, Answer(sdp=SDP)),
        lambda c: core.ice_candidate(c, IceCandidate(candidate='')),
    ):
        client, _ = core.connect(object(), 'receiver', '', None)
        effects = send(client)
        assert sender not in [e.client for e in effects]
        assert refusal(effects, client) == ('unauthorized', False, CloseCode.UNAUTHORIZED)


def test_who_shows_no_token_in_time_goes():
    core = make_core(tokens=TOKENS)
    client, _ = core.connect(object(), 'receiver', '', None)
    effects = core.authentication_timed_out(client)
    assert refusal(effects, client) == ('timeout', False, CloseCode.TIMEOUT)
    ready = enter(core, 'receiver', token=TOKENS.receiver)
    assert core.authentication_timed_out(ready) == []


# Places.


def test_one_place_is_kept_for_a_sender():
    core = make_core(tokens=TOKENS, max_connections=2)
    enter(core, 'receiver', token=TOKENS.receiver)
    core.connect(object(), 'receiver', '', None)
    assert not core.has_room('receiver')
    assert not core.has_room('nonsense')
    assert core.has_room('sender')
    enter(core, 'sender', token=TOKENS.sender)
    assert not core.has_room('sender')


def test_the_senders_place_is_no_receivers():
    core = make_core(tokens=TOKENS, max_connections=1)
    enter(core, 'receiver', token=TOKENS.receiver)
    assert core.has_room('sender')
    client, _ = core.connect(object(), 'sender', '', None)
    effects = core.authenticate(client, Authenticate(token=TOKENS.receiver, role='receiver'))
    assert refusal(effects, client) == ('too_many_connections', True, CloseCode.TRY_AGAIN_LATER)
    assert core.has_room('sender')


def test_the_last_place_can_be_taken():
    core = make_core(tokens=TOKENS, max_connections=1)
    assert core.has_room('receiver')
    client, _ = core.connect(object(), 'receiver', '', None)
    core.authenticate(client, Authenticate(token=TOKENS.receiver))
    assert client.state is PeerState.READY


# Names.


@pytest.mark.parametrize('role', ['sender', 'receiver'])
def test_the_same_client_again_takes_over(role):
    core = make_core()
    other = enter(core, 'receiver' if role == 'sender' else 'sender', 'other')
    old = enter(core, role, 'name')
    sender, receiver = (old, other) if role == 'sender' else (other, old)
    act(core, 'receiver_offer', sender, receiver)
    new, effects = core.connect(object(), role, 'name', None)
    assert effects[:3] == [
        Changed(old, PeerState.CLOSED, 'replaced'),
        Close(old, CloseCode.REPLACED, 'a newer connection took this client_id'),
        Changed(new, PeerState.READY, 'connected'),
    ]
    assert effects[4:] == [Send(other, PeerJoined(client_id='name', role=role, name='name'))]
    assert core.clients['name'] is new
    # The old one's end is not the end of the name.
    assert core.disconnected(old, 'connection_lost') == []
    assert core.clients['name'] is new
    # The talk goes on where it was.
    sender, receiver = (new, other) if role == 'sender' else (other, new)
    [answer] = act(core, 'sender_answer', sender, receiver)
    assert answer.client is receiver


@pytest.mark.parametrize(
    ('owner', 'thief'),
    [
        (('sender', TOKENS.sender), ('receiver', TOKENS.receiver)),
        (('sender', TOKENS.sender), ('receiver', TOKENS.sender)),
        (('receiver', TOKENS.receiver), ('receiver', TOKENS.sender)),
        (('receiver', TOKENS.receiver), ('sender', TOKENS.sender)),
    ],
)
def test_a_name_is_not_for_others(owner, thief):
    core = make_core(tokens=TOKENS)
    old = enter(core, owner[0], 'name', owner[1])
    client, effects = core.connect(object(), thief[0], 'name', thief[1])
    assert refusal(effects, client) == ('name_taken', False, CloseCode.NAME_TAKEN)
    assert core.clients == {'name': old}
    assert old.state is PeerState.READY


# Routes.


def test_the_minimal_talk_of_one_and_one():
    core = make_core()
    sender, receiver = enter(core, 'sender', 'camera'), enter(core, 'receiver', 'viewer')
    assert core.offer(receiver, Offer(sdp=SDP, msg_id='m')) == [
        Send(sender, Offer(sdp=SDP, client_id='viewer', msg_id='m'))
    ]
    assert core.answer(sender, Answer(sdp=SDP)) == [
        Send(receiver, Answer(sdp=SDP, client_id='viewer'))
    ]
    for client, peer in ((sender, receiver), (receiver, sender)):
        assert core.ice_candidate(client, IceCandidate(candidate='c', sdp_mid='0')) == [
            Send(peer, IceCandidate(candidate='c', sdp_mid='0', client_id='viewer'))
        ]


def test_what_is_unknown_in_a_candidate_travels_on():
    core = make_core()
    sender, receiver = enter(core, 'sender'), enter(core, 'receiver', 'viewer')
    message = Decoder(FromClient).decode('{"type": "ice_candidate", "candidate": "c", "new": 1}')
    [effect] = core.ice_candidate(receiver, message)
    assert effect.client is sender
    assert (effect.message.extra, effect.message.client_id) == ({'new': 1}, 'viewer')


def test_a_receiver_cannot_speak_as_another():
    core = make_core()
    enter(core, 'sender')
    receiver, other = enter(core, 'receiver', 'viewer'), enter(core, 'receiver', 'other')
    for client_id in ('other', 'nobody', 'camera'):
        for effects in (
            core.offer(receiver, Offer(sdp=SDP, client_id=client_id, msg_id='m')),
            core.answer(receiver, Answer(sdp=SDP, client_id=client_id, msg_id='m')),
            core.ice_candidate(
                receiver, IceCandidate(candidate='', client_id=client_id, msg_id='m')
            ),
        ):
            error = only_error(effects, receiver)
            assert (error.code, error.msg_id) == ('forbidden_client_id', 'm')
            assert client_id in error.message
    assert not other.sessions
    assert not receiver.sessions


def test_a_sender_of_several_receivers_has_to_name_one():
    core = make_core()
    sender = enter(core, 'sender')
    first, second = enter(core, 'receiver', 'first'), enter(core, 'receiver', 'second')
    error = only_error(core.offer(sender, Offer(sdp=SDP)), sender)
    assert (error.code, error.retry) == ('ambiguous_target', False)
    assert 'client_id' in error.message
    assert [e.client for e in core.offer(sender, Offer(sdp=SDP, client_id='second'))] == [second]
    assert not first.sessions


def test_a_receiver_of_several_senders_has_to_name_one():
    core = make_core()
    front, rear = enter(core, 'sender', 'front'), enter(core, 'sender', 'rear')
    receiver = enter(core, 'receiver', 'viewer')
    error = only_error(core.offer(receiver, Offer(sdp=SDP)), receiver)
    assert error.code == 'ambiguous_target'
    assert 'sender_id' in error.message
    assert [e.client for e in core.offer(receiver, Offer(sdp=SDP, sender_id='rear'))] == [rear]
    # Of one session the rest of the talk follows.
    [effect] = core.ice_candidate(receiver, IceCandidate(candidate=''))
    assert effect.client is rear
    # Of two it does not.
    assert [e.client for e in core.offer(receiver, Offer(sdp=SDP, sender_id='front'))] == [front]
    error = only_error(core.ice_candidate(receiver, IceCandidate(candidate='')), receiver)
    assert error.code == 'ambiguous_target'


@pytest.mark.parametrize('name', ['viewer', 'other', 'nobody'])
def test_never_receiver_to_receiver(name):
    core = make_core()
    receiver = enter(core, 'receiver', 'viewer')
    enter(core, 'receiver', 'other')
    error = only_error(core.offer(receiver, Offer(sdp=SDP, sender_id=name)), receiver)
    assert (error.code, error.retry) == ('peer_unavailable', True)


@pytest.mark.parametrize('name', ['camera', 'other', 'nobody'])
def test_never_sender_to_sender(name):
    core = make_core()
    sender = enter(core, 'sender', 'camera')
    enter(core, 'sender', 'other')
    error = only_error(core.offer(sender, Offer(sdp=SDP, client_id=name)), sender)
    assert (error.code, error.retry) == ('peer_unavailable', True)


@pytest.mark.parametrize('role', ['sender', 'receiver'])
def test_a_peer_that_is_not_there(role):
    core = make_core()
    client = enter(core, role)
    error = only_error(core.offer(client, Offer(sdp=SDP, msg_id='m')), client)
    assert (error.code, error.retry, error.msg_id) == ('peer_unavailable', True, 'm')


# Leaving.


def test_leaving_is_told_to_the_other_side_alone():
    core = make_core()
    sender, leaves, stays = (
        enter(core, 'sender', 'camera'), enter(core, 'receiver', 'viewer'), enter(core, 'receiver')
    )  # fmt: skip
    act(core, 'receiver_offer', sender, leaves)
    assert core.leave(leaves) == [
        Changed(leaves, PeerState.CLOSED, 'left'),
        Send(sender, PeerLeft(client_id='viewer', role='receiver', reason='left')),
        Close(leaves, CloseCode.NORMAL, 'left'),
    ]
    assert core.clients == {'camera': sender, stays.client_id: stays}
    again = enter(core, 'receiver', 'viewer')
    assert not again.sessions


def test_with_a_sender_its_sessions_end():
    core = make_core()
    sender, receiver = enter(core, 'sender', 'camera'), enter(core, 'receiver', 'viewer')
    act(core, 'receiver_offer', sender, receiver)
    act(core, 'sender_answer', sender, receiver)
    assert core.disconnected(sender, 'connection_lost') == [
        Changed(sender, PeerState.CLOSED, 'connection_lost'),
        Send(receiver, PeerLeft(client_id='camera', role='sender', reason='connection_lost')),
    ]
    assert not receiver.sessions
    # Another camera gets the next offer, with no memory of the first.
    other = enter(core, 'sender', 'other')
    assert [e.client for e in core.offer(receiver, Offer(sdp=SDP))] == [other]


def test_who_is_refused_while_in_is_told_as_left():
    core = make_core()
    sender, receiver = enter(core, 'sender'), enter(core, 'receiver', 'viewer')
    error = ProtocolError('invalid_json', 'no', fatal=True)
    told, changed, left, close = core.reject(receiver, error, Ping(msg_id='m'))
    assert (told.client, told.message.msg_id) == (receiver, 'm')
    assert changed == Changed(receiver, PeerState.CLOSED, 'refused')
    assert left.client is sender
    assert left.message.reason == 'refused'
    assert close == Close(receiver, CloseCode.PROTOCOL_ERROR, 'invalid_json')


def test_what_is_not_fatal_ends_nothing():
    core = make_core()
    client = enter(core, 'receiver')
    error = only_error(core.reject(client, ProtocolError('invalid_json', 'no')), client)
    assert (error.code, error.message) == ('invalid_json', 'no')
    assert client.state is PeerState.READY


def test_two_clients_are_never_equal():
    assert Client('link', 'receiver', '') != Client('link', 'receiver', '')
