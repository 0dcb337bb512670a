"""A camera's own H.264: passed on without an encoder, decoded only for who cannot take it."""

from __future__ import annotations

import asyncio
import contextlib
import fractions
import logging

import av
import cv2
import numpy as np
import pytest
from fakes import scene_image, until
from h264_camera import H264Camera

from rtc_signaling.media import feed as feed_module
from rtc_signaling.media import track as track_module
from rtc_signaling.media.encoder import Encoders
from rtc_signaling.media.encoding import EncodingSettings
from rtc_signaling.media.estimate import Reading
from rtc_signaling.media.h264_stream import HIGH, AccessUnit, H264Offer
from rtc_signaling.media.passthrough import Decoder
from rtc_signaling.media.pixels import ImageError
from rtc_signaling.media.scene import CORNERS, read_corners, read_index
from rtc_signaling.media.track import PASSED_ON_ROOM, Camera

FRAME_NS = 33_333_333


@pytest.fixture
def opened(monkeypatch):
    """Return the codecs that encoders were opened for."""
    result = []
    open_encoder = Encoders.open

    def open_noted(self, codec, *arguments, **options):
        result.append(codec)
        return open_encoder(self, codec, *arguments, **options)

    monkeypatch.setattr(Encoders, 'open', open_noted)
    return result


@contextlib.asynccontextmanager
async def running():
    camera = Camera()
    camera.configure(EncodingSettings(encoder='libx264'))
    task = asyncio.create_task(camera.run())
    try:
        yield camera
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Watching:
    """Be a viewer behind a track: it takes every packet as aiortc does, and decodes it."""

    def __init__(self, camera, codec='h264', profile=HIGH):
        self._camera = camera
        self.track = camera.add_track()
        self.track.codec = codec
        self.track.h264 = H264Offer(profile, 31)
        self._decoder = av.CodecContext.create(codec, 'r')
        self.packets = []
        self.indices = []
        self._task = asyncio.create_task(self._take())

    async def _take(self):
        while True:
            packet = await self.track.recv()
            self.packets.append(packet)
            for frame in self._decoder.decode(av.Packet(bytes(packet))):
                bgr = cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2BGR_I420)
                assert read_corners(bgr) == CORNERS
                self.indices.append(read_index(bgr))

    async def shows(self, index):
        await until(lambda: self._task.done() or index in self.indices, f'no picture {index}')
        if self._task.done():
            self._task.result()

    async def leave(self):
        self._camera.remove_track(self.track)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@contextlib.asynccontextmanager
async def watching(camera, *arguments):
    viewer = Watching(camera, *arguments)
    await asyncio.sleep(0)
    try:
        yield viewer
    finally:
        await viewer.leave()


async def film(camera, pictures, start=0):
    """Put pictures as a camera does; each is looked at before the next one comes."""
    for index, data in enumerate(pictures, start):
        before = looked_at(camera)
        camera.put(AccessUnit(data), index * FRAME_NS)
        await until(lambda b=before: looked_at(camera) > b, 'looked at')


def looked_at(camera):
    # Each arrival notes a stamp, whatever becomes of it.
    runs = camera.stamps._runs
    return runs[-1].last_pts if runs else -1


async def test_pictures_arrive_as_they_are_and_no_encoder_is_opened(opened):
    pictures = H264Camera(key_frame_each=5).film(10)
    async with running() as camera, watching(camera) as viewer, watching(camera) as other:
        await film(camera, pictures)
        await viewer.shows(9)
        await other.shows(9)
        assert viewer.indices == list(range(10))
        first = viewer.packets[0]
        assert (first.is_keyframe, first.pts, first.time_base) == (
            True, 0, fractions.Fraction(1, 90_000),
        )  # fmt: skip
        assert bytes(viewer.packets[3]).endswith(pictures[3][-100:])
        assert viewer.packets[3] is other.packets[3]
        [figures] = camera.encoders
        assert (figures.codec, figures.encoder) == ('passed_on', 'camera')
        assert (figures.viewers, figures.key_frames) == (2, 2)
        assert camera.stream == '320x240, Baseline, level 1.3'
        await until(lambda: camera.counts.shown == 10, 'counted')
        assert camera.key_frame_spacing_s == pytest.approx(5 / 30, abs=0.001)
    assert opened == []


async def test_who_joins_begins_with_the_next_key_frame_and_it_is_said_if_that_is_long(
    opened, monkeypatch, caplog
):
    pictures = H264Camera(key_frame_each=5).film(10)
    clock = type('Clock', (), {'monotonic': lambda: clock.now_s, 'monotonic_ns': lambda: 0})
    clock.now_s = 100.0
    monkeypatch.setattr(track_module, 'time', clock)
    monkeypatch.setattr(feed_module, 'time', clock)
    async with running() as camera:
        await film(camera, pictures[:2])
        async with watching(camera) as viewer:
            clock.now_s += 2.5
            assert camera.key_frame_wait_s == 2.5
            await film(camera, pictures[2:], 2)
            await viewer.shows(9)
            assert viewer.indices == [5, 6, 7, 8, 9]
            assert camera.key_frame_wait_s == 0.0
    [record] = [r for r in caplog.records if r.levelno == logging.WARNING and 'viewer' in r.msg]
    assert record.getMessage().startswith('a viewer waited 2.5 s for a key frame: ')


async def test_a_viewer_that_takes_another_codec_gets_it_decoded_and_encoded(opened):
    pictures = H264Camera(key_frame_each=5).film(10)
    async with running() as camera, watching(camera, 'vp8') as vp8, watching(camera) as h264:
        for index, data in enumerate(pictures):
            await film(camera, [data], index)
            await vp8.shows(index)
            await h264.shows(index)
        assert vp8.indices == h264.indices == list(range(10))
        await h264.leave()
        another = H264Camera()
        for index in (20, 21):
            await film(camera, [another.picture(index)], index)
            await vp8.shows(index)
        await until(lambda: camera.counts.shown == 12, 'counted')
    assert opened == ['vp8']


async def test_a_viewer_without_the_streams_profile_gets_it_encoded_in_one_that_it_takes(opened):
    pictures = H264Camera(profile='high').film(10)
    async with running() as camera, watching(camera, 'h264', 66) as old, watching(camera) as new:
        await film(camera, pictures)
        await old.shows(9)
        await new.shows(9)
        # High is what x264 writes into the sequence parameter set, byte by byte.
        assert bytes(new.packets[0])[5] == 100
        assert b'\x67\x42' in bytes(old.packets[0])
    assert opened == ['h264']


async def test_a_camera_that_changes_between_images_and_h264_goes_on(opened):
    async with running() as camera, watching(camera) as viewer:
        camera.put(scene_image(100), 0)
        await viewer.shows(100)
        await film(camera, H264Camera(key_frame_each=3).film(8), 1)
        await viewer.shows(7)
        camera.put(scene_image(200), 10 * FRAME_NS)
        await viewer.shows(200)
        assert camera.stream == ''
        # What was there of H.264 before is of no use any more: it begins with a key frame.
        await film(camera, H264Camera(key_frame_each=3).film(8)[1:], 11)
        await viewer.shows(7)
        assert viewer.indices == [100, *range(8), 200, 3, 4, 5, 6, 7]
    assert opened == ['h264', 'h264']


async def test_garbage_is_one_error_and_it_goes_on_with_the_next_key_frame(opened, caplog):
    pictures = H264Camera(key_frame_each=5).film(15)
    pictures[6:6] = [b'garbage' * (i + 1) for i in range(4)]
    async with running() as camera, watching(camera) as viewer:
        await film(camera, pictures[:10])
        await until(lambda: camera.counts.bad == 4, 'counted')
        assert camera.last_error.startswith('H.264 of 28 bytes: it begins with no start code')
        await film(camera, pictures[10:], 10)
        await viewer.shows(14)
        assert viewer.indices == [*range(6), *range(10, 15)]
        assert camera.last_error == ''
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage()[:18] for record in errors] == ['H.264 of 7 bytes: ']
    assert opened == []


async def test_what_cannot_be_decoded_for_others_is_an_error_and_goes_on(opened):
    pictures = H264Camera(key_frame_each=3).film(6)
    # The header is good, so that it is passed on; the rest is not.
    pictures[0] = pictures[0][: pictures[0].rindex(b'\0\0\1') + 14]
    async with running() as camera, watching(camera, 'vp8') as viewer:
        await film(camera, pictures[:3])
        await until(lambda: camera.counts.bad == 1, 'counted')
        assert camera.last_error.startswith('H.264: cannot be decoded: ')
        for index in (3, 4, 5):
            await film(camera, [pictures[index]], index)
            await viewer.shows(index)
        assert viewer.indices == [3, 4, 5]
        assert camera.last_error == ''


async def test_a_burst_reaches_a_viewer_that_takes_a_little_longer(opened):
    pictures = H264Camera(key_frame_each=100).film(PASSED_ON_ROOM)
    async with running() as camera:
        track = camera.add_track()
        track.codec = 'h264'
        reading = asyncio.create_task(track.recv())
        await asyncio.sleep(0)
        for index, data in enumerate(pictures):
            camera.put(AccessUnit(data), index * FRAME_NS)
        taken = [await reading]
        await until(lambda: looked_at(camera) > 2990 * (PASSED_ON_ROOM - 1), 'looked at')
        while len(taken) < len(pictures):
            taken.append(await asyncio.wait_for(track.recv(), 10))
        assert [packet.pts for packet in taken] == sorted({packet.pts for packet in taken})
        assert track.dropped == 0
        camera.remove_track(track)


@pytest.mark.parametrize(
    ('settings', 'luma'),
    [({'pixel_format': 'yuv420p'}, 235), ({'pixel_format': 'yuvj420p', 'profile': ''}, 235)],
)
def test_any_range_is_decoded_to_the_limited_one(settings, luma):
    i420 = Decoder().decode(H264Camera(**settings).picture(0xFFFF))
    assert i420.shape == (360, 320)
    assert i420.dtype == np.uint8
    # A white block of the strip.
    assert abs(int(i420[20, 160]) - luma) < 4
    bgr = cv2.cvtColor(i420, cv2.COLOR_YUV2BGR_I420)
    assert (read_corners(bgr), read_index(bgr)) == (CORNERS, 0xFFFF)


def test_a_decoder_says_what_it_cannot_decode():
    with pytest.raises(ImageError, match=r'^H.264: cannot be decoded: '):
        Decoder().decode(b'\0\0\1\x65\x88\x84')


async def test_a_viewer_with_a_thin_link_gets_a_smaller_encode_of_it_and_comes_back(opened):
    pictures = H264Camera(key_frame_each=5).film(40)
    async with running() as camera, watching(camera) as good, watching(camera) as thin:
        link = thin.track.link
        for second in range(3):  # the first report has nothing before it
            await film(camera, pictures[second * 5 : second * 5 + 5], second * 5)
            await thin.shows(second * 5 + 4)
            link.take(second, Reading(0.9), thin.track)
        assert camera.layer(thin.track) == 'half'
        await film(camera, pictures[15:30], 15)
        await until(lambda: thin.indices[-1] > 15, 'smaller pictures')
        assert opened == ['h264']
        link.assume(10_000_000)
        for second in (10, 20):
            link.take(second, Reading(), thin.track)
        assert camera.layer(thin.track) == 'full'
        # Whatever it takes: it is tried.
        assert link.bps is None
        await film(camera, pictures[30:], 30)
        await thin.shows(39)
        await good.shows(39)
        assert good.indices == list(range(40))
        assert thin.indices == sorted(set(thin.indices))
        assert thin.packets[-1] is good.packets[-1]
