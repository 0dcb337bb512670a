"""H.264 that a camera publishes, through real DDS and the real node to a WebRTC viewer."""

from __future__ import annotations

import contextlib
import threading

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from h264_camera import H264Camera
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_stage import lines, values, watching
from sensor_msgs.msg import CompressedImage
from std_srvs.srv import Trigger

from rtc_signaling.media.scene import CORNERS, read_corners, read_index

TOPIC = '/camera_sender/status'
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
PERIOD_S = 1 / 30
DISTINCT = 60


@pytest.fixture
def domain_id():
    return 69


@contextlib.contextmanager
def publishing(observer, film):
    """Publish these pictures in a loop, at 30 Hz, from a thread; yields a list to replace them."""
    qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
    publisher = observer.node.create_publisher(
        CompressedImage, '/camera/image_raw/compressed', qos
    )
    clock, stop = observer.node.get_clock(), threading.Event()
    films = [film]

    def publish():
        index = 0
        while not stop.wait(PERIOD_S):
            current = films[-1]
            message = CompressedImage(format='h264', data=current[index % len(current)])
            message.header.stamp = clock.now().to_msg()
            publisher.publish(message)
            index += 1

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield films
    finally:
        stop.set()
        thread.join()
        observer.node.destroy_publisher(publisher)


def fresh(viewer, observer):
    """Return the index of a picture that comes from now on."""

    def forget(watched):
        watched.last = None

    viewer(forget)
    picture = observer.spin_until(lambda: viewer(last_picture), 'no picture')[0]
    assert read_corners(picture) == CORNERS
    return read_index(picture)


def last_picture(viewer):
    return [] if viewer.last is None else [viewer.last]


def test_a_cameras_h264_reaches_a_viewer_unencoded(sender, observer, port):
    process = sender('image_transport:=compressed')
    film = H264Camera(key_frame_each=15).film(DISTINCT)
    with publishing(observer, film) as films, watching(port) as viewer:
        status = observer.wait_for(
            TOPIC, OK, 'sending to 1 viewer', image='^compressed .h264',
            pictures_shown='[1-9]',
        )  # fmt: skip
        # No encoder was opened: what runs is the camera's own.
        assert values(status)['encoders'] == 'passed_on by camera'
        index = fresh(viewer, observer)
        observer.spin_until(lambda: fresh(viewer, observer) != index, 'it stands still')
        assert 0 <= index < DISTINCT
        report = observer.wait_for_part('camera_sender: encoder', OK)
        found = values(report)
        assert found['passed_on_stream'] == '320x240, Baseline, level 1.3'
        assert found['passed_on_encoder'] == 'camera'
        assert not [key for key in found if key.startswith(('h264_', 'vp8_'))]
        asked = observer.call(Trigger, '/camera_sender/request_keyframe', Trigger.Request())
        assert asked.success
        assert asked.message.startswith('1 viewer(s) wait for the next key frame of the camera')
        films.append([b'no H.264 at all'])
        observer.wait_for(TOPIC, ERROR, '^H.264 of 15 bytes: it begins with no start code')
        films.append(film)
        observer.wait_for(TOPIC, OK, 'sending to 1 viewer', images_bad='[1-9]')
        fresh(viewer, observer)
        films.append(
            H264Camera(profile='high422', pixel_format='yuv422p', key_frame_each=15).film(15)
        )
        observer.wait_for(TOPIC, ERROR, '^H.264 of High 4:2:2, which browsers do not decode')
    assert ' by lib' not in process.output
    assert 'goes to viewers as the camera makes it: 320x240, Baseline' in process.output
    # One line for each of the two, however many images had it.
    errors = [text for level, text in lines(process) if level == 'ERROR']
    for beginning in ('H.264 of 15 bytes: it begins with no', 'H.264 of High 4:2:2, which'):
        assert sum(beginning in text for text in errors) == 1


def test_a_viewer_that_waits_long_for_a_key_frame_is_reported(sender, observer, port):
    process = sender('image_transport:=compressed')
    film = H264Camera(key_frame_each=1000).film(150)
    with publishing(observer, film) as films:
        observer.wait_for(TOPIC, (OK, WARN), '', images_received='[1-9]')
        with watching(port) as viewer:
            # Whoever comes while the film begins again may be lucky; not when it goes on.
            films.append(film[1:])
            report = observer.wait_for_part(
                'camera_sender: encoder', WARN,
                r'^viewers wait [0-9.]+ s by now for a key frame of the camera',
            )  # fmt: skip
            assert report.message.endswith('set it to one each second or two')
            films.append(film)
            fresh(viewer, observer)
            process.wait_for_output(r'a viewer waited [0-9.]+ s for a key frame: the camera')
