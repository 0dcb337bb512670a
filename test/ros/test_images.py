"""Whether images arrive, as the sender's status tells it: real nodes, real DDS."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from fakes import viewing
from processes import Process, executable, ros_environment
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CompressedImage

from rtc_signaling.auth import OpenAuthenticator
from rtc_signaling.config import ServerConfig
from rtc_signaling.loop_thread import LoopThread
from rtc_signaling.server import SignalingServer

DOMAIN_ID = 85
# Starting takes a second; this is for a busy machine.
DEADLINE_S = 40.0
TOPIC = '/camera_sender/status'
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
DDS_VARIABLES = (
    'FASTDDS_DEFAULT_PROFILES_FILE',
    'FASTRTPS_DEFAULT_PROFILES_FILE',
    'FASTDDS_BUILTIN_TRANSPORTS',
)


@pytest.fixture
def port():
    """Run a signaling server in a thread of this process, so that the sender is linked."""
    config = ServerConfig(host='127.0.0.1', port=0, resume_window_s=0.0)
    thread = LoopThread('test server', lambda: SignalingServer(config, OpenAuthenticator()).run())
    yield thread.start().port
    assert thread.stop()


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a node with parameters; all are stopped at the end."""
    with contextlib.ExitStack() as stack:

        def start_node(name, *settings, profile=True):
            environment = ros_environment(DOMAIN_ID, tmp_path)
            if not profile:
                for variable in DDS_VARIABLES:
                    environment.pop(variable, None)
            options = [part for setting in settings for part in ('-p', setting)]
            process = Process(name, [executable(name), '--ros-args', *options], environment)
            stack.callback(process.stop)
            return process

        yield start_node


@pytest.fixture
def sender(start, port):
    """Return a function that starts the sender."""

    def start_sender(*settings):
        process = start(
            'camera_sender', f'server_url:=ws://127.0.0.1:{port}', 'ice_addresses:=[127.0.0.1]',
            *settings,
        )  # fmt: skip
        process.wait_for_output('waiting for images', DEADLINE_S)
        return process

    return start_sender


class Statuses:
    """Hear the sender's statuses; every wait has a deadline."""

    def __init__(self, node, executor):
        self.node = node
        self._executor = executor
        self.heard = []
        self._subscription = node.create_subscription(
            DiagnosticStatus, TOPIC, self.heard.append, LATCHED
        )

    def wait_for(self, levels, message, **wanted):
        """Return the values of the first status from now on that is like this."""
        levels = levels if isinstance(levels, tuple) else (levels,)
        first = len(self.heard)
        end_s = time.monotonic() + DEADLINE_S
        while time.monotonic() < end_s:
            self._executor.spin_once(timeout_sec=0.05)
            for status in self.heard[first:]:
                found = {value.key: value.value for value in status.values}
                same = all(re.search(text, found.get(key, '')) for key, text in wanted.items())
                if status.level in levels and re.search(message, status.message) and same:
                    return found
            first = len(self.heard)
        raise AssertionError(f'no status {levels!r} {message!r} {wanted}; last {self.heard[-1:]}')


@pytest.fixture
def statuses():
    context = Context()
    context.init([], domain_id=DOMAIN_ID)
    node = rclpy.create_node('observer', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    yield Statuses(node, executor)
    executor.shutdown()
    node.destroy_node()
    context.try_shutdown()


def test_auto_follows_a_publisher_that_changes_and_keeps_what_runs(start, sender, statuses):
    process = sender()
    assert statuses.wait_for(DiagnosticStatus.STALE, 'nobody publishes')['image_qos'] == (
        'best effort'
    )
    camera = start('test_camera', 'reliability:=reliable')
    statuses.wait_for(
        DiagnosticStatus.OK, 'sending to', image_qos='^reliable$', image_publishers='/test_camera'
    )
    camera.stop()
    statuses.wait_for(DiagnosticStatus.STALE, 'nobody publishes', image_qos='^reliable$')
    start('test_camera', 'reliability:=best_effort', 'width:=320', 'height:=240')
    values = statuses.wait_for(
        DiagnosticStatus.OK, 'sending to', image_qos='^best effort$', image='320x240'
    )
    assert int(values['images_received']) > 0
    # Once for each change, and not at each look.
    assert process.output.count('is subscribed as its publishers offer it') == 2


def test_a_best_effort_publisher_is_named_where_reliable_is_asked_for(start, sender, statuses):
    process = sender('image_qos:=reliable')
    start('test_camera')
    values = statuses.wait_for(
        DiagnosticStatus.ERROR,
        r'^the publisher /test_camera of /camera/image_raw offers best effort, image_qos is '
        'reliable: set image_qos to auto or best_effort$',
        image_qos_mismatch='RELIABILITY',
    )
    assert values['image_qos_mismatches'] == '1'
    assert values['images_received'] == '0'
    assert 'does not match: QoS policy RELIABILITY' in process.output


def test_best_effort_is_what_is_asked_for_if_it_is_set(start, sender, statuses):
    process = sender('image_qos:=best_effort')
    start('test_camera', 'reliability:=reliable')
    statuses.wait_for(
        DiagnosticStatus.OK, 'sending to', image_qos='^best effort$', image_publishers='camera'
    )
    assert 'is subscribed as' not in process.output


def test_losses_of_a_publisher_with_default_transports_are_named(start, sender, statuses):
    sender()
    start('test_camera', 'width:=1280', 'height:=720', profile=False)
    # A few images or none at all arrive: WARN or STALE, with the same words.
    values = statuses.wait_for(
        (DiagnosticStatus.WARN, DiagnosticStatus.STALE),
        r"^about \d+ Hz are published, \d+ Hz arrive: the publisher's DDS transport loses large "
        'images; start it with FASTDDS_DEFAULT_PROFILES_FILE .* see docs/images-over-dds.md$',
    )
    assert int(values['images_lost']) > 0


def test_a_camera_that_is_killed_is_stale_and_may_come_back_as_another(start, sender, statuses):
    sender('stale_timeout:=1.0')
    camera = start('test_camera', 'width:=320', 'height:=240')
    statuses.wait_for(DiagnosticStatus.OK, 'sending to', image='^320x240 bgr8$')
    camera.kill()
    statuses.wait_for(DiagnosticStatus.STALE, 'no images from the camera')
    start('test_camera', 'width:=640', 'height:=480', 'encoding:=mono8')
    statuses.wait_for(DiagnosticStatus.OK, 'sending to', image='^640x480 mono8$')


def test_compressed_images_are_taken_and_bad_ones_named(start, sender, statuses, port):
    async def watch():
        async with viewing(port) as viewer:
            await viewer.client.expect('peer_joined')
            await viewer.join()
            indices.append(await viewer.watch())
            while True:
                await viewer.receiver.track.recv()

    indices = []

    @contextlib.asynccontextmanager
    async def watching():
        task = asyncio.create_task(watch())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    thread = LoopThread('viewer', watching)
    thread.start()
    try:
        sender('image_transport:=compressed')
        camera = start('test_camera', 'image_transport:=compressed')
        statuses.wait_for(
            DiagnosticStatus.OK, r'sending to 1 viewer', image='^compressed .*jpeg',
            image_topic='^/camera/image_raw/compressed$', pictures_shown='[1-9]',
        )  # fmt: skip
        camera.stop()
        publisher = statuses.node.create_publisher(
            CompressedImage, '/camera/image_raw/compressed', 1
        )
        timer = statuses.node.create_timer(
            0.05, lambda: publisher.publish(CompressedImage(format='jpeg', data=b'no picture'))
        )
        statuses.wait_for(
            DiagnosticStatus.ERROR,
            "^compressed image of 10 bytes, format 'jpeg': cannot",
        )
        timer.cancel()
        start('test_camera', 'image_transport:=compressed')
        statuses.wait_for(DiagnosticStatus.OK, 'sending to 1 viewer')
    finally:
        assert thread.stop()
    assert indices, 'the viewer saw no picture of the scene'
