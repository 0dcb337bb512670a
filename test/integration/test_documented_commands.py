"""Commands of the documents that can be run, run as they stand there: curl and openssl."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from processes import Process, free_port

from rtc_signaling.tls import server_tls
from rtc_signaling.tokens import load

DOCS = Path(__file__).resolve().parents[2] / 'docs'


def documented(name, program):
    """Return the commands of a document that call a program."""
    text = (DOCS / name).read_text(encoding='utf-8')
    return re.findall(rf'^    ({program} .*)$', text, re.MULTILINE)


CURL = documented('operating.md', 'curl')
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
    assert sorted(re.findall(r'8765(/\w+)', ' '.join(CURL))) == sorted(ANSWERS)
    for command in CURL:
        path = re.search(r'8765(/\w+)', command)[1]
        done = subprocess.run(
            ['bash', '-c', command.replace('robot:8765', f'127.0.0.1:{port}') + ' -sS'],
            check=False, capture_output=True, text=True, timeout=30.0,
            env={**os.environ, 'TOKEN': token, 'no_proxy': '*'},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert ANSWERS[path] in done.stdout


def test_the_certificate_of_the_documents_can_be_used(tmp_path):
    if shutil.which('openssl') is None:
        pytest.skip('openssl is not installed: the command of docs/robot.md was not run')
    (command,) = documented('robot.md', 'openssl')
    done = subprocess.run(
        ['bash', '-c', command],
        check=False, cwd=tmp_path, capture_output=True, text=True, timeout=30.0,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    chain, key = tmp_path / 'fullchain.pem', tmp_path / 'key.pem'
    assert server_tls(str(chain), str(key)) is not None
    certificate = x509.load_pem_x509_certificate(chain.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ['robot.example']
    # Browsers of Apple take none that is good for longer.
    good_for = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert good_for.days <= 825
