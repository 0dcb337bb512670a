"""Measure how many images arrive between two processes over DDS, and how late.

    .venv/bin/python benchmarks/images_over_dds.py [--seconds 10] [--rate 30]

`test_camera` publishes in a process of its own, with Fast DDS's default transports, with the
profile that the launch files and the demo set, with FASTDDS_BUILTIN_TRANSPORTS=LARGE_DATA, and
with that in both processes. Another process subscribes with depth 1 as `camera_sender` does. Run
it from the environment that `make` makes, with nothing else busy.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rclpy.context import Context
from rclpy.event_handler import QoSMessageLostInfo, SubscriptionEventCallbacks
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from rtc_signaling.ros.transport import image_transport_environment

CONFIG = Path(__file__).resolve().parent.parent / 'config'
SIZES = {'640x480': (640, 480), '1280x720': (1280, 720)}
DOMAIN_ID = 84
START_TIMEOUT_S = 15.0
CHOICES = (
    'FASTDDS_BUILTIN_TRANSPORTS', 'FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE'
)  # fmt: skip
LARGE_DATA = {'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA'}
PROFILE = image_transport_environment(CONFIG, {})
# What the publisher's and the subscriber's processes have in their environments.
TRANSPORTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    'default': ({}, {}),
    'our profile, publisher alone': (PROFILE, {}),
    'LARGE_DATA, publisher alone': (LARGE_DATA, {}),
    'LARGE_DATA, both': (LARGE_DATA, LARGE_DATA),
}
# Publisher's and subscriber's reliability. The first and the last are what image_qos auto takes.
PAIRS = (
    ('best_effort', 'best_effort'), ('reliable', 'best_effort'), ('reliable', 'reliable'),
)  # fmt: skip


class Receiver:
    """Take images, keep how old each was when it came, in ms, and count the losses reported."""

    def __init__(self, context: Context, reliability: ReliabilityPolicy) -> None:
        self.node = Node('images_over_dds', context=context)
        self.ages_ms: list[float] = []
        self.lost = 0
        qos = QoSProfile(depth=1, reliability=reliability)
        events = SubscriptionEventCallbacks(message_lost=self._lose)
        self.node.create_subscription(
            Image, 'camera/image_raw', self._take, qos, event_callbacks=events
        )

    def _take(self, image: Image) -> None:
        stamp_s = image.header.stamp.sec + image.header.stamp.nanosec / 1e9
        self.ages_ms.append((time.time() - stamp_s) * 1000)

    def _lose(self, info: QoSMessageLostInfo) -> None:
        self.lost += info.total_count_change


@contextlib.contextmanager
def camera(
    size: tuple[int, int], reliability: str, rate: float, transport: dict[str, str]
) -> Iterator[None]:
    """Run `test_camera` with this transport as long as the context lasts."""
    environment = {name: value for name, value in os.environ.items() if name not in CHOICES}
    environment |= {'ROS_DOMAIN_ID': str(DOMAIN_ID), **transport}
    settings = (
        f'width:={size[0]}', f'height:={size[1]}', f'rate:={rate}', f'reliability:={reliability}',
    )  # fmt: skip
    arguments = [part for setting in settings for part in ('-p', setting)]
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / 'test_camera'), '--ros-args', *arguments],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)


def receive(reliability: str, seconds: float) -> str:
    """Return what arrives, how late, and what was lost, as cells of the table."""
    context = Context()
    context.init([], domain_id=DOMAIN_ID)
    executor = SingleThreadedExecutor(context=context)
    receiver = Receiver(context, ReliabilityPolicy[reliability.upper()])
    executor.add_node(receiver.node)
    try:
        end_s = time.monotonic() + START_TIMEOUT_S
        # An image or a lost one: with some transports there is nothing but the latter.
        while not (receiver.ages_ms or receiver.lost):
            executor.spin_once(timeout_sec=0.1)
            if time.monotonic() > end_s:
                return 'nothing | | | '
        receiver.ages_ms.clear()
        receiver.lost = 0
        start_s = time.monotonic()
        while time.monotonic() < start_s + seconds:
            executor.spin_once(timeout_sec=0.05)
        return cells(receiver.ages_ms, receiver.lost, time.monotonic() - start_s)
    finally:
        executor.shutdown()
        receiver.node.destroy_node()
        context.try_shutdown()


def cells(ages_ms: list[float], lost: int, seconds: float) -> str:
    """Return one row's figures."""
    rate = f'{len(ages_ms) / seconds:.1f}'
    if len(ages_ms) < 20:
        return f'{rate} | | | {lost}'
    cuts = statistics.quantiles(ages_ms, n=20)
    return f'{rate} | {statistics.median(ages_ms):.1f} | {cuts[18]:.1f} | {lost}'


def receive_elsewhere(reliability: str, seconds: float, transport: dict[str, str]) -> str:
    """Receive in a process of its own, which has this transport."""
    environment = {name: value for name, value in os.environ.items() if name not in CHOICES}
    command = [sys.executable, __file__, '--receive', reliability, '--seconds', str(seconds)]
    return subprocess.run(
        command, env={**environment, **transport}, capture_output=True, text=True, check=True
    ).stdout.strip()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=float, default=10.0)
    parser.add_argument('--rate', type=float, default=30.0)
    parser.add_argument('--size', choices=SIZES, action='append')
    parser.add_argument('--receive', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.receive:
        print(receive(options.receive, options.seconds))
        return
    print('| size | publisher | subscriber | transport | Hz | p50 ms | p95 ms | reported lost |')
    print('|---|---|---|---|---|---|---|---|')
    for name in options.size or SIZES:
        for published, subscribed in PAIRS:
            for transport, (ours, theirs) in TRANSPORTS.items():
                with camera(SIZES[name], published, options.rate, ours):
                    figures = receive_elsewhere(subscribed, options.seconds, theirs)
                row = f'| {name} | {published} | {subscribed} | {transport} | {figures} |'
                print(row, flush=True)


if __name__ == '__main__':
    main()
