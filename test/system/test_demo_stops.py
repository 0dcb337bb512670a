"""The demo ends with all of its processes, however it is told to, and says why where it must."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from processes import descendants, is_gone, running_demo, wait_until

DOMAIN_ID = 64
# For a busy machine; that each node ends by itself in time is what the demo says.
DEADLINE_S = 30.0


def nodes_of(demo):
    """Return the process ids of the demo's nodes, once all of them run."""
    return wait_until(lambda: _named_nodes(demo.pid), 10.0, 'three nodes')


def _named_nodes(pid):
    command_lines = {
        child: Path(f'/proc/{child}/cmdline').read_bytes().replace(b'\0', b' ')
        for child in descendants(pid)
    }
    nodes = [child for child, line in command_lines.items() if b'--ros-args' in line]
    return nodes if len(nodes) == 3 else None


def assert_ended(demo, nodes, code):
    assert demo.wait(DEADLINE_S) == code
    assert [pid for pid in nodes if not is_gone(pid)] == []
    assert 'was killed' not in demo.output
    assert 'Traceback' not in demo.output


@pytest.mark.parametrize(
    'signals',
    [[signal.SIGINT], [signal.SIGTERM], [signal.SIGHUP], [signal.SIGINT, signal.SIGINT]],
    ids=lambda signals: '+'.join(number.name for number in signals),
)
def test_a_signal_ends_all_of_it_in_order(tmp_path, signals):
    with running_demo(tmp_path, DOMAIN_ID) as demo:
        demo.wait_for_url()
        nodes = nodes_of(demo)
        for number in signals:
            demo.signal(number)
        assert_ended(demo, nodes, 0)
        assert demo.output.count('\n') == 1, demo.output


def test_a_signal_during_the_start_ends_all_of_it(tmp_path):
    with running_demo(tmp_path, DOMAIN_ID) as demo:
        nodes = nodes_of(demo)
        demo.signal(signal.SIGINT)
        assert_ended(demo, nodes, 0)
        assert demo.output == ''


def test_ctrl_c_in_the_terminal_of_make_pressed_twice(tmp_path):
    with running_demo(tmp_path, DOMAIN_ID, by_make=True) as demo:
        demo.wait_for_url()
        nodes = nodes_of(demo)
        demo.interrupt()
        demo.interrupt()
        # make ends by the same signal; a shell shows that as 130.
        assert_ended(demo, nodes, -signal.SIGINT)
        assert 'rror' not in demo.output.partition('Ctrl-C ends it.')[2]


def test_a_closed_terminal_ends_all_of_it(tmp_path):
    with running_demo(tmp_path, DOMAIN_ID, by_make=True) as demo:
        demo.wait_for_url()
        nodes = nodes_of(demo)
        demo.close_terminal()
        wait_until(lambda: all(map(is_gone, nodes)), DEADLINE_S, 'the end of the nodes')
        assert_ended(demo, nodes, -signal.SIGHUP)


def test_a_node_that_dies_ends_the_demo_with_an_error(tmp_path):
    with running_demo(tmp_path, DOMAIN_ID) as demo:
        demo.wait_for_url()
        nodes = nodes_of(demo)
        os.kill(nodes[-1], signal.SIGKILL)
        assert_ended(demo, nodes, 1)
        assert 'camera_sender has ended with exit code -9' in demo.output


def test_a_port_in_use_is_one_clear_error(tmp_path):
    # Another demo, because that one answers like the demo's own server.
    with running_demo(tmp_path, DOMAIN_ID) as first:
        first.wait_for_url()
        with running_demo(tmp_path, DOMAIN_ID, port=first.port) as second:
            assert second.wait() == 2
            *_, line = second.output.strip().split('\n')
            assert f'--port: {first.port} cannot be used: Address already in use' in line
            assert 'Traceback' not in second.output
            assert 'Open' not in second.output
        assert first.running
