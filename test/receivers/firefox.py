"""The real Firefox, driven by WebDriver BiDi, which it speaks by itself."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from processes import Process, wait_until
from websockets.sync.client import ClientConnection, connect

from rtc_signaling.media.scene import Pixels

START_S = 60.0
FILE_S = 20.0
ANSWER_S = 30.0
# Video without a click, ICE on loopback and with addresses instead of names of mDNS.
PREFERENCES: Mapping[str, Any] = {
    'app.normandy.enabled': False,
    'app.update.enabled': False,
    'browser.download.alwaysOpenPanel': False,
    'browser.download.folderList': 2,  # `browser.download.dir`
    'browser.download.useDownloadDir': True,
    'browser.shell.checkDefaultBrowser': False,
    'datareporting.policy.dataSubmissionEnabled': False,
    'media.autoplay.default': 0,
    'media.gmp-manager.updateEnabled': False,
    'media.peerconnection.ice.loopback': True,
    'media.peerconnection.ice.obfuscate_host_addresses': False,
    'network.captive-portal-service.enabled': False,
    'network.connectivity-service.enabled': False,
    'toolkit.telemetry.enabled': False,
}

_PICTURE = """
(() => {
  const video = document.getElementById('video');
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext('2d').drawImage(video, 0, 0);
  return canvas.toDataURL('image/png').split(',')[1];
})()
"""

# Where a person would click an element: its middle.
_PLACE = """
(() => {
  const { x, y, width, height } = document.querySelector(SELECTOR).getBoundingClientRect();
  return [x + width / 2, y + height / 2].map(Math.round);
})()
"""

_TEXT = """
(() => {
  const element = document.querySelector(SELECTOR);
  return element?.checkVisibility() ? element.textContent : '';
})()
"""

_INBOUND = """
(async () => {
  const report = await window.rtcViewer?.pc?.getStats();
  const streams = [...report?.values() ?? []];
  const stream = streams.find(({ type }) => type === 'inbound-rtp');
  if (!stream) return null;
  const { framesDecoded, keyFramesDecoded } = stream;
  return { framesDecoded, keyFramesDecoded, codec: report.get(stream.codecId)?.mimeType };
})()
"""


def firefox_path() -> str | None:
    """Return the path of the Firefox to use, if there is one."""
    names = (os.environ.get('FIREFOX', ''), 'firefox-esr', 'firefox')
    return next(filter(None, map(shutil.which, names)), None)


class Firefox:
    """Control one window.

    Args:
        socket: To the browser's BiDi server.
        downloads: Where it saves files.

    Attributes:
        complaints: Errors and warnings of its console, and exceptions that nobody caught.
    """

    def __init__(self, socket: ClientConnection, downloads: Path) -> None:
        self._socket = socket
        self._downloads = downloads
        self._numbers = itertools.count()
        self.complaints: list[str] = []
        self._call('session.new', capabilities={})
        tree = self._call('browsingContext.getTree')
        self._context = tree['contexts'][0]['context']
        self._call('session.subscribe', events=['log.entryAdded'])

    def open(self, url: str) -> None:
        """Go to an address, and return when it is loaded."""
        self._call('browsingContext.navigate', context=self._context, url=url, wait='complete')

    def evaluate(self, expression: str) -> Any:
        """Return what an expression of JavaScript is, or what its promise gives."""
        answer = self._call(
            'script.evaluate',
            expression=f'Promise.resolve({expression}).then((it) => JSON.stringify(it ?? null))',
            target={'context': self._context},
            awaitPromise=True,
        )
        if answer['type'] == 'exception':
            raise AssertionError(answer['exceptionDetails']['text'])
        return json.loads(answer['result']['value'])

    @property
    def state(self) -> str:
        """The page's state."""
        return str(self.evaluate('document.documentElement.dataset.state'))

    @property
    def inbound(self) -> dict[str, Any] | None:
        """The browser's statistics of the video."""
        figures: dict[str, Any] | None = self.evaluate(_INBOUND)
        return figures

    def picture(self) -> Pixels:
        """Return the pixels of the video element, BGR."""
        png = np.frombuffer(base64.b64decode(self.evaluate(_PICTURE)), np.uint8)
        return np.asarray(cv2.imdecode(png, cv2.IMREAD_COLOR), np.uint8)

    def text(self, selector: str) -> str:
        """Return the text of the first element of a selector, '' if it is not shown."""
        return str(self.evaluate(_TEXT.replace('SELECTOR', json.dumps(selector))))

    def press(self, *keys: str) -> None:
        """Press keys on the keyboard, one after the other."""
        actions = [{'type': kind, 'value': key} for key in keys for kind in ('keyDown', 'keyUp')]
        self._act({'type': 'key', 'id': 'keyboard', 'actions': actions})

    def click(self, selector: str) -> None:
        """Click into the middle of an element with the mouse."""
        x, y = self.evaluate(_PLACE.replace('SELECTOR', json.dumps(selector)))
        actions = [{'type': 'pointerMove', 'x': x, 'y': y}, {'type': 'pointerDown', 'button': 0},
                   {'type': 'pointerUp', 'button': 0}]  # fmt: skip
        self._act({'type': 'pointer', 'id': 'mouse', 'actions': actions})

    def screenshot(self) -> Pixels:
        """Return what a person sees of the window, BGR."""
        shot = self._call('browsingContext.captureScreenshot', context=self._context)
        png = np.frombuffer(base64.b64decode(shot['data']), np.uint8)
        return np.asarray(cv2.imdecode(png, cv2.IMREAD_COLOR), np.uint8)

    def saved(self, pattern: str) -> Path:
        """Wait for a file that it saves."""

        def whole() -> Path | None:
            files = [*self._downloads.glob(pattern)]
            return files[0] if files and not [*self._downloads.glob('*.part')] else None

        found = wait_until(whole, FILE_S, f'{pattern}: {[*self._downloads.iterdir()]}')
        assert found is not None
        return found

    def _act(self, source: dict[str, Any]) -> None:
        self._call('input.performActions', context=self._context, actions=[source])

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({'id': number, 'method': method, 'params': params}))
        deadline_s = time.monotonic() + ANSWER_S
        while True:
            answer = json.loads(self._socket.recv(max(deadline_s - time.monotonic(), 0)))
            if answer.get('method') == 'log.entryAdded':
                entry = answer['params']
                if entry['level'] in ('error', 'warn'):
                    self.complaints.append(entry['text'])
            if answer.get('id') == number:
                assert answer['type'] == 'success', answer
                result: dict[str, Any] = answer['result']
                return result


@contextlib.contextmanager
def running_firefox(path: str, directory: Path) -> Iterator[tuple[Firefox, Process]]:
    """Run Firefox, with a profile of its own in `directory`, as long as the context lasts."""
    downloads = directory / 'downloads'
    downloads.mkdir()
    preferences = {**PREFERENCES, 'browser.download.dir': str(downloads)}
    lines = (
        f'user_pref({json.dumps(name)}, {json.dumps(value)});\n'
        for name, value in preferences.items()
    )
    (directory / 'user.js').write_text(''.join(lines), encoding='utf-8')
    command = [path, '--headless', '--no-remote', '--remote-debugging-port', '0',
               '--profile', str(directory), 'about:blank']  # fmt: skip
    # Of root it wants a home of root's.
    process = Process('firefox', command, {**os.environ, 'HOME': str(directory)})
    try:
        url = process.wait_for_output(r'WebDriver BiDi listening on (ws://\S+)', START_S)[1]
        with connect(f'{url}/session', proxy=None, max_size=None) as socket:
            yield Firefox(socket, downloads), process
    finally:
        process.stop()
