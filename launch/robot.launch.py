"""Start what a robot needs for its camera to be seen in a browser: server and sender."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from rtc_signaling.ros.transport import image_transport_environment

PACKAGE = 'rtc_signaling'
CONFIG = Path(get_package_share_directory(PACKAGE)) / 'config'


def generate_launch_description():
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'params_file',
                default_value=str(CONFIG / 'params.yaml'),
                description='YAML file with the parameters of all nodes',
            ),
            DeclareLaunchArgument(
                'port',
                default_value='',
                description='TCP port of the signaling server and of the viewer page; '
                'empty: as params_file says (8765 if it says nothing)',
            ),
            DeclareLaunchArgument(
                'image_topic',
                default_value='camera/image_raw',
                description='Topic of the camera (sensor_msgs/msg/Image)',
            ),
            DeclareLaunchArgument(
                'test_camera',
                default_value='false',
                description='true: run test_camera as well, a synthetic scene on image_topic',
            ),
            OpaqueFunction(function=_nodes),
        ]
    )


def _nodes(context):
    """Return the nodes; a function, because only here an argument can be seen to be empty."""
    params_file = Path(LaunchConfiguration('params_file').perform(context)).expanduser()
    if not params_file.is_file():  # launch_ros would warn, and start without it
        raise FileNotFoundError(f'params_file is {str(params_file)!r}: there is no such file')
    server_overrides, sender_overrides = [], []
    port = LaunchConfiguration('port').perform(context)
    if port:
        # Both nodes have to know it, so it cannot be 0, for any that is free.
        if not (port.isdecimal() and 1 <= int(port) <= 65535):
            raise ValueError(f'port is {port!r}: it must be a number from 1 to 65535')
        server_overrides = [{'port': int(port)}]
        sender_overrides = [{'server_url': f'ws://127.0.0.1:{int(port)}'}]
    images = [('camera/image_raw', LaunchConfiguration('image_topic'))]
    return [
        _node('signaling_server', [params_file, *server_overrides]),
        _node('camera_sender', [params_file, *sender_overrides], remappings=images),
        _node(
            'test_camera',
            [params_file],
            remappings=images,
            condition=IfCondition(LaunchConfiguration('test_camera')),
            # Without it most large images are lost on their way (see the file).
            additional_env=image_transport_environment(CONFIG),
        ),
    ]


def _node(name, parameters, **options):
    return Node(
        package=PACKAGE, executable=name, parameters=parameters, output='screen', **options
    )
