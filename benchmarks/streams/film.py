"""The pictures that all contenders send: what a camera on a moving robot sees, drawn before."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from threading import Event

import cv2
import numpy as np

from rtc_signaling.media.frames import Pixels
from rtc_signaling.media.scene import INDEX_BITS, Scene
from streams.plan import RATE_HZ, Stream

# At 1280x720 each second is 83 MB.
LENGTH_FRAMES = 45
# The camera pans by a picture's width in so many seconds, and rolls a little.
PAN_PERIOD_S = 8.0
ROLL_DEGREES = 1.5
# A sensor's noise indoors; without it, what stands still would cost an encoder nothing.
NOISE_SIGMA = 2.0
# The sizes of what is to be seen, as parts of the width. A lens softens the small ones.
CONTRAST = 22.0
DETAILS = (1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256)


class Film:
    """Hold a pan over a textured world, played forwards and backwards, without a cut."""

    def __init__(self, stream: Stream, length: int = LENGTH_FRAMES) -> None:
        rng = np.random.default_rng(1)
        world = _world(stream, rng)
        self.pictures = [_seen(world, stream, i / RATE_HZ, rng) for i in range(length)]

    def at(self, index: int) -> int:
        """Return which of the pictures is shown as the one with this index, from 0 on."""
        last = len(self.pictures) - 1
        place = index % (2 * last)
        return place if place <= last else 2 * last - place


def _world(stream: Stream, rng: np.random.Generator) -> Pixels:
    """Return a texture with details of all sizes, half as large again as the picture."""
    width, height = stream.width * 3 // 2, stream.height * 3 // 2
    world = np.full((height, width, 3), 128.0, np.float32)
    for detail in DETAILS:
        grain = max(detail * stream.width, 1.0)
        size = (math.ceil(height / grain) + 1, math.ceil(width / grain) + 1, 3)
        coarse = rng.normal(0, 1, size).astype(np.float32)
        coarse = coarse.mean(axis=2, keepdims=True) + coarse / 4  # more light than colour
        contrast = CONTRAST * math.sqrt(detail / DETAILS[0])
        world += contrast * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(world, 0, 255).astype(np.uint8)


def _seen(world: Pixels, stream: Stream, time_s: float, rng: np.random.Generator) -> Pixels:
    """Return what the camera sees after `time_s` of its pan, with its noise."""
    middle = (world.shape[1] / 2, world.shape[0] / 2)
    turn = cv2.getRotationMatrix2D(middle, ROLL_DEGREES * math.sin(time_s * math.tau / 3), 1.0)
    turn[0, 2] -= (0.1 + time_s / PAN_PERIOD_S) * stream.width
    turn[1, 2] -= stream.height / 4 + 0.02 * stream.height * math.sin(time_s * math.tau)
    seen = cv2.warpAffine(world, turn, (stream.width, stream.height))
    noise = rng.normal(0, NOISE_SIGMA, seen.shape)
    return np.clip(seen + noise, 0, 255).round().astype(np.uint8)


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
