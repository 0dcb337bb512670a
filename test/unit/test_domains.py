"""Test modules run at the same time: no two of them may use one ROS domain."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ASSIGNED = re.compile(
    r'^\w*DOMAIN_IDS? = \(?([\d, ]+)\)?$|^def domain_id\(\):\n    return (\d+)$', re.M
)
SHARED = re.compile(r'^DOMAIN_ID = own_domain\((\d+)\)$', re.M)
# Processes of pytest-xdist for which a shared domain has room.
PROCESSES = 3


def test_each_module_has_domains_of_its_own():
    used = Counter()
    for path in TESTS.rglob('*.py'):
        text = path.read_text()
        for groups in ASSIGNED.findall(text):
            used.update(int(number) for group in groups for number in re.findall(r'\d+', group))
        for first in SHARED.findall(text):
            used.update(int(first) + process for process in range(PROCESSES))
    assert len(used) > 20
    assert not {domain: count for domain, count in used.items() if count > 1}
    # Above 101 the ports of DDS are among those that Linux gives away.
    assert max(used) <= 101
