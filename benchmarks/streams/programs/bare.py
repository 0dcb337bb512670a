"""The encoder alone: frames that are I420 already, paced as a camera paces them."""

from __future__ import annotations

import sys
import threading

import av
import cv2

from streams import talk
from streams.film import Film, ticks
from streams.h264 import encoder
from streams.plan import from_arguments


def main() -> None:
    """Encode until the harness is done."""
    stream = from_arguments(sys.argv[1:])
    film = Film(stream)
    i420 = [cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420) for picture in film.pictures]
    codec = encoder(stream.width, stream.height, stream.bitrate_bps)
    stop = threading.Event()
    counted = {'frames': 0, 'size_bytes': 0}

    def encode() -> None:
        for index in ticks(stop):
            frame = av.VideoFrame.from_numpy_buffer(i420[film.at(index)], format='yuv420p')
            frame.pts = index
            for packet in codec.encode(frame):
                counted['frames'] += 1
                counted['size_bytes'] += packet.size

    thread = threading.Thread(target=encode)
    thread.start()
    talk.serve_blocking({'report': lambda: dict(counted)})
    stop.set()
    thread.join()


if __name__ == '__main__':
    main()
