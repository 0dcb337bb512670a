"""The figures as Prometheus text, read back by Prometheus's own parser."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rtc_signaling.exposition import CONTENT_TYPE, prometheus_text
from rtc_signaling.metrics import Quantiles, ServerSnapshot, Traffic

SNAPSHOT = ServerSnapshot(
    url='ws://127.0.0.1:8765/', senders=1, receivers=3, away=2, connections=17,
    received=Traffic({'offer': 5, 'ping': 2}, 1234, 1.5, 300.0),
    sent=Traffic({'answer': 4}, 999, 0.5, 100.0),
    errors={'invalid_json': 6}, error_rate=0.25, sessions={'stable': 2, 'new': 1},
    ping_s=Quantiles(0.01, 0.02, 0.03, 7), setup_s=Quantiles(0.1, 0.2, 0.3, 4),
    connected_s=Quantiles(), latency_s=Quantiles(0.04, 0.05, 0.06, 5), waiting=8, too_slow=1,
    refused={'origin': 9}, problems=(),
)  # fmt: skip


def samples(snapshot):
    text = prometheus_text(snapshot).decode()
    return {
        ' '.join([sample.name, *map('='.join, sample.labels.items())]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_figure_is_there():
    assert samples(SNAPSHOT) == {
        'rtc_signaling_clients role=sender': 1,
        'rtc_signaling_clients role=receiver': 3,
        'rtc_signaling_clients_away': 2,
        'rtc_signaling_connections_total': 17,
        'rtc_signaling_received_messages_total type=offer': 5,
        'rtc_signaling_received_messages_total type=ping': 2,
        'rtc_signaling_received_bytes_total': 1234,
        'rtc_signaling_sent_messages_total type=answer': 4,
        'rtc_signaling_sent_bytes_total': 999,
        'rtc_signaling_errors_total code=invalid_json': 6,
        'rtc_signaling_refused_total reason=origin': 9,
        'rtc_signaling_sessions state=stable': 2,
        'rtc_signaling_sessions state=new': 1,
        'rtc_signaling_ping_seconds quantile=0.5': 0.01,
        'rtc_signaling_ping_seconds quantile=0.95': 0.02,
        'rtc_signaling_ping_seconds quantile=0.99': 0.03,
        'rtc_signaling_setup_seconds quantile=0.5': 0.1,
        'rtc_signaling_setup_seconds quantile=0.95': 0.2,
        'rtc_signaling_setup_seconds quantile=0.99': 0.3,
        'rtc_signaling_connected_seconds quantile=0.5': 0,
        'rtc_signaling_connected_seconds quantile=0.95': 0,
        'rtc_signaling_connected_seconds quantile=0.99': 0,
        'rtc_signaling_latency_seconds quantile=0.5': 0.04,
        'rtc_signaling_latency_seconds quantile=0.95': 0.05,
        'rtc_signaling_latency_seconds quantile=0.99': 0.06,
        'rtc_signaling_waiting_messages': 8,
        'rtc_signaling_too_slow_total': 1,
        'rtc_signaling_healthy': 1,
    }


@pytest.mark.parametrize(('problems', 'healthy'), [((), 1), (('overloaded',), 0)])
def test_whether_it_is_well(problems, healthy):
    # Not made by `replace`: a frozen snapshot is all that the text depends on.
    values = {name: getattr(SNAPSHOT, name) for name in SNAPSHOT.__dataclass_fields__}
    snapshot = ServerSnapshot(**values | {'problems': problems})
    assert samples(snapshot)['rtc_signaling_healthy'] == healthy


def test_the_format_is_named():
    assert CONTENT_TYPE == 'text/plain; version=0.0.4; charset=utf-8'
    assert prometheus_text(SNAPSHOT).startswith(b'# HELP rtc_signaling_clients ')
