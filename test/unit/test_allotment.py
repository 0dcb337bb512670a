"""Which camera goes into which video section."""

from __future__ import annotations

import pytest

from rtc_signaling.media.allotment import allot

CAMERAS = ('front', 'rear', 'arm')


@pytest.mark.parametrize(
    ('count', 'wanted', 'sections', 'unknown'),
    [
        (0, None, (), ()),
        (1, None, ('front',), ()),
        (5, None, ('front', 'rear', 'arm', None, None), ()),
        (2, ['arm', 'front'], ('arm', 'front'), ()),
        # More sections than wishes, and the other way round.
        (3, ['arm'], ('arm', None, None), ()),
        (1, ['arm', 'moon'], ('arm',), ()),
        (2, [], (None, None), ()),
        (3, ['moon', 'rear', 'moon'], (None, 'rear', None), ('moon',)),
        (2, ['rear', 'rear'], ('rear', None), ()),
    ],
)
def test_each_section_gets_what_it_is_for(count, wanted, sections, unknown):
    assert allot(count, wanted, CAMERAS) == (sections, unknown)


def test_a_camera_without_a_name_goes_into_the_first():
    assert allot(2, None, ('',)) == (('', None), ())
