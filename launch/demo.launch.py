"""Show how it looks: a test camera, the signaling server and a sender; prints the viewer's URL."""

import re
import sys
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessIO
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

import rtc_signaling
from rtc_signaling.errors import ConfigurationError
from rtc_signaling.ros.transport import image_transport_environment

PACKAGE = 'rtc_signaling'
CONFIG = Path(get_package_share_directory(PACKAGE)) / 'config'
CLIP = Path(rtc_signaling.__file__).parent / 'clips' / 'walking.mp4'
URL = re.compile(r'open (https?://\S+) in a browser')


def generate_launch_description():
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'port',
                default_value='8765',
                description='TCP port of the viewer page on this machine, 1 to 65535',
            ),
            DeclareLaunchArgument(
                'scene',
                default_value='false',
                choices=['true', 'false'],
                description='true: a drawn scene instead of the video file',
            ),
            DeclareLaunchArgument(
                'video_file',
                default_value=str(CLIP),
                description='Video file that the camera shows, again and again',
            ),
            OpaqueFunction(function=_demo),
        ]
    )


def _demo(context):
    port, scene, video_file = (
        LaunchConfiguration(name).perform(context) for name in ('port', 'scene', 'video_file')
    )
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= 65535):
        raise ConfigurationError('port', port, 'must be a number from 1 to 65535')
    if scene != 'true' and not Path(video_file).expanduser().is_file():
        raise ConfigurationError('video_file', video_file, 'there is no such file')
    file = '' if scene == 'true' else str(Path(video_file).expanduser())
    server = _node('signaling_server', {'host': '127.0.0.1', 'port': int(port)})
    return [
        RegisterEventHandler(OnProcessIO(target_action=server, on_stderr=_UrlPrinter())),
        server,
        # Without this environment most large images are lost on their way (see the file).
        _node(
            'test_camera',
            {'video_file': file},
            additional_env=image_transport_environment(CONFIG),
        ),
        _node('camera_sender', {'server_url': f'ws://127.0.0.1:{int(port)}'}),
    ]


class _UrlPrinter:
    """Print the URL once more, apart from the log, when the server has written it."""

    def __init__(self):
        self._text = ''

    def __call__(self, event):
        """Read what the server writes; a piece may end within a line."""
        self._text += event.text.decode(errors='replace')
        match = URL.search(self._text)
        self._text = '' if match else self._text.rpartition('\n')[2]
        if match:
            # Not by launch's logger: the URL has a token in it, and that keeps a file.
            sys.stdout.write(f'\n    Open {match[1]} in a browser. Ctrl-C ends the demo.\n\n')
            sys.stdout.flush()


def _node(name, parameters, **options):
    return Node(
        package=PACKAGE,
        executable=name,
        parameters=[parameters],
        output='screen',
        on_exit=Shutdown(reason=f'{name} has ended'),
        **options,
    )
