"""Start what a robot needs for its cameras to be seen in a browser: a server, and senders."""

from pathlib import Path

import yaml
from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node, PushRosNamespace
from launch_ros.parameter_descriptions import ParameterValue

from rtc_signaling.cameras import (
    CameraSpec,
    absolute,
    check_namespace,
    check_topic,
    from_list,
    from_names,
    in_one_process,
)
from rtc_signaling.errors import ConfigurationError
from rtc_signaling.ros.transport import image_transport_environment

PACKAGE = 'rtc_signaling'
CONFIG = Path(get_package_share_directory(PACKAGE)) / 'config'
BOOLEAN = ['true', 'false']
LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'fatal']

ARGUMENTS = [
    DeclareLaunchArgument(
        'namespace',
        default_value='',
        description='Namespace of all nodes, such as robot1; empty: none',
    ),
    DeclareLaunchArgument(
        'params_file',
        default_value=str(CONFIG / 'params.yaml'),
        description='YAML file with the parameters of all nodes',
    ),
    DeclareLaunchArgument(
        'port',
        default_value='',
        description='TCP port of the signaling server and of the viewer page, 1 to 65535; '
        'empty: as params_file says (8765 if it says nothing)',
    ),
    DeclareLaunchArgument(
        'image_topic',
        default_value='',
        description='Topic of the one camera (sensor_msgs/msg/Image), relative to the namespace; '
        'empty: camera/image_raw. Not together with cameras or cameras_file',
    ),
    DeclareLaunchArgument(
        'cameras',
        default_value='',
        description='Names of several cameras, such as front,rear: one camera_sender each, in '
        'the namespace <name>, with client_id <name>, for the images on <name>/image_raw',
    ),
    DeclareLaunchArgument(
        'cameras_file',
        default_value='',
        description='YAML file with the cameras (as config/cameras.yaml of this package), to give '
        'topic, client_id and parameters of each; not together with cameras',
    ),
    DeclareLaunchArgument(
        'one_process',
        default_value='false',
        choices=BOOLEAN,
        description='true: one camera_sender for all of cameras or cameras_file, which '
        'viewers then watch in one peer connection; they have one client_id and the same '
        'parameters',
    ),
    DeclareLaunchArgument(
        'test_camera',
        default_value='false',
        choices=BOOLEAN,
        description='true: run a test_camera for each camera as well, a synthetic scene',
    ),
    DeclareLaunchArgument(
        'respawn',
        default_value='false',
        choices=BOOLEAN,
        description='true: start a node again that has ended, whatever its exit code was',
    ),
    DeclareLaunchArgument(
        'respawn_delay',
        default_value='2.0',
        description='How long to wait before that, in s; 0 or more',
    ),
    DeclareLaunchArgument(
        'log_level',
        default_value='info',
        choices=LOG_LEVELS,
        description='Least severity that the nodes log',
    ),
    DeclareLaunchArgument(
        'use_sim_time',
        default_value='false',
        choices=BOOLEAN,
        description='true: take the time from /clock (simulation, ros2 bag play --clock)',
    ),
]


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=_robot)])


def _robot(context):
    """Return the group of nodes; a function, because only here arguments can be checked."""
    namespace = check_namespace('namespace', _argument(context, 'namespace'))
    # Inside the group, what another launch file has pushed is known together with ours.
    nodes = OpaqueFunction(function=_nodes)
    return [GroupAction([*([PushRosNamespace(namespace)] if namespace else []), nodes])]


def _nodes(context):
    options = _common_options(context)
    namespace = context.launch_configurations.get('ros_namespace', '')
    port = _port(context)
    server = {'port': port} if port else {}
    sender = {'server_url': f'ws://127.0.0.1:{port}'} if port else {}
    nodes = [_node('signaling_server', server, options)]
    cameras, together = _cameras(context)
    topics = [absolute(namespace, camera.image_topic) for camera in cameras]
    if together:
        own = {'cameras': [camera.name for camera in cameras]}
        images = [
            (f'{camera.name}/image_raw', topic)
            for camera, topic in zip(cameras, topics, strict=True)
        ]
        nodes.append(_node('camera_sender', {**sender, **own}, options, remappings=images))
    for camera, topic in zip(cameras, topics, strict=True):
        placed = {'namespace': camera.name} if camera.name else {}
        images = {'remappings': [('camera/image_raw', topic)]}
        if not together:
            own = dict(camera.parameters)
            if camera.name:
                own['client_id'] = camera.client_id
            nodes.append(_node('camera_sender', {**sender, **own}, options, **placed, **images))
        if _argument(context, 'test_camera') == 'true':
            # Without this environment most large images are lost on their way (see the file).
            transport = {'additional_env': image_transport_environment(CONFIG)}
            nodes.append(_node('test_camera', {}, options, **placed, **images, **transport))
    return nodes


def _cameras(context):
    """Return the cameras, the one camera without a name, and whether they are in one process."""
    names, file = (_argument(context, name) for name in ('cameras', 'cameras_file'))
    image_topic, together = (_argument(context, name) for name in ('image_topic', 'one_process'))
    if names and file:
        raise ConfigurationError('cameras', names, f'cameras_file is given as well: {file}')
    if not (names or file):
        if together == 'true':
            rule = 'is for several cameras: give cameras or cameras_file'
            raise ConfigurationError('one_process', together, rule)
        topic = check_topic('image_topic', image_topic or 'camera/image_raw')
        return [CameraSpec('', topic, '')], False
    if image_topic:
        rule = 'is for one camera; with several, cameras_file gives the topic of each'
        raise ConfigurationError('image_topic', image_topic, rule)
    cameras = from_names(names) if names else from_list(file, _read_yaml('cameras_file', file))
    if together == 'true':
        source = 'cameras' if names else f'cameras_file {file}'
        return in_one_process(source, cameras), True
    return cameras, False


def _read_yaml(name, value):
    try:
        return yaml.safe_load(Path(value).expanduser().read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        why = ' '.join(str(error).split())
        raise ConfigurationError(name, value, f'must be a readable YAML file: {why}') from error


def _port(context):
    """Return the port, 0 if the parameter file has it."""
    text = _argument(context, 'port')
    # Server and senders have to know it, so it cannot be 0, for any that is free.
    if text and not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise ConfigurationError('port', text, 'must be empty or a number from 1 to 65535')
    return int(text or 0)


def _common_options(context):
    """Return what all nodes get: the first parameters, and keyword arguments of Node."""
    params_file = Path(_argument(context, 'params_file')).expanduser()
    if not params_file.is_file():  # launch_ros would warn, and start without it
        raise ConfigurationError('params_file', str(params_file), 'there is no such file')
    delay = _argument(context, 'respawn_delay')
    try:
        delay_s = float(delay)
    except ValueError:
        delay_s = -1.0
    if not 0 <= delay_s < float('inf'):
        raise ConfigurationError('respawn_delay', delay, 'must be a number of seconds, 0 or more')
    return {
        'parameters': [
            params_file,
            {'use_sim_time': _argument(context, 'use_sim_time') == 'true'},
        ],
        'respawn': _argument(context, 'respawn') == 'true',
        'respawn_delay': delay_s,
        'ros_arguments': ['--log-level', _argument(context, 'log_level')],
        'output': 'screen',
    }


def _node(name, parameters, options, **more):
    # Text stays text: launch_ros would read a client_id of '1' as a number.
    exact = {
        key: ParameterValue(value, value_type=str) if isinstance(value, str) else value
        for key, value in parameters.items()
    }
    given = [*options['parameters'], *([exact] if exact else [])]
    return Node(package=PACKAGE, executable=name, **{**options, 'parameters': given}, **more)


def _argument(context, name):
    return LaunchConfiguration(name).perform(context)
