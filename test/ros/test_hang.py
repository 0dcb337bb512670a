"""Nodes whose background loop really hangs: they say so, and go on when it does."""

from __future__ import annotations

import json
import signal

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from fakes import scene_image
from ros_stage import DEADLINE_S, finish, serving, url_and_token, watching
from std_srvs.srv import SetBool, Trigger
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@pytest.fixture
def hang():
    """Return a function that makes a node's loop hang until it goes on by the other one."""

    def make_hang(process):
        process.wait_for_output('it can be made to hang', DEADLINE_S)
        process.signal(signal.SIGUSR1)
        process.wait_for_output('the loop hangs', DEADLINE_S)

    return make_hang


def go_on(process):
    process.signal(signal.SIGUSR2)


def test_a_server_that_hangs_answers_so_and_does_it_when_it_goes_on(start, observer, hang):
    process = start('signaling_server', 'auth.mode:=none', may_hang=True)
    port, _ = url_and_token(process)
    node, server = '/signaling_server', 'signaling_server: server'
    with connect(f'ws://127.0.0.1:{port}/', proxy=None) as viewer:
        viewer.recv(DEADLINE_S)
        observer.wait_for_part(server, OK)
        hang(process)
        answer = observer.call(Trigger, f'{node}/disconnect_all', Trigger.Request())
        assert (answer.success, answer.message) == (
            False, 'the signaling thread hangs: no answer in 2 s; it may still happen',
        )  # fmt: skip
        # A parameter is not changed and left without effect, but refused.
        [before] = observer.get(node, 'max_connections')
        assert observer.set(node, 'max_connections', before + 1) == (
            False, 'max_connections: not set, the signaling thread hangs: no answer in 2 s',
        )  # fmt: skip
        assert observer.get(node, 'max_connections') == [before]
        observer.wait_for_part(server, ERROR, r'^hangs: no figures for \d+ s$')
        go_on(process)
        observer.wait_for_part(server, ERROR, r'^overloaded: the event loop was \d+\.\d s late$')
        observer.wait_for_part(server, OK, '^running at')
        with pytest.raises(ConnectionClosed) as closed:
            viewer.recv(DEADLINE_S)
    assert closed.value.rcvd.code == 1001
    assert observer.set(node, 'max_connections', before + 1) == (True, '')
    finish(process, signal.SIGINT)


def test_new_tokens_of_a_server_that_hangs_are_admitted_when_it_goes_on(
    start, observer, hang, tmp_path
):
    process = start('signaling_server', may_hang=True)
    port, old = url_and_token(process)
    file = tmp_path / 'rtc_signaling' / 'tokens.json'
    hang(process)
    answer = observer.call(Trigger, '/signaling_server/rotate_token', Trigger.Request())
    assert not answer.success
    assert answer.message.startswith(f'new tokens are in {file}, not admitted yet: the signaling')
    go_on(process)
    new = json.loads(file.read_text())['receiver']
    for token, kind in ((old, 'error'), (new, 'connected')):
        with connect(
            f'ws://127.0.0.1:{port}/', proxy=None, open_timeout=DEADLINE_S,
            additional_headers={'Authorization': f'Bearer {token}'},
        ) as client:  # fmt: skip
            assert json.loads(client.recv(DEADLINE_S))['type'] == kind
    finish(process, signal.SIGINT)


def test_a_sender_that_hangs_answers_so_and_tells_which_images_it_missed(start, observer, hang):
    driver = observer.driver()
    driver.show(scene_image(1, 64, 64))
    with serving() as port, driver:
        process = start('camera_sender', f'server_url:=ws://127.0.0.1:{port}', may_hang=True)
        process.wait_for_output('connected to the signaling server', DEADLINE_S)
        with watching(port):
            observer.wait_for_part('camera_sender: encoder', OK, 'pictures a second')
            hang(process)
            for kind, name, request in (
                (Trigger, 'request_keyframe', Trigger.Request()),
                (SetBool, 'set_enabled', SetBool.Request(data=True)),
            ):
                answer = observer.call(kind, f'/camera_sender/{name}', request)
                assert (answer.success, answer.message) == (
                    False, 'the media thread hangs: no answer in 2 s; it may still happen',
                )  # fmt: skip
            assert observer.set('/camera_sender', 'max_viewers', 3) == (
                False, 'max_viewers: not set, the media thread hangs: no answer in 2 s',
            )  # fmt: skip
            # Twice, a second apart: calls that wait for the media thread hold up images as well.
            for _ in range(2):
                observer.wait_for_part('camera_sender: camera', ERROR, '^hangs: no figures for')
            go_on(process)
            observer.wait_for_part(
                'camera_sender: encoder', WARN, r'^too slow: \d+% of the images were replaced'
            )
            observer.wait_for_part('camera_sender: encoder', OK, 'pictures a second')
        finish(process, signal.SIGINT)
