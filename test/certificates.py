"""Certificates for tests, self-signed."""

from __future__ import annotations

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def make_certificate(directory, name, good_for_s=86_400.0, host='127.0.0.1'):
    """Write a self-signed certificate for an address and its key; return their paths.

    Args:
        directory: A folder that is made for them.
        name: Whose certificate it is.
        good_for_s: Until when, from now; it is good since an hour ago.
        host: The IP address that it is for.
    """
    directory.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address(host))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(seconds=good_for_s))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    kind, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (directory / 'certificate.pem').write_bytes(certificate.public_bytes(pem))
    (directory / 'key.pem').write_bytes(key.private_bytes(pem, kind, plain))
    return directory / 'certificate.pem', directory / 'key.pem'
