"""Write what the parameter tables of the configurations say into the files that show it.

Without arguments it rewrites config/params.yaml and the README's table. With --check it only says
whether they are up to date, and ends with exit code 1 if they are not.
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path

from rtc_signaling.parameter import Parameter, parameters
from rtc_signaling.sender_config import SenderConfig
from rtc_signaling.server_config import ServerConfig
from rtc_signaling.test_camera_config import TestCameraConfig

REPOSITORY = Path(__file__).resolve().parent.parent
NODES = {
    'signaling_server': ServerConfig,
    'camera_sender': SenderConfig,
    'test_camera': TestCameraConfig,
}
BEGIN = '<!-- parameters: made by tools/params.py -->\n'
END = '<!-- end of parameters -->\n'


def params_yaml() -> str:
    """Return the text of config/params.yaml."""
    lines = [
        '# Parameters of the nodes of rtc_signaling, with their defaults.',
        '# Made by tools/params.py from rtc_signaling/*_config.py.',
        '# Secrets do not belong here: any node can read parameters.',
    ]
    for node, table in NODES.items():
        lines += ['', f'/**/{node}:', '  ros__parameters:']
        for spec in parameters(table).values():
            text = f'{spec.description}. {rule(spec)}'.rstrip()
            lines += textwrap.wrap(text, 95, initial_indent='    # ', subsequent_indent='    # ')
            lines.append(f'    {spec.name}: {default(spec)}')
    return '\n'.join(lines) + '\n'


def readme_table() -> str:
    """Return the README's table, with its marks."""
    rows = ['| node | parameter | default | meaning |', '| --- | --- | --- | --- |']
    for node, table in NODES.items():
        for i, spec in enumerate(parameters(table).values()):
            first = f' `{node}`' if i == 0 else ''
            text = f'{spec.description}. {rule(spec)}'.rstrip()
            rows.append(f'|{first} | `{spec.name}` | `{default(spec)}` | {text} |')
    return BEGIN + '\n'.join(rows) + '\n' + END


def default(spec: Parameter) -> str:
    """Return a parameter's default as YAML, of which JSON is a part."""
    value = (list(spec.default) or ['']) if isinstance(spec.default, tuple) else spec.default
    return json.dumps(value)


def rule(spec: Parameter) -> str:
    """Return a parameter's rule in words, and whether it is live."""
    words = ''
    if spec.choices:
        words = f'One of {", ".join(spec.choices)}.'
    elif spec.minimum is not None and spec.maximum is not None:
        low, high = (f'{bound:.10g}' for bound in (spec.minimum, spec.maximum))
        words = f'{low} to {high}.'
    return f'{words} Live.'.lstrip() if spec.live else words


def main() -> int:
    """Write or check the files; return the exit code."""
    readme = REPOSITORY / 'README.md'
    text = readme.read_text(encoding='utf-8')
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    wanted = {
        REPOSITORY / 'config' / 'params.yaml': params_yaml(),
        readme: before + readme_table() + after,
    }
    stale = [
        path
        for path, content in wanted.items()
        if not path.exists() or path.read_text(encoding='utf-8') != content
    ]
    if '--check' in sys.argv[1:]:
        for path in stale:
            sys.stderr.write(f'{path.name} is not up to date: run python tools/params.py\n')
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path], encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main())
