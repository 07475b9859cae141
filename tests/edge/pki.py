"""Authorities and certificates for tests, made in memory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
UTC_NOW = NOW.timestamp()


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def key_pem(self) -> bytes:
        found: bytes = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return found


def new_key(kind: str = "ec") -> Any:
    return _rsa() if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())


@cache
def _rsa() -> Any:
    return rsa.generate_private_key(65537, 2048)  # one for all tests: it takes a second to make


def issue(
    name: str,
    by: Issued | None = None,
    *,
    ca: bool = True,
    days: tuple[float, float] = (-30, 365),
    key: Any = None,
    public: Any = None,
    serial: int | None = None,
    server: str | None = None,
    client: bool = False,
    at: datetime = NOW,
) -> Issued:
    """`by` None: self-signed. `public`: sign this key instead of one of our own. `server`: the IP address it is for."""
    key = key if key is not None else new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(public if public is not None else key.public_key())
        .serial_number(serial if serial is not None else x509.random_serial_number())
        .not_valid_before(at + timedelta(days=days[0]))
        .not_valid_after(at + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if server is not None:
        from ipaddress import ip_address

        builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(server))]), False)
    if client or server:
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
    return Issued(builder.sign(by.key if by else key, hashes.SHA256()), key)


def sign(csr_pem: str, by: Issued, *, days: tuple[float, float] = (-1, 90), at: datetime = NOW, **more: Any) -> Issued:
    """What a central system's authority makes of a request."""
    csr = x509.load_pem_x509_csr(csr_pem.encode())
    assert csr.is_signature_valid
    return issue("CP", by, ca=False, days=days, public=csr.public_key(), client=True, at=at, **more)
