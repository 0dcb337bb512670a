"""Measure the camera sender beside others: CPU for each viewer, latency, joining, weak links.

See README.md for what is measured and how to run it. The figures go to results/media.json; with
--document they also go between the two markers of docs/performance.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from relays.report import write_section
from streams import contenders, cost, crowd, delay, summary
from streams.contenders import CONTENDERS, GST
from streams.plan import STREAMS, Plan

HERE = Path(__file__).parent
RESULTS = HERE / 'results' / 'media.json'
DOCUMENT = HERE.parent / 'docs' / 'performance.md'
PARTS = ('cpu', 'latency', 'join', 'disturbance', 'churn')


def arguments() -> argparse.Namespace:
    """Return the command line's choices."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--only', nargs='+', choices=PARTS, default=list(PARTS), help='parts')
    parser.add_argument('--senders', nargs='+', choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument('--sizes', nargs='+', choices=list(STREAMS), default=list(STREAMS))
    parser.add_argument('--viewers', nargs='+', type=int, default=list(Plan.viewers))
    parser.add_argument('--rounds', type=int, default=Plan.rounds, help='turns of each')
    parser.add_argument('--measure', type=float, default=Plan.measure_s, metavar='S')
    parser.add_argument('--watch', type=float, default=Plan.watch_s, metavar='S')
    parser.add_argument('--joins', type=int, default=Plan.joins, metavar='N', help='of the churn')
    parser.add_argument('--document', action='store_true', help='write docs/performance.md')
    return parser.parse_args()


def machine() -> dict[str, str]:
    """Return where and when this was measured, and with what."""
    return {
        'date': datetime.datetime.now(datetime.UTC).date().isoformat(),
        'python': platform.python_version(),
        'kernel': platform.release(),
        'cores': str(os.cpu_count()),
        'load average': f'{os.getloadavg()[0]:.2f}',
        'aiortc': importlib.metadata.version('aiortc'),
        'av': importlib.metadata.version('av'),
    }


def measurements(chosen: argparse.Namespace, plan: Plan) -> dict[str, Callable[[], Any]]:
    """Return what each part runs."""
    streams = [STREAMS[name] for name in chosen.sizes]
    senders = [CONTENDERS[key] for key in chosen.senders]
    return {
        'cpu': lambda: cost.measure(plan, streams, senders),
        'latency': lambda: delay.latency(plan),
        'join': lambda: crowd.joining(plan),
        'disturbance': lambda: delay.disturbance(plan),
        'churn': lambda: crowd.churn(plan),
    }


def main() -> None:
    """Measure, print, and keep."""
    chosen = arguments()
    plan = Plan(
        rounds=chosen.rounds,
        viewers=tuple(sorted(chosen.viewers)),
        measure_s=chosen.measure,
        watch_s=chosen.watch,
        joins=chosen.joins,
    )
    missing: dict[str, str] = {}
    if GST in chosen.senders and (why := contenders.missing_gstreamer()):
        missing['GStreamer'] = why
        print(f'GStreamer is left out: {why}', file=sys.stderr)
        chosen.senders.remove(GST)
    results: dict[str, Any] = {
        'command': shlex.join(sys.argv[1:]),
        'machine': machine(),
        'plan': dataclasses.asdict(plan),
        'missing': missing,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    for name, part in measurements(chosen, plan).items():
        if name not in chosen.only:
            continue
        start_s = time.monotonic()
        print(f'measuring: {name}', file=sys.stderr, flush=True)
        try:
            results[name] = part()
            if name == 'cpu':
                results[name], failures = results[name]
                missing.update(failures)
        except RuntimeError as error:
            missing[name] = str(error).splitlines()[0]
            print(f'{name} is left out: {error}', file=sys.stderr)
        results['machine']['load average after'] = f'{os.getloadavg()[0]:.2f}'
        RESULTS.write_text(json.dumps(results, indent=1))
        print(f'{name}: {time.monotonic() - start_s:.0f} s', file=sys.stderr)
    text = summary.document(results)
    print(text)
    if chosen.document:
        write_section(DOCUMENT, 'benchmarks/media.py', text)


if __name__ == '__main__':
    main()
