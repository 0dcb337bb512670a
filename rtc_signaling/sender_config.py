"""Every parameter of the camera sender, declared once."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rtc_signaling.common_config import CAMERA_NAME, CLIENT_ID, ICE_URL, log_level, token_file
from rtc_signaling.errors import ConfigurationError
from rtc_signaling.messages import MAX_CAMERAS
from rtc_signaling.parameter import parameter


@dataclass(frozen=True)
class SenderConfig:
    """Configure the camera sender (`camera_sender`)."""

    server_url: str = parameter(
        'ws://127.0.0.1:8765',
        "The signaling server's URL",
        name='server_url',
        pattern=re.compile(r'wss?://[^\s/?#@]+(/[^\s?#]*)?'),
    )
    client_id: str = parameter(
        'camera',
        'Name of this camera, as receivers see it',
        name='client_id',
        pattern=CLIENT_ID,
    )
    cameras: tuple[str, ...] = parameter(
        (),
        'Names of the cameras of this process, each on the topic NAME/image_raw; empty: one '
        'camera without a name, on camera/image_raw',
        name='cameras',
        pattern=CAMERA_NAME,
    )
    auth_token_file: str = token_file()
    reconnect_min_s: float = parameter(
        0.5,
        'First back-off before connecting again, in s',
        name='reconnect.min',
        minimum=0.05,
        maximum=60.0,
    )
    reconnect_max_s: float = parameter(
        8.0,
        'Longest back-off before connecting again, in s',
        name='reconnect.max',
        minimum=0.05,
        maximum=600.0,
    )
    ice_servers: tuple[str, ...] = parameter(
        (),
        "STUN or TURN URLs besides the signaling server's; none by default",
        name='ice_servers',
        pattern=ICE_URL,
    )
    ice_addresses: tuple[str, ...] = parameter(
        (),
        'Local IP addresses to offer for video; empty: all but loopback',
        name='ice_addresses',
        pattern=re.compile(r'[0-9A-Fa-f.:]+'),
    )
    max_viewers: int = parameter(
        10,
        'Most viewers at once; an offer beyond is not answered',
        name='max_viewers',
        live=True,
        minimum=1,
        maximum=1000,
    )
    viewer_timeout_s: float = parameter(
        5.0,
        'A viewer whose receiver reports stop for so long is let go, in s',
        name='viewer_timeout',
        live=True,
        minimum=2.0,
        maximum=60.0,
    )
    stale_timeout_s: float = parameter(
        2.0,
        'No image for so long: the camera counts as stale, in s',
        name='stale_timeout',
        live=True,
        minimum=0.1,
        maximum=60.0,
    )
    image_qos: str = parameter(
        'auto',
        'QoS reliability asked for; auto: reliable if every publisher is, best effort otherwise',
        name='image_qos',
        choices=('auto', 'best_effort', 'reliable'),
    )
    image_transport: str = parameter(
        'raw',
        'raw: sensor_msgs/Image; compressed: sensor_msgs/CompressedImage (JPEG, PNG or H.264) on '
        'the same topic with /compressed behind it',
        name='image_transport',
        choices=('raw', 'compressed'),
    )
    enabled: bool = parameter(
        True,
        'Whether the camera is on at the start; service set_enabled changes it',
        name='enabled',
    )
    max_fps: float = parameter(
        0.0,
        'Most pictures per second that are sent, in Hz; 0 sends every image',
        name='max_fps',
        minimum=0.0,
        maximum=240.0,
        live=True,
    )
    depth_near_m: float = parameter(
        0.3,
        'Depth images (16UC1, 32FC1): what is so near or nearer is brightest, in m; below '
        'depth.far',
        name='depth.near',
        minimum=0.0,
        maximum=1000.0,
        live=True,
    )
    depth_far_m: float = parameter(
        10.0,
        'Depth images: what is so far or farther is darkest, in m; without a distance: black',
        name='depth.far',
        minimum=0.001,
        maximum=1000.0,
        live=True,
    )
    depth_colour: str = parameter(
        'grey',
        'Depth images: shades of grey, or turbo: blue (far) to red (near)',
        name='depth.colour',
        choices=('grey', 'turbo'),
        live=True,
    )
    codec_preference: tuple[str, ...] = parameter(
        ('h264', 'vp8'),
        'Video codecs, the preferred one first; a viewer gets the first that it has',
        name='codec_preference',
        choices=('h264', 'vp8'),
    )
    bitrate_bps: int = parameter(
        2_500_000,
        'Bits per second of the video, in bit/s; a weak link gets less',
        name='bitrate',
        minimum=50_000,
        maximum=100_000_000,
        live=True,
    )
    adaptation: str = parameter(
        'layers',
        'For viewers with weak links: layers encodes smaller pictures too when one needs them; '
        'shared has one encode for all, and who cannot keep up gets stills',
        name='adaptation',
        choices=('layers', 'shared'),
    )
    key_frame_interval_s: float = parameter(
        0.0,
        'Longest time without a key frame, in s; 0: only when a viewer needs one',
        name='key_frame_interval',
        minimum=0.0,
        maximum=3600.0,
        live=True,
    )
    encoder: str = parameter(
        'auto',
        "FFmpeg's H.264 encoder, such as libx264 or h264_nvenc; auto: hardware if it works",
        name='encoder',
        pattern=re.compile(r'auto|lib[a-z0-9]+|h264_[a-z0-9]+'),
    )
    encoder_preset: str = parameter(
        '',
        "The H.264 encoder's preset, such as veryfast; empty: what docs/media.md says",
        name='encoder_preset',
        pattern=re.compile(r'[A-Za-z0-9_-]+'),
    )
    expected_rate_hz: float = parameter(
        0.0,
        'Images per second that the camera should give, in Hz; fewer are a warning; 0: unknown',
        name='expected_rate',
        minimum=0.0,
        maximum=1000.0,
        live=True,
    )
    warn_frame_age_s: float = parameter(
        0.5,
        'Images older than this when they come are a warning, in s',
        name='warn.frame_age',
        minimum=0.001,
        maximum=60.0,
        live=True,
    )
    warn_latency_s: float = parameter(
        0.5,
        'Pictures older than this at a viewer are a warning, in s',
        name='warn.latency',
        minimum=0.001,
        maximum=60.0,
        live=True,
    )
    warn_loss: float = parameter(
        0.05,
        'More lost packets of a viewer than this share are a warning',
        name='warn.loss',
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    log_level: str = log_level()

    def __post_init__(self) -> None:
        """Check what is a rule of two parameters, or of a whole list.

        Raises:
            ConfigurationError: `depth.near` is not below `depth.far`, a camera is named twice, or
                there are too many.
        """
        if len(self.cameras) > MAX_CAMERAS:
            raise ConfigurationError('cameras', self.cameras, f'must be at most {MAX_CAMERAS}')
        for name in self.cameras:
            if self.cameras.count(name) > 1:
                raise ConfigurationError('cameras', name, 'two cameras have this name')
        if not self.depth_near_m < self.depth_far_m:
            raise ConfigurationError(
                'depth.far', self.depth_far_m, f'must be above depth.near, {self.depth_near_m:g}'
            )
