"""docs/protocol.md, docs/protocol.schema.json and the code say the same."""

from __future__ import annotations

import ast
import base64
import hmac
import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from conformance import document

from rtc_signaling import auth, connection, core, credentials, delivery, flood, sdp, sessions
from rtc_signaling.client import DO_NOT_COME_BACK
from rtc_signaling.errors import ProtocolError
from rtc_signaling.messages import Decoder, FromClient, FromServer
from rtc_signaling.server_config import ServerConfig
from rtc_signaling.sessions import CloseCode

REPOSITORY = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((REPOSITORY / 'docs' / 'protocol.schema.json').read_text('utf-8'))
CORPUS = json.loads((REPOSITORY / 'test' / 'data' / 'messages.json').read_text('utf-8'))
# What a client sees when the connection is lost, what a proxy may send, and what others may.
NEVER_SENT = {1006, 1012, 4404}
# Python's `$` takes a line break at the end for the end, other dialects do not.
LINE_BREAK = 'has a line break at its end'


def examples():
    """Return the JSON objects of the document's indented blocks, and of its tables and text."""
    found = []
    blocks = re.findall(r'(?:^ {4}.*\n)+', document.TEXT, re.MULTILINE)
    texts = [block for block in blocks if block.lstrip().startswith('{')]
    texts += re.findall(r'`(\{.*?\})`', document.TEXT)
    for text in texts:
        rest = text.strip()
        while rest:
            message, end = json.JSONDecoder().raw_decode(rest)
            found.append(message)
            rest = rest[end:].lstrip()
    return found


EXAMPLES = examples()


def validator(name=None):
    """Return what checks a message against the schema, or against one of its definitions."""
    schema = SCHEMA if name is None else {'$ref': f'#/$defs/{name}', '$defs': SCHEMA['$defs']}
    return jsonschema.Draft202012Validator(schema)


def tags(union):
    return {cls.__struct_config__.tag for cls in union.__args__}


def raised():
    """Return the calls that make an error for the wire: (code, its keywords by name)."""
    calls = []
    for path in (REPOSITORY / 'rtc_signaling').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text('utf-8'))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            keywords = {keyword.arg: keyword.value for keyword in node.keywords}
            code = keywords.get('code') if node.func.id == 'Error' else None
            if node.func.id == 'ProtocolError':
                code = node.args[0]
            if isinstance(code, ast.Constant):
                calls.append((code.value, keywords))
    return calls


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_schema_and_diagrams_are_up_to_date():
    check = subprocess.run(
        [sys.executable, 'tools/protocol.py', '--check'],
        cwd=REPOSITORY,
        env={'PYTHONPATH': str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (check.returncode, check.stderr) == (0, '')


@pytest.mark.parametrize('example', EXAMPLES, ids=lambda example: example['type'])
def test_an_example_is_valid(example):
    validator().validate(example)


@pytest.mark.parametrize('example', EXAMPLES, ids=lambda example: example['type'])
def test_an_example_has_no_member_that_is_unknown(example):
    [definition] = [
        definition
        for definition in SCHEMA['$defs'].values()
        if definition.get('properties', {}).get('type', {}).get('enum') == [example['type']]
    ]
    assert example.keys() <= definition['properties'].keys()


@pytest.mark.parametrize('example', EXAMPLES, ids=lambda example: example['type'])
def test_an_example_is_understood_by_the_code(example):
    for union in (FromClient, FromServer):
        if example['type'] in tags(union):
            Decoder(union).decode(json.dumps(example))


def test_every_type_has_an_example():
    assert {example['type'] for example in EXAMPLES} == tags(FromClient) | tags(FromServer)


def test_the_welcome_shows_the_defaults():
    [welcome] = [example for example in EXAMPLES if example['type'] == 'connected']
    config = ServerConfig()
    assert welcome['timeout_s'] == config.timeout_s
    assert welcome['heartbeat_s'] == config.timeout_s / 3
    assert welcome['limits'] == {
        'max_message_bytes': config.max_message_bytes,
        'messages_per_s': config.message_rate_hz,
        'burst': config.message_burst,
        'queue_messages': delivery.MAX_MESSAGES,
        'queue_bytes': delivery.MAX_BYTES,
        'resume_window_s': config.resume_window_s,
    }


@pytest.mark.parametrize(
    'phrase',
    [
        f'within {ServerConfig().auth_timeout_s:g} s',
        f'may differ by {credentials.LEEWAY_S:g} s',
        f'at most {auth.MAX_JWT_CHARS} characters',
        f'the subject, 1 to {auth._MAX_SUBJECT_CHARS} characters',
        f'`{ServerConfig().auth_audience}` unless set otherwise',
        f'larger than {sdp.MAX_SIZE_BYTES // 1024} KiB',
        f'The last {delivery.MAX_RECEIPTS} acknowledged ids',
        f'at most {delivery.MAX_MESSAGES} messages and {delivery.MAX_BYTES // 1024} KiB',
        f'More than {sessions.MAX_VIOLATIONS} errors',
        f'within {sessions.VIOLATIONS_WINDOW_S:g} s MUST close with 4400',
        f'More than {flood.MAX_REFUSALS} within {flood.REFUSALS_WINDOW_S:g} s that come',
        f'{ServerConfig().control_rate_hz:g} a second by default',
        f'of more than {connection.MAX_FRAGMENTS} fragments',
        f'more than {connection.MAX_UNSENT_BYTES // 1024} KiB could not be sent',
    ],
)
def test_the_document_has_the_numbers_of_the_code(phrase):
    assert phrase in ' '.join(document.TEXT.split())


def test_the_table_of_claims_is_that_of_the_code():
    """Leave each claim out, and give each a wrong value: the table says what comes of it."""
    rows = dict(re.findall(r'^\| `(\w+)` \| (yes|no) \| [^|]+ \|$', document.TEXT, re.MULTILINE))
    now_s = 1.8e9
    secret = b'a-secret-for-tests-that-has-32-bytes-or-more'
    authenticator = auth.JwtAuthenticator([auth.JwtKey(secret)], 'rtc_signaling', 10.0)
    claims = {
        'exp': now_s + 60, 'nbf': now_s, 'iat': now_s, 'aud': 'rtc_signaling', 'sub': 'pilot',
        'role': 'receiver', 'cameras': ['front'],
    }  # fmt: skip
    assert rows.keys() == claims.keys()

    def is_admitted(changed):
        parts = [
            base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip('=')
            for part in ({'alg': 'HS256'}, changed)
        ]
        signature = hmac.digest(secret, '.'.join(parts).encode(), 'sha256')
        parts.append(base64.urlsafe_b64encode(signature).decode().rstrip('='))
        try:
            return bool(authenticator.authenticate('.'.join(parts), now_s))
        except ProtocolError:
            return False

    assert is_admitted(claims)
    for name, needed in rows.items():
        without = {key: value for key, value in claims.items() if key != name}
        assert is_admitted(without) == (needed == 'no'), name
        assert not is_admitted(claims | {name: {}}), name


def test_every_error_code_is_in_both():
    # `unauthorized` and the like are raised with literals; so is every other.
    assert {code for code, _ in raised()} == set(document.errors())


def test_the_table_tells_which_errors_are_violations():
    violations = {row.code for row in document.errors().values() if row.violation}
    assert violations == set(core._VIOLATIONS)


def test_the_table_tells_which_errors_close():
    closing = {row.code: row.close_code for row in document.errors().values() if row.close_code}
    assert closing == core._CLOSE_CODES


@pytest.mark.parametrize('code', document.errors())
def test_the_table_tells_whether_to_try_again(code):
    retries = {
        'retry' in keywords and ast.literal_eval(keywords['retry'])
        for other, keywords in raised()
        if other == code
    }
    assert retries == {document.errors()[code].retry}


def test_every_close_code_is_in_both():
    assert set(document.close_codes()) == {int(code) for code in CloseCode} | NEVER_SENT


def test_the_client_comes_back_when_the_table_says_so():
    final = {code for code, back in document.close_codes().items() if back.startswith('no')}
    assert final == DO_NOT_COME_BACK


@pytest.mark.parametrize(
    ('name', 'message'),
    [('FromClient', message) for message in CORPUS['valid_from_client']]
    + [('FromServer', message) for message in CORPUS['valid_from_server']],
    ids=lambda value: value['type'] if isinstance(value, dict) else '',
)
def test_the_schema_takes_what_the_code_takes(name, message):
    validator(name).validate(message)


@pytest.mark.parametrize(
    'entry',
    [
        entry
        for entry in CORPUS['invalid_from_client']
        if entry['code'] == 'invalid_message' and not entry['name'].endswith(LINE_BREAK)
    ],
    ids=lambda entry: entry['name'],
)
def test_the_schema_refuses_what_the_code_refuses(entry):
    with pytest.raises(ProtocolError):
        Decoder(FromClient).decode(entry['text'])
    assert not validator('FromClient').is_valid(json.loads(entry['text']))
