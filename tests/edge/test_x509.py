"""Certificates are judged the same by a release of `cryptography` that lacks the newer words, as that of Debian 12."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from agent.edge.x509 import certificates_in, check_issued_by, not_after_utc, not_before_utc
from tests.edge.pki import UTC_NOW, Issued, issue, new_key

NEWER = ("verify_directly_issued_by", "not_valid_before_utc", "not_valid_after_utc")
DAY_S = 86400.0


class Older:
    """A certificate as release 38 has it."""

    def __init__(self, certificate: x509.Certificate) -> None:
        self._certificate = certificate
        self.not_valid_before = certificate.not_valid_before_utc.replace(tzinfo=None)
        self.not_valid_after = certificate.not_valid_after_utc.replace(tzinfo=None)

    def __getattr__(self, name: str) -> Any:
        if name in NEWER:
            raise AttributeError(name)
        return getattr(self._certificate, name)


def old(issued: Issued) -> Any:
    return Older(issued.certificate)


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_who_has_signed_is_known(kind: str) -> None:
    root = issue("Root", key=new_key(kind))
    check_issued_by(old(issue("Leaf", root)), old(root))


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_one_of_the_same_name_with_another_key_has_not_signed(kind: str) -> None:
    leaf = issue("Leaf", issue("Root", key=new_key("ec")))
    namesake = issue("Root", key=new_key(kind))
    with pytest.raises((InvalidSignature, ValueError, TypeError)):
        check_issued_by(old(leaf), old(namesake))


def test_one_of_another_name_has_not_signed() -> None:
    root = issue("Root")
    with pytest.raises(ValueError, match="another issuer"):
        check_issued_by(old(issue("Leaf", root)), old(issue("Other", key=root.key)))


def test_its_time_is_that_of_the_world_not_of_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    certificate = issue("Root", days=(-1, 2))
    for kind in (certificate.certificate, old(certificate)):
        assert not_before_utc(kind) == UTC_NOW - DAY_S
        assert not_after_utc(kind) == UTC_NOW + 2 * DAY_S


def test_a_text_with_several_is_read_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    pem = "".join(("first\n", issue("A").pem, "second\n", issue("B").pem)).encode()
    newer = certificates_in(pem)
    monkeypatch.delattr(x509, "load_pem_x509_certificates")
    assert certificates_in(pem) == newer
    assert len(newer) == 2


def test_a_text_without_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(x509, "load_pem_x509_certificates")
    with pytest.raises(ValueError, match="no certificate"):
        certificates_in(b"nothing")
