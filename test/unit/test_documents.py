"""What the documents name exists, and what exists is named: links, topics, services, metrics."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

from rtc_signaling.parameter import parameters
from rtc_signaling.sender_config import SenderConfig
from rtc_signaling.server_config import ServerConfig
from rtc_signaling.test_camera_config import TestCameraConfig

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*REPOSITORY.glob('*.md'), *(REPOSITORY / 'docs').glob('*.md')])
LINK = re.compile(r'\]\(([^)\s]+)\)')
HEADING = re.compile(r'^#+ +(.+)$', re.MULTILINE)
FENCE = re.compile(r'^```.*?^```$', re.MULTILINE | re.DOTALL)
# What a node makes, in its own words: a topic or a service.
MADE = re.compile(r"create_(?:publisher|service)\(\s*\w+, '([^']+)'")
# Of each camera: below `camera_sender`, or with several below `camera_sender/NAME`.
OF_CAMERA = re.compile(
    r"(?:create_(?:publisher|service)|ReportPublisher)\(\s*\w+, f'\{\S*prefix\}/(\w+)'"
)


def read(path):
    return path.read_text(encoding='utf-8')


def anchors(text):
    """Return the names of the headings, as GitHub makes them."""
    return {
        re.sub(r'[^\w\- ]', '', unicodedata.normalize('NFC', heading.lower())).replace(' ', '-')
        for heading in HEADING.findall(FENCE.sub('', text))
    }


def local_links():
    for document in DOCUMENTS:
        for target in LINK.findall(FENCE.sub('', read(document))):
            if '://' not in target:
                yield pytest.param(document, target, id=f'{document.name}: {target}')


@pytest.mark.parametrize(('document', 'target'), [*local_links()])
def test_each_link_leads_somewhere(document, target):
    name, _, anchor = target.partition('#')
    path = document.parent / name if name else document
    assert path.exists()
    if anchor:
        assert anchor in anchors(read(path))


def test_each_document_can_be_found_from_the_readme():
    text = read(REPOSITORY / 'README.md')
    missing = [path.name for path in DOCUMENTS if path.parent.name == 'docs']
    assert [name for name in missing if f'docs/{name})' not in text] == []


def test_each_topic_and_service_of_a_node_is_documented_and_no_other():
    made = set()
    for path in (REPOSITORY / 'rtc_signaling/nodes').glob('*.py'):
        made |= set(MADE.findall(read(path)))
    of_camera = set(OF_CAMERA.findall(read(REPOSITORY / 'rtc_signaling/nodes/camera_unit.py')))
    assert len(of_camera) == 8
    made |= {f'camera_sender/{name}' for name in of_camera}
    assert len(made) >= 13
    # Of every node: made by nodes/background.py of its prefix.
    common = {f'{node}/{topic}' for node in ('signaling', 'camera_sender') for topic in
              ('status', 'errors')}  # fmt: skip
    named = re.findall(r'^\| `((?:signaling|camera_sender|signaling_server)/\w+)` \|',
                       read(REPOSITORY / 'docs/ros.md'), re.MULTILINE)  # fmt: skip
    assert sorted(named) == sorted(made | common)
    named = re.findall(
        r'^\| `camera_sender/NAME/(\w+)` \|', read(REPOSITORY / 'docs/ros.md'), re.M
    )
    assert sorted(named) == sorted(of_camera)


def test_each_metric_is_documented_and_no_other():
    text = read(REPOSITORY / 'rtc_signaling/exposition.py')
    made = set()
    for kind, name in re.findall(r"_(gauges?|counters?|quantiles)\('(\w+)'", text):
        made.add(f'rtc_signaling_{name}' + '_total' * kind.startswith('counter'))
    for way in ('received', 'sent'):
        made |= {f'rtc_signaling_{way}_messages_total', f'rtc_signaling_{way}_bytes_total'}
    assert len(made) >= 15
    table = re.findall(r'`(rtc_signaling_\w+)`', read(REPOSITORY / 'docs/operating.md'))
    assert sorted(table) == sorted(made)


def test_each_parameter_that_a_document_sets_exists():
    known = {
        spec.name
        for config in (ServerConfig, SenderConfig, TestCameraConfig)
        for spec in parameters(config).values()
    }
    dotted = re.compile(r'`((?:auth|tls|turn|limits|warn|reconnect|depth)\.\w+)')
    named = {name for path in DOCUMENTS for name in dotted.findall(read(path))}
    assert len(named) > 10
    assert named - {'auth.py'} <= known
    set_in_yaml = set()
    for path in DOCUMENTS:
        for block in re.findall(r'^```yaml\n(.*?)^```$', read(path), re.MULTILINE | re.DOTALL):
            set_in_yaml |= set(re.findall(r'^    ([\w.]+):', block, re.MULTILINE))
    assert set_in_yaml
    assert set_in_yaml <= known
