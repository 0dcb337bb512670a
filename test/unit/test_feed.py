"""A viewer's slot: no gap reaches its decoder, it holds up nobody, and nothing queues."""

from __future__ import annotations

import asyncio

import av
import pytest
from aiortc.mediastreams import MediaStreamError

from rtc_signaling.media import feed as feed_module
from rtc_signaling.media.feed import CameraTrack, Encoded, Feed, Times
from rtc_signaling.media.key_frames import FIRST_PAUSE_S, SHARED_PERIOD_S
from rtc_signaling.media.layers import Layer


class Clock:
    """Be the time module, at a time of one's choice."""

    def __init__(self):
        self.now_s = 100.0

    def monotonic(self):
        return self.now_s


@pytest.fixture
def clock(monkeypatch):
    result = Clock()
    monkeypatch.setattr(feed_module, 'time', result)
    return result


def picture(number, key_frame=False):
    packet = av.Packet(b'x')
    packet.pts = number
    return Encoded(packet, key_frame, Times(number, number, number, number))


def reading(feed, **callbacks):
    """Return a track that begins to take the feed's pictures when it is read."""

    def begin(track):
        feed.tracks.add(track)
        track.attach(feed)

    return CameraTrack(begin, **callbacks)


async def received(track):
    async with asyncio.timeout(10):
        return (await track.recv()).pts


async def begun(track):
    """Have a track read from, and leave it waiting."""
    task = asyncio.create_task(received(track))
    await asyncio.sleep(0)
    return task


async def ended(*tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def due(feed, clock):
    return feed.key_frame_due(clock.now_s, 0.0)


async def test_a_track_that_nobody_reads_from_takes_nothing(clock):
    feed = Feed('h264')
    reading(feed)
    assert not feed.wanted
    assert not due(feed, clock)


async def test_a_viewer_that_joins_asks_for_a_key_frame_and_begins_with_it(clock):
    feed = Feed('h264')
    track = reading(feed)
    first = await begun(track)
    assert feed.wanted
    assert due(feed, clock)
    feed.deliver(picture(1), 'x')
    feed.deliver(picture(2, key_frame=True), 'x')
    assert await first == 2
    feed.deliver(picture(3), 'x')
    assert await received(track) == 3
    assert track.dropped == 0


async def test_all_tracks_get_the_same_packet_and_each_is_told_of_when_it_was_sent(clock):
    feed, sent = Feed('h264'), []
    tracks = [reading(feed, on_sent=sent.append) for _ in range(3)]
    waiting = [asyncio.create_task(track.recv()) for track in tracks]
    await asyncio.sleep(0)
    encoded = picture(1, key_frame=True)
    feed.deliver(encoded, 'libx264')
    assert {id(packet) for packet in await asyncio.gather(*waiting)} == {id(encoded.packet)}
    assert (feed.encoder, feed.key_frames) == ('libx264', 1)
    assert sent == []
    following = [await begun(track) for track in tracks]
    assert sent == [encoded.times] * 3
    await ended(*following)


async def test_a_slow_viewer_misses_all_up_to_the_next_key_frame(clock):
    feed = Feed('h264')
    slow = reading(feed)
    first = await begun(slow)
    feed.deliver(picture(1, key_frame=True), 'x')
    await first
    feed.key_frame_made(clock.now_s)
    for number in (2, 3, 4):
        feed.deliver(picture(number), 'x')
    assert slow.dropped == 2
    clock.now_s += 10
    # As long as it does not read, it would have no use for a key frame.
    assert not due(feed, clock)
    assert await received(slow) == 2
    following = await begun(slow)
    assert due(feed, clock)
    feed.deliver(picture(5), 'x')
    feed.deliver(picture(6, key_frame=True), 'x')
    assert await following == 6
    assert slow.dropped == 3
    feed.deliver(picture(7), 'x')
    assert await received(slow) == 7


async def test_a_key_frame_takes_the_place_of_what_a_slow_viewer_has_not_taken(clock):
    feed = Feed('h264')
    track = reading(feed)
    first = await begun(track)
    for number, key_frame in ((1, True), (2, False), (3, False), (4, True)):
        feed.deliver(picture(number, key_frame), 'x')
        if number == 1:
            await first
    assert await received(track) == 4
    feed.deliver(picture(5), 'x')
    assert await received(track) == 5
    assert track.dropped == 2


async def test_a_viewer_that_is_slow_for_ever_asks_less_and_less_often(clock):
    feed = Feed('h264')
    track = reading(feed)
    asked_s = []
    feed.ask = asked_s.append
    first = await begun(track)
    feed.deliver(picture(0, key_frame=True), 'x')
    await first
    for number in range(1, 60):
        clock.now_s += 0.5
        feed.deliver(picture(number, key_frame=True), 'x')
        feed.deliver(picture(number), 'x')
        await received(track)
        await ended(await begun(track))
    times = sorted(set(asked_s))
    assert len(times) < 9
    assert times[-1] - times[-2] == 8.0


async def test_a_request_while_a_key_frame_is_on_its_way_makes_no_other(clock):
    feed = Feed('h264')
    track = reading(feed)
    first = await begun(track)
    feed.deliver(picture(1, key_frame=True), 'x')
    feed.key_frame_made(clock.now_s)
    await first
    clock.now_s += 0.1
    track.request_key_frame()
    clock.now_s += 10
    assert not due(feed, clock)
    track.request_key_frame()
    assert due(feed, clock)


async def test_a_viewer_that_loses_something_gets_a_key_frame_and_not_too_many(clock):
    feed = Feed('h264')
    track = reading(feed)
    waiting = await begun(track)
    asked_s = []
    feed.ask = asked_s.append
    clock.now_s += FIRST_PAUSE_S
    for _ in range(30):
        track.request_key_frame()
        clock.now_s += 0.1
    assert sorted(set(asked_s)) == [101.0, 102.0, 104.0]
    await ended(waiting)


async def test_a_request_before_the_viewer_is_connected_is_nothing(clock):
    CameraTrack().request_key_frame()


async def test_recv_after_the_end_raises(clock):
    track = CameraTrack()
    track.show(picture(1, key_frame=True), Feed('h264'))
    track.stop()
    # However often it is asked.
    for _ in range(2):
        with pytest.raises(MediaStreamError):
            await received(track)


async def test_a_waiting_recv_raises_at_the_end(clock):
    track = reading(Feed('h264'))
    waiting = await begun(track)
    track.stop()
    with pytest.raises(MediaStreamError):
        await waiting


def lower(name='half'):
    return Feed('h264', 4, Layer(name, halved=True))


async def test_to_a_better_encode_it_changes_at_its_key_frame_without_a_gap(clock):
    old, new = lower(), Feed('h264')
    track = reading(old)
    first = await begun(track)
    old.deliver(picture(1, key_frame=True), 'x')
    assert await first == 1
    track.change_to(new, at_once=False)
    assert due(new, clock)
    new.deliver(picture(2), 'x')
    old.deliver(picture(2), 'x')
    assert await received(track) == 2
    new.deliver(picture(3, key_frame=True), 'x')
    old.deliver(picture(3), 'x')
    assert not old.wanted
    assert await received(track) == 3
    new.deliver(picture(4), 'x')
    assert await received(track) == 4
    assert track.feed is new


async def test_to_a_lower_encode_it_changes_at_once(clock):
    old, new = Feed('h264'), lower()
    track = reading(old)
    first = await begun(track)
    old.deliver(picture(1, key_frame=True), 'x')
    assert await first == 1
    old.deliver(picture(2), 'x')
    for _ in range(5):
        track.request_key_frame()
        clock.now_s += 1.0
    forgotten = []
    track.forget_sent = lambda: forgotten.append(1)
    track.change_to(new, at_once=True)
    assert (old.wanted, new.wanted) == (False, True)
    # Of its requests before, none has it wait.
    new.key_frame_made(clock.now_s)
    clock.now_s += 1.1 * SHARED_PERIOD_S
    track.request_key_frame()
    assert due(new, clock)
    # Nothing more of it goes over the full link, neither what waits nor what was lost.
    assert forgotten == [1]
    new.deliver(picture(2), 'x')
    new.deliver(picture(3, key_frame=True), 'x')
    assert await received(track) == 3
    assert track.dropped == 0


async def test_a_picture_that_it_had_of_another_encode_is_not_sent_again(clock):
    old, new = Feed('h264'), lower()
    track = reading(old)
    first = await begun(track)
    old.deliver(picture(1, key_frame=True), 'x')
    assert await first == 1
    track.change_to(new, at_once=True)
    new.key_frame_made(clock.now_s)
    # The same picture, a little later in its turn.
    new.deliver(picture(1, key_frame=True), 'x')
    clock.now_s += 1.1 * SHARED_PERIOD_S
    assert due(new, clock)
    new.deliver(picture(2), 'x')
    new.deliver(picture(3, key_frame=True), 'x')
    assert await received(track) == 3


async def test_a_change_that_is_not_wanted_any_more_leaves_nothing_running(clock):
    old, better, lowest = lower(), Feed('h264'), lower('fewer')
    track = reading(old)
    first = await begun(track)
    old.deliver(picture(1, key_frame=True), 'x')
    assert await first == 1
    track.change_to(better, at_once=False)
    track.change_to(lowest, at_once=False)
    assert (old.wanted, better.wanted, lowest.wanted) == (True, False, True)
    track.change_to(better, at_once=True)
    assert (old.wanted, better.wanted, lowest.wanted) == (False, True, False)
    track.stop()
    assert not better.wanted


async def test_who_gets_key_frames_alone_goes_on_with_all_at_the_next_one(clock):
    feed = Feed('h264')
    track = reading(feed)
    first = await begun(track)
    feed.deliver(picture(1, key_frame=True), 'x')
    assert await first == 1
    track.key_frames_only = True
    feed.deliver(picture(2), 'x')
    feed.deliver(picture(3, key_frame=True), 'x')
    assert await received(track) == 3
    feed.deliver(picture(4), 'x')
    track.key_frames_only = False
    track.change_to(feed, at_once=False)
    feed.deliver(picture(5), 'x')
    feed.deliver(picture(6, key_frame=True), 'x')
    assert await received(track) == 6
    feed.deliver(picture(7), 'x')
    assert await received(track) == 7
    assert track.dropped == 0


async def test_large_pictures_are_spread_by_what_the_link_carries(clock):
    feed, spreads = Feed('h264'), []
    feed.most_bps = 1_000_000
    track = reading(feed)
    track.pace = spreads.append
    first = await begun(track)
    for number, size in enumerate((30_000, 4_000, 30_000), 1):
        packet = av.Packet(bytes(size))
        packet.pts = number * 3000
        feed.deliver(Encoded(packet, number == 1, Times(0, 0, 0, 0)), 'x')
        await (first if number == 1 else track.recv())
    assert spreads[1] is None
    for spread in (spreads[0], spreads[2]):
        assert spread.packets * spread.gap_s > 0
        assert 25 / spread.packets * spread.gap_s <= 1 / 30
    track.key_frames_only = True
    packet = av.Packet(bytes(25_000))
    packet.pts = 90_000
    feed.deliver(Encoded(packet, True, Times(0, 0, 0, 0)), 'x')
    await track.recv()
    # At 1.25 times of the link's rate: the link's own queue is short.
    packets, gap_s = spreads[-1]
    assert 21 / packets * gap_s == pytest.approx(25_000 * 8 / 1_250_000)
    assert track.sent_bits == 89_000 * 8
    assert track.key_frame_bits == 25_000 * 8
