"""The files of the page, as HTTP answers."""

from __future__ import annotations

from http import HTTPStatus
from importlib import resources

import pytest

from rtc_signaling.pages import Pages, plain

WEB = resources.files('rtc_signaling').joinpath('web')
TYPES = {
    'html': 'text/html; charset=utf-8', 'css': 'text/css; charset=utf-8',
    'js': 'text/javascript; charset=utf-8', 'svg': 'image/svg+xml',
}  # fmt: skip
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
    assert "default-src 'self'" in policy
    assert 'unsafe' not in policy
    assert "frame-ancestors 'self'" in policy
    assert headers['Referrer-Policy'] == 'no-referrer'
    assert headers['X-Content-Type-Options'] == 'nosniff'
    assert headers['Cache-Control'] == 'no-cache'
    assert headers['Connection'] == 'close'


def test_a_line_of_text():
    response = plain(HTTPStatus.SERVICE_UNAVAILABLE, 'full')
    assert (response.status_code, response.body) == (503, b'full\n')
