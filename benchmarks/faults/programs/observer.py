"""Print each status of the two nodes, as a line of JSON with its level, text and values."""

from __future__ import annotations

import json
import signal
import threading

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

TOPICS = {'server': 'signaling/status', 'sender': 'camera_sender/status'}


def tell(who: str, status: DiagnosticStatus) -> None:
    level = status.level[0] if isinstance(status.level, bytes) else int(status.level)
    values = {pair.key: pair.value for pair in status.values}
    line = {'who': who, 'level': level, 'text': status.message, **values}
    print(json.dumps(line), flush=True)


def main() -> None:
    context = Context()
    context.init([])
    node = Node('observer', context=context)
    latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    for who, topic in TOPICS.items():
        node.create_subscription(
            DiagnosticStatus, topic, lambda status, who=who: tell(who, status), latched
        )
    node.create_subscription(
        DiagnosticArray,
        '/diagnostics',
        lambda array: [tell(status.name, status) for status in array.status],
        10,
    )
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    print(json.dumps({'who': 'observer'}), flush=True)
    try:
        while not stop.is_set():
            executor.spin_once(0.1)
    except ExternalShutdownException:
        pass
    node.destroy_node()
    context.try_shutdown()


if __name__ == '__main__':
    main()
