"""An event loop that ends in time even if name servers do not answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Any


class UnhurriedLoop(asyncio.SelectorEventLoop):
    """Look names up in threads that nobody waits for.

    asyncio's own way is its pool of threads. The process waits for those at its end, and a
    look-up cannot be cancelled: it may take the system half a minute to give up, whatever deadline
    was set.
    """

    async def getaddrinfo(
        self,
        host: str | bytes | None,
        port: str | bytes | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002  # the name that callers use
        proto: int = 0,
        flags: int = 0,
    ) -> list[tuple[Any, ...]]:
        """Return what `socket.getaddrinfo` returns; can be cancelled at any time."""
        found: asyncio.Future[list[tuple[Any, ...]]] = self.create_future()

        def tell(addresses: list[tuple[Any, ...]], error: Exception | None) -> None:
            if found.done():  # nobody waits for it any more
                return
            if error is None:
                found.set_result(addresses)
            else:
                found.set_exception(error)

        def look_up() -> None:
            addresses: list[tuple[Any, ...]] = []
            failure: Exception | None = None
            try:
                addresses = socket.getaddrinfo(host, port, family, type, proto, flags)
            except (OSError, UnicodeError) as error:
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
                self.call_soon_threadsafe(tell, addresses, failure)

        threading.Thread(target=look_up, name='name look-up', daemon=True).start()
        return await found
