"""The programs' side of the talk with the harness: one line of JSON each way at a time."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

LINE_BYTES = 1_000_000
Handler = Callable[..., Awaitable[dict[str, Any]]]


def say(answer: dict[str, Any]) -> None:
    """Write a line that the harness reads."""
    sys.stdout.write(json.dumps(answer) + '\n')
    sys.stdout.flush()


async def serve(handlers: dict[str, Handler], **hello: Any) -> None:
    """Say hello, then do what the lines of standard input ask for, until it ends."""
    reader = asyncio.StreamReader(LINE_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    say(hello)
    while line := await reader.readline():
        words = json.loads(line)
        say(await handlers[words.pop('do')](**words))


def serve_blocking(handlers: dict[str, Callable[..., dict[str, Any]]], **hello: Any) -> None:
    """Do the same without an event loop."""
    say(hello)
    for line in sys.stdin:
        words = json.loads(line)
        say(handlers[words.pop('do')](**words))
