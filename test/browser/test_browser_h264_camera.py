"""H.264 as a camera makes it, in a real browser: also in profiles that no answer names."""

from __future__ import annotations

import threading

import pytest
from h264_camera import H264Camera
from processes import wait_until
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_stage import observer, serving, start
from sensor_msgs.msg import CompressedImage

from rtc_signaling.media.scene import CORNERS, read_corners, read_index

__all__ = ['observer', 'start']

PICTURES_S = 15.0
START_S = 30.0


@pytest.fixture
def domain_id():
    return 67


@pytest.mark.parametrize('profile', ['baseline', 'main', 'high'])
def test_a_browser_shows_a_cameras_own_h264(new_viewer, start, observer, profile):
    camera = H264Camera(640, 480, profile, key_frame_each=30, params='ref=1')
    film = [CompressedImage(format='h264', data=data) for data in camera.film(90)]
    qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
    publisher = observer.node.create_publisher(
        CompressedImage, '/camera/image_raw/compressed', qos
    )
    clock, stop = observer.node.get_clock(), threading.Event()

    def publish():
        index = 0
        while not stop.wait(1 / 30):
            message = film[index % len(film)]
            message.header.stamp = clock.now().to_msg()
            publisher.publish(message)
            index += 1

    thread = threading.Thread(target=publish)
    with serving() as port:
        sender = start(
            'camera_sender', f'server_url:=ws://127.0.0.1:{port}', 'image_transport:=compressed'
        )
        sender.wait_for_output('connected to the signaling server')
        thread.start()
        try:
            viewer = new_viewer(f'http://127.0.0.1:{port}/')
            viewer.wait_for_state('live', START_S)
            viewer.watch(10, PICTURES_S)
            first = wait_until(lambda: read_index(viewer.picture()), PICTURES_S, 'an index')
            wait_until(lambda: read_index(viewer.picture()) != first, PICTURES_S, 'another one')
            assert read_corners(viewer.picture()) == CORNERS
        finally:
            stop.set()
            thread.join()
    assert 'goes to viewers as the camera makes it: 640x480' in sender.output
    assert ' by lib' not in sender.output
