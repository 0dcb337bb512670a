"""A camera driver whose pictures say when they were made, and that can misbehave.

The strip of the synthetic scene holds the wall clock in ms, modulo 65536, in place of an index,
so that whoever sees a picture knows its age. A file of JSON says what it does; SIGUSR1 has it read
again:

    {"rate": 30, "width": 320, "height": 240, "encoding": "bgr8", "stamp": "now"}

`rate` 0 stalls. `stamp` is `now`, `still`, `back` (a minute off) or `zero`. `burst` publishes so
many at once each period. `cut` leaves out so many bytes of each image.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from rtc_signaling.media.frames import from_bgr
from rtc_signaling.media.scene import Scene

BACK_NS = 60_000_000_000
ENCODINGS = ('bgr8', 'rgb8', 'mono8', 'yuv422')  # others get the bytes of bgr8
SMALLEST = 64  # of the scene; below there is noise


@dataclass(frozen=True)
class Habit:
    """What the camera does now."""

    rate: float = 30.0
    width: int = 320
    height: int = 240
    encoding: str = 'bgr8'
    stamp: str = 'now'
    burst: int = 1
    cut: int = 0


class Camera:
    """Publish until told to stop."""

    def __init__(self, habit: Habit) -> None:
        self.habit = habit
        self.stop = threading.Event()
        self._context = Context()
        self._context.init(sys.argv)
        self._node = Node('camera_driver', context=self._context)
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._publisher = self._node.create_publisher(Image, 'camera/image_raw', qos)
        self._scene: Scene | None = None
        self._still_ns = time.time_ns()
        # The wall clock that watchers have, also where this process's own is set meanwhile.
        self._real_ns = time.time_ns() - time.monotonic_ns()

    def run(self) -> None:
        next_s = time.monotonic()
        while not self.stop.is_set():
            habit = self.habit
            if not habit.rate:
                self.stop.wait(0.02)
                next_s = time.monotonic()
                continue
            next_s = max(next_s + 1 / habit.rate, time.monotonic())
            if self.stop.wait(next_s - time.monotonic()):
                break
            for _ in range(habit.burst):
                self._publisher.publish(self._image(habit))
        self._node.destroy_node()
        self._context.try_shutdown()

    def _image(self, habit: Habit) -> Image:
        scene = self._scene_of(habit)
        # After what takes time, before what shows it.
        now_ns, shown_ns = time.time_ns(), self._real_ns + time.monotonic_ns()
        if scene is None:
            shape = (habit.height, habit.width, 3)
            picture = np.full(shape, shown_ns // 1_000_000 % 200, np.uint8)
        else:
            picture = scene.render(shown_ns / 1e9, shown_ns // 1_000_000 & 0xFFFF)
        known = habit.encoding in ENCODINGS
        rows = np.ascontiguousarray(from_bgr(picture, habit.encoding if known else 'bgr8'))
        data = array('B')
        data.frombytes(rows.data if not habit.cut else rows.tobytes()[: -habit.cut])
        image = Image(
            height=habit.height, width=habit.width, step=rows.shape[1], encoding=habit.encoding
        )
        stamp_ns = {
            'now': now_ns, 'still': self._still_ns, 'back': now_ns - BACK_NS, 'zero': 0,
        }[habit.stamp]  # fmt: skip
        image.header.stamp.sec, image.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
        image.data = data
        return image

    def _scene_of(self, habit: Habit) -> Scene | None:
        if min(habit.width, habit.height) < SMALLEST:
            return None
        size = (habit.width, habit.height)
        if self._scene is None or (self._scene.width, self._scene.height) != size:
            self._scene = Scene(*size)
        return self._scene


def main(path: Path) -> None:
    def read(*_: object) -> None:
        camera.habit = Habit(**json.loads(path.read_text(encoding='utf-8')))

    camera = Camera(Habit())
    read()
    signal.signal(signal.SIGUSR1, read)
    signal.signal(signal.SIGINT, lambda *_: camera.stop.set())
    thread = threading.Thread(target=camera.run)
    thread.start()
    print('publishing', flush=True)
    thread.join()


if __name__ == '__main__':
    main(Path(sys.argv[1]))
