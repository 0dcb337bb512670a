"""Pictures of half the size, for who cannot take the whole."""

from __future__ import annotations

import cv2
import numpy as np

from rtc_signaling.media.frames import Pixels

SMALLEST = 32


def halved(i420: Pixels) -> Pixels:
    """Return a planar I420 picture of half the width and half the height, rounded to even ones.

    What is smaller than 64 pixels in one of them stays as it is: there is nothing to save.

    Args:
        i420: Of even width and height.
    """
    width, height = i420.shape[1], i420.shape[0] * 2 // 3
    to_width, to_height = width // 4 * 2, height // 4 * 2
    if min(to_width, to_height) < SMALLEST:
        return i420
    result = np.empty((to_height * 3 // 2, to_width), np.uint8)
    begin, end = 0, 0
    source, target = np.ascontiguousarray(i420).reshape(-1), result.reshape(-1)
    for scale in (1, 2, 2):
        rows, columns = height // scale, width // scale
        to_rows, to_columns = to_height // scale, to_width // scale
        plane = source[begin : begin + rows * columns].reshape(rows, columns)
        cv2.resize(
            plane,
            (to_columns, to_rows),
            dst=target[end : end + to_rows * to_columns].reshape(to_rows, to_columns),
            interpolation=cv2.INTER_AREA,
        )
        begin += rows * columns
        end += to_rows * to_columns
    return result
