"""The token file: how it is made, read, and refused."""

from __future__ import annotations

import contextlib
import json
import logging
import multiprocessing
import os
import stat
import tempfile
import threading
from pathlib import Path

import pytest
from fakes import TOKENS

from rtc_signaling import tokens
from rtc_signaling.auth import Tokens
from rtc_signaling.errors import ConfigurationError
from rtc_signaling.tokens import TokenReader, load, load_or_create, replace, token_path

GOOD = {'sender': TOKENS.sender, 'receiver': TOKENS.receiver}


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'deep' / 'down' / 'tokens.json'


def write(path, content=None, mode=0o600):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(GOOD) if content is None else content, encoding='utf-8')
    path.chmod(mode)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_where_the_file_is():
    assert token_path('/a/b.json', {'ROS_HOME': '/ros'}) == Path('/a/b.json')
    assert token_path('~/b.json', {}) == Path.home() / 'b.json'
    assert token_path('', {'ROS_HOME': '/ros'}) == Path('/ros/rtc_signaling/tokens.json')
    default = Path.home() / '.ros' / 'rtc_signaling' / 'tokens.json'
    assert token_path('', {}) == token_path('', {'ROS_HOME': ''}) == default


@pytest.mark.parametrize('umask', [0o000, 0o022, 0o077])
def test_a_new_file_is_for_its_owner_alone(path, umask):
    path.parent.mkdir(parents=True)
    before = os.umask(umask)
    try:
        made = load_or_create(path)
    finally:
        os.umask(before)
    assert mode(path) == 0o600
    assert os.listdir(path.parent) == ['tokens.json']
    assert made.sender != made.receiver
    # 24 bytes each.
    assert (len(made.sender), len(made.receiver)) == (32, 32)
    assert load(path) == load_or_create(path) == made


def test_it_is_made_where_it_will_be_as_a_link_leads_to_no_other_file_system(path, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', '/nonexistent')
    assert load_or_create(path) == load(path)


def test_folders_that_are_made_are_for_their_owner_alone(path):
    load_or_create(path)
    assert mode(path.parent) == 0o700


def test_two_files_are_never_alike(tmp_path):
    assert load_or_create(tmp_path / 'a') != load_or_create(tmp_path / 'b')


def test_of_several_processes_that_make_it_at_once_one_wins(path):
    context = multiprocessing.get_context('fork')
    barrier = context.Barrier(4)
    results = context.Queue()

    def make():
        barrier.wait()
        results.put(load_or_create(path).sender)

    processes = [context.Process(target=make) for _ in range(4)]
    for process in processes:
        process.start()
    seen = {results.get(timeout=20) for _ in processes}
    for process in processes:
        process.join(20)
    results.close()
    results.join_thread()
    assert seen == {load(path).sender}
    assert os.listdir(path.parent) == ['tokens.json']


def test_the_loser_of_the_race_takes_the_winners_tokens(path, monkeypatch):
    # The file appears after one looked for it and before one links one's own.
    monkeypatch.setattr(Path, 'exists', lambda self: False)
    write(path)
    assert load_or_create(path) == TOKENS


@pytest.mark.parametrize(
    'content',
    [
        '', '{', 'null', '[]', '"text"', '{}', json.dumps({'sender': TOKENS.sender}),
        json.dumps(GOOD | {'receiver': 'x' * 15}), json.dumps(GOOD | {'sender': ''}),
        json.dumps(GOOD | {'receiver': TOKENS.sender}), json.dumps(GOOD | {'sender': 1}),
        json.dumps(GOOD | {'sender': [TOKENS.sender] * 20}), '[' * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_token_file_is_refused_by_name(path, content):
    write(path, content)
    with pytest.raises(ConfigurationError) as error:
        load(path)
    assert (error.value.name, error.value.value) == ('auth.token_file', str(path))
    assert error.value.rule.startswith('must be JSON with "sender" and "receiver"')
    assert TOKENS.sender not in str(error.value)


def test_sixteen_characters_are_enough(path):
    shortest = {'sender': 's' * 16, 'receiver': 'r' * 16}
    write(path, json.dumps(shortest))
    assert load(path) == Tokens(**shortest)


def test_what_cannot_be_read_is_refused_by_name(path, tmp_path):
    for bad in (path, tmp_path):
        with pytest.raises(ConfigurationError, match=r'^auth\.token_file = .* cannot be read'):
            load(bad)
    write(path)
    path.write_bytes(b'\xff\xfe')
    with pytest.raises(ConfigurationError, match='cannot be read'):
        load(path)


def test_a_file_that_cannot_be_made_is_told(tmp_path):
    write(tmp_path / 'file')
    below = tmp_path / 'file' / 'below' / 'tokens.json'
    with pytest.raises(ConfigurationError, match='cannot be made') as error:
        load_or_create(below)
    assert (error.value.name, error.value.value) == ('auth.token_file', str(below))
    with pytest.raises(ConfigurationError, match=r'^auth\.token_file = .* cannot be'):
        load_or_create(tmp_path / 'file' / 'tokens.json')


@pytest.mark.parametrize(('bits', 'warned'), [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1)])
def test_a_file_that_others_can_read_is_warned_of(path, bits, warned, caplog):
    write(path, mode=bits)
    assert load(path) == TOKENS
    assert len(caplog.records) == warned
    assert all(str(path) in record.getMessage() for record in caplog.records)


def test_no_token_is_ever_logged(path, caplog):
    caplog.set_level(logging.DEBUG)
    made = load_or_create(path)
    assert str(path) in caplog.text
    assert made.sender not in caplog.text
    assert made.receiver not in caplog.text


# Reading it again and again.


def test_a_replaced_file_is_whole_and_for_its_owner_alone(path, caplog):
    write(path, mode=0o644)
    caplog.set_level(logging.INFO)
    made = replace(path)
    assert load(path) == made
    assert made.sender != made.receiver
    assert not {made.sender, made.receiver} & {TOKENS.sender, TOKENS.receiver}
    assert mode(path) == 0o600
    assert os.listdir(path.parent) == ['tokens.json']
    assert caplog.messages == [f'put new access tokens into {path}']


def test_a_link_to_the_file_stays_one(path, tmp_path):
    write(path)
    link = tmp_path / 'link.json'
    link.symlink_to(path)
    made = replace(link)
    assert link.is_symlink()
    assert load(path) == made


def test_a_file_that_cannot_be_replaced_stays(tmp_path):
    nowhere = tmp_path / 'nowhere' / 'tokens.json'
    with pytest.raises(ConfigurationError) as error:
        replace(nowhere)
    assert (error.value.name, error.value.value) == ('auth.token_file', str(nowhere))
    assert error.value.rule.startswith('cannot be written: ')


def test_a_reader_takes_up_a_new_token(path):
    read = TokenReader(str(path), {})
    write(path)
    assert read() == TOKENS.sender
    write(path, json.dumps(GOOD | {'sender': 'another-token-of-the-robot'}))
    assert read() == 'another-token-of-the-robot'


def test_the_environment_goes_first(path):
    write(path)
    environment = {'RTC_SIGNALING_TOKEN': 'from-the-environment'}
    assert TokenReader(str(path), environment)() == 'from-the-environment'
    assert TokenReader(str(path), {'RTC_SIGNALING_TOKEN': ''})() == TOKENS.sender


def test_a_reader_without_a_path_looks_into_ros_home(tmp_path):
    read = TokenReader('', {'ROS_HOME': str(tmp_path)})
    made = load_or_create(token_path('', {'ROS_HOME': str(tmp_path)}))
    assert read() == made.sender


def test_a_reader_without_a_file_warns_once_for_each_cause(path, caplog):
    read = TokenReader(str(path), {})
    assert [read(), read()] == ['', '']
    assert len(caplog.records) == 1
    assert f'auth.token_file = {str(path)!r}: cannot be read' in caplog.text
    assert 'copy it or set RTC_SIGNALING_TOKEN' in caplog.text
    write(path, '{')
    assert [read(), read()] == ['', '']
    assert len(caplog.records) == 2
    write(path)
    assert read() == TOKENS.sender
    path.unlink()
    assert read() == ''
    assert len(caplog.records) == 3


def test_half_a_file_is_never_seen(path):
    """Readers in a thread see either no file or a whole one while it is made."""
    path.parent.mkdir(parents=True)
    stop = threading.Event()
    seen = []

    def watch():
        while not stop.is_set():
            with contextlib.suppress(FileNotFoundError):
                seen.append(path.read_text(encoding='utf-8'))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(20):
        tokens.load_or_create(path)
        path.unlink()
    stop.set()
    watcher.join()
    assert '' not in seen
