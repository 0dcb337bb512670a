"""The subscription of the camera's images: it follows what publishers offer, and counts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeAlias

from rclpy.clock import Clock, ClockType
from rclpy.event_handler import (
    QoSMessageLostInfo,
    QoSRequestedIncompatibleQoSInfo,
    SubscriptionEventCallbacks,
)
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from rtc_signaling.image_flow import FlowMeter, ImageFlow, Publisher, runs_wild, wildness
from rtc_signaling.sender_config import SenderConfig

logger = logging.getLogger(__name__)

LOOK_PERIOD_S = 1.0
# Of H.264 each picture needs the one before it, so some may wait until this thread has time; of
# JPEG the latest wins all the same, right behind.
COMPRESSED_DEPTH = 16
AnyImage: TypeAlias = Image | CompressedImage


class ImageSubscription:
    """Take a camera's images with the QoS that loses the fewest, and count what happens to them.

    Only the latest image is of use, so the queue has one place, of compressed images some for
    H.264. With `image_qos` auto it looks each second at who publishes: if all publishers are
    reliable, so is the subscription (where the transport is too small for images, most of them
    then arrive at the second attempt: docs/images-over-dds.md), otherwise it is best effort, which
    takes from all. Where nobody publishes, and where nothing has changed, it stays as it is.
    Durability is always volatile: it matches every publisher, and an image from before is of no
    use to a viewer.

    Use it on the executor's thread.

    Args:
        node: Whose subscription it is.
        config: `image_qos` and `image_transport` count.
        on_image: Called with each image and its header stamp, in ns.
        name: The camera's; its topic is `<name>/image_raw`.
    """

    def __init__(
        self,
        node: Node,
        config: SenderConfig,
        on_image: Callable[[AnyImage, int], None],
        name: str = 'camera',
    ) -> None:
        self._node = node
        self._on_image = on_image
        self._auto = config.image_qos == 'auto'
        self._reliable = config.image_qos == 'reliable'
        self._type: type[AnyImage] = Image
        self._topic = f'{name}/image_raw'
        if config.image_transport == 'compressed':
            self._type = CompressedImage
            # As image_transport does it: the raw topic is what a user remaps.
            self._topic = f'{node.resolve_topic_name(self._topic)}/compressed'
        self._meter = FlowMeter()
        self._publishers: tuple[Publisher, ...] = ()
        self._wild = False
        self._subscription = self._subscribe()
        self._timer = node.create_timer(
            LOOK_PERIOD_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    @property
    def topic(self) -> str:
        """The topic, whole."""
        return str(self._subscription.topic_name)

    def flow(self) -> ImageFlow:
        """Return the figures of now."""
        return self._meter.flow(
            time.monotonic(),
            self._node.get_clock().now().nanoseconds,
            self.topic,
            self._reliable,
            self._publishers,
        )

    def _subscribe(self) -> Subscription:
        policy = ReliabilityPolicy.RELIABLE if self._reliable else ReliabilityPolicy.BEST_EFFORT
        return self._node.create_subscription(
            self._type,
            self._topic,
            self._take,
            QoSProfile(
                depth=1 if self._type is Image else COMPRESSED_DEPTH,
                reliability=policy,
                durability=DurabilityPolicy.VOLATILE,
            ),
            event_callbacks=SubscriptionEventCallbacks(
                message_lost=self._on_lost, incompatible_qos=self._on_incompatible
            ),
        )

    def _take(self, image: AnyImage) -> None:
        stamp_ns = image.header.stamp.sec * 1_000_000_000 + image.header.stamp.nanosec
        self._meter.image(time.monotonic(), stamp_ns)
        self._on_image(image, stamp_ns)

    def _on_lost(self, info: QoSMessageLostInfo) -> None:
        self._meter.images_lost(time.monotonic(), info.total_count_change)

    def _on_incompatible(self, info: QoSRequestedIncompatibleQoSInfo) -> None:
        if self._auto:
            return  # the next look follows the publisher
        policy = qos_policy_name_from_kind(info.last_policy_kind)
        self._meter.mismatch(info.total_count_change, policy)
        logger.warning(
            'a publisher of %s does not match: QoS policy %s (image_qos); its images cannot come',
            self.topic, policy,
        )  # fmt: skip

    def _look(self) -> None:
        found = self._node.get_publishers_info_by_topic(self.topic)
        self._publishers = tuple(
            Publisher(
                f'{info.node_namespace.rstrip("/")}/{info.node_name}',
                info.qos_profile.reliability == ReliabilityPolicy.RELIABLE,
            )
            for info in found
        )
        self._look_at_rate()
        if not self._auto or not self._publishers:
            return
        reliable = all(publisher.reliable for publisher in self._publishers)
        if reliable != self._reliable:
            self._reliable = reliable
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._subscribe()
            logger.info('%s is subscribed as its publishers offer it: %s', self.topic,
                        'reliable' if reliable else 'best effort')  # fmt: skip

    def _look_at_rate(self) -> None:
        flow = self.flow()
        wild = runs_wild(flow)
        if wild and not self._wild:
            logger.warning('%s', wildness(flow))
        self._wild = wild
