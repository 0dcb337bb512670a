"""The server's and the sender's nodes as real processes, watched over real DDS."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from fakes import TOKENS, scene_image
from processes import wait_until
from ros_stage import (
    DEADLINE_S,
    NODES,
    STATUS,
    STOP_S,
    fails,
    finish,
    lines,
    serving,
    url_and_token,
    values,
    watching,
    write_tokens,
)
from websockets.sync.client import connect

LINK = 'camera_sender: signaling link'

# Shut-down.


@pytest.mark.parametrize('name', NODES)
@pytest.mark.parametrize(
    'numbers',
    [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGINT, signal.SIGINT, signal.SIGTERM)],
    ids=['SIGINT', 'SIGTERM', 'many'],
)
def test_a_signal_ends_it_in_order(start, name, numbers):
    finish(start(name), *numbers)


@pytest.mark.parametrize('name', NODES)
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_starts_ends_it_in_order(start, name, number):
    process = start(name, wait=False)
    # As early as it catches SIGTERM at all: rclpy and aiortc are still to be imported.
    wait_until(lambda: catches(process.pid, signal.SIGTERM), DEADLINE_S, 'signals are caught')
    assert not process.output
    process.signal(number)
    assert process.wait(DEADLINE_S) == 0
    assert 'Traceback' not in process.output


def catches(pid, number):
    text = Path(f'/proc/{pid}/status').read_text()
    return int(re.search(r'SigCgt:\s*(\w+)', text)[1], 16) >> (number - 1) & 1


@pytest.mark.parametrize('name', NODES)
def test_the_last_status_says_stopped(start, observer, name):
    process = start(name)
    heard = observer.listen(STATUS[name])
    observer.spin_until(lambda: heard, 'no status')
    process.signal(signal.SIGINT)
    observer.wait_for(STATUS[name], DiagnosticStatus.STALE, '^stopped$')
    assert process.wait(STOP_S) == 0


# What a user can get wrong.


@pytest.mark.parametrize(
    ('name', 'setting', 'words'),
    [
        ('signaling_server', 'port:=70000', r'port = 70000: must be at least 0 and at most 65535'),
        ('signaling_server', 'auth.mode:=open', r"auth\.mode = 'open': must be one of token"),
        ('signaling_server', 'host:=192.0.2.1', r"host = '192\.0\.2\.1': cannot be listened on"),
        ('camera_sender', 'max_viewers:=many', r"max_viewers = 'many': must be an integer"),
        ('camera_sender', 'server_url:=http://x', r"server_url = 'http://x': must match"),
    ],
)  # fmt: skip
def test_a_bad_parameter_is_named(start, name, setting, words):
    process = start(name, setting, wait=False)
    assert re.search(rf'^\[{name}\]: {words}', fails(process))
    assert len(process.output.splitlines()) <= 2


def test_a_port_in_use_is_named(start):
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        process = start('signaling_server', f'port:={port}', 'auth.mode:=none', wait=False)
        assert f'port = {port}: is in use by another program' in fails(process)


def test_token_files_that_are_none_are_named(start, tmp_path):
    malformed = tmp_path / 'malformed.json'
    malformed.write_text('{"sender": 5')
    below_a_file = malformed / 'tokens.json'
    started = {
        path: start('signaling_server', f'auth.token_file:={path}', wait=False)
        for path in (malformed, tmp_path, below_a_file)
    }
    for path, process in started.items():
        assert f"auth.token_file = '{path}': " in fails(process)


@pytest.mark.parametrize('name', NODES)
def test_a_missing_or_broken_params_file_is_named(start, tmp_path, name):
    missing, broken = tmp_path / 'missing.yaml', tmp_path / 'broken.yaml'
    broken.write_text('a: [')
    for path in (missing, broken):
        process = start(name, words=('--params-file', str(path)), wait=False)
        assert str(path) in fails(process)


def test_a_token_is_made_and_the_url_with_it_is_the_one_place_where_it_is_shown(start, tmp_path):
    process = start('signaling_server')
    port, token = url_and_token(process)
    file = tmp_path / 'rtc_signaling' / 'tokens.json'
    tokens = json.loads(file.read_text())
    assert file.stat().st_mode & 0o777 == 0o600
    assert token == tokens['receiver']
    assert process.output.count(token) == 1
    assert tokens['sender'] not in process.output
    for secret, role, answer in ((token, 'receiver', 'connected'), (token, 'sender', 'error')):
        with connect(
            f'ws://127.0.0.1:{port}/?role={role}', proxy=None,
            additional_headers={'Authorization': f'Bearer {secret}'},
        ) as client:  # fmt: skip
            assert json.loads(client.recv(DEADLINE_S))['type'] == answer
    finish(process, signal.SIGINT)
    # The same at the next start: a viewer's bookmark goes on working.
    assert url_and_token(start('signaling_server'))[1] == token


# The statuses.


def test_the_servers_status_counts_who_is_in(start, observer):
    process = start('signaling_server', 'auth.mode:=none', remap=['__ns:=/robot1'])
    assert any('auth.mode is none' in text for _, text in lines(process))
    port, token = url_and_token(process)
    assert token is None
    topic = '/robot1/signaling/status'
    observer.wait_for(topic, DiagnosticStatus.WARN, r'^running: no robot, 0 viewer')
    with (
        connect(f'ws://127.0.0.1:{port}/?role=sender', proxy=None),
        connect(f'ws://127.0.0.1:{port}/', proxy=None) as viewer,
    ):
        observer.wait_for(topic, DiagnosticStatus.OK, r'^running: 1 robot\(s\), 1 viewer\(s\)')
        viewer.send('what?')
        status = observer.spin_until(
            lambda: next(
                (s for s in observer.heard[topic] if 'errors.invalid_json' in values(s)), None
            ),
            'the error is not counted',
        )
    assert values(status)['errors'] == '1'
    assert values(status)['url'] == f'ws://127.0.0.1:{port}/'
    assert status.name == 'robot1/signaling_server: status'
    observer.wait_for(topic, DiagnosticStatus.WARN, 'no robot, 0 viewer')


def test_a_sender_without_a_server_says_so_once_and_stays(start, observer, tmp_path):
    process = start('camera_sender')
    heard = observer.listen(STATUS['camera_sender'])
    # One a second: many attempts fall into that time.
    observer.spin_until(lambda: len(heard) >= 3, 'no statuses')
    assert heard[-1].level == DiagnosticStatus.WARN
    assert heard[-1].message.startswith('no connection to the signaling server at ws://127.0.0.1:')
    observer.wait_for_part(LINK, DiagnosticStatus.WARN, '^no connection to the signaling server')
    texts = [text for _, text in lines(process)]
    assert len(texts) == 1
    assert 'cannot reach the signaling server' in texts[0]
    finish(process, signal.SIGINT)


def test_a_wrong_token_is_said_once_and_a_mended_one_taken_up(start, observer, tmp_path):
    wrong = 'a-token-of-another-robot'
    file = write_tokens(tmp_path / 'tokens.json', sender=wrong, receiver='x' * 16)
    with serving(TOKENS) as port:
        process = start(
            'camera_sender', f'server_url:=ws://127.0.0.1:{port}', f'auth.token_file:={file}'
        )
        topic = STATUS['camera_sender']
        observer.wait_for(topic, DiagnosticStatus.ERROR, 'the token is missing or wrong')
        observer.wait_for(topic, DiagnosticStatus.ERROR, 'the token is missing or wrong')
        observer.wait_for_part(LINK, DiagnosticStatus.ERROR, 'the token is missing or wrong')
        assert [level for level, _ in lines(process)] == ['ERROR']
        assert f'127.0.0.1:{port} refused the connection' in process.output
        # Half a file, as an editor may leave it for a moment, is said and does no harm.
        file.write_text('{"sender": ')
        process.wait_for_output(r'tokens\.json.*must be JSON', DEADLINE_S)
        write_tokens(file, sender=TOKENS.sender, receiver=TOKENS.receiver)
        status = observer.wait_for(topic, DiagnosticStatus.STALE, 'no images from the camera')
        assert values(status)['linked'] == 'yes'
        finish(process, signal.SIGTERM)
    for secret in (wrong, TOKENS.sender, TOKENS.receiver):
        assert secret not in process.output


def test_a_newer_sender_of_the_same_name_ends_it_with_one_line(start, observer):
    with serving() as port:
        process = start('camera_sender', f'server_url:=ws://127.0.0.1:{port}', 'client_id:=arm')
        process.wait_for_output('connected to the signaling server', DEADLINE_S)
        heard = observer.listen(STATUS['camera_sender'])
        # The node's last word reaches only those whom it has discovered before.
        observer.spin_until(lambda: heard, 'no status')
        with connect(f'ws://127.0.0.1:{port}/?role=sender&client_id=arm', proxy=None):
            observer.wait_for(STATUS['camera_sender'], DiagnosticStatus.ERROR, '^died$')
            assert 'a newer connection has this client_id' in fails(process)


def test_a_bad_image_is_an_error_until_a_good_one_comes(start, observer):
    topic = STATUS['camera_sender']
    good, unknown, short = (scene_image(1, 64, 64) for _ in range(3))
    unknown.encoding = 'novel9'
    short.data = short.data[:-1]
    driver = observer.driver()
    driver.show(good)
    with serving() as port, driver, contextlib.ExitStack() as stack:
        process = start('camera_sender', f'server_url:=ws://127.0.0.1:{port}')
        process.wait_for_output('connected to the signaling server', DEADLINE_S)
        stack.enter_context(watching(port))
        status = observer.wait_for(topic, DiagnosticStatus.OK, r'sending to 1 viewer\(s\)')
        assert values(status)['image'] == '64x64 bgr8'
        for bad, words in (
            (unknown, "unknown image encoding 'novel9'; supported are rgb8"),
            (short, 'image data of 12287 bytes; 64 rows with a step of 192 bytes need 12288'),
        ):
            driver.show(bad)
            observer.wait_for(topic, DiagnosticStatus.ERROR, words)
            # One line for all of them.
            assert process.output.count(words) == 1
            driver.show(good)
            observer.wait_for(topic, DiagnosticStatus.OK, 'sending to 1 viewer')
        finish(process, signal.SIGINT)
