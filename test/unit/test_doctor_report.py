"""How findings become lines and JSON, and what must never stand there."""

from __future__ import annotations

import json

import pytest

from rtc_signaling.doctor.report import (
    CHECKS,
    MAX_WORDS_CHARS,
    Level,
    Report,
    fail,
    ok,
    skip,
    warn,
)

URL = 'ws://robot:8765/'
PORT = ok('port', 'TCP connection to robot:8765', 'open')
CLOCK = warn('clock', 'compare the clocks', 'it is 5 s ahead', 'set both by NTP')
SESSION = fail('session', 'watch a camera', 'no camera', 'start camera_sender')
ICE = skip('ice', 'there was no session')


def test_each_finding_is_one_line_in_the_order_of_the_checks():
    assert Report.of(URL, [ICE, SESSION, CLOCK, PORT]).as_text().splitlines() == [
        'OK   port           TCP connection to robot:8765: open',
        'WARN clock          compare the clocks: it is 5 s ahead -> set both by NTP',
        'FAIL session        watch a camera: no camera -> start camera_sender',
        'SKIP ice            skipped: there was no session',
        'ws://robot:8765/: 1 well, 1 to look at, 1 failed, 1 skipped',
    ]


def test_json_has_the_same():
    content = json.loads(Report.of(URL, [CLOCK, PORT]).as_json())
    assert content == {
        'url': URL,
        'level': 'warn',
        'checks': [
            {
                'check': 'port', 'level': 'ok', 'tried': 'TCP connection to robot:8765',
                'seen': 'open', 'remedy': '',
            },
            {
                'check': 'clock', 'level': 'warn', 'tried': 'compare the clocks',
                'seen': 'it is 5 s ahead', 'remedy': 'set both by NTP',
            },
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ('findings', 'level', 'code'),
    [
        ([], Level.OK, 0),
        ([PORT, ICE], Level.OK, 0),
        ([PORT, CLOCK, ICE], Level.WARN, 0),
        ([CLOCK, SESSION], Level.FAIL, 1),
    ],
)
def test_only_what_failed_counts_for_the_exit_code(findings, level, code):
    report = Report.of(URL, findings)
    assert (report.level, report.exit_code) == (level, code)


def test_no_secret_is_told_whoever_says_it():
    findings = [fail('port', 'a s3cret', 'the server says s3cret', 'not s3cret')]
    report = Report.of('ws://s3cret/', findings, ['', 's3cret'])
    assert 's3cret' not in report.as_text() + report.as_json()
    assert 'a ***: the server says *** -> not ***' in report.as_text()


def test_what_others_have_said_disturbs_no_terminal():
    said = 'two\nlines\tand \x1b[31mred\u202e' + 'x' * 1000
    seen = Report.of(URL, [fail('port', 'it', said, '')]).findings[0].seen
    assert seen.startswith('two lines and [31mred x')
    assert len(seen) == MAX_WORDS_CHARS
    assert seen.endswith('...')


def test_there_is_one_line_for_each_check():
    assert len(CHECKS) == len(set(CHECKS)) == 16
