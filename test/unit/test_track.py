"""From images to tracks: the latest wins, nothing queues, nothing is done for nobody."""

from __future__ import annotations

import asyncio
import contextlib
import fractions
import threading

import cv2
import pytest
from aiortc.mediastreams import MediaStreamError
from fakes import FakeImage, scene_image, until

from rtc_signaling.media.frames import to_i420
from rtc_signaling.media.scene import CORNERS, read_corners, read_index
from rtc_signaling.media.track import Camera, CameraTrack, Picture

BAD = FakeImage(240, 320, 'novel9', 960, b'')
FRAME_NS = 33_333_333


@contextlib.asynccontextmanager
async def running(convert=to_i420):
    camera = Camera(convert)
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

        def convert(self, image):
            self.append(image)
            assert self.release.wait(10)
            return to_i420(image)

    result = Converted()
    result.release.set()
    return result


async def received(track):
    async with asyncio.timeout(10):
        return await track.recv()


async def test_an_image_becomes_a_frame_of_the_same_picture():
    async with running() as camera:
        track = camera.add_track()
        camera.put(scene_image(77), 0)
        frame = await received(track)
        assert (frame.width, frame.height, frame.format.name) == (320, 240, 'yuv420p')
        assert (frame.pts, frame.time_base) == (0, fractions.Fraction(1, 90_000))
        bgr = cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2BGR_I420)
        assert (read_corners(bgr), read_index(bgr)) == (CORNERS, 77)
        camera.put(scene_image(78), FRAME_NS)
        assert (await received(track)).pts == 2999


async def test_each_viewer_has_a_frame_of_its_own_of_one_conversion(converted):
    async with running(converted.convert) as camera:
        tracks = [camera.add_track() for _ in range(3)]
        camera.put(scene_image(1), 0)
        frames = [await received(track) for track in tracks]
        assert len({id(frame) for frame in frames}) == 3
        assert len(converted) == 1
        assert camera.counts.shown == 1


async def test_of_images_that_come_too_fast_the_latest_is_shown(converted):
    async with running(converted.convert) as camera:
        track = camera.add_track()
        converted.release.clear()
        first, lost, last = (scene_image(i) for i in range(3))
        camera.put(first, 0)
        await until(lambda: converted == [first], 'the first taken')
        camera.put(lost, FRAME_NS)
        camera.put(last, 2 * FRAME_NS)
        converted.release.set()
        assert (await received(track)).pts == 0
        # The time of the one that was lost has passed all the same.
        assert (await received(track)).pts == 5999
        assert converted == [first, last]
        assert (camera.counts.received, camera.counts.replaced, camera.counts.shown) == (3, 1, 2)


async def test_a_slow_viewer_skips_pictures_and_holds_up_nobody():
    async with running() as camera:
        slow, quick = camera.add_track(), camera.add_track()
        for i in range(5):
            camera.put(scene_image(i), i * FRAME_NS)
            await received(quick)
        assert (await received(slow)).pts == 4 * FRAME_NS * 90_000 // 1_000_000_000


async def test_without_viewers_nothing_is_converted(converted):
    async with running(converted.convert) as camera:
        camera.put(BAD, 0)
        camera.put(scene_image(1), FRAME_NS)
        await until(lambda: camera._waiting is None, 'the image taken')
        track = camera.add_track()
        camera.put(scene_image(2), 2 * FRAME_NS)
        await received(track)
        camera.remove_track(track)
        camera.put(scene_image(3), 3 * FRAME_NS)
        await until(lambda: camera._waiting is None, 'the image taken')
        assert len(converted) == 1
        assert camera.counts.bad == 0


async def test_bad_images_are_counted_each_and_logged_once(caplog):
    async with running() as camera:
        track = camera.add_track()
        for i in range(3):
            camera.put(BAD, i)
            await until(lambda n=i: camera.counts.bad == n + 1, 'counted')
        [record] = caplog.records
        assert record.levelname == 'ERROR'
        assert "unknown image encoding 'novel9'" in camera.last_error
        assert camera.last_error in record.getMessage()
        camera.put(scene_image(1), FRAME_NS)
        await received(track)
        assert camera.last_error == ''
        # After a good one it is news again.
        camera.put(BAD, 2 * FRAME_NS)
        await until(lambda: camera.counts.bad == 4, 'counted')
        assert len(caplog.records) == 2


async def test_another_fault_is_logged_anew(caplog):
    async with running() as camera:
        camera.add_track()
        camera.put(BAD, 0)
        await until(lambda: camera.counts.bad == 1, 'counted')
        short = scene_image(1)
        short.data = short.data[:-1]
        camera.put(short, 1)
        await until(lambda: camera.counts.bad == 2, 'counted')
        assert len(caplog.records) == 2
        assert 'image data of' in camera.last_error


async def test_images_come_from_another_thread():
    async with running() as camera:
        track = camera.add_track()
        await asyncio.to_thread(camera.put, scene_image(5), 0)
        assert (await received(track)).width == 320


async def test_an_image_from_before_the_start_is_shown():
    camera = Camera()
    camera.put(scene_image(5), 0)
    track = camera.add_track()
    task = asyncio.create_task(camera.run())
    assert (await received(track)).width == 320
    camera.put(scene_image(6), FRAME_NS)
    assert (await received(track)).pts == 2999
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    # After the end nobody is there to wake.
    camera.put(scene_image(7), 2 * FRAME_NS)


async def test_recv_after_the_end_raises():
    track = CameraTrack()
    track.show(Picture(to_i420(scene_image(1)), 0))
    track.stop()
    # However often it is asked.
    for _ in range(2):
        with pytest.raises(MediaStreamError):
            await received(track)


async def test_a_waiting_recv_raises_at_the_end():
    async with running() as camera:
        track = camera.add_track()
        waiting = asyncio.create_task(track.recv())
        await asyncio.sleep(0)
        camera.remove_track(track)
        with pytest.raises(MediaStreamError):
            await waiting
        camera.remove_track(track)
