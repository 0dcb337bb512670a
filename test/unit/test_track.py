"""From images to tracks: encoded once, the latest wins, nothing is done for nobody."""

from __future__ import annotations

import asyncio
import contextlib
import fractions
import threading
import time

import av
import cv2
import pytest
from fakes import FakeImage, scene_image, until

from rtc_signaling.media import encoding
from rtc_signaling.media.encoder import Encoder, EncoderError
from rtc_signaling.media.encoding import EncodingSettings
from rtc_signaling.media.estimate import Reading
from rtc_signaling.media.frames import to_i420
from rtc_signaling.media.layers import FEWER
from rtc_signaling.media.scene import CORNERS, read_corners, read_index
from rtc_signaling.media.track import Camera

BAD = FakeImage(240, 320, 'novel9', 960, b'')
FRAME_NS = 33_333_333


@contextlib.asynccontextmanager
async def running(convert=to_i420, **settings):
    camera = Camera(convert)
    camera.configure(EncodingSettings(**{'encoder': 'libx264'} | settings))
    task = asyncio.create_task(camera.run())
    try:
        yield camera
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def converted():
    """Return the images that were converted, and hold each conversion back until released."""

    class Converted(list):
        release = threading.Event()

        def convert(self, image, out=None):
            self.append(image)
            assert self.release.wait(10)
            return to_i420(image, out)

    result = Converted()
    result.release.set()
    return result


class Watching:
    """Be a viewer behind a track: it takes every packet as aiortc does, and decodes it."""

    def __init__(self, camera, codec='h264'):
        self.track = camera.add_track()
        self.track.codec = codec
        self._decoder = av.CodecContext.create(codec, 'r')
        # As a connected viewer it waits from the beginning.
        self._next = asyncio.create_task(self.track.recv())

    async def packet(self):
        async with asyncio.timeout(10):
            packet = await self._next
        self._next = asyncio.create_task(self.track.recv())
        return packet

    async def picture(self):
        """Return the next picture, BGR."""
        [frame] = self._decoder.decode(av.Packet(bytes(await self.packet())))
        return cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2BGR_I420)

    async def leave(self, camera):
        camera.remove_track(self.track)
        await asyncio.gather(self._next, return_exceptions=True)


@contextlib.asynccontextmanager
async def watching(camera, count=1, codec='h264'):
    viewers = [Watching(camera, codec) for _ in range(count)]
    await asyncio.sleep(0)
    try:
        yield viewers if count > 1 else viewers[0]
    finally:
        for viewer in viewers:
            await viewer.leave(camera)


async def film(camera, indices, shape=(320, 240)):
    """Put images one after the other, each once the one before has been looked at."""
    for index in indices:
        before = gone(camera)
        camera.put(scene_image(index, *shape), index * FRAME_NS)
        await until(lambda b=before: gone(camera) > b, 'looked at')


def ours(caplog):
    """Return what the package logged; asyncio's debug mode also warns of a busy machine."""
    return [record for record in caplog.records if record.name.startswith('rtc_signaling')]


def gone(camera):
    """Return how many images somebody has done something with."""
    counts = camera.counts
    return counts.bad + counts.failed + counts.shown


@pytest.mark.parametrize('codec', ['h264', 'vp8'])
async def test_an_image_becomes_a_packet_of_the_same_picture(codec):
    async with running() as camera, watching(camera, codec=codec) as viewer:
        camera.put(scene_image(77), 0)
        packet = await viewer.packet()
        assert packet.is_keyframe
        assert (packet.pts, packet.time_base) == (0, fractions.Fraction(1, 90_000))
        [frame] = viewer._decoder.decode(av.Packet(bytes(packet)))
        bgr = cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2BGR_I420)
        assert (read_corners(bgr), read_index(bgr)) == (CORNERS, 77)
        camera.put(scene_image(78), FRAME_NS)
        packet = await viewer.packet()
        assert (packet.pts, packet.is_keyframe) == (2999, False)


async def test_all_viewers_of_a_codec_get_the_packets_of_one_encoder(converted):
    async with running(converted.convert) as camera, watching(camera, 3) as viewers:
        for i in range(3):
            camera.put(scene_image(i), i * FRAME_NS)
            packets = [await viewer.packet() for viewer in viewers]
            assert len({id(packet) for packet in packets}) == 1
        assert len(converted) == 3
        await until(lambda: camera.counts.shown == 3, 'counted')
        [figures] = camera.encoders
        assert (figures.codec, figures.encoder, figures.note) == ('h264', 'libx264', '')
        assert (figures.viewers, figures.key_frames) == (3, 1)
        assert figures.encode_s.count == 3
        assert figures.encode_s.p50 > 0


async def test_of_two_codecs_each_is_encoded_once_from_one_conversion(converted):
    async with (
        running(converted.convert) as camera,
        watching(camera, 2) as h264,
        watching(camera, 2, 'vp8') as vp8,
    ):
        for i in range(3):
            camera.put(scene_image(i), i * FRAME_NS)
            pictures = [await viewer.picture() for viewer in (*h264, *vp8)]
            assert [read_index(picture) for picture in pictures] == [i] * 4
        assert len(converted) == 3
        assert [(e.codec, e.encoder, e.viewers) for e in camera.encoders] == [
            ('h264', 'libx264', 2), ('vp8', 'libvpx', 2),
        ]  # fmt: skip


async def test_a_viewer_that_comes_late_begins_with_a_key_frame_of_the_same_encoder():
    async with running() as camera, watching(camera) as first:
        for i in range(20):
            camera.put(scene_image(i), i * FRAME_NS)
            await first.packet()
        async with watching(camera, 2) as late:
            seen = []
            for i in range(20, 60):
                camera.put(scene_image(i), i * FRAME_NS)
                seen.append((await first.packet()).is_keyframe)
                if seen[-1]:
                    break
                await asyncio.sleep(0.02)
            # It comes in between; the first viewer's stream goes on.
            pictures = [await viewer.picture() for viewer in late]
            assert [read_index(picture) for picture in pictures] == [i] * 2
        assert camera.encoders[0].key_frames == 2


async def test_of_images_that_come_too_fast_the_latest_is_shown(converted):
    async with running(converted.convert) as camera, watching(camera) as viewer:
        converted.release.clear()
        first, lost, last = (scene_image(i) for i in range(3))
        camera.put(first, 0)
        await until(lambda: converted == [first], 'the first taken')
        camera.put(lost, FRAME_NS)
        camera.put(last, 2 * FRAME_NS)
        converted.release.set()
        assert (await viewer.packet()).pts == 0
        # The time of the one that was lost has passed all the same.
        assert (await viewer.packet()).pts == 5999
        assert lost not in converted
        assert camera.counts.replaced == 1


async def test_a_busy_loop_gets_no_packets_piled_up_but_the_latest_picture(converted):
    async with running(converted.convert) as camera, watching(camera) as viewer:
        images = [scene_image(i) for i in range(6)]
        camera.put(images[0], 0)
        end_s = time.monotonic() + 10
        # The loop does nothing else meanwhile, as when it is busy.
        while camera.counts.shown == 0:
            assert time.monotonic() < end_s
            time.sleep(0.001)  # noqa: ASYNC251
        for i in range(1, 6):
            camera.put(images[i], i * FRAME_NS)
            time.sleep(0.02)  # noqa: ASYNC251 - enough to encode, if it did
        assert converted == images[:1]
        assert camera.counts.replaced == 4
        # What was left out leaves no gap: it decodes.
        assert read_index(await viewer.picture()) == 0
        later = asyncio.create_task(viewer.picture())
        for i in range(6, 200):
            if later.done():
                break
            await asyncio.sleep(0.05)
            camera.put(scene_image(i), i * FRAME_NS)
        # On a busy machine the viewer may not have taken the first when the second came.
        assert read_index(await later) == 5 or viewer.track.dropped


async def test_a_slow_viewer_holds_up_nobody_and_goes_on_with_a_key_frame():
    async with running() as camera, watching(camera, 2) as (slow, quick):
        for i in range(10):
            camera.put(scene_image(i), i * FRAME_NS)
            assert read_index(await quick.picture()) == i
        assert slow.track.dropped == 8
        assert camera.counts.dropped == 8
        # Of those that it got nothing is missing in between.
        assert [read_index(await slow.picture()) for _ in range(2)] == [0, 1]
        for i in range(10, 100):
            camera.put(scene_image(i), i * FRAME_NS)
            await quick.packet()
            if slow._next.done():
                break
            await asyncio.sleep(0.02)
        assert read_index(await slow.picture()) == i
    assert camera.counts.dropped == slow.track.dropped + quick.track.dropped


async def test_without_a_connected_viewer_nothing_is_converted(converted):
    async with running(converted.convert) as camera:
        camera.put(BAD, 0)
        camera.add_track().codec = 'h264'  # of one that is still connecting
        await until(lambda: camera._encoding._last_pts >= 0, 'looked at')
        async with watching(camera) as viewer:
            camera.put(scene_image(2), 2 * FRAME_NS)
            await viewer.packet()
        last = camera._encoding._last_pts
        camera.put(scene_image(3), 3 * FRAME_NS)
        await until(lambda: camera._encoding._last_pts > last, 'looked at')
        assert len(converted) == 1
        assert camera.counts.bad == 0
        assert camera._encoding._running == {}


async def test_bad_images_are_counted_each_and_logged_once(caplog, monkeypatch):
    async with running() as camera, watching(camera) as viewer:
        for i in range(3):
            await film_bad(camera, i)
        [record] = ours(caplog)
        assert record.levelname == 'ERROR'
        assert "unknown image encoding 'novel9'" in camera.last_error
        assert camera.last_error in record.getMessage()
        camera.put(scene_image(1), 4 * FRAME_NS)
        await viewer.packet()
        assert camera.last_error == ''
        # With every second image like it, it is no news after a good one.
        await film_bad(camera, 5)
        assert len(ours(caplog)) == 1
        monkeypatch.setattr(encoding, 'REPEAT_S', 0.0)
        await film_bad(camera, 6)
        assert len(ours(caplog)) == 2


async def film_bad(camera, index, image=BAD):
    before = camera.counts.bad
    camera.put(image, index * FRAME_NS)
    await until(lambda: camera.counts.bad == before + 1, 'counted')


async def test_another_fault_is_logged_anew(caplog):
    async with running() as camera, watching(camera):
        await film_bad(camera, 0)
        short = scene_image(1)
        short.data = short.data[:-1]
        await film_bad(camera, 1, short)
        assert len(ours(caplog)) == 2
        assert 'image data of' in camera.last_error
        # However many faults there are, they are not remembered for ever.
        for i in range(2, 100):
            await film_bad(camera, i, FakeImage(240, 320, f'novel{i}', 960, b''))
        assert len(camera._encoding._logged) <= encoding.MAX_REMEMBERED


async def test_another_size_is_another_encoder_and_the_viewers_go_on():
    async with running() as camera, watching(camera, 2) as viewers:
        for i, shape in enumerate([(320, 240), (320, 240), (640, 480), (322, 242), (322, 242)]):
            camera.put(scene_image(i, *shape), i * FRAME_NS)
            for viewer in viewers:
                picture = await viewer.picture()
                assert (picture.shape[1], picture.shape[0]) == shape
        assert camera.encoders[0].key_frames == 3
        assert camera.counts.dropped == 0


@pytest.mark.parametrize('stamps', [[7] * 10, [10**18, 0, 5, 10**18, 6, 7, 8, 8, 8, 0]])
@pytest.mark.parametrize('codec', ['h264', 'vp8'])
async def test_stamps_that_stand_still_or_jump_are_no_harm(stamps, codec, caplog):
    async with running() as camera, watching(camera, codec=codec) as viewer:
        times = []
        for i, stamp_ns in enumerate(stamps):
            camera.put(scene_image(i), stamp_ns)
            packet = await viewer.packet()
            times.append(packet.pts)
        assert times == sorted(set(times))
        assert ours(caplog) == []


async def test_a_publisher_that_runs_wild_is_no_harm():
    async with running() as camera, watching(camera) as viewer:
        image = scene_image(1)
        for i in range(2000):
            camera.put(image, i * 1_000_000)
            if i % 100 == 0:
                await asyncio.sleep(0)
        await until(lambda: camera.counts.shown, 'something shown')
        await viewer.packet()
        assert camera.counts.received == 2000
        await until(lambda: gone(camera) + camera.counts.replaced == 2000, 'all accounted for')


async def test_the_bitrate_is_another_one_at_once_without_a_key_frame():
    async with running(bitrate_bps=2_000_000) as camera, watching(camera) as viewer:
        await film(camera, range(5))
        camera.configure(EncodingSettings(encoder='libx264', bitrate_bps=300_000))
        await film(camera, range(5, 8))
        assert camera._encoding._running['h264'].bitrate_bps == 300_000
        await viewer.packet()
        assert camera.encoders[0].key_frames == 1


async def test_an_encoder_without_a_live_bitrate_is_replaced_rarely(monkeypatch):
    async with running(bitrate_bps=1_000_000) as camera, watching(camera, codec='vp8') as viewer:

        async def bitrate_after(wish_bps, index):
            camera.configure(EncodingSettings(bitrate_bps=wish_bps))
            camera.put(scene_image(index), index * FRAME_NS)
            packet = await viewer.packet()
            return camera._encoding._running['vp8'].bitrate_bps, packet.is_keyframe

        assert await bitrate_after(1_000_000, 0) == (1_000_000, True)
        # Too soon.
        assert await bitrate_after(500_000, 1) == (1_000_000, False)
        monkeypatch.setattr(encoding, 'REOPEN_PERIOD_S', 0.0)
        # Too little.
        assert await bitrate_after(850_000, 2) == (1_000_000, False)
        assert await bitrate_after(500_000, 3) == (500_000, True)
        assert await bitrate_after(500_000, 4) == (500_000, False)


async def test_an_interval_makes_key_frames_by_itself():
    async with running(key_frame_interval_s=0.001) as camera, watching(camera) as viewer:
        for i in range(4):
            camera.put(scene_image(i), i * FRAME_NS)
            assert (await viewer.packet()).is_keyframe
            await asyncio.sleep(0.002)


async def test_an_encoder_that_fails_is_replaced_and_the_video_goes_on(caplog, monkeypatch):
    encode, broken = Encoder.encode, []

    def fail(self, *arguments):
        if broken:
            raise EncoderError(f'{self.name}: failed: {broken.pop()}')
        return encode(self, *arguments)

    monkeypatch.setattr(Encoder, 'encode', fail)
    monkeypatch.setattr(encoding, 'RETRY_S', 0.0)
    async with running() as camera, watching(camera) as viewer:
        camera.put(scene_image(0), 0)
        await viewer.packet()
        broken += ['it burns', 'it burns']
        for i in (1, 2):
            camera.put(scene_image(i), i * FRAME_NS)
            await until(lambda n=i: camera.counts.failed == n, 'failed')
        assert camera.encoder_error == 'libx264: failed: it burns'
        assert camera.last_error == ''
        assert [record.levelname for record in ours(caplog)] == ['ERROR']
        camera.put(scene_image(3), 3 * FRAME_NS)
        assert read_index(await viewer.picture()) == 3
        await until(lambda: not camera.encoder_error, 'forgotten')
        assert camera.encoders[0].key_frames == 2


async def test_an_encoder_that_cannot_be_opened_is_not_tried_with_each_image(monkeypatch):
    opened = []

    def refuse(self, name, *arguments, **settings):
        opened.append(name)
        raise EncoderError(f'{name}: cannot be opened: no memory')

    monkeypatch.setattr(Encoder, '__init__', refuse)
    async with running() as camera, watching(camera):
        before = camera._encoding._last_pts
        for i in range(5):
            camera.put(scene_image(i), i * FRAME_NS)
            await until(lambda b=before: camera._encoding._last_pts > b, 'looked at')
            before = camera._encoding._last_pts
        await until(lambda: camera.counts.failed == 1, 'failed')
        assert opened == ['libx264']
        assert camera.encoder_error == 'libx264: cannot be opened: no memory'


async def test_a_wish_that_cannot_be_fulfilled_is_in_the_figures(caplog):
    async with running(encoder='h264_novel') as camera, watching(camera) as viewer:
        camera.put(scene_image(0), 0)
        await viewer.packet()
        await until(lambda: camera.encoders, 'delivered')
        [figures] = camera.encoders
        assert figures.encoder == 'libx264'
        assert figures.note == 'h264_novel: this FFmpeg has no such encoder'
        assert f'{figures.note}; libx264 is used' in caplog.text


async def test_the_ages_of_pictures_grow_from_step_to_step():
    async with running() as camera, watching(camera) as viewer:
        for i in range(3):
            camera.put(scene_image(i), i * FRAME_NS, age_s=2.0)
            await viewer.packet()
        # Medians can be compared only of the same pictures.
        await until(lambda: camera.ages.sent.count == 3, 'the third is sent')
        ages = camera.ages
        assert [q.count for q in (ages.arrived, ages.begun, ages.encoded)] == [3, 3, 3]
        assert 2.0 <= ages.arrived.p50 < ages.begun.p50 < ages.encoded.p50 < ages.sent.p50


async def test_images_come_from_another_thread():
    async with running() as camera, watching(camera) as viewer:
        await asyncio.to_thread(camera.put, scene_image(5), 0)
        assert read_index(await viewer.picture()) == 5


async def test_an_image_from_before_the_start_is_shown_and_one_after_the_end_is_not():
    camera = Camera()
    camera.put(scene_image(5), 0)
    async with watching(camera) as viewer:
        task = asyncio.create_task(camera.run())
        assert read_index(await viewer.picture()) == 5
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # After the end nobody is there to wake.
        camera.put(scene_image(7), 2 * FRAME_NS)
        assert not [t for t in threading.enumerate() if t.name.startswith('encoder')]


async def test_a_fault_in_the_encoder_thread_ends_the_camera():
    def fault(image, out=None):
        raise ZeroDivisionError

    camera = Camera(fault)
    async with watching(camera):
        camera.put(scene_image(0), 0)
        with pytest.raises(ZeroDivisionError):
            async with asyncio.timeout(10):
                await camera.run()


async def test_a_viewer_that_sends_no_video_costs_nothing():
    async with running() as camera:
        track = camera.add_track()
        waiting = asyncio.create_task(track.recv())
        await asyncio.sleep(0)
        camera.put(scene_image(0), 0)
        await until(lambda: camera._encoding._last_pts >= 0, 'looked at')
        assert camera.counts.shown == 0
        camera.remove_track(track)
        camera.remove_track(track)
        await asyncio.gather(waiting, return_exceptions=True)


@pytest.mark.parametrize('codec', ['h264', 'vp8'])
async def test_lower_layers_are_of_half_the_size_and_of_fewer_pictures(codec):
    async with running() as camera, watching(camera, 3, codec) as viewers:
        taken = {viewer: [] for viewer in viewers}

        async def take(viewer):
            while True:
                taken[viewer].append(await viewer.picture())

        tasks = [asyncio.create_task(take(viewer)) for viewer in viewers]
        good, thin, thinner = viewers
        for second in range(6):
            await film(camera, range(second * 10, second * 10 + 10), (640, 480))
            for viewer in (thin, thinner)[second // 3 :]:
                viewer.track.link.take(2 * second, Reading(0.97), viewer.track)
        assert [camera.layer(v.track) for v in viewers] == ['full', 'half', 'fewer']
        await until(lambda: len(taken[good]) == 60, 'all pictures')
        before = {viewer: len(taken[viewer]) for viewer in viewers}
        begun_s = time.monotonic()
        await film(camera, range(60, 100), (640, 480))
        took_s = time.monotonic() - begun_s
        await until(lambda: len(taken[good]) == 100, 'all pictures')
        await until(lambda: read_index(taken[thin][-1]) == 99, 'the last one')
        few = len(taken[thinner]) - before[thinner]
        assert 1 <= few <= 2 + took_s * FEWER.max_fps
        for viewer, shape in ((good, (480, 640)), (thin, (240, 320)), (thinner, (240, 320))):
            picture = taken[viewer][-1]
            assert picture.shape == (*shape, 3)
            assert read_corners(picture) == CORNERS
        assert {f.layer: f.viewers for f in camera.encoders} == {'full': 1, 'half': 1, 'fewer': 1}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
