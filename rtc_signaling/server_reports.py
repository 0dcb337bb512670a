"""How the signaling server is: its status and its parts for /diagnostics, from its figures."""

from __future__ import annotations

from collections.abc import Mapping

from rtc_signaling.metrics import ServerSnapshot
from rtc_signaling.report import Level, Report, worst
from rtc_signaling.server_config import ServerConfig

Values = tuple[tuple[str, object], ...]


def status(snapshot: ServerSnapshot) -> Report:
    """Return the status for people: everything, the most important first."""
    robots = f'{snapshot.senders} robot(s)' if snapshot.senders else 'no robot'
    summary = f'running: {robots}, {snapshot.receivers} viewer(s)'
    level, message = Level.OK if snapshot.senders else Level.WARN, summary
    if snapshot.problems:
        level, message = Level.ERROR, '; '.join(snapshot.problems)
    values = (
        ('senders', snapshot.senders),
        ('receivers', snapshot.receivers),
        ('away', snapshot.away),
        ('url', snapshot.url),
        ('messages_received_per_s', snapshot.received.messages_per_s),
        ('messages_sent_per_s', snapshot.sent.messages_per_s),
        ('errors_per_s', snapshot.error_rate),
        ('ping_p50_ms', snapshot.ping_s.p50 * 1000),
        ('ping_p95_ms', snapshot.ping_s.p95 * 1000),
        ('setup_p50_ms', snapshot.setup_s.p50 * 1000),
        ('waiting_messages', snapshot.waiting),
        ('too_slow', snapshot.too_slow),
        ('connections', snapshot.connections),
        ('messages_received', sum(snapshot.received.messages.values())),
        ('messages_sent', sum(snapshot.sent.messages.values())),
        ('errors', sum(snapshot.errors.values())),
        *_labelled('errors', snapshot.errors),
        *_labelled('refused', snapshot.refused),
        *_labelled('sessions', snapshot.sessions),
    )
    return Report('status', level, message, values)


def diagnostics(snapshot: ServerSnapshot, config: ServerConfig) -> list[Report]:
    """Return the parts for /diagnostics (REP 107), judged by the thresholds of `config`."""
    return [
        _server(snapshot),
        _connections(snapshot, config),
        _errors(snapshot, config),
        _latency(snapshot, config),
    ]


def _server(snapshot: ServerSnapshot) -> Report:
    level, message = worst(
        ((Level.ERROR, problem) for problem in snapshot.problems),
        f'running at {snapshot.url}',
    )
    values: Values = (
        ('url', snapshot.url),
        ('tls', snapshot.url.startswith('wss:')),
        ('problems', len(snapshot.problems)),
    )
    return Report('server', level, message, values)


def _connections(snapshot: ServerSnapshot, config: ServerConfig) -> Report:
    active = snapshot.senders + snapshot.receivers
    findings = []
    if active >= config.max_connections:
        findings.append((Level.WARN, f'all {config.max_connections} places are taken'))
    if not snapshot.senders:
        findings.append((Level.WARN, 'no robot is connected'))
    level, message = worst(
        findings, f'{snapshot.senders} robot(s), {snapshot.receivers} viewer(s)'
    )
    values = (
        ('active', active),
        ('max_connections', config.max_connections),
        ('senders', snapshot.senders),
        ('receivers', snapshot.receivers),
        ('away', snapshot.away),
        ('too_slow', snapshot.too_slow),
        *_labelled('sessions', snapshot.sessions),
        *_labelled('refused', snapshot.refused),
    )
    return Report('connections', level, message, values)


def _errors(snapshot: ServerSnapshot, config: ServerConfig) -> Report:
    findings = []
    if snapshot.error_rate > config.warn_error_rate_hz:
        text = f'{snapshot.error_rate:.3g} errors a second'
        findings.append((Level.WARN, f'{text}, more than warn.error_rate'))
    total = sum(snapshot.errors.values())
    level, message = worst(findings, f'{total} since the start')
    values = (
        ('errors_per_s', snapshot.error_rate),
        ('errors', total),
        *_labelled('errors', snapshot.errors),
    )
    return Report('errors', level, message, values)


def _latency(snapshot: ServerSnapshot, config: ServerConfig) -> Report:
    p95_s = snapshot.ping_s.p95
    findings = []
    if p95_s > config.warn_latency_s:
        findings.append((Level.WARN, f'pings take {p95_s * 1000:.0f} ms, more than warn.latency'))
    level, message = worst(
        findings,
        f'pings take {p95_s * 1000:.0f} ms' if snapshot.ping_s.count else 'nobody was pinged yet',
    )
    values: Values = (
        ('ping_p50_ms', snapshot.ping_s.p50 * 1000),
        ('ping_p95_ms', p95_s * 1000),
        ('ping_p99_ms', snapshot.ping_s.p99 * 1000),
        ('setup_p50_ms', snapshot.setup_s.p50 * 1000),
        ('connected_p50_ms', snapshot.connected_s.p50 * 1000),
    )
    return Report('latency', level, message, values)


def _labelled(name: str, counts: Mapping[str, int]) -> Values:
    return tuple((f'{name}.{key}', count) for key, count in sorted(counts.items()))
