"""One camera_sender with two cameras, its images and its ROS face over real DDS."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from fakes import scene_image
from ros_stage import DEADLINE_S, fails, values
from several_viewer import viewing
from std_msgs.msg import Float64, UInt32
from std_srvs.srv import SetBool, Trigger

from rtc_signaling.loop_thread import LoopThread

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
STALE = DiagnosticStatus.STALE
NODE = '/camera_sender'
WIDTHS = {'front': 64, 'rear': 96}
NUMBERS = {
    'viewers': UInt32, 'fps': Float64, 'bitrate': Float64, 'frame_age': Float64,
}  # fmt: skip


@pytest.fixture
def domain_id():
    return 33


@pytest.fixture
def drivers(observer):
    """Return two cameras' drivers that run, by name."""
    drivers = {}
    with contextlib.ExitStack() as stack:
        for name, width in WIDTHS.items():
            drivers[name] = observer.driver(age_s=0.3, topic=f'/{name}/image_raw')
            drivers[name].show(scene_image(1, width, 64))
            stack.enter_context(drivers[name])
        yield drivers


@contextlib.contextmanager
def watching(port, *cameras):
    """Run a viewer of these cameras, which is connected already, in a thread.

    Yields what runs a coroutine function of the viewer in its loop.
    """

    @contextlib.asynccontextmanager
    async def service():
        async with viewing(port, len(cameras), client_id='watcher') as viewer:
            await viewer.join(cameras=list(cameras))
            for place in range(len(cameras)):
                async with asyncio.timeout(DEADLINE_S):
                    frame = await viewer.transceivers[place].receiver.track.recv()
                assert frame.width == WIDTHS[cameras[place]]
            takers = [asyncio.create_task(viewer.take(place)) for place in range(len(cameras))]
            yield viewer
            for taker in takers:
                taker.cancel()
            await asyncio.gather(*takers, return_exceptions=True)

    thread = LoopThread('test viewer', service)
    viewer = thread.start(DEADLINE_S)
    try:
        yield lambda act: asyncio.run_coroutine_threadsafe(act(viewer), viewer.loop).result(
            DEADLINE_S
        )
    finally:
        assert thread.stop()


def test_each_camera_has_topics_parts_and_services_of_its_own(sender, port, drivers, observer):
    heard = {
        (camera, name): observer.hear(f'{NODE}/{camera}/{name}', kind)
        for camera in WIDTHS
        for name, kind in NUMBERS.items()
    }
    totals = {
        name: observer.hear(f'{NODE}/{name}', NUMBERS[name]) for name in ('viewers', 'bitrate')
    }
    latency = {name: observer.hear(f'{NODE}/{name}/latency', Float64) for name in WIDTHS}
    sender('cameras:=[front,rear]', 'client_id:=robot')
    with watching(port, 'rear', 'front') as viewer:
        for what, messages in (heard | totals).items():
            observer.spin_until(lambda m=messages: any(one.data > 0 for one in m), str(what))
        assert heard['rear', 'frame_age'][-1].data >= 0.3
        assert totals['viewers'][-1].data == 1
        viewer(lambda viewer: viewer.client.send(type='stats', camera='rear', latency_ms=250.0))
        observer.spin_until(lambda: any(m.data == 0.25 for m in latency['rear']), 'no latency')
        assert latency['front'] == []
        for part in ('camera front', 'camera rear', 'encoder front', 'encoder rear',
                     'signaling link', 'viewer watcher rear', 'viewer watcher front'):  # fmt: skip
            report = observer.wait_for_part(f'camera_sender: {part}', OK)
            assert report.hardware_id == 'rtc_signaling:robot'
        for name, width in WIDTHS.items():
            status = observer.wait_for(f'{NODE}/{name}/status', OK, r'^sending to 1 viewer\(s\)$')
            assert values(status)['image'] == f'{width}x64 bgr8'
        answer = observer.call(Trigger, f'{NODE}/rear/request_keyframe', Trigger.Request())
        assert (answer.success, answer.message) == (True, '1 viewer(s) get a key frame next')
        answer = observer.call(SetBool, f'{NODE}/front/set_enabled', SetBool.Request(data=False))
        assert answer.message == 'the camera front is off; let 1 viewer(s) go'
        observer.wait_for(f'{NODE}/front/status', OK, '^switched off')
        observer.wait_for(f'{NODE}/rear/status', OK, '^sending to 1')
        observer.wait_for(f'{NODE}/status', OK, '^sending to 1', cameras_off='^front$')
        answer = observer.call(SetBool, f'{NODE}/set_enabled', SetBool.Request(data=False))
        assert answer.message == 'every camera is off; let 1 viewer(s) go'
        answer = observer.call(Trigger, f'{NODE}/request_keyframe', Trigger.Request())
        assert answer.message == '0 viewer(s) get a key frame next'


def test_one_camera_is_stale_and_the_other_is_well(sender, port, drivers, observer):
    process = sender('cameras:=[front,rear]', 'stale_timeout:=1.0')
    errors = observer.listen(f'{NODE}/errors')
    for name in WIDTHS:
        observer.wait_for_part(f'camera_sender: camera {name}', OK)
    drivers['front'].stop()
    observer.wait_for_part('camera_sender: camera front', STALE, 'no images from the camera')
    observer.wait_for_part('camera_sender: camera rear', OK)
    observer.wait_for(f'{NODE}/status', STALE, '^front: no images from the camera')
    bad = scene_image(1, WIDTHS['rear'], 64)
    with watching(port, 'rear'):
        bad.encoding = 'novel9'
        drivers['rear'].show(bad)
        observer.wait_for_part('camera_sender: camera rear', ERROR, "encoding 'novel9'")
        observer.spin_until(
            lambda: any(e.message.startswith('rear: unknown image') for e in errors), 'no error'
        )
    statuses = [observer.listen(f'{NODE}/{name}/status') for name in WIDTHS]
    observer.spin_until(lambda: all(statuses), 'no status')
    process.stop()
    observer.spin_until(lambda: {s[-1].message for s in statuses} == {'stopped'}, 'not stopped')


@pytest.mark.parametrize(
    ('names', 'rule'),
    [
        ('[front,front]', "cameras = 'front': two cameras have this name"),
        ('[front,a/b]', "cameras = 'a/b': must match "),
    ],
)
def test_a_name_that_cannot_be_is_told_and_the_node_ends(start, names, rule):
    process = start('camera_sender', f'cameras:={names}', wait=False)
    assert rule in fails(process)
