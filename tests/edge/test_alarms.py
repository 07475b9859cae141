"""Which failures of the link are security events."""

from __future__ import annotations

import ssl

import pytest

from agent.core.security import KINDS
from agent.edge import tls
from agent.edge.alarms import BY_REASON, alarm, security_event
from agent.edge.reasons import LinkWhy, WhyKind, explain

SILENT = [kind for kind in WhyKind if kind not in (WhyKind.TLS, WhyKind.UNAUTHORIZED, WhyKind.FORBIDDEN)]


def refused(code: int, message: str = "") -> LinkWhy:
    """What the link makes of a certificate that does not verify."""
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, message
    return explain(error)


def broken(reason: str) -> LinkWhy:
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return explain(error)


@pytest.mark.parametrize("kind", SILENT)
def test_a_failure_of_the_network_is_no_security_event(kind: WhyKind) -> None:
    assert security_event(LinkWhy(kind, "no connection")) == ""


@pytest.mark.parametrize("kind", [WhyKind.UNAUTHORIZED, WhyKind.FORBIDDEN])
def test_a_refused_login_is_one(kind: WhyKind) -> None:
    assert security_event(LinkWhy(kind, "refused")) == "FailedToAuthenticateAtCsms"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (9, "InvalidCsmsCertificate"),  # not yet valid
        (10, "InvalidCsmsCertificate"),  # expired
        (18, "InvalidCsmsCertificate"),  # self-signed
        (20, "InvalidCsmsCertificate"),  # unknown authority
        (62, "CsmsFailedToAuthenticate"),  # another host
        (64, "CsmsFailedToAuthenticate"),  # another address
        (999, "InvalidCsmsCertificate"),  # something that has no sentence of its own
    ],
)
def test_a_certificate_of_the_csms_that_does_not_verify_is_one(code: int, kind: str) -> None:
    assert security_event(refused(code, "unheard of")) == kind


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("UNSUPPORTED_PROTOCOL", "InvalidTLSVersion"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "InvalidTLSVersion"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "InvalidTLSCipherSuite"),
        ("TLSV1_ALERT_UNKNOWN_CA", "FailedToAuthenticateAtCsms"),
        ("WRONG_VERSION_NUMBER", ""),  # no TLS there at all
        ("TLSV1_ALERT_INTERNAL_ERROR", ""),
        ("UNEXPECTED_EOF_WHILE_READING", ""),
    ],
)
def test_tls_that_does_not_come_about_is_one_when_somebody_refused(reason: str, kind: str) -> None:
    assert security_event(broken(reason)) == kind


@pytest.mark.parametrize(
    ("why", "ours"),
    [
        (refused(20), False),
        (refused(62), False),
        (broken("SSLV3_ALERT_CERTIFICATE_EXPIRED"), True),
        (broken("TLSV13_ALERT_CERTIFICATE_REQUIRED"), True),
        (broken("UNSUPPORTED_PROTOCOL"), None),
        (LinkWhy(WhyKind.UNAUTHORIZED, ""), None),
    ],
    ids=str,
)
def test_it_is_known_whose_certificate_was_refused(why: LinkWhy, ours: bool | None) -> None:
    found = alarm(why)
    assert found is not None
    assert found.ours is ours


def test_every_alarm_is_a_word_of_the_list_and_of_the_tls_table() -> None:
    assert {found.kind for found in BY_REASON.values()} <= KINDS.keys()
    assert BY_REASON.keys() <= tls.REASON_WORDS.keys()
