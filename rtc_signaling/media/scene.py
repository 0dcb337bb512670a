"""A synthetic camera scene that says of itself which frame it is.

It looks like a picture to an encoder (texture, movement), like a test card to a person (a running
clock), and it can be read back by a test from what a browser rendered, after compression and
scaling: four coloured corners tell colours and orientation, a strip of black and white blocks
between the upper two tells the frame's index in binary.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

# Name -> blue, green, red; the order of CORNERS is top left, top right, bottom left, bottom right.
COLOURS = {
    'red': (0, 0, 255),
    'green': (0, 255, 0),
    'blue': (255, 0, 0),
    'yellow': (0, 255, 255),
    'black': (0, 0, 0),
    'white': (255, 255, 255),
}
CORNERS = ('red', 'green', 'blue', 'yellow')
INDEX_BITS = 16
# A block darker or brighter than this is read as black or white; in between is neither.
DARK, BRIGHT = 88, 168
BALL_PERIOD_S = (3.1, 2.3)
DRIFT_PERIOD_S = 12.0


class _Layout:
    """Place the marks in a picture of any size, the same for drawing and for reading back."""

    def __init__(self, width: int, height: int) -> None:
        self.side = max(min(width // 8, height // 4), 1)
        right, bottom = width - self.side, height - self.side
        self.corners = ((0, 0), (right, 0), (0, bottom), (right, bottom))
        self.bits = [
            self.side + (right - self.side) * bit // INDEX_BITS for bit in range(INDEX_BITS + 1)
        ]


class Scene:
    """Render the scene; one object for one size, on one thread.

    Args:
        width: In pixels, 64 or more for the marks to be readable.
        height: In pixels, likewise.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._layout = _Layout(width, height)
        self._background = _background(width, height)
        top = height * 5 // 8
        # The drifting strip holds its pattern twice, so that each shift of it is one slice.
        self._strip_rows = slice(top, max(height - self._layout.side, top))
        self._strip = _strip(width, self._strip_rows.stop - top)
        self._ball_radius = max(min(width, height) // 12, 2)
        self._text_scale, self._text_origin = _fit_text(width, height)
        self._text_weight = max(round(self._text_scale * 2), 1)

    def render(self, time_s: float, index: int) -> Pixels:
        """Draw one frame.

        Args:
            time_s: What the clock shows, modulo a day, and where things have moved to.
            index: What the strip of blocks shows, modulo 65536.

        Returns:
            A new array (height, width, 3), BGR.
        """
        bgr = self._background.copy()
        shift = int(time_s / DRIFT_PERIOD_S % 1 * self.width)
        bgr[self._strip_rows] = self._strip[:, shift : shift + self.width]
        self._draw_ball(bgr, time_s)
        self._draw_clock(bgr, time_s)
        self._draw_index(bgr, index)
        side = self._layout.side
        for (x, y), name in zip(self._layout.corners, CORNERS, strict=True):
            bgr[y : y + side, x : x + side] = COLOURS[name]
        return bgr

    def _draw_ball(self, bgr: Pixels, time_s: float) -> None:
        x, y = (
            round(size * (0.5 + 0.4 * math.sin(math.tau * (time_s % (period * 1000)) / period)))
            for size, period in zip((self.width, self.height), BALL_PERIOD_S, strict=True)
        )
        cv2.circle(bgr, (x, y), self._ball_radius, (60, 140, 250), cv2.FILLED)
        cv2.circle(bgr, (x, y), self._ball_radius, (20, 40, 90), max(self._ball_radius // 8, 1))

    def _draw_clock(self, bgr: Pixels, time_s: float) -> None:
        for colour, weight in (((20, 20, 20), self._text_weight * 3), ((255, 255, 255), 0)):
            cv2.putText(
                bgr, clock_text(time_s), self._text_origin, cv2.FONT_HERSHEY_SIMPLEX,
                self._text_scale, colour, weight or self._text_weight, cv2.LINE_8,
            )  # fmt: skip

    def _draw_index(self, bgr: Pixels, index: int) -> None:
        bits = self._layout.bits
        for place in range(INDEX_BITS):
            white = index >> (INDEX_BITS - 1 - place) & 1
            bgr[: self._layout.side, bits[place] : bits[place + 1]] = 255 * white


def clock_text(time_s: float) -> str:
    """Write a time of day as HH:MM:SS.mmm."""
    total_ms = math.floor(time_s * 1000) % 86_400_000
    minutes, seconds_ms = divmod(total_ms, 60_000)
    return f'{minutes // 60:02}:{minutes % 60:02}:{seconds_ms // 1000:02}.{seconds_ms % 1000:03}'


def read_corners(bgr: Pixels) -> tuple[str, ...]:
    """Name the colours of the corners, top left, top right, bottom left, bottom right.

    Args:
        bgr: A rendered picture (height, width, 3), possibly compressed and scaled.

    Returns:
        `CORNERS` if colours and orientation are right; 'other' stands for a colour that is none of
        `COLOURS`.
    """
    layout = _Layout(bgr.shape[1], bgr.shape[0])
    return tuple(
        _name(_centre_mean(bgr, x, y, layout.side, layout.side)) for x, y in layout.corners
    )


def read_index(bgr: Pixels) -> int | None:
    """Read the frame's index, 0 to 65535, from a rendered picture (height, width, 3).

    Returns:
        None if a block is neither black nor white: this is no picture of the scene.
    """
    layout = _Layout(bgr.shape[1], bgr.shape[0])
    index = 0
    for left, right in zip(layout.bits, layout.bits[1:], strict=False):
        level = float(_centre_mean(bgr, left, 0, right - left, layout.side).mean())
        if DARK < level < BRIGHT:
            return None
        index = index << 1 | (level >= BRIGHT)
    return index


def _centre_mean(bgr: Pixels, x: int, y: int, width: int, height: int) -> npt.NDArray[np.float64]:
    """Average the middle third each way: the edges are blurred by scaling and compression."""
    across, down = width // 3, height // 3
    centre = bgr[y + down : y + height - down, x + across : x + width - across]
    mean: npt.NDArray[np.float64] = centre.reshape(-1, 3).mean(axis=0)
    return mean


def _name(colour: npt.NDArray[np.float64]) -> str:
    distances = {name: math.dist(colour, known) for name, known in COLOURS.items()}
    nearest = min(distances, key=distances.__getitem__)
    # Wide enough for the wrong one of the two matrices of video, and for chroma at half size.
    return nearest if distances[nearest] < 110 else 'other'


def _noise(width: int, height: int, grain: int, seed: int) -> Pixels:
    """Make smooth noise, 0 to 255, of shape (height, width); `grain` is its feature size."""
    size = (max(height // grain, 2), max(width // grain, 2))
    coarse = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    smooth: Pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return smooth


def _background(width: int, height: int) -> Pixels:
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    sky = np.array((120, 84, 52), np.float32) * (1 - rows) + np.array((180, 170, 150)) * rows
    texture = _noise(width, height, 24, 1) * 0.12 + _noise(width, height, 4, 2) * 0.10
    picture: Pixels = np.clip(sky + texture[..., None] - 20, 0, 255).astype(np.uint8)
    return picture


def _strip(width: int, height: int) -> Pixels:
    """Make ground with rocks and grass, (height, 2 * width, 3), which repeats after `width`."""
    base = np.array((60, 110, 90), np.float32)
    coarse = _noise(width, max(height, 1), 16, 3)[..., None]
    fine = _noise(width, max(height, 1), 2, 4)[..., None]
    once = np.clip(base + coarse * 0.25 + fine * 0.3 - 60, 0, 255).astype(np.uint8)
    return np.hstack((once, once))[:height]


def _fit_text(width: int, height: int) -> tuple[float, tuple[int, int]]:
    """Find the scale and the lower left corner of the clock, centred, 0.7 of the width."""
    (text_width, text_height), _ = cv2.getTextSize(clock_text(0), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 2)
    scale = min(0.7 * width / text_width, 0.2 * height / text_height)
    x = round((width - text_width * scale) / 2)
    return scale, (x, round(height * 0.45 + text_height * scale / 2))
