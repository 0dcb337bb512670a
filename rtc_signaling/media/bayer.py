"""The colours of a sensor's mosaic."""

from __future__ import annotations

import cv2

from rtc_signaling.media.pixels import Pixels, bgr_to_i420

# OpenCV names a mosaic by the second and third pixel of the second row; ROS by the first two
# pixels of the first row and then those of the second. So what ROS calls rggb is BG to OpenCV.
PATTERNS: dict[str, int] = {
    'rggb': cv2.COLOR_BayerBG2BGR,
    'bggr': cv2.COLOR_BayerRG2BGR,
    'gbrg': cv2.COLOR_BayerGR2BGR,
    'grbg': cv2.COLOR_BayerGB2BGR,
}


def mosaic_to_i420(pattern: str, mosaic: Pixels, i420: Pixels) -> None:
    """Write a mosaic into limited-range I420; missing colours are means of their neighbours.

    Args:
        pattern: A key of `PATTERNS`.
        mosaic: Shape (height, width, 1), both even.
        i420: Where to write, shape (height * 3 // 2, width).
    """
    height, width = mosaic.shape[:2]
    bgr_to_i420(cv2.cvtColor(mosaic.reshape(height, width), PATTERNS[pattern]), i420)
