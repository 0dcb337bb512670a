"""A slot between two threads: the latest wins, nobody waits to put."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

ItemT = TypeVar('ItemT')


class Mailbox(Generic[ItemT]):
    """Hand the latest item from one thread to another.

    What is put while the slot is full takes the place of what is in it, so that a slow taker gets
    few items and never an old one. Items that are of use only one after the other may have room
    for some; when there are more, all of them are forgotten but the last. Any thread may call any
    method; one thread takes.
    """

    def __init__(self) -> None:
        self._items: deque[ItemT] = deque()
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: ItemT, room: int = 1) -> int:
        """Leave an item; return how many were forgotten for it that were never taken.

        Args:
            item: What to leave.
            room: How many may be there, this one included.
        """
        with self._changed:
            waiting = len(self._items)
            replaced = waiting if waiting >= room else 0
            if replaced:
                self._items.clear()
            self._items.append(item)
            # The taker is on its way already if there was one, which saves a thousand wake-ups a
            # second with a publisher that runs wild.
            if not waiting:
                self._changed.notify()
            return replaced

    def take(self) -> ItemT | None:
        """Wait for an item and return it; None once the mailbox is closed."""
        with self._changed:
            while not self._items and not self._closed:
                self._changed.wait()
            return None if self._closed else self._items.popleft()

    def close(self) -> None:
        """End it: `take` returns None from now on, and what is put is forgotten."""
        with self._changed:
            self._closed = True
            self._changed.notify()
