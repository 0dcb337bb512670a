"""Which camera goes into which video section."""

from __future__ import annotations

import pytest

from rtc_signaling.media.allotment import OFF, UNKNOWN, allot

CAMERAS = ('front', 'rear', 'arm')


@pytest.mark.parametrize(
    ('count', 'wanted', 'off', 'sections', 'refused'),
    [
        (0, None, (), (), ()),
        (1, None, (), ('front',), ()),
        (2, None, ('front',), ('rear', 'arm'), ()),
        (5, None, (), ('front', 'rear', 'arm', None, None), ()),
        (2, ['arm', 'front'], (), ('arm', 'front'), ()),
        # More sections than wishes, and the other way round.
        (3, ['arm'], (), ('arm', None, None), ()),
        (1, ['arm', 'moon'], (), ('arm',), ()),
        (2, [], (), (None, None), ()),
        (3, ['moon', 'rear', 'moon'], (), (None, 'rear', None), (('moon', UNKNOWN),)),
        (2, ['rear', 'rear'], (), ('rear', None), ()),
        (2, ['rear', 'arm'], ('rear',), (None, 'arm'), (('rear', OFF),)),
    ],
)
def test_each_section_gets_what_it_is_for(count, wanted, off, sections, refused):
    assert allot(count, wanted, CAMERAS, off) == (sections, refused)


def test_a_camera_without_a_name_goes_into_the_first():
    assert allot(2, None, ('',), ()) == (('', None), ())
