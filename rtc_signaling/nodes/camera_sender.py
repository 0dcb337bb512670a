"""The `camera_sender` node."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractAsyncContextManager

from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import Image

from rtc_signaling.config import SenderConfig
from rtc_signaling.image_flow import ImageFlow, Level, judge
from rtc_signaling.loop_thread import LoopThread
from rtc_signaling.media.compressed import compressed_to_i420
from rtc_signaling.media.frames import to_i420
from rtc_signaling.media.sender import CameraSender
from rtc_signaling.media.track import Camera
from rtc_signaling.metrics import SenderSnapshot
from rtc_signaling.nodes.background import BackgroundNode
from rtc_signaling.ros import status
from rtc_signaling.ros.images import AnyImage, ImageSubscription
from rtc_signaling.ros.logging import forward_logs
from rtc_signaling.ros.outbox import Outbox
from rtc_signaling.ros.parameters import declare
from rtc_signaling.ros.status import StatusPublisher
from rtc_signaling.tokens import TokenReader

logger = logging.getLogger(__name__)


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
        compressed = self._config.image_transport == 'compressed'
        self._camera = Camera(compressed_to_i420 if compressed else to_i420)
        self._seen = ''
        self._thread = LoopThread('media', self._open_sender)
        self._thread.start()
        self._images = ImageSubscription(self.node, self._config, self._on_image)
        logger.info('waiting for images on %s', self._images.topic)

    def _open_sender(self) -> AbstractAsyncContextManager[CameraSender]:
        read_token = TokenReader(self._config.auth_token_file, os.environ)
        return CameraSender(self._config, self._camera, read_token, self._outbox.put).run()

    def _on_image(self, image: AnyImage, stamp_ns: int) -> None:
        self._camera.put(image, stamp_ns)
        if isinstance(image, Image):
            seen = f'{image.width}x{image.height} {image.encoding}'
        else:
            seen = f'compressed ({image.format})'
        if seen != self._seen:
            logger.info('images are %s', seen)
            self._seen = seen

    def _publish(self, snapshot: SenderSnapshot) -> None:
        flow = self._images.flow()
        arriving = judge(flow, self._config.stale_timeout_s)
        level, message = _judge(snapshot, arriving)
        self._status.publish(
            level,
            message,
            [
                ('linked', snapshot.linked),
                ('viewers', snapshot.viewers_connected),
                ('viewers_joining', snapshot.viewers - snapshot.viewers_connected),
                ('images', arriving[1] or 'arrive'),
                ('image', self._seen),
                *_flow_values(flow),
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


def _flow_values(flow: ImageFlow) -> list[tuple[str, object]]:
    return [
        ('image_rate', flow.received_hz),
        ('image_rate_published', flow.published_hz),
        ('image_age', '' if flow.age_s is None else flow.age_s),
        ('images_received', flow.received),
        ('images_lost', flow.lost),
        ('image_topic', flow.topic),
        ('image_qos', 'reliable' if flow.reliable else 'best effort'),
        ('image_publishers', ', '.join(publisher.node for publisher in flow.publishers)),
        ('image_qos_mismatches', flow.incompatible),
        ('image_qos_mismatch', flow.incompatible_policy),
    ]


def _judge(snapshot: SenderSnapshot, images: tuple[Level, str]) -> tuple[bytes, str]:
    """Say in a level and in words how the sender is; the worst first."""
    if snapshot.refusal:
        return status.ERROR, snapshot.refusal
    if snapshot.last_error:
        return status.ERROR, snapshot.last_error
    if not snapshot.linked:
        return status.WARN, f'no connection to the signaling server at {snapshot.server_url}'
    level, words = images
    if level is not Level.OK:
        return bytes([level]), words
    return status.OK, f'sending to {snapshot.viewers_connected} viewer(s)'
