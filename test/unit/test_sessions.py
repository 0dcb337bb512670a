"""The tables of states: every row, and every pair that has none."""

from __future__ import annotations

import itertools

import pytest
from world import pair

from rtc_signaling.errors import ProtocolError
from rtc_signaling.sessions import (
    PEER_TRANSITIONS,
    SESSION_TRANSITIONS,
    Client,
    PeerEvent,
    PeerState,
    Session,
    SessionEvent,
    SessionState,
)

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
LIFE = {
    ('authenticating', 'welcomed'): 'ready',
    ('authenticating', 'ended'): 'closed',
    ('ready', 'lost'): 'away',
    ('ready', 'ended'): 'closed',
    ('away', 'ended'): 'closed',
}


def test_the_session_table_is_the_protocols():
    table = {(s.value, event.value): to.value for (s, event), to in SESSION_TRANSITIONS.items()}
    assert table == STEPS
    assert set(WAY_TO) == {state.value for state in SessionState}
    assert set(EVENTS) == {event.value for event in SessionEvent}


@pytest.mark.parametrize('state', WAY_TO)
@pytest.mark.parametrize('event', EVENTS)
def test_each_event_in_each_state_of_a_session(state, event):
    _, camera, pilot = pair()
    # A candidate opens a session without a step.
    pilot.trickle()

    def act(event):
        role, kind = event.split('_')
        line = camera if role == 'sender' else pilot
        return line.offer() if kind == 'offer' else line.answer()

    for step in WAY_TO[state]:
        act(step)
    session = pilot.client.sessions['camera']
    assert session is camera.client.sessions['pilot']
    assert session.state.value == state
    camera.read()
    pilot.read()
    to = STEPS.get((state, event))
    answers = act(event)
    other = pilot if event.startswith('sender') else camera
    if to is None:
        [error] = answers
        assert (error['code'], error['retry']) == ('invalid_state', False)
        assert event in error['message']
        assert state in error['message']
        assert session.state.value == state
        assert other.read() == []
    else:
        assert answers == []
        assert session.state.value == to
        assert other.read()[0]['type'] == event.split('_')[1]


def test_a_session_has_no_other_rows():
    for state, event in itertools.product(SessionState, SessionEvent):
        session = Session('pilot', 'camera', state)
        if (state.value, event.value) in STEPS:
            assert session.after(event).value == STEPS[state.value, event.value]
        else:
            with pytest.raises(ProtocolError, match=r'^invalid_state: '):
                session.after(event)
        # Only who passes the message on takes the step.
        assert session.state is state


def test_the_peer_table_is_the_protocols():
    table = {(s.value, event.value): to.value for (s, event), to in PEER_TRANSITIONS.items()}
    assert table == LIFE


def test_a_peer_has_no_other_rows():
    for state, event in itertools.product(PeerState, PeerEvent):
        client = Client('link', 'receiver', '', state=state)
        if (state.value, event.value) in LIFE:
            client.change(event)
            assert client.state.value == LIFE[state.value, event.value]
        else:
            with pytest.raises(KeyError):
                client.change(event)


def test_two_clients_or_sessions_are_never_equal():
    assert Client('link', 'receiver', '') != Client('link', 'receiver', '')
    assert Session('a', 'b') != Session('a', 'b')
    assert Session('a', 'b').key == ('a', 'b')
