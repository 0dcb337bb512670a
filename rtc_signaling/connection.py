"""One WebSocket connection of the server: frames in, messages out, nothing that waits."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ProtocolError as FrameError
from websockets.frames import (  # type: ignore[attr-defined]  # apply_mask: in C if it can be
    Frame,
    Opcode,
    apply_mask,
)
from websockets.http11 import Request as HttpRequest
from websockets.protocol import OPEN

from rtc_signaling.limits import address_key
from rtc_signaling.messages import CONNECTION_LOST
from rtc_signaling.sessions import CloseCode

if TYPE_CHECKING:
    from rtc_signaling.admission import Request
    from rtc_signaling.limits import TokenBucket
    from rtc_signaling.server import SignalingServer
    from rtc_signaling.sessions import Client

MAX_FRAGMENTS = 64
MAX_UNSENT_BYTES = 256 * 1024
# What is already on its way when the server has said its last word; more is an attack.
MAX_IGNORED_BYTES = 1024 * 1024
# Pings without an answer, after which a connection is given up at its next turn.
MAX_UNANSWERED_PINGS = 2
_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
_FINAL_TEXT = 0x80 | Opcode.TEXT
_MASKED = 0x80
# What the connection itself answers to frames that break the protocol.
_REFUSALS = (
    CloseCode.FRAME_ERROR,
    CloseCode.UNSUPPORTED_DATA,
    CloseCode.INVALID_DATA,
    CloseCode.TOO_BIG,
    CloseCode.TOO_MANY_MESSAGES,
)
_MASK_BYTES = 4
_SIZE_IN_2_BYTES, _SIZE_IN_8_BYTES = 126, 127


class ClientConnection(ServerConnection):
    """Relay messages inside the event that brings them.

    websockets' own way is a queue, a task and an await for each message; here a message is handed
    to the server at once, and the server writes to the other connection at once. Nothing queues
    and nobody is waited for: a peer with more than MAX_UNSENT_BYTES unsent is cut off. Since
    `recv()` is never used, its guard on the number of fragments is here.

    Nearly all that comes is whole text frames. They are unpacked and packed right here; whatever
    else comes goes through websockets' parser.
    """

    def __init__(self, *args: Any, signaling: SignalingServer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wish: Request | None = None
        self.client: Client | None = None
        self.address = ''
        self.opening = True
        self.control_frames: TokenBucket | None = None
        self.ended = asyncio.Event()
        self.too_slow = False
        self._signaling = signaling
        self._fragments: list[bytes] = []
        self._is_text = True
        # How much the parser was given and has made frames of: it stands between two frames when
        # both are the same.
        self._parser_given = 0
        self._parser_used = 0
        self._ignored_bytes = 0
        self._hang_up: asyncio.TimerHandle | None = None
        self._recv_frame = self.protocol.recv_frame
        self.protocol.recv_frame = self._before_frame  # type: ignore[method-assign]
        self._fail = self.protocol.fail
        self.protocol.fail = self._before_failure  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport, unless there are too many already."""
        super().connection_made(transport)
        if self.remote_address:
            self.address = address_key(self.remote_address[0])
        if not self._signaling.socket_opened(self):
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the server as well."""
        super().connection_lost(exc)
        if self._hang_up is not None:
            self._hang_up.cancel()
        self._signaling.socket_closed(self)
        self.ended.set()

    def data_received(self, data: bytes) -> None:
        """Take what came from the socket."""
        if self.protocol.eof_sent:
            self._ignore(data)
            return
        client = self.client
        if client is None:
            super().data_received(data)
            return
        rest = data
        if self._parser_given == self._parser_used and not self._fragments:
            rest = self._relay_whole_frames(data, client)
        if rest:
            self._parser_given += len(rest)
            super().data_received(rest)
            self._reads()
            self._see_to_its_end()
        self._signaling.flush()

    def eof_received(self) -> None:
        """Take that nothing more comes from the socket."""
        super().eof_received()
        if self.client is not None:
            self._see_to_its_end()

    def _see_to_its_end(self) -> None:
        """Let a connection that was ended not stay because the other side keeps the socket.

        The handler is not told before the socket is closed: only then it is known why it ended.
        """
        if not self.is_open and self._hang_up is None:
            self._hang_up = self.loop.call_later(self.close_timeout or 0, self.transport.abort)

    def _relay_whole_frames(self, data: bytes, client: Client) -> bytes:
        """Take the whole text frames that `data` begins with; return what comes after them."""
        max_bytes = self.protocol.max_message_size or len(data)
        at = 0
        while at < len(data) and self.protocol.state is OPEN:
            start, end = _text_payload(data, at, max_bytes)
            if not end:
                break
            self._is_text = True
            self._deliver(apply_mask(data[start:end], data[start - _MASK_BYTES : start]), client)
            at = end
        return data[at:]

    def _ignore(self, data: bytes) -> None:
        """Wait for the other side to hang up, but not while it pours out data."""
        self._ignored_bytes += len(data)
        if self._ignored_bytes > MAX_IGNORED_BYTES:
            self.transport.abort()

    def process_event(self, event: Any) -> None:
        """Take one event of websockets' parser: the request, or a frame."""
        if isinstance(event, HttpRequest):
            super().process_event(event)
        elif self.client is None:
            # It came before the request was answered: no real client sends that.
            self.transport.abort()
        else:
            super().process_event(event)

    def _before_frame(self, frame: Frame) -> None:
        """Look at each frame that the parser has read, before websockets acts on it."""
        self._parser_used += _size_on_wire(len(frame.data))
        if frame.opcode is Opcode.CLOSE:
            # What came before it is answered before it is.
            self._signaling.flush()
            # websockets answers 1002 to a close amid a fragmented message, which RFC 6455, 5.4
            # allows (Autobahn's case 7.1.5).
            self.protocol.current_size = None
        elif frame.opcode not in _DATA:
            self._check_control_frames()
        self._recv_frame(frame)
        if frame.opcode in _DATA and self.client is not None:
            # Now, not as an event after the whole read: that may hold 40,000 frames, and the
            # first of them may be the last that is borne.
            self.protocol.events.pop()
            self._take(frame, self.client)

    def _before_failure(self, code: int, reason: str = '') -> None:
        """Answer what came before a wrong frame, before websockets says its last word."""
        self._signaling.flush()
        self._fail(code, reason)

    def _check_control_frames(self) -> None:
        """Stop a flood of pings: websockets answers each, whether or not that is read.

        It has to stop within one read, which may hold tens of thousands.
        """
        bucket = self.control_frames
        if bucket is not None and not bucket.take(time.monotonic()):
            self.protocol.fail(CloseCode.TOO_MANY_MESSAGES, 'too many control frames')
            raise FrameError('too many control frames')

    def _take(self, frame: Frame, client: Client) -> None:
        if self.protocol.state is not OPEN:
            self.protocol.fail(CloseCode.FRAME_ERROR)
            raise FrameError('it goes on after the close frame')
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        self._fragments.append(bytes(frame.data))
        if len(self._fragments) > MAX_FRAGMENTS:
            self._fragments.clear()
            self.start_closing(CloseCode.TOO_BIG, f'more than {MAX_FRAGMENTS} fragments')
        elif frame.fin:
            data = b''.join(self._fragments)
            self._fragments.clear()
            self._deliver(data, client)

    def _deliver(self, data: bytes, client: Client) -> None:
        if not self._is_text:
            self.start_closing(CloseCode.UNSUPPORTED_DATA, 'messages are text')
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self.start_closing(CloseCode.INVALID_DATA, 'messages are UTF-8')
            return
        self._signaling.receive(client, text, len(data))

    @property
    def is_open(self) -> bool:
        """Whether messages can be written."""
        return self.protocol.state is OPEN

    @property
    def end_reason(self) -> str:
        """Why it ended: a goodbye, a lost connection, or one that the server ended."""
        protocol = self.protocol
        if protocol.close_sent is not None and protocol.close_sent.code in _REFUSALS:
            return 'refused'
        goodbye = protocol.close_code in (CloseCode.NORMAL, CloseCode.GOING_AWAY)
        return 'left' if goodbye else CONNECTION_LOST

    def write_texts(self, messages: list[bytes]) -> None:
        """Write text messages without waiting, unless the connection is closing meanwhile.

        Only what was unsent before counts: what a client that was away gets at once when it is
        back may be more than that, however well it reads.
        """
        if self.is_open and self._reads():
            frames = [part for data in messages for part in (_text_header(len(data)), data)]
            self.transport.write(b''.join(frames))

    def _reads(self) -> bool:
        """Tell whether the other side takes what is written; cut it off if it does not."""
        if self.transport.get_write_buffer_size() <= MAX_UNSENT_BYTES:
            return True
        self.too_slow = True
        self.transport.abort()
        return False

    def take_turn(self) -> None:
        """Ping the other side, or give it up that answered none of the last pings.

        websockets' own `ping` waits; its accounts of pings and their round trip are used.
        """
        if not self.is_open:
            return
        if len(self.pending_pings) >= MAX_UNANSWERED_PINGS:
            self.start_closing(CloseCode.TIMEOUT, 'pings were not answered')
            return
        data = random.getrandbits(32).to_bytes(4, 'big')
        self.pending_pings[data] = (self.loop.create_future(), self.loop.time())
        self.protocol.send_ping(data)
        self.send_data()

    def start_closing(self, code: int, reason: str) -> None:
        """Send a close frame; the handler then sees the close to its end, by a deadline."""
        self._signaling.flush()
        if self.is_open:
            self.protocol.send_close(code, reason)
            self.send_data()
        self.ended.set()


def _text_payload(data: bytes, at: int, max_bytes: int) -> tuple[int, int]:
    """Return where the payload of the whole masked text frame at `at` begins and ends.

    RFC 6455, 5.2. The end is 0 if there is no such frame, or one that the parser has to judge.
    """
    start = at + 2 + _MASK_BYTES
    if start > len(data) or data[at] != _FINAL_TEXT or not data[at + 1] & _MASKED:
        return 0, 0
    size = data[at + 1] & 0x7F
    if size == _SIZE_IN_8_BYTES:
        return 0, 0
    if size == _SIZE_IN_2_BYTES:
        size, start = int.from_bytes(data[at + 2 : at + 4], 'big'), start + 2
    end = start + size
    return (0, 0) if size > max_bytes or end > len(data) else (start, end)


def _text_header(size: int) -> bytes:
    """Return the header of an unmasked text frame."""
    if size < 126:
        return bytes((_FINAL_TEXT, size))
    if size < 65536:
        return bytes((_FINAL_TEXT, 126)) + size.to_bytes(2, 'big')
    return bytes((_FINAL_TEXT, 127)) + size.to_bytes(8, 'big')


def _size_on_wire(size: int) -> int:
    """Return the size of a masked frame with `size` bytes in it."""
    return len(_text_header(size)) + _MASK_BYTES + size
