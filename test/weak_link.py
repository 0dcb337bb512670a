"""A real link that can be made thin or lossy: two network namespaces, and programs to run in them.

    near: signaling server, camera sender, a viewer --- veth --- far: another viewer

Run as a program it is one of them: `send` or `view`. Each prints lines of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter

import cv2
import numpy as np
from aiortc.jitterbuffer import JitterBuffer
from fakes import FakeImage, until, viewing

from rtc_signaling.auth import OpenAuthenticator
from rtc_signaling.media.scene import Scene, read_index
from rtc_signaling.media.sender import CameraSender
from rtc_signaling.media.track import Camera
from rtc_signaling.sender_config import SenderConfig
from rtc_signaling.server import SignalingServer
from rtc_signaling.server_config import ServerConfig

NEAR, FAR = '10.97.0.1', '10.97.0.2'
RATE_HZ = 30
SIZE = (640, 480)
REPORT_S = 0.2


def run(*command):
    """Run a command; its error's text is in the exception."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f'{" ".join(command)}: {done.stderr.strip() or done.returncode}')


class WeakLink:
    """Make two namespaces with a link between them; needs the right to.

    Raises:
        OSError: It is not permitted, or there is no `ip` or `tc`.
    """

    def __init__(self):
        self.near, self.far = (f'rtc-{os.getpid()}-{end}' for end in ('near', 'far'))
        try:
            for name in (self.near, self.far):
                run('ip', 'netns', 'add', name)
                run('ip', '-n', name, 'link', 'set', 'lo', 'up')
            run('ip', '-n', self.near, 'link', 'add', 'link0', 'type', 'veth', 'peer', 'link0',
                'netns', self.far)  # fmt: skip
            for name, address in ((self.near, NEAR), (self.far, FAR)):
                run('ip', '-n', name, 'address', 'add', f'{address}/30', 'dev', 'link0')
                run('ip', '-n', name, 'link', 'set', 'link0', 'up')
            self.limit(10_000)  # not every kernel can
            self.lift()
        except OSError:
            self.close()
            raise

    def limit(self, kbit_s, queue_ms=300):
        """Let so much through, towards the far end; what waits longer is dropped."""
        self._shape('tbf', 'rate', f'{kbit_s}kbit', 'burst', '4000', 'latency', f'{queue_ms}ms')

    def lift(self):
        """Let everything through."""
        self._shape('pfifo', 'limit', '1000')

    def _shape(self, *words):
        run('ip', 'netns', 'exec', self.near, 'tc', 'qdisc', 'replace', 'dev', 'link0', 'root',
            *words)  # fmt: skip

    def close(self):
        """Take all of it away."""
        for name in (self.near, self.far):
            with contextlib.suppress(OSError):
                run('ip', 'netns', 'delete', name)


class Program:
    """Run this module in a namespace, and keep what it prints, each line with its time."""

    def __init__(self, process):
        self._process = process
        self._reading = asyncio.create_task(self._read())
        self.said = []

    @classmethod
    async def start(cls, namespace, *arguments):
        """Start it; `arguments` are those of `main`."""
        process = await asyncio.create_subprocess_exec(
            'ip', 'netns', 'exec', namespace, sys.executable, __file__, *arguments,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        return cls(process)

    async def _read(self):
        while line := await self._process.stdout.readline():
            self.said.append(json.loads(line))

    @property
    def now(self):
        """What it said last, {} for nothing."""
        return self.said[-1] if self.said else {}

    def since(self, time_s):
        """Return what it said since then, by the monotonic clock."""
        return [line for line in self.said if line['time'] >= time_s]

    async def stop(self):
        """End it."""
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()
        await self._reading


def say(**members):
    print(json.dumps({'time': time.monotonic(), **members}), flush=True)


class Textured:
    """Draw the scene with so much in it that an encoder needs all of its bitrate."""

    def __init__(self):
        width, height = SIZE
        self._scene = Scene(width, height)
        noise = np.random.default_rng(1).integers(0, 50, (height, 2 * width, 3), np.uint8)
        self._noise = cv2.GaussianBlur(noise, (3, 3), 0)
        self._rows = slice(height // 4, height * 3 // 4)

    def image(self, index):
        width, height = SIZE
        picture = self._scene.render(index / RATE_HZ, index)
        shift = index * 7 % width
        noise = self._noise[self._rows, shift : shift + width]
        picture[self._rows] = cv2.add(picture[self._rows], noise)
        return FakeImage(height, width, 'bgr8', width * 3, picture.tobytes())


async def film(camera, begun_s):
    """Put the picture of now, so that its index tells how old it is."""
    drawing = Textured()
    while True:
        index = int((time.monotonic() - begun_s) * RATE_HZ)
        camera.put(drawing.image(index), index * 1_000_000_000 // RATE_HZ)
        await asyncio.sleep(max(0.0, begun_s + (index + 1) / RATE_HZ - time.monotonic()))


async def send(begun_s, settings):
    """Be the server and the sender; say each moment how they are."""
    camera = Camera(first_hold_s=2.0)
    server_config = ServerConfig(host=NEAR, port=0)
    async with SignalingServer(server_config, OpenAuthenticator()).run() as server:
        config = SenderConfig(
            server_url=f'ws://{NEAR}:{server.port}', ice_addresses=(NEAR,), **settings
        )
        sender = CameraSender(config, camera, lambda: None, lambda snapshot: None)
        async with sender.run():
            driver = asyncio.create_task(film(camera, begun_s))
            await until(lambda: sender.snapshot().linked, 'linked')
            while not driver.done():
                now = sender.snapshot()
                say(
                    port=server.port,
                    viewers={
                        viewer.client_id: {
                            'layer': viewer.layer, 'estimate': viewer.estimate_bps,
                            'loss': viewer.loss, 'rtt': viewer.rtt_s, 'rate': viewer.bitrate_bps,
                        }
                        for viewer in now.viewer_figures
                    },
                    encodes={
                        encoder.layer: {'viewers': encoder.viewers, 'rate': encoder.bitrate_bps}
                        for encoder in now.encoders
                    },
                )  # fmt: skip
                await asyncio.sleep(REPORT_S)
            await driver


def watch_packets(receiver, loss):
    """Lose packets at random, and count those that were sent again for it.

    Args:
        receiver: Of a viewer that has not joined yet.
        loss: Which share, 0 to 1.
    """
    handle, chance, counts = receiver._handle_rtp_packet, random.Random(7), Counter()

    async def lossy(packet, arrival_time_ms):
        codec = vars(receiver)['_RTCRtpReceiver__codecs'].get(packet.payload_type)
        if chance.random() < loss:
            counts['lost'] += 1
            return
        counts['again'] += codec is not None and codec.name.lower() == 'rtx'
        await handle(packet, arrival_time_ms)

    receiver._handle_rtp_packet = lossy
    return counts


async def view(port, name, begun_s, loss):
    """Watch, and say of each picture when it came, how old it was and how large it is."""
    async with viewing(port, host=NEAR, client_id=name) as viewer:
        # aiortc's receiver goes over what it lost when it has 128 packets behind that, seconds of
        # a small picture; browsers go on at the next key frame.
        vars(viewer.receiver)['_RTCRtpReceiver__jitter_buffer'] = JitterBuffer(64, is_video=True)
        counts = watch_packets(viewer.receiver, loss)
        await viewer.join()
        while True:
            picture = await viewer.picture()
            index = read_index(picture)
            age_s = None if index is None else time.monotonic() - begun_s - index / RATE_HZ
            say(age=age_s, width=picture.shape[1], lost=counts['lost'], again=counts['again'])


# Tell of each picture that is presented: the time, what is drawn into it, and its width.
_TELL = """
async ([width, height]) => {
  const video = document.getElementById('video');
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const side = Math.min(Math.floor(width / 8), Math.floor(height / 4));
  const place = (bit) => side + Math.floor((width - 2 * side) * bit / 16);
  const onPicture = (at, { width: wide }) => {
    video.requestVideoFrameCallback(onPicture);
    context.drawImage(video, 0, 0, width, height);
    let drawn = 0;
    for (let bit = 0; bit < 16; bit += 1) {
      const [x, y] = [Math.round((place(bit) + place(bit + 1)) / 2), Math.round(side / 2)];
      drawn = drawn * 2 + (context.getImageData(x, y, 1, 1).data[0] >= 128 ? 1 : 0);
    }
    window.tellPicture(performance.timeOrigin + at, drawn, wide);
  };
  video.requestVideoFrameCallback(onPicture);
}
"""


def browse(port, begun_s):
    """Watch with Chromium; it says the same as `view`."""
    sys.path.append(os.path.join(os.path.dirname(__file__), 'browser'))
    viewer = importlib.import_module('viewer')
    wall_s = time.time() - time.monotonic()

    def tell(shown_ms, index, width):
        at_s = shown_ms / 1000 - wall_s
        say(age=at_s - begun_s - index / RATE_HZ, width=width)

    with viewer.running_chromium() as chromium:
        opened = viewer.Viewer(chromium, f'http://{NEAR}:{port}/')
        opened.page.expose_function('tellPicture', tell)
        opened.wait_for_state('live', 20.0)
        opened.page.evaluate(_TELL, list(SIZE))
        while True:
            opened.page.wait_for_timeout(1000)


def main():
    what, *arguments = sys.argv[1:]
    if what == 'send':
        begun_s, settings = arguments
        asyncio.run(send(float(begun_s), json.loads(settings)))
    elif what == 'browse':
        port, _, begun_s, _ = arguments
        browse(int(port), float(begun_s))
    else:
        port, name, begun_s, loss = arguments
        asyncio.run(view(int(port), name, float(begun_s), float(loss)))


if __name__ == '__main__':
    main()
