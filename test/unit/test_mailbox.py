"""A slot: the latest wins, the taker waits, the putter never does."""

from __future__ import annotations

import threading

from rtc_signaling.media.mailbox import Mailbox


def test_the_latest_wins():
    box = Mailbox()
    assert box.put('first') == 0
    assert box.put('second') == 1
    assert box.take() == 'second'
    assert box.put('third') == 0
    assert box.take() == 'third'


def test_where_there_is_room_they_come_one_after_the_other_until_it_is_full():
    box = Mailbox()
    assert [box.put(number, room=3) for number in range(3)] == [0, 0, 0]
    assert box.take() == 0
    assert [box.put(number, room=3) for number in (3, 4)] == [0, 3]
    assert box.take() == 4
    assert box.put(5, room=3) == 0
    assert box.put('needs no others') == 1
    assert box.take() == 'needs no others'


def in_a_thread(work):
    results = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()
    return thread, results


def test_who_takes_waits_for_the_next():
    box = Mailbox()
    thread, taken = in_a_thread(box.take)
    box.put('it')
    thread.join(10)
    assert taken == ['it']


def test_the_end_wakes_who_waits_and_what_is_left_is_forgotten():
    box = Mailbox()
    thread, taken = in_a_thread(box.take)
    box.close()
    thread.join(10)
    assert taken == [None]
    box.put('late')
    assert box.take() is None


def test_nothing_is_lost_or_taken_twice_between_two_threads():
    box = Mailbox()
    count = 20_000

    def take_all():
        taken = []
        while (item := box.take()) is not None:
            taken.append(item)
            if item == count:
                return taken
        return taken

    thread, results = in_a_thread(take_all)
    replaced = sum(box.put(i) for i in range(1, count + 1))
    thread.join(10)
    [taken] = results
    assert taken == sorted(set(taken))
    assert taken[-1] == count
    assert len(taken) + replaced == count
