"""Case 2, the ways that video may take: small packets, IPv6 alone, TURN in its three forms."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from certificates import make_certificate
from processes import Process, wait_until

from faults.network import FIRST_S, FRESH_P95_MS, Scenery, figures, scenery
from faults.report import Row, Section
from faults.space import Space

PORT, TLS_PORT = 3478, 5349
SECRET = 'the-secret-of-the-harness'  # of a TURN server that nobody else reaches
WATCH_S = 10.0


def _row(done: str, scene: Scenery, **options: object) -> Row:
    """Let a viewer join and watch for a while."""
    name = 'viewer'
    promised = f'a picture within {FIRST_S:.0f} s, age p95 under {FRESH_P95_MS:.0f} ms'
    try:
        viewer, first_s = scene.join(name, **options)  # type: ignore[arg-type]
    except TimeoutError as error:
        return Row(done, promised, f'no video: {error}', False)
    start_s = time.time()
    scene.pass_time(WATCH_S)
    end_s = time.time()
    seen, p95 = figures(viewer, start_s, end_s)
    pair = [step['pair'] for step in viewer.steps if 'pair' in step][-1]
    way = f'way: {" to ".join(pair)}'
    kept = first_s <= FIRST_S and p95 <= FRESH_P95_MS
    scene.rig.dismiss(viewer)
    return Row(done, promised, f'first picture after {first_s:.1f} s, {way}; {seen}', kept)


def mtu(directory: Path, domain: int) -> Section:
    """Let no packet over 1280 bytes through."""
    section = Section()
    with scenery(directory / 'mtu', domain) as scene:
        scene.places.ip('router', 'link', 'set', 'to-viewer', 'mtu', '1280')
        scene.places.ip('viewer', 'link', 'set', 'e0', 'mtu', '1280')
        section.add(_row('MTU 1280 on the way to the viewer', scene))
    return section


def ipv6(directory: Path, domain: int) -> Section:
    """Have no IPv4 between robot and viewer."""
    section = Section()
    with scenery(directory / 'ipv6', domain, ipv6=True) as scene:
        section.add(_row('IPv6 alone', scene))
    return section


def turn(directory: Path, domain: int) -> Section:
    """Go through a real TURN server (coturn), and block UDP."""
    section = Section()
    if shutil.which('turnserver') is None:
        raise SystemExit('turnserver is missing: apt install coturn')
    forms = {
        'relay only, TURN over UDP': (f'turn:{{}}:{PORT}', False),
        'UDP blocked, TURN over TCP': (f'turn:{{}}:{PORT}?transport=tcp', True),
        'UDP blocked, TURN over TLS': (f'turns:{{}}:{TLS_PORT}?transport=tcp', True),
    }
    for number, (done, (url, blocked)) in enumerate(forms.items()):
        folder = directory / f'turn{number}'
        folder.mkdir(parents=True)
        section.add(_turn_row(folder, domain, done, url, blocked))
    return section


def _turn_row(folder: Path, domain: int, done: str, url: str, blocked: bool) -> Row:
    host = '10.77.2.1'
    secret = folder / 'secret'
    secret.write_text(SECRET, encoding='utf-8')
    secret.chmod(0o600)
    certificate, key = make_certificate(folder / 'tls', 'turn', host=host)
    trust = {'SSL_CERT_FILE': str(certificate)}
    server = (f'ice_servers:=["{url.format(host)}"]', f'turn.secret_file:={secret}')
    with scenery(folder, domain, server=server, variables={'sender': trust}) as scene:
        if blocked:
            scene.places.block_udp()
        with _coturn(folder, scene.places, host, (certificate, key)):
            return _row(done, scene, variables=trust, relay_only=not blocked)


@contextlib.contextmanager
def _coturn(folder: Path, places: Space, host: str, tls: tuple[Path, Path]) -> Iterator[Process]:
    """Run coturn on the router: towards the viewer it listens, towards the robot it relays."""
    command = [
        *places.prefix('router'), 'turnserver', '-n', '--listening-ip', host,
        '--relay-ip', places.address('robot', 1), '--listening-port', str(PORT),
        '--tls-listening-port', str(TLS_PORT), '--cert', str(tls[0]), '--pkey', str(tls[1]),
        '--no-dtls', '--no-cli', '--log-file', 'stdout', '--use-auth-secret',
        '--static-auth-secret', SECRET, '--realm', 'faults',
        '--pidfile', str(folder / 'pid'), '--userdb', str(folder / 'db'),
    ]  # fmt: skip
    process = Process('coturn', command, {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin'})
    try:
        wait_until(lambda: _listens(places, PORT), 20.0, 'coturn listens')
        yield process
    finally:
        (folder / 'coturn.txt').write_text(process.output, encoding='utf-8')
        process.kill() if not process.running else process.stop()


def _listens(places: Space, port: int) -> bool:
    words = [*places.prefix('router'), 'cat', '/proc/net/tcp']
    text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return f':{port:04X} 00000000:0000 0A' in text
