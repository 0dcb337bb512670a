"""Looks at the camera's topic as camera_sender does: who publishes, by which QoS, what arrives."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rclpy.context import Context
from rclpy.event_handler import QoSMessageLostInfo, SubscriptionEventCallbacks
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible, qos_profile_sensor_data
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import CompressedImage, Image

from rtc_signaling.doctor.ros_verdicts import COMPRESSED_TYPE, IMAGE_TYPE, CameraFacts, Endpoint
from rtc_signaling.errors import ConfigurationError

if TYPE_CHECKING:
    # Not at run time: later releases of rclpy have it in a module of another name.
    from rclpy.topic_endpoint_info import TopicEndpointInfo

IMAGE_TOPIC = 'camera/image_raw'
# Discovery takes some 100 ms in one machine; over a network up to a few seconds.
DISCOVERY_S = 5.0
# After the first publisher others may still be on their way.
SETTLING_S = 1.0
WINDOW_S = 3.0
SPIN_S = 0.1
SHARED_MEMORY = '/dev/shm'  # noqa: S108  # looked at, not written to
# Room for what comes while an image is being converted, so that only what DDS loses is lost.
QUEUE_DEPTH = 10
TYPES: dict[str, type[Image] | type[CompressedImage]] = {
    IMAGE_TYPE: Image,
    COMPRESSED_TYPE: CompressedImage,
}


class CameraProbe:
    """Observe the camera's topic once, with a node and a context of its own.

    Where nobody publishes there, but compressed images beside it, those are observed: what
    camera_sender takes with `image_transport:=compressed`.

    Args:
        topic: The topic; '' for `camera/image_raw`, as remapped by `ros_arguments`.
        ros_arguments: `--ros-args` and what follows it, or nothing.

    Raises:
        ConfigurationError: ROS cannot make sense of the topic or of the arguments.
    """

    def __init__(self, topic: str, ros_arguments: Sequence[str]) -> None:
        self._context = Context()
        try:
            self._context.init(list(ros_arguments))
            # RuntimeError is how rcl reports arguments that it cannot read, ValueError a name.
            self._node = Node('doctor', context=self._context)
            self._topic = self._node.resolve_topic_name(topic or IMAGE_TOPIC)
        except (RuntimeError, ValueError) as error:
            self._context.try_shutdown()
            words = ' '.join(str(error).split())
            raise ConfigurationError('--topic, --ros-args', topic, words) from error
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._received = 0
        self._lost = 0
        self._last: Image | CompressedImage | None = None
        self._age_s: float | None = None

    def __call__(self, stopped: Callable[[], bool]) -> CameraFacts:
        """Observe for some seconds and return what was seen; any thread, once.

        Args:
            stopped: Whether to come to an end; asked several times a second.
        """
        try:
            return self._observe(stopped)
        finally:
            self._executor.shutdown()
            self._node.destroy_node()
            self._context.try_shutdown()

    def _observe(self, stopped: Callable[[], bool]) -> CameraFacts:
        compressed = f'{self._topic}/compressed'
        topics = self._topic, compressed
        waited_s = self._spin(
            DISCOVERY_S, lambda: stopped() or any(self._publishers(topic) for topic in topics)
        )
        self._spin(SETTLING_S, stopped)
        if not self._publishers(self._topic) and self._publishers(compressed):
            self._topic = compressed
        # Each process is discovered for itself: camera_sender may be later than the camera.
        left_s = DISCOVERY_S - waited_s
        self._spin(left_s, lambda: stopped() or bool(self._subscriptions()))
        window_s = 0.0
        types = [info.topic_type for info in self._publishers(self._topic)]
        kinds = [TYPES[name] for name in types if name in TYPES]
        if kinds:
            window_s = self._listen(kinds[0], stopped)
        # Now, since on a busy machine some are found only meanwhile.
        publishers, subscriptions = self._publishers(self._topic), self._subscriptions()
        return CameraFacts(
            topic=self._topic,
            waited_s=waited_s,
            middleware=get_rmw_implementation_identifier(),
            domain_id=self._context.get_domain_id(),
            discovery=os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE') or 'SUBNET',
            publishers=tuple(_endpoint(info) for info in publishers),
            subscriptions=tuple(_endpoint(info) for info in subscriptions),
            mismatches=_mismatches(publishers, subscriptions),
            received=self._received,
            lost=self._lost,
            window_s=window_s,
            image=self._describe(),
            age_s=self._age_s,
            shared_memory_mib=_free_shared_memory_mib(),
        )

    def _publishers(self, topic: str) -> list[TopicEndpointInfo]:
        return list(self._node.get_publishers_info_by_topic(topic))

    def _subscriptions(self) -> list[TopicEndpointInfo]:
        """Return the subscriptions of others; the doctor's own may still be to be seen."""
        own = self._node.get_name(), self._node.get_namespace()
        found = self._node.get_subscriptions_info_by_topic(self._topic)
        return [info for info in found if (info.node_name, info.node_namespace) != own]

    def _spin(self, duration_s: float, done: Callable[[], bool]) -> float:
        """Spin until `done` or for `duration_s`; return for how long."""
        started_s = time.monotonic()
        while not done() and time.monotonic() - started_s < duration_s:
            self._executor.spin_once(timeout_sec=SPIN_S)
        return time.monotonic() - started_s

    def _listen(
        self, kind: type[Image] | type[CompressedImage], stopped: Callable[[], bool]
    ) -> float:
        """Count what arrives, from the first image on; return for how long."""
        sensor_data = qos_profile_sensor_data
        subscription = self._node.create_subscription(
            kind,
            self._topic,
            self._on_image,
            QoSProfile(
                depth=QUEUE_DEPTH,
                reliability=sensor_data.reliability,
                durability=sensor_data.durability,
            ),
            event_callbacks=SubscriptionEventCallbacks(message_lost=self._on_lost),
        )
        self._spin(WINDOW_S, lambda: stopped() or self._received > 0)
        self._received = self._lost = 0  # the first one only says when to begin
        window_s = self._spin(WINDOW_S, stopped)
        self._node.destroy_subscription(subscription)
        return window_s

    def _on_image(self, image: Image | CompressedImage) -> None:
        self._received += 1
        self._last = image
        stamp = image.header.stamp
        stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
        # The node's clock: simulated where that is asked for by use_sim_time.
        now_ns = self._node.get_clock().now().nanoseconds
        self._age_s = (now_ns - stamp_ns) / 1e9 if stamp_ns else None

    def _on_lost(self, lost: QoSMessageLostInfo) -> None:
        self._lost += lost.total_count_change

    def _describe(self) -> str:
        image = self._last
        if image is None:
            return ''
        if isinstance(image, CompressedImage):
            # As of image_transport: `bgr8; jpeg compressed bgr8`.
            words = str(image.format).rpartition('; ')[2]
            return f'{words}, {len(image.data) / 1000:.0f} kB'
        return f'{image.width}x{image.height} {image.encoding}'


def _endpoint(info: TopicEndpointInfo) -> Endpoint:
    namespace = info.node_namespace.rstrip('/')
    qos = info.qos_profile
    return Endpoint(
        f'{namespace}/{info.node_name}',
        info.topic_type,
        qos.reliability.name.lower(),
        qos.durability.name.lower(),
    )


def _mismatches(
    publishers: Sequence[TopicEndpointInfo], subscriptions: Sequence[TopicEndpointInfo]
) -> tuple[str, ...]:
    """Return the pairs that cannot talk, with the middleware's reason."""
    found = []
    for publisher in publishers:
        for subscription in subscriptions:
            if publisher.topic_type != subscription.topic_type:
                continue
            verdict, _ = qos_check_compatible(publisher.qos_profile, subscription.qos_profile)
            if verdict == QoSCompatibility.ERROR:
                found.append(f'{_endpoint(publisher)} does not reach {_endpoint(subscription)}')
    return tuple(found)


def _free_shared_memory_mib() -> float | None:
    try:
        status = os.statvfs(SHARED_MEMORY)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize / 2**20
