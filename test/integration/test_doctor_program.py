"""The doctor as the program that people and scripts run: its words, its JSON, its exit codes.

Most runs hide ROS from it: then it makes all other checks, and is quicker.
"""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from certificates import make_certificate
from doctor_stage import (
    LOOPBACK,
    answering,
    closed_port,
    other_server,
    run_doctor,
    sending,
    serving,
    told_by_doctor,
)
from fakes import TOKENS

from rtc_signaling.doctor.findings import CHECKS, ROS_CHECKS

# For `sitecustomize.py`, which Python runs before the program.
WITHOUT_ROS = """
import sys


class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('rclpy', 'rcl_interfaces', 'sensor_msgs'):
            raise {error}


sys.meta_path.insert(0, Hide())
"""
NOT_THERE = "ModuleNotFoundError(f'No module named {name!r}', name=name)"
NOT_SOURCED = "ImportError('librcl_action.so: cannot open shared object file')"
HANGING_NAMES = """
import socket
import threading

socket.getaddrinfo = lambda *arguments, **options: threading.Event().wait()
"""


@pytest.fixture
def site(tmp_path):
    """Return a function that makes the folder with a `sitecustomize.py`."""

    def make(text):
        folder = tmp_path / 'site'
        folder.mkdir()
        (folder / 'sitecustomize.py').write_text(text, encoding='utf-8')
        return folder

    return make


@pytest.fixture
def no_ros(site):
    return site(WITHOUT_ROS.format(error=NOT_THERE))


def token_file(path, content=None):
    tokens = {'sender': TOKENS.sender, 'receiver': TOKENS.receiver}
    path.write_text(json.dumps(tokens) if content is None else content, encoding='utf-8')
    path.chmod(0o600)
    return str(path)


async def test_all_is_well_without_ros(no_ros, tmp_path):
    file = token_file(tmp_path / 'tokens.json')
    arguments = ('--token-file', file, '--ice-addresses', LOOPBACK)
    async with serving() as server, sending(server.port):
        code, out, err = await run_doctor(f'{LOOPBACK}:{server.port}', *arguments, site=no_ros)
    assert (code, err) == (0, '')
    *lines, summary = out.splitlines()
    assert [line.split()[1] for line in lines] == [*CHECKS]
    for line in lines[-len(ROS_CHECKS) :]:
        assert line.startswith('SKIP ')
        assert 'skipped: it needs ROS, which cannot be imported here (No module named' in line
        assert 'source its setup.bash' in line
    assert summary == f'ws://{LOOPBACK}:{server.port}/: 11 well, 5 skipped'
    assert TOKENS.receiver not in out


async def test_ros_that_is_not_sourced(site):
    folder = site(WITHOUT_ROS.format(error=NOT_SOURCED))
    code, told = await told_by_doctor(f'{LOOPBACK}:{closed_port()}', site=folder)
    assert code == 1
    for check in ROS_CHECKS:
        assert told[check]['verdict'] == 'skip'
        assert '(librcl_action.so: cannot open' in told[check]['seen']


@contextlib.asynccontextmanager
async def nobody():
    yield closed_port()


def web_server():
    return other_server(answering('200 OK'))


@contextlib.asynccontextmanager
async def signaling_server():
    async with serving() as server:
        yield server.port


@contextlib.asynccontextmanager
async def server_that_lets_all_in():
    async with serving(tokens=None) as server, sending(server.port):
        yield server.port


@pytest.mark.parametrize(
    ('place', 'token', 'outcome'),
    [
        (nobody, TOKENS.receiver, (1, 'port', 'fail', 'refused')),
        (web_server, TOKENS.receiver, (1, 'websocket', 'fail', 'HTTP 200: <h1>Hi</h1>')),
        (
            signaling_server, 'a-token-of-long-ago',
            (1, 'authentication', 'fail', 'the token is missing or wrong (close code 4401)'),
        ),
        (signaling_server, TOKENS.receiver, (1, 'session', 'fail', 'no camera is connected')),
        (server_that_lets_all_in, 'any', (0, 'wrong_token', 'warn', 'let in')),
    ],
)  # fmt: skip
async def test_what_is_told_to_scripts(no_ros, place, token, outcome):
    code, check, verdict, seen = outcome
    async with place() as port:
        arguments = (f'{LOOPBACK}:{port}', '--token', token, '--ice-addresses', LOOPBACK)
        got, told = await told_by_doctor(*arguments, site=no_ros)
    assert (got, told[check]['verdict']) == (code, verdict)
    assert seen in told[check]['seen']
    assert [name for name, one in told.items() if one['verdict'] == 'fail'] == [check] * code


async def test_no_token_file(no_ros, tmp_path):
    async with serving() as server:
        code, told = await told_by_doctor(
            f'{LOOPBACK}:{server.port}', site=no_ros, ROS_HOME=str(tmp_path)
        )
    assert code == 1
    assert told['token']['verdict'] == 'warn'
    assert told['token']['seen'] == 'none found'
    assert f'{tmp_path}/rtc_signaling/tokens.json' in told['token']['tried']
    assert told['authentication']['verdict'] == 'fail'
    assert '#token=' in told['authentication']['remedy']


async def test_a_token_file_that_others_can_read(no_ros, tmp_path):
    file = token_file(tmp_path / 'tokens.json')
    (tmp_path / 'tokens.json').chmod(0o644)
    async with serving() as server:
        _, told = await told_by_doctor(
            f'{LOOPBACK}:{server.port}', '--token-file', file, site=no_ros
        )
    assert told['token']['verdict'] == 'warn'
    assert told['token']['remedy'] == f'chmod 600 {file}'
    assert told['authentication']['verdict'] == 'ok'


@pytest.mark.parametrize('trusted', [True, False])
async def test_tls(no_ros, tmp_path, trusted):
    # In asyncio's debug mode a handshake that fails is reported.
    asyncio.get_running_loop().set_debug(False)
    certificate, key = make_certificate(tmp_path / 'tls', 'own')
    trust = {'SSL_CERT_FILE': str(certificate)} if trusted else {}
    async with serving(tls_certificate=str(certificate), tls_key=str(key)) as server:
        code, told = await told_by_doctor(
            f'https://{LOOPBACK}:{server.port}/#token={TOKENS.receiver}', site=no_ros, **trust
        )
    assert code == 1
    failed = [name for name, check in told.items() if check['verdict'] == 'fail']
    assert failed == (['session'] if trusted else ['websocket'])
    assert ('self-signed certificate' in told['websocket']['seen']) == (not trusted)


async def test_a_name_server_that_does_not_answer_holds_up_nothing(site):
    folder = site(WITHOUT_ROS.format(error=NOT_THERE) + HANGING_NAMES)
    code, told = await told_by_doctor('ws://robot.example:8765', site=folder)
    assert code == 1
    assert told['port']['seen'] == "looking up the name 'robot.example': no answer within 5 s"
    code, told = await told_by_doctor('ws://robot.example:8765', '--timeout', '1', site=folder)
    assert code == 1
    assert told['port']['seen'] == 'not done when the 1 s for all checks were over'


async def test_with_ros_it_looks_for_the_camera_too():
    async with serving() as server:
        code, told = await told_by_doctor(
            f'http://{LOOPBACK}:{server.port}/#token={TOKENS.receiver}',
            '--ice-addresses', LOOPBACK, '--ros-args', '-r', '__ns:=/doctor_test',
        )  # fmt: skip
    assert code == 1
    assert told['authentication']['verdict'] == 'ok'
    assert told['session']['verdict'] == 'fail'
    assert told['camera_topic']['verdict'] == 'fail'
    assert '/doctor_test/camera/image_raw' in told['camera_topic']['tried']
    assert told['dds']['verdict'] in ('ok', 'warn')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('ftp://robot',), "url = 'ftp://robot': must be ws://host:port"),
        (('--timeout', '0'), '0: must be at least 1'),
        (('--timeout', 'nan'), 'nan: must be at least 1'),
        (('--topic', 'a b'), '--topic'),
        (('--ros-args', '-r', 'nonsense'), '--ros-args'),
        (('--unknown',), 'unrecognized arguments'),
    ],
)
async def test_wrong_usage_is_exit_code_2(arguments, message):
    code, out, err = await run_doctor(*arguments)
    assert (code, out) == (2, '')
    assert message in err
    assert 'Traceback' not in err
