"""X.509: what makes a certificate fit to be trusted or to be shown, and keys and requests of our own.

The package `cryptography` is loaded at the first use of a function here, never at start; who calls them catches its
ImportError. Whatever a peer sends may be wrong in any way: everything that is wrong with it is `Unfit`, in plain words
that quote nothing of it. Private keys are EC P-256 unless RSA is configured, as the security whitepaper wants them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agent.edge.x509 import certificates_in, check_issued_by, not_after_utc, not_before_utc
from agent.errors import OperatingFault

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

MAX_CERTIFICATES = 10  # in one chain
MAX_ROOT_CHARS = 5500  # the longest that InstallCertificate may carry
SMALLEST_RSA, SMALLEST_EC = 2048, 224  # bits
RSA_BITS = 2048
LONGEST_NAME = 64  # X.520: common name and organization
SKEW_S = 300.0  # a certificate that was made a moment ago may be from the future by our clock


class Unfit(OperatingFault):
    """A certificate that cannot be used; the text says why."""


@contextmanager
def _reading() -> Iterator[None]:
    """Any complaint of the library about what a peer has sent. Its fields are read when asked for, so every look at
    a certificate may be the one that fails."""
    try:
        yield
    except (Unfit, ImportError, MemoryError):
        raise
    except Exception:  # noqa: BLE001  dozens of kinds, from a malformed extension to an unknown curve
        raise Unfit("it cannot be read as a certificate") from None


# --- reading --------------------------------------------------------------------------------------------------


def read_all(pem: str, most_chars: int) -> list[Certificate]:
    """The certificates in this text."""

    if len(pem) > most_chars:
        raise Unfit(f"it is longer than {most_chars} characters")
    if not pem.isascii() or "PRIVATE KEY" in pem:
        raise Unfit("it is not a certificate in PEM form")
    with _reading():
        found = certificates_in(pem.encode("ascii"))
    if len(found) > MAX_CERTIFICATES:
        raise Unfit(f"it has more than {MAX_CERTIFICATES} certificates")
    for certificate in found:
        _check_key(certificate)
    return found


def pem_of(certificates: Iterable[Certificate]) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return "".join(certificate.public_bytes(Encoding.PEM).decode("ascii") for certificate in certificates)


def der_of(certificate: Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)


# --- judging --------------------------------------------------------------------------------------------------


def root(pem: str, utc: float | None) -> Certificate:
    """The one certificate of an authority that is in this text."""
    found = read_all(pem, MAX_ROOT_CHARS)
    if len(found) != 1:
        raise Unfit(f"{len(found)} certificates came where one is expected")
    _check_authority(found[0])
    _check_expiry(found[0], utc)
    if _is_self_issued(found[0]) and not signed_by(found[0], found[0]):
        raise Unfit("its own signature does not fit")
    return found[0]


def chain(
    pem: str, most_chars: int, keys: Iterable[bytes], roots: Sequence[Certificate], utc: float | None
) -> tuple[list[Certificate], bytes]:
    """The chain for one of our keys (private, PEM), leaf first, and this key. With `roots` it must lead to one."""
    found = read_all(pem, most_chars)
    leaf, key = _match(found, keys)
    _check_dates(leaf, utc)
    _check_client(leaf)
    path = _path(leaf, [one for one in found if one is not leaf], utc)
    if roots and not any(path[-1] == one or signed_by(path[-1], one) for one in roots):
        raise Unfit("it does not lead to a root that is installed here")
    return path, key


def _match(found: Sequence[Certificate], keys: Iterable[bytes]) -> tuple[Certificate, bytes]:
    for key in keys:
        ours = _public_of(key)
        for certificate in found:
            with _reading():
                if _public(certificate.public_key()) == ours:
                    return certificate, key
    raise Unfit("it is not for a key that we have asked for")


def _path(leaf: Certificate, rest: list[Certificate], utc: float | None) -> list[Certificate]:
    """Leaf first, each signed by the next."""
    path = [leaf]
    while rest:
        issuer = next((one for one in rest if signed_by(path[-1], one)), None)
        if issuer is None:
            raise Unfit("its chain has certificates that did not sign one another")
        _check_authority(issuer)
        _check_dates(issuer, utc)
        path.append(issuer)
        rest.remove(issuer)
    return path


def signed_by(certificate: Certificate, issuer: Certificate) -> bool:
    try:
        check_issued_by(certificate, issuer)
    except Exception:  # noqa: BLE001  another name, another key, a broken signature, an unknown algorithm
        return False
    return True


def _is_self_issued(certificate: Certificate) -> bool:
    with _reading():
        return certificate.issuer == certificate.subject


def _check_dates(certificate: Certificate, utc: float | None) -> None:
    _check_expiry(certificate, utc)
    with _reading():
        since = not_before_utc(certificate)
    if utc is not None and since > utc + SKEW_S:
        raise Unfit("it is not valid yet")


def _check_expiry(certificate: Certificate, utc: float | None) -> None:
    with _reading():
        until = not_after_utc(certificate)
    if utc is not None and until <= utc:
        raise Unfit("it has expired")


def _check_authority(certificate: Certificate) -> None:
    from cryptography import x509

    with _reading():
        extensions = certificate.extensions
        basic = _extension(extensions, x509.BasicConstraints)
        usage = _extension(extensions, x509.KeyUsage)
    if basic is None or not basic.ca or (usage is not None and not usage.key_cert_sign):
        raise Unfit("it is not the certificate of an authority")


def _check_client(certificate: Certificate) -> None:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    with _reading():
        usage = _extension(certificate.extensions, x509.ExtendedKeyUsage)
        words = None if usage is None else set(usage)
    if words is not None and not words & {
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    }:
        raise Unfit("it was not made for a TLS client")


def _extension(extensions: Any, kind: Any) -> Any:
    return next((extension.value for extension in extensions if isinstance(extension.value, kind)), None)


def _check_key(certificate: Certificate) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    with _reading():
        key = certificate.public_key()
    least = SMALLEST_RSA if isinstance(key, RSAPublicKey) else SMALLEST_EC
    if isinstance(key, RSAPublicKey | EllipticCurvePublicKey) and key.key_size < least:
        raise Unfit(f"its key has only {key.key_size} bits")


# --- our own keys ---------------------------------------------------------------------------------------------


def request(common_name: str, organization: str, kind: str) -> tuple[str, bytes]:
    """A request to sign a new key (PEM), and the key (PEM, not encrypted). `kind`: one of `KEY_KINDS`."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    key = KEY_KINDS[kind]()
    names = [x509.NameAttribute(NameOID.COMMON_NAME, common_name[:LONGEST_NAME])]
    if organization.strip():
        names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization.strip()[:LONGEST_NAME]))
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names)).sign(key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.public_bytes(Encoding.PEM).decode("ascii"), private


def _ec() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _rsa() -> Any:
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(65537, RSA_BITS)


KEY_KINDS: dict[str, Callable[[], Any]] = {"ec-p256": _ec, "rsa-2048": _rsa}


def _public_of(private_pem: bytes) -> bytes:
    """Empty for a key that is damaged on disk: no certificate is for it."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return _public(load_pem_private_key(private_pem, None).public_key())
    except (ValueError, TypeError):
        return b""


def _public(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    found: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return found
