"""A manufacturer with a root, an authority below it, and signers; made anew for each test session."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC)


class Signer:
    """A certificate and its key; `issuer` None: it is its own."""

    def __init__(self, name: str, issuer: Signer | None = None, *, key: Any = None, ca: bool = False, **more: Any):
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.issuer = issuer or self
        self.serial = x509.random_serial_number()
        self.certificate = self._made(ca, **more)

    def _made(
        self,
        ca: bool,
        days: tuple[int, int] = (-1, 30),
        purpose: Any = None,
        signs: bool = True,
        length: int | None = None,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(self.issuer.name)
            .public_key(self.key.public_key())
            .serial_number(self.serial)
            .not_valid_before(NOW + timedelta(days=days[0]))
            .not_valid_after(NOW + timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca, length), True)
            .add_extension(_usage(ca, signs), True)
        )
        if purpose is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), False)
        return builder.sign(self.issuer.key, SHA256())

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def sign(self, content: bytes, scheme: str = "pss") -> str:
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return b64encode(self.key.sign(content, ec.ECDSA(SHA256()))).decode()
        way: Any = padding.PSS(padding.MGF1(SHA256()), 32) if scheme == "pss" else padding.PKCS1v15()
        return b64encode(self.key.sign(content, way, SHA256())).decode()

    def revoke(self, other: Signer) -> bytes:
        """A list of ours that names the other one."""
        gone = x509.RevokedCertificateBuilder().serial_number(other.serial).revocation_date(NOW).build()
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(NOW)
        builder = builder.next_update(NOW + timedelta(days=1)).add_revoked_certificate(gone)
        return builder.sign(self.key, SHA256()).public_bytes(Encoding.PEM)


def _usage(ca: bool, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs and not ca,
        content_commitment=False,
        key_encipherment=not signs,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


@cache
def maker() -> Signer:
    return Signer("Example root", ca=True)


@cache
def signer() -> Signer:
    return Signer("Example firmware", maker(), purpose=ExtendedKeyUsageOID.CODE_SIGNING)


@cache
def rsa_signer(bits: int = 2048) -> Signer:
    return Signer("Example RSA", maker(), key=rsa.generate_private_key(65537, bits))


def roots(*more: bytes) -> list[bytes]:
    return [maker().pem.encode(), *more]
