"""Every parameter of the synthetic camera, declared once."""

from __future__ import annotations

from dataclasses import dataclass

from rtc_signaling.parameter import parameter


@dataclass(frozen=True)
class TestCameraConfig:
    """Configure the synthetic camera (`test_camera`)."""

    __test__ = False  # the name is no invitation to pytest

    width: int = parameter(
        640,
        'Width of the synthetic scene, in pixels',
        name='width',
        minimum=64,
        maximum=7680,
    )
    height: int = parameter(
        480,
        'Height of the synthetic scene, in pixels',
        name='height',
        minimum=64,
        maximum=4320,
    )
    rate_hz: float = parameter(
        30.0,
        'Images per second of the synthetic scene, in Hz',
        name='rate',
        minimum=0.1,
        maximum=240.0,
    )
    encoding: str = parameter(
        'bgr8',
        'Encoding of the images',
        name='encoding',
        choices=('bgr8', 'rgb8', 'mono8', 'yuv422'),
    )
    video_file: str = parameter(
        '',
        'Video file to publish at its own rate, looped; empty: the synthetic scene',
        name='video_file',
    )
    frame_id: str = parameter('camera', 'frame_id of the headers', name='frame_id')
    reliability: str = parameter(
        'best_effort',
        'QoS reliability of the publisher',
        name='reliability',
        choices=('best_effort', 'reliable'),
    )
    image_transport: str = parameter(
        'raw',
        'raw: sensor_msgs/Image; compressed: JPEG as sensor_msgs/CompressedImage on the same '
        'topic with /compressed behind it',
        name='image_transport',
        choices=('raw', 'compressed'),
    )
