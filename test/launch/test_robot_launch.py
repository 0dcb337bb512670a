"""The robot's launch file with real launch: its whole ROS face, page, video, an orderly end."""

from __future__ import annotations

import tempfile
import unittest
import urllib.request
from pathlib import Path

import pytest

for name in ('launch_ros', 'launch_testing'):
    pytest.importorskip(
        name, reason=f'no {name} here: it comes with an installation of ROS 2, not as a wheel'
    )

# ruff: noqa: E402  # only now it is sure that they can be imported

import launch_testing.asserts
import launch_testing.markers
from diagnostic_msgs.msg import DiagnosticStatus
from launch_stage import ObservedTestCase, receive, robot
from processes import free_port
from rclpy.qos import qos_profile_sensor_data
from ros_stage import values
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, Trigger

DOMAIN_ID = 72
OK = DiagnosticStatus.OK
STATUSES = {'signaling_server': '/signaling/status', 'camera_sender': '/camera_sender/status'}
PARAMETERS = """
/**/signaling_server:
  ros__parameters: {{host: 127.0.0.1, port: {port}}}
/**/camera_sender:
  ros__parameters: {{server_url: 'ws://127.0.0.1:{port}', ice_addresses: [127.0.0.1]}}
/**/test_camera:
  ros__parameters: {{width: 320, height: 240}}
"""


@pytest.mark.launch_test
@launch_testing.parametrize('arguments_given', [False, True])
def generate_test_description(arguments_given):
    """Launch with the port and the topic as the parameter file or as arguments say them."""
    home = tempfile.TemporaryDirectory(prefix='rtc_signaling_launch.')
    port = free_port()
    file = Path(home.name, 'params.yaml')
    file.write_text(
        PARAMETERS.format(port=free_port() if arguments_given else port), encoding='utf-8'
    )
    arguments = {'params_file': str(file), 'test_camera': 'true'}
    image_topic = '/camera/image_raw'
    if arguments_given:
        image_topic = '/front/image_raw'
        arguments |= {'port': str(port), 'image_topic': image_topic}
    described = {'home': home, 'port': port, 'image_topic': image_topic}
    return robot(home.name, DOMAIN_ID, arguments), described


class TestRobot(ObservedTestCase):
    domain_id = DOMAIN_ID

    def wait_until_ok(self, node, message=''):
        """Return the values of a node's next status that is OK."""
        return values(self.observer.wait_for(STATUSES[node], OK, message))

    def test_server_says_that_a_robot_is_there(self):
        assert self.wait_until_ok('signaling_server')['senders'] == '1'

    def test_sender_says_what_it_sends(self, port):
        told = self.wait_until_ok('camera_sender')
        assert told['linked'] == 'yes'
        assert told['image'] == '320x240 bgr8'
        assert told['server_url'] == f'ws://127.0.0.1:{port}'

    def test_diagnostics_have_the_parts_of_both_nodes(self):
        for part in ('server', 'connections', 'errors', 'latency'):
            self.observer.wait_for_part(f'signaling_server: {part}', OK)
        for part in ('camera', 'encoder', 'signaling link'):
            self.observer.wait_for_part(f'camera_sender: {part}', OK)

    def test_images_are_on_the_topic(self, image_topic):
        images = self.observer.hear(image_topic, Image, qos_profile_sensor_data)
        self.observer.spin_until(lambda: images, 'no image')
        image = images[0]
        assert (image.width, image.height, image.encoding) == (320, 240, 'bgr8')
        assert len(image.data) == 320 * 240 * 3

    def test_page_and_its_files_are_served(self, port):
        self.wait_until_ok('signaling_server')
        for path in ('', 'viewer.js'):
            with urllib.request.urlopen(f'http://127.0.0.1:{port}/{path}', timeout=5) as answer:
                assert answer.status == 200
                assert answer.read()

    def test_parameters_are_read_and_live_ones_set_by_their_services(self, port):
        assert self.observer.get('/signaling_server', 'port', 'host') == [port, '127.0.0.1']
        for node, name in (('signaling_server', 'max_connections'), ('camera_sender', 'max_fps')):
            assert self.observer.set(f'/{node}', name, 7) == (True, '')
            assert self.observer.get(f'/{node}', name) == [7]
        done, reason = self.observer.set('/signaling_server', 'port', 1)
        assert not done
        assert 'read-only' in reason

    def test_services_answer_in_words(self):
        self.wait_until_ok('camera_sender')
        for kind, name, request, words in (
            (Trigger, 'camera_sender/request_keyframe', Trigger.Request(), 'get a key frame next'),
            (SetBool, 'camera_sender/set_enabled', SetBool.Request(data=False), 'is off'),
            (SetBool, 'camera_sender/set_enabled', SetBool.Request(data=True), 'is on'),
            (Trigger, 'signaling_server/rotate_token', Trigger.Request(), 'new tokens are in'),
            (Trigger, 'signaling_server/disconnect_all', Trigger.Request(), 'may come back'),
        ):
            answer = self.observer.call(kind, f'/{name}', request)
            assert answer.success, answer.message
            assert words in answer.message
        # The sender reads the new token by itself.
        self.wait_until_ok('signaling_server', r'1 robot\(s\)')

    def test_viewer_sees_the_scene(self, home, port):
        self.wait_until_ok('camera_sender')
        first, *_, last = receive(home.name, port, 'camera')
        assert last > first


@launch_testing.post_shutdown_test()
class TestRobotAfterShutdown(unittest.TestCase):
    def test_all_nodes_ended_in_order(self, proc_info, proc_output, home):
        self.addCleanup(home.cleanup)
        names = {name.rpartition('-')[0] for name in proc_info.process_names()}
        assert names == {'signaling_server', 'camera_sender', 'test_camera'}
        launch_testing.asserts.assertExitCodes(proc_info)
        written = ''.join(output.text.decode() for output in proc_output)
        assert 'open http://127.0.0.1:' in written
        assert 'Traceback' not in written
