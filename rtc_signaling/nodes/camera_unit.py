"""One camera of the `camera_sender` node: its images, its figures, its services."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Float64, UInt32
from std_srvs.srv import SetBool, Trigger

from rtc_signaling import sender_reports
from rtc_signaling.image_flow import ImageFlow
from rtc_signaling.media.compressed import compressed_to_i420, encoding_of
from rtc_signaling.media.frames import DepthMapping, Pixels, describe, doubt, to_i420
from rtc_signaling.media.h264_stream import AccessUnit, is_h264
from rtc_signaling.media.track import Camera
from rtc_signaling.report import Report
from rtc_signaling.ros.bridge import find_cv_bridge
from rtc_signaling.ros.images import AnyImage, ImageSubscription
from rtc_signaling.ros.status import ReportPublisher
from rtc_signaling.sender_config import SenderConfig
from rtc_signaling.sender_metrics import SenderSnapshot

logger = logging.getLogger(__name__)


class CameraUnit:
    """Take a camera's images, and publish how it does; on the executor's thread.

    With the name `front` it subscribes to `front/image_raw`, and its topics and services are below
    `camera_sender/front`. Without a name it subscribes to `camera/image_raw`, they are below
    `camera_sender`, and the status is the node's own.

    Args:
        node: Whose topics and services they are.
        config: The operator's settings.
        name: The camera's; '' if it is the only one, without a name.
        hardware_id: What the reports are about.

    Attributes:
        camera: Where the images go.
        seen: Size and encoding of the last image, in words.
    """

    def __init__(self, node: Node, config: SenderConfig, name: str, hardware_id: str) -> None:
        self._node = node
        self._name = name
        self._config = config
        self.seen = ''
        prefix = f'camera_sender/{name}' if name else 'camera_sender'
        self._prefix = prefix
        self._status = None
        if name:
            self._status = ReportPublisher(node, f'{prefix}/status', hardware_id)
        self._viewers = node.create_publisher(UInt32, f'{prefix}/viewers', 10)
        self._fps = node.create_publisher(Float64, f'{prefix}/fps', 10)
        self._bitrate = node.create_publisher(Float64, f'{prefix}/bitrate', 10)
        self._frame_age = node.create_publisher(Float64, f'{prefix}/frame_age', 10)
        self._latency = node.create_publisher(Float64, f'{prefix}/latency', 10)
        self._bridge = find_cv_bridge()
        self.camera = Camera(self._to_i420, _doubt, name=name)
        self.camera.pacer.max_fps = config.max_fps
        self._images = ImageSubscription(node, config, self._on_image, name or 'camera')

    @property
    def topic(self) -> str:
        """Where its images are, whole."""
        return self._images.topic

    @property
    def flow(self) -> ImageFlow:
        """How its images arrive, as of now."""
        return self._images.flow()

    def serve(
        self,
        request_key_frame: Callable[[], str],
        set_enabled: Callable[[bool], str],
        respond: Callable[[Any, Callable[[], str]], Any],
    ) -> None:
        """Create its services.

        Args:
            request_key_frame: Does it, and returns what it has done, in words.
            set_enabled: Likewise.
            respond: Answers a service with what such a function does.
        """
        self._node.create_service(
            Trigger, f'{self._prefix}/request_keyframe',
            lambda _request, response: respond(response, request_key_frame),
        )  # fmt: skip
        self._node.create_service(
            SetBool, f'{self._prefix}/set_enabled',
            lambda request, response: respond(
                response, lambda: set_enabled(bool(request.data))
            ),
        )  # fmt: skip

    def reconfigure(self, config: SenderConfig) -> None:
        """Take up the parameters that are live."""
        self._config = config

    def publish(self, snapshot: SenderSnapshot) -> None:
        """Publish the figures of this camera."""
        flow = self.flow
        if self._status is not None:
            report = sender_reports.status(snapshot, flow, self.seen, self._config)
            self._status.publish(report)
        self._viewers.publish(UInt32(data=snapshot.viewers_connected))
        self._fps.publish(Float64(data=snapshot.fps))
        self._bitrate.publish(Float64(data=snapshot.bitrate_bps))
        # What is not known is not published: a 0 would look like a measurement.
        if flow.age_s is not None:
            self._frame_age.publish(Float64(data=flow.age_s))
        if snapshot.latency_s is not None:
            self._latency.publish(Float64(data=snapshot.latency_s))

    def publish_last(self, report: Report) -> None:
        """Publish what stays when the node is gone."""
        if self._status is not None:
            self._status.publish_last(report)

    def _on_image(self, image: AnyImage, stamp_ns: int) -> None:
        now_ns = self._node.get_clock().now().nanoseconds
        passed_on = isinstance(image, CompressedImage) and is_h264(image.format)
        content = AccessUnit(image.data) if passed_on else image
        self.camera.put(content, stamp_ns, (now_ns - stamp_ns) / 1e9 if stamp_ns else None)
        if isinstance(image, Image):
            seen, encoding = f'{image.width}x{image.height} {image.encoding}', image.encoding
        else:
            seen, encoding = f'compressed ({image.format})', encoding_of(image)
        if seen != self.seen:
            whose = f'{self._name}: ' if self._name else ''
            logger.info('%simages are %s%s', whose, seen, describe(encoding, self._depth()))
            self.seen = seen

    def _to_i420(self, image: AnyImage, out: Pixels | None = None) -> Pixels:
        """Convert an image with the settings of now; in the encoder's thread."""
        if isinstance(image, Image):
            return to_i420(image, out, self._depth(), self._bridge)
        return compressed_to_i420(image, out, self._depth())

    def _depth(self) -> DepthMapping:
        config = self._config
        return DepthMapping(config.depth_near_m, config.depth_far_m, config.depth_colour)


def _doubt(image: AnyImage, i420: Pixels) -> str:
    return doubt(image.encoding if isinstance(image, Image) else encoding_of(image), i420)
