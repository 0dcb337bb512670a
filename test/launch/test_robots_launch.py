"""Several cameras in a namespace, with respawn, by real launch: statuses, kills, the end."""

from __future__ import annotations

import os
import signal
import tempfile
import unittest
from pathlib import Path

import pytest

for name in ('launch_ros', 'launch_testing'):
    pytest.importorskip(
        name, reason=f'no {name} here: it comes with an installation of ROS 2, not as a wheel'
    )

# ruff: noqa: E402  # only now it is sure that they can be imported

import launch_testing.markers
from diagnostic_msgs.msg import DiagnosticStatus
from launch_stage import ObservedTestCase, receive, robot
from processes import free_port
from ros_stage import values

DOMAIN_ID = 88
OK = DiagnosticStatus.OK
PARAMETERS = """
/**/signaling_server:
  ros__parameters: {host: 127.0.0.1}
/**/camera_sender:
  ros__parameters: {ice_addresses: [127.0.0.1]}
/**/test_camera:
  ros__parameters: {width: 320, height: 240}
"""
# '1' is text, though launch would read it as a number.
CAMERAS = """
cameras:
  - {name: front, client_id: '1', parameters: {max_viewers: 3}}
  - {name: rear, image_topic: arm/image_raw}
"""


@pytest.mark.launch_test
def generate_test_description():
    """Launch one robot with two cameras in a namespace."""
    home = tempfile.TemporaryDirectory(prefix='rtc_signaling_launch.')
    port = free_port()
    params, cameras = Path(home.name, 'params.yaml'), Path(home.name, 'cameras.yaml')
    params.write_text(PARAMETERS, encoding='utf-8')
    cameras.write_text(CAMERAS, encoding='utf-8')
    arguments = {
        'namespace': 'robot1', 'params_file': str(params), 'cameras_file': str(cameras),
        'port': str(port), 'test_camera': 'true', 'respawn': 'true', 'respawn_delay': '0.2',
        'log_level': 'info',
    }  # fmt: skip
    return robot(home.name, DOMAIN_ID, arguments), {'home': home, 'port': port}


class TestRobots(ObservedTestCase):
    domain_id = DOMAIN_ID

    def test_each_camera_has_a_sender_that_sends(self, home, port):
        for name, sender in (('front', '1'), ('rear', 'rear')):
            status = self.observer.wait_for(f'/robot1/{name}/camera_sender/status', OK, '')
            assert values(status)['image'] == '320x240 bgr8'
            self.observer.wait_for_part(f'robot1/{name}/camera_sender: camera', OK)
            first, *_, last = receive(home.name, port, sender)
            assert last > first

    def test_parameters_are_those_of_the_list_and_a_read_only_one_is_refused(self):
        front = '/robot1/front/camera_sender'
        assert self.observer.get(front, 'client_id', 'max_viewers') == ['1', 3]
        done, reason = self.observer.set(front, 'client_id', 'other')
        assert not done
        assert 'read-only' in reason
        assert self.observer.get(front, 'client_id') == ['1']

    def test_topic_of_the_list_is_below_the_namespace(self):
        self.observer.wait_for('/robot1/rear/camera_sender/status', OK, '')
        assert self.observer.node.count_publishers('/robot1/arm/image_raw') == 1
        assert self.observer.node.count_subscribers('/robot1/arm/image_raw') == 1

    def test_zz_killed_nodes_come_back(self, home, port, proc_info, proc_output):
        """Last by its name: the nodes of the other tests are others from here on."""
        for node, ready, topic in (
            ('signaling_server', 'open http://', '/robot1/signaling/status'),
            ('camera_sender', 'waiting for images', '/robot1/front/camera_sender/status'),
        ):
            self.observer.wait_for(topic, OK, '')
            name = min(name for name in proc_info.process_names() if node in name)
            before = started(proc_output, ready)
            os.kill(proc_info[name].pid, signal.SIGKILL)
            self.observer.spin_until(
                lambda ready=ready, before=before: started(proc_output, ready) > before,
                f'{name} was not started again',
            )
            self.observer.wait_for(topic, OK, '')
        self.observer.wait_for('/robot1/signaling/status', OK, r'2 robot\(s\)')
        for sender in ('1', 'rear'):
            first, *_, last = receive(home.name, port, sender)
            assert last > first


def started(proc_output, ready):
    return sum(output.text.decode().count(ready) for output in proc_output)


@launch_testing.post_shutdown_test()
class TestRobotsAfterShutdown(unittest.TestCase):
    def test_all_ended_in_order_except_the_killed_ones(self, proc_info, proc_output, home):
        self.addCleanup(home.cleanup)
        # launch_testing keeps the last exit code of each: those of the nodes which came back.
        assert {proc_info[name].returncode for name in proc_info.process_names()} == {0}
        assert 'Traceback' not in ''.join(output.text.decode() for output in proc_output)
