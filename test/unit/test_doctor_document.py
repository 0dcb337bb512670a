"""docs/doctor.md says what the code does: each check, its verdicts, the exit codes, the JSON."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from rtc_signaling.doctor.diagnosis import Diagnosis
from rtc_signaling.doctor.findings import CHECKS, Verdict, fail, ok
from rtc_signaling.nodes.doctor import INTERRUPTED

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENT = (REPOSITORY / 'docs/doctor.md').read_text(encoding='utf-8')
# A row of four cells, of which those in the middle and at the end may be empty.
ROW = re.compile(r'^\| `(\w+)` \|([^|]*)\|([^|]*)\|([^|]*)\|$', re.MULTILINE)


def verdicts_in_the_code():
    """Return which verdicts each check can come to, read from the calls that make findings."""
    found = {check: set() for check in CHECKS}
    for path in (REPOSITORY / 'rtc_signaling/doctor').glob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id in [*Verdict] and isinstance(node.args[0], ast.Constant):
                found[node.args[0].value].add(node.func.id)
    return found


def test_the_table_has_each_check_in_its_order():
    assert tuple(row[1] for row in ROW.finditer(DOCUMENT)) == CHECKS


@pytest.mark.parametrize('row', ROW.findall(DOCUMENT), ids=lambda row: row[0])
def test_what_a_check_can_say_stands_in_the_table_and_nothing_else(row):
    check, tried, warns, fails = row
    verdicts = verdicts_in_the_code()[check]
    assert tried.strip()
    assert bool(warns.strip()) == ('warn' in verdicts)
    assert bool(fails.strip()) == ('fail' in verdicts)
    assert 'ok' in verdicts


def test_the_verdicts():
    table = DOCUMENT.partition('| verdict | meaning |')[2].partition('\n\n')[0]
    assert [*map(str.lower, re.findall(r'^\| `(\w+)`', table, re.MULTILINE))] == [*Verdict]


def test_the_exit_codes():
    table = DOCUMENT.partition('| exit code | meaning |')[2].partition('\n\n')[0]
    codes = [int(code) for code in re.findall(r'^\| (\d+)', table, re.MULTILINE)]
    well = Diagnosis.of('', [ok('port', 'it', 'open')])
    bad = Diagnosis.of('', [fail('port', 'it', 'refused', 'start it')])
    usage = 2  # argparse's; test_doctor_program.py
    assert codes == [well.exit_code, bad.exit_code, usage, INTERRUPTED]


def test_the_json():
    shown = json.loads(DOCUMENT.partition('```json\n')[2].partition('```')[0])
    (check,) = shown['checks']
    findings = [fail(check['check'], check['tried'], check['seen'], check['remedy'])]
    assert json.loads(Diagnosis.of(shown['url'], findings).as_json()) == shown


def test_the_options_that_are_named_exist():
    program = (REPOSITORY / 'rtc_signaling/nodes/doctor.py').read_text(encoding='utf-8')
    named = set(re.findall(r'`(--[a-z-]+)', DOCUMENT)) - {'--shm-size', '--help'}
    assert named == {'--topic', '--token', '--token-file', '--json', '--timeout'}
    for option in named | {'--ros-args'}:
        assert f"'{option}'" in program
