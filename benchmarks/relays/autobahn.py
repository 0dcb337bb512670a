"""Run Autobahn's test suite against the server's connection class.

The suite is a program for Python 2.7 (PyPI `autobahntestsuite` 0.8.2, in an environment that
virtualenv < 20.22 can still make): its `wstest` is given by path and lives outside the repository.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from relays.contenders import HERE
from relays.process import free_port, running

CASES = ['1.*', '2.*', '3.*', '4.*', '5.*', '6.*', '7.*', '10.*']
LIMIT_S = 300


def verdicts(wstest: Path) -> tuple[Counter[str], list[str]]:
    """Return how many cases had which verdict, and the names of the failed ones."""
    port = free_port()
    command = [sys.executable, str(HERE / 'servers' / 'echo_server.py'), str(port)]
    with tempfile.TemporaryDirectory() as directory, running(command, port, None, {}):
        specification = Path(directory) / 'fuzzingclient.json'
        specification.write_text(
            json.dumps(
                {
                    'outdir': directory,
                    'servers': [{'agent': 'rtc_signaling', 'url': f'ws://127.0.0.1:{port}'}],
                    'cases': CASES,
                    'exclude-cases': [],
                    'exclude-agent-cases': {},
                }
            )
        )
        subprocess.run(
            [str(wstest), '-m', 'fuzzingclient', '-s', str(specification)],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=LIMIT_S,
        )
        results = json.loads((Path(directory) / 'index.json').read_text())['rtc_signaling']
    failed = [
        name
        for name, case in sorted(results.items())
        if 'FAILED' in (case['behavior'], case['behaviorClose'])
    ]
    return Counter(case['behavior'] for case in results.values()), failed
