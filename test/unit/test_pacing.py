"""How the packets of a large picture are spread out."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from rtc_signaling.media.pacing import PACE, PACKET_BYTES, SHARE, spread

PERIOD_S = 1 / 30


def test_a_picture_of_usual_size_goes_out_at_once():
    assert spread(10_000, 2_500_000, PERIOD_S, 1) is None
    assert spread(20_000, 2_500_000, PERIOD_S, 1) is None
    assert spread(3_000, 100_000, PERIOD_S, 1) is None


def test_a_key_frame_is_spread_over_most_of_the_time_to_the_next_picture():
    packets, gap_s = spread(60_000, 2_500_000, PERIOD_S, 1)
    took_s = math.ceil(60_000 / PACKET_BYTES / packets) * gap_s
    assert took_s <= PERIOD_S
    assert packets <= 60_000 / PACKET_BYTES / 3


def test_where_pictures_may_wait_it_takes_the_time_that_the_link_has():
    packets, gap_s = spread(12_000, 450_000, PERIOD_S, 4)
    took_s = math.ceil(12_000 / PACKET_BYTES / packets) * gap_s
    assert 12_000 * 8 / took_s <= 1.01 * PACE * 450_000
    assert packets == 1


@given(
    st.integers(0, 1_000_000), st.floats(10_000, 1e8), st.floats(1 / 120, 0.2), st.integers(1, 8)
)
def test_it_never_takes_longer_than_the_pictures_that_may_wait(size, rate_bps, period_s, room):
    result = spread(size, rate_bps, period_s, room)
    if result is not None:
        bursts = math.ceil(size / PACKET_BYTES / result.packets)
        # Of the last burst nothing is waited for.
        assert (bursts - 1) * result.gap_s <= (room - 1 + SHARE) * period_s
        assert result.packets >= 1
