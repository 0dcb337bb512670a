"""Distances made visible: a depth image as a picture, by a mapping that the operator chooses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rtc_signaling.media.pixels import Pixels, Planes, bgr_to_i420, grey_to_i420, planes

Distances = npt.NDArray[Any]

# Shades of what is far and near; what is invalid has none of them, it is black.
FAR_SHADE = 26
NEAR_SHADE = 255
# The least and the greatest that is a distance: not 0, negative, NaN or infinite.
_VALID: dict[str, tuple[float, float]] = {
    'uint16': (1, 65535),
    'float32': (float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)),
}


@dataclass(frozen=True, slots=True)
class DepthMapping:
    """Say how distances become shades.

    `near_m` and what is nearer is brightest, `far_m` and what is farther is darkest, linear in
    between. Without a distance (0, negative, NaN, infinite) a pixel is black, which no distance
    is.

    Attributes:
        near_m: In m, above 0.
        far_m: In m, above `near_m`.
        colour: `grey`, or `turbo`: from blue (far) over green to red (near).
    """

    near_m: float = 0.3
    far_m: float = 10.0
    colour: str = 'grey'

    def __str__(self) -> str:
        return (
            f'depth in {self.colour} from {self.near_m:g} m (bright) to {self.far_m:g} m (dark),'
            ' black where there is none'
        )


def depth_to_i420(
    distances: Distances, unit_m: float, mapping: DepthMapping, i420: Pixels
) -> None:
    """Write a depth image into limited-range I420.

    Args:
        distances: Shape (height, width), both even; uint16 or float32 in the machine's byte
            order.
        unit_m: What a distance of 1 is, in m.
        mapping: What becomes of them.
        i420: Where to write, shape (height * 3 // 2, width).
    """
    shades = _shades(distances, unit_m, mapping)
    if mapping.colour == 'turbo':
        to = planes(i420)
        cv2.LUT(shades, _TURBO.luma, to.luma)
        # One pixel of each 2x2, since a mean over an edge would be the colour of another distance.
        coarse = np.ascontiguousarray(shades[::2, ::2])
        cv2.LUT(coarse, _TURBO.u, to.u)
        cv2.LUT(coarse, _TURBO.v, to.v)
    else:
        grey_to_i420(shades, i420)


def _shades(distances: Distances, unit_m: float, mapping: DepthMapping) -> Pixels:
    low, high = _VALID[distances.dtype.name]
    scale = (FAR_SHADE - NEAR_SHADE) / (mapping.far_m - mapping.near_m)
    offset = NEAR_SHADE - scale * mapping.near_m
    far = min(mapping.far_m / unit_m, high)
    # Cut there first, as the next step takes what is below 0 for positive. Of integers downwards,
    # lest OpenCV rounds it up and beyond.
    cut = cv2.min(distances, far if high > 65535 else int(far))
    shades: Pixels = cv2.convertScaleAbs(cut, alpha=scale * unit_m, beta=offset)
    cv2.bitwise_and(shades, cv2.inRange(distances, low, high), shades)
    return shades


def _turbo_tables() -> Planes:
    """Return what each shade is in I420, as tables for cv2.LUT."""
    shades = np.arange(256, dtype=np.uint8).reshape(1, 256)
    colours = cv2.applyColorMap(shades, cv2.COLORMAP_TURBO)
    # Its first entry is a dark blue, where black is meant.
    colours[0, 0] = 0
    # Each shade as a block of 2x2 pixels, which have one value of chroma.
    i420: Pixels = np.empty((3, 512), np.uint8)
    bgr_to_i420(np.repeat(np.repeat(colours, 2, axis=0), 2, axis=1), i420)
    luma, u, v = planes(i420)
    return Planes(luma[0, ::2].copy(), u[0].copy(), v[0].copy())


_TURBO = _turbo_tables()
