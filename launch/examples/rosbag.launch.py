"""Show the camera of a recorded bag, with the time of the recording.

Needs ros-$ROS_DISTRO-ros2bag and a storage plugin. Not run with one: docs/launch.md.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from rtc_signaling.ros.transport import image_transport_environment

SHARE = Path(get_package_share_directory('rtc_signaling'))


def generate_launch_description():
    return LaunchDescription(
        [
            DeclareLaunchArgument('bag', description='Directory or file of the bag'),
            ExecuteProcess(
                cmd=['ros2', 'bag', 'play', '--clock', '--loop', LaunchConfiguration('bag')],
                # The player is the publisher of the images here, so it needs the transport.
                additional_env=image_transport_environment(SHARE / 'config'),
                output='screen',
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(SHARE / 'launch' / 'robot.launch.py')),
                launch_arguments={'use_sim_time': 'true'}.items(),
            ),
        ]
    )
