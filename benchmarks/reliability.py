"""Break the stack on purpose and measure what becomes of the video; write docs/reliability.md.

.venv/bin/python benchmarks/reliability.py --list
.venv/bin/python benchmarks/reliability.py --only bandwidth --document
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from faults import camera, clock, hostile, kill, load, network, soak, upgrade, ways
from faults.report import Section, write

# Cases whose faults last for --last.
LASTING = (
    'bandwidth',
    'loss',
    'viewers',
    'cameras',
    'churn',
    'clients',
    'camera',
    'clock',
    'peer',
)
Case = Callable[[argparse.Namespace, Path], Section]


def _kill(options: argparse.Namespace, directory: Path) -> Section:
    faults = kill.combinations(options.seed, options.kills)
    outcomes, controls = kill.run(directory, options.domain, faults=faults, stop_s=options.stop)
    return kill.document(outcomes, controls, seed=options.seed, stop_s=options.stop)


CASES: dict[str, tuple[str, Case]] = {
    'clock': (
        'the wall clock is set an hour forth and back',
        lambda options, directory: clock.run(directory, options.domain, options.last),
    ),
    'soak': (
        'two hours of joins and leaves (--soak)',
        lambda options, directory: soak.run(directory, options.domain, options.soak),
    ),
    'attacks': (
        'attacks on the signaling server during video',
        lambda options, directory: hostile.attacks(directory, options.domain),
    ),
    'peer': (
        'a hostile viewer with a token',
        lambda options, directory: hostile.peer(directory, options.domain, options.last),
    ),
    'upgrade': (
        'newer and older clients',
        lambda options, directory: upgrade.run(directory, options.domain),
    ),
    'viewers': (
        '1 to 10 viewers of one camera',
        lambda options, directory: load.viewers(
            directory, options.domain, (1, 2, 4, 6, 8, 10), options.last
        ),
    ),
    'cameras': (
        '4 cameras with 2 viewers each',
        lambda options, directory: load.cameras(directory, options.domain, options.last),
    ),
    'churn': (
        '5 joins and leaves a second',
        lambda options, directory: load.churn(directory, options.domain, options.last),
    ),
    'clients': (
        '1,000 signaling clients',
        lambda options, directory: load.clients(directory, options.domain, options.last),
    ),
    'camera': (
        'rates, bursts, stalls, stamps, sizes, encodings, truncated images',
        lambda options, directory: camera.run(directory, options.domain, options.last),
    ),
    'link': (
        'the cable of a viewer is pulled for 1, 5, 20 and 60 s',
        lambda options, directory: network.link(directory, options.domain, options.down),
    ),
    'address': (
        "a viewer's address changes; a viewer vanishes",
        lambda options, directory: network.address(directory, options.domain),
    ),
    'bandwidth': (
        '2, 1 and 0.3 Mbit/s, and back',
        lambda options, directory: network.bandwidth(
            directory, options.domain, (2.0, 1.0, 0.3), options.last
        ),
    ),
    'loss': (
        '1, 5 and 10 % of the packets lost, held up, overtaken',
        lambda options, directory: network.loss(
            directory, options.domain, (0.01, 0.05, 0.1), options.last
        ),
    ),
    'mtu': (
        'no packet over 1280 bytes',
        lambda options, directory: ways.mtu(directory, options.domain),
    ),
    'ipv6': (
        'no IPv4',
        lambda options, directory: ways.ipv6(directory, options.domain),
    ),
    'turn': (
        'relay only, and UDP blocked, through coturn',
        lambda options, directory: ways.turn(directory, options.domain),
    ),
    'kill': ('SIGKILL, SIGSTOP and SIGINT to each part at each point of a session', _kill),
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('--list', action='store_true', help='name the cases')
    parser.add_argument('--only', nargs='+', choices=CASES, default=list(CASES), metavar='CASE')
    parser.add_argument('--document', action='store_true', help='write docs/reliability.md')
    parser.add_argument('--domain', type=int, default=76, help='ROS_DOMAIN_ID of the first')
    parser.add_argument('--directory', type=Path, help='for tokens and logs, which then are kept')
    parser.add_argument('--seed', type=int, default=1, help='of whatever is drawn at random')
    parser.add_argument('--kills', type=int, default=200, help='kill: so many faults')
    parser.add_argument('--stop', type=float, default=20.0, help='kill: s from SIGSTOP to SIGCONT')
    parser.add_argument('--last', type=float, default=30.0, help='how long most faults last, in s')
    parser.add_argument('--soak', type=float, default=7200.0, help='soak: how long, in s')
    parser.add_argument(
        '--down', type=float, nargs='+', default=[1.0, 5.0, 20.0, 60.0], help='link: each in s'
    )
    return parser.parse_args()


def main() -> int:
    options = parse()
    if options.list:
        print('\n'.join(f'{name}: {what}' for name, (what, _) in CASES.items()))
        return 0
    broken = 0
    with tempfile.TemporaryDirectory(prefix='faults-') as made:
        directory = options.directory or Path(made)
        for name in options.only:
            print(f'== {name}: {CASES[name][0]}', flush=True)
            section = CASES[name][1](options, directory)
            broken += len(section.broken)
            if options.document:
                write(name, section, command(name, options))
    print(f'{broken} promise(s) not kept')
    return 1 if broken else 0


def command(name: str, options: argparse.Namespace) -> str:
    """Return the command that measures one case as it was measured."""
    words = [f'.venv/bin/python benchmarks/reliability.py --only {name}']
    if name == 'kill':
        words.append(f'--seed {options.seed} --kills {options.kills} --stop {options.stop:g}')
    if name == 'soak':
        words.append(f'--soak {options.soak:g}')
    if name == 'link':
        words.append('--down ' + ' '.join(f'{each:g}' for each in options.down))
    if name in LASTING:
        words.append(f'--last {options.last:g}')
    return ' '.join([*words, '--document'])


if __name__ == '__main__':
    # `timeout` and the like send it, and what was started has to be stopped then, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    sys.exit(main())
