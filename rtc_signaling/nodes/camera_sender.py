"""The `camera_sender` node."""

from __future__ import annotations

import logging
import os
import time
from contextlib import AbstractAsyncContextManager

from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import Image

from rtc_signaling.config import SenderConfig
from rtc_signaling.loop_thread import LoopThread
from rtc_signaling.media.sender import CameraSender
from rtc_signaling.media.track import Camera
from rtc_signaling.metrics import RateMeter, SenderSnapshot
from rtc_signaling.nodes.background import BackgroundNode
from rtc_signaling.ros import status
from rtc_signaling.ros.logging import forward_logs
from rtc_signaling.ros.outbox import Outbox
from rtc_signaling.ros.parameters import declare
from rtc_signaling.ros.status import StatusPublisher
from rtc_signaling.tokens import TokenReader

logger = logging.getLogger(__name__)

IMAGE_TOPIC = 'camera/image_raw'


class CameraSenderNode(BackgroundNode):
    """Send a camera's images to WebRTC viewers and publish how that goes.

    Subscribes to `camera/image_raw`, publishes `camera_sender/status`. Construct, spin and close
    it on one thread.

    Raises:
        ConfigurationError: A parameter cannot be used.
    """

    def __init__(self, context: Context) -> None:
        self.node = Node('camera_sender', context=context)
        forward_logs(self.node.get_logger())
        self._config = declare(self.node, SenderConfig)
        self._status = StatusPublisher(
            self.node, 'camera_sender/status', f'rtc_signaling:{self._config.client_id}'
        )
        self._outbox = Outbox[SenderSnapshot](self.node, self._publish)
        self._camera = Camera()
        self._rate = RateMeter()
        self._seen = ''
        self._thread = LoopThread('media', self._open_sender)
        self._thread.start()
        self._subscription = self.node.create_subscription(
            Image,
            IMAGE_TOPIC,
            self._on_image,
            _latest_image_qos(),
        )
        logger.info('waiting for images on %s', self._subscription.topic_name)

    def _open_sender(self) -> AbstractAsyncContextManager[CameraSender]:
        read_token = TokenReader(self._config.auth_token_file, os.environ)
        return CameraSender(self._config, self._camera, read_token, self._outbox.put).run()

    def _on_image(self, image: Image) -> None:
        stamp = image.header.stamp
        self._camera.put(image, stamp.sec * 1_000_000_000 + stamp.nanosec)
        self._rate.count(time.monotonic())
        seen = f'{image.width}x{image.height} {image.encoding}'
        if seen != self._seen:
            logger.info('images are %s', seen)
            self._seen = seen

    def _publish(self, snapshot: SenderSnapshot) -> None:
        now_s = time.monotonic()
        stale = self._rate.silence_s(now_s) > self._config.stale_timeout_s
        level, message = _judge(snapshot, stale)
        self._status.publish(
            level,
            message,
            [
                ('linked', snapshot.linked),
                ('viewers', snapshot.viewers_connected),
                ('viewers_joining', snapshot.viewers - snapshot.viewers_connected),
                ('image_rate', self._rate.rate_hz(now_s)),
                ('image', self._seen),
                ('images_received', snapshot.images_received),
                ('images_replaced', snapshot.images_replaced),
                ('images_bad', snapshot.images_bad),
                ('pictures_shown', snapshot.pictures_shown),
                ('last_error', snapshot.last_error),
                ('server_url', snapshot.server_url),
            ],
        )


def make(context: Context) -> CameraSenderNode:
    """Construct the node, for `runner.run`."""
    return CameraSenderNode(context)


def _latest_image_qos() -> QoSProfile:
    """Return the sensor data QoS with a queue of one: only the latest image is of use."""
    sensor_data = qos_profile_sensor_data
    return QoSProfile(
        depth=1, reliability=sensor_data.reliability, durability=sensor_data.durability
    )


def _judge(snapshot: SenderSnapshot, stale: bool) -> tuple[bytes, str]:
    """Say in a level and in words how the sender is; the worst first."""
    if snapshot.refusal:
        return status.ERROR, snapshot.refusal
    if snapshot.last_error:
        return status.ERROR, snapshot.last_error
    if not snapshot.linked:
        return status.WARN, f'no connection to the signaling server at {snapshot.server_url}'
    if stale:
        return status.STALE, 'no images from the camera'
    return status.OK, f'sending to {snapshot.viewers_connected} viewer(s)'
