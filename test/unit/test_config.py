"""The parameters: every rule, and that the files made from them are up to date."""

from __future__ import annotations

import dataclasses
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rtc_signaling.errors import ConfigurationError
from rtc_signaling.messages import Authenticate, Decoder, Encoder, FromClient
from rtc_signaling.parameter import Parameter, from_values, parameter, parameters, with_values
from rtc_signaling.sender_config import SenderConfig
from rtc_signaling.server_config import ServerConfig
from rtc_signaling.test_camera_config import TestCameraConfig

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = (ServerConfig, SenderConfig, TestCameraConfig)
SPECS = [spec for config in CONFIGS for spec in parameters(config).values()]


def rule_that(spec, value):
    """Return the rule that a value breaks."""
    with pytest.raises(ConfigurationError) as error:
        spec.check(value)
    assert error.value.name == spec.name
    # It is told as it was given; of a list, the one string that is wrong.
    assert repr(error.value.value) in repr(value)
    return error.value.rule


def named(spec):
    return spec.name


@pytest.mark.parametrize('spec', SPECS, ids=named)
def test_defaults_pass_their_own_checks(spec):
    assert spec.check(spec.default) == spec.default


@pytest.mark.parametrize('config', CONFIGS)
def test_fields_names_and_defaults_agree(config):
    table = parameters(config)
    assert list(table) == [field.name for field in dataclasses.fields(config)]
    assert len({spec.name for spec in table.values()}) == len(table)
    assert dataclasses.asdict(config()) == {name: spec.default for name, spec in table.items()}


def test_a_declaration_becomes_a_field_with_its_default_and_its_rules():
    @dataclasses.dataclass
    class Config:
        speed: float = parameter(1.5, 'How fast', name='motor.speed', minimum=0.5, maximum=9.0)

    assert Config().speed == 1.5
    spec = Parameter('motor.speed', 1.5, 'How fast', minimum=0.5, maximum=9.0)
    assert parameters(Config) == {'speed': spec}


@pytest.mark.parametrize('spec', SPECS, ids=named)
def test_no_secret_is_a_parameter(spec):
    # What names a file may be read by all; what is in it may not.
    if not spec.name.endswith('_file') and spec.name != 'tls.key':
        assert not re.search(r'token$|secret|password|credential|key$', spec.name)
    else:
        assert 'file' in spec.description.lower()


@pytest.mark.parametrize(
    'spec',
    [
        spec
        for spec in SPECS
        if isinstance(spec.default, int | float) and not isinstance(spec.default, bool)
    ],
    ids=named,
)
def test_numbers_have_both_bounds_and_keep_them(spec):
    kind = type(spec.default)
    low, high = kind(spec.minimum), kind(spec.maximum)
    assert spec.check(low) == low
    assert spec.check(high) == high
    rule = f'must be at least {spec.minimum:g} and at most {spec.maximum:g}'
    assert rule_that(spec, low - 1) == rule
    assert rule_that(spec, high + 1) == rule


@pytest.mark.parametrize(
    'spec', [spec for spec in SPECS if isinstance(spec.default, float)], ids=named
)
@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_floats_that_are_no_numbers_are_refused(spec, value):
    assert rule_that(spec, value).startswith('must be at least')


WRONG = {
    bool: ['true', 1, 0, None, ['']],
    int: [1.0, '1', True, None, [1]],
    float: ['1.0', True, None, [1.0]],
    str: [1, True, None, ['x'], b'x'],
    tuple: ['x', 1, None, [1], ['x', None], {'x': 'y'}],
}
RULES = {
    bool: 'must be true or false',
    int: 'must be an integer',
    float: 'must be a number',
    str: 'must be a string',
    tuple: 'must be a list of strings',
}


@pytest.mark.parametrize(
    ('default', 'value'),
    [
        (default, value)
        for default in (True, 1, 1.0, 'x', ('x',))
        for value in WRONG[type(default)]
    ],
)
def test_a_value_of_another_type_is_refused(default, value):
    assert rule_that(Parameter('p', default, ''), value) == RULES[type(default)]


def test_an_integer_is_good_for_a_float():
    value = Parameter('p', 1.0, '').check(3)
    assert (value, type(value)) == (3.0, float)


def test_lists_come_as_tuples_without_empty_strings():
    spec = Parameter('p', (), '')
    for given, result in (([], ()), ([''], ()), (['a', ''], ('a',)), (('a', 'b'), ('a', 'b'))):
        assert spec.check(given) == result


def test_one_bound_is_enough():
    assert rule_that(Parameter('p', 1, '', minimum=0), -1) == 'must be at least 0'
    assert rule_that(Parameter('p', 1, '', maximum=2), 3) == 'must be at most 2'
    assert Parameter('p', 1, '').check(-(10**9)) == -(10**9)


def test_choices_and_patterns():
    spec = Parameter('p', 'a', '', choices=('a', 'b'))
    assert spec.check('b') == 'b'
    for value in ('c', '', 'A'):
        assert rule_that(spec, value) == 'must be one of a, b'
    spec = Parameter('p', 'a', '', pattern=re.compile('[a-z]+'))
    assert spec.check('xyz') == 'xyz'
    assert spec.check('') == ''
    for value in ('x1', 'x\n', ' x'):
        assert rule_that(spec, value) == 'must match [a-z]+'
    spec = Parameter('p', (), '', pattern=re.compile('[a-z]+'))
    assert rule_that(spec, ['ok', 'no!']) == 'must match [a-z]+'


def spec_of(config, name):
    return next(spec for spec in parameters(config).values() if spec.name == name)


@pytest.mark.parametrize(
    ('config', 'name', 'good', 'bad'),
    [
        (
            SenderConfig, 'server_url',
            ['ws://127.0.0.1:8765', 'wss://robot.example/ws', 'ws://[::1]:1/', 'ws://robot/a/b'],
            ['http://x', 'ws://', 'robot:8765', 'ws://x/?t=y', 'ws://u:p@x', 'ws://a b'],
        ),
        (
            SenderConfig, 'client_id',
            ['camera', 'A.b_c:d-1', 'x' * 64], ['a b', 'x' * 65, 'ä', 'a\n'],
        ),
        (
            ServerConfig, 'ice_servers',
            [['stun:10.0.0.1'], ['turns:robot:5349?transport=tcp', 'turn:[::1]:1?transport=udp']],
            [['10.0.0.1'], ['http://x'], ['turn:u:p@x'], ['stun:a b'], ['turn:x?transport=y']],
        ),
        (
            ServerConfig, 'allowed_origins',
            [['*'], ['https://ops.example', 'http://[::1]:8080']],
            [['ops.example'], ['https://'], ['https://u@x'], ['https://x/y'], ['**'], ['ftp://x']],
        ),
        (
            ServerConfig, 'allowed_hosts',
            [['robot'], ['robot-7.example', '10.0.0.7']],
            [['robot:80'], ['a b'], ['http://x'], ['*'], ['robot_7']],
        ),
        (
            SenderConfig, 'ice_addresses',
            [['127.0.0.1'], ['fe80::1', '10.0.0.1']], [['eth0'], ['10.0.0.1/24'], ['localhost']],
        ),
    ],
)  # fmt: skip
def test_the_texts_of_each_kind(config, name, good, bad):
    spec = spec_of(config, name)
    for value in good:
        assert spec.check(value) in (value, tuple(value))
    for value in bad:
        assert rule_that(spec, value).startswith('must match')


def test_values_make_a_configuration():
    config = from_values(ServerConfig, {'port': 0, 'auth.mode': 'none', 'timeout': 60})
    assert config == ServerConfig(port=0, auth_mode='none', timeout_s=60.0)
    assert from_values(ServerConfig, {}) == ServerConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.port = 1


def test_an_unknown_name_is_told():
    with pytest.raises(ConfigurationError) as error:
        from_values(ServerConfig, {'prot': 1, 'zzz': 2})
    assert str(error.value) == 'prot = 1: there is no such parameter'


def test_a_bad_value_is_told_by_its_ros_name():
    with pytest.raises(ConfigurationError) as error:
        from_values(ServerConfig, {'auth.mode': 'open'})
    assert str(error.value) == "auth.mode = 'open': must be one of token, jwt, none"


def test_live_values_change_a_configuration():
    before = ServerConfig(port=0)
    after = with_values(before, {'max_connections': 20, 'limits.message_rate': 5})
    assert after == ServerConfig(port=0, max_connections=20, message_rate_hz=5.0)
    assert before == ServerConfig(port=0)
    assert with_values(before, {}) == before


@pytest.mark.parametrize(
    ('values', 'text'),
    [
        ({'port': 1}, 'port = 1: needs a restart: it is read when the node starts'),
        ({'prot': 1}, 'prot = 1: there is no such parameter'),
        ({'max_connections': 0}, 'max_connections = 0: must be at least 1 and at most 10000'),
        # One bad value among good ones changes nothing.
        ({'max_connections': 20, 'port': 1}, 'port = 1: needs a restart'),
    ],
)
def test_what_cannot_be_changed_is_told_with_the_rule(values, text):
    with pytest.raises(ConfigurationError) as error:
        with_values(ServerConfig(), values)
    assert str(error.value).startswith(text)


def test_the_files_made_from_the_tables_are_up_to_date():
    result = subprocess.run(
        [sys.executable, ROOT / 'tools' / 'params.py', '--check'],
        env=os.environ | {'PYTHONPATH': str(ROOT)}, capture_output=True, text=True, check=False,
        timeout=30,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, '')


def test_depth_has_to_have_a_span():
    assert from_values(SenderConfig, {'depth.near': 1.0, 'depth.far': 1.001}).depth_far_m == 1.001
    for near, far in ((1.0, 1.0), (2.0, 1.0), (10.0, 10.0)):
        with pytest.raises(ConfigurationError) as error:
            from_values(SenderConfig, {'depth.near': near, 'depth.far': far})
        assert str(error.value) == f'depth.far = {far}: must be above depth.near, {near:g}'
    # Which of the two is changed, while the node runs, makes no difference.
    with pytest.raises(ConfigurationError, match=r'^depth\.far = 10\.0: must be above'):
        with_values(SenderConfig(), {'depth.near': 11.0})
    assert with_values(SenderConfig(), {'depth.near': 11.0, 'depth.far': 12.0}).depth_near_m == 11


@pytest.mark.parametrize('given', [['front', 'rear'], [''], []])
def test_cameras_have_names(given):
    names = tuple(filter(None, given))
    assert from_values(SenderConfig, {'cameras': given}).cameras == names


@pytest.mark.parametrize(
    ('given', 'value', 'rule'),
    [
        (['a', 'b', 'a'], 'a', 'two cameras have this name'),
        (['a', 'b/c'], 'b/c', 'must match [A-Za-z][A-Za-z0-9_]{0,63}'),
        (['1st'], '1st', 'must match [A-Za-z][A-Za-z0-9_]{0,63}'),
        (['a:b'], 'a:b', 'must match [A-Za-z][A-Za-z0-9_]{0,63}'),
        ([f'c{i}' for i in range(13)], tuple(f'c{i}' for i in range(13)), 'must be at most 12'),
        ('front', 'front', 'must be a list of strings'),
    ],
)
def test_cameras_that_cannot_be_are_named(given, value, rule):
    with pytest.raises(ConfigurationError) as error:
        from_values(SenderConfig, {'cameras': given})
    assert (error.value.name, error.value.value, error.value.rule) == ('cameras', value, rule)


def test_the_name_of_a_camera_can_be_sent():
    spec = parameters(SenderConfig)['cameras']
    name = 'A' + 'z_9' * 21
    assert spec.check([name]) == (name,)
    message = Authenticate(token='', cameras=[name])
    assert Decoder(FromClient).decode(Encoder().encode(message)) == message
