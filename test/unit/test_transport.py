"""Which environment variable makes Fast DDS carry large images, and when it is the user's."""

from pathlib import Path

import pytest

from rtc_signaling.ros import transport
from rtc_signaling.ros.transport import image_transport_environment

CONFIG = Path(__file__).resolve().parents[2] / 'config'


@pytest.mark.parametrize(
    ('rclpy', 'name'),
    [
        ('7.1.6', 'FASTRTPS_DEFAULT_PROFILES_FILE'),  # Jazzy
        ('9.1.2', 'FASTDDS_DEFAULT_PROFILES_FILE'),  # Kilted
        ('10.0.9', 'FASTDDS_DEFAULT_PROFILES_FILE'),
    ],
)
def test_the_profile_goes_by_the_name_that_this_ros_reads(monkeypatch, rclpy, name):
    monkeypatch.setattr(transport.metadata, 'version', lambda _: rclpy)
    environment = image_transport_environment(CONFIG, {})
    assert list(environment) == [name]
    assert Path(environment[name]).is_file()


@pytest.mark.parametrize(
    'name',
    [
        'FASTDDS_DEFAULT_PROFILES_FILE',
        'FASTRTPS_DEFAULT_PROFILES_FILE',
        'FASTDDS_BUILTIN_TRANSPORTS',
    ],
)
def test_what_the_user_has_chosen_stays(name):
    assert image_transport_environment(CONFIG, {name: 'chosen'}) == {}
    assert image_transport_environment(CONFIG, {name: ''}) != {}
