"""The adapters to rclpy, each with a real node in a private context."""

from __future__ import annotations

import logging
import re
import threading
import time

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.msg import ParameterDescriptor, ParameterType
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter as RosParameter
from rclpy.qos import DurabilityPolicy, QoSProfile

from rtc_signaling.errors import ConfigurationError
from rtc_signaling.parameter import parameters
from rtc_signaling.report import Level, Report
from rtc_signaling.ros import runner
from rtc_signaling.ros.logging import RosLogHandler, forward_logs
from rtc_signaling.ros.outbox import Outbox
from rtc_signaling.ros.parameters import declare, descriptor
from rtc_signaling.ros.status import ReportPublisher
from rtc_signaling.sender_config import SenderConfig
from rtc_signaling.server_config import ServerConfig
from rtc_signaling.test_camera_config import TestCameraConfig

DOMAIN_ID = 52
DEADLINE_S = 20.0


@pytest.fixture
def context():
    context = Context()
    context.init([], domain_id=DOMAIN_ID)
    yield context
    context.try_shutdown()


@pytest.fixture
def make_node(context):
    """Return a function that makes nodes; they are destroyed at the end."""
    nodes = []

    def make(*settings, name='tested'):
        words = [word for setting in settings for word in ('-p', setting)]
        nodes.append(rclpy.create_node(name, context=context, cli_args=['--ros-args', *words]))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()


@pytest.fixture
def executor(context):
    executor = SingleThreadedExecutor(context=context)
    yield executor
    executor.shutdown()


def spin_until(executor, condition, what):
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, what
        executor.spin_once(timeout_sec=0.05)


# Parameters.


@pytest.mark.parametrize('config', [ServerConfig, SenderConfig, TestCameraConfig])
def test_without_settings_the_defaults_are_declared(make_node, config):
    node = make_node()
    assert declare(node, config) == config()
    for spec in parameters(config).values():
        assert node.has_parameter(spec.name)


@pytest.mark.parametrize(
    ('config', 'setting', 'field', 'value'),
    [
        (ServerConfig, 'port:=0', 'port', 0),
        (ServerConfig, 'timeout:=45', 'timeout_s', 45.0),
        (ServerConfig, 'timeout:=4.5', 'timeout_s', 4.5),
        (ServerConfig, 'auth.mode:=none', 'auth_mode', 'none'),
        (ServerConfig, "ice_servers:=['stun:10.0.0.1']", 'ice_servers', ('stun:10.0.0.1',)),
        (ServerConfig, "ice_servers:=['']", 'ice_servers', ()),
        (ServerConfig, 'ice_servers:=[]', 'ice_servers', ()),
        (SenderConfig, "ice_addresses:=['10.0.0.1', '::1']", 'ice_addresses', ('10.0.0.1', '::1')),
    ],
)  # fmt: skip
def test_settings_are_taken(make_node, config, setting, field, value):
    taken = getattr(declare(make_node(setting), config), field)
    assert (taken, type(taken)) == (value, type(value))


@pytest.mark.parametrize(
    ('config', 'setting', 'message'),
    [
        (ServerConfig, 'port:=70000', 'port = 70000: must be at least 0 and at most 65535'),
        (ServerConfig, 'port:=-1', 'port = -1: must be at least 0 and at most 65535'),
        (ServerConfig, 'port:=http', "port = 'http': must be an integer"),
        (ServerConfig, 'port:=8765.0', 'port = 8765.0: must be an integer'),
        (ServerConfig, 'port:=true', 'port = True: must be an integer'),
        (ServerConfig, 'timeout:=.nan', 'timeout = nan: must be at least 1 and at most 3600'),
        (ServerConfig, 'timeout:=.inf', 'timeout = inf: must be at least 1 and at most 3600'),
        (ServerConfig, 'timeout:=0', 'timeout = 0.0: must be at least 1 and at most 3600'),
        (ServerConfig, 'timeout:=soon', "timeout = 'soon': must be a number"),
        (ServerConfig, 'auth.mode:=open', "auth.mode = 'open': must be one of token, jwt, none"),
        (ServerConfig, 'host:=127', 'host = 127: must be a string'),
        (ServerConfig, 'ice_servers:=stun', "ice_servers = 'stun': must be a list of strings"),
        (ServerConfig, "ice_servers:=['http://x']", "ice_servers = 'http://x': must match"),
        (
            ServerConfig,
            'ice_servers:=[1, 2]',
            r'ice_servers = .*1, 2.*: must be a list of strings',
        ),
        (SenderConfig, 'max_viewers:=0', 'max_viewers = 0: must be at least 1'),
        (SenderConfig, "client_id:='a b'", "client_id = 'a b': must match"),
        (SenderConfig, 'server_url:=robot', "server_url = 'robot': must match"),
    ],
)
def test_a_bad_setting_is_one_clear_error(make_node, config, setting, message):
    with pytest.raises(ConfigurationError, match=f'^{message}'):
        declare(make_node(setting), config)


def test_parameters_are_described_and_cannot_be_changed_while_it_runs(make_node):
    node = make_node()
    declare(node, ServerConfig)
    described = node.describe_parameter('port')
    assert described.read_only
    assert described.description.startswith('TCP port')
    [bounds] = described.integer_range
    assert (bounds.from_value, bounds.to_value) == (0, 65535)
    [bounds] = node.describe_parameter('timeout').floating_point_range
    assert (bounds.from_value, bounds.to_value) == (1.0, 3600.0)
    assert node.describe_parameter('auth.mode').additional_constraints == 'token, jwt, none'
    [result] = node.set_parameters([RosParameter('port', value=1)])
    assert not result.successful
    assert node.get_parameter('port').value == 8765
    [result] = node.set_parameters([RosParameter('ice_servers', value=['stun:x'])])
    assert not result.successful


def test_a_list_is_a_list_of_strings_for_ros_too(make_node):
    node = make_node()
    declare(node, ServerConfig)
    assert node.get_parameter('ice_servers').type_.value == ParameterType.PARAMETER_STRING_ARRAY


def test_a_range_needs_both_bounds():
    spec = parameters(ServerConfig)['host']
    assert descriptor(spec) == ParameterDescriptor(
        name='host', description=spec.description, read_only=True, dynamic_typing=True
    )


# The outbox.


def test_items_arrive_in_order_on_the_executors_thread(make_node, executor):
    node = make_node()
    arrived = []
    outbox = Outbox(node, lambda item: arrived.append((item, threading.current_thread())), 10_000)
    executor.add_node(node)

    def put(offset):
        for i in range(1000):
            outbox.put((offset, i))

    threads = [threading.Thread(target=put, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    spin_until(executor, lambda: len(arrived) == 3000, 'not all arrived')
    for thread in threads:
        thread.join()
    assert {thread for _, thread in arrived} == {threading.current_thread()}
    for n in range(3):
        assert [i for (offset, i), _ in arrived if offset == n] == list(range(1000))
    assert outbox.dropped == 0
    outbox.close()


def test_a_full_box_drops_the_oldest(make_node):
    arrived = []
    outbox = Outbox(make_node(), arrived.append, capacity=3)
    for i in range(5):
        outbox.put(i)
    assert outbox.dropped == 2
    assert arrived == []
    outbox.drain()
    assert arrived == [2, 3, 4]
    outbox.close()


def test_a_closed_box_delivers_its_last_and_takes_no_more(make_node):
    arrived = []
    outbox = Outbox(make_node(), arrived.append)
    outbox.put('last')
    outbox.close()
    assert arrived == ['last']
    outbox.put('too late')
    outbox.drain()
    assert arrived == ['last']
    assert outbox.dropped == 0


def test_what_a_callback_puts_comes_at_the_next_turn(make_node, executor):
    arrived = []

    def deliver(item):
        arrived.append(item)
        if item < 3:
            outbox.put(item + 1)

    node = make_node()
    outbox = Outbox(node, deliver)
    outbox.put(1)
    outbox.drain()
    assert arrived == [1]
    executor.add_node(node)
    spin_until(executor, lambda: arrived == [1, 2, 3], 'the guard was not triggered')
    outbox.close()


# The status.


def test_a_late_subscriber_gets_the_last_status(make_node, executor):
    publisher_node, late_node = make_node(name='talker'), make_node(name='late')
    publisher = ReportPublisher(publisher_node, 'talker/status', 'robot-7')
    publisher.publish(Report('status', Level.OK, 'first'))
    figures = (('count', 3), ('linked', True), ('lost', False), ('rate', 29.97003), ('text', 'ö'))
    publisher.publish(Report('status', Level.WARN, 'second', figures))
    heard = []
    late_node.create_subscription(
        DiagnosticStatus, '/talker/status', heard.append,
        QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL),
    )  # fmt: skip
    executor.add_node(late_node)
    spin_until(executor, lambda: heard, 'nothing was heard')
    [message] = heard
    assert (message.level, message.message) == (DiagnosticStatus.WARN, 'second')
    assert (message.name, message.hardware_id) == ('talker: status', 'robot-7')
    assert [(value.key, value.value) for value in message.values] == [
        ('count', '3'), ('linked', 'yes'), ('lost', 'no'), ('rate', '30'), ('text', 'ö'),
    ]  # fmt: skip


def test_the_levels_are_those_of_the_message():
    for level in Level:
        assert getattr(DiagnosticStatus, level.name) == bytes([level])


# Logging.


@pytest.fixture
def loggers():
    """Put the loggers of this process back as they were."""
    root, own = logging.getLogger(), logging.getLogger('rtc_signaling')
    handlers, levels = list(root.handlers), (root.level, own.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    own.setLevel(levels[1])


@pytest.fixture
def ros_logger(make_node):
    logger = make_node(name='logged').get_logger()
    logger.set_level(rclpy.logging.LoggingSeverity.DEBUG)
    return logger


def logged(capfd):
    """Return what the ROS logger wrote, as (level, text)."""
    return re.findall(r'^\[(\w+)\s*\] \[[0-9.]+\] \[logged\]: (.*)$', capfd.readouterr().err, re.M)


def test_each_level_goes_to_its_own_from_one_and_the_same_line(ros_logger, capfd):
    handler = RosLogHandler(ros_logger)
    levels = {
        logging.CRITICAL: 'FATAL', logging.ERROR: 'ERROR', logging.WARNING: 'WARN',
        logging.INFO: 'INFO', logging.DEBUG: 'DEBUG', 5: 'DEBUG', 25: 'INFO', 99: 'FATAL',
    }  # fmt: skip
    for _ in range(2):
        for level in levels:
            handler.handle(
                logging.makeLogRecord({'levelno': level, 'msg': 'at %d', 'args': level})
            )
    assert logged(capfd) == [(name, f'at {level}') for level, name in levels.items()] * 2


def test_a_traceback_is_for_bugs_and_for_who_debugs(ros_logger, capfd):
    handler = RosLogHandler(ros_logger)
    for level, expected in ((logging.ERROR, 'DEBUG'), (logging.CRITICAL, 'FATAL')):
        try:
            raise ZeroDivisionError('bug')
        except ZeroDivisionError as error:
            exc_info = (type(error), error, error.__traceback__)
        handler.handle(logging.makeLogRecord({'levelno': level, 'msg': 'x', 'exc_info': exc_info}))
        lines = logged(capfd)
        assert lines[0][1] == 'x'
        assert lines[1] == (expected, 'Traceback (most recent call last):')


def test_records_come_from_any_thread(ros_logger, capfd):
    handler = RosLogHandler(ros_logger)

    def log(number):
        for level in (logging.INFO, logging.ERROR):
            handler.handle(logging.makeLogRecord({'levelno': level, 'msg': f'from {number}'}))

    threads = [threading.Thread(target=log, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(logged(capfd)) == sorted(
        (level, f'from {n}') for n in range(4) for level in ('INFO', 'ERROR')
    )


@pytest.mark.usefixtures('loggers')
def test_the_package_is_heard_at_info_and_libraries_at_warning(ros_logger, capfd):
    forward_logs(ros_logger)
    for name in ('rtc_signaling.server', 'websockets.server'):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING):
            logging.getLogger(name).log(level, '%s at %d', name, level)
    assert logged(capfd) == [
        ('INFO', 'rtc_signaling.server at 20'), ('WARN', 'rtc_signaling.server at 30'),
        ('WARN', 'websockets.server at 30'),
    ]  # fmt: skip


# Running.


class App:
    """Note what is done to it; fail where told."""

    def __init__(self, context, *, fail=None):
        self.node = rclpy.create_node('app', context=context)
        self.events = []
        self._context = context
        self._fail = fail

    def check(self):
        self.events.append('checked')
        if self._fail is not None:
            raise self._fail

    def close(self):
        # ROS still works here: the last status can be published.
        assert self._context.ok()
        self.node.create_publisher(DiagnosticStatus, 'x', 1).publish(DiagnosticStatus())
        self.events.append('closed')


def run(make, stop_requested=lambda: False, args=('app',)):
    return runner.run('app', make, stop_requested, args)


def test_a_stop_is_an_orderly_end(capfd):
    apps = []

    def make(context):
        apps.append(App(context))
        return apps[0]

    assert run(make, lambda: len(apps[0].events) >= 3) == 0
    assert apps[0].events == ['checked'] * 3 + ['closed']
    assert not apps[0]._context.ok()
    assert capfd.readouterr().err == ''


def test_an_error_of_the_background_half_ends_it(capfd):
    error = ConfigurationError('port', 1, 'is taken\n  by another')
    apps = []

    def make(context):
        apps.append(App(context, fail=error))
        return apps[0]

    assert run(make) == 1
    assert apps[0].events == ['checked', 'closed']
    [line] = capfd.readouterr().err.splitlines()
    assert line.endswith('[app]: port = 1: is taken by another')
    assert line.startswith('[FATAL]')


def test_an_error_at_the_start_ends_it(capfd):
    def make(context):
        raise ConfigurationError('port', 1, 'is taken')

    assert run(make) == 1
    [line] = capfd.readouterr().err.splitlines()
    assert line.endswith('[app]: port = 1: is taken')


def test_a_bug_is_not_hidden():
    apps = []

    def make(context):
        apps.append(App(context, fail=ZeroDivisionError()))
        return apps[0]

    with pytest.raises(ZeroDivisionError):
        run(make)
    assert apps[0].events == ['checked', 'closed']
    assert not apps[0]._context.ok()


def test_arguments_that_cannot_be_parsed_end_it(capfd):
    assert run(App, args=('app', '--ros-args', '-p', 'no-value')) == 1
    # The first line is rcl's own.
    *_, line = capfd.readouterr().err.splitlines()
    assert line.startswith('[FATAL]')
    assert 'no-value' in line


def test_a_context_that_is_shut_down_from_elsewhere_is_an_orderly_end():
    class ShutDown(App):
        def check(self):
            super().check()
            raise ExternalShutdownException

    apps = []

    def make(context):
        apps.append(ShutDown(context))
        return apps[0]

    assert run(make) == 0
    assert apps[0].events == ['checked', 'closed']
