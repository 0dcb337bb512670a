"""The ROS face of the sender: topics, diagnostics, live parameters and services, over real DDS."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from fakes import scene_image
from ros_stage import DEADLINE_S, values, watching
from std_msgs.msg import Float64, UInt32
from std_srvs.srv import SetBool, Trigger
from websockets.sync.client import connect

OK, WARN, STALE = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.STALE
NODE = '/camera_sender'
CAMERA = 'camera_sender: camera'
VIEWER = 'camera_sender: viewer watcher'
OFFER = (Path(__file__).parents[1] / 'data' / 'aiortc_offer.sdp').read_text()


@pytest.fixture
def driver(observer):
    """Return a camera's driver that runs; its images are 0.3 s old when they come."""
    driver = observer.driver(age_s=0.3)
    driver.show(scene_image(1, 64, 64))
    with driver:
        yield driver


def test_it_publishes_figures_and_can_be_switched_off(sender, port, driver, observer):
    numbers = {
        name: observer.hear(f'/camera_sender/{name}', kind)
        for name, kind in (
            ('viewers', UInt32), ('fps', Float64), ('bitrate', Float64), ('frame_age', Float64),
        )
    }  # fmt: skip
    sender()
    with watching(port):
        for name, heard in numbers.items():
            observer.spin_until(lambda heard=heard: any(m.data > 0 for m in heard), name)
        assert numbers['frame_age'][-1].data >= 0.3
        answer = observer.call(Trigger, f'{NODE}/request_keyframe', Trigger.Request())
        assert (answer.success, answer.message) == (True, '1 viewer(s) get a key frame next')
        for name in ('camera', 'encoder', 'signaling link', 'viewer watcher'):
            report = observer.wait_for_part(f'camera_sender: {name}', OK)
            assert report.hardware_id == 'rtc_signaling:camera'
        answer = observer.call(SetBool, f'{NODE}/set_enabled', SetBool.Request(data=False))
        assert answer.message == 'the camera is off; let 1 viewer(s) go'
        topic = '/camera_sender/status'
        status = observer.wait_for(topic, OK, '^switched off')
        assert values(status)['viewers'] == '0'
        answer = observer.call(SetBool, f'{NODE}/set_enabled', SetBool.Request(data=True))
        assert answer.message == 'the camera is on'
        observer.wait_for(topic, OK, '^sending to')


def test_what_a_viewer_reports_is_told_and_judged_by_live_thresholds(
    sender, port, driver, observer
):
    latency = observer.hear('/camera_sender/latency', Float64)
    sender()
    with watching(port, latency_ms=250.0, loss=0.02, fps=19.5):
        observer.spin_until(lambda: any(m.data == 0.25 for m in latency), 'no latency')
        report = observer.wait_for_part(VIEWER, OK, '^connected$')
        told = values(report)
        assert {name: told[name] for name in ('latency_ms', 'loss', 'fps', 'state')} == {
            'latency_ms': '250', 'loss': '0.02', 'fps': '19.5', 'state': 'connected',
        }  # fmt: skip
        for name, low, high, words in (
            ('warn.latency', 0.2, 0.3, r'^its pictures are 0\.25 s old, more than warn\.latency$'),
            ('warn.loss', 0.01, 0.03, r'^2\.0% of its packets are lost$'),
        ):
            assert observer.set(NODE, name, low) == (True, '')
            observer.wait_for_part(VIEWER, WARN, words)
            assert observer.set(NODE, name, high) == (True, '')
            observer.wait_for_part(VIEWER, OK, '^connected$')


def test_the_thresholds_of_the_camera_are_live(sender, driver, observer):
    sender('stale_timeout:=60.0')
    observer.wait_for_part(CAMERA, OK)
    for name, strict, lenient, words in (
        ('expected_rate', 999.0, 0.0, r'images a second, 999 expected \(expected_rate\)$'),
        ('warn.frame_age', 0.1, 9.0, r'images are 0\.3\d s old when they come'),
    ):
        assert observer.set(NODE, name, strict) == (True, '')
        observer.wait_for_part(CAMERA, WARN, words)
        assert observer.set(NODE, name, lenient) == (True, '')
        observer.wait_for_part(CAMERA, OK)
    driver.stop()
    # Twice as long as it will then take, and longer than all the rates look back.
    silent = observer.hear('/camera_sender/fps', Float64)
    observer.spin_until(lambda: len(silent) > 6, 'no figures')
    observer.wait_for_part(CAMERA, OK)
    assert observer.set(NODE, 'stale_timeout', 3.0) == (True, '')
    observer.wait_for_part(CAMERA, STALE, 'no images from the camera')


def test_the_rate_that_is_sent_is_live(sender, port, driver, observer):
    fps = observer.hear('/camera_sender/fps', Float64)
    sender()
    with watching(port):
        observer.spin_until(lambda: any(m.data > 8 for m in fps), 'it sends nothing')
        assert observer.set(NODE, 'max_fps', 5.0) == (True, '')
        fps.clear()
        observer.spin_until(lambda: fps and 1 < fps[-1].data < 6, 'it sends as before')
        assert observer.set(NODE, 'max_fps', 0.0) == (True, '')
        fps.clear()
        observer.spin_until(lambda: any(m.data > 8 for m in fps), 'it does not send more')


def test_the_number_of_viewers_is_live(sender, port, observer):
    sender()

    def offer():
        """Return the camera's answer to one more offer of this viewer."""
        viewer.send(json.dumps({'type': 'offer', 'sdp': OFFER}))
        while (message := json.loads(viewer.recv(DEADLINE_S)))['type'] not in ('answer', 'bye'):
            pass
        return message.get('reason', message['type'])

    url = f'ws://127.0.0.1:{port}/?client_id=mute'
    with watching(port), connect(url, proxy=None) as viewer:
        assert json.loads(viewer.recv(DEADLINE_S))['type'] == 'connected'
        assert observer.set(NODE, 'max_viewers', 1) == (True, '')
        assert offer() == 'busy'
        assert observer.set(NODE, 'max_viewers', 2) == (True, '')
        assert offer() == 'answer'
        # It has no media at all, so there is never a connection.
        observer.wait_for_part(
            'camera_sender: viewer mute', WARN, '^its connection is (new|connecting)$'
        )


def test_how_long_a_silent_viewer_stays_is_live(sender, port, driver, observer):
    process = sender('viewer_timeout:=60.0')
    with watching(port) as viewer:
        observer.wait_for_part(VIEWER, OK, '^connected$')
        viewer(lambda viewer: viewer.fall_silent())
        assert observer.set(NODE, 'viewer_timeout', 2.0) == (True, '')
        # Of those who take part in ICE no more it is known after 30 s, with another reason.
        process.wait_for_output(r'viewer watcher: gone, no receiver report for \d+ s', DEADLINE_S)


def test_what_is_logged_is_live_and_errors_are_a_topic(sender, port, driver, observer):
    process = sender()
    errors = observer.listen('/camera_sender/errors')
    assert observer.set(NODE, 'log_level', 'error') == (True, '')
    assert observer.set(NODE, 'max_fps', 30.0)[0]
    assert observer.set(NODE, 'log_level', 'info') == (True, '')
    process.wait_for_output('set log_level to info', DEADLINE_S)
    assert 'set max_fps' not in process.output
    bad = scene_image(1, 64, 64)
    bad.encoding = 'novel9'
    driver.show(bad)
    with watching(port):
        error = observer.spin_until(
            lambda: next((e for e in errors if 'novel9' in e.message), None), 'no error'
        )
        assert (error.level, error.name) == (DiagnosticStatus.ERROR, 'camera_sender: error')
        assert values(error)['source'] == 'media.encoding'
        observer.wait_for_part(CAMERA, DiagnosticStatus.ERROR, "unknown image encoding 'novel9'")
    done, reason = observer.set(NODE, 'client_id', 'other')
    assert not done
    assert 'read-only' in reason
