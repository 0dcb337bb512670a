"""The viewer page and its files over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from importlib import resources

from websockets.datastructures import Headers
from websockets.http11 import Response

_CONTENT_TYPES = {
    'html': 'text/html; charset=utf-8',
    'css': 'text/css; charset=utf-8',
    'js': 'text/javascript; charset=utf-8',
    'svg': 'image/svg+xml',
}
_SECURITY_HEADERS = {
    'Content-Security-Policy': (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; media-src blob: mediastream:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'self'; require-trusted-types-for 'script'"
    ),
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'no-cache',
}


class Pages:
    """Serve the files of `rtc_signaling/web`, read once into memory.

    No path of a request ever reaches the file system.
    """

    def __init__(self) -> None:
        self._files: dict[str, tuple[str, bytes]] = {}
        for file in resources.files('rtc_signaling').joinpath('web').iterdir():
            content_type = _CONTENT_TYPES.get(file.name.rpartition('.')[2])
            if content_type is not None:
                self._files[f'/{file.name}'] = (content_type, file.read_bytes())
        if '/index.html' in self._files:
            self._files['/'] = self._files['/index.html']

    def respond(self, path: str, origin: str | None = None) -> Response:
        """Answer a GET of `path` (without its query).

        Args:
            path: Of the request.
            origin: The Origin of a page that may connect, and so may use the page's modules.
        """
        found = self._files.get(path)
        if found is None:
            return plain(HTTPStatus.NOT_FOUND, 'not found')
        response = respond(HTTPStatus.OK, *found)
        if origin is not None and path.endswith('.js'):
            response.headers['Access-Control-Allow-Origin'] = origin
            response.headers['Vary'] = 'Origin'
        return response


def plain(status: HTTPStatus, text: str) -> Response:
    """Return a response of one line of text."""
    return respond(status, 'text/plain; charset=utf-8', f'{text}\n'.encode())


def respond(status: HTTPStatus, content_type: str, body: bytes) -> Response:
    """Return a response with the headers that every response has."""
    headers = Headers(_SECURITY_HEADERS)
    headers['Content-Type'] = content_type
    headers['Content-Length'] = str(len(body))
    headers['Connection'] = 'close'
    return Response(status.value, status.phrase, headers, body)
