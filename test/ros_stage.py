"""Nodes as real processes, and another node that watches them over real DDS."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
import time
from array import array

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from fakes import viewing
from processes import Process, executable, free_port, ros_environment
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from rtc_signaling.auth import OpenAuthenticator, TokenAuthenticator
from rtc_signaling.config import ServerConfig
from rtc_signaling.loop_thread import LoopThread
from rtc_signaling.server import SignalingServer

DOMAIN_ID = 53
# Starting takes a second; this is for a busy machine.
DEADLINE_S = 30.0
# launch sends SIGTERM 5 s after SIGINT.
STOP_S = 4.0
NODES = ('signaling_server', 'camera_sender')
# What a node writes when it is up.
READY = {'signaling_server': 'open http://', 'camera_sender': 'waiting for images'}
STATUS = {'signaling_server': '/signaling/status', 'camera_sender': '/camera_sender/status'}
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a node; all are stopped at the end."""
    with contextlib.ExitStack() as stack:

        def start_node(name, *settings, remap=(), words=(), wait=True):
            environment = ros_environment(DOMAIN_ID, tmp_path)
            defaults = {
                'signaling_server': {'host': '127.0.0.1', 'port': '0'},
                'camera_sender': {
                    'server_url': f'ws://127.0.0.1:{free_port()}', 'ice_addresses': '[127.0.0.1]',
                    'reconnect.min': '0.05', 'reconnect.max': '0.2',
                },
            }[name]  # fmt: skip
            given = defaults | dict(setting.split(':=', 1) for setting in settings)
            options = [part for key, value in given.items() for part in ('-p', f'{key}:={value}')]
            options += [part for rule in remap for part in ('-r', rule)]
            process = Process(
                name, [executable(name), '--ros-args', *options, *words], environment
            )
            stack.callback(process.stop)
            if wait:
                process.wait_for_output(READY[name], DEADLINE_S)
            return process

        yield start_node


class Observer:
    """Be another node: hear the statuses, publish images."""

    def __init__(self, node, executor):
        self._node = node
        self._executor = executor
        self.heard = {}
        self._subscriptions = []

    def listen(self, topic):
        self.heard[topic] = []
        self._subscriptions.append(
            self._node.create_subscription(
                DiagnosticStatus, topic, self.heard[topic].append, LATCHED
            )
        )
        return self.heard[topic]

    def hear(self, topic, kind):
        """Return the list into which the messages of a topic come."""
        heard = []
        self._subscriptions.append(self._node.create_subscription(kind, topic, heard.append, 10))
        return heard

    def call(self, kind, name, request):
        """Call a service and return its answer."""
        client = self._node.create_client(kind, name)
        self.spin_until(client.service_is_ready, f'no service {name}')
        future = client.call_async(request)
        self.spin_until(future.done, f'no answer of {name}')
        return future.result()

    def driver(self):
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        publisher = self._node.create_publisher(Image, '/camera/image_raw', qos)
        return Driver(publisher, self._node.get_clock())

    def spin_until(self, condition, what):
        deadline_s = time.monotonic() + DEADLINE_S
        while not (value := condition()):
            assert time.monotonic() < deadline_s, f'{what}; heard last: {self._last()}'
            self._executor.spin_once(timeout_sec=0.05)
        return value

    def wait_for(self, topic, level, message):
        """Return the first status from now on that is like this."""
        heard = self.heard.get(topic)
        start = 0 if heard is None else len(heard)
        heard = self.listen(topic) if heard is None else heard
        return self.spin_until(
            lambda: next(
                (s for s in heard[start:] if s.level == level and re.search(message, s.message)),
                None,
            ),
            f'no status {level!r} {message!r} on {topic}',
        )

    def _last(self):
        return {
            topic: (heard[-1].level, heard[-1].message) if heard else None
            for topic, heard in self.heard.items()
        }


@pytest.fixture
def observer():
    context = Context()
    context.init([], domain_id=DOMAIN_ID)
    node = rclpy.create_node('observer', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    yield Observer(node, executor)
    executor.shutdown()
    node.destroy_node()
    context.try_shutdown()


@contextlib.contextmanager
def serving(tokens=None, *, viewer=False):
    """Run a server in a thread of this process, and a WebRTC viewer beside it; yields its port."""
    config = ServerConfig(host='127.0.0.1', port=0, resume_window_s=0.0, failed_logins=1000)
    authenticator = OpenAuthenticator() if tokens is None else TokenAuthenticator(tokens)

    @contextlib.asynccontextmanager
    async def service():
        async with (
            SignalingServer(config, authenticator).run() as server,
            contextlib.AsyncExitStack() as stack,
        ):
            if viewer:
                watcher = await stack.enter_async_context(viewing(server.port))
                watching = asyncio.create_task(watch(watcher))
            yield server
            if viewer:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)

    async def watch(watcher):
        await watcher.client.expect('peer_joined')
        await watcher.join()
        while True:
            await watcher.receiver.track.recv()

    thread = LoopThread('test server', service)
    try:
        yield thread.start().port
    finally:
        assert thread.stop()


def finish(process, *numbers):
    """Send signals; the process has to end in order, and in time."""
    start_s = time.monotonic()
    for number in numbers:
        process.signal(number)
    code = process.wait(STOP_S)
    assert time.monotonic() - start_s < STOP_S
    assert (code, 'Traceback' in process.output) == (0, False), process.output


def lines(process, severity='(WARN|ERROR|FATAL)'):
    """Return what was logged at these levels, without the time."""
    return re.findall(rf'^\[{severity}\] \[[0-9.]+\] (.*)$', process.output, re.MULTILINE)


def fails(process):
    """Return the one line with which a process ended that could not go on."""
    assert process.wait(DEADLINE_S) == 1, process.output
    assert 'Traceback' not in process.output
    fatal = [text for level, text in lines(process) if level == 'FATAL']
    assert len(fatal) == 1, process.output
    return fatal[0]


def values(status):
    return {value.key: value.value for value in status.values}


def url_and_token(process):
    match = process.wait_for_output(r'open http://127\.0\.0\.1:(\d+)/(?:#token=(\S+))? in')
    return int(match[1]), match[2]


def write_tokens(path, **content):
    path.write_text(json.dumps(content))
    path.chmod(0o600)
    return path


class Driver:
    """Publish one image again and again from a thread, as a camera driver does."""

    def __init__(self, publisher, clock):
        self._publisher = publisher
        self._clock = clock
        self._image = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish)

    def show(self, image):
        message = Image(
            height=image.height, width=image.width, step=image.step, encoding=image.encoding
        )
        message.data = array('B', image.data)
        self._image = message

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _publish(self):
        while not self._stop.wait(0.05):
            self._image.header.stamp = self._clock.now().to_msg()
            self._publisher.publish(self._image)
