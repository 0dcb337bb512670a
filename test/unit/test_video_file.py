"""Video files as endless cameras, with files that really are video and files that are not."""

from __future__ import annotations

import itertools
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import rtc_signaling
from rtc_signaling.errors import MediaError
from rtc_signaling.media.video_file import VideoFile, VideoFileError

CLIPS = Path(rtc_signaling.__file__).parent / 'clips'
# A picture's place in the test file tells its grey level.
LEVEL_STEP = 20


def write_video(path, ticks, *, time_base=Fraction(1, 20), size=(64, 48)):
    """Write one picture for each timestamp, in ticks; each one brighter than the last."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=20, options={'crf': '5', 'bf': '0'})
        stream.width, stream.height = size
        stream.pix_fmt = 'yuv420p'
        stream.codec_context.time_base = time_base
        for number, tick in enumerate(ticks):
            grey = np.full((size[1], size[0], 3), 20 + LEVEL_STEP * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format='bgr24')
            frame.pts, frame.time_base = tick, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def number_of(bgr):
    return round((float(bgr.mean()) - 20) / LEVEL_STEP)


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / 'five.mp4', range(5))


def test_says_what_is_in_the_file(video):
    file = VideoFile(str(video))
    assert (file.width, file.height, file.rate_hz) == (64, 48, 20.0)
    assert file.path == video


def test_loops_at_the_files_times_without_a_jump(video):
    with closing(VideoFile(str(video)).frames()) as frames:
        shown = list(itertools.islice(frames, 17))
    assert [number_of(bgr) for _, bgr in shown] == [0, 1, 2, 3, 4] * 3 + [0, 1]
    assert [time_s for time_s, _ in shown] == pytest.approx([n / 20 for n in range(17)])
    assert {bgr.shape for _, bgr in shown} == {(48, 64, 3)}
    assert {bgr.dtype for _, bgr in shown} == {np.dtype(np.uint8)}


def test_keeps_uneven_times_and_begins_at_zero(tmp_path):
    path = write_video(tmp_path / 'uneven.mkv', [10, 11, 14, 15])
    file = VideoFile(str(path))
    with closing(file.frames()) as frames:
        times = [time_s for time_s, _ in itertools.islice(frames, 5)]
    assert times[:4] == pytest.approx([0, 0.05, 0.2, 0.25], abs=0.002)
    assert times[4] == pytest.approx(0.25 + 1 / file.rate_hz, abs=0.002)


def test_pictures_without_times_come_at_the_files_rate(tmp_path):
    # A raw H.264 stream has no timestamps at all.
    path = write_video(tmp_path / 'raw.h264', range(4))
    file = VideoFile(str(path))
    with closing(file.frames()) as frames:
        shown = list(itertools.islice(frames, 9))
    steps = np.diff([time_s for time_s, _ in shown])
    assert steps == pytest.approx([1 / file.rate_hz] * 8)
    assert [number_of(bgr) for _, bgr in shown] == [0, 1, 2, 3] * 2 + [0]


def test_closing_releases_the_file(video):
    descriptors = Path('/proc/self/fd')
    before = len(list(descriptors.iterdir()))
    frames = VideoFile(str(video)).frames()
    next(frames)
    assert len(list(descriptors.iterdir())) == before + 1
    frames.close()
    assert len(list(descriptors.iterdir())) == before


def test_many_rounds_leave_nothing_open(video):
    descriptors = Path('/proc/self/fd')
    before = len(list(descriptors.iterdir()))
    with closing(VideoFile(str(video)).frames()) as frames:
        for _ in itertools.islice(frames, 60):
            pass
    assert len(list(descriptors.iterdir())) == before


def write_sound(path):
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('pcm_s16le', rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), 's16', 'mono')
        sound.rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ('name', 'make', 'reason'),
    [
        ('missing.mp4', lambda path: None, 'there is no such file; check the path'),
        ('folder.mp4', Path.mkdir, 'there is no such file; check the path'),
        ('empty.mp4', Path.touch, 'cannot be played as video'),
        ('text.mp4', lambda path: path.write_text('no video\n'), 'choose another file'),
        ('text.txt', lambda path: path.write_text('no video\n'), 'choose another file'),
        ('sound.wav', write_sound, 'there is no video in it; choose another file'),
    ],
)
def test_what_is_no_video_is_one_clear_line(tmp_path, name, make, reason):
    path = tmp_path / name
    make(path)
    with pytest.raises(VideoFileError) as caught:
        VideoFile(str(path))
    assert str(caught.value).startswith(f'{path}: ')
    assert reason in str(caught.value)
    assert '\n' not in str(caught.value)
    assert isinstance(caught.value, MediaError)


def test_a_url_is_no_file():
    with pytest.raises(VideoFileError, match='there is no such file'):
        VideoFile('http://127.0.0.1:9/video.mp4')


def test_a_file_that_goes_away_is_told_at_the_next_round(video):
    with closing(VideoFile(str(video)).frames()) as frames:
        next(frames)
        video.unlink()
        with pytest.raises(VideoFileError, match='there is no such file'):
            for _ in itertools.islice(frames, 10):
                pass


def test_a_file_without_pictures_does_not_spin_for_ever(video, tmp_path):
    # The packets' data is overwritten, so the header promises pictures that cannot be decoded.
    damaged = tmp_path / 'damaged.mp4'
    data = bytearray(video.read_bytes())
    start = data.index(b'mdat') + 4
    size = int.from_bytes(data[start - 8 : start - 4], 'big') - 8
    data[start : start + size] = bytes(size)
    damaged.write_bytes(data)
    with closing(VideoFile(str(damaged)).frames()) as frames, pytest.raises(VideoFileError):
        next(frames)


def test_the_clip_that_comes_with_the_package():
    clip = CLIPS / 'walking.mp4'
    assert clip.stat().st_size < 1_000_000
    assert 'Licence:' in (CLIPS / 'README.md').read_text()
    file = VideoFile(str(clip))
    assert (file.width, file.height, file.rate_hz) == (640, 480, 30.0)
    with closing(file.frames()) as frames:
        shown = list(itertools.islice(frames, 300))
    assert np.diff([time_s for time_s, _ in shown]) == pytest.approx([1 / 30] * 299, abs=0.001)
    moved = [
        np.abs(a.astype(int) - b).max(axis=2).__gt__(30).mean()
        for (_, a), (_, b) in zip(shown[:240:10], shown[10:250:10], strict=True)
    ]
    assert min(moved) > 0.002
