"""Images to I420, checked against the formulas of ITU-R BT.601 and against libswscale."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_signaling.errors import MediaError
from rtc_signaling.media import frames
from rtc_signaling.media.frames import FORMATS, ImageError, from_bgr, to_i420

# Where each encoding keeps red, green, blue.
COLOUR_ORDER = {
    'rgb8': (0, 1, 2), 'bgr8': (2, 1, 0), 'rgba8': (0, 1, 2), 'bgra8': (2, 1, 0),
    '8UC3': (2, 1, 0), '8UC4': (2, 1, 0),
}  # fmt: skip


@dataclass
class Image:
    """Stand in for sensor_msgs/Image, data as rclpy has it."""

    height: int
    width: int
    encoding: str
    step: int
    data: object
    is_bigendian: int = 0


def image_of(rows, encoding, *, padding=0, filler=0xEE):
    """Make an image from bytes of shape (height, width, bytes per pixel), rows padded."""
    height, width, depth = rows.shape
    padded = np.full((height, width * depth + padding), filler, np.uint8)
    padded[:, : width * depth] = rows.reshape(height, -1)
    return Image(height, width, encoding, padded.shape[1], array('B', padded.tobytes()))


def noise(height, width, depth, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, depth), dtype=np.uint8)


def blocks(height, width, depth, seed=0):
    """Make noise in blocks of 2x2: the chroma of a block is the same however it is sampled."""
    coarse = noise((height + 1) // 2, (width + 1) // 2, depth, seed)
    return np.repeat(np.repeat(coarse, 2, axis=0), 2, axis=1)[:height, :width]


def planes(i420):
    """Split I420 into luma and the two chroma planes."""
    height, width = i420.shape[0] * 2 // 3, i420.shape[1]
    chroma = i420[height:].reshape(2, height // 2, width // 2)
    return i420[:height].astype(int), chroma[0].astype(int), chroma[1].astype(int)


def bt601(rgb):
    """Compute Y, Cb, Cr, each (height, width), limited range (ITU-R BT.601, 2.5.1 to 2.5.3)."""
    red, green, blue = (rgb[..., place] / 255.0 for place in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return (
        16 + 219 * luma,
        128 + 224 * (blue - luma) / 1.772,
        128 + 224 * (red - luma) / 1.402,
    )


def assert_close(actual, expected, tolerance=2):
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance


@pytest.mark.parametrize('encoding', COLOUR_ORDER)
@pytest.mark.parametrize('padding', [0, 1, 64])
def test_colour_follows_bt601(encoding, padding):
    pixels = blocks(24, 32, FORMATS[encoding][0])
    luma, u, v = planes(to_i420(image_of(pixels, encoding, padding=padding)))
    y_want, u_want, v_want = bt601(pixels[..., COLOUR_ORDER[encoding]])
    assert_close(luma, y_want)
    assert_close(u, u_want[::2, ::2])
    assert_close(v, v_want[::2, ::2])


@pytest.mark.parametrize(('encoding', 'libav'), [('bgr8', 'bgr24'), ('rgb8', 'rgb24')])
def test_colour_is_what_libswscale_makes_of_it(encoding, libav):
    pixels = np.kron(noise(4, 4, 3), np.ones((16, 16, 1), np.uint8))
    reference = av.VideoFrame.from_ndarray(pixels, format=libav).reformat(format='yuv420p')
    # Away from the patches' borders, over which libswscale filters chroma.
    for ours, theirs in zip(
        planes(to_i420(image_of(pixels, encoding))), planes(reference.to_ndarray()), strict=True
    ):
        assert_close(ours[4::8, 4::8], theirs[4::8, 4::8])


@pytest.mark.parametrize('encoding', ['mono8', '8UC1'])
def test_grey_is_scaled_to_limited_range_without_colour(encoding):
    pixels = noise(20, 30, 1)
    pixels[0, :2, 0] = (0, 255)
    luma, u, v = planes(to_i420(image_of(pixels, encoding, padding=5)))
    assert_close(luma, 16 + pixels[..., 0].astype(float) * 219 / 255, tolerance=0.5)
    assert luma.min() == 16
    assert luma.max() == 235
    assert set(u.flat) == set(v.flat) == {128}


@pytest.mark.parametrize(
    ('encoding', 'luma_at', 'u_at', 'v_at'), [('yuv422', 1, 0, 2), ('yuv422_yuy2', 0, 1, 3)]
)
@pytest.mark.parametrize('padding', [0, 2, 7])
def test_packed_422_keeps_luma_and_averages_chroma_of_two_rows(
    encoding, luma_at, u_at, v_at, padding
):
    pixels = noise(16, 24, 2)
    luma, u, v = planes(to_i420(image_of(pixels, encoding, padding=padding)))
    assert_close(luma, pixels[..., luma_at].astype(int), tolerance=0)
    pairs = pixels.reshape(8, 2, 12, 4).astype(float).mean(axis=1)
    assert_close(u, pairs[..., u_at], tolerance=0.5)
    assert_close(v, pairs[..., v_at], tolerance=0.5)


@pytest.mark.parametrize(
    ('encoding', 'libav'), [('yuv422', 'uyvy422'), ('yuv422_yuy2', 'yuyv422')]
)
def test_packed_422_is_what_libswscale_makes_of_it(encoding, libav):
    pixels = np.repeat(noise(16, 32, 2), 2, axis=0)
    reference = av.VideoFrame(32, 32, libav)
    reference.planes[0].update(pixels.tobytes())
    for ours, theirs in zip(
        planes(to_i420(image_of(pixels, encoding))),
        planes(reference.reformat(format='yuv420p').to_ndarray()),
        strict=True,
    ):
        assert_close(ours, theirs)


@pytest.mark.parametrize('encoding', FORMATS)
@pytest.mark.parametrize(('height', 'width'), [(5, 8), (8, 5), (7, 7), (3, 3)])
def test_odd_sizes_lose_the_last_row_and_column(encoding, height, width):
    depth = FORMATS[encoding][0]
    pixels = noise(height, width, depth)
    whole = to_i420(image_of(pixels, encoding, padding=3))
    cut = to_i420(image_of(pixels[: height & ~1, : width & ~1], encoding))
    assert whole.shape == ((height & ~1) * 3 // 2, width & ~1)
    assert np.array_equal(whole, cut)


@given(
    encoding=st.sampled_from(sorted(FORMATS)),
    height=st.integers(2, 40),
    width=st.integers(2, 40),
    padding=st.integers(0, 70),
    seed=st.integers(0, 2**32 - 1),
)
def test_padding_never_shows(encoding, height, width, padding, seed):
    pixels = noise(height, width, FORMATS[encoding][0], seed)
    plain = to_i420(image_of(pixels, encoding))
    assert plain.shape == ((height & ~1) * 3 // 2, width & ~1)
    assert plain.dtype == np.uint8
    assert np.array_equal(plain, to_i420(image_of(pixels, encoding, padding=padding)))


@given(
    encoding=st.sampled_from(sorted(FORMATS)),
    height=st.integers(0, 2**32 - 1),
    width=st.integers(0, 2**32 - 1),
    step=st.integers(0, 2**32 - 1),
    size_bytes=st.integers(0, 200),
)
def test_any_numbers_make_a_picture_or_an_image_error(encoding, height, width, step, size_bytes):
    image = Image(height, width, encoding, step, array('B', bytes(size_bytes)))
    fits = (
        height >= 2
        and width >= 2
        and step >= width * FORMATS[encoding][0]
        and size_bytes >= height * step
    )
    if fits:
        to_i420(image)
    else:
        with pytest.raises(ImageError):
            to_i420(image)


def test_the_message_is_viewed_not_copied():
    image = image_of(noise(8, 8, 3), 'bgr8', padding=9)
    view = frames._view(image, 3)
    assert np.shares_memory(view, np.frombuffer(image.data, np.uint8))


@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview])
def test_any_buffer_will_do(kind):
    image = image_of(noise(8, 8, 3), 'bgr8')
    expected = to_i420(image)
    image.data = kind(bytes(image.data))
    assert np.array_equal(to_i420(image), expected)


def test_the_result_is_its_own():
    image = image_of(noise(8, 8, 3), 'bgr8')
    first = to_i420(image)
    kept = first.copy()
    image.data[:] = array('B', bytes(len(image.data)))
    assert not np.array_equal(to_i420(image), kept)
    assert np.array_equal(first, kept)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'encoding': 'rgb9'}, "unknown image encoding 'rgb9'; supported are rgb8, bgr8, rgba8"),
        ({'encoding': ''}, "unknown image encoding ''"),
        ({'data': array('B', bytes(191))}, 'data of 191 bytes; 8 rows with a step of 24 bytes'),
        ({'data': array('B')}, 'data of 0 bytes'),
        ({'step': 23}, 'step of 23 bytes; 8 pixels of bgr8 need 24'),
        ({'step': 0}, 'step of 0 bytes'),
        ({'height': 0}, 'image of 8x0 pixels'),
        ({'width': 0}, 'image of 0x8 pixels'),
        ({'width': 1}, 'image of 1x8 pixels'),
        ({'height': 9}, 'need 216'),
    ],
)
def test_errors_name_the_thing(changes, message):
    image = image_of(noise(8, 8, 3), 'bgr8')
    for name, value in changes.items():
        setattr(image, name, value)
    with pytest.raises(ImageError) as caught:
        to_i420(image)
    assert message in str(caught.value)
    assert '\n' not in str(caught.value)
    assert isinstance(caught.value, MediaError)


@pytest.mark.parametrize('encoding', ['bgr8', 'rgb8', 'mono8', 'yuv422'])
@pytest.mark.parametrize(('height', 'width'), [(8, 12), (9, 12), (8, 13), (9, 13)])
def test_published_encodings_show_the_same_picture(encoding, height, width):
    bgr = blocks(height, width, 3)
    rows = from_bgr(bgr, encoding)
    depth = FORMATS[encoding][0]
    assert rows.shape == (height, width * depth)
    assert rows.dtype == np.uint8
    again = planes(to_i420(Image(height, width, encoding, rows.shape[1], rows.tobytes())))
    luma, u, v = planes(to_i420(image_of(bgr, 'bgr8')))
    assert_close(again[0], luma)
    if encoding != 'mono8':
        assert_close(again[1], u)
        assert_close(again[2], v)


def test_publishing_an_unknown_encoding_is_an_error():
    with pytest.raises(ImageError, match="'16UC1'; supported are bgr8, rgb8, mono8, yuv422"):
        from_bgr(noise(8, 8, 3), '16UC1')
