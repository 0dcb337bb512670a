"""Fixtures of the tests with real nodes."""

import pytest
from ros_stage import DEADLINE_S, domain_id, observer, serving, start

__all__ = ['domain_id', 'observer', 'start']


@pytest.fixture
def port():
    """Return the port of a signaling server that runs in the test."""
    with serving() as port:
        yield port


@pytest.fixture
def sender(start, port):
    """Return a function that starts a sender, which is connected then."""

    def start_sender(*settings):
        process = start('camera_sender', f'server_url:=ws://127.0.0.1:{port}', *settings)
        process.wait_for_output('connected to the signaling server', DEADLINE_S)
        return process

    return start_sender
