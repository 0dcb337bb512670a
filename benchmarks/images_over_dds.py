"""Measure how many images arrive between two processes over DDS, and how late.

    .venv/bin/python benchmarks/images_over_dds.py [--images 150] [--rate 30]

`test_camera` publishes in a process of its own, with and without the transport profile that the
launch file and the demo set; this process subscribes as `camera_sender` does. Run it from the
environment that `make` makes, with nothing else busy.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from rtc_signaling.ros.transport import image_transport_environment

CONFIG = Path(__file__).resolve().parent.parent / 'config'
SIZES = {'640x480': (640, 480), '1280x720': (1280, 720)}
DOMAIN_ID = 97
START_TIMEOUT_S = 15.0


class Receiver:
    """Take images, and keep how old each was when it came, in ms."""

    def __init__(self, context: Context, reliability: ReliabilityPolicy) -> None:
        self.node = Node('images_over_dds', context=context)
        self.stamps_s: list[float] = []
        self.ages_ms: list[float] = []
        qos = QoSProfile(depth=1, reliability=reliability)
        self.node.create_subscription(Image, 'camera/image_raw', self._take, qos)

    def _take(self, image: Image) -> None:
        stamp_s = image.header.stamp.sec + image.header.stamp.nanosec / 1e9
        self.stamps_s.append(stamp_s)
        self.ages_ms.append((time.time() - stamp_s) * 1000)


def measure(
    size: tuple[int, int], reliability: str, profile: bool, images: int, rate: float
) -> str:
    """Return one row of the table."""
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID)}
    environment |= image_transport_environment(CONFIG) if profile else {}
    settings = (f'width:={size[0]}', f'height:={size[1]}', f'rate:={rate}')
    arguments = [
        part for one in (*settings, f'reliability:={reliability}') for part in ('-p', one)
    ]
    context = Context()
    context.init([], domain_id=DOMAIN_ID)
    executor = SingleThreadedExecutor(context=context)
    receiver = Receiver(context, ReliabilityPolicy[reliability.upper()])
    executor.add_node(receiver.node)
    camera = subprocess.Popen(
        [str(Path(sys.executable).parent / 'test_camera'), '--ros-args', *arguments],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_s = time.monotonic() + START_TIMEOUT_S
        while receiver.node.count_publishers('camera/image_raw') == 0:
            executor.spin_once(timeout_sec=0.1)
            if time.monotonic() > wait_until_s:
                return 'the camera did not start'
        receiver.stamps_s.clear()
        receiver.ages_ms.clear()
        end_s = time.monotonic() + images / rate
        while time.monotonic() < end_s:
            executor.spin_once(timeout_sec=0.05)
    finally:
        camera.send_signal(signal.SIGINT)
        camera.wait(10)
        executor.shutdown()
        receiver.node.destroy_node()
        context.try_shutdown()
    return row(receiver.ages_ms, images)


def row(ages_ms: list[float], images: int) -> str:
    """Return what arrived, and how late, as cells."""
    if len(ages_ms) < 2:
        return f'{len(ages_ms)} of {images} | |'
    cuts = statistics.quantiles(ages_ms, n=20)
    return f'{len(ages_ms)} of {images} | {statistics.median(ages_ms):.1f} | {cuts[18]:.1f}'


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--images', type=int, default=150)
    parser.add_argument('--rate', type=float, default=30.0)
    options = parser.parse_args()
    print(
        '| size | reliability | profile | arrived | p50 ms | p95 ms |\n|---|---|---|---|---|---|'
    )
    for name, size in SIZES.items():
        for reliability in ('best_effort', 'reliable'):
            for profile in (False, True):
                cells = measure(size, reliability, profile, options.images, options.rate)
                print(
                    f'| {name} | {reliability} | {"yes" if profile else "no"} | {cells} |',
                    flush=True,
                )


if __name__ == '__main__':
    main()
