"""The viewer page in a real browser, as the tests look at it."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError
from playwright.sync_api import sync_playwright

from rtc_signaling.media.scene import Pixels

FLAGS = [
    '--headless=new',
    '--no-sandbox',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--allow-loopback-in-peer-connection',
    '--disable-features=WebRtcHideLocalIpsWithMdns',
]
FROZEN_S = 10.0

# Resolves once `count` more pictures were presented.
_NEXT_PICTURES = """
([count, timeout_ms]) => new Promise((resolve, reject) => {
  const video = document.getElementById('video');
  let seen = 0;
  const give_up = () => reject(new Error(`${seen} of ${count} pictures in ${timeout_ms} ms`));
  const deadline = setTimeout(give_up, timeout_ms);
  const onPicture = () => {
    seen += 1;
    if (seen < count) {
      video.requestVideoFrameCallback(onPicture);
    } else {
      clearTimeout(deadline);
      resolve();
    }
  };
  video.requestVideoFrameCallback(onPicture);
})
"""

_RECORD = """
() => {
  const video = document.getElementById('video');
  window.testTimes = [performance.now()];
  window.testConnection = window.rtcViewer.pc;
  window.testBlack = 0;
  let black = 0;
  const options = { willReadFrequently: true };
  const context = new OffscreenCanvas(16, 12).getContext('2d', options);
  setInterval(() => {
    context.drawImage(video, 0, 0, 16, 12);
    const { data } = context.getImageData(0, 0, 16, 12);
    const brightest = Math.max(...data.filter((_, place) => place % 4 < 3));
    black = brightest < 32 ? black + 1 : 0;
    window.testBlack = Math.max(window.testBlack, black);
    context.clearRect(0, 0, 16, 12);
  }, 50);
  const onPicture = (at) => {
    window.testTimes.push(at);
    video.requestVideoFrameCallback(onPicture);
  };
  video.requestVideoFrameCallback(onPicture);
}
"""

_LONGEST_GAP_MS = """
() => {
  const times = [...window.testTimes, performance.now()];
  return Math.max(...times.slice(1).map((at, place) => at - times[place]));
}
"""

_DECODED = """
async () => {
  const report = await window.rtcViewer.pc?.getStats();
  const streams = [...report?.values() ?? []].filter(({ type }) => type === 'inbound-rtp');
  return streams.reduce((sum, { framesDecoded }) => sum + (framesDecoded ?? 0), 0);
}
"""

_INBOUND = """
async () => {
  const report = await window.rtcViewer.pc?.getStats();
  const names = ['packetsReceived', 'packetsLost', 'framesReceived', 'framesDecoded',
    'keyFramesDecoded', 'framesDropped', 'freezeCount', 'nackCount', 'pliCount'];
  const streams = [...report?.values() ?? []].filter(({ type }) => type === 'inbound-rtp');
  const figures = streams.map((stream) => names.map((name) => `${name} ${stream[name]}`));
  return `visible ${!document.hidden}, ${window.rtcViewer.pc?.connectionState}, ${figures}`;
}
"""

_PICTURE = """
() => {
  const video = document.getElementById('video');
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext('2d').drawImage(video, 0, 0);
  return canvas.toDataURL('image/png').split(',')[1];
}
"""

# Where the picture itself is in the window: the element has black bars beside it.
_PICTURE_BOX = """
() => {
  const video = document.getElementById('video');
  const box = video.getBoundingClientRect();
  const scale = Math.min(box.width / video.videoWidth, box.height / video.videoHeight);
  const [width, height] = [video.videoWidth * scale, video.videoHeight * scale];
  return [
    box.x + (box.width - width) / 2, box.y + (box.height - height) / 2, width, height,
  ].map(Math.round);
}
"""


def chromium_path() -> str | None:
    """Return the path of the Chromium or Chrome to use, if there is one."""
    names = (os.environ.get('CHROMIUM', ''), 'chromium', 'chromium-browser', 'google-chrome')
    return next(filter(None, map(shutil.which, names)), None)


@contextlib.contextmanager
def running_chromium() -> Iterator[Any]:
    """Run Chromium as long as the context lasts."""
    with sync_playwright() as playwright:
        # Playwright's own switch would take the old headless mode, which is another browser.
        chromium = playwright.chromium.launch(
            executable_path=chromium_path(), headless=False, args=FLAGS
        )
        try:
            yield chromium
        finally:
            chromium.close()


class Viewer:
    """Open the page in a window of its own, with nothing stored.

    Args:
        browser: Playwright's.
        url: The page's address, with the token.
        script: What runs in the page before its own scripts; '' for nothing.
        options: Playwright's, for the window.

    Attributes:
        opened_at: When it began to load, on time.monotonic().
        complaints: Errors and warnings of its console, and exceptions that nobody caught.
    """

    def __init__(self, browser: Any, url: str, script: str = '', **options: Any) -> None:
        self._context = browser.new_context(**options)
        self.page = self._context.new_page()
        if script:
            self.page.add_init_script(script)
        self.complaints: list[str] = []
        self.page.on('console', self._on_console)
        self.page.on('pageerror', lambda error: self.complaints.append(str(error)))
        self.opened_at = time.monotonic()
        self.page.goto(url)

    @property
    def state(self) -> str:
        """What the page says of itself, for a person."""
        texts = (self.text(name) for name in ('pill', 'line', 'hint', 'error'))
        return ' | '.join(text for text in texts if text)

    def text(self, name: str) -> str:
        """Return the text of the element with this id, '' if it is hidden."""
        element = self.page.locator(f'#{name}')
        return str(element.text_content()) if element.is_visible() else ''

    def wait_for_state(self, state: str, timeout_s: float, cause: str | None = None) -> None:
        """Wait until the page is in a state; AssertionError with what it says instead."""
        selector = f'html[data-state={state}]'
        if cause is not None:
            selector += f'[data-cause="{cause}"]'
        try:
            self.page.wait_for_selector(selector, timeout=timeout_s * 1000)
        except PlaywrightTimeoutError as error:
            raise AssertionError(f'{selector} not within {timeout_s} s: {self.state}') from error

    def watch(self, count: int, timeout_s: float) -> None:
        """Wait until `count` more pictures were presented, and decoded before."""
        before = self.decoded
        start = self.page.evaluate(_INBOUND)
        try:
            self.page.evaluate(_NEXT_PICTURES, [count, timeout_s * 1000])
        except PlaywrightError as error:
            end = self.page.evaluate(_INBOUND)
            raise AssertionError(
                f'{error.message}\n{self.state}\nbefore: {start}\nnow: {end}'
            ) from error
        decoded = self.decoded - before
        assert decoded >= count - 2, f'only {decoded} decoded pictures for {count} presented'

    @property
    def decoded(self) -> int:
        """The number of decoded pictures, of the browser's statistics."""
        return int(self.page.evaluate(_DECODED))

    def picture(self) -> Pixels:
        """Return the pixels of the video element, BGR."""
        png = base64.b64decode(self.page.evaluate(_PICTURE))
        return _decode(png)

    def screenshot(self, path: Path | None = None) -> Pixels:
        """Return what a person sees of the window, BGR, one pixel for each of CSS."""
        return _decode(self.page.screenshot(path=path, scale='css'))

    def picture_in(self, screenshot: Pixels) -> Pixels:
        """Cut the video's picture out of a screenshot."""
        x, y, width, height = self.page.evaluate(_PICTURE_BOX)
        return screenshot[y : y + height, x : x + width]

    def look_at_stale(self) -> None:
        """Check that the scene stands still for the eye: there, grey, dark and labelled."""
        label = self.page.get_by_text(re.compile(r'^frozen for \d+\.\d s$'))
        label.wait_for(timeout=FROZEN_S * 1000)
        seen = self.picture_in(self.screenshot()).astype(int)
        height, width = seen.shape[:2]
        # Of the red corner nothing is left, and it is not black.
        corner = seen[: height // 12, : width // 12]
        assert np.ptp(corner, axis=2).max() < 16
        assert 0 < corner.min() <= corner.max() < 128

    def record(self) -> None:
        """Begin to note when pictures are presented, and remember the peer connection."""
        self.page.evaluate(_RECORD)

    def longest_gap_s(self) -> float:
        """Return the longest time without a picture since `record`."""
        return float(self.page.evaluate(_LONGEST_GAP_MS)) / 1000

    def longest_black_s(self) -> float:
        """Return the longest time without a picture on the screen, old or new, since `record`."""
        return 0.05 * int(self.page.evaluate('window.testBlack'))

    def same_connection(self) -> bool:
        """Tell whether the peer connection is still that of `record`."""
        same = 'window.testConnection === window.rtcViewer.pc'
        return bool(self.page.evaluate(same))

    def close(self) -> None:
        self._context.close()

    def _on_console(self, message: Any) -> None:
        if message.type in ('error', 'warning'):
            self.complaints.append(message.text)


def _decode(png: bytes) -> Pixels:
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture, np.uint8)
