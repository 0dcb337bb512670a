"""Nodes as real processes, and another node that watches them over real DDS."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
import threading
import time
from array import array
from pathlib import Path

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fakes import viewing
from processes import Process, executable, free_port, own_domain, ros_environment
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from rtc_signaling.auth import OpenAuthenticator, TokenAuthenticator
from rtc_signaling.loop_thread import LoopThread
from rtc_signaling.server import SignalingServer
from rtc_signaling.server_config import ServerConfig

DOMAIN_ID = own_domain(53)
# Starting takes a second; this is for a busy machine.
DEADLINE_S = 30.0
# launch sends SIGTERM 5 s after SIGINT.
STOP_S = 4.0
NODES = ('signaling_server', 'camera_sender')
# What a node writes when it is up.
HANGING_NODE = str(Path(__file__).with_name('hanging_node.py'))
READY = {'signaling_server': 'open http://', 'camera_sender': 'waiting for images'}
STATUS = {'signaling_server': '/signaling/status', 'camera_sender': '/camera_sender/status'}
# What the tests' environment sets so that images arrive.
TRANSPORT_VARIABLES = (
    'FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE',
    'FASTDDS_BUILTIN_TRANSPORTS',
)  # fmt: skip
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def domain_id():
    """Return the domain of the nodes; a module may have its own."""
    return DOMAIN_ID


@pytest.fixture
def start(tmp_path, domain_id):
    """Return a function that starts a node; all are stopped at the end."""
    with contextlib.ExitStack() as stack:

        def start_node(
            name, *settings, remap=(), words=(), wait=True, may_hang=False, transport=True
        ):
            environment = ros_environment(domain_id, tmp_path)
            for variable in () if transport else TRANSPORT_VARIABLES:
                environment.pop(variable, None)
            defaults = {
                'signaling_server': {'host': '127.0.0.1', 'port': '0'},
                'camera_sender': {
                    'server_url': f'ws://127.0.0.1:{free_port()}', 'ice_addresses': '[127.0.0.1]',
                    'reconnect.min': '0.05', 'reconnect.max': '0.2',
                },
                'test_camera': {},
            }[name]  # fmt: skip
            given = defaults | dict(setting.split(':=', 1) for setting in settings)
            options = [part for key, value in given.items() for part in ('-p', f'{key}:={value}')]
            options += [part for rule in remap for part in ('-r', rule)]
            program = [sys.executable, HANGING_NODE, name] if may_hang else [executable(name)]
            process = Process(name, [*program, '--ros-args', *options, *words], environment)
            stack.callback(process.stop)
            if wait and name in READY:
                process.wait_for_output(READY[name], DEADLINE_S)
            return process

        yield start_node


class Observer:
    """Be another node: hear the statuses and /diagnostics, publish images."""

    def __init__(self, node, executor):
        self.node = node
        self._executor = executor
        self.heard = {}
        self._subscriptions = []
        self._diagnostics = None

    def listen(self, topic):
        self.heard[topic] = []
        self._subscriptions.append(
            self.node.create_subscription(
                DiagnosticStatus, topic, self.heard[topic].append, LATCHED
            )
        )
        return self.heard[topic]

    def hear(self, topic, kind, qos=10):
        """Return the list into which the messages of a topic come."""
        heard = []
        self._subscriptions.append(self.node.create_subscription(kind, topic, heard.append, qos))
        return heard

    def part(self, name):
        """Return the newest report of a part in /diagnostics, None if there is none yet."""
        if self._diagnostics is None:
            self._diagnostics = self.hear('/diagnostics', DiagnosticArray)
        return next(
            (s for heard in reversed(self._diagnostics) for s in heard.status if s.name == name),
            None,
        )

    def wait_for_part(self, name, level, message=''):
        """Return a part's report, from now on, that is like this."""
        self.part(name)
        self._diagnostics.clear()

        def found():
            report = self.part(name)
            same = report and report.level == level and re.search(message, report.message)
            return report if same else None

        return self.spin_until(found, f'{name} is not {level!r} {message!r}')

    def get(self, node, *names):
        """Return the values of a node's parameters, as `ros2 param get` does."""
        request = GetParameters.Request(names=names)
        answer = self.call(GetParameters, f'{node}/get_parameters', request)
        return [parameter_value_to_python(value) for value in answer.values]

    def set(self, node, name, value):
        """Set a parameter as `ros2 param set` does; return whether it was taken, and why not."""
        new = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[new])
        [result] = self.call(SetParameters, f'{node}/set_parameters', request).results
        return result.successful, result.reason

    def call(self, kind, name, request):
        """Call a service and return its answer."""
        client = self.node.create_client(kind, name)
        self.spin_until(client.service_is_ready, f'no service {name}')
        future = client.call_async(request)
        self.spin_until(future.done, f'no answer of {name}')
        self.node.destroy_client(client)
        return future.result()

    def driver(self, age_s=0.0, topic='/camera/image_raw'):
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        publisher = self.node.create_publisher(Image, topic, qos)
        return Driver(publisher, self.node.get_clock(), age_s)

    def spin_until(self, condition, what):
        deadline_s = time.monotonic() + DEADLINE_S
        while not (value := condition()):
            assert time.monotonic() < deadline_s, f'{what}; heard last: {self._last()}'
            self._executor.spin_once(timeout_sec=0.05)
        return value

    def spin(self):
        """Take what has come; for loops that wait for something else."""
        self._executor.spin_once(timeout_sec=0.05)

    def wait_for(self, topic, level, message, **wanted):
        """Return the first status from now on that is like this.

        Args:
            topic: Where the statuses are.
            level: Its level, or several in a tuple.
            message: A pattern.
            wanted: Patterns of its values.
        """
        levels = level if isinstance(level, tuple) else (level,)

        def fits(status):
            found = values(status)
            return (
                status.level in levels
                and re.search(message, status.message)
                and all(re.search(text, found.get(key, '')) for key, text in wanted.items())
            )

        heard = self.heard.get(topic)
        start = 0 if heard is None else len(heard)
        heard = self.listen(topic) if heard is None else heard
        return self.spin_until(
            lambda: next(filter(fits, heard[start:]), None),
            f'no status {level!r} {message!r} {wanted} on {topic}',
        )

    def _last(self):
        parts = {s.name: s for array in self._diagnostics or () for s in array.status}
        return {
            **{topic: heard[-1] for topic, heard in self.heard.items() if heard},
            **{name: (report.level, report.message) for name, report in parts.items()},
        }


@contextlib.contextmanager
def observing(domain_id):
    """Run another node in a domain as long as the context lasts."""
    context = Context()
    context.init([], domain_id=domain_id)
    node = rclpy.create_node('observer', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        yield Observer(node, executor)
    finally:
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()


@pytest.fixture
def observer(domain_id):
    with observing(domain_id) as observer:
        yield observer


@contextlib.contextmanager
def serving(tokens=None):
    """Run a server in a thread of this process; yields its port."""
    config = ServerConfig(host='127.0.0.1', port=0, resume_window_s=0.0, failed_logins=1000)
    authenticator = OpenAuthenticator() if tokens is None else TokenAuthenticator(tokens)
    thread = LoopThread('test server', lambda: SignalingServer(config, authenticator).run())
    try:
        yield thread.start().port
    finally:
        assert thread.stop()


@contextlib.contextmanager
def watching(port, **stats):
    """Run a WebRTC viewer of the camera, which is connected already, in a thread.

    Args:
        port: The server's.
        stats: What the viewer reports of its video, once.

    Yields what runs a function of the viewer in its loop.
    """

    @contextlib.asynccontextmanager
    async def service():
        async with viewing(port, client_id='watcher') as viewer:
            await viewer.join()
            if stats:
                await viewer.client.send(type='stats', **stats)
            taking = asyncio.create_task(viewer.take_pictures())
            yield viewer
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)

    thread = LoopThread('test viewer', service)
    viewer = thread.start(DEADLINE_S)
    try:
        yield lambda act: thread.call(lambda: act(viewer))
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
    """Publish one image again and again, at 20 Hz, from a thread, as a camera driver does."""

    def __init__(self, publisher, clock, age_s):
        self._publisher = publisher
        self._clock = clock
        self._age = Duration(seconds=age_s)
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
        self.stop()

    def stop(self):
        self._stop.set()
        self._thread.join()

    def _publish(self):
        while not self._stop.wait(0.05):
            self._image.header.stamp = (self._clock.now() - self._age).to_msg()
            self._publisher.publish(self._image)
