"""The `camera_sender` node."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractAsyncContextManager

from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Float64, UInt32
from std_srvs.srv import SetBool, Trigger

from rtc_signaling import sender_reports
from rtc_signaling.loop_thread import LoopThread
from rtc_signaling.media.compressed import compressed_to_i420, encoding_of
from rtc_signaling.media.frames import DepthMapping, Pixels, describe, doubt, to_i420
from rtc_signaling.media.h264_stream import AccessUnit, is_h264
from rtc_signaling.media.sender import CameraSender
from rtc_signaling.media.track import Camera
from rtc_signaling.metrics import SenderSnapshot
from rtc_signaling.nodes.background import BackgroundNode
from rtc_signaling.report import Report
from rtc_signaling.ros.bridge import find_cv_bridge
from rtc_signaling.ros.images import AnyImage, ImageSubscription
from rtc_signaling.ros.logging import forward_logs, set_log_level
from rtc_signaling.ros.parameters import LiveParameters, declare
from rtc_signaling.sender_config import SenderConfig
from rtc_signaling.tokens import TokenReader

logger = logging.getLogger(__name__)


class CameraSenderNode(BackgroundNode[SenderSnapshot, CameraSender]):
    """Send a camera's images to WebRTC viewers and publish how that goes.

    Subscribes to `camera/image_raw`. Publishes `camera_sender/status`, `camera_sender/errors`,
    /diagnostics, and as plain numbers `camera_sender/viewers`, `camera_sender/fps` (Hz),
    `camera_sender/bitrate` (bit/s), `camera_sender/frame_age` (s) and `camera_sender/latency` (s,
    as the viewers measured it). Services `camera_sender/request_keyframe` and
    `camera_sender/set_enabled`. Construct, spin and close it on one thread.

    Raises:
        ConfigurationError: A parameter cannot be used.
    """

    def __init__(self, context: Context) -> None:
        self.node = node = Node('camera_sender', context=context)
        self._config = config = declare(node, SenderConfig)
        forward_logs(node.get_logger(), config.log_level)
        self._put = self._publish_as('camera_sender', f'rtc_signaling:{config.client_id}')
        self._viewers = node.create_publisher(UInt32, 'camera_sender/viewers', 10)
        self._fps = node.create_publisher(Float64, 'camera_sender/fps', 10)
        self._bitrate = node.create_publisher(Float64, 'camera_sender/bitrate', 10)
        self._frame_age = node.create_publisher(Float64, 'camera_sender/frame_age', 10)
        self._latency = node.create_publisher(Float64, 'camera_sender/latency', 10)
        self._bridge = find_cv_bridge()
        self._camera = Camera(self._to_i420, _doubt)
        self._camera.pacer.max_fps = config.max_fps
        self._seen = ''
        self._images = ImageSubscription(node, config, self._on_image)
        self._thread = LoopThread('media', self._open_sender)
        self._sender = self._thread.start()
        LiveParameters(node, config, self._reconfigure, self._ask_thread)
        node.create_service(Trigger, 'camera_sender/request_keyframe', self._request_key_frame)
        node.create_service(SetBool, 'camera_sender/set_enabled', self._set_enabled)
        logger.info('waiting for images on %s', self._images.topic)

    def _open_sender(self) -> AbstractAsyncContextManager[CameraSender]:
        read_token = TokenReader(self._config.auth_token_file, os.environ)
        return CameraSender(
            self._config, self._camera, read_token, self._put, self._stamps_now_ns
        ).run()

    def _stamps_now_ns(self) -> int | None:
        """Return the time of the clock that stamps are of; any thread may call."""
        clock = self.node.get_clock()
        # Simulated time (use_sim_time) stands, jumps and runs at any pace, which no viewer's does.
        return None if clock.ros_time_is_active else int(clock.now().nanoseconds)

    def _on_image(self, image: AnyImage, stamp_ns: int) -> None:
        now_ns = self.node.get_clock().now().nanoseconds
        passed_on = isinstance(image, CompressedImage) and is_h264(image.format)
        content = AccessUnit(image.data) if passed_on else image
        self._camera.put(content, stamp_ns, (now_ns - stamp_ns) / 1e9 if stamp_ns else None)
        if isinstance(image, Image):
            seen, encoding = f'{image.width}x{image.height} {image.encoding}', image.encoding
        else:
            seen, encoding = f'compressed ({image.format})', encoding_of(image)
        if seen != self._seen:
            logger.info('images are %s%s', seen, describe(encoding, self._depth()))
            self._seen = seen

    def _to_i420(self, image: AnyImage, out: Pixels | None = None) -> Pixels:
        """Convert an image with the settings of now; in the encoder's thread."""
        if isinstance(image, Image):
            return to_i420(image, out, self._depth(), self._bridge)
        return compressed_to_i420(image, out, self._depth())

    def _depth(self) -> DepthMapping:
        config = self._config
        return DepthMapping(config.depth_near_m, config.depth_far_m, config.depth_colour)

    def _publish(self, snapshot: SenderSnapshot) -> None:
        flow = self._images.flow()
        self._status.publish(sender_reports.status(snapshot, flow, self._seen, self._config))
        self._viewers.publish(UInt32(data=snapshot.viewers_connected))
        self._fps.publish(Float64(data=snapshot.fps))
        self._bitrate.publish(Float64(data=snapshot.bitrate_bps))
        # What is not known is not published: a 0 would look like a measurement.
        if flow.age_s is not None:
            self._frame_age.publish(Float64(data=flow.age_s))
        if snapshot.latency_s is not None:
            self._latency.publish(Float64(data=snapshot.latency_s))

    def _reports(self, snapshot: SenderSnapshot) -> list[Report]:
        return sender_reports.diagnostics(snapshot, self._images.flow(), self._config)

    def _reconfigure(self, config: SenderConfig) -> None:
        self._config = config
        set_log_level(self.node.get_logger(), config.log_level)
        self._thread.call_soon(lambda: self._sender.reconfigure(config))

    def _request_key_frame(
        self, _request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        def act() -> str:
            count = self._thread.call(self._sender.request_key_frame)
            if self._thread.call(lambda: self._camera.stream):
                return (
                    f'{count} viewer(s) wait for the next key frame of the camera, which makes its'
                    ' own H.264 and cannot be asked'
                )
            return f'{count} viewer(s) get a key frame next'

        return self._respond(response, act)

    def _set_enabled(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        enabled = bool(request.data)

        def act() -> str:
            count = self._thread.call(lambda: self._sender.set_enabled(enabled))
            return (
                'the camera is on' if enabled else f'the camera is off; let {count} viewer(s) go'
            )

        return self._respond(response, act)


def _doubt(image: AnyImage, i420: Pixels) -> str:
    return doubt(image.encoding if isinstance(image, Image) else encoding_of(image), i420)


def make(context: Context) -> CameraSenderNode:
    """Construct the node, for `runner.run`."""
    return CameraSenderNode(context)
