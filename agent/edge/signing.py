"""Signatures over firmware: is this a certificate of the manufacturer's, and did its bearer sign this file?

`cryptography` is an extra and is loaded when it is first needed; `available` tells whether it can be. Rules kept:

* The certificate stands in a chain of at most `MAX_CHAIN` to a manufacturer root that was installed; each link of it is
  valid now, each issuer is a certificate authority. Others' roots (the CSMS's, the system's) vouch for no firmware.
* It is for signing: where it says what it is for, that must be signatures, and code.
* Who is on a revocation list of its issuer is out; lists (PEM) stand among the roots.
* Whoever stands in the chain was signed with a hash that nobody forges.
* The signature is over SHA-256 of the whole file: RSASSA-PSS, or PKCS #1 v1.5, which signing tools make unless told
  otherwise, with keys of at least 2048 bits; or ECDSA with at least 224.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.edge.x509 import check_issued_by, not_after_utc, not_before_utc

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, CertificateRevocationList

MAX_CHAIN = 6
MAX_ROOTS = 64
MIN_RSA_BITS, MIN_EC_BITS = 2048, 224
BROKEN = ("md5", "sha1")
_BLOCK = 1 << 20
_CRL = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class Unfit(Exception):
    """What is wrong with a certificate. `revoked`: it was good once."""

    def __init__(self, why: str, revoked: bool = False) -> None:
        super().__init__(why)
        self.revoked = revoked


def available() -> bool:
    return find_spec("cryptography") is not None


def check_signer(pem: str, roots: Sequence[bytes], utc: float | None) -> tuple[str, str]:
    """ "" and "" for a good certificate; else "invalid" or "revoked", and why. `utc` None: nobody knows the time."""
    try:
        _signer(pem, roots, utc)
    except Unfit as unfit:
        return ("revoked" if unfit.revoked else "invalid"), str(unfit)
    return "", ""


def check_file(file: Path, pem: str, signature: str, roots: Sequence[bytes], utc: float | None) -> tuple[str, str]:
    """ "" and "" for a good file; else "certificate", "signature" or "file", and why."""
    try:
        key = _signer(pem, roots, utc).public_key()
    except Unfit as unfit:
        return "certificate", str(unfit)
    try:
        digest = _digest(file)
    except OSError as error:
        return "file", f"cannot be read: {error.strerror or error}"
    try:
        raw = b64decode("".join(signature.split()), validate=True)
    except ValueError:
        return "signature", "is not base64"
    return ("", "") if _has_signed(key, raw, digest) else ("signature", "is not of this file and this certificate")


def _digest(file: Path) -> bytes:
    whole = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            whole.update(block)
    return whole.digest()


def _has_signed(key: Any, signature: bytes, digest: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
    from cryptography.hazmat.primitives.hashes import SHA256

    hashed = Prehashed(SHA256())
    ways: tuple[tuple[Any, ...], ...] = ((ec.ECDSA(hashed),),)
    if isinstance(key, rsa.RSAPublicKey):
        pss = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=padding.PSS.AUTO)
        ways = ((pss, hashed), (padding.PKCS1v15(), hashed))
    for way in ways:
        try:
            key.verify(signature, digest, *way)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):
            continue
        return True
    return False


# --- the certificate ------------------------------------------------------------------------------------------


def _signer(pem: str, roots: Sequence[bytes], utc: float | None) -> Certificate:
    """The certificate that signs: the first of `pem`, which may hold those between it and a root as well."""
    try:
        return _checked(pem, roots, utc)
    except Unfit:
        raise
    except Exception as error:  # noqa: BLE001  the library has many words for a certificate that was made to hurt
        raise Unfit(f"cannot be used: {type(error).__name__}") from None


def _checked(pem: str, roots: Sequence[bytes], utc: float | None) -> Certificate:
    given = _certificates([pem.encode("utf-8", "replace")], MAX_CHAIN)
    if not given:
        raise Unfit("is not a certificate in PEM")
    trusted = _certificates(roots, MAX_ROOTS)
    if not trusted:
        raise Unfit("no root of the manufacturer is installed")
    _check_use(given[0])
    _check_chain(given, trusted, _lists(roots), utc)
    return given[0]


def _certificates(texts: Sequence[bytes], most: int) -> list[Certificate]:
    from cryptography.x509 import load_pem_x509_certificate

    found = [part for text in texts for part in _CERTIFICATE.findall(text)][:most]
    try:
        return [load_pem_x509_certificate(part) for part in found]
    except ValueError:
        raise Unfit("is not a certificate that can be read") from None


def _lists(texts: Sequence[bytes]) -> list[CertificateRevocationList]:
    from cryptography.x509 import load_pem_x509_crl

    try:
        return [load_pem_x509_crl(part) for text in texts for part in _CRL.findall(text)][:MAX_ROOTS]
    except ValueError:
        raise Unfit("a revocation list cannot be read") from None


def _check_use(leaf: Certificate) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    key = leaf.public_key()
    bits = {rsa.RSAPublicKey: MIN_RSA_BITS, ec.EllipticCurvePublicKey: MIN_EC_BITS}
    least = next((size for kind, size in bits.items() if isinstance(key, kind)), None)
    if least is None or key.key_size < least:  # type: ignore[union-attr]
        raise Unfit("its key is too short, or of a kind that signs no firmware")
    usage = _extension(leaf, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        raise Unfit("is not for signatures")
    purposes = _extension(leaf, x509.ExtendedKeyUsage)
    oid = x509.oid.ExtendedKeyUsageOID
    if purposes is not None and not {oid.CODE_SIGNING, oid.ANY_EXTENDED_KEY_USAGE} & set(purposes):
        raise Unfit("is not for signing code")


def _check_chain(
    given: list[Certificate], trusted: list[Certificate], lists: list[CertificateRevocationList], utc: float | None
) -> None:
    current = given[0]
    for depth in range(MAX_CHAIN):
        _check_time(current, utc)
        if current in trusted:
            return
        _check_hash(current)
        issuer = next((one for one in (*trusted, *given[1:]) if _has_issued(one, current, depth)), None)
        if issuer is None:
            raise Unfit("no root of the manufacturer vouches for it")
        _check_lists(current, issuer, lists)
        current = issuer
    raise Unfit("its chain is too long")


def _check_hash(certificate: Certificate) -> None:
    """Of what an authority has signed; a root needs no signature."""
    used = certificate.signature_hash_algorithm
    if used is not None and used.name in BROKEN:
        raise Unfit(f"was signed with {used.name.upper()}, which can be forged")


def _check_time(certificate: Certificate, utc: float | None) -> None:
    if utc is None:
        return
    if utc < not_before_utc(certificate):
        raise Unfit("is not valid yet")
    if utc > not_after_utc(certificate):
        raise Unfit("has expired")


def _has_issued(issuer: Certificate, subject: Certificate, below: int) -> bool:
    """`below`: how many authorities stand between the issuer and the certificate that signs."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    basic = _extension(issuer, x509.BasicConstraints)
    usage = _extension(issuer, x509.KeyUsage)
    if basic is None or not basic.ca or (basic.path_length is not None and basic.path_length < below):
        return False
    if usage is not None and not usage.key_cert_sign:
        return False
    try:
        check_issued_by(subject, issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _check_lists(subject: Certificate, issuer: Certificate, lists: list[CertificateRevocationList]) -> None:
    key: Any = issuer.public_key()
    for one in lists:
        if one.issuer != issuer.subject or not one.is_signature_valid(key):
            continue
        if one.get_revoked_certificate_by_serial_number(subject.serial_number) is not None:
            raise Unfit("has been revoked", revoked=True)


def _extension(certificate: Certificate, kind: Any) -> Any:
    from cryptography.x509 import ExtensionNotFound

    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except ExtensionNotFound:
        return None
    except ValueError:
        raise Unfit("has an extension that cannot be read") from None
