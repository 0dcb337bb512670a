"""Which pictures of a camera's own H.264 are passed on, and what goes before them."""

from __future__ import annotations

import av
import pytest
from h264_camera import H264Camera
from hypothesis import given, settings
from hypothesis import strategies as st

from rtc_signaling.media import h264
from rtc_signaling.media.h264 import nal_units, unit_type
from rtc_signaling.media.h264_stream import H264Offer, H264Stream, is_h264
from rtc_signaling.media.pixels import ImageError

FILM = H264Camera(key_frame_each=5).film(15)


def passed(stream, film):
    """Return which pictures are passed on, None for each that is refused."""
    result = []
    for data in film:
        try:
            result.append(stream.take(data) is not None)
        except ImageError:
            result.append(None)
    return result


def kinds(data):
    return [unit_type(unit) for unit in nal_units(data)]


def without(data, *unwanted):
    units = [unit for unit in nal_units(data) if unit_type(unit) not in unwanted]
    return b''.join(b'\0\0\1' + unit for unit in units)


def decoded(film):
    decoder = av.CodecContext.create('h264', 'r')
    return sum(len(decoder.decode(av.Packet(data))) for data in film if data)


@pytest.mark.parametrize('text', ['h264', 'H264', 'h264; something', 'avc', ' h.264 ;x'])
def test_formats_of_h264(text):
    assert is_h264(text)


@pytest.mark.parametrize('text', ['', 'jpeg', 'bgr8; jpeg compressed bgr8', 'hevc', 'h265'])
def test_other_formats(text):
    assert not is_h264(text)


def test_a_stream_is_passed_on_as_it_is_without_what_no_viewer_needs():
    stream = H264Stream()
    pictures = [stream.take(data) for data in FILM]
    assert [picture.key_frame for picture in pictures] == [i % 5 == 0 for i in range(15)]
    for picture, data in zip(pictures, FILM, strict=True):
        needed = (h264.SLICE, h264.IDR_SLICE, h264.SPS, h264.PPS)
        assert nal_units(picture.data) == [u for u in nal_units(data) if unit_type(u) in needed]
    assert decoded(picture.data for picture in pictures) == 15


def test_it_begins_with_a_key_frame():
    assert passed(H264Stream(), FILM[2:7]) == [False] * 3 + [True] * 2


def test_parameter_sets_that_came_once_go_before_each_key_frame():
    sets = [without(FILM[0], h264.IDR_SLICE), *(without(d, h264.SPS, h264.PPS) for d in FILM)]
    stream = H264Stream()
    pictures = [stream.take(data) for data in sets]
    assert pictures[0] is None
    for picture in pictures[1:]:
        assert (kinds(picture.data)[:2] == [h264.SPS, h264.PPS]) == picture.key_frame
    # Whoever joins at any key frame can decode it.
    assert decoded(picture.data for picture in pictures[6:]) == 10


def test_a_key_frame_whose_parameter_sets_never_came_is_refused():
    with pytest.raises(ImageError, match=r'^H.264 without parameter sets \(SPS, PPS\)'):
        H264Stream().take(without(FILM[0], h264.SPS, h264.PPS))


@pytest.mark.parametrize('lost', [1, 2, 4])
def test_after_a_picture_that_is_missing_the_next_key_frame_is_passed_on(lost):
    film = [data for index, data in enumerate(FILM[:10]) if index != lost]
    # The one right after it is refused, with the reason; where that is a key frame, it is well.
    waiting = 4 - lost
    expected = [True] * lost + ([None] + [False] * (waiting - 1) if waiting else []) + [True] * 5
    assert passed(H264Stream(), film) == expected
    stream = H264Stream()
    for data in film[:1]:
        stream.take(data)
    if lost == 1:
        with pytest.raises(ImageError, match=r'is missing before this one \(number 2, not 1\)'):
            stream.take(film[1])


def test_a_picture_that_comes_twice_is_no_picture():
    assert passed(H264Stream(), [*FILM[:2], FILM[1], FILM[2], FILM[5]]) == [
        True, True, None, False, True,
    ]  # fmt: skip


def test_a_picture_that_none_refers_to_leaves_its_number_to_the_next():
    units = nal_units(without(FILM[1], h264.SPS, h264.PPS))
    unreferred = b''.join(b'\0\0\1' + bytes([unit[0] & ~96]) + unit[1:] for unit in units)
    assert passed(H264Stream(), [FILM[0], unreferred, *FILM[1:5]]) == [True] * 6


def test_ten_bits_are_refused_whatever_the_profile_says():
    picture = H264Camera(profile='high10', pixel_format='yuv420p10le').picture(0)
    sps = next(unit for unit in nal_units(picture) if unit_type(unit) == h264.SPS)
    with pytest.raises(ImageError, match='of High with 10 bits, which browsers do not decode'):
        H264Stream().take(b'\0\0\1' + sps[:1] + bytes([100]) + sps[2:])


def test_an_interruption_lasts_up_to_the_next_key_frame():
    stream = H264Stream()
    stream.take(FILM[0])
    stream.interrupt()
    assert passed(stream, FILM[1:6]) == [False] * 4 + [True]


@pytest.mark.parametrize('count', [15, 40])
def test_numbers_of_pictures_begin_again_at_16(count):
    film = H264Camera(key_frame_each=100).film(count)
    assert passed(H264Stream(), film) == [True] * count


GARBAGE = [b'', b'garbage', b'\0\0\1\x65', b'\0\0\1\x9f\1\2', b'\0\0\1\x67\x42', b'\0\0\1\x61' * 2]


@pytest.mark.parametrize('garbage', GARBAGE)
def test_after_garbage_the_next_key_frame_is_passed_on(garbage):
    film = [*FILM[:2], garbage, *FILM[2:7]]
    assert passed(H264Stream(), film) == [True, True, None, False, False, False, True, True]


def test_another_size_begins_with_its_key_frame():
    stream = H264Stream()
    first = [stream.take(data) for data in FILM[:3]]
    second = [stream.take(data) for data in H264Camera(640, 480).film(3)]
    assert [str(p.stream) for p in (first[-1], second[0])] == [
        '320x240, Baseline, level 1.3', '640x480, Baseline, level 3',
    ]  # fmt: skip
    assert decoded(p.data for p in [*first, *second]) == 6


@pytest.mark.parametrize(
    ('settings', 'error'),
    [
        ({'profile': 'high422', 'pixel_format': 'yuv422p'}, 'of High 4:2:2, which'),
        ({'profile': 'high10', 'pixel_format': 'yuv420p10le'}, 'of High 10, which'),
        ({'profile': 'high', 'pixel_format': 'gray'}, 'of High with chroma format 0, which'),
        ({'profile': 'main', 'params': 'interlaced=1'}, 'of Main that is interlaced, which'),
    ],
)
def test_what_browsers_do_not_decode_is_one_clear_error(settings, error):
    film = H264Camera(**settings).film(3)
    stream = H264Stream()
    with pytest.raises(ImageError, match=error) as caught:
        stream.take(film[0])
    assert 'set the camera to Baseline, Main or High, 4:2:0, 8 bits' in str(caught.value)
    assert passed(stream, film[1:]) == [False, False]


def test_b_frames_are_an_error():
    camera = H264Camera(profile='main', tune='psnr', bf='2', params='b-adapt=0:rc-lookahead=4')
    stream, errors = H264Stream(), []
    for data in filter(None, camera.film(40)):
        try:
            stream.take(data)
        except ImageError as error:
            errors.append(str(error))
    assert any(text.startswith('H.264 with B-frames') for text in errors)


def test_a_message_holds_one_picture():
    with pytest.raises(ImageError, match='a message with 2 beginnings of pictures'):
        H264Stream().take(FILM[0] + FILM[1])
    camera = H264Camera(params='slices=2')
    units = nal_units(camera.picture(0))
    with pytest.raises(ImageError, match='a message with 0 beginnings of pictures'):
        H264Stream().take(b'\0\0\1' + units[-1])


def test_groups_of_slices_are_refused():
    # pic_parameter_set_id 0, seq_parameter_set_id 0, two flags, num_slice_groups_minus1 1.
    with pytest.raises(ImageError, match='groups of slices'):
        H264Stream().take(b'\0\0\1\x68' + bytes([0b11000100, 0b11111111]))


@pytest.mark.parametrize(
    ('offered', 'profile', 'taken'),
    [(66, 'baseline', True), (66, 'main', False), (77, 'main', True), (77, 'high', False),
     (100, 'main', True), (100, 'high', True)],
)  # fmt: skip
def test_a_viewer_takes_what_it_offers_and_what_is_below(offered, profile, taken):
    stream = H264Stream().take(H264Camera(profile=profile).picture(0)).stream
    assert H264Offer(offered, 31).takes(stream) is taken


@settings(deadline=None)
@given(data=st.data())
def test_damage_leads_to_no_other_error_and_what_follows_a_key_frame_is_passed_on(data):
    film = [bytearray(picture) for picture in FILM]
    for _ in range(data.draw(st.integers(1, 5))):
        victim = data.draw(st.sampled_from(film[:10]))
        start = data.draw(st.integers(0, min(60, len(victim) - 1)))
        victim[start] = data.draw(st.integers(0, 255))
    stream = H264Stream()
    passed(stream, map(bytes, film[:10]))
    # A set that came damaged, and looked like another one, is replaced by the next.
    assert passed(stream, FILM[10:]) == [True] * 5
