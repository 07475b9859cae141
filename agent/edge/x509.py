"""What is asked of a certificate, whichever release of `cryptography` answers.

Debian 12 has release 38, and keeps it safe; the agent's package uses what the system has. That release knows no times
with a zone (42), no `verify_directly_issued_by` (40) and no list of certificates in one text (39): here they are asked
in older words. `cryptography` is imported by whoever calls, never at the start of the agent.
"""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def certificates_in(pem: bytes) -> list[Certificate]:
    """All of them, in order; ValueError if there is none, or one cannot be read."""
    from cryptography import x509

    if hasattr(x509, "load_pem_x509_certificates"):
        return x509.load_pem_x509_certificates(pem)
    blocks = _BLOCK.findall(pem)
    if not blocks:
        raise ValueError("there is no certificate")
    return [x509.load_pem_x509_certificate(block) for block in blocks]


def not_before_utc(certificate: Certificate) -> float:
    """Since when it is valid, in seconds since 1970."""
    if hasattr(certificate, "not_valid_before_utc"):
        return certificate.not_valid_before_utc.timestamp()
    return certificate.not_valid_before.replace(tzinfo=UTC).timestamp()


def not_after_utc(certificate: Certificate) -> float:
    """Until when, in seconds since 1970."""
    if hasattr(certificate, "not_valid_after_utc"):
        return certificate.not_valid_after_utc.timestamp()
    return certificate.not_valid_after.replace(tzinfo=UTC).timestamp()


def check_issued_by(certificate: Certificate, issuer: Certificate) -> None:
    """InvalidSignature, ValueError or TypeError if this one has not signed it."""
    if hasattr(certificate, "verify_directly_issued_by"):
        certificate.verify_directly_issued_by(issuer)
    else:
        _check_issued_by(certificate, issuer)


def _check_issued_by(certificate: Any, issuer: Any) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    if certificate.issuer != issuer.subject:
        raise ValueError("it is of another issuer")
    key, signed, signature = issuer.public_key(), certificate.tbs_certificate_bytes, certificate.signature
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, signed, padding.PKCS1v15(), certificate.signature_hash_algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, signed, ec.ECDSA(certificate.signature_hash_algorithm))
    else:
        raise TypeError("a key of this kind signs no certificates here")
