"""The ROS face of both nodes: topics, diagnostics, live parameters and services, over real DDS."""

from __future__ import annotations

import json

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fakes import scene_image
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from ros_stage import DEADLINE_S, serving, url_and_token, values
from std_msgs.msg import Float64, UInt32
from std_srvs.srv import SetBool, Trigger
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect


def part(heard, name):
    """Return the newest report of a part in what was heard of /diagnostics."""
    found = [s for array in heard for s in array.status if s.name == name]
    return found[-1] if found else None


def set_parameter(observer, node, name, value):
    request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    [result] = observer.call(SetParameters, f'/{node}/set_parameters', request).results
    return result.successful, result.reason


def test_the_server_reports_its_parts_and_its_errors(start, observer):
    process = start('signaling_server', 'auth.mode:=none', remap=['__ns:=/robot1'])
    port, _ = url_and_token(process)
    diagnostics = observer.hear('/diagnostics', DiagnosticArray)
    errors = observer.listen('/robot1/signaling/errors')
    numbers = {
        name: observer.hear(f'/robot1/signaling/{name}', kind)
        for name, kind in (
            ('active_connections', UInt32), ('message_rate', Float64), ('error_rate', Float64),
            ('latency', Float64),
        )
    }  # fmt: skip
    with connect(f'ws://127.0.0.1:{port}/?client_id=v1', proxy=None) as viewer:
        observer.spin_until(
            lambda: any(m.data == 1 for m in numbers['active_connections']), 'nobody is counted'
        )
        viewer.send('what?')
        observer.spin_until(lambda: any('invalid_json' in e.message for e in errors), 'no error')
        observer.spin_until(lambda: any(m.data > 0 for m in numbers['error_rate']), 'no rate')
        name = 'robot1/signaling_server: errors'
        observer.spin_until(
            lambda: (found := part(diagnostics, name)) and values(found)['errors'] == '1',
            'the error is not in /diagnostics',
        )
    error = next(e for e in errors if 'invalid_json' in e.message)
    assert error.level == DiagnosticStatus.WARN
    assert error.name == 'robot1/signaling_server: error'
    for name, words in (
        ('server', 'running at ws://127.0.0.1:'), ('connections', 'no robot is connected'),
        ('latency', ''),
    ):  # fmt: skip
        report = part(diagnostics, f'robot1/signaling_server: {name}')
        assert report.message.startswith(words)
        assert report.hardware_id == 'rtc_signaling'
    assert numbers['message_rate']
    assert numbers['latency']


def test_a_live_parameter_acts_at_once_and_others_are_refused_with_a_reason(start, observer):
    process = start('signaling_server', 'auth.mode:=none', 'max_connections:=1')
    port, _ = url_and_token(process)
    url = f'ws://127.0.0.1:{port}/'
    with connect(url, proxy=None):
        with pytest.raises(InvalidStatus), connect(url, proxy=None):
            pass
        assert set_parameter(observer, 'signaling_server', 'max_connections', 2) == (True, '')
        with connect(url, proxy=None) as second:
            assert json.loads(second.recv(DEADLINE_S))['type'] == 'connected'
            assert set_parameter(observer, 'signaling_server', 'limits.message_burst', 1)[0]
            second.send('{"type": "ping"}')
            second.send('{"type": "ping"}')
            answers = [json.loads(second.recv(DEADLINE_S)) for _ in range(2)]
            assert {'rate_limited'} == {a['code'] for a in answers if a['type'] == 'error'}
    done, reason = set_parameter(observer, 'signaling_server', 'port', 1)
    assert not done
    assert 'read-only' in reason
    done, reason = set_parameter(observer, 'signaling_server', 'max_connections', 0)
    assert not done
    assert 'max_connections' in reason
    done, reason = set_parameter(observer, 'signaling_server', 'log_level', 'loud')
    assert (done, reason) == (
        False, "log_level = 'loud': must be one of default, debug, info, warn, error",
    )  # fmt: skip
    assert set_parameter(observer, 'signaling_server', 'log_level', 'debug')[0]


def test_disconnect_all_closes_and_says_how_many(start, observer):
    process = start('signaling_server', 'auth.mode:=none')
    port, _ = url_and_token(process)
    with connect(f'ws://127.0.0.1:{port}/', proxy=None) as viewer:
        viewer.recv(DEADLINE_S)
        name = '/signaling_server/disconnect_all'
        answer = observer.call(Trigger, name, Trigger.Request())
        assert answer.success
        assert answer.message == 'disconnected 1 client(s); they may come back'
        with pytest.raises(ConnectionClosed) as closed:
            viewer.recv(DEADLINE_S)
    assert closed.value.rcvd.code == 1001


def test_rotate_token_puts_the_old_token_out_of_use(start, observer, tmp_path):
    process = start('signaling_server')
    port, old = url_and_token(process)
    file = tmp_path / 'rtc_signaling' / 'tokens.json'

    def enter(token):
        with connect(
            f'ws://127.0.0.1:{port}/', proxy=None,
            additional_headers={'Authorization': f'Bearer {token}'},
        ) as client:  # fmt: skip
            return json.loads(client.recv(DEADLINE_S))['type']

    assert enter(old) == 'connected'
    answer = observer.call(Trigger, '/signaling_server/rotate_token', Trigger.Request())
    assert answer.success
    assert str(file) in answer.message
    new = json.loads(file.read_text())['receiver']
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ['tokens.json']
    assert new != old
    assert new not in answer.message
    assert (enter(old), enter(new)) == ('error', 'connected')


def test_without_tokens_there_are_none_to_rotate(start, observer):
    start('signaling_server', 'auth.mode:=none')
    answer = observer.call(Trigger, '/signaling_server/rotate_token', Trigger.Request())
    assert (answer.success, answer.message) == (
        False, 'auth.mode is none: there are no tokens to change',
    )  # fmt: skip


def test_the_sender_publishes_figures_and_can_be_switched_off(start, observer):
    diagnostics = observer.hear('/diagnostics', DiagnosticArray)
    numbers = {
        name: observer.hear(f'/camera_sender/{name}', kind)
        for name, kind in (
            ('viewers', UInt32), ('fps', Float64), ('bitrate', Float64), ('frame_age', Float64),
        )
    }  # fmt: skip
    driver = observer.driver()
    driver.show(scene_image(1, 64, 64))
    with serving(viewer=True) as port, driver:
        start('camera_sender', f'server_url:=ws://127.0.0.1:{port}')
        for name, heard in numbers.items():
            observer.spin_until(lambda heard=heard: any(m.data > 0 for m in heard), name)
        answer = observer.call(Trigger, '/camera_sender/request_keyframe', Trigger.Request())
        assert (answer.success, answer.message) == (True, '1 viewer(s) get a key frame next')
        for name in ('camera', 'encoder', 'signaling link'):
            observer.spin_until(
                lambda name=name: (
                    (found := part(diagnostics, f'camera_sender: {name}'))
                    and found.level == DiagnosticStatus.OK
                ),
                f'{name} is not well',
            )
        assert any(
            s.name.startswith('camera_sender: viewer ') for array in diagnostics
            for s in array.status
        )  # fmt: skip
        answer = observer.call(SetBool, '/camera_sender/set_enabled', SetBool.Request(data=False))
        assert answer.message == 'the camera is off; let 1 viewer(s) go'
        topic = '/camera_sender/status'
        status = observer.wait_for(topic, DiagnosticStatus.OK, '^switched off')
        assert values(status)['viewers'] == '0'
        answer = observer.call(SetBool, '/camera_sender/set_enabled', SetBool.Request(data=True))
        assert answer.message == 'the camera is on'
        observer.wait_for(topic, DiagnosticStatus.OK, '^sending to')
