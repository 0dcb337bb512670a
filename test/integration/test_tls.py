"""TLS: the certificate of the files, read again when they change."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import warnings

import pytest
from certificates import make_certificate
from cryptography.hazmat.primitives import serialization
from fakes import DEADLINE_S, TOKENS, WireClient, until
from under_attack import running_stage
from websockets.asyncio.client import connect

from rtc_signaling.auth import TokenAuthenticator
from rtc_signaling.errors import ConfigurationError
from rtc_signaling.server import SignalingServer
from rtc_signaling.server_config import ServerConfig
from rtc_signaling.tls import server_tls


@pytest.fixture
def files(tmp_path):
    return make_certificate(tmp_path / 'first', 'first')


@contextlib.asynccontextmanager
async def serving(files, **settings):
    certificate, key = files
    config = ServerConfig(
        host='127.0.0.1', port=0, tls_certificate=str(certificate), tls_key=str(key), **settings
    )
    async with SignalingServer(config, TokenAuthenticator(TOKENS)).run() as server:
        yield server


@pytest.fixture
def bad_handshakes():
    """Let TLS handshakes fail: asyncio reports them, in its debug mode only."""

    def install():
        loop = asyncio.get_running_loop()
        others = loop.get_exception_handler()

        def handle(loop, context):
            if 'transport creation' not in context['message']:
                others(loop, context)

        loop.set_exception_handler(handle)

    return install


def trusting(certificate):
    return ssl.create_default_context(cafile=str(certificate))


@contextlib.asynccontextmanager
async def client(server, context):
    """Connect over TLS; yields the client and the name in the server's certificate."""
    headers = {'Authorization': f'Bearer {TOKENS.receiver}'}
    async with connect(server.url, ssl=context, additional_headers=headers, proxy=None) as socket:
        subject = socket.transport.get_extra_info('peercert')['subject']
        yield WireClient(socket), subject[0][0][1]


async def test_a_client_that_trusts_the_certificate_gets_in(files):
    async with serving(files) as server:
        assert server.url.startswith('wss://')
        async with client(server, trusting(files[0])) as (one, name):
            assert (await one.expect('connected'))['role'] == 'receiver'
            assert name == 'first'
            # More than one record, and more than one read.
            await one.send(type='ping', msg_id='p', filler='x' * 60_000)
            assert (await one.expect('pong'))['msg_id'] == 'p'


async def test_a_client_that_does_not_trust_it_stays_out(files, tmp_path, bad_handshakes):
    bad_handshakes()
    other, _ = make_certificate(tmp_path / 'other', 'other')
    async with serving(files) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            async with client(server, trusting(other)):
                pass


@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_old_versions_are_refused(files, version, bad_handshakes):
    bad_handshakes()
    context = trusting(files[0])
    # TLS 1.0 and 1.1 are deprecated, and Python says so.
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = version
    async with serving(files) as server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with client(server, context):
                pass


async def test_a_new_certificate_is_taken_without_a_restart(files, tmp_path):
    second = make_certificate(tmp_path / 'second', 'second')
    trust = trusting(files[0])
    trust.load_verify_locations(str(second[0]))
    async with serving(files) as server, client(server, trust) as (old, _):
        await old.expect('connected')
        for source, target in zip(second, files, strict=True):
            # As certbot does: the new file appears whole.
            shutil.copy(source, target.with_suffix('.new'))
            os.replace(target.with_suffix('.new'), target)
        names = []
        while 'second' not in names:
            async with client(server, trust) as (_, name):
                names.append(name)
            assert len(names) < 100
            await asyncio.sleep(0.05)
        # Who was in stays in.
        await old.send(type='ping')
        assert (await old.receive())['type'] in ('pong', 'peer_joined')


async def test_a_certificate_that_cannot_be_used_leaves_the_old_one(files, caplog):
    async with serving(files) as server:
        files[0].write_text('no certificate', encoding='utf-8')
        await until(lambda: server.snapshot().problems, 'the problem named')
        assert 'tls.certificate' in server.snapshot().problems[0]
    # A second server would not start with it; the first went on with the old one.
    assert 'stays in force' in caplog.text
    assert 'PRIVATE' not in caplog.text


async def test_a_half_changed_pair_is_not_used(files, tmp_path):
    second = make_certificate(tmp_path / 'second', 'second')
    trust = trusting(files[0])
    trust.load_verify_locations(str(second[0]))
    async with serving(files) as server:
        shutil.copy(second[0], files[0])
        await until(lambda: server.snapshot().problems, 'the problem named')
        async with client(server, trust) as (one, name):
            await one.expect('connected')
            assert name == 'first'
        shutil.copy(second[1], files[1])
        await until(lambda: not server.snapshot().problems, 'the problem gone')
        async with client(server, trust) as (_, name):
            assert name == 'second'


def encrypt(path):
    """Encrypt the key in a file."""
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    pem, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    encryption = serialization.BestAvailableEncryption(b'password')
    path.write_bytes(key.private_bytes(pem, kind, encryption))


def test_an_encrypted_key_is_refused_without_asking_for_its_password(files):
    encrypt(files[1])
    with pytest.raises(ConfigurationError, match='is encrypted') as error:
        server_tls(*map(str, files))
    assert (error.value.name, error.value.value) == ('tls.key', str(files[1]))


async def test_a_key_that_becomes_encrypted_leaves_the_old_one(files):
    async with serving(files) as server:
        encrypt(files[1])
        await until(lambda: server.snapshot().problems, 'the problem named')
        assert server.snapshot().problems[0].startswith(f"tls.key = '{files[1]}': is encrypted")
        async with client(server, trusting(files[0])) as (one, _):
            await one.expect('connected')


async def test_who_speaks_no_tls_is_sent_away(files, bad_handshakes):
    bad_handshakes()
    async with serving(files) as server:
        reader, writer = await asyncio.open_connection('127.0.0.1', server.port)
        writer.write(b'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
        async with asyncio.timeout(DEADLINE_S):
            try:
                answer = await reader.read()
            except ConnectionError:
                answer = b''
        writer.close()
        assert b'200' not in answer


async def test_a_tls_handshake_has_a_deadline(files, bad_handshakes):
    bad_handshakes()
    async with serving(files, auth_timeout_s=0.5) as server:
        reader, writer = await asyncio.open_connection('127.0.0.1', server.port)
        async with asyncio.timeout(DEADLINE_S):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b''
        writer.close()


def test_what_is_no_tls_fills_no_log(files, tmp_path):
    options = {'tls.certificate': files[0], 'tls.key': files[1]}
    with running_stage(tmp_path, **options) as stage:
        before = len(stage.output)
        for garbage in (b'GET / HTTP/1.1\r\n\r\n', b'\0' * 1000, b'\x16\x03\x01\xff\xff') * 10:
            with stage.socket() as attacker:
                attacker.send(garbage)
                attacker.socket.shutdown(socket.SHUT_WR)
                assert attacker.end() == 1006
        lines = stage.output[before:].splitlines()
        assert len(lines) <= 3, lines


@pytest.mark.parametrize(
    ('settings', 'name'),
    [
        ({'tls_certificate': 'certificate.pem'}, 'tls.key'),
        ({'tls_key': 'key.pem'}, 'tls.certificate'),
        ({'tls_certificate': '/nowhere/c.pem', 'tls_key': '/nowhere/k.pem'}, 'tls.certificate'),
    ],
)
def test_files_that_are_not_there_are_named(settings, name):
    with pytest.raises(ConfigurationError) as error:
        SignalingServer(ServerConfig(**settings), TokenAuthenticator(TOKENS))
    assert error.value.name == name
