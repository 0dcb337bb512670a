"""Where the doctor finds a token, and what is told of the places."""

from __future__ import annotations

import json

import pytest

from rtc_signaling.doctor.tokens import find

TOKENS = {'sender': 'the-token-of-the-robot', 'receiver': 'the-token-of-viewers'}


@pytest.fixture
def home(tmp_path):
    """Return a ROS_HOME with a token file."""
    folder = tmp_path / 'rtc_signaling'
    folder.mkdir()
    write(folder / 'tokens.json')
    return tmp_path


def write(path, content=None, mode=0o600):
    path.write_text(json.dumps(TOKENS) if content is None else content, encoding='utf-8')
    path.chmod(mode)
    return str(path)


def test_what_was_given_goes_first(home, tmp_path):
    other = write(tmp_path / 'other.json')
    environment = {'RTC_SIGNALING_TOKEN': 'of-the-environment', 'ROS_HOME': str(home)}
    token, source = find('given', other, environment)
    assert (token, source.found_in) == ('given', 'the command line')


def test_a_file_that_was_named_goes_before_the_environment(tmp_path):
    other = write(tmp_path / 'other.json')
    token, source = find('', other, {'RTC_SIGNALING_TOKEN': 'of-the-environment'})
    assert (token, source.found_in, source.looked_in) == (TOKENS['receiver'], other, other)


def test_the_environment_goes_before_the_file_of_the_server(home):
    environment = {'RTC_SIGNALING_TOKEN': 'of-the-environment', 'ROS_HOME': str(home)}
    token, source = find('', '', environment)
    assert (token, source.found_in) == ('of-the-environment', 'RTC_SIGNALING_TOKEN')


def test_the_file_of_the_server_is_the_last_place(home):
    token, source = find('', '', {'ROS_HOME': str(home)})
    path = f'{home}/rtc_signaling/tokens.json'
    # A viewer's token: the doctor watches.
    assert (token, source.found_in, source.problem, source.exposed) == (
        TOKENS['receiver'], path, '', '',
    )  # fmt: skip
    assert source.looked_in == f'the URL, RTC_SIGNALING_TOKEN and {path}'


def test_no_file_of_the_server_is_nothing_wrong(tmp_path):
    token, source = find('', '', {'ROS_HOME': str(tmp_path)})
    assert (token, source.found_in, source.problem) == ('', '', '')
    assert str(tmp_path) in source.looked_in


def test_a_file_that_was_named_has_to_be_there(tmp_path):
    path = f'{tmp_path}/missing.json'
    token, source = find('', path, {})
    assert (token, source.found_in) == ('', '')
    assert source.problem.startswith(f'{path}: cannot be read')


@pytest.mark.parametrize('content', ['', '[]', '{"sender": "short", "receiver": "short"}'])
def test_a_file_of_the_server_that_cannot_be_used(home, content):
    path = write(home / 'rtc_signaling/tokens.json', content)
    token, source = find('', '', {'ROS_HOME': str(home)})
    assert (token, source.found_in) == ('', '')
    assert source.problem.startswith(f'{path}: must be JSON with "sender" and "receiver"')


def test_a_folder_is_no_token_file(tmp_path):
    token, source = find('', str(tmp_path), {})
    assert token == ''
    assert 'cannot be read' in source.problem


@pytest.mark.parametrize(
    ('mode', 'exposed'),
    [(0o600, ''), (0o400, ''), (0o640, 'mode rw-r-----'), (0o604, 'mode rw----r--')],
)
def test_who_else_can_read_the_file_is_told(tmp_path, mode, exposed):
    path = write(tmp_path / 'tokens.json', mode=mode)
    token, source = find('', path, {})
    assert (token, source.exposed) == (TOKENS['receiver'], exposed)
