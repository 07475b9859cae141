"""A few fields of an X.509 certificate, read straight from its DER: enough to name it, to date it and to hash it.

No signature is looked at and nothing is trusted by what is read here (see `certificates` for that). It is used for the
certificates that are installed already, so that a start needs no package for cryptography. RFC 5280 section 4.1; the
bytes that are hashed are those of the certificate itself, never written anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import new as hash_by_name

from agent.core.record import record
from agent.core.types import CertificateHash

BIT_STRING, UTC_TIME, GENERALIZED_TIME, VERSION = 0x03, 0x17, 0x18, 0xA0
COMMON_NAME = b"\x06\x03\x55\x04\x03"  # the object identifier 2.5.4.3
LONGEST_NAME = 64
ALGORITHMS = {"SHA256": "sha256", "SHA384": "sha384", "SHA512": "sha512"}


class Malformed(ValueError):
    """It is no certificate, or a broken one."""


@record
class Fields:
    """`since` and `until` are UTC epoch seconds; `key` is the subject's public key: the value of its BIT STRING."""

    name: str  # the common name, as far as it can be shown
    serial: int
    issuer: bytes
    subject: bytes
    since: float
    until: float
    key: bytes


def fields(der: bytes) -> Fields:
    """Raises Malformed."""
    try:
        return _fields(der)
    except (IndexError, ValueError, OverflowError, StopIteration):
        raise Malformed("it cannot be read as a certificate") from None


def _fields(der: bytes) -> Fields:
    _tag, _whole, certificate = next(_parts(der))
    _tag, _whole, signed = next(_parts(certificate))
    parts = list(_parts(signed))
    if parts[0][0] == VERSION:
        del parts[0]
    serial, _algorithm, issuer, validity, subject, key = (part for part in parts[:6])
    since, until = (_time(tag, value) for tag, _whole, value in _parts(validity[2]))
    bits = [value for tag, _whole, value in _parts(key[2]) if tag == BIT_STRING]
    return Fields(
        name=_common_name(subject[1]),
        serial=int.from_bytes(serial[2], "big", signed=True),
        issuer=issuer[1],
        subject=subject[1],
        since=since,
        until=until,
        key=bits[0][1:],  # without the count of unused bits
    )


def _parts(der: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Tag, the whole part and its value, one after the other."""
    at = 0
    while at < len(der):
        size, start = der[at + 1], at + 2
        if size & 0x80:
            start += size & 0x7F
            size = int.from_bytes(der[at + 2 : start], "big")
        if start + size > len(der):
            raise Malformed("cut off")
        yield der[at], der[at : start + size], der[start : start + size]
        at = start + size


def _time(tag: int, value: bytes) -> float:
    text = value.decode("ascii")
    if tag == UTC_TIME:
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    elif tag != GENERALIZED_TIME:
        raise Malformed("a time of an unknown kind")
    year, rest = int(text[:4]), [int(text[at : at + 2]) for at in range(4, 14, 2)]
    month, day, hour, minute, second = rest
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()


def _common_name(subject: bytes) -> str:
    at = subject.rfind(COMMON_NAME)
    if at < 0:
        return "without a name"
    try:
        value = next(_parts(subject[at + len(COMMON_NAME) :]))[2]
    except (IndexError, Malformed, StopIteration):
        return "without a name"  # the same bytes within another name
    text = "".join(c if c.isprintable() else "?" for c in value.decode("utf-8", "replace"))
    return text[:LONGEST_NAME]


def hash_of(certificate: Fields, issuer_key: bytes, algorithm: str) -> CertificateHash:
    """OCPP CertificateHashData. `issuer_key`: `Fields.key` of the issuer; its own for one that is self-issued."""
    digest = ALGORITHMS[algorithm]
    return CertificateHash(
        algorithm,
        hash_by_name(digest, certificate.issuer).hexdigest(),
        hash_by_name(digest, issuer_key).hexdigest(),
        f"{certificate.serial:x}".lstrip("-"),
    )
