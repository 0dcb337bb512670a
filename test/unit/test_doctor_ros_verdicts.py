"""What the facts of ROS mean."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtc_signaling.doctor.findings import Verdict
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


def check(finding, verdict, seen, remedy):
    assert finding.verdict is verdict, finding
    assert seen in finding.seen
    assert remedy in finding.remedy
    assert bool(finding.remedy) == (verdict in (Verdict.WARN, Verdict.FAIL))


def test_all_well():
    findings = judge(WELL, video_came=True)
    assert [finding.check for finding in findings] == ['camera_topic', 'qos', 'rate', 'dds']
    assert {finding.verdict for finding in findings} == {Verdict.OK}


def test_without_a_publisher_the_rest_is_skipped():
    findings = judge(replace(WELL, publishers=()), video_came=False)
    verdicts = {finding.check: finding.verdict for finding in findings}
    assert verdicts == {
        'camera_topic': Verdict.FAIL, 'qos': Verdict.SKIP, 'rate': Verdict.SKIP, 'dds': Verdict.OK,
    }  # fmt: skip


def test_the_topic():
    check(judge_topic(WELL, True), Verdict.OK, '/driver publishes, /camera_sender listens', '')
    check(judge_topic(replace(WELL, subscriptions=()), True), Verdict.OK, 'nobody listens', '')
    two = replace(WELL, publishers=(DRIVER, replace(DRIVER, node='/other')))
    check(judge_topic(two, True), Verdict.OK, 'more than one publisher', '')


def test_no_publisher():
    none = replace(WELL, publishers=())
    check(
        judge_topic(none, False),
        Verdict.FAIL,
        'looked for 5 s, in domain 7',
        'driver',
    )
    check(judge_topic(none, True), Verdict.WARN, 'but video comes', 'ROS_DOMAIN_ID')


def test_another_type():
    other = replace(DRIVER, type_name='sensor_msgs/msg/PointCloud2')
    wrong = replace(WELL, publishers=(other,))
    check(judge_topic(wrong, False), Verdict.FAIL, 'PointCloud2 from /driver', IMAGE_TYPE)
    both = replace(WELL, publishers=(other, DRIVER))
    check(judge_topic(both, False), Verdict.OK, 'more than one', '')


def test_compressed_images_are_images():
    driver = replace(DRIVER, type_name='sensor_msgs/msg/CompressedImage')
    facts = replace(WELL, publishers=(driver,))
    check(judge_topic(facts, False), Verdict.OK, 'image_transport:=compressed', '')
    assert 'compressed' not in judge_topic(WELL, False).seen


def test_the_qos():
    check(judge_qos(WELL), Verdict.OK, '/driver (reliable, volatile) to /camera_sender (best', '')
    check(
        judge_qos(replace(WELL, subscriptions=())), Verdict.WARN, 'nobody', 'start camera_sender'
    )
    bad = replace(WELL, mismatches=('a does not reach b', 'c does not reach d'))
    check(judge_qos(bad), Verdict.FAIL, 'a does not reach b; c does', 'reliable')


@pytest.mark.parametrize(
    ('changes', 'verdict', 'seen', 'remedy'),
    [
        ({}, Verdict.OK, '30.0 Hz of 640x480 bgr8, 12 ms old', ''),
        ({'received': 0}, Verdict.FAIL, 'none', 'sends nothing'),
        ({'received': 81, 'lost': 9}, Verdict.OK, '27.0 Hz', ''),
        ({'received': 80, 'lost': 10}, Verdict.WARN, '10 of 90 were lost', 'FASTDDS_DEFAULT'),
        ({'received': 0, 'lost': 5}, Verdict.WARN, 'none; 5 of 5 were lost', 'FASTDDS_DEFAULT'),
        ({'age_s': None}, Verdict.WARN, 'without a time', 'header.stamp'),
        ({'age_s': 1.0}, Verdict.OK, '1000 ms old', ''),
        ({'age_s': 1.1}, Verdict.WARN, '1.1 s old', 'use_sim_time'),
        ({'age_s': -0.1}, Verdict.OK, '-100 ms old', ''),
        ({'age_s': -0.2}, Verdict.WARN, '0.2 s ahead', 'NTP'),
    ],
)
def test_the_rate(changes, verdict, seen, remedy):
    check(judge_rate(replace(WELL, **changes)), verdict, seen, remedy)


@pytest.mark.parametrize(
    ('changes', 'verdict', 'seen', 'remedy'),
    [
        ({}, Verdict.OK, 'rmw_fastrtps_cpp, domain 7, discovery SUBNET, 1000 MiB of', ''),
        ({'shared_memory_mib': None}, Verdict.OK, 'SUBNET', ''),
        ({'shared_memory_mib': 64.0}, Verdict.OK, '64 MiB', ''),
        ({'shared_memory_mib': 63.0}, Verdict.WARN, '63 MiB', 'shm clean'),
        (
            {'middleware': 'rmw_cyclonedds_cpp', 'shared_memory_mib': 1.0},
            Verdict.OK,
            'cyclone',
            '',
        ),
    ],
)
def test_the_middleware(changes, verdict, seen, remedy):
    check(judge_dds(replace(WELL, **changes)), verdict, seen, remedy)
