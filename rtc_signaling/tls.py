"""The server's TLS: a certificate and its key from files, read again when they change."""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path

from rtc_signaling.errors import ConfigurationError

logger = logging.getLogger(__name__)


class TlsFiles:
    """Keep an SSL context in step with the files that it was made of.

    Args:
        certificate: PEM file with the certificate chain.
        key: PEM file with the private key.

    Raises:
        ConfigurationError: A file cannot be used.
    """

    def __init__(self, certificate: str, key: str) -> None:
        self._certificate = Path(certificate).expanduser()
        self._key = Path(key).expanduser()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._seen = self._stamps()
        self._load()
        self.problem = ''

    def refresh(self) -> None:
        """Read the files again if they changed; call it now and then.

        New connections get the new certificate. Files that cannot be used leave the old one in
        force, with a warning, and are named in `problem`.
        """
        stamps = self._stamps()
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            self._load()
        except ConfigurationError as error:
            self.problem = str(error)
            logger.warning('%s; the certificate that was loaded before stays in force', error)
        else:
            self.problem = ''
            logger.info('loaded the TLS certificate anew from %s', self._certificate)

    def _load(self) -> None:
        try:
            # Into a context of its own first: a half-changed pair must not spoil the one in use.
            for context in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self.context):
                context.load_cert_chain(self._certificate, self._key, self._refuse_password)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                'tls.certificate',
                str(self._certificate),
                f'cannot be used with tls.key = {str(self._key)!r}: {error}',
            ) from error

    def _refuse_password(self) -> str:
        """Stand in for a password: without it OpenSSL would ask for one on the terminal.

        That would hold the event loop until somebody answers.
        """
        raise ConfigurationError(
            'tls.key', str(self._key), 'is encrypted: the key has to be without a password'
        )

    def _stamps(self) -> list[tuple[int, int] | None]:
        stamps: list[tuple[int, int] | None] = []
        for path in (self._certificate, self._key):
            try:
                stat = os.stat(path)
            except OSError:
                stamps.append(None)
            else:
                stamps.append((stat.st_mtime_ns, stat.st_ino))
        return stamps


def server_tls(certificate: str, key: str) -> TlsFiles | None:
    """Return the TLS files of the parameters, or None where neither is set.

    Raises:
        ConfigurationError: Only one is set, or they cannot be used.
    """
    if not certificate and not key:
        return None
    if not certificate or not key:
        missing = 'tls.key' if certificate else 'tls.certificate'
        raise ConfigurationError(missing, '', 'must be set too: a certificate needs its key')
    return TlsFiles(certificate, key)
