"""Measure what the status of both nodes costs: CPU time, and memory that grows.

    .venv/bin/python benchmarks/status_cost.py --minutes 60

Two pairs of `signaling_server` and `camera_sender` run side by side, each node in a process of its
own: one publishes at 20 times its rate, the other (the base line) once an hour. A third process
for each pair subscribes to all their topics and publishes one small image a second, so that there
is an age of images to tell. The difference between the pairs is what the status costs. Run it from
the environment that `make` makes, with nothing else in its two ROS domains. A busy machine makes
the CPU figures higher, never lower.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import itertools
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from relays.process import ServerProcess, free_port
from sensor_msgs.msg import Image
from std_msgs.msg import Float64, UInt32

FACTOR = 20
# Where a node's figures have their period; the harness sets it before the node is made.
PERIODS = {
    'signaling_server': ('rtc_signaling.server.figures', 'PERIOD_S'),
    'camera_sender': ('rtc_signaling.media.sender', 'SNAPSHOT_PERIOD_S'),
}
DIAGNOSTICS = ('rtc_signaling.ros.status', 'DIAGNOSTICS_PERIOD_S')
BASE_PERIOD_S = 3600.0
TITLES = ('20 times the rate', 'base line')
SERVER, SENDER = 'signaling_server', 'camera_sender'
STATUSES = (
    'signaling/status', 'signaling/errors', 'camera_sender/status', 'camera_sender/errors',
)  # fmt: skip
FIGURES = (
    'signaling/message_rate', 'signaling/error_rate', 'signaling/latency', 'camera_sender/fps',
    'camera_sender/bitrate', 'camera_sender/frame_age', 'camera_sender/latency',
)  # fmt: skip
COUNTS = ('signaling/active_connections', 'camera_sender/viewers')
# The allocator fills its pools at first, and Fast DDS its history.
WARM_UP = 0.2
# Neighbouring samples of memory are alike; the averages of so many parts hardly are.
PARTS = 20
# The 97.5 % quantile of Student's t with PARTS - 2 degrees of freedom.
T_QUANTILE = 2.101
STARTING_S = 60.0


def run_node(name: str, period_s: float) -> int:
    """Be the harness: run one node whose figures come with this period."""
    entry = importlib.import_module('rtc_signaling.nodes.entry')
    for module, constant in (PERIODS[name], DIAGNOSTICS):
        found = vars(importlib.import_module(module))
        assert constant in found, f'{module} has no {constant} any more'
        found[constant] = period_s
    return int(getattr(entry, name)())


class Listener:
    """Hear all topics of a pair, and count what comes by the node that sent it."""

    def __init__(self, context: Context) -> None:
        self.node = Node('listener', context=context)
        self.heard = {SERVER: 0, SENDER: 0}
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        topics: list[tuple[Any, str, Any]] = [
            *((DiagnosticStatus, topic, latched) for topic in STATUSES),
            *((Float64, topic, 10) for topic in FIGURES),
            *((UInt32, topic, 10) for topic in COUNTS),
        ]
        for kind, topic, qos in topics:
            sender = SENDER if topic.startswith(SENDER) else SERVER
            self.node.create_subscription(kind, topic, self._counter(sender), qos)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_parts, 10)
        self._camera = self.node.create_publisher(Image, 'camera/image_raw', 1)
        self.node.create_timer(1.0, self._show)

    def _counter(self, sender: str) -> Callable[[object], None]:
        def count(_message: object) -> None:
            self.heard[sender] += 1

        return count

    def _on_parts(self, message: DiagnosticArray) -> None:
        for sender in self.heard:
            self.heard[sender] += any(s.name.startswith(sender) for s in message.status[:1])

    def _show(self) -> None:
        image = Image(height=16, width=16, step=16, encoding='mono8', data=array('B', bytes(256)))
        image.header.stamp = self.node.get_clock().now().to_msg()
        self._camera.publish(image)


def listen() -> None:
    """Be the third process: each line on standard input is answered with the counts."""
    context = Context()
    context.init([])
    executor = SingleThreadedExecutor(context=context)
    listener = Listener(context)
    executor.add_node(listener.node)
    os.set_blocking(sys.stdin.fileno(), False)
    while (asked := sys.stdin.buffer.read(1)) != b'':
        if asked:
            print(*listener.heard.values(), flush=True)
        executor.spin_once(timeout_sec=0.05)
    executor.shutdown()
    listener.node.destroy_node()
    context.try_shutdown()


class Pair:
    """Run both nodes and their listener, and look at them from outside."""

    def __init__(self, stack: contextlib.ExitStack, domain_id: int, period_s: float) -> None:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        environment = {'ROS_DOMAIN_ID': str(domain_id), 'ROS_HOME': home}
        self._environment = (
            os.environ | environment | {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
        )
        # Inherited from this Python, it would name the libraries of another start.
        self._environment.pop('_ROS_WHEELS_BOOTSTRAP_COMPLETE', None)
        port = free_port()
        settings = {
            SERVER: ('host:=127.0.0.1', f'port:={port}', 'auth.mode:=none'),
            SENDER: (f'server_url:=ws://127.0.0.1:{port}',),
        }
        self._listener = self._run(stack, '--listen')
        self.nodes = {}
        for name, given in settings.items():
            options = [word for setting in given for word in ('-p', setting)]
            process = self._run(stack, '--node', name, '--period', str(period_s), *options)
            self.nodes[name] = ServerProcess(process, port)

    def heard(self) -> dict[str, int]:
        """Return how many messages of each node were heard so far."""
        pipes = self._listener
        assert pipes.stdin is not None
        assert pipes.stdout is not None
        pipes.stdin.write(b'\n')
        pipes.stdin.flush()
        counts = pipes.stdout.readline().split()
        return dict(zip((SERVER, SENDER), map(int, counts), strict=True))

    def _run(self, stack: contextlib.ExitStack, *arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, __file__, *arguments],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if arguments == ('--listen',) else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(_stop, process)
        return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass
class Record:
    """Keep what was seen of one node while it was measured.

    Attributes:
        times_s: When its memory was looked at.
        rss_kb: What was seen then.
        cpu_s: CPU time that it has used.
        heard: Messages of its that were heard.
    """

    times_s: list[float] = field(default_factory=list)
    rss_kb: list[int] = field(default_factory=list)
    cpu_s: float = 0.0
    heard: int = 0

    def slope(self) -> tuple[float, float]:
        """Return the growth of the memory and half its 95 % confidence interval, in kB/h."""
        bounds = [len(self.times_s) * part // PARTS for part in range(PARTS + 1)]
        spans = [slice(a, b) for a, b in itertools.pairwise(bounds)]
        hours = [statistics.fmean(self.times_s[span]) / 3600 for span in spans]
        rss_kb = [statistics.fmean(self.rss_kb[span]) for span in spans]
        slope, start = statistics.linear_regression(hours, rss_kb)
        middle = statistics.fmean(hours)
        spread = sum((hour - middle) ** 2 for hour in hours)
        errors = sum((y - start - slope * x) ** 2 for x, y in zip(hours, rss_kb, strict=True))
        return slope, T_QUANTILE * (errors / (PARTS - 2) / spread) ** 0.5


def measure(pairs: dict[str, Pair], minutes: float) -> dict[tuple[str, str], Record]:
    """Look at the pairs for so long; the first part of it warms them up."""
    started_s = time.monotonic()
    warm_s, end_s = started_s + WARM_UP * minutes * 60, started_s + minutes * 60
    step_s = minutes * 60 / (PARTS * 30)
    _watch(pairs, warm_s, step_s, {})
    nodes = [(title, name) for title in pairs for name in (SERVER, SENDER)]
    records = {node: Record() for node in nodes}
    _count(pairs, records, -1)
    _watch(pairs, end_s, step_s, records)
    _count(pairs, records, 1)
    return records


def _watch(
    pairs: dict[str, Pair], end_s: float, step_s: float, records: dict[tuple[str, str], Record]
) -> None:
    """Look at the memory with this period; now and then a line tells how it stands."""
    told_s = time.monotonic()
    while (now_s := time.monotonic()) < end_s:
        for (title, name), record in records.items():
            record.times_s.append(now_s)
            record.rss_kb.append(pairs[title].nodes[name].rss_kb())
        if now_s > told_s:
            seen = [str(node.rss_kb()) for pair in pairs.values() for node in pair.nodes.values()]
            print(f'{time.strftime("%H:%M:%S")} resident kB: {" ".join(seen)}', flush=True)
            told_s = now_s + 300
        time.sleep(step_s)  # a sample each so often, not a synchronisation


def _count(pairs: dict[str, Pair], records: dict[tuple[str, str], Record], sign: int) -> None:
    for title, pair in pairs.items():
        heard = pair.heard()
        for name, node in pair.nodes.items():
            records[title, name].cpu_s += sign * node.stat_cpu_s()
            records[title, name].heard += sign * heard[name]


def wait_until_heard(pair: Pair) -> None:
    """Wait until both nodes have told their first figures."""
    deadline_s = time.monotonic() + STARTING_S
    while 0 in pair.heard().values():
        if time.monotonic() > deadline_s:
            raise SystemExit('the nodes did not start')
        time.sleep(0.2)  # a poll of other processes, not a synchronisation


def table(records: dict[tuple[str, str], Record], seconds: float) -> Iterator[str]:
    """Return the lines of the result."""
    fast_title, base_title = TITLES
    yield '| | signaling_server | camera_sender |'
    yield '|---|---|---|'
    fast = [records[fast_title, name] for name in (SERVER, SENDER)]
    base = [records[base_title, name] for name in (SERVER, SENDER)]
    extra_s = [a.cpu_s - b.cpu_s for a, b in zip(fast, base, strict=True)]
    heard = [a.heard - b.heard for a, b in zip(fast, base, strict=True)]
    share = [cpu_s / seconds / FACTOR for cpu_s in extra_s]
    growth = [record.slope() for record in fast]
    rows: dict[str, list[str]] = {
        f'CPU, {fast_title}, s': [f'{record.cpu_s:.2f}' for record in fast],
        f'CPU, {base_title}, s': [f'{record.cpu_s:.2f}' for record in base],
        'messages heard': [f'{record.heard}' for record in fast],
        f'messages heard, {base_title}': [f'{record.heard}' for record in base],
        'CPU for each message, us': [
            f'{cpu_s / count * 1e6:.0f}' for cpu_s, count in zip(extra_s, heard, strict=True)
        ],
        'of a core at 1 Hz': [f'{value:.3%}' for value in share],
        'memory at the end, MB': [f'{record.rss_kb[-1] / 1024:.1f}' for record in fast],
        'its slope, kB/h (95 %)': [f'{slope:+.0f} ± {half:.0f}' for slope, half in growth],
        f'the same, {base_title}': [
            f'{slope:+.0f} ± {half:.0f}' for slope, half in (record.slope() for record in base)
        ],
        'as of 24 h at 1 Hz, kB': [
            f'{slope * 24 / FACTOR:+.0f} ± {half * 24 / FACTOR:.0f}' for slope, half in growth
        ],
    }
    for title, cells in rows.items():
        yield f'| {title} | {" | ".join(cells)} |'


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, default=60.0)
    parser.add_argument(
        '--domain-id', type=int, default=68, help='ROS domain; the next one is used as well'
    )
    options = parser.parse_args()
    # Stops what was started, by way of the ExitStack.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('stopped'))
    with contextlib.ExitStack() as stack:
        periods_s = (1.0 / FACTOR, BASE_PERIOD_S)
        pairs = {
            title: Pair(stack, options.domain_id + place, period_s)
            for place, (title, period_s) in enumerate(zip(TITLES, periods_s, strict=True))
        }
        for pair in pairs.values():
            wait_until_heard(pair)
        records = measure(pairs, options.minutes)
        seconds = options.minutes * 60 * (1 - WARM_UP)
        print(*table(records, seconds), sep='\n')


if __name__ == '__main__':
    if sys.argv[1:2] == ['--node']:
        _, _, node_name, _, period, *node_options = sys.argv
        sys.argv = [node_name, '--ros-args', *node_options]
        sys.exit(run_node(node_name, float(period)))
    elif sys.argv[1:2] == ['--listen']:
        listen()
    else:
        main()
