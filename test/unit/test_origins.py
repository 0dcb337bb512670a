"""Which pages may talk to the server."""

from __future__ import annotations

import pytest

from rtc_signaling.origins import OriginRules


@pytest.fixture
def rules():
    return OriginRules('Robot7', ('robots.example',), ('https://ops.example', 'http://lab:8080'))


@pytest.mark.parametrize(
    'host',
    [
        'localhost', 'localhost:8765', 'LOCALHOST', 'robot7', 'Robot7:80', 'robot7.local',
        'robots.example:443', '10.0.0.7', '10.0.0.7:8765', '[::1]', '[::1]:8765', '[fe80::1]:1',
    ],
)  # fmt: skip
def test_names_and_addresses_of_this_machine_are_its_own(rules, host):
    assert rules.host_is_ours(host)


@pytest.mark.parametrize(
    'host',
    [
        '', ':8765', 'evil.example', 'robot7.evil.example', 'localhost.evil.example', 'robot77',
        '10.0.0.7.evil.example', '[::1', '::1]', '[v1.x]', 'x.robots.example', '10.0.0', '[',
    ],
)  # fmt: skip
def test_any_other_name_is_not(rules, host):
    # DNS rebinding: Origin and Host agree, and only the name is wrong.
    assert not rules.host_is_ours(host)


@pytest.mark.parametrize('host', ['evil.example@localhost', 'localhost@evil.example'])
def test_a_host_with_a_user_in_it_is_that_of_its_name(rules, host):
    assert rules.host_is_ours(host) == host.endswith('@localhost')


@pytest.mark.parametrize(
    ('origin', 'host'),
    [
        (None, 'robot7:8765'),  # programs send none
        ('http://robot7:8765', 'robot7:8765'),
        ('https://robot7:8765', 'robot7:8765'),
        ('HTTP://Robot7:8765', 'robot7:8765'),
        ('http://[::1]:8765', '[::1]:8765'),
        ('https://ops.example', 'robot7:8765'),
        ('https://OPS.example/', 'robot7:8765'),
        ('http://lab:8080', 'robot7:8765'),
    ],
)
def test_pages_of_its_own_and_those_that_are_named_may_connect(rules, origin, host):
    assert rules.origin_may(origin, host)


@pytest.mark.parametrize(
    'origin',
    [
        '', 'null', 'http://evil.example', 'http://robot7', 'http://robot7:8766', 'robot7:8765',
        'file://robot7:8765', 'http://', 'http://ops.example', 'https://ops.example:444',
        'http://robot7:8765.evil.example', 'http://robot7:8765/', 'chrome-extension://abc',
    ],
)  # fmt: skip
def test_no_other_page_may(rules, origin):
    assert not rules.origin_may(origin, 'robot7:8765')


def test_a_named_origin_may_be_written_as_people_write_it():
    rules = OriginRules('robot7', (), ('HTTPS://Ops.example/',))
    for origin in ('https://ops.example', 'https://ops.example/', 'HTTPS://OPS.example'):
        assert rules.origin_may(origin, 'robot7:8765')


def test_no_page_may_without_a_host(rules):
    assert not rules.origin_may('http://', '')


def test_a_star_lets_all_pages_connect():
    rules = OriginRules('robot7', (), ('*',))
    assert rules.origin_may('http://evil.example', 'robot7:8765')
    assert rules.origin_may('null', 'robot7:8765')
    # It is no word about hosts.
    assert not rules.host_is_ours('evil.example')
