"""cv_bridge, where it is installed, for the encodings that this package does not know."""

from __future__ import annotations

from collections.abc import Callable

import cv2
from sensor_msgs.msg import Image

from rtc_signaling.media.pixels import ImageError, Pixels


def find_cv_bridge() -> Callable[[Image], Pixels] | None:
    """Return a function that makes BGR of an image, or None where there is no cv_bridge.

    The function raises ImageError, and may be called in any thread.
    """
    try:
        from cv_bridge import CvBridge, CvBridgeError  # noqa: PLC0415  # an option of ROS
    except ImportError:
        return None
    bridge = CvBridge()

    def convert(image: Image) -> Pixels:
        try:
            bgr: Pixels = bridge.imgmsg_to_cv2(image, 'bgr8')
        # What it raises depends on where it gives up: its compiled part is loaded late, and does
        # not load beside another numpy than it was built for.
        except (CvBridgeError, cv2.error, ImportError, LookupError, RuntimeError, TypeError,
                ValueError) as error:  # fmt: skip
            reason = ' '.join(str(error).split())
            raise ImageError(
                f'image encoding {image.encoding!r}: cv_bridge cannot convert it: {reason}'
            ) from error
        return bgr

    return convert
