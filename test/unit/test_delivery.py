"""Numbers, what is kept, and what waits."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtc_signaling.delivery import MAX_BYTES, MAX_MESSAGES, MAX_RECEIPTS, Delivery, Receipts
from rtc_signaling.messages import Answer, Encoder, IceCandidate, Offer, PeerLeft, Stats

ONE = ('pilot', 'camera')
OTHER = ('other', 'camera')


def candidate(text='', size=0):
    return IceCandidate(candidate=text + 'x' * size)


def waiting(delivery):
    return [(item.session, item.from_id, item.msg_id) for item in delivery.waiting]


def test_messages_are_numbered_from_1():
    delivery = Delivery(Encoder())
    first, second = (delivery.number(PeerLeft(client_id='a', role='b', reason='c')) for _ in 'ab')
    assert (first.seq, second.seq, first.kind) == (1, 2, 'peer_left')
    assert json.loads(second.data) == {
        'type': 'peer_left', 'seq': 2, 'client_id': 'a', 'role': 'b', 'reason': 'c',
    }  # fmt: skip


def test_what_went_out_is_kept_for_a_while():
    delivery = Delivery(Encoder())
    sent = [delivery.number(candidate()) for _ in range(MAX_MESSAGES + 1)]
    assert delivery.resume(0) == sent[1:]
    assert delivery.resume(None) == []
    assert delivery.resume(MAX_MESSAGES) == sent[-1:]
    assert [delivery.can_resume(seq) for seq in (0, 1, 65, 66, None)] == [
        False, True, True, False, True,
    ]  # fmt: skip


def test_what_went_out_is_kept_up_to_so_many_bytes():
    delivery = Delivery(Encoder())
    for _ in range(5):
        delivery.number(candidate(size=MAX_BYTES // 4))
    assert not delivery.can_resume(1)
    assert delivery.can_resume(2)
    delivery.number(candidate(size=MAX_BYTES))
    assert not delivery.can_resume(5)
    assert delivery.can_resume(6)


@pytest.mark.parametrize('over', [0, 1])
def test_exactly_so_many_bytes_are_kept(over):
    delivery = Delivery(Encoder())
    first = delivery.number(candidate())
    delivery.number(candidate(size=MAX_BYTES - 2 * len(first.data) + over))
    assert delivery.can_resume(0) == (over == 0)


def test_exactly_so_many_bytes_have_room():
    delivery = Delivery(Encoder())
    head = len(Encoder().encode(candidate()))
    assert not delivery.wait(candidate(size=MAX_BYTES - head + 1), ONE, 'camera', '')
    assert delivery.wait(candidate(size=MAX_BYTES - head), ONE, 'camera', '')
    assert not delivery.wait(candidate(), ONE, 'camera', '')
    assert len(delivery.resume(None)) == 1
    assert delivery.waiting == []
    assert delivery.wait(candidate(size=MAX_BYTES - head), ONE, 'camera', '')


def test_exactly_so_many_messages_have_room():
    delivery = Delivery(Encoder())
    for number in range(MAX_MESSAGES):
        assert delivery.wait(candidate(), ONE, 'camera', str(number))
    assert not delivery.wait(candidate(), ONE, 'camera', 'more')
    assert waiting(delivery)[-1] == (ONE, 'camera', '63')
    assert [numbered.seq for numbered in delivery.resume(None)] == list(range(1, 65))


def test_what_waited_is_numbered_when_it_goes_out():
    delivery = Delivery(Encoder())
    delivery.wait(candidate('1'), ONE, 'camera', '')
    delivery.number(candidate('0'))
    assert [json.loads(n.data)['candidate'] for n in delivery.resume(0)] == ['0', '1']
    # Now it is one of those that went out.
    assert [n.seq for n in delivery.resume(1)] == [2]


@pytest.mark.parametrize(
    ('session', 'from_id', 'left'),
    [(ONE, 'camera', ['stats', 'new']), (ONE, 'pilot', None), (OTHER, 'camera', None)],
)
def test_an_offer_takes_the_place_of_its_own_sides_older_one(session, from_id, left):
    delivery = Delivery(Encoder())
    delivery.wait(Offer(sdp='x'), ONE, 'camera', 'offer')
    delivery.wait(candidate(), ONE, 'camera', 'candidate')
    delivery.wait(Stats(), ONE, 'camera', 'stats')
    assert delivery.wait(Offer(sdp='y'), session, from_id, 'new')
    assert [item.msg_id for item in delivery.waiting] == (
        left or ['offer', 'candidate', 'stats', 'new']
    )


def test_an_offer_may_take_the_place_of_a_full_queue():
    delivery = Delivery(Encoder())
    delivery.wait(Offer(sdp='old'), ONE, 'camera', 'old')
    for _ in range(MAX_MESSAGES - 1):
        delivery.wait(candidate(size=4000), ONE, 'camera', '')
    assert not delivery.wait(candidate(), ONE, 'camera', '')
    assert not delivery.wait(Offer(sdp='new'), OTHER, 'camera', 'other')
    assert delivery.wait(Offer(sdp='new' * 50_000), ONE, 'camera', 'new')
    assert waiting(delivery) == [(ONE, 'camera', 'new')]
    assert not delivery.wait(Offer(sdp='x' * MAX_BYTES), ONE, 'camera', 'too much')
    assert waiting(delivery) == [(ONE, 'camera', 'new')]


def test_who_begins_anew_gets_offers_and_their_candidates_and_the_room_that_is_left():
    delivery = Delivery(Encoder())
    for message in (Answer(sdp='v'), Offer(sdp='v'), candidate('1'), candidate('2'), Stats()):
        delivery.wait(message, ONE, 'camera', '')
    successor = delivery.begin_anew()
    assert [type(item.message) for item in successor.waiting] == [
        Offer, IceCandidate, IceCandidate,
    ]  # fmt: skip
    assert [type(item.message) for item in delivery.waiting] == [Answer, Stats]
    for each in (delivery, successor):
        used = sum(item.size_bytes for item in each.waiting)
        head = len(Encoder().encode(candidate()))
        assert not each.wait(candidate(size=MAX_BYTES - used - head + 1), ONE, 'camera', '')
        assert each.wait(candidate(size=MAX_BYTES - used - head), ONE, 'camera', '')


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from('nwr'), st.integers(0, 90_000)), max_size=200))
def test_whatever_comes_the_bounds_are_kept(steps):
    delivery = Delivery(Encoder())
    for step, size in steps:
        if step == 'n':
            delivery.number(candidate(size=size))
        elif step == 'w':
            delivery.wait(candidate(size=size), ONE, 'camera', '')
        else:
            numbers = [numbered.seq for numbered in delivery.resume(None)]
            assert numbers == sorted(numbers)
        assert len(delivery.waiting) <= MAX_MESSAGES
        assert sum(item.size_bytes for item in delivery.waiting) <= MAX_BYTES
        replay = delivery._sent
        assert len(replay) <= MAX_MESSAGES
        assert sum(len(numbered.data) for numbered in replay) <= MAX_BYTES


def test_receipts_are_forgotten_in_their_order():
    receipts = Receipts()
    assert receipts.get('0') is None
    for number in range(MAX_RECEIPTS):
        receipts.add(str(number), 'delivered')
    receipts.add('0', 'queued')
    assert receipts.get('0') == 'queued'
    receipts.add('more', 'delivered')
    assert receipts.get('0') is None
    assert receipts.get('1') == receipts.get('more') == 'delivered'
