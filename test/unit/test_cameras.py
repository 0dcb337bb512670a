"""The cameras of the launch file: what `cameras` and `cameras_file` may say."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rtc_signaling.cameras import (
    CameraSpec,
    absolute,
    check_namespace,
    check_topic,
    from_list,
    from_names,
    in_one_process,
)
from rtc_signaling.errors import ConfigurationError

CONFIG = Path(__file__).resolve().parents[2] / 'config'


def cameras_of(*entries):
    return from_list('my.yaml', {'cameras': list(entries)})


def test_names_give_topics_and_client_ids():
    assert from_names('front, rear') == (
        CameraSpec('front', 'front/image_raw', 'front'),
        CameraSpec('rear', 'rear/image_raw', 'rear'),
    )
    assert from_names(' ') == ()


@pytest.mark.parametrize('text', ['front,', ',', 'fr ont', 'a-b', '1st', '_a', 'a' * 65, 'a/b'])
def test_a_name_that_is_none_is_named(text):
    with pytest.raises(ConfigurationError, match='begins with a letter') as caught:
        from_names(text)
    assert (caught.value.name, caught.value.value) == ('cameras', text)


def test_two_of_one_name_are_refused():
    with pytest.raises(ConfigurationError, match="'rear': two cameras have this name"):
        from_names('rear,front,rear')
    with pytest.raises(ConfigurationError, match="'b': two cameras have this client_id"):
        cameras_of({'name': 'a', 'client_id': 'b'}, {'name': 'b'})


def test_the_example_is_read():
    document = yaml.safe_load((CONFIG / 'cameras.yaml').read_text())
    front, rear = from_list('cameras.yaml', document)
    parameters = {'max_viewers': 4, 'stale_timeout': 1.0}
    assert front == CameraSpec('front', 'front/image_raw', 'front', parameters)
    assert rear == CameraSpec('rear', 'rear/image_raw', 'rear')


def test_an_entry_may_say_everything():
    (camera,) = cameras_of({'name': 'a', 'image_topic': '/x/y', 'client_id': 'arm:1'})
    assert (camera.image_topic, camera.client_id) == ('/x/y', 'arm:1')


@pytest.mark.parametrize(
    ('entry', 'words'),
    [
        ('front', r"cameras\[0\] = 'front': must have keys: name, "),
        ({}, r"cameras\[0\]\.name = '': a name has"),
        ({'name': 5}, r'cameras\[0\]\.name = 5: a name has'),
        ({'name': 'a', 'topic': 'x'}, r"\.topic = 'x': there are only the keys name"),
        ({'name': 'a', 'image_topic': 'x y'}, r"\.image_topic = 'x y': must be a topic"),
        ({'name': 'a', 'client_id': ''}, r"\.client_id = '': must match"),
        ({'name': 'a', 'parameters': [1]}, r'\.parameters = \[1\]: must be names'),
        ({'name': 'a', 'parameters': {'fast': 1}}, r'\.fast = 1: camera_sender has no such'),
        ({'name': 'a', 'parameters': {'client_id': 'b'}}, r"\.client_id = 'b': is a key of"),
        (
            {'name': 'a', 'parameters': {'max_viewers': 0}},
            r'parameters\.max_viewers = 0: must be at least 1 and at most 1000',
        ),
    ],
)
def test_a_bad_entry_is_named(entry, words):
    with pytest.raises(ConfigurationError, match=rf'^cameras_file my\.yaml: .*{words}'):
        cameras_of(entry)


@pytest.mark.parametrize('document', [None, [], {'cameras': []}, {'cameras': {}}, {'camera': []}])
def test_a_file_without_a_list_is_named(document):
    with pytest.raises(ConfigurationError, match=r'^cameras_file my\.yaml'):
        from_list('my.yaml', document)


def test_topics_and_namespaces():
    assert absolute('', 'a/b') == '/a/b'
    assert absolute('/robot1', 'a') == '/robot1/a'
    assert absolute('robot1/arm/', 'a') == '/robot1/arm/a'
    assert absolute('/robot1', '/a') == '/a'
    assert check_topic('t', '/a/b_1') == '/a/b_1'
    assert check_namespace('n', '') == ''
    for bad in ('', '/', 'a//b', 'a/', 'a b', '1a', '~/a'):
        with pytest.raises(ConfigurationError, match=r'^t = '):
            check_topic('t', bad)
    for bad in ('/', 'a//b', 'a/', '1a'):
        with pytest.raises(ConfigurationError, match=r'^n = '):
            check_namespace('n', bad)


def test_cameras_of_one_process_share_name_and_parameters():
    cameras = cameras_of({'name': 'a', 'image_topic': '/x/y'}, {'name': 'b'})
    assert in_one_process('my.yaml', cameras) == cameras


@pytest.mark.parametrize(
    ('entry', 'name', 'rule'),
    [
        ({'client_id': 'x'}, 'my.yaml: client_id', 'a cannot have its own with one_process'),
        ({'parameters': {'max_viewers': 4}}, 'my.yaml: parameters', 'a cannot have its own'),
    ],
)
def test_what_cameras_of_one_process_cannot_have_is_named(entry, name, rule):
    with pytest.raises(ConfigurationError, match=rule) as caught:
        in_one_process('my.yaml', cameras_of({'name': 'a', **entry}))
    assert caught.value.name == name


def test_more_cameras_than_one_process_takes_are_refused():
    names = ','.join(f'c{i}' for i in range(13))
    with pytest.raises(ConfigurationError, match='must be at most 12'):
        in_one_process('cameras', from_names(names))
