"""This project's CameraSender without ROS, fed from a thread as an executor feeds it."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from array import array
from dataclasses import dataclass
from typing import Any

from aiortc.codecs import h264

from rtc_signaling.media.sender import CameraSender
from rtc_signaling.media.track import Camera
from streams import talk
from streams.film import Film, ticks
from streams.plan import Stream, from_arguments, sender_config, sender_settings


@dataclass
class Image:
    """Be a sensor_msgs/Image."""

    height: int
    width: int
    step: int
    data: array[int]
    encoding: str = 'bgr8'
    is_bigendian: int = 0


def feed(camera: Camera, film: Film, stop: threading.Event) -> None:
    """Be the driver and the executor."""
    height, width = film.pictures[0].shape[:2]
    images = [
        Image(height, width, width * 3, array('B', picture.tobytes())) for picture in film.pictures
    ]
    for index in ticks(stop):
        camera.put(images[film.at(index)], time.time_ns())


async def census() -> dict[str, Any]:
    """Count the loop's tasks."""
    return {'tasks': len(asyncio.all_tasks())}


async def main(stream: Stream, server_port: int) -> None:
    """Send until the harness is done."""
    if 'bitrate' not in sender_settings(stream):
        # Only aiortc's own encoder decides in that version.
        h264.DEFAULT_BITRATE = h264.MIN_BITRATE = h264.MAX_BITRATE = stream.bitrate_bps
    config = sender_config(stream, f'ws://127.0.0.1:{server_port}')
    camera = Camera()
    stop = threading.Event()
    driver = threading.Thread(target=feed, args=(camera, Film(stream), stop))
    driver.start()
    try:
        async with CameraSender(config, camera, lambda: None, lambda snapshot: None).run():
            await talk.serve({'census': census})
    finally:
        stop.set()
        driver.join()


if __name__ == '__main__':
    asyncio.run(main(from_arguments(sys.argv[1:]), int(sys.argv[4])))
