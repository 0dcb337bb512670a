"""Show a real USB camera: the driver usb_cam or v4l2_camera, and robot.launch.py.

The driver is started with the transport that lets large images arrive. Needs the package
ros-$ROS_DISTRO-usb-cam or ros-$ROS_DISTRO-v4l2-camera. Not run with either: docs/launch.md.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import EqualsSubstitution, LaunchConfiguration
from launch_ros.actions import Node

from rtc_signaling.ros.transport import image_transport_environment

SHARE = Path(get_package_share_directory('rtc_signaling'))
# package: executable, and its parameters. Both publish on image_raw in their namespace.
DRIVERS = {
    'usb_cam': (
        'usb_cam_node_exe',
        {'image_width': 1280, 'image_height': 720, 'framerate': 30.0, 'pixel_format': 'mjpeg2rgb'},
    ),
    'v4l2_camera': ('v4l2_camera_node', {'image_size': [1280, 720]}),
}


def generate_launch_description():
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'driver',
                default_value='usb_cam',
                choices=list(DRIVERS),
                description='Which driver: the package usb_cam or v4l2_camera',
            ),
            DeclareLaunchArgument(
                'video_device', default_value='/dev/video0', description='Device of the camera'
            ),
            *(_driver(package) for package in DRIVERS),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(SHARE / 'launch' / 'robot.launch.py')),
                # Absolute, so that it is the driver's in any namespace of the robot.
                launch_arguments={'image_topic': '/camera/image_raw'}.items(),
            ),
        ]
    )


def _driver(package):
    executable, parameters = DRIVERS[package]
    return Node(
        package=package,
        executable=executable,
        namespace='/camera',
        parameters=[{'video_device': LaunchConfiguration('video_device'), **parameters}],
        additional_env=image_transport_environment(SHARE / 'config'),
        output='screen',
        condition=IfCondition(EqualsSubstitution(LaunchConfiguration('driver'), package)),
    )
