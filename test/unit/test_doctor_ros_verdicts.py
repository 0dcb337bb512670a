"""What the facts of ROS mean."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtc_signaling.doctor.report import Level
from rtc_signaling.doctor.ros_verdicts import (
    IMAGE_TYPE,
    CameraFacts,
    Endpoint,
    judge,
    judge_dds,
    judge_qos,
    judge_rate,
    judge_topic,
)

DRIVER = Endpoint('/driver', IMAGE_TYPE, 'reliable', 'volatile')
SENDER = Endpoint('/camera_sender', IMAGE_TYPE, 'best_effort', 'volatile')
WELL = CameraFacts(
    '/camera/image_raw', 5.0, 'rmw_fastrtps_cpp', 7, 'SUBNET', (DRIVER,), (SENDER,), (), 90, 0,
    3.0, '640x480 bgr8', 0.012, 1000.0,
)  # fmt: skip


def check(finding, level, seen, remedy):
    assert finding.level is level, finding
    assert seen in finding.seen
    assert remedy in finding.remedy
    assert bool(finding.remedy) == (level in (Level.WARN, Level.FAIL))


def test_all_well():
    findings = judge(WELL, video_came=True)
    assert [finding.check for finding in findings] == ['camera_topic', 'qos', 'rate', 'dds']
    assert {finding.level for finding in findings} == {Level.OK}


def test_without_a_publisher_the_rest_is_skipped():
    findings = judge(replace(WELL, publishers=()), video_came=False)
    levels = {finding.check: finding.level for finding in findings}
    assert levels == {
        'camera_topic': Level.FAIL, 'qos': Level.SKIP, 'rate': Level.SKIP, 'dds': Level.OK,
    }  # fmt: skip


def test_the_topic():
    check(judge_topic(WELL, True), Level.OK, '/driver; /camera_sender listens', '')
    check(judge_topic(replace(WELL, subscriptions=()), True), Level.OK, 'nobody listens', '')
    two = replace(WELL, publishers=(DRIVER, replace(DRIVER, node='/other')))
    check(judge_topic(two, True), Level.OK, '/driver, /other; /camera_sender listens; more', '')


def test_no_publisher():
    none = replace(WELL, publishers=())
    check(judge_topic(none, False), Level.FAIL, 'none within 5 s, in domain 7', 'driver')
    check(judge_topic(none, True), Level.WARN, 'but video comes', 'ROS_DOMAIN_ID')


def test_another_type():
    other = replace(DRIVER, type_name='sensor_msgs/msg/CompressedImage')
    wrong = replace(WELL, publishers=(other,))
    check(judge_topic(wrong, False), Level.FAIL, 'CompressedImage from /driver', IMAGE_TYPE)
    both = replace(WELL, publishers=(other, DRIVER))
    check(judge_topic(both, False), Level.OK, 'more than one', '')


def test_the_qos():
    check(judge_qos(WELL), Level.OK, '/driver (reliable, volatile) to /camera_sender (best', '')
    check(judge_qos(replace(WELL, subscriptions=())), Level.WARN, 'nobody', 'start camera_sender')
    bad = replace(WELL, mismatches=('a does not reach b', 'c does not reach d'))
    check(judge_qos(bad), Level.FAIL, 'a does not reach b; c does', 'reliable')


@pytest.mark.parametrize(
    ('changes', 'level', 'seen', 'remedy'),
    [
        ({}, Level.OK, '30.0 Hz of 640x480 bgr8, 12 ms old', ''),
        ({'received': 0}, Level.FAIL, 'none', 'sends nothing'),
        ({'received': 81, 'lost': 9}, Level.OK, '27.0 Hz', ''),
        ({'received': 80, 'lost': 10}, Level.WARN, '10 of 90 were lost', 'FASTDDS_DEFAULT'),
        ({'received': 0, 'lost': 5}, Level.WARN, 'none; 5 of 5 were lost', 'FASTDDS_DEFAULT'),
        ({'age_s': None}, Level.WARN, 'without a time', 'header.stamp'),
        ({'age_s': 1.0}, Level.OK, '1000 ms old', ''),
        ({'age_s': 1.1}, Level.WARN, '1.1 s old', 'use_sim_time'),
        ({'age_s': -0.1}, Level.OK, '-100 ms old', ''),
        ({'age_s': -0.2}, Level.WARN, '0.2 s ahead', 'NTP'),
    ],
)
def test_the_rate(changes, level, seen, remedy):
    check(judge_rate(replace(WELL, **changes)), level, seen, remedy)


@pytest.mark.parametrize(
    ('changes', 'level', 'seen', 'remedy'),
    [
        ({}, Level.OK, 'rmw_fastrtps_cpp, domain 7, discovery SUBNET, 1000 MiB of', ''),
        ({'shared_memory_mib': None}, Level.OK, 'SUBNET', ''),
        ({'shared_memory_mib': 64.0}, Level.OK, '64 MiB', ''),
        ({'shared_memory_mib': 63.0}, Level.WARN, '63 MiB', 'shm clean'),
        ({'middleware': 'rmw_cyclonedds_cpp', 'shared_memory_mib': 1.0}, Level.OK, 'cyclone', ''),
    ],
)
def test_the_middleware(changes, level, seen, remedy):
    check(judge_dds(replace(WELL, **changes)), level, seen, remedy)
