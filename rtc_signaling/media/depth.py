"""Distances made visible: a depth image as a picture, by a mapping that the operator chooses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rtc_signaling.media.pixels import Pixels, bgr_to_i420, grey_to_i420

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
        colours = cv2.applyColorMap(shades, cv2.COLORMAP_TURBO)
        # Its first entry is a dark blue, where black is meant.
        colours[shades == 0] = 0
        bgr_to_i420(colours, i420)
    else:
        grey_to_i420(shades, i420)


def _shades(distances: Distances, unit_m: float, mapping: DepthMapping) -> Pixels:
    span = mapping.far_m - mapping.near_m
    scale = (FAR_SHADE - NEAR_SHADE) / span
    offset = NEAR_SHADE - scale * mapping.near_m
    # In one pass with rounding and saturation; the second image does not count.
    shades: Pixels = cv2.addWeighted(
        distances, scale * unit_m, distances, 0, offset, dtype=cv2.CV_8U
    )
    cv2.max(shades, FAR_SHADE, shades)
    valid = cv2.inRange(distances, *_VALID[distances.dtype.name])
    return cv2.bitwise_and(shades, valid, shades)
