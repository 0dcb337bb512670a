"""The kit and the document hold each other: no rule without a test, no test without a rule."""

from __future__ import annotations

import re
from pathlib import Path

import document

SOURCES = {
    path.name: path.read_text(encoding='utf-8') for path in Path(__file__).parent.glob('test_*.py')
}
TESTS = re.findall(r'^(?:async )?def (test_\w+)', '\n'.join(SOURCES.values()), re.MULTILINE)
# No client can make a server do that, or see it.
UNPROVOKED = {
    1006: 'is never sent: it is what a client sees when the connection is lost',
    1011: 'is an error in the server',
    1012: 'is never sent: a proxy may',
    4404: 'is never sent: that a camera is not there ends no connection',
    4413: 'waits behind what the client does not read; test_k3 accepts it',
}


def test_each_rule_has_a_test():
    tested = {match[1].upper() for name in TESTS if (match := re.match(r'test_([a-z]\d+)_', name))}
    rules = set(document.rules())
    assert len(rules) >= 33, 'the document was not understood'
    assert rules - tested == set(), 'rules without a test'
    assert tested - rules == set(), 'tests of rules that the document has not'


def test_each_number_in_brackets_is_a_rule():
    assert set(re.findall(r'\[([A-Z]\d+)\]', document.TEXT)) == set(document.rules())


def test_each_must_of_the_server_is_in_a_rule():
    outside = document.TEXT
    for text in re.findall(r'^\* \[[A-Z]\d+\] .*(?:\n  .*)*', document.TEXT, re.MULTILINE):
        outside = outside.replace(text, '')
    assert not re.search(r'[Ss]erver MUST', outside)


def test_each_error_has_a_test():
    words = re.findall(r"'([a-z_]+)'", SOURCES['test_tables.py'])
    assert len(document.errors()) >= 17, 'the document was not understood'
    assert set(document.errors()) - set(words) == set()


def test_each_close_code_has_a_test():
    tested = {
        int(code)
        for text in SOURCES.values()
        for code in re.findall(r'expect_close\((\d{4})', text)
    }
    tested |= {row.close_code for row in document.errors().values() if row.close_code}
    codes = set(document.close_codes())
    assert len(codes) >= 18, 'the document was not understood'
    assert codes - tested - set(UNPROVOKED) == set(), 'close codes without a test'
    assert tested - codes == set(), 'tests of close codes that the document has not'
    assert set(UNPROVOKED) <= codes - tested, 'of these there is a test, or no row'
