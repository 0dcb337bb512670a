"""Start what a robot needs for its camera to be seen in a browser: server and sender."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from rtc_signaling.ros.transport import image_transport_environment

PACKAGE = 'rtc_signaling'
SHARE = Path(get_package_share_directory(PACKAGE))


def generate_launch_description():
    params_file = LaunchConfiguration('params_file')
    port = LaunchConfiguration('port')
    image_topic = LaunchConfiguration('image_topic')
    images = [('camera/image_raw', image_topic)]
    return LaunchDescription([
        DeclareLaunchArgument(
            'params_file',
            default_value=str(SHARE / 'config' / 'params.yaml'),
            description='YAML file with the parameters of all nodes',
        ),
        DeclareLaunchArgument(
            'port',
            default_value='8765',
            description='TCP port of the signaling server and of the viewer page',
        ),
        DeclareLaunchArgument(
            'image_topic',
            default_value='/camera/image_raw',
            description='topic of the camera (sensor_msgs/Image)',
        ),
        DeclareLaunchArgument(
            'test_camera',
            default_value='false',
            description='true: publish a synthetic camera on image_topic as well',
        ),
        Node(
            package=PACKAGE,
            executable='signaling_server',
            output='screen',
            parameters=[params_file, {'port': ParameterValue(port, value_type=int)}],
        ),
        Node(
            package=PACKAGE,
            executable='camera_sender',
            output='screen',
            parameters=[params_file, {'server_url': ['ws://127.0.0.1:', port]}],
            remappings=images,
        ),
        Node(
            package=PACKAGE,
            executable='test_camera',
            output='screen',
            parameters=[params_file],
            remappings=images,
            condition=IfCondition(LaunchConfiguration('test_camera')),
            # Without it most large images are lost on their way (see the file).
            additional_env=image_transport_environment(SHARE / 'config'),
        ),
    ])
