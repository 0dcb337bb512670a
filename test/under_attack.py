"""A server in its own process, a robot and a viewer who talk all the time, a watch on all.

`Stage.attack()` is the frame of each test of test_attacks.py: while it lasts somebody attacks, and
at its end the talk has gone on without a loss, the memory is flat, and the log is short.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from processes import Process
from raw_socket import DEADLINE_S, RawSocket

REPOSITORY = Path(__file__).resolve().parent.parent
OFFER = (REPOSITORY / 'test/data/chromium_offer.sdp').read_text(encoding='utf-8')
ANSWER = (REPOSITORY / 'test/data/aiortc_answer.sdp').read_text(encoding='utf-8')
# 20 round trips a second is what the limits of a client (50 messages a second) allow easily.
ROUND_S = 0.05
# A message of the session takes a millisecond. Two cores that others use as well: much more.
MAX_LATENCY_S = 3.0


def numbered(sdp: str, number: int) -> str:
    """Return the SDP as that of session `number`."""
    return re.sub(r'(?m)^o=- \d+', f'o=- {number}', sdp, count=1)


def small_sdp(number: int) -> str:
    """Return a valid SDP of 2 kB."""
    head = (
        f'v=0\r\no=- {number} 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-ufrag:abcd\r\n'
        f'a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 {":".join(["AB"] * 32)}\r\n'
        'm=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=setup:actpass\r\n'
    )
    while len(head) < 2000:
        head += f'a=x-filler:{"f" * 80}\r\n'
    return head


def number_of(sdp: str) -> int:
    found = re.search(r'(?m)^o=- (\d+)', sdp)
    assert found is not None
    return int(found[1])


class Talk:
    """Let a robot and a viewer talk, in a thread: offer, answer, offer, ...

    Each message has to come, in its turn and once, and its `seq` has to follow the last.
    """

    def __init__(self, port: int, sender_token: str, receiver_token: str) -> None:
        self.robot = RawSocket(port, address='127.0.0.2')
        self.viewer = RawSocket(port, address='127.0.0.3')
        self.robot.enter(sender_token, 'camera', 'sender')
        self.viewer.enter(receiver_token, 'pilot')
        self._seqs = {self.robot: 0, self.viewer: 0}
        self.rounds = 0
        self.worst_s = 0.0
        self.error: Exception | None = None
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def wait_for_rounds(self, count: int) -> None:
        """Wait for so many more round trips."""
        with self._changed:
            wanted = self.rounds + count
            self._changed.wait_for(lambda: self.rounds >= wanted or self.error, DEADLINE_S)
            assert self.error is None, f'the session has ended: {self.error!r}'
            assert self.rounds >= wanted, f'only {self.rounds} of {wanted} rounds'

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        for client in (self.robot, self.viewer):
            with client, contextlib.suppress(OSError):
                client.say(type='leave')
                client.end()

    def _run(self) -> None:
        try:
            while not self._stop.wait(ROUND_S):
                start_s = time.monotonic()
                self._round(self.rounds + 1)
                self.worst_s = max(self.worst_s, time.monotonic() - start_s)
                with self._changed:
                    self.rounds += 1
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001  # it is raised by `wait_for_rounds`
            with self._changed:
                self.error = error
                self._changed.notify_all()

    def _round(self, number: int) -> None:
        self.viewer.say(type='offer', sdp=numbered(OFFER, number), sender_id='camera')
        assert self._next(self.robot, 'offer') == number
        self.robot.say(type='answer', sdp=numbered(ANSWER, number), client_id='pilot')
        assert self._next(self.viewer, 'answer') == number

    def _next(self, client: RawSocket, kind: str) -> int:
        other = 'pilot' if client is self.robot else None
        while True:
            message = client.message()
            if 'seq' in message:
                self._seqs[client] += 1
                assert message['seq'] == self._seqs[client], message
            assert message['type'] != 'error', message
            if message['type'] == kind and other in (None, message['client_id']):
                return number_of(message['sdp'])


class Stage:
    """Run the server with its default limits, but for the time-outs, which are short."""

    def __init__(self, directory: Path, **parameters: object) -> None:
        self.tokens = {role: secrets.token_urlsafe(24) for role in ('sender', 'receiver')}
        file = directory / 'tokens.json'
        file.write_text(json.dumps(self.tokens), encoding='utf-8')
        file.chmod(0o600)
        settings = {
            'host': '127.0.0.1', 'port': 0, 'auth.token_file': file, 'auth.timeout': 1.5,
            'timeout': 6.0, 'resume_window': 2.0,
        } | parameters  # fmt: skip
        command = [sys.executable, '-m', 'rtc_signaling.server']
        for name, value in settings.items():
            command += [f'--{name}', str(value)]
        environment = {k: v for k, v in os.environ.items() if k != 'RTC_SIGNALING_TOKEN'}
        self.process = Process('server', command, environment)
        self.port = int(self.process.wait_for_output(r'bound on \S+ port (\d+)')[1])
        self.process.wait_for_output(r'open http\S+')

    @property
    def output(self) -> str:
        return self.process.output

    @property
    def sender_token(self) -> str:
        return self.tokens['sender']

    @property
    def receiver_token(self) -> str:
        return self.tokens['receiver']

    def socket(self, **options: object) -> RawSocket:
        return RawSocket(self.port, **options)  # type: ignore[arg-type]

    def open_files(self) -> int:
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))

    def _memory_kb(self, name: str) -> int:
        status = Path(f'/proc/{self.process.pid}/status').read_text(encoding='ascii')
        found = re.search(rf'(?m)^{name}:\s+(\d+) kB', status)
        assert found is not None
        return int(found[1])

    @contextlib.contextmanager
    def attack(self, *, growth_mb: float = 20.0, lines: int = 6) -> Iterator[Talk]:
        """Let the robot and the viewer talk; at the end see that nobody was hurt.

        Args:
            growth_mb: How far the server's memory may rise above the start, at its peak.
            lines: How many lines its log may get.
        """
        talk = Talk(self.port, self.sender_token, self.receiver_token)
        try:
            talk.wait_for_rounds(3)
            # From now on VmHWM is the peak since now.
            Path(f'/proc/{self.process.pid}/clear_refs').write_text('5', encoding='ascii')
            start_kb, start_text = self._memory_kb('VmRSS'), len(self.output)
            first_round = talk.rounds
            yield talk
            talk.wait_for_rounds(3)
            text = self.output[start_text:]
        finally:
            talk.stop()
        growth = (self._memory_kb('VmHWM') - start_kb) / 1024
        # Clients of an attack before this one run out of their resume window when they will.
        log = [line for line in text.splitlines() if 'closed (connection_lost)' not in line]
        figure = (
            f'memory {growth:+.1f} MB at most, {len(log)} lines of log, '
            f'{talk.rounds - first_round} rounds of the session, the slowest {talk.worst_s:.3f} s'
        )
        print(figure)
        assert growth <= growth_mb, figure
        assert talk.worst_s < MAX_LATENCY_S, figure
        assert len(log) <= lines, '\n'.join([figure, *log[:50]])
        self._check_text(text)

    def _check_text(self, text: str) -> None:
        assert 'Traceback' not in text, text
        assert not any(token in text for token in self.tokens.values()), 'a token was logged'


@contextlib.contextmanager
def running_stage(directory: Path, **parameters: object) -> Iterator[Stage]:
    """Run a stage as long as the context lasts."""
    stage = Stage(directory, **parameters)
    try:
        yield stage
    finally:
        stage.process.stop()
