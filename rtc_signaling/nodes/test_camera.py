"""The `test_camera` node: a camera for the demo, tests and benchmarks."""

from __future__ import annotations

import logging
import time
from array import array
from typing import Protocol

import cv2
import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image

from rtc_signaling.errors import ConfigurationError
from rtc_signaling.media.frames import Pixels, from_bgr
from rtc_signaling.media.scene import Scene
from rtc_signaling.media.video_file import VideoFile, VideoFileError
from rtc_signaling.ros.logging import forward_logs
from rtc_signaling.ros.parameters import declare
from rtc_signaling.test_camera_config import TestCameraConfig

logger = logging.getLogger(__name__)

IMAGE_TOPIC = 'camera/image_raw'
QUEUE_DEPTH = 5
# A file that is later than this goes on from where it is; up to it, late pictures are skipped.
MAX_LATENESS_S = 1.0
MAX_RATE_HZ = 240.0


class _Source(Protocol):
    """What is published: a picture for each tick of the timer."""

    rate_hz: float

    def start(self, start_s: float) -> None:
        """Say when the first tick will be, in s of the monotonic clock."""

    def picture(self, now_s: float, clock_s: float) -> Pixels | None:
        """Return the BGR picture to publish at `now_s`, None if there is no new one.

        Args:
            now_s: Monotonic clock, in s.
            clock_s: The node's clock, in s since its epoch.
        """

    def close(self) -> None:
        """Release what is open."""


class _SceneSource:
    """Draw the synthetic scene."""

    def __init__(self, config: TestCameraConfig) -> None:
        self.rate_hz = config.rate_hz
        self._scene = Scene(config.width, config.height)
        self._index = 0

    def start(self, start_s: float) -> None:
        pass

    def picture(self, now_s: float, clock_s: float) -> Pixels:
        picture = self._scene.render(clock_s, self._index)
        self._index += 1
        return picture

    def close(self) -> None:
        pass


class _FileSource:
    """Play a video file at its own times."""

    def __init__(self, file: VideoFile) -> None:
        self.rate_hz = min(file.rate_hz, MAX_RATE_HZ)
        self._frames = file.frames()
        self._next_s, self._next = next(self._frames)
        self._start_s = 0.0

    def start(self, start_s: float) -> None:
        self._start_s = start_s

    def picture(self, now_s: float, clock_s: float) -> Pixels | None:
        if now_s - self._start_s - self._next_s > MAX_LATENESS_S:
            self._start_s = now_s - self._next_s
        # Half a period of slack: ticks and pictures have the same rate but jitter.
        due_s = now_s - self._start_s + 0.5 / self.rate_hz
        picture = None
        while self._next_s <= due_s:
            picture = self._next
            self._next_s, self._next = next(self._frames)
        return picture

    def close(self) -> None:
        self._frames.close()


class TestCameraNode:
    """Publish a synthetic scene or a video file on `camera/image_raw`.

    Construct, spin and close it on one thread.

    Raises:
        ConfigurationError: A parameter or the video file cannot be used.
    """

    __test__ = False  # the name is no invitation to pytest

    def __init__(self, context: Context) -> None:
        self.node = Node('test_camera', context=context)
        forward_logs(self.node.get_logger())
        self._config = declare(self.node, TestCameraConfig)
        self._source = _source(self._config)
        self._compressed = self._config.image_transport == 'compressed'
        topic = self.node.resolve_topic_name(IMAGE_TOPIC)
        self._publisher = self.node.create_publisher(
            CompressedImage if self._compressed else Image,
            f'{topic}/compressed' if self._compressed else IMAGE_TOPIC,
            _qos(self._config),
        )
        period_s = 1 / self._source.rate_hz
        self._source.start(time.monotonic() + period_s)
        # The steady clock: a step of the system's time must not stop the camera.
        self._timer = self.node.create_timer(
            period_s, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        logger.info(
            'publishing %s as %s at %g Hz on %s', self._config.video_file or 'the synthetic scene',
            self._config.encoding, self._source.rate_hz, self._publisher.topic_name,
        )  # fmt: skip

    def check(self) -> None:
        """Do nothing: there is no background half that could die."""

    def close(self) -> None:
        """Stop publishing and close the file."""
        self._timer.cancel()
        self._source.close()

    def _on_timer(self) -> None:
        now = self.node.get_clock().now()
        picture = self._source.picture(time.monotonic(), now.nanoseconds / 1e9)
        if picture is not None:
            make = self._compressed_message if self._compressed else self._message
            self._publisher.publish(make(picture, now))

    def _compressed_message(self, picture: Pixels, now: Time) -> CompressedImage:
        message = CompressedImage(format='bgr8; jpeg compressed bgr8')
        message.header.stamp = now.to_msg()
        message.header.frame_id = self._config.frame_id
        message.data = array('B', cv2.imencode('.jpg', picture)[1].tobytes())
        return message

    def _message(self, picture: Pixels, now: Time) -> Image:
        rows = np.ascontiguousarray(from_bgr(picture, self._config.encoding))
        message = Image(
            height=picture.shape[0], width=picture.shape[1], step=rows.shape[1],
            encoding=self._config.encoding, is_bigendian=0,
        )  # fmt: skip
        message.header.stamp = now.to_msg()
        message.header.frame_id = self._config.frame_id
        # Of all types only an array.array is taken by rclpy as it is, without a look at each byte.
        data = array('B')
        data.frombytes(rows.data)
        message.data = data
        return message


def make(context: Context) -> TestCameraNode:
    """Construct the node, for `runner.run`."""
    return TestCameraNode(context)


def _source(config: TestCameraConfig) -> _Source:
    if not config.video_file:
        return _SceneSource(config)
    try:
        return _FileSource(VideoFile(config.video_file))
    except VideoFileError as error:
        raise ConfigurationError('video_file', config.video_file, error.reason) from error


def _qos(config: TestCameraConfig) -> QoSProfile:
    reliable = config.reliability == 'reliable'
    policy = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
    return QoSProfile(depth=QUEUE_DEPTH, reliability=policy)
