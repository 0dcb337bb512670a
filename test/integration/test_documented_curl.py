"""The curl commands of docs/operating.md, run as they stand there against a real server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import Process, free_port

from rtc_signaling.tokens import load

DOCUMENT = Path(__file__).resolve().parents[2] / 'docs' / 'operating.md'
COMMANDS = re.findall(r'^    (curl .*)$', DOCUMENT.read_text(encoding='utf-8'), re.MULTILINE)
# What each is for, in its answer.
ANSWERS = {'/healthz': 'ok', '/metrics': 'rtc_signaling_healthy 1'}


@pytest.fixture
def server(tmp_path):
    """Run the server without ROS; give its port and a viewer's token."""
    port, token_file = free_port(), tmp_path / 'tokens.json'
    options = ['--host', '127.0.0.1', '--port', str(port), '--auth.token_file', str(token_file)]
    command = [sys.executable, '-m', 'rtc_signaling.server', *options]
    process = Process('server', command, dict(os.environ))
    try:
        process.wait_for_output('open http://')
        yield port, load(token_file).receiver
    finally:
        process.stop()


def test_each_curl_command_gets_what_it_is_for(server):
    if shutil.which('curl') is None:
        pytest.skip('curl is not installed: the commands of docs/operating.md were not run')
    port, token = server
    assert sorted(re.findall(r'8765(/\w+)', ' '.join(COMMANDS))) == sorted(ANSWERS)
    for command in COMMANDS:
        path = re.search(r'8765(/\w+)', command)[1]
        done = subprocess.run(
            ['bash', '-c', command.replace('robot:8765', f'127.0.0.1:{port}') + ' -sS'],
            check=False, capture_output=True, text=True, timeout=30.0,
            env={**os.environ, 'TOKEN': token, 'no_proxy': '*'},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert ANSWERS[path] in done.stdout
