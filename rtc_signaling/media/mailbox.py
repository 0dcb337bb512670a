"""One slot between two threads: the latest wins, nothing queues, nobody waits to put."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

ItemT = TypeVar('ItemT')


class Mailbox(Generic[ItemT]):
    """Hand the latest item from one thread to another.

    What is put while the slot is full takes the place of what is in it, so that a slow taker gets
    few items and never an old one. Any thread may call any method; one thread takes.
    """

    def __init__(self) -> None:
        self._item: ItemT | None = None
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: ItemT) -> bool:
        """Leave an item; return whether it took the place of one that was never taken."""
        with self._changed:
            replaced = self._item is not None
            self._item = item
            # The taker is on its way already if there was one, which saves a thousand wake-ups a
            # second with a publisher that runs wild.
            if not replaced:
                self._changed.notify()
            return replaced

    def take(self) -> ItemT | None:
        """Wait for an item and return it; None once the mailbox is closed."""
        with self._changed:
            while self._item is None and not self._closed:
                self._changed.wait()
            item, self._item = self._item, None
            return None if self._closed else item

    def close(self) -> None:
        """End it: `take` returns None from now on, and what is put is forgotten."""
        with self._changed:
            self._closed = True
            self._changed.notify()
