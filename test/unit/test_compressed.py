"""Compressed images: JPEG and PNG, of any size, and what is neither."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from array import array
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import CHART, assert_close, chart, noise, patches, planes, rgb_of

from rtc_signaling.media.compressed import compressed_to_i420, encoding_of
from rtc_signaling.media.frames import DepthMapping, ImageError
from rtc_signaling.media.pixels import MAX_PIXELS
from rtc_signaling.media.scene import CORNERS, Scene, read_corners, read_index


def compressed(picture, ending, encoding='bgr8'):
    return SimpleNamespace(
        format=f'{encoding}; {ending} compressed {encoding}',
        data=array('B', cv2.imencode(f'.{ending}', picture)[1].tobytes()),
    )


def png_chunk(kind, body):
    checksum = struct.pack('>I', zlib.crc32(kind + body))
    return struct.pack('>I', len(body)) + kind + body + checksum


def png_saying(width, height):
    """Make a PNG of few bytes that says it has that size, and is as long as it says."""
    deflate = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    body = b''.join(deflate.compress(row) for _ in range(height)) + deflate.flush()
    header = struct.pack('>IIBBBBB', width, height, 1, 0, 0, 0, 0)
    chunks = (b'IHDR', header), (b'IDAT', body), (b'IEND', b'')
    return b'\x89PNG\r\n\x1a\n' + b''.join(png_chunk(*chunk) for chunk in chunks)


@pytest.mark.parametrize('ending', ['jpg', 'png'])
@pytest.mark.parametrize('size', [(320, 240), (321, 241)])
def test_the_scene_can_be_read_from_it(ending, size):
    i420 = compressed_to_i420(compressed(Scene(*size).render(1.0, 7), ending))
    assert i420.shape == (360, 320)
    assert i420.dtype == np.uint8
    bgr = cv2.cvtColor(i420, cv2.COLOR_YUV2BGR_I420)
    assert read_corners(bgr) == CORNERS
    assert read_index(bgr) == 7


@pytest.mark.parametrize('ending', ['jpg', 'png'])
def test_a_grey_one_is_grey(ending):
    i420 = compressed_to_i420(compressed(np.full((32, 64), 200, np.uint8), ending))
    assert i420.shape == (48, 64)
    assert abs(i420[32:].astype(int) - 128).max() <= 1


@pytest.mark.parametrize('ending', ['jpg', 'png'])
@pytest.mark.parametrize('channels', [3, 4])
def test_a_chart_keeps_its_colours(ending, channels):
    bgr = chart()[..., ::-1]
    alpha = noise(*bgr.shape[:2], channels - 3)
    picture = np.concatenate([bgr, alpha], axis=2)
    if ending == 'jpg':
        picture = np.ascontiguousarray(bgr)
    colours = patches(rgb_of(compressed_to_i420(compressed(picture, ending))))
    assert_close(colours, CHART.astype(float), tolerance=7)


def test_the_whole_range_of_16_bits_is_scaled():
    grey = np.random.default_rng(1).integers(0, 65536, (9, 13), dtype=np.uint16)
    luma, u, v = planes(compressed_to_i420(compressed(grey, 'png', 'mono16')))
    assert_close(luma, 16 + grey[:8, :12].astype(float) * 219 / 65535, tolerance=0.501)
    assert set(u.flat) == set(v.flat) == {128}


def test_colour_of_16_bits_keeps_its_colours():
    wide = chart()[..., ::-1].astype(np.uint16) * 257
    colours = patches(rgb_of(compressed_to_i420(compressed(wide, 'png', 'bgr16'))))
    assert_close(colours, CHART.astype(float), tolerance=6)


def test_a_png_of_16uc1_is_depth():
    millimetres = np.full((8, 8), 500, np.uint16)
    millimetres[:, 4:] = 4000
    millimetres[4:] = 0
    image = compressed(millimetres, 'png', '16UC1')
    luma, _, _ = planes(compressed_to_i420(image, depth=DepthMapping(0.5, 4.0)))
    assert luma[0].tolist() == [235] * 4 + [38] * 4
    assert set(luma[4:].flat) == {16}


@pytest.mark.parametrize(
    ('text', 'encoding'),
    [
        ('rgb8; jpeg compressed bgr8', 'rgb8'),
        ('16UC1; png compressed ', '16UC1'),
        ('jpeg', 'jpeg'),
        ('', ''),
    ],
)
def test_the_format_begins_with_the_encoding(text, encoding):
    assert encoding_of(SimpleNamespace(format=text, data=b'')) == encoding


@pytest.mark.parametrize('ending', ['jpg', 'png'])
def test_a_kept_buffer_is_written_to(ending):
    image = compressed(chart(), ending)
    out = np.full((48, 80), 77, np.uint8)
    assert compressed_to_i420(image, out) is out
    assert np.array_equal(out, compressed_to_i420(image))
    other = np.full((48, 82), 77, np.uint8)
    assert not np.shares_memory(compressed_to_i420(image, other), other)
    assert set(other.flat) == {77}


@pytest.mark.parametrize('data', [b'', b'\x00' * 100, b'\xff\xd8\xff\xe0 no more', b'\x89PNG\r\n'])
def test_what_cannot_be_decoded_is_a_clear_error(data):
    with pytest.raises(
        ImageError, match=f"^compressed image of {len(data)} bytes, format 'jpeg': cannot be"
    ):
        compressed_to_i420(SimpleNamespace(format='jpeg', data=data))


@pytest.mark.parametrize('ending', ['bmp', 'tiff', 'webp'])
def test_other_files_are_not_decoded(ending):
    with pytest.raises(ImageError, match='cannot be decoded; supported are JPEG and PNG'):
        compressed_to_i420(compressed(chart(), ending))


def test_what_opencv_raises_is_the_same_error(monkeypatch):
    def imdecode(data, flags):
        raise cv2.error('too many pixels')

    image = compressed(chart(), 'png')
    monkeypatch.setattr(cv2, 'imdecode', imdecode)
    with pytest.raises(ImageError, match='cannot be decoded; it is damaged'):
        compressed_to_i420(image)


@pytest.mark.parametrize('ending', ['jpg', 'png'])
def test_a_picture_too_small_for_video_is_an_error(ending):
    with pytest.raises(ImageError, match='image of 8x1 pixels; it must be 2x2 or more'):
        compressed_to_i420(compressed(np.zeros((1, 8, 3), np.uint8), ending))


def test_a_picture_too_large_is_refused_before_it_is_decoded(monkeypatch):
    data = png_saying(20_000, 20_000)
    assert len(data) < 100_000
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('it was decoded'))
    tracemalloc.start()
    try:
        with pytest.raises(
            ImageError, match=f'^image of 20000x20000 pixels; it may have {MAX_PIXELS} at most$'
        ):
            compressed_to_i420(SimpleNamespace(format='png', data=data))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_000_000


def test_a_jpeg_too_large_is_refused_before_it_is_decoded(monkeypatch):
    data = bytearray(compressed(chart(), 'jpg').data)
    at = data.index(b'\xff\xc0')
    data[at + 5 : at + 9] = struct.pack('>HH', 65_000, 65_001)
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('it was decoded'))
    with pytest.raises(ImageError, match=r'^image of 65001x65000 pixels; it may have'):
        compressed_to_i420(SimpleNamespace(format='jpeg', data=data))


def test_a_size_in_a_jpegs_thumbnail_is_not_its_size():
    data = bytes(compressed(chart(), 'jpg').data)
    thumbnail = bytes(compressed(chart()[:4, :4], 'jpg').data)
    segment = b'\xff\xe1' + struct.pack('>H', 2 + len(thumbnail)) + thumbnail
    filled = b'\xff\xd8' + segment + b'\xff' + data[2:]
    assert compressed_to_i420(SimpleNamespace(format='jpeg', data=filled)).shape == (48, 80)


@pytest.mark.parametrize('ending', ['jpg', 'png'])
def test_zeros_behind_the_file_do_no_harm(ending):
    image = compressed(chart(), ending)
    whole = compressed_to_i420(image)
    image.data.extend(bytes(1000))
    assert np.array_equal(compressed_to_i420(image), whole)


@pytest.mark.parametrize('ending', ['jpg', 'png'])
@settings(deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_an_error(ending, share):
    image = compressed(noise(40, 60, 3), ending)
    image.data = image.data[: int(share * (len(image.data) - 8))]
    # Without its header as well it is nothing at all.
    with pytest.raises(ImageError, match=r'its end is missing|supported are JPEG and PNG'):
        compressed_to_i420(image)


def test_a_png_without_a_header_is_an_error():
    image = compressed(chart(), 'png')
    image.data[12:16] = array('B', b'tEXt')
    with pytest.raises(ImageError, match='supported are JPEG and PNG'):
        compressed_to_i420(image)


@pytest.mark.parametrize('ending', ['jpg', 'png'])
@settings(deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_a_picture_or_an_image_error(ending, data):
    image = compressed(noise(20, 30, 3), ending)
    for _ in range(data.draw(st.integers(1, 4))):
        image.data[data.draw(st.integers(0, len(image.data) - 1))] = data.draw(st.integers(0, 255))
    try:
        i420 = compressed_to_i420(image)
    except ImageError:
        return
    assert i420.dtype == np.uint8
