"""What the documents name exists, and what exists is named: links, topics, services, metrics."""

from __future__ import annotations

import re
import struct
import unicodedata
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from rtc_signaling.parameter import parameters
from rtc_signaling.sender_config import SenderConfig
from rtc_signaling.server_config import ServerConfig
from rtc_signaling.test_camera_config import TestCameraConfig

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*REPOSITORY.glob('*.md'), *(REPOSITORY / 'docs').glob('*.md')])
LINK = re.compile(r'(?:\]\(|<img src=")([^)\s"]+)')
HEADING = re.compile(r'^#+ +(.+)$', re.MULTILINE)
FENCE = re.compile(r'^```.*?^```$', re.MULTILINE | re.DOTALL)
CODE = re.compile(r'`([^`\n]+)`')
# Names in code that are of others, and so nowhere in the sources. `comparison.md` has many more.
FOREIGN_NAMES = {
    'CYCLONEDDS_URI', 'bayer_rggb8', 'ffmpeg_image_transport', 'front_2026', 'front_saved_',
    'ip_local_port_range', 'max_msg_size', 'shared_memory', 'tcp_wmem', 'turn_secret',
}  # fmt: skip
# Where a file that is named without its folder may be.
FOLDERS = (
    '', 'docs', 'benchmarks', 'config', 'launch', 'launch/examples', 'rtc_signaling',
    'rtc_signaling/web', 'test/browser', 'test/integration', 'test/unit', 'tools',
)  # fmt: skip
FILE = re.compile(
    r'(?<![\w/~.$:*-])((?:[\w-]+/)*[\w-]+(?:\.launch)?'
    r'\.(?:md|py|yaml|xml|sh|js|toml|json|rst))(?![\w/])'
)
# What a reader of technical English reads in five minutes.
FIVE_MINUTES_WORDS = 5 * 240
CAPTURE_BYTES = 700_000
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
        for target in links(document):
            if '://' not in target:
                yield pytest.param(document, target, id=f'{document.name}: {target}')


def links(document):
    return LINK.findall(FENCE.sub('', read(document)))


def external_links():
    return sorted({target for path in DOCUMENTS for target in links(path) if '://' in target})


@pytest.mark.parametrize('target', external_links())
def test_an_external_link_has_the_form_of_one(target):
    url = urllib.parse.urlsplit(target)
    assert url.scheme == 'https'
    assert url.hostname.count('.') >= 1
    assert not target.endswith(('.', ',', ';'))
    if url.hostname == 'github.com' and re.match(r'/[^/]+/[^/]+/(blob|tree)/', url.path):
        # A branch moves on, and what is quoted from it may be gone.
        assert re.fullmatch(r'/[^/]+/[^/]+/(blob|tree)/[0-9a-f]{40}(/.*)?', url.path)


def test_external_links_lead_somewhere(request):
    """Fetch them all; for the maintainer, since tests of others need no internet."""
    if not request.config.getoption('--external-links'):
        pytest.skip('external links are fetched by pytest --external-links alone')
    broken = []
    for target in external_links():
        query = urllib.request.Request(target, headers={'User-Agent': 'link check'})
        try:
            urllib.request.urlopen(query, timeout=20.0).close()
        except (urllib.error.URLError, TimeoutError) as error:
            broken.append(f'{target}: {error}')
    assert broken == []


@pytest.mark.parametrize(('document', 'target'), [*local_links()])
def test_each_link_leads_somewhere(document, target):
    name, _, anchor = target.partition('#')
    path = document.parent / name if name else document
    assert path.exists()
    if anchor:
        assert anchor in anchors(read(path))


def test_each_document_can_be_found_from_the_readme():
    text = read(REPOSITORY / 'README.md')
    names = [path.name for path in (REPOSITORY / 'docs').glob('*.md')]
    assert [name for name in names if f'docs/{name})' not in text] == []


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
    assert set(table) == made


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


def test_each_name_in_code_is_in_the_sources():
    patterns = ('rtc_signaling/**/*.py', 'rtc_signaling/**/*.js', 'rtc_signaling/**/*.html',
                'launch/**/*.py', 'config/*', 'test/**/*.py', 'benchmarks/**/*.py', 'tools/*',
                'package.xml', 'pyproject.toml', 'setup.py', 'Makefile')  # fmt: skip
    sources = {path for pattern in patterns for path in REPOSITORY.glob(pattern) if path.is_file()}
    sources -= {Path(__file__)}
    text = '\n'.join(f'{path.name}\n{read(path)}' for path in sources)
    known = set(re.findall(r'\w+', text)) | FOREIGN_NAMES
    unknown = {
        (path.name, name)
        for path in DOCUMENTS
        if path.name != 'comparison.md'
        for code in CODE.findall(FENCE.sub('', read(path)))
        for name in re.findall(r'\b_?[A-Za-z]\w*_\w*', code)
    }
    unknown = {(document, name) for document, name in unknown if name not in known}
    assert unknown == set()


def test_each_file_that_a_document_names_is_there():
    named = {
        (path.name, name)
        for path in DOCUMENTS
        if path.name not in ('comparison.md', 'mutation.md')
        for code in CODE.findall(FENCE.sub('', read(path)))
        for name in FILE.findall(code)
    }
    assert len(named) > 50
    there = [REPOSITORY / folder for folder in FOLDERS]
    assert {
        (document, name)
        for document, name in named
        if not any((folder / name).exists() for folder in there)
    } == set()


def test_each_metric_that_any_document_names_exists():
    known = set(re.findall(r'`(rtc_signaling_\w+)`', read(REPOSITORY / 'docs/operating.md')))
    named = {n for path in DOCUMENTS for n in re.findall(r'`(rtc_signaling_\w+)`', read(path))}
    assert named <= known


def test_each_topic_and_service_that_any_document_names_exists():
    rows = re.findall(r'^\| `/?([\w/]+)` \|', read(REPOSITORY / 'docs/ros.md'), re.MULTILINE)
    segment = re.compile(r'^/?((?:signaling|camera_sender|signaling_server)/\w+)$')
    named = {
        (path.name, match[1])
        for path in DOCUMENTS
        for code in CODE.findall(FENCE.sub('', read(path)))
        if (match := segment.match(code))
    }
    assert len(named) > 15
    assert {(document, name) for document, name in named if name not in rows} == set()


def test_each_error_code_that_any_document_names_exists():
    table = read(REPOSITORY / 'docs/protocol.md').partition('## 9.')[0]
    known = set(re.findall(r'^\| `(\w+)` \| [^|]+ \| (?:no|yes) \|', table, re.MULTILINE))
    assert len(known) > 15
    named = {
        name
        for path in DOCUMENTS
        for name in re.findall(r'errors? `(\w+)`', FENCE.sub('', read(path)))
    }
    assert named
    assert named <= known


def outside_of_folds():
    return re.sub(r'<details>.*?</details>', '', read(REPOSITORY / 'README.md'), flags=re.DOTALL)


def test_the_readme_is_read_in_five_minutes():
    """Count prose alone: commands and tables are looked at, not read."""
    prose = re.sub(r'^(?: {4}|\|).*$', '', outside_of_folds(), flags=re.MULTILINE)
    assert len(prose.split()) <= FIVE_MINUTES_WORDS


def test_the_readmes_figures_are_those_of_the_measurement():
    table = outside_of_folds().partition('## Performance')[2].partition('\n## ')[0]
    cells = [row.split('|')[2] for row in table.splitlines() if row.startswith('| ')][1:]
    figures = [number for cell in cells for number in re.findall(r'\d+\.?\d*', cell)]
    known = set(re.findall(r'\d+\.?\d*', read(REPOSITORY / 'docs/performance.md')))
    assert len(figures) > 8
    assert [number for number in figures if number not in known] == []


def test_the_capture_is_ten_seconds_that_repeat():
    data = (REPOSITORY / 'docs/images/viewer.webp').read_bytes()
    assert data[:4] + data[8:12] == b'RIFFWEBP'
    assert len(data) < CAPTURE_BYTES
    at, durations, loops = 12, [], None
    while at < len(data):
        kind, size = data[at : at + 4], struct.unpack('<I', data[at + 4 : at + 8])[0]
        body = data[at + 8 : at + 8 + size]
        if kind == b'ANIM':
            loops = struct.unpack('<H', body[4:6])[0]
        if kind == b'ANMF':
            durations.append(int.from_bytes(body[12:15], 'little'))
        at += 8 + size + size % 2
    assert loops == 0
    assert len(durations) > 50
    assert 9_500 <= sum(durations) <= 10_500
