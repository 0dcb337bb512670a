"""The short form of `make faults`: the harness of docs/reliability.md, on the real stack."""

from __future__ import annotations

import sys

import pytest
from processes import REPOSITORY

sys.path.insert(0, str(REPOSITORY / 'benchmarks'))

from faults import kill

DOMAIN_ID = 74
# A viewer whom a fault does not concern; the harness is stricter, but on a quiet machine.
UNTOUCHED_S = 2.0
FAULTS = [
    kill.Combination('viewer', 'SIGKILL', 'running'),
    kill.Combination('server', 'SIGKILL', 'answered'),
    kill.Combination('sender', 'SIGKILL', 'offered'),
]


@pytest.fixture(scope='module')
def outcomes(tmp_path_factory):
    directory = tmp_path_factory.mktemp('faults')
    found, _ = kill.run(directory, DOMAIN_ID, faults=FAULTS, stop_s=0.0, controls=1)
    return {outcome.combination: outcome for outcome in found}


@pytest.mark.parametrize('fault', FAULTS, ids=str)
def test_after_a_fault_the_video_is_back_and_nothing_is_left_over(outcomes, fault):
    outcome = outcomes[fault]
    assert (outcome.wrong, outcome.left) == ([], [])
    assert outcome.back_s > 0


@pytest.mark.parametrize('fault', FAULTS[:2], ids=str)
def test_a_fault_does_not_touch_other_viewers(outcomes, fault):
    outcome = outcomes[fault]
    assert min(outcome.gap_s, outcome.again_s or outcome.gap_s) < UNTOUCHED_S
