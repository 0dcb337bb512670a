"""Take the README's pictures of the real page with the real demo: a still, and 10 s of capture.

PYTHONPATH=test python test/browser/capture.py docs/images
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from processes import descendants, running_demo
from viewer import Viewer, running_chromium

from rtc_signaling.media.scene import Pixels

DOMAIN_ID = 66
WINDOW = {'width': 1280, 'height': 760}
SMALL_WINDOW = {'width': 640, 'height': 500}
# The number in the label counts on; some seconds show what it is.
FROZEN_MS = 4000.0
# So many pictures into the video its bit rate has settled, and the figures are those of a while.
PICTURES = 150
CAPTURE_S = 10.0
DETAILS_AFTER_S = 5.0
DEADLINE_S = 30.0
# What the capture is made smaller to. Others load it over a phone's network.
CAPTURE_SIZE = (768, 456)
CAPTURE_RATE_HZ = 10
QUALITY = 60

# One picture of the window: when it was shown, in s, and its JPEG.
Shot = tuple[float, bytes]


def take(directory: Path) -> None:
    """Write viewer.jpg, viewer.webp, and frozen.jpg: the same page when the camera hangs."""
    with (
        tempfile.TemporaryDirectory() as logs,
        running_demo(Path(logs), DOMAIN_ID, by_make=True) as demo,
        running_chromium() as chromium,
    ):
        viewer = Viewer(chromium, demo.wait_for_url(), viewport=WINDOW)
        viewer.wait_for_state('live', 10.0)
        viewer.watch(PICTURES, 30.0)
        # A photograph: as PNG it has six times the size.
        viewer.page.screenshot(path=directory / 'viewer.jpg', type='jpeg', quality=90)
        shots = _screencast(viewer.page)
        viewer.page.keyboard.press('i')
        with _hanging(demo.pid, 'test_camera'):
            viewer.page.wait_for_selector('#main[data-frozen]', timeout=DEADLINE_S * 1000)
            viewer.page.set_viewport_size(SMALL_WINDOW)
            viewer.page.wait_for_timeout(FROZEN_MS)
            viewer.page.screenshot(path=directory / 'frozen.jpg', type='jpeg', quality=80)
        viewer.close()
    (directory / 'viewer.webp').write_bytes(_webp(_evenly(shots)))


@contextlib.contextmanager
def _hanging(ancestor: int, name: str) -> Iterator[None]:
    """Have the process of this name stand still as long as the context lasts."""
    (pid,) = (
        pid
        for pid in descendants(ancestor)
        if f'{name}\0--ros-args' in Path(f'/proc/{pid}/cmdline').read_text(encoding='utf-8')
    )
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _screencast(page: Any) -> list[Shot]:
    """Return what the window shows for a little longer than the capture lasts."""
    shots: list[Shot] = []
    session = page.context.new_cdp_session(page)

    def on_frame(event: dict[str, Any]) -> None:
        shots.append((event['metadata']['timestamp'], base64.b64decode(event['data'])))
        session.send('Page.screencastFrameAck', {'sessionId': event['sessionId']})

    session.on('Page.screencastFrame', on_frame)

    def lasted(time_s: float) -> bool:
        return bool(shots) and shots[-1][0] - shots[0][0] > time_s

    session.send('Page.startScreencast', {'format': 'jpeg', 'quality': 90, 'everyNthFrame': 2})
    _until(page, lambda: lasted(DETAILS_AFTER_S))
    page.keyboard.press('i')
    _until(page, lambda: lasted(CAPTURE_S))
    session.send('Page.stopScreencast')
    return shots


def _until(page: Any, condition: Callable[[], bool]) -> None:
    """Let Playwright hand over events until the condition holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f'no pictures of the window within {DEADLINE_S} s'
        page.wait_for_timeout(50)


def _evenly(shots: list[Shot]) -> list[Pixels]:
    """Return the picture that was on the screen at each moment of the capture's rate."""
    begin = shots[0][0]
    pictures = []
    for number in range(int(CAPTURE_S * CAPTURE_RATE_HZ)):
        moment = begin + number / CAPTURE_RATE_HZ
        jpeg = next(data for at, data in reversed(shots) if at <= moment)
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        picture = cv2.resize(picture, CAPTURE_SIZE, interpolation=cv2.INTER_AREA)
        pictures.append(np.asarray(picture, np.uint8))
    return pictures


def _webp(pictures: list[Pixels]) -> bytes:
    """Return an animation that repeats for ever."""
    with tempfile.NamedTemporaryFile(suffix='.webp') as file:
        with av.open(file.name, 'w', format='webp', options={'loop': '0'}) as container:
            options = {'quality': str(QUALITY), 'compression_level': '6', 'preset': 'picture'}
            stream: Any = container.add_stream(
                'libwebp_anim', rate=CAPTURE_RATE_HZ, options=options
            )
            stream.width, stream.height = CAPTURE_SIZE
            stream.pix_fmt = 'yuv420p'
            for number, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(picture, format='bgr24')
                frame.pts, frame.time_base = number, Fraction(1, CAPTURE_RATE_HZ)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return Path(file.name).read_bytes()


def main() -> None:
    """Read the arguments, and take the pictures."""
    parser = argparse.ArgumentParser(description="Take the README's pictures.")
    parser.add_argument('directory', type=Path, help='where to put them: docs/images')
    take(parser.parse_args().directory)


if __name__ == '__main__':
    main()
