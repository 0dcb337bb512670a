"""The page's part in docs/protocol.md, 5: resuming, the queue, and sending again."""

from __future__ import annotations

import contextlib
import json
import re
import selectors
import socket
import struct
import threading
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from processes import REPOSITORY, Process, Stack, executable, ros_environment, wait_until
from websockets.sync.client import connect

from rtc_signaling.tokens import load

DOMAIN_ID = 81
OFFER = REPOSITORY / 'test/data/aiortc_offer.sdp'
PICTURES_S = 10.0
# The page's and the sender's first back-offs, and what two busy cores add.
BACK_S = 10.0
# Of a stream of 30 pictures a second on two cores that others use as well.
NO_GAP_S = 1.5
# The page waits so long for an answer (5 s) before it sends again.
AGAIN_S = 15.0
_RESET = struct.pack('ii', 1, 0)  # SO_LINGER: close by RST, with no word

# What the outbox writes, and what becomes of its messages, for a script that plays the server.
_OUTBOX = """
async () => {
  const { Outbox } = await import('/outbox.js');
  window.written = [];
  window.ends = [];
  window.outbox = new Outbox((message) => window.written.push(message) > 0);
  window.post = (type, alone, owner = null) => window.outbox.post(
    { type }, { owner, alone, onEnd: (end) => window.ends.push({ type, ...end }) },
  );
  window.outbox.resume();
}
"""


class Wire:
    """Carry TCP connections to a port of loopback, until it is cut.

    Attributes:
        port: Where it takes them.
    """

    def __init__(self, target_port: int) -> None:
        self._target = ('127.0.0.1', target_port)
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.port = int(self._listener.getsockname()[1])
        self._commands, self._told = socket.socketpair()
        self._is_cut = threading.Event()
        self._others: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._told, selectors.EVENT_READ, self._obey)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether it carries any connection."""
        return bool(self._others)

    def cut(self) -> None:
        """Break every connection, and every new one until `mend`."""
        self._is_cut.set()
        self._commands.send(b'c')
        wait_until(lambda: not self.busy, BACK_S, 'a cut wire')

    def mend(self) -> None:
        """Carry connections again."""
        self._is_cut.clear()

    def close(self) -> None:
        """Break every connection, and take no more."""
        self._commands.send(b'q')
        self._thread.join()
        self._selector.close()
        for each in (self._commands, self._told, self._listener):
            each.close()

    def _run(self) -> None:
        running = True
        while running:
            for key, _ in self._selector.select():
                running = key.data(key.fileobj) and running

    def _obey(self, told: socket.socket) -> bool:
        command = told.recv(1)
        for each in list(self._others):
            self._drop(each)
        return command != b'q'

    def _accept(self, listener: socket.socket) -> bool:
        near, _ = listener.accept()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        far = None
        with contextlib.suppress(ConnectionRefusedError):
            far = None if self._is_cut.is_set() else socket.create_connection(self._target)
        if far is None:
            near.close()
            return True
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        for one, other in ((near, far), (far, near)):
            self._others[one] = other
            self._selector.register(one, selectors.EVENT_READ, self._carry)
        return True

    def _carry(self, source: socket.socket) -> bool:
        if source not in self._others:
            return True  # dropped in this round
        data = b''
        with contextlib.suppress(ConnectionError):
            data = source.recv(65536)
            self._others[source].sendall(data)
        if not data:
            self._drop(source)
        return True

    def _drop(self, source: socket.socket) -> None:
        other = self._others.get(source)
        for each in (source, other):
            if each is not None and self._others.pop(each, None) is not None:
                self._selector.unregister(each)
                each.close()


@contextlib.contextmanager
def wire_to(port: int) -> Iterator[Wire]:
    """Have a wire as long as the context lasts."""
    wire = Wire(port)
    try:
        yield wire
    finally:
        wire.close()


@pytest.fixture(scope='module')
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp('stack')


@pytest.fixture(scope='module')
def stack(directory, browser):
    stack = Stack(directory, DOMAIN_ID)
    try:
        stack.start('signaling_server', 'test_camera')
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope='module')
def robot_wire(stack):
    with wire_to(stack.port) as wire:
        yield wire


@pytest.fixture(scope='module')
def robot(stack, robot_wire, directory):
    """The camera sender, which reaches the server by a wire of its own."""
    options = (
        f'server_url:=ws://127.0.0.1:{robot_wire.port}',
        f'auth.token_file:={directory / "tokens.json"}',
        'ice_addresses:=[127.0.0.1]',
        'reconnect.max:=0.5',
    )
    words = [word for option in options for word in ('-p', option)]
    command = [executable('camera_sender'), '--ros-args', *words]
    robot = Process('camera_sender', command, ros_environment(DOMAIN_ID, directory))
    try:
        robot.wait_for_output('connected to the signaling server')
        yield robot
    finally:
        robot.stop()


@pytest.fixture
def wire(stack, robot):
    with wire_to(stack.port) as wire:
        yield wire


@pytest.fixture
def viewer(stack, wire, new_viewer):
    """A page that reaches the server by a wire, with video."""
    viewer = new_viewer(f'http://127.0.0.1:{wire.port}/#token={stack.token}')
    viewer.wait_for_state('live', PICTURES_S)
    viewer.watch(5, PICTURES_S)
    viewer.record()
    return viewer


def figures(stack: Stack) -> dict[str, float]:
    """Return the server's metrics."""
    url = f'http://127.0.0.1:{stack.port}/metrics'
    request = urllib.request.Request(url, headers={'Authorization': f'Bearer {stack.token}'})
    with urllib.request.urlopen(request, timeout=PICTURES_S) as response:
        text = response.read().decode()
    lines = re.findall(r'^rtc_signaling_(\S+) (\S+)$', text, re.MULTILINE)
    return {name: float(value) for name, value in lines}


def wait_for_figure(stack: Stack, name: str, accept: Callable[[float], bool]) -> None:
    """Wait until one of the server's metrics is acceptable; they are a second old at most."""
    wait_until(lambda: accept(figures(stack).get(name, 0.0)), BACK_S, f'a fitting {name}')


def own_id(viewer) -> str:
    return str(viewer.page.evaluate('window.rtcViewer.clientId'))


def server_says(stack, text):
    stack.process('signaling_server').wait_for_output(re.escape(text), BACK_S)


def test_a_cut_connection_is_resumed_and_nothing_is_negotiated_anew(stack, wire, viewer):
    client_id = own_id(viewer)
    offers = 'received_messages_total{type="offer"}'
    wait_for_figure(stack, offers, lambda count: count > 0)
    before = figures(stack)[offers]
    for _ in range(2):  # a resume token works once: the second time needs the second one
        wire.cut()
        viewer.wait_for_state('reconnecting', PICTURES_S)
        assert viewer.text('line') == 'Server lost; the video goes on.'
        server_says(stack, f'receiver {client_id}: away (connection lost)')
        wire.mend()
        viewer.wait_for_state('live', BACK_S, cause='')
        viewer.watch(10, PICTURES_S)
    output = stack.process('signaling_server').output
    assert output.count(f'receiver {client_id}: ready (resumed)') == 2
    assert output.count(f'receiver {client_id}: ready (connected)') == 1
    assert own_id(viewer) == client_id
    assert viewer.same_connection()
    assert viewer.longest_gap_s() < NO_GAP_S
    wait_for_figure(stack, 'received_messages_total{type="stats"}', lambda count: count > 0)
    assert figures(stack)[offers] == before


def test_a_page_that_was_away_misses_nothing(stack, wire, directory, viewer):
    client_id = own_id(viewer)
    wire.cut()
    server_says(stack, f'receiver {client_id}: away (connection lost)')
    headers = {'Authorization': f'Bearer {load(directory / "tokens.json").sender}'}
    url = f'{stack.server_url}?role=sender&client_id=other'
    knows_it = "window.rtcViewer.senders.has('other')"
    with connect(url, additional_headers=headers, proxy=None) as other:
        assert '"connected"' in other.recv(PICTURES_S)
        # Of another camera than the one that is watched: an offer to take no notice of.
        offer = {'type': 'offer', 'sdp': OFFER.read_text('utf-8'), 'client_id': client_id}
        other.send(json.dumps({**offer, 'msg_id': '1'}))
        assert '"queued"' in other.recv(PICTURES_S)
        assert not viewer.page.evaluate(knows_it)
        wire.mend()
        wait_until(lambda: viewer.page.evaluate(knows_it), BACK_S, 'a page that knows it')
        viewer.wait_for_state('live', BACK_S, cause='')
    wait_until(lambda: not viewer.page.evaluate(knows_it), BACK_S, 'a page that knows it left')
    viewer.watch(10, PICTURES_S)
    assert f'receiver {client_id}: ready (resumed)' in stack.process('signaling_server').output
    assert viewer.same_connection()


def test_an_offer_waits_for_a_camera_that_is_away(stack, wire, robot_wire, robot, new_viewer):
    robot_wire.cut()
    server_says(stack, 'sender camera: away (connection lost)')
    viewer = new_viewer(f'http://127.0.0.1:{wire.port}/#token={stack.token}')
    viewer.wait_for_state('waiting', PICTURES_S, cause='lost')
    assert viewer.text('line').startswith("The robot's camera is gone.")
    assert 'lost its connection' in viewer.text('hint')
    wait_for_figure(stack, 'waiting_messages', lambda count: count > 0)
    viewer.record()
    wire.cut()
    viewer.wait_for_state('reconnecting', PICTURES_S)
    wire.mend()
    viewer.wait_for_state('waiting', BACK_S, cause='lost')
    robot_wire.mend()
    viewer.wait_for_state('live', BACK_S, cause='')
    viewer.watch(10, PICTURES_S)
    assert viewer.same_connection()  # it is the offer that waited that was answered
    assert stack.process('signaling_server').output.count('sender camera: ready (connected)') == 1


def test_the_page_reports_its_video(stack, viewer):
    reports = 'received_messages_total{type="stats"}'
    before = figures(stack).get(reports, 0.0)
    wait_for_figure(stack, reports, lambda count: count >= before + 2)
    wait_for_figure(stack, 'connected_seconds{quantile="0.5"}', lambda age_s: 0 < age_s < BACK_S)
    refusals = {name: count for name, count in figures(stack).items() if 'errors_total' in name}
    assert not any(refusals.values()), refusals
    assert viewer.complaints == []


def test_messages_go_out_again_under_their_id_and_in_order(stack, robot, new_viewer):
    page = new_viewer(stack.url).page
    page.evaluate(_OUTBOX)
    offer = page.evaluate("window.post('offer', true)")
    page.evaluate("window.post('candidate', false)")

    def written() -> list[str]:
        return [message['msg_id'] for message in page.evaluate('window.written')]

    def take(**message: object) -> bool:
        return bool(page.evaluate('(message) => window.outbox.take(message)', message))

    assert written() == [offer]
    assert take(type='error', msg_id=offer, code='peer_unavailable', retry=True)
    wait_until(lambda: written() == [offer, offer], AGAIN_S, 'the offer again')
    wait_until(lambda: written() == [offer] * 3, AGAIN_S, 'the offer again, without an answer')
    assert take(type='ack', msg_id=offer, status='queued')
    assert not take(type='ack', msg_id=offer, status='queued')
    assert page.evaluate('window.ends') == [{'type': 'offer', 'status': 'queued'}]

    [candidate] = written()[3:]
    assert candidate != offer
    page.evaluate('window.outbox.pause()')
    answer = page.evaluate("window.post('answer', true)")
    assert written()[3:] == [candidate]
    page.evaluate('window.outbox.resume()')
    assert written()[3:] == [candidate, candidate]
    assert take(type='ack', msg_id=candidate, status='delivered')
    assert written()[5:] == [answer]
    assert take(type='error', msg_id=answer, code='invalid_state', message='no', retry=False)
    end = page.evaluate('window.ends')[-1]
    assert (end['type'], end['error']['code']) == ('answer', 'invalid_state')
    assert written()[5:] == [answer]
