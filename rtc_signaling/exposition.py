"""The server's figures as Prometheus text (/metrics)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rtc_signaling.metrics import Quantiles, ServerSnapshot, Traffic

PREFIX = 'rtc_signaling'
CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'


def prometheus_text(snapshot: ServerSnapshot) -> bytes:
    """Return a snapshot in Prometheus's text format 0.0.4."""
    registry = CollectorRegistry()
    registry.register(_SnapshotCollector(snapshot))
    return generate_latest(registry)


class _SnapshotCollector(Collector):
    """Show one snapshot."""

    def __init__(self, snapshot: ServerSnapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        now = self._snapshot
        roles = {'sender': now.senders, 'receiver': now.receivers}
        yield _gauges('clients', 'Clients that are in', 'role', roles)
        yield _gauge('clients_away', 'Clients that may come back', now.away)
        yield _counter('connections', 'Connections that there were', now.connections)
        yield from self._traffic('received', now.received)
        yield from self._traffic('sent', now.sent)
        yield _counters('errors', 'Errors that clients were told', 'code', now.errors)
        yield _counters('refused', 'Refused connections', 'reason', now.refused)
        yield _gauges('sessions', 'Sessions', 'state', now.sessions)
        yield _quantiles('ping_seconds', 'Round trips of pings', now.ping_s)
        yield _quantiles('setup_seconds', 'From an offer to its answer', now.setup_s)
        yield _quantiles('connected_seconds', 'From an offer to a connection', now.connected_s)
        yield _quantiles('latency_seconds', 'Age of pictures at receivers', now.latency_s)
        yield _gauge('waiting_messages', 'Messages for clients that are away', now.waiting)
        yield _counter('too_slow', 'Clients that were cut off as too slow', now.too_slow)
        yield _gauge('healthy', 'Whether nothing is wrong', not now.problems)

    def _traffic(self, way: str, traffic: Traffic) -> Iterator[Metric]:
        yield _counters(f'{way}_messages', f'Messages {way}', 'type', traffic.messages)
        yield _counter(f'{way}_bytes', f'Bytes {way}', traffic.size_bytes)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f'{PREFIX}_{name}', text, value=float(value))


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f'{PREFIX}_{name}', text, value=float(value))


def _gauges(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(f'{PREFIX}_{name}', text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], float(value))
    return family


def _counters(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f'{PREFIX}_{name}', text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], float(value))
    return family


def _quantiles(name: str, text: str, quantiles: Quantiles) -> Metric:
    family = GaugeMetricFamily(f'{PREFIX}_{name}', text, labels=['quantile'])
    for key, value in (('0.5', quantiles.p50), ('0.95', quantiles.p95), ('0.99', quantiles.p99)):
        family.add_metric([key], value)
    return family
