"""The doctor and TLS: certificates of every kind, and each scheme spoken to the other's port."""

from __future__ import annotations

import asyncio

import pytest
from certificates import make_certificate
from doctor_stage import LOOPBACK, examine, greet, of, other_server, serving

from rtc_signaling.doctor.findings import Verdict


@pytest.fixture(autouse=True)
def _bad_handshakes(monkeypatch):
    """Let TLS handshakes fail: asyncio reports them, in its debug mode only."""
    report = asyncio.BaseEventLoop.call_exception_handler

    def call(loop, context):
        if 'transport creation' not in context['message']:
            report(loop, context)

    monkeypatch.setattr(asyncio.BaseEventLoop, 'call_exception_handler', call)


@pytest.fixture
def files(tmp_path):
    return make_certificate(tmp_path / 'own', 'own')


def secured(files):
    certificate, key = files
    return serving(tls_certificate=str(certificate), tls_key=str(key))


async def look_at(files, url='wss://127.0.0.1'):
    """Return the findings, by check, about a server with these files."""
    async with secured(files) as server:
        return (await examine(0, url=f'{url}:{server.port}'))[1]


async def test_a_certificate_that_is_trusted(files, monkeypatch):
    monkeypatch.setenv('SSL_CERT_FILE', str(files[0]))
    found = await look_at(files)
    assert of(found, Verdict.FAIL) == {'session'}
    assert found['session'].seen == 'no camera is connected'
    for check in ('health', 'websocket', 'authentication', 'messages', 'wrong_token', 'errors'):
        assert found[check].verdict is Verdict.OK, found[check]


async def test_a_certificate_that_is_not_trusted(files):
    found = await look_at(files)
    assert found['port'].verdict is Verdict.OK
    assert of(found, Verdict.FAIL) == {'websocket'}
    for check in ('health', 'websocket'):
        assert found[check].seen == 'the certificate is not accepted: self-signed certificate'
        assert 'set SSL_CERT_FILE' in found[check].remedy
    assert found['session'].seen == 'websocket has to be well first'


async def test_a_certificate_that_has_expired(tmp_path, monkeypatch):
    files = make_certificate(tmp_path / 'old', 'old', good_for_s=-60.0)
    monkeypatch.setenv('SSL_CERT_FILE', str(files[0]))
    found = await look_at(files)
    assert of(found, Verdict.FAIL) == {'websocket'}
    assert found['websocket'].seen == 'the certificate is not accepted: certificate has expired'
    assert 'renew the certificate' in found['websocket'].remedy
    assert 'SSL_CERT_FILE' not in found['websocket'].remedy


async def test_a_certificate_for_another_name(files, monkeypatch):
    monkeypatch.setenv('SSL_CERT_FILE', str(files[0]))
    found = await look_at(files, 'wss://localhost')
    assert of(found, Verdict.FAIL) == {'websocket'}
    assert "certificate is not valid for 'localhost'" in found['websocket'].seen
    assert 'stands in the certificate' in found['websocket'].remedy


async def test_tls_to_a_server_without():
    async with serving() as server:
        _, found = await examine(0, url=f'wss://{LOOPBACK}:{server.port}')
    assert of(found, Verdict.FAIL) == {'websocket'}
    for check in ('health', 'websocket'):
        assert found[check].seen in ('the server hung up', '[Errno 104] Connection reset by peer')
        assert f'if the server has no TLS, try ws://{LOOPBACK}:' in found[check].remedy


async def test_plain_text_to_a_server_with_tls(files):
    found = await look_at(files, 'ws://127.0.0.1')
    assert of(found, Verdict.FAIL) == {'websocket'}
    for check in ('health', 'websocket'):
        assert f'if the server has TLS, try wss://{LOOPBACK}:' in found[check].remedy


async def test_tls_to_what_answers_in_plain_text():
    async with other_server(greet) as port:
        _, found = await examine(0, url=f'wss://{LOOPBACK}:{port}')
    assert of(found, Verdict.FAIL) == {'websocket'}
    for check in ('health', 'websocket'):
        assert 'the TLS handshake failed' in found[check].seen
        assert f'if the server has no TLS, try ws://{LOOPBACK}:{port}' in found[check].remedy
