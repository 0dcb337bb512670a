"""Write what the code says of the protocol into the files that show it.

Without arguments it rewrites docs/protocol.schema.json and the state diagrams of docs/protocol.md.
With --check it only says whether they are up to date, and ends with exit code 1 if they are not.
"""

from __future__ import annotations

import enum
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from rtc_signaling.messages import FromClient, FromServer
from rtc_signaling.sessions import PEER_TRANSITIONS, SESSION_TRANSITIONS

REPOSITORY = Path(__file__).resolve().parent.parent
BEGIN = '<!-- states: made by tools/protocol.py -->\n'
END = '<!-- end of states -->\n'


def schema() -> str:
    """Return the JSON Schema (2020-12) of all messages."""
    (from_client, from_server), components = msgspec.json.schema_components(
        [FromClient, FromServer], ref_template='#/$defs/{name}'
    )
    document: dict[str, Any] = {
        '$schema': 'https://json-schema.org/draft/2020-12/schema',
        'title': 'The messages of the rtc_signaling protocol, version 1',
        'description': 'Made by tools/protocol.py from rtc_signaling/messages.py.',
        'anyOf': [{'$ref': '#/$defs/FromClient'}, {'$ref': '#/$defs/FromServer'}],
        '$defs': {'FromClient': from_client, 'FromServer': from_server, **components},
    }
    # Python's end of a string is not known to other dialects of regular expressions.
    return json.dumps(document, indent=2).replace('\\\\Z', '$') + '\n'


def diagrams() -> str:
    """Return both state diagrams, with their marks."""
    parts = [
        "A client's connection:",
        _diagram(PEER_TRANSITIONS),
        'The negotiation of a session:',
        _diagram(SESSION_TRANSITIONS),
    ]
    return BEGIN + '\n' + '\n\n'.join(parts) + '\n' + END


def _diagram(table: dict[Any, Any]) -> str:
    lines = ['```mermaid', 'stateDiagram-v2']
    first = next(iter(table))[0]
    lines.append(f'    [*] --> {first.value}')
    lines += [f'    {_name(s)} --> {_name(t)} : {_name(e)}' for (s, e), t in table.items()]
    return '\n'.join([*lines, '```'])


def _name(member: enum.Enum) -> str:
    return str(member.value)


def main() -> int:
    """Write or check the files; return the exit code."""
    page = REPOSITORY / 'docs' / 'protocol.md'
    text = page.read_text(encoding='utf-8')
    before, _, rest = text.partition(BEGIN)
    wanted = {
        REPOSITORY / 'docs' / 'protocol.schema.json': schema(),
        page: before + diagrams() + rest.partition(END)[2],
    }
    stale = [
        path
        for path, content in wanted.items()
        if not path.exists() or path.read_text(encoding='utf-8') != content
    ]
    if '--check' in sys.argv[1:]:
        for path in stale:
            sys.stderr.write(f'{path.name} is not up to date: run python tools/protocol.py\n')
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path], encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main())
