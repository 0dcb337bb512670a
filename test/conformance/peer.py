"""One connection of a client: what it sends, what it waits for, and how it ends.

All waiting is for messages, with a deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from desk import Desk

DEADLINE_S = 10.0

NUMBERED = {'offer', 'answer', 'ice_candidate', 'bye', 'peer_joined', 'peer_left'}
FOR_PEERS = {'offer', 'answer', 'ice_candidate', 'bye', 'stats'}

Json = dict[str, Any]


class Peer:
    """Be one connection of a client.

    Every message from the server is checked for the rules of `seq`; those that a test did not ask
    for yet wait in order.

    Attributes:
        id: The client_id, when welcomed.
        welcome: The message `connected`.
        seq: The last `seq` seen.
    """

    def __init__(self, desk: Desk, socket: ClientConnection) -> None:
        self.desk = desk
        self.socket = socket
        self.id = ''
        self.role = ''
        self.token = ''
        self.welcome: Json = {}
        self.seq = 0
        self.is_dropped = False
        self._inbox: deque[Json] = deque()
        # One who comes back has the memory of the one who was lost, so no id may come again.
        run = secrets.token_hex(3)
        self._ids = (f'{run}-{number}' for number in itertools.count(1))

    # Sending.

    async def send(self, kind: str, **members: Any) -> None:
        """Send a message."""
        await self.send_text(json.dumps({'type': kind, **members}))

    async def send_text(self, text: str) -> None:
        """Send a text frame."""
        try:
            await self.socket.send(text)
        except ConnectionClosed:
            raise self.desk.failure(f'{self} could not send: {self._end()}') from None

    async def send_fragments(self, parts: list[str]) -> None:
        """Send a message in fragments."""
        with contextlib.suppress(ConnectionClosed):
            await self.socket.send(parts)

    async def send_if_open(self, kind: str, **members: Any) -> None:
        """Send a message; if the connection has ended meanwhile, do not mind."""
        with contextlib.suppress(ConnectionClosed):
            await self.socket.send(json.dumps({'type': kind, **members}))

    async def ask(self, kind: str, **members: Any) -> Json:
        """Send a message with a `msg_id` and return what it is answered by: ack or error."""
        msg_id = members.setdefault('msg_id', next(self._ids))
        await self.send(kind, **members)
        return await self.expect_answer(msg_id)

    async def deliver(self, kind: str, **members: Any) -> str:
        """Send a message that has to be taken; return the status."""
        answer = await self.ask(kind, **members)
        self.desk.check(answer['type'] == 'ack', f'{kind} of {self} was answered by {answer}')
        return str(answer['status'])

    async def refused(self, code: str, kind: str, **members: Any) -> Json:
        """Send a message that has to be refused with `code`; return the error."""
        answer = await self.ask(kind, **members)
        self.desk.check(
            answer['type'] == 'error' and answer['code'] == code,
            f'{kind} of {self} was not refused with {code} but answered by {answer}',
        )
        return answer

    # Receiving.

    async def expect(self, kind: str, *, within_s: float = 0.0, **members: Any) -> Json:
        """Return the next message of a type with these members; others go on waiting.

        An error that was not asked for ends the wait, but for `expired`.

        Args:
            kind: The type.
            within_s: How long it may take by the rules; DEADLINE_S is added.
            members: What it has to have.
        """
        wanted = {'type': kind} | members
        return await self._take(
            lambda message: wanted.items() <= message.items(),
            f'{wanted}',
            within_s + DEADLINE_S,
            fails_on_error=True,
        )

    async def expect_answer(self, msg_id: str, kinds: Collection[str] = ('ack', 'error')) -> Json:
        """Return what answers the message that was sent under an id."""
        return await self._take(
            lambda message: message['type'] in kinds and message.get('msg_id') == msg_id,
            f'{" or ".join(kinds)} with msg_id = {msg_id!r}',
            DEADLINE_S,
        )

    async def expect_welcome(self, last_seq: int | None = None) -> Json:
        """Return `connected`, which has to be the first message."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                message = await self._receive()
        except TimeoutError:
            raise self.desk.failure(f'{self} waited for `connected` in vain') from None
        if message['type'] != 'connected':
            raise self.desk.failure(f'{self} got {message} and not `connected`')
        self.welcome, self.id = message, message['client_id']
        self.desk.names.add(self.id)
        if message['resumed']:
            self.seq = last_seq or 0
        return message

    async def expect_close(self, code: int, error: str = '') -> list[Json]:
        """Wait for the end with `code`, after an error of code `error`; return what came."""
        messages = list(self._inbox)
        self._inbox.clear()
        try:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    messages.append(self._read(await self.socket.recv()))
        except TimeoutError:
            raise self.desk.failure(f'{self} was not closed, it got {_short(messages)}') from None
        except ConnectionClosed:
            pass
        codes = [message.get('code') for message in messages]
        if self.socket.close_code != code:
            raise self.desk.failure(
                f'{self}, to be closed with {code}: {self._end()}, {_short(messages)}'
            )
        if error and error not in codes:
            raise self.desk.failure(
                f'{self} was not told the error {error}: it got {_short(messages)}'
            )
        return messages

    async def collect(self, count: int) -> list[Json]:
        """Return the next messages, `count` of them or what came until the end."""
        messages: list[Json] = []
        try:
            async with asyncio.timeout(DEADLINE_S):
                while len(messages) < count:
                    messages.append(self._read(await self.socket.recv()))
        except TimeoutError:
            text = f'{self} waited for {count} messages and got {len(messages)}'
            raise self.desk.failure(text) from None
        except ConnectionClosed:
            pass
        return messages

    async def drain(self, kinds: set[str] = FOR_PEERS) -> list[Json]:
        """Return what has come up to now of some types, and forget the rest.

        What was acknowledged to others as delivered has been written to this connection before
        the pong that is waited for here.
        """
        msg_id = next(self._ids)
        await self.send('ping', msg_id=msg_id)
        messages = []
        try:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    message = await self._next('a pong')
                    if message['type'] == 'pong' and message.get('msg_id') == msg_id:
                        break
                    messages.append(message)
        except TimeoutError:
            raise self.desk.failure(f'{self} got no pong, but {_short(messages)}') from None
        return [message for message in messages if message['type'] in kinds]

    async def check_alive(self) -> None:
        """See that it is still served."""
        await self.drain()

    # The end.

    async def drop(self) -> None:
        """Lose the connection: no close frame, the socket is gone."""
        self.is_dropped = True
        self.socket.transport.abort()
        await self.socket.wait_closed()

    def stop_reading(self) -> None:
        """Leave what the server sends where it is."""
        self.is_dropped = True
        self.socket.transport.pause_reading()

    async def read_to_the_end(self) -> None:
        """Read all that is left, and wait for the end of the connection."""
        self.socket.transport.resume_reading()
        try:
            async with asyncio.timeout(DEADLINE_S), contextlib.aclosing(_all(self.socket)) as rest:
                async for text in rest:
                    self._read(text)
        except TimeoutError:
            raise self.desk.failure(f'{self} was not cut off') from None

    async def close(self, code: int = 1000) -> None:
        """Say goodbye, if the connection still lasts."""
        await self.socket.close(code)

    def __str__(self) -> str:
        return f'the {self.role} {self.id or "(not in yet)"}'

    def _end(self) -> str:
        return f'closed with {self.socket.close_code} {self.socket.close_reason!r}'

    async def _take(
        self,
        is_wanted: Callable[[Json], bool],
        what: str,
        timeout_s: float,
        *,
        fails_on_error: bool = False,
    ) -> Json:
        for message in self._inbox:
            if is_wanted(message):
                self._inbox.remove(message)
                return message
        passed: deque[Json] = self._inbox
        self._inbox = deque()
        try:
            async with asyncio.timeout(timeout_s):
                while not is_wanted(message := await self._next(what)):
                    passed.append(message)
                    if fails_on_error and message.get('code', 'expired') != 'expired':
                        raise self.desk.failure(f'{self} waited for {what} and got {message}')
        except TimeoutError:
            raise self.desk.failure(
                f'{self} waited for {what} in vain; it got {_short(passed)}'
            ) from None
        self._inbox = passed
        return message

    async def _next(self, what: str) -> Json:
        """Return the next message that is not about strangers; the caller has a deadline."""
        while True:
            message = self._inbox.popleft() if self._inbox else await self._receive(what)
            client_id = message.get('client_id')
            if message['type'] == 'connected' or client_id is None:
                return message
            if client_id in self.desk.names:
                return message

    async def _receive(self, what: str = '`connected`') -> Json:
        try:
            return self._read(await self.socket.recv())
        except ConnectionClosed:
            raise self.desk.failure(f'{self} waited for {what} and was {self._end()}') from None

    def _read(self, text: str | bytes) -> Json:
        if not isinstance(text, str):
            raise self.desk.failure(f'{self} got a binary message')
        message: Json = json.loads(text)
        if not isinstance(message, dict) or not isinstance(message.get('type'), str):
            raise self.desk.failure(f'{self} got what is no message: {text!r:.200}')
        self._check_seq(message)
        return message

    def _check_seq(self, message: Json) -> None:
        numbered = message['type'] in NUMBERED or message.get('code') == 'expired'
        expected = self.seq + 1 if numbered else None
        if message.get('seq') != expected:
            raise self.desk.failure(
                f'{self}: seq has to be {expected} (section 5, sequence) in {message}'
            )
        if numbered:
            self.seq += 1


async def _all(socket: ClientConnection) -> AsyncGenerator[str | bytes, None]:
    with contextlib.suppress(ConnectionClosed):
        while True:
            yield await socket.recv()


def _short(messages: list[Json] | deque[Json]) -> str:
    return ', '.join(f'{message!r:.200}' for message in messages) or 'nothing'
