"""The errors say what a person needs, and nothing else."""

from __future__ import annotations

import inspect

import pytest

from rtc_signaling import errors


def test_all_errors_have_one_base_and_stand_in_the_tree_that_is_drawn():
    for name, cls in inspect.getmembers(errors, inspect.isclass):
        assert issubclass(cls, errors.RtcSignalingError)
        assert name in errors.__doc__


def test_a_wrong_setting_is_told_in_one_line():
    error = errors.ConfigurationError('port', 'x', 'must be an integer')
    assert str(error) == "port = 'x': must be an integer"
    assert (error.name, error.value, error.rule) == ('port', 'x', 'must be an integer')


@pytest.mark.parametrize('flag', [True, False])
def test_a_protocol_error_carries_what_goes_over_the_wire(flag):
    error = errors.ProtocolError('timeout', 'too late', retry=flag, fatal=not flag)
    assert str(error) == 'timeout: too late'
    assert (error.code, error.message) == ('timeout', 'too late')
    assert (error.retry, error.fatal) == (flag, not flag)


def test_protocol_errors_are_neither_for_retrying_nor_fatal_unless_said():
    error = errors.ProtocolError('invalid_json', 'no')
    assert (error.retry, error.fatal) == (False, False)


def test_errors_show_what_they_were_made_of():
    assert repr(errors.ConfigurationError('port', 'x', 'no')) == (
        "ConfigurationError('port', 'x', 'no')"
    )
    assert repr(errors.ProtocolError('timeout', 'late', retry=True)) == (
        "ProtocolError('timeout', 'late')"
    )


def test_a_refusal_keeps_its_close_code():
    error = errors.RefusedError('no', 4401)
    assert (str(error), error.close_code) == ('no', 4401)
