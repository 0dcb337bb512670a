"""From asyncio to ROS: a bounded box that the executor empties."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from rclpy.node import Node

ItemT = TypeVar('ItemT')


class Outbox(Generic[ItemT]):
    """Hand items from any thread to a callback on the executor's thread.

    rclpy publishers are used on the executor's thread alone; this is the only way there. When ROS
    does not keep up, the oldest items are dropped and counted, never queued without end.

    Args:
        node: The node whose executor empties the box.
        deliver: Called on the executor's thread for each item, in order.
        capacity: The most items that wait.
    """

    def __init__(self, node: Node, deliver: Callable[[ItemT], None], capacity: int = 256) -> None:
        self._node = node
        self._deliver = deliver
        self._items: deque[ItemT] = deque(maxlen=capacity)
        self._lock = threading.Lock()
        self._closed = False
        self._dropped = 0
        self._guard = node.create_guard_condition(self.drain)

    @property
    def dropped(self) -> int:
        """How many items were dropped because the box was full."""
        return self._dropped

    def put(self, item: ItemT) -> None:
        """Leave an item; any thread may call. After `close` it is dropped."""
        with self._lock:
            if self._closed:
                return
            if len(self._items) == self._items.maxlen:
                self._dropped += 1
            self._items.append(item)
            self._guard.trigger()

    def drain(self) -> None:
        """Deliver what waits now; on the executor's thread, or after it has stopped spinning.

        What comes meanwhile has triggered the next call, so that other callbacks have their turn.
        """
        with self._lock:
            waiting = list(self._items)
            self._items.clear()
        for item in waiting:
            self._deliver(item)

    def close(self) -> None:
        """Take no more items and deliver the last; call it when the executor has stopped."""
        with self._lock:
            self._closed = True
        self.drain()
        self._node.destroy_guard_condition(self._guard)
