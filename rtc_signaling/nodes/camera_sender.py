"""The `camera_sender` node."""

from __future__ import annotations

import functools
import logging
import os
from contextlib import AbstractAsyncContextManager

from rclpy.context import Context
from rclpy.node import Node
from std_msgs.msg import Float64, UInt32
from std_srvs.srv import SetBool, Trigger

from rtc_signaling import sender_reports
from rtc_signaling.loop_thread import LoopThread
from rtc_signaling.media.sender import CameraSender
from rtc_signaling.nodes.background import BackgroundNode
from rtc_signaling.nodes.camera_unit import CameraUnit
from rtc_signaling.report import Report
from rtc_signaling.ros.logging import forward_logs, set_log_level
from rtc_signaling.ros.parameters import LiveParameters, declare
from rtc_signaling.sender_config import SenderConfig
from rtc_signaling.sender_metrics import SenderSnapshot
from rtc_signaling.tokens import TokenReader

logger = logging.getLogger(__name__)


class CameraSenderNode(BackgroundNode[SenderSnapshot, CameraSender]):
    """Send cameras' images to WebRTC viewers and publish how that goes.

    Without names in `cameras` it subscribes to `camera/image_raw`. It publishes
    `camera_sender/status`, `camera_sender/errors`, /diagnostics, and as plain numbers
    `camera_sender/viewers`, `camera_sender/fps` (Hz), `camera_sender/bitrate` (bit/s),
    `camera_sender/frame_age` (s) and `camera_sender/latency` (s, as the viewers measured it).
    Services `camera_sender/request_keyframe` and `camera_sender/set_enabled`.

    With names each camera has all of these below `camera_sender/<name>` (`CameraUnit`), but the
    errors; the status, the viewers, the bitrate and the services of the node are of all together.

    Construct, spin and close it on one thread.

    Raises:
        ConfigurationError: A parameter cannot be used.
    """

    def __init__(self, context: Context) -> None:
        self.node = node = Node('camera_sender', context=context)
        self._config = config = declare(node, SenderConfig)
        forward_logs(node.get_logger(), config.log_level)
        hardware_id = f'rtc_signaling:{config.client_id}'
        self._put = self._publish_as('camera_sender', hardware_id)
        self._units = {
            name: CameraUnit(node, config, name, hardware_id) for name in config.cameras or ('',)
        }
        if config.cameras:
            self._viewers = node.create_publisher(UInt32, 'camera_sender/viewers', 10)
            self._bitrate = node.create_publisher(Float64, 'camera_sender/bitrate', 10)
        self._thread = LoopThread('media', self._open_sender)
        self._sender = self._thread.start()
        LiveParameters(node, config, self._reconfigure, self._ask_thread)
        self._serve()
        topics = ', '.join(unit.topic for unit in self._units.values())
        logger.info('waiting for images on %s', topics)

    def _open_sender(self) -> AbstractAsyncContextManager[CameraSender]:
        read_token = TokenReader(self._config.auth_token_file, os.environ)
        cameras = {name: unit.camera for name, unit in self._units.items()}
        return CameraSender(
            self._config, cameras, read_token, self._put, self._stamps_now_ns
        ).run()

    def _stamps_now_ns(self) -> int | None:
        """Return the time of the clock that stamps are of; any thread may call."""
        clock = self.node.get_clock()
        # Simulated time (use_sim_time) stands, jumps and runs at any pace, which no viewer's does.
        return None if clock.ros_time_is_active else int(clock.now().nanoseconds)

    def _publish(self, snapshot: SenderSnapshot) -> None:
        if not self._config.cameras:
            unit = self._units['']
            report = sender_reports.status(snapshot, unit.flow, unit.seen, self._config)
            self._status.publish(report)
            unit.publish(snapshot)
            return
        self._status.publish(
            sender_reports.status_of_all(
                snapshot,
                {name: unit.flow for name, unit in self._units.items()},
                {name: unit.seen for name, unit in self._units.items()},
                self._config,
            )
        )
        self._viewers.publish(UInt32(data=snapshot.viewers_connected))
        self._bitrate.publish(Float64(data=snapshot.bitrate_bps))
        for name, unit in self._units.items():
            unit.publish(snapshot.cameras[name])

    def _publish_last(self, report: Report) -> None:
        super()._publish_last(report)
        for unit in self._units.values():
            unit.publish_last(report)

    def _reports(self, snapshot: SenderSnapshot) -> list[Report]:
        flows = {name: unit.flow for name, unit in self._units.items()}
        return sender_reports.diagnostics(snapshot, flows, self._config)

    def _reconfigure(self, config: SenderConfig) -> None:
        self._config = config
        set_log_level(self.node.get_logger(), config.log_level)
        for unit in self._units.values():
            unit.reconfigure(config)
        self._thread.call_soon(lambda: self._sender.reconfigure(config))

    def _serve(self) -> None:
        """Create the services: of all cameras, and of each that has a name."""
        node = self.node
        node.create_service(
            Trigger, 'camera_sender/request_keyframe',
            lambda _request, response: self._respond(response, self._request_key_frame),
        )  # fmt: skip
        node.create_service(
            SetBool, 'camera_sender/set_enabled',
            lambda request, response: self._respond(
                response, lambda: self._set_enabled(bool(request.data))
            ),
        )  # fmt: skip
        for name, unit in self._units.items():
            if name:
                unit.serve(
                    functools.partial(self._request_key_frame, name),
                    functools.partial(self._set_enabled, name=name),
                    self._respond,
                )

    def _request_key_frame(self, name: str | None = None) -> str:
        count = self._thread.call(lambda: self._sender.request_key_frame(name))
        asked = [unit.camera for one, unit in self._units.items() if name in (None, one)]
        if self._thread.call(lambda: any(camera.stream for camera in asked)):
            return (
                f'{count} viewer(s) wait for the next key frame of the camera, which makes its'
                ' own H.264 and cannot be asked'
            )
        return f'{count} viewer(s) get a key frame next'

    def _set_enabled(self, enabled: bool, name: str | None = None) -> str:
        count = self._thread.call(lambda: self._sender.set_enabled(enabled, name))
        which = 'the camera' if name is None else f'the camera {name}'
        if name is None and self._config.cameras:
            which = 'every camera'
        return f'{which} is on' if enabled else f'{which} is off; let {count} viewer(s) go'


def make(context: Context) -> CameraSenderNode:
    """Construct the node, for `runner.run`."""
    return CameraSenderNode(context)
