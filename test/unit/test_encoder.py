"""Real encoders: what they must keep, decoded back."""

from __future__ import annotations

import contextlib
import functools
import itertools

import av
import cv2
import numpy as np
import pytest

from rtc_signaling.media import encoder as encoder_module
from rtc_signaling.media.encoder import (
    CODECS,
    H264,
    VP8,
    Encoder,
    EncoderError,
    Encoders,
    try_out,
)

SOFTWARE = {H264: 'libx264', VP8: 'libvpx'}
DECODERS = {'libx264': 'h264', 'libvpx': 'vp8'}
FPS = 30


@functools.cache
def textured(width, height, count=60):
    """Return pictures of a moving texture, I420."""
    random = np.random.default_rng(1)
    noise = random.integers(0, 256, (height + 120, width + 120, 3), np.uint8)
    large = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.0), None, 0, 255, cv2.NORM_MINMAX)
    pictures = []
    for i in range(count):
        x, y = int(60 + 59 * np.sin(i / 9)), int(60 + 59 * np.cos(i / 13))
        bgr = np.ascontiguousarray(large[y : y + height, x : x + width])
        pictures.append(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420))
    return pictures


def encoded(encoder, count, fps=FPS, key_frames=(), start=0):
    """Return the packets of some pictures."""
    pictures = textured(encoder.width, encoder.height)
    return [
        encoder.encode(pictures[i % len(pictures)], i * 90_000 // fps, i in key_frames)
        for i in range(start, start + count)
    ]


def decoded(name, packets):
    decoder = av.CodecContext.create(DECODERS[name], 'r')
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(bytes(packet)))]
    return [frame.to_ndarray() for frame in frames + decoder.decode(None)]


def psnr_db(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def kbit_per_s(packets, fps=FPS):
    return sum(packet.size for packet in packets) * 8 * fps / len(packets) / 1000


@pytest.fixture(params=['libx264', 'libvpx'])
def name(request):
    return request.param


def test_each_picture_is_a_packet_at_once_and_looks_like_itself(name):
    encoder = Encoder(name, 320, 240, 1_500_000)
    packets = encoded(encoder, 60)
    assert [packet.pts for packet in packets] == [i * 3000 for i in range(60)]
    pictures = decoded(name, packets)
    quality = [psnr_db(a, b) for a, b in zip(pictures, textured(320, 240), strict=True)]
    assert min(quality) > 28
    assert np.mean(quality) > 33


def test_key_frames_come_when_they_are_asked_for_and_never_else(name):
    encoder = Encoder(name, 320, 240, 1_000_000)
    packets = encoded(encoder, 400, key_frames={70, 71, 200})
    assert [i for i, packet in enumerate(packets) if packet.is_keyframe] == [0, 70, 71, 200]


def test_a_change_of_the_whole_picture_makes_no_key_frame(name):
    encoder = Encoder(name, 320, 240, 1_000_000)
    flat = [np.full((360, 320), shade, np.uint8) for shade in (40, 200)]
    packets = [encoder.encode(flat[i // 10 % 2], i * 3000, False) for i in range(60)]
    assert [i for i, packet in enumerate(packets) if packet.is_keyframe] == [0]


def test_a_key_frame_can_be_decoded_without_what_was_before(name):
    encoder = Encoder(name, 320, 240, 1_500_000)
    packets = encoded(encoder, 60, key_frames={40})
    pictures = decoded(name, packets[40:])
    assert len(pictures) == 20
    quality = [psnr_db(a, b) for a, b in zip(pictures, textured(320, 240)[40:], strict=True)]
    assert np.mean(quality) > 33


def parameter_set(packet):
    """Return profile, constraint flags and level of the sequence parameter set (7.3.2.1)."""
    data = bytes(packet)
    start = data.index(b'\0\0\1\x67') + 4
    return data[start], data[start + 1], data[start + 2]


@pytest.mark.parametrize(
    ('width', 'height', 'fps', 'needed'),
    [
        (320, 240, 30, 30), (640, 480, 30, 30), (1280, 720, 30, 31), (1280, 720, 60, 32),
        (1920, 1080, 30, 40), (2560, 1440, 30, 50),
    ],
)  # fmt: skip
def test_the_stream_says_what_it_is_constrained_baseline_of_the_level_that_it_needs(
    width, height, fps, needed
):
    encoder = Encoder('libx264', width, height, 2_500_000, fps=fps)
    grey = np.full((height * 3 // 2, width), 128, np.uint8)
    first = encoder.encode(grey, 0, True)
    profile, flags, level = parameter_set(first)
    assert (profile, flags & 0xE0, level) == (66, 0xC0, needed)
    # Every key frame says it again, for who comes late.
    assert parameter_set(encoder.encode(grey, 3000, True)) == (profile, flags, level)


def test_the_bitrate_is_kept(name):
    packets = encoded(Encoder(name, 320, 240, 800_000), 240)
    assert kbit_per_s(packets[60:]) == pytest.approx(800, rel=0.2)


@pytest.mark.parametrize('fps', [10, 60])
def test_the_bitrate_is_kept_at_other_rates_than_30_hz(name, fps):
    packets = encoded(Encoder(name, 320, 240, 500_000), 240, fps)
    assert 350 < kbit_per_s(packets[60:], fps) < 600


def test_x264_takes_up_another_bitrate_while_it_runs_without_a_key_frame():
    encoder = Encoder('libx264', 320, 240, 900_000)
    packets, rates = [], []
    for i, bitrate_bps in enumerate((900_000, 300_000, 1_200_000, 200_000)):
        assert encoder.follow(bitrate_bps)
        packets += (part := encoded(encoder, 180, start=180 * i))
        rates.append(kbit_per_s(part[60:]))
    assert rates == pytest.approx([900, 300, 1200, 200], rel=0.25)
    assert [i for i, packet in enumerate(packets) if packet.is_keyframe] == [0]


def test_what_an_encoder_cannot_follow_it_says():
    encoder = Encoder('libx264', 320, 240, 500_000)
    assert not encoder.follow(2_000_001)
    assert encoder.bitrate_bps == 500_000
    assert encoder.follow(2_000_000)
    vp8 = Encoder('libvpx', 320, 240, 500_000)
    assert not vp8.follow(400_000)
    assert vp8.bitrate_bps == 500_000


def test_a_key_frame_is_not_many_times_what_fits_in_the_buffer(name):
    encoder = Encoder(name, 320, 240, 800_000)
    packets = encoded(encoder, 120, key_frames={100})
    assert packets[100].size * 8 < 800_000 * 2 * encoder_module.BUFFER_S


@pytest.mark.parametrize('size', [(16, 16), (18, 34), (322, 242)])
def test_small_and_crooked_sizes_work(name, size):
    width, height = size
    encoder = Encoder(name, width, height, 300_000)
    pictures = decoded(name, encoded(encoder, 5))
    assert [picture.shape for picture in pictures] == [(height * 3 // 2, width)] * 5


def test_an_encoder_that_is_not_there_is_named():
    with pytest.raises(EncoderError, match='h264_novel: this FFmpeg has no such encoder'):
        Encoder('h264_novel', 320, 240, 1_000_000)
    with pytest.raises(EncoderError, match='libx264: cannot be opened: '):
        Encoder('libx264', 320, 240, 1_000_000, preset='leisurely')
    with pytest.raises(EncoderError, match='libopus is no video encoder'):
        Encoder('libopus', 320, 240, 1_000_000)


def test_a_time_that_stands_still_is_no_crash(name):
    encoder = Encoder(name, 320, 240, 1_000_000)
    pictures = textured(320, 240)
    encoder.encode(pictures[0], 3000, False)
    # Whether it is one depends on the library's version.
    with contextlib.suppress(EncoderError):
        encoder.encode(pictures[1], 3000, False)
    assert encoder.encode(pictures[2], 6000, False) is not None


def test_x264_passes_what_hardware_has_to():
    try_out('libx264', 320, 240, 1_000_000)


class Faulty(Encoder):
    """Be x264 with a fault that hardware has."""

    fault = ''

    def encode(self, i420, pts, key_frame):
        if self.fault == 'no key frames':
            key_frame = False
        packet = super().encode(i420, pts, key_frame)
        if self.fault == 'late':
            return None
        if self.fault == 'garbage':
            packet = av.Packet(b'\0\0\0\1' + bytes(100))
            packet.is_keyframe = True
        return packet


@pytest.mark.parametrize(
    ('fault', 'words'),
    [
        ('late', 'holds pictures back'),
        ('no key frames', 'makes no key frame when asked for one'),
        ('garbage', 'cannot be decoded alone'),
    ],
)
def test_hardware_that_does_not_keep_what_it_must_is_found_out(fault, words, monkeypatch):
    monkeypatch.setattr(encoder_module, 'Encoder', type('Hardware', (Faulty,), {'fault': fault}))
    with pytest.raises(EncoderError, match=words):
        try_out('libx264', 320, 240, 1_000_000)


@pytest.fixture
def tries(monkeypatch):
    """Return the names that were tried out; none works."""
    tried = []

    def refuse(name, *arguments, **settings):
        tried.append(name)
        raise EncoderError(f'{name}: no such device')

    monkeypatch.setattr(encoder_module, 'try_out', refuse)
    return tried


def test_auto_tries_hardware_once_and_takes_software_without_a_word(tries):
    encoders = Encoders()
    for _ in range(2):
        assert encoders.open(H264, 'auto', 320, 240, 1_000_000).name == 'libx264'
    assert tries == list(encoder_module.HARDWARE)
    assert encoders.notes[H264] == ''


def test_a_wish_that_cannot_be_fulfilled_is_told_and_software_does_it(tries):
    encoders = Encoders()
    encoder = encoders.open(H264, 'h264_nvenc', 320, 240, 1_000_000, preset='p1')
    assert encoder.name == 'libx264'
    assert tries == ['h264_nvenc']
    assert encoders.notes[H264] == 'h264_nvenc: no such device'


@pytest.mark.parametrize('codec', CODECS)
def test_software_is_not_tried_out(codec, tries):
    encoders = Encoders()
    assert encoders.open(codec, 'libx264', 320, 240, 1_000_000).name == SOFTWARE[codec]
    assert tries == []
    assert encoders.notes[codec] == ''


def test_what_works_is_used_until_it_fails(monkeypatch):
    monkeypatch.setattr(encoder_module, 'try_out', lambda *arguments, **settings: None)
    # Any other encoder than x264 stands for the hardware.
    hardware = 'libvpx'
    monkeypatch.setattr(encoder_module, 'HARDWARE', (hardware,))
    monkeypatch.setattr(encoder_module, 'SOFTWARE', {H264: 'libx264'})
    encoders = Encoders()
    assert encoders.open(H264, 'auto', 320, 240, 1_000_000).name == hardware
    encoders.refuse(hardware, 'the device is gone')
    assert encoders.open(H264, 'auto', 320, 240, 1_000_000).name == 'libx264'
    assert encoders.open(H264, hardware, 320, 240, 1_000_000).name == 'libx264'
    assert encoders.notes[H264] == 'the device is gone'


def test_software_that_fails_is_used_again(tries):
    encoders = Encoders()
    encoders.refuse('libx264', 'failed')
    assert encoders.open(H264, 'libx264', 320, 240, 1_000_000).name == 'libx264'


def test_the_preset_is_the_wished_encoders():
    sizes = []
    for preset in ('', 'superfast', 'veryfast'):
        encoder = Encoders().open(H264, 'libx264', 320, 240, 1_000_000, preset=preset)
        sizes.append([packet.size for packet in encoded(encoder, 10)])
    assert sizes[0] == sizes[1] != sizes[2]


def test_pictures_may_be_far_apart(name):
    encoder = Encoder(name, 320, 240, 1_000_000)
    times = itertools.accumulate([0, 3000, 90_000 * 60, 90, 1, 90_000 * 3600])
    packets = [
        encoder.encode(picture, pts, False)
        for picture, pts in zip(textured(320, 240), times, strict=False)
    ]
    assert len(decoded(name, packets)) == 6
