"""How findings become lines and JSON, and what must never stand there."""

from __future__ import annotations

import json

import pytest

from rtc_signaling.doctor.diagnosis import MAX_WORDS_CHARS, Diagnosis
from rtc_signaling.doctor.findings import Verdict, fail, ok, skip, warn

URL = 'ws://robot:8765/'
PORT = ok('port', 'TCP connection to robot:8765', 'open')
CLOCK = warn('clock', 'compare the clocks', 'it is 5 s ahead', 'set both by NTP')
SESSION = fail('session', 'watch a camera', 'no camera', 'start camera_sender')
ICE = skip('ice', 'there was no session')


def test_each_finding_is_one_line():
    assert Diagnosis.of(URL, [PORT, CLOCK, SESSION, ICE]).as_text().splitlines() == [
        'OK   port           TCP connection to robot:8765: open',
        'WARN clock          compare the clocks: it is 5 s ahead -> set both by NTP',
        'FAIL session        watch a camera: no camera -> start camera_sender',
        'SKIP ice            skipped: there was no session',
        'ws://robot:8765/: 1 well, 1 to look at, 1 failed, 1 skipped; begin with session',
    ]


def test_json_has_the_same():
    content = json.loads(Diagnosis.of(URL, [PORT, CLOCK]).as_json())
    assert content == {
        'url': URL,
        'verdict': 'warn',
        'checks': [
            {
                'check': 'port', 'verdict': 'ok', 'tried': 'TCP connection to robot:8765',
                'seen': 'open', 'remedy': '',
            },
            {
                'check': 'clock', 'verdict': 'warn', 'tried': 'compare the clocks',
                'seen': 'it is 5 s ahead', 'remedy': 'set both by NTP',
            },
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ('findings', 'verdict', 'code'),
    [
        ([], Verdict.OK, 0),
        ([PORT, ICE], Verdict.OK, 0),
        ([PORT, CLOCK, ICE], Verdict.WARN, 0),
        ([CLOCK, SESSION], Verdict.FAIL, 1),
    ],
)
def test_only_what_failed_counts_for_the_exit_code(findings, verdict, code):
    diagnosis = Diagnosis.of(URL, findings)
    assert (diagnosis.verdict, diagnosis.exit_code) == (verdict, code)


def test_no_secret_is_told_whoever_says_it():
    findings = [fail('port', 'a s3cret', 'the server says s3cret', 'not s3cret')]
    diagnosis = Diagnosis.of('ws://s3cret/', findings, ['', 's3cret'])
    assert 's3cret' not in diagnosis.as_text() + diagnosis.as_json()
    assert 'a ***: the server says *** -> not ***' in diagnosis.as_text()


def test_what_others_have_said_disturbs_no_terminal():
    said = 'two\nlines\tand \x1b[31mred\u202e' + 'x' * 1000
    seen = Diagnosis.of(URL, [fail('port', 'it', said, '')]).findings[0].seen
    assert seen.startswith('two lines and [31mred x')
    assert len(seen) == MAX_WORDS_CHARS
    assert seen.endswith('...')
