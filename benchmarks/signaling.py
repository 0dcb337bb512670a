"""Measure the signaling server beside its peers: the same work, in turn, in one run.

See README.md for what is measured and how to run it. The figures go to results/signaling.json;
with --document they also go between the two markers of docs/performance.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from relays import autobahn, measure, summary
from relays.contenders import MODULES, Contender, contenders, in_band
from relays.measure import Plan
from relays.report import write_section

HERE = Path(__file__).parent
RESULTS = HERE / 'results' / 'signaling.json'
DOCUMENT = HERE.parent / 'docs' / 'performance.md'
GOALS = ('ours', 'peerserver', 'uws')
PARTS = ('relay', 'set-up', 'idle', 'tls', 'grow', 'attack', 'autobahn')


def arguments() -> argparse.Namespace:
    """Return the command line's choices."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--only', nargs='+', choices=PARTS, default=list(PARTS), help='parts')
    parser.add_argument(
        '--servers', nargs='+', choices=list(contenders()), default=list(contenders())
    )
    parser.add_argument('--rounds', type=int, default=Plan.rounds, help='turns of each server')
    parser.add_argument('--saturate', type=float, default=Plan.saturate_s, metavar='S')
    parser.add_argument('--pace', type=float, default=Plan.pace_s, metavar='S')
    parser.add_argument('--set-ups', type=int, default=Plan.set_ups, metavar='N')
    parser.add_argument('--attack', type=float, default=Plan.attack_s, metavar='S')
    parser.add_argument('--core', type=int, default=0, help='where the servers run')
    parser.add_argument('--generator-core', type=int, default=1, help='where the load is made')
    parser.add_argument('--wstest', type=Path, help="Autobahn's program; without it: left out")
    parser.add_argument('--install', action='store_true', help='install what is needed first')
    parser.add_argument('--document', action='store_true', help='write docs/performance.md')
    return parser.parse_args()


def install() -> None:
    """Install the peers and uvloop from the registries."""
    subprocess.run(['npm', 'ci'], cwd=HERE, check=True)
    requirements = str(HERE / 'requirements.txt')
    subprocess.run([sys.executable, '-m', 'pip', 'install', '-r', requirements], check=True)


def prepare(chosen: argparse.Namespace) -> None:
    """Pin the load generator, allow it a thousand sockets, and look for the peers."""
    if chosen.install:
        install()
    if not MODULES.is_dir():
        raise SystemExit('the peers are not installed: run with --install, once')
    if chosen.core == chosen.generator_core:
        raise SystemExit('--core and --generator-core must differ')
    os.sched_setaffinity(0, {chosen.generator_core})
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def measurements(
    chosen: argparse.Namespace, plan: Plan, servers: list[Contender]
) -> dict[str, Callable[[], Any]]:
    """Return what each part runs."""
    every = contenders()
    extra = [in_band()] if 'ours' in chosen.servers else []
    parts: dict[str, Callable[[], Any]] = {
        'relay': lambda: measure.relaying(plan, servers),
        'set-up': lambda: measure.setting_up(plan, servers + extra),
        'idle': lambda: measure.idling(plan, servers),
        'tls': lambda: measure.idling_with_tls(plan),
        'grow': lambda: measure.growing(plan, every['ours']),
        'attack': lambda: {
            server.key: dataclasses.asdict(measure.attacked(plan, server)) for server in servers
        },
    }
    if chosen.wstest:
        parts['autobahn'] = lambda: autobahn.verdicts(chosen.wstest)
    return {name: part for name, part in parts.items() if name in chosen.only}


def machine() -> dict[str, str]:
    """Return where and when this was measured, and with what."""
    node = subprocess.run(['node', '--version'], capture_output=True, text=True, check=True)
    peers = json.loads((HERE / 'package.json').read_text())['dependencies']
    return {
        'date': datetime.datetime.now(datetime.UTC).date().isoformat(),
        'python': platform.python_version(),
        'node': node.stdout.strip(),
        'kernel': platform.release(),
        'cores': str(os.cpu_count()),
        'load average': f'{os.getloadavg()[0]:.2f}',
        **peers,
    }


def main() -> None:
    """Measure, print, and keep."""
    chosen = arguments()
    prepare(chosen)
    plan = Plan(
        rounds=chosen.rounds,
        saturate_s=chosen.saturate,
        pace_s=chosen.pace,
        set_ups=chosen.set_ups,
        attack_s=chosen.attack,
        core=chosen.core,
    )
    servers = [contenders()[key] for key in chosen.servers]
    results: dict[str, Any] = {'machine': machine(), 'plan': dataclasses.asdict(plan)}
    RESULTS.parent.mkdir(exist_ok=True)
    for name, part in measurements(chosen, plan, servers).items():
        print(f'measuring: {name}', file=sys.stderr, flush=True)
        results[name] = part()
        RESULTS.write_text(json.dumps(results, indent=1))
    text = summary.document(results)
    print(text)
    if chosen.document:
        write_section(DOCUMENT, 'benchmarks/signaling.py', text)


if __name__ == '__main__':
    main()
