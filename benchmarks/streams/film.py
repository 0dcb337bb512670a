"""The pictures that all contenders send: moving and textured, drawn before the measurement."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Event

import numpy as np

from rtc_signaling.media.frames import Pixels
from rtc_signaling.media.scene import INDEX_BITS, Scene
from streams.plan import RATE_HZ, Stream

# At 1280x720 each second is 83 MB.
LENGTH_FRAMES = 45
# The movement starts in the middle of the drift, where everything is in the picture.
START_S = 100.0


class Film:
    """Hold a piece of the synthetic scene that is played forwards and backwards, without a cut."""

    def __init__(self, stream: Stream, length: int = LENGTH_FRAMES) -> None:
        scene = Scene(stream.width, stream.height)
        self.pictures = [scene.render(START_S + i / RATE_HZ, i) for i in range(length)]

    def at(self, index: int) -> int:
        """Return which of the pictures is shown as the one with this index, from 0 on."""
        last = len(self.pictures) - 1
        place = index % (2 * last)
        return place if place <= last else 2 * last - place


class IndexStrip:
    """Draw the index of a picture into a copy of it, as `scene.read_index` reads it.

    Where each bit belongs is found by comparing pictures that the scene has drawn.
    """

    def __init__(self, stream: Stream) -> None:
        scene = Scene(stream.width, stream.height)
        none = scene.render(0, 0)
        self._blocks = [_difference(none, scene.render(0, 1 << bit)) for bit in range(INDEX_BITS)]

    def marked(self, picture: Pixels, index: int) -> Pixels:
        """Return a copy of the picture that says of itself that it has this index."""
        copy = picture.copy()
        for bit, block in enumerate(self._blocks):
            copy[block] = 255 * (index >> bit & 1)
        return copy


def _difference(one: Pixels, other: Pixels) -> tuple[slice, slice]:
    rows, columns = np.nonzero((one != other).any(axis=2))
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def ticks(stop: Event) -> Iterator[int]:
    """Yield 0, 1, 2 and so on, `RATE_HZ` a second; what is late is not made up for."""
    index, start_s = 0, time.monotonic()
    while not stop.is_set():
        due_s = start_s + index / RATE_HZ
        wait_s = due_s - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        else:
            start_s -= wait_s
        yield index
        index += 1
