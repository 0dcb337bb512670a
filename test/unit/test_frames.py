"""Images to I420, checked against the formulas of ITU-R BT.601 and against libswscale."""

from __future__ import annotations

import tracemalloc
from array import array

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import (
    CHART,
    Image,
    assert_close,
    blocks,
    bt601,
    chart,
    encode,
    image_of,
    noise,
    patches,
    planes,
    rgb_of,
)

from rtc_signaling.errors import MediaError
from rtc_signaling.media.frames import (
    DEPTH_FORMATS,
    FORMATS,
    DepthMapping,
    ImageError,
    colour_space,
    describe,
    doubt,
    from_bgr,
    to_i420,
    view,
)
from rtc_signaling.media.pixels import MAX_PIXELS

COLOURS = [
    'rgb8', 'bgr8', 'rgba8', 'bgra8', '8UC3', '8UC4', 'rgb16', 'bgr16', 'rgba16', 'bgra16',
]  # fmt: skip
GREYS = ['mono8', '8UC1', 'mono16']
UYVY = ['yuv422', 'uyvy']
YUYV = ['yuv422_yuy2', 'yuyv']
SEMI_PLANAR = ['nv12', 'nv21']
BAYERS = [
    f'bayer_{pattern}{bits}' for pattern in ('rggb', 'bggr', 'gbrg', 'grbg') for bits in (8, 16)
]
PIXEL_BYTES = {name: found.pixel_bytes for name, found in FORMATS.items()} | {
    '16UC1': 2, '32FC1': 4,
}  # fmt: skip
ALL = sorted(PIXEL_BYTES)


def any_image(encoding, height, width, *, padding=0, seed=0, bigendian=False):
    """Make an image of noise in any encoding and size."""
    rows = height + height // 2 if encoding in SEMI_PLANAR else height
    pixels = noise(rows, width, PIXEL_BYTES[encoding], seed)
    return image_of(pixels, encoding, height=height, padding=padding, bigendian=bigendian)


def test_the_table_is_what_is_tested_here():
    assert set(FORMATS) == {*COLOURS, *GREYS, *UYVY, *YUYV, *SEMI_PLANAR, *BAYERS}
    assert set(DEPTH_FORMATS) == {'16UC1', '32FC1'}


@pytest.mark.parametrize('bigendian', [False, True])
@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize('encoding', sorted({*FORMATS} - {*GREYS}))
def test_a_chart_keeps_its_colours(encoding, padding, bigendian):
    pixels = encode(chart(), encoding, bigendian=bigendian)
    image = image_of(pixels, encoding, height=32, padding=padding, bigendian=bigendian)
    # Rounding of luma and chroma to 8 bits, twice where the image has them already.
    assert_close(patches(rgb_of(to_i420(image))), CHART.astype(float), tolerance=6)


@pytest.mark.parametrize('encoding', COLOURS)
@pytest.mark.parametrize('padding', [0, 1, 64])
def test_colour_follows_bt601(encoding, padding):
    rgb = blocks(24, 32, 3)
    luma, u, v = planes(to_i420(image_of(encode(rgb, encoding), encoding, padding=padding)))
    y_want, u_want, v_want = bt601(rgb)
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


@pytest.mark.parametrize('padding', [0, 1, 8])
@pytest.mark.parametrize('bigendian', [False, True])
def test_the_whole_range_of_mono16_is_scaled(padding, bigendian):
    values = np.random.default_rng(3).integers(0, 65536, (20, 30), dtype=np.uint16)
    values[0, :4] = (0, 65535, 255, 256)
    pixels = values.astype('>u2' if bigendian else '<u2').view(np.uint8).reshape(20, 30, 2)
    image = image_of(pixels, 'mono16', padding=padding, bigendian=bigendian)
    luma, u, v = planes(to_i420(image))
    assert_close(luma, 16 + values.astype(float) * 219 / 65535, tolerance=0.501)
    assert set(u.flat) == set(v.flat) == {128}


@pytest.mark.parametrize(
    ('encoding', 'luma_at', 'u_at', 'v_at'),
    [(name, 1, 0, 2) for name in UYVY] + [(name, 0, 1, 3) for name in YUYV],
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


@pytest.mark.parametrize(('encoding', 'u_at', 'v_at'), [('nv12', 0, 1), ('nv21', 1, 0)])
@pytest.mark.parametrize('padding', [0, 1, 16])
@pytest.mark.parametrize('size', [(16, 24), (17, 24), (16, 25), (3, 3)])
def test_semi_planar_420_keeps_every_value(encoding, u_at, v_at, padding, size):
    height, width = size
    pixels = noise(height + height // 2, width, 1)
    image = image_of(pixels, encoding, height=height, padding=padding)
    luma, u, v = planes(to_i420(image))
    rows, columns = height & ~1, width & ~1
    chroma = pixels[height:, :columns, 0].astype(int)
    assert_close(luma, pixels[:rows, :columns, 0].astype(int), tolerance=0)
    assert_close(u, chroma[:, u_at::2], tolerance=0)
    assert_close(v, chroma[:, v_at::2], tolerance=0)


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_a_mosaic_is_interpolated_from_its_neighbours(pattern):
    # A slope, of which means of neighbours are exact: inside, each colour is what it was.
    ramp = np.add.outer(2 * np.arange(24), 3 * np.arange(32)).astype(np.uint8)
    rgb = np.stack([ramp + 10, ramp + 60, 250 - ramp], axis=-1).astype(np.uint8)
    encoding = f'bayer_{pattern}8'
    luma, _, _ = planes(to_i420(image_of(encode(rgb, encoding), encoding)))
    assert_close(luma[2:-2, 2:-2], bt601(rgb)[0][2:-2, 2:-2])


@pytest.mark.parametrize('encoding', ALL)
@pytest.mark.parametrize(('height', 'width'), [(5, 8), (8, 5), (7, 7), (3, 3)])
def test_odd_sizes_lose_the_last_row_and_column(encoding, height, width):
    rows, columns = height & ~1, width & ~1
    pixels = noise(height, width, PIXEL_BYTES[encoding])
    cut = pixels[:rows, :columns]
    if encoding in SEMI_PLANAR:
        chroma = noise(height // 2, width, 1, seed=1)
        pixels = np.concatenate([pixels, chroma])
        cut = np.concatenate([cut, chroma[:, :columns]])
    whole = to_i420(image_of(pixels, encoding, height=height, padding=3))
    assert whole.shape == (rows * 3 // 2, columns)
    assert np.array_equal(whole, to_i420(image_of(cut, encoding, height=rows)))


@settings(deadline=None)
@given(
    encoding=st.sampled_from(ALL),
    size=st.tuples(st.integers(2, 40), st.integers(2, 40)),
    padding=st.integers(0, 70),
    seed=st.integers(0, 2**32 - 1),
    bigendian=st.booleans(),
)
def test_padding_never_shows(encoding, size, padding, seed, bigendian):
    height, width = size
    plain, padded = (
        to_i420(any_image(encoding, height, width, padding=p, seed=seed, bigendian=bigendian))
        for p in (0, padding)
    )
    assert plain.shape == ((height & ~1) * 3 // 2, width & ~1)
    assert plain.dtype == np.uint8
    assert np.array_equal(plain, padded)


@settings(deadline=None)
@given(
    encoding=st.sampled_from([n for n in ALL if n.endswith('16')] + ['16UC1', '32FC1']),
    height=st.integers(2, 20),
    width=st.integers(2, 20),
    padding=st.integers(0, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_byte_order_makes_no_difference(encoding, height, width, padding, seed):
    little = any_image(encoding, height, width, padding=padding, seed=seed)
    size = 4 if encoding == '32FC1' else 2
    data = np.frombuffer(little.data, np.uint8).reshape(height, little.step).copy()
    row_bytes = width * PIXEL_BYTES[encoding]
    values = data[:, :row_bytes].reshape(height, -1, size)
    data[:, :row_bytes] = values[..., ::-1].reshape(height, row_bytes)
    big = Image(height, width, encoding, little.step, array('B', data.tobytes()), 1)
    assert np.array_equal(to_i420(little), to_i420(big))


@settings(deadline=None)
@given(
    encoding=st.sampled_from(sorted({*FORMATS} - {n for n in FORMATS if n.endswith('16')})),
    seed=st.integers(0, 2**32 - 1),
)
def test_byte_order_of_single_bytes_means_nothing(encoding, seed):
    little = any_image(encoding, 8, 8, seed=seed)
    big = any_image(encoding, 8, 8, seed=seed, bigendian=True)
    assert np.array_equal(to_i420(little), to_i420(big))


@settings(deadline=None)
@given(
    encoding=st.sampled_from(ALL),
    height=st.integers(-3, 2**32 - 1),
    width=st.integers(-3, 2**32 - 1),
    step=st.integers(-3, 2**32 - 1),
    size_bytes=st.integers(0, 200),
)
def test_any_numbers_make_a_picture_or_an_image_error(encoding, height, width, step, size_bytes):
    image = Image(height, width, encoding, step, array('B', bytes(size_bytes)))
    rows = height + height // 2 if encoding in SEMI_PLANAR else height
    fits = (
        height >= 2
        and width >= 2
        and step >= width * PIXEL_BYTES[encoding]
        and size_bytes >= rows * step
    )
    if fits:
        to_i420(image)
    else:
        with pytest.raises(ImageError):
            to_i420(image)


@settings(deadline=None)
@given(
    encoding=st.sampled_from(ALL),
    height=st.integers(2, 12),
    width=st.integers(2, 12),
    padding=st.integers(0, 5),
    data=st.data(),
)
def test_truncated_data_is_an_error_and_surplus_is_not(encoding, height, width, padding, data):
    image = any_image(encoding, height, width, padding=padding)
    whole = to_i420(image)
    image.data = image.data + array('B', bytes(data.draw(st.integers(0, 9))))
    assert np.array_equal(to_i420(image), whole)
    rows = height + height // 2 if encoding in SEMI_PLANAR else height
    image.data = image.data[: data.draw(st.integers(0, rows * image.step - 1))]
    with pytest.raises(ImageError, match=rf'data of {len(image.data)} bytes; {rows} rows .* need'):
        to_i420(image)


@pytest.mark.parametrize('encoding', ALL)
@pytest.mark.parametrize('padding', [0, 9])
def test_the_message_is_viewed_not_copied(encoding, padding):
    image = any_image(encoding, 8, 8, padding=padding)
    seen = view(image, PIXEL_BYTES[encoding], encoding in SEMI_PLANAR)
    assert np.shares_memory(seen, np.frombuffer(image.data, np.uint8))


@pytest.mark.parametrize(
    'encoding', [n for n in ALL if not n.endswith('16') and 'bayer' not in n and 'C1' not in n]
)
def test_nothing_as_large_as_the_image_is_made_on_the_way(encoding):
    image = any_image(encoding, 480, 640, padding=32)
    out = to_i420(image)
    tracemalloc.start()
    try:
        to_i420(image, out)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The means of the chroma of two rows are half of an image in 4:2:2.
    assert peak_bytes < (0.6 if '422' in encoding or 'yv' in encoding else 0.02) * len(image.data)


@pytest.mark.parametrize('encoding', ALL)
def test_a_kept_buffer_is_written_to(encoding):
    image = any_image(encoding, 9, 12, padding=3)
    out = np.full((12, 12), 77, np.uint8)
    assert to_i420(image, out) is out
    assert np.array_equal(out, to_i420(image))


@pytest.mark.parametrize(
    'out',
    [
        np.empty((12, 10), np.uint8),
        np.empty((12, 12, 1), np.uint8),
        np.empty((12, 12), np.int8),
        np.empty((12, 24), np.uint8)[:, ::2],
        np.frombuffer(bytes(144), np.uint8).reshape(12, 12),
    ],
    ids=['size', 'dimensions', 'type', 'gaps', 'read only'],
)
def test_a_buffer_that_does_not_fit_is_left_alone(out):
    before = out.copy()
    image = any_image('bgr8', 8, 12)
    result = to_i420(image, out)
    assert not np.shares_memory(result, out)
    assert np.array_equal(out, before)
    assert np.array_equal(result, to_i420(image))


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
        ({'step': -24}, 'step of -24 bytes'),
        ({'step': 2**32 - 1}, f'8 rows with a step of {2**32 - 1} bytes need'),
        ({'height': 0}, 'image of 8x0 pixels; it must be 2x2 or more'),
        ({'width': 0}, 'image of 0x8 pixels; it must be 2x2 or more'),
        ({'width': 1}, 'image of 1x8 pixels'),
        ({'height': -8}, 'image of 8x-8 pixels'),
        ({'width': -8}, 'image of -8x8 pixels'),
        ({'height': 9}, 'need 216'),
        ({'height': 2**32 - 1}, f'image of 8x{2**32 - 1} pixels; it may have {MAX_PIXELS} at'),
        ({'encoding': 'nv12', 'height': 17}, '25 rows with a step of 24 bytes need 600'),
        ({'encoding': '16UC1', 'step': 15}, 'step of 15 bytes; 8 pixels of 16UC1 need 16'),
        ({'encoding': '32FC1', 'step': 31}, 'step of 31 bytes; 8 pixels of 32FC1 need 32'),
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


def test_what_is_unknown_goes_to_the_fallback():
    bgr = blocks(9, 13, 3)
    image = image_of(noise(9, 13, 1), 'hsv')
    seen = []
    out = np.empty((12, 12), np.uint8)
    result = to_i420(image, out, fallback=lambda message: seen.append(message) or bgr)
    assert seen == [image]
    assert result is out
    assert np.array_equal(result, to_i420(image_of(bgr, 'bgr8')))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'data': array('B', bytes(63))}, 'data of 63 bytes'),
        ({'height': 0}, 'image of 8x0'),
        ({'step': 7}, 'step of 7 bytes'),
    ],
)
def test_the_fallback_is_not_asked_of_what_cannot_be_right(changes, message):
    image = image_of(noise(8, 8, 1), 'hsv')
    for name, value in changes.items():
        setattr(image, name, value)
    with pytest.raises(ImageError, match=message):
        to_i420(image, fallback=lambda image: pytest.fail('it was asked'))


def test_the_fallback_is_not_asked_of_what_is_known():
    to_i420(any_image('bgr8', 8, 8), fallback=lambda image: pytest.fail('it was asked'))


def test_the_colour_space_is_that_of_srgb_with_the_matrix_of_bt601_in_limited_range():
    # ITU-T H.273: primaries of BT.709 and sRGB, transfer of sRGB, matrix of BT.601.
    for height in (2, 480, 718, 720, 2160):
        assert colour_space(height) == (1, 13, 6, False)


@pytest.mark.parametrize(
    ('encoding', 'words'),
    [
        ('bgr8', ''),
        ('hsv', ''),
        ('mono16', ', of which 0 to 65535 is shown as black to white'),
        ('bayer_rggb16', ', of which 0 to 65535 is shown as black to white'),
        ('16UC1', ', shown as depth in turbo from 0.5 m (bright) to 4 m (dark), black where'),
        ('32FC1', ', shown as depth in turbo from 0.5 m (bright) to 4 m (dark), black where'),
    ],
)
def test_what_is_not_plain_is_described(encoding, words):
    described = describe(encoding, DepthMapping(0.5, 4.0, 'turbo'))
    assert described.startswith(words)
    assert bool(described) == bool(words)


@pytest.mark.parametrize('encoding', ['bgr8', 'rgb8', 'mono8', 'yuv422'])
@pytest.mark.parametrize(('height', 'width'), [(8, 12), (9, 12), (8, 13), (9, 13)])
def test_published_encodings_show_the_same_picture(encoding, height, width):
    bgr = blocks(height, width, 3)
    rows = from_bgr(bgr, encoding)
    assert rows.shape == (height, width * PIXEL_BYTES[encoding])
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


@pytest.mark.parametrize('colour', ['grey', 'turbo'])
def test_depth_without_any_distance_is_told_and_shown(colour):
    mapping = DepthMapping(0.5, 4.0, colour)
    nothing = np.full((8, 8), np.nan, '<f4')
    image = image_of(nothing.view(np.uint8).reshape(8, 8, 4), '32FC1')
    assert doubt('32FC1', to_i420(image, depth=mapping)).startswith(
        'depth image of 32FC1 without any distance'
    )
    nothing[7, 7] = 1e6  # as far as can be
    image = image_of(nothing.view(np.uint8).reshape(8, 8, 4), '32FC1')
    assert doubt('32FC1', to_i420(image, depth=mapping)) == ''


def test_a_black_picture_is_no_depth_without_distance():
    assert doubt('mono8', to_i420(image_of(np.zeros((8, 8, 1), np.uint8), 'mono8'))) == ''
