"""One viewer's link, shared by what it watches."""

from __future__ import annotations

from rtc_signaling.media.estimate import Reading
from rtc_signaling.media.link import Link


class Stream:
    """Be a camera's stream to the viewer."""

    def __init__(self, link):
        self.sent_bits = 0
        self.reports = []
        link.streams.append(self)

    def reported(self, now_s):
        self.reports.append(now_s)


def test_what_all_streams_send_counts_and_each_has_its_share():
    link = Link()
    first, second = Stream(link), Stream(link)
    assert (link.bps, link.share_bps, link.rtt_s) == (None, None, None)
    for now_s, loss in ((0.0, 0.0), (1.0, 0.5), (1.1, 0.0)):
        link.take(now_s, Reading(loss, 0.07), first)
        first.sent_bits += 600_000
        second.sent_bits += 400_000
    # The first report has nothing before it, and the last comes too soon.
    assert first.reports == second.reports == [1.0]
    assert (link.bps, link.share_bps, link.rtt_s) == (500_000, 250_000, 0.07)
    link.leave(second)
    link.leave(second)
    assert link.share_bps == 500_000
    second.reported(0.0)
    link.take(2.0, Reading(), first)
    assert first.reports == [1.0, 2.0]
    # What a stream sent that has ended still counts.
    assert link.bps > 500_000


def test_a_try_is_for_each_stream_and_what_is_known_can_be_forgotten():
    link = Link()
    first = Stream(link)
    for now_s in (0.0, 1.0):
        link.take(now_s, Reading(0.5), first)
        first.sent_bits += 1_000_000
    Stream(link)
    link.assume(1_000_000)
    assert (link.bps, link.share_bps) == (2_000_000, 1_000_000)
    link.settle(1.0)
    link.take(2.0, Reading(0.9), first)
    assert link.bps == 1_400_000
    link.forget()
    assert link.bps is None
