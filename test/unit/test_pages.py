"""The files of the page, as HTTP answers."""

from __future__ import annotations

import re
from http import HTTPStatus
from importlib import resources
from pathlib import Path

import pytest

from rtc_signaling.pages import Pages, plain

REPOSITORY = Path(__file__).resolve().parents[2]
WEB = resources.files('rtc_signaling').joinpath('web')
TYPES = {
    'html': 'text/html; charset=utf-8', 'css': 'text/css; charset=utf-8',
    'js': 'text/javascript; charset=utf-8', 'svg': 'image/svg+xml',
}  # fmt: skip
# Of all the files together, as they are: nothing is compressed or minified.
MAX_PAGE_BYTES = 60_000
SERVED = sorted(f.name for f in WEB.iterdir() if f.name.rpartition('.')[2] in TYPES)


@pytest.fixture(scope='module')
def pages():
    return Pages()


@pytest.mark.parametrize('name', SERVED)
def test_each_file_is_served_as_what_it_is(pages, name):
    response = pages.respond(f'/{name}')
    assert response.status_code == 200
    assert response.body == WEB.joinpath(name).read_bytes()
    assert response.headers['Content-Type'] == TYPES[name.rpartition('.')[2]]
    assert response.headers['Content-Length'] == str(len(response.body))


def test_the_page_is_at_the_root(pages):
    assert {'index.html', 'viewer.js', 'viewer.css'} <= set(SERVED)
    assert pages.respond('/').body == pages.respond('/index.html').body


@pytest.mark.parametrize(
    'path',
    [
        '',
        '//',
        '/x',
        '/healthz',
        '/metrics',
        '/web/index.html',
        '/../pages.py',
        '/./index.html',
        'index.html',
        '/.',
    ],
)
def test_nothing_else_is_there(pages, path):
    response = pages.respond(path)
    assert (response.status_code, response.body) == (404, b'not found\n')


@pytest.mark.parametrize('path', ['/', '/viewer.js', '/nowhere'])
def test_every_answer_has_the_security_headers(pages, path):
    headers = pages.respond(path).headers
    policy = headers['Content-Security-Policy']
    directives = dict(part.strip().split(' ', 1) for part in policy.split(';'))
    # All is from here, and what a directive does not name is nothing.
    assert directives.pop('default-src') == "'none'"
    assert directives.pop('media-src') == 'blob: mediastream:'
    assert directives.pop('require-trusted-types-for') == "'script'"
    for name in ('base-uri', 'form-action'):
        assert directives.pop(name) == "'none'"
    assert set(directives) == {
        'script-src', 'style-src', 'img-src', 'connect-src', 'frame-ancestors',
    }  # fmt: skip
    assert set(directives.values()) == {"'self'"}
    assert headers['Referrer-Policy'] == 'no-referrer'
    assert headers['X-Content-Type-Options'] == 'nosniff'
    assert headers['Cache-Control'] == 'no-cache'
    assert headers['Connection'] == 'close'


def test_only_modules_are_for_the_pages_of_an_origin_that_may_connect(pages):
    origin = 'https://app.example'
    headers = pages.respond('/client.js', origin).headers
    assert headers['Access-Control-Allow-Origin'] == origin
    assert headers['Vary'] == 'Origin'
    for response in (
        pages.respond('/client.js'), pages.respond('/', origin), pages.respond('/x.js', origin)
    ):  # fmt: skip
        assert 'Access-Control-Allow-Origin' not in response.headers


def test_the_whole_page_is_light(pages):
    sizes = {name: len(pages.respond(f'/{name}').body) for name in SERVED}
    assert sum(sizes.values()) < MAX_PAGE_BYTES, sizes


def test_the_document_has_the_pages_words_and_keys():
    document = REPOSITORY.joinpath('docs/page.md').read_text('utf-8')
    says = document.partition('## What it says')[2].partition('## ')[0]
    words = re.findall(r'^\| ([A-Z][^|]+) \|', says, re.MULTILINE)
    text = WEB.joinpath('text.js').read_text('utf-8')
    assert len(words) > 10
    assert [each for each in words if each not in text] == []
    keys = re.findall(r"^add\('(\w)'", WEB.joinpath('viewer.js').read_text('utf-8'), re.MULTILINE)
    can = document.partition('## What it can do')[2].partition('## ')[0]
    rows = re.findall(r'^\| (`.*?) \|', can, re.MULTILINE)
    assert sorted(re.findall(r'`(\w)`', ' '.join(rows))) == sorted(keys)


def test_the_document_says_what_each_file_is_for():
    document = REPOSITORY.joinpath('docs/page.md').read_text('utf-8')
    table = document.partition('| module | owns |')[2].partition('\n\n')[0]
    first_cells = [row.split('|')[1] for row in table.splitlines() if row.startswith('| `')]
    assert sorted(re.findall(r'`([\w.]+)`', ' '.join(first_cells))) == SERVED


def test_a_line_of_text():
    response = plain(HTTPStatus.SERVICE_UNAVAILABLE, 'full')
    assert (response.status_code, response.body) == (503, b'full\n')
