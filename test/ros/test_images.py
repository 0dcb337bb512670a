"""Whether images arrive, as the sender's status tells it: real nodes, real DDS."""

from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from ros_stage import values, watching
from sensor_msgs.msg import CompressedImage

from rtc_signaling.media.scene import CORNERS, read_corners

TOPIC = '/camera_sender/status'
OK, WARN = DiagnosticStatus.OK, DiagnosticStatus.WARN
ERROR, STALE = DiagnosticStatus.ERROR, DiagnosticStatus.STALE


@pytest.fixture
def domain_id():
    return 85


def test_auto_follows_a_publisher_that_changes_and_keeps_what_runs(start, sender, observer):
    process = sender()
    observer.wait_for(TOPIC, STALE, 'nobody publishes', image_qos='^best effort$')
    camera = start('test_camera', 'reliability:=reliable')
    observer.wait_for(
        TOPIC, OK, 'sending to', image_qos='^reliable$', image_publishers='/test_camera'
    )
    camera.stop()
    observer.wait_for(TOPIC, STALE, 'nobody publishes', image_qos='^reliable$')
    start('test_camera', 'reliability:=best_effort', 'width:=320', 'height:=240')
    status = observer.wait_for(TOPIC, OK, 'sending to', image_qos='^best effort$', image='320x240')
    assert int(values(status)['images_received']) > 0
    # Once for each change, and not at each look.
    assert process.output.count('is subscribed as its publishers offer it') == 2
    # For a moment the two did not match, as `auto` had it.
    assert 'does not match' not in process.output
    assert values(status)['image_qos_mismatches'] == '0'


def test_a_best_effort_publisher_is_named_where_reliable_is_asked_for(start, sender, observer):
    process = sender('image_qos:=reliable')
    start('test_camera')
    status = observer.wait_for(
        TOPIC, ERROR,
        r'^the publisher /test_camera of /camera/image_raw offers best effort, image_qos is '
        'reliable: set image_qos to auto or best_effort$',
        image_qos_mismatch='RELIABILITY',
    )  # fmt: skip
    assert values(status)['image_qos_mismatches'] == '1'
    assert values(status)['images_received'] == '0'
    assert 'does not match: QoS policy RELIABILITY' in process.output


def test_best_effort_is_what_is_asked_for_if_it_is_set(start, sender, observer):
    process = sender('image_qos:=best_effort')
    start('test_camera', 'reliability:=reliable')
    observer.wait_for(
        TOPIC, OK, 'sending to', image_qos='^best effort$', image_publishers='camera'
    )
    assert 'is subscribed as' not in process.output


def test_losses_of_a_publisher_with_default_transports_are_named(start, sender, observer):
    sender()
    start('test_camera', 'width:=1280', 'height:=720', transport=False)
    # A few images or none at all arrive: WARN or STALE, with the same words.
    status = observer.wait_for(
        TOPIC, (WARN, STALE),
        r"^about \d+ Hz are published, \d+ Hz arrive: the publisher's DDS transport loses large "
        'images; start it with FASTDDS_DEFAULT_PROFILES_FILE .* see docs/images-over-dds.md$',
    )  # fmt: skip
    assert int(values(status)['images_lost']) > 0


def test_a_camera_that_is_killed_is_stale_and_may_come_back_as_another(start, sender, observer):
    sender('stale_timeout:=1.0')
    camera = start('test_camera', 'width:=320', 'height:=240')
    observer.wait_for(TOPIC, OK, 'sending to', image='^320x240 bgr8$')
    camera.kill()
    observer.wait_for(TOPIC, STALE, 'no images from the camera')
    start('test_camera', 'width:=640', 'height:=480', 'encoding:=mono8')
    observer.wait_for(TOPIC, OK, 'sending to', image='^640x480 mono8$')


def test_compressed_images_are_taken_and_bad_ones_named(start, sender, observer, port):
    sender('image_transport:=compressed')
    camera = start('test_camera', 'image_transport:=compressed')
    with watching(port) as viewer:
        observer.wait_for(
            TOPIC, OK, r'sending to 1 viewer', image='^compressed .*jpeg',
            image_topic='^/camera/image_raw/compressed$', pictures_shown='[1-9]',
        )  # fmt: skip
        picture = observer.spin_until(lambda: viewer(last_picture), 'no picture')[0]
        assert read_corners(picture) == CORNERS
        camera.stop()
        publisher = observer.node.create_publisher(
            CompressedImage, '/camera/image_raw/compressed', 1
        )
        timer = observer.node.create_timer(
            0.05, lambda: publisher.publish(CompressedImage(format='jpeg', data=b'no picture'))
        )
        observer.wait_for(TOPIC, ERROR, "^compressed image of 10 bytes, format 'jpeg': cannot")
        timer.cancel()
        start('test_camera', 'image_transport:=compressed')
        observer.wait_for(TOPIC, OK, 'sending to 1 viewer')


def last_picture(viewer):
    return [] if viewer.last is None else [viewer.last]
