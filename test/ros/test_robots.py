"""Several robots and several cameras on one machine, as real processes without launch."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from fakes import viewing, welcomed
from processes import Process, executable, free_port, ros_environment
from ros_stage import DEADLINE_S, observing, values

OK = DiagnosticStatus.OK
# For the two robots, and for the one of several cameras.
DOMAIN_IDS = (86, 87)
MANY_CAMERAS_DOMAIN_ID = 89


class Robot:
    """Be the processes of one robot, in one namespace and one domain."""

    def __init__(self, directory, domain_id, namespace):
        directory.mkdir()
        self.port = free_port()
        self.namespace = namespace
        self._environment = ros_environment(domain_id, directory)
        self._stack = contextlib.ExitStack()
        self._processes = []

    @property
    def output(self):
        return ''.join(f'--- {process.name}\n{process.output}' for process in self._processes)

    def start(self, name, *parameters, namespace='', remap=()):
        place = '/'.join([self.namespace, *filter(None, [namespace])])
        words = ['-r', f'__ns:={place}']
        words += [word for rule in remap for word in ('-r', rule)]
        words += [word for value in parameters for word in ('-p', value)]
        process = Process(
            f'{place}/{name}', [executable(name), '--ros-args', *words], self._environment
        )
        self._processes.append(process)
        self._stack.callback(process.stop)
        return process

    def start_server(self):
        process = self.start(
            'signaling_server', 'host:=127.0.0.1', f'port:={self.port}', 'auth.mode:=none'
        )
        process.wait_for_output('open http://', DEADLINE_S)

    def start_camera(self, client_id, width, namespace='', topic='image_raw'):
        remap = [f'camera/image_raw:={topic}']
        self.start(
            'test_camera', f'width:={width}', 'height:=120', namespace=namespace, remap=remap
        )
        return self.start(
            'camera_sender', f'server_url:=ws://127.0.0.1:{self.port}', f'client_id:={client_id}',
            'ice_addresses:=[127.0.0.1]', namespace=namespace, remap=remap,
        )  # fmt: skip

    def stop(self):
        self._stack.close()


@pytest.fixture
def robot(tmp_path):
    """Return a robot with the server and no camera yet."""
    robot = Robot(tmp_path / 'robot', MANY_CAMERAS_DOMAIN_ID, '/robot')
    try:
        robot.start_server()
        yield robot
    finally:
        robot.stop()


async def senders_seen(port, count):
    """Return the names of the senders that a viewer is told of, once there are so many."""
    names = set()
    async with welcomed(port, role='receiver') as (client, welcome):
        names |= {peer['client_id'] for peer in welcome['peers']}
        while len(names) < count:
            names.add((await client.expect('peer_joined'))['client_id'])
    return names


async def picture_width(port, sender):
    """Return how wide the pictures of a sender are, as a viewer of it gets them."""
    async with viewing(port) as viewer:
        await viewer.offer(sender_id=sender)
        await viewer.take_answer()
        return (await viewer.picture()).shape[1]


def test_two_robots_in_two_domains_and_namespaces_do_not_meet(tmp_path):
    """Both have a sender of the same name; only domain, namespace and port tell them apart."""
    with contextlib.ExitStack() as stack:
        robots = []
        for number, domain_id in enumerate(DOMAIN_IDS, start=1):
            robot = Robot(tmp_path / f'robot{number}', domain_id, f'/robot{number}')
            stack.callback(robot.stop)
            robots.append(robot)
            robot.start_server()
            robot.start_camera('camera', 160 * number)
        for number, (robot, domain_id) in enumerate(zip(robots, DOMAIN_IDS, strict=True), start=1):
            with observing(domain_id) as observer:
                status = observer.wait_for(f'{robot.namespace}/camera_sender/status', OK, '')
                assert values(status)['image'] == f'{160 * number}x120 bgr8'
                status = observer.wait_for(f'{robot.namespace}/signaling/status', OK, '')
                assert values(status)['senders'] == '1'
                # Each side of this domain is known by now: the other robot's are not among them.
                others = f'/robot{3 - number}'
                names = [name for name, _ in observer.node.get_topic_names_and_types()]
                assert not [name for name in names if name.startswith(others)]
                assert [name for name in names if name.startswith(robot.namespace)]
            assert asyncio.run(senders_seen(robot.port, 1)) == {'camera'}
            assert asyncio.run(picture_width(robot.port, 'camera')) == 160 * number


def test_one_viewer_sees_several_named_cameras(robot):
    widths = {'front': 160, 'rear': 320}
    for name, width in widths.items():
        robot.start_camera(name, width, namespace=name)
    with observing(MANY_CAMERAS_DOMAIN_ID) as observer:
        for name, width in widths.items():
            status = observer.wait_for(f'/robot/{name}/camera_sender/status', OK, '')
            assert values(status)['image'] == f'{width}x120 bgr8'
    assert asyncio.run(senders_seen(robot.port, 2)) == set(widths)
    for name, width in widths.items():
        assert asyncio.run(picture_width(robot.port, name)) == width


@pytest.mark.parametrize(
    ('topic', 'resolved'),
    [
        ('arm/color/image', '/robot/arm/color/image'),
        ('/elsewhere/image_raw', '/elsewhere/image_raw'),
    ],
)
def test_the_topic_of_the_images_can_be_remapped(robot, topic, resolved):
    process = robot.start_camera('camera', 160, topic=topic)
    process.wait_for_output(f'waiting for images on {resolved}', DEADLINE_S)
    process.wait_for_output('images are 160x120 bgr8', DEADLINE_S)
