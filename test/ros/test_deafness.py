"""A node whose port in Fast DDS's shared memory was removed, and which is made anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from processes import wait_until
from ros_stage import DEADLINE_S, READY

from rtc_signaling.ros.deafness import listened_ports, removed_ports

MAPS = """
7f7c3a200000-7f7c3a20d000 rw-s 00000000 00:1a 4807588    /dev/shm/{name}{suffix}
7f7c3a300000-7f7c3a30d000 rw-s 00000000 00:1a 4807590    /dev/shm/fastdds_port7005 (deleted)
7f7c3a400000-7f7c3a40d000 rw-s 00000000 00:1a 4807591    /dev/shm/fastdds_port20663 (deleted)
7f7c3a500000-7f7c3a50d000 r-xp 00000000 00:1a 4807592    /usr/lib/libfastdds.so.3.2
"""


def process(path, *, name='fastdds_port20661', suffix=' (deleted)'):
    (path / 'maps').write_text(MAPS.format(name=name, suffix=suffix))
    for number, comm in enumerate(('python3', 'dds.shm.20661', 'dds.shm.7005', 'dds.shm.wdog')):
        task = path / 'task' / str(number)
        task.mkdir(parents=True)
        (task / 'comm').write_text(f'{comm}\n')
    (path / 'task' / '99').mkdir()  # it has ended
    return path


@pytest.mark.parametrize('name', ['fastdds_port20661', 'fastrtps_port20661'])
def test_a_port_of_its_own_that_is_removed_is_told(tmp_path, name):
    assert removed_ports(process(tmp_path, name=name)) == {20661}


def test_a_port_that_is_there_is_none(tmp_path):
    assert removed_ports(process(tmp_path, suffix='')) == set()


def test_other_processes_ports_are_none(tmp_path):
    assert removed_ports(process(tmp_path, name='fastdds_port20665')) == set()


def test_where_there_is_no_proc_there_are_none(tmp_path):
    assert removed_ports(tmp_path / 'nothing') == set()


@pytest.fixture
def domain_id():
    return 50


def test_a_sender_whose_port_is_removed_gets_images_all_the_same(sender, start, observer):
    process = sender()
    [port] = listened_ports(Path(f'/proc/{process.pid}'))
    [file] = Path('/dev/shm').glob(f'fast*_port{port}')
    file.unlink()  # as another process does that takes it for a dead one's
    process.wait_for_output(f'has lost the shared memory of port {port}', DEADLINE_S)
    wait_until(
        lambda: process.output.count(READY['camera_sender']) == 2, DEADLINE_S, 'a second start'
    )
    start('test_camera')
    observer.wait_for('/camera_sender/status', DiagnosticStatus.OK, 'sending to', image='640x480')
    assert process.output.count('starting anew') == 1
    assert 'Traceback' not in process.output
