"""What is kept of the checks, and what becomes of those that were not made."""

from __future__ import annotations

import pytest

from rtc_signaling.doctor.findings import (
    CHECKS,
    ROS_CHECKS,
    WIRE_CHECKS,
    Findings,
    Verdict,
    fail,
    ok,
)


def test_each_check_has_one_name():
    assert len(set(CHECKS)) == len(CHECKS) == 16


def test_findings_come_in_the_order_of_the_checks():
    findings = Findings()
    findings.add(ok('session', 'watch', 'a picture'), ok('port', 'connect', 'open'))
    findings.add(ok('health', 'get', 'ok'))
    assert [finding.check for finding in findings.all()] == ['port', 'health', 'session']


def test_no_check_is_made_twice():
    findings = Findings()
    findings.add(ok('port', 'connect', 'open'))
    with pytest.raises(AssertionError):
        findings.add(ok('port', 'connect', 'open'))


def test_the_rest_is_skipped_with_the_reason():
    findings = Findings()
    findings.add(fail('port', 'connect', 'refused', 'start it'))
    findings.skip_rest(WIRE_CHECKS, 'port has to be well first')
    kept, *rest = findings.all()
    assert kept.verdict is Verdict.FAIL
    assert [finding.check for finding in rest] == [*WIRE_CHECKS[1:]]
    assert {(finding.verdict, finding.seen) for finding in rest} == {
        (Verdict.SKIP, 'port has to be well first')
    }


def test_when_the_time_is_over_the_check_that_is_being_made_fails():
    findings = Findings()
    findings.add(ok('port', 'connect', 'open'))
    findings.skip_rest(ROS_CHECKS, 'no ROS')
    findings.time_is_over(2.0)
    by_check = {finding.check: finding for finding in findings.all()}
    assert tuple(by_check) == CHECKS
    assert {c for c, f in by_check.items() if f.verdict is Verdict.FAIL} == {'health'}
    assert by_check['health'].seen == 'not done when the 2 s for all checks were over'
    assert '--timeout' in by_check['health'].remedy
    assert by_check['websocket'].seen == 'no time was left of the 2 s (--timeout)'
    assert by_check['dds'].seen == 'no ROS'


def test_when_all_is_done_no_time_can_be_over():
    findings = Findings()
    findings.skip_rest(CHECKS, 'no reason')
    findings.time_is_over(1.0)
    assert {finding.verdict for finding in findings.all()} == {Verdict.SKIP}
