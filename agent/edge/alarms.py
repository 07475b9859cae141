"""Which dials that failed are a matter of security: from the link's reason to a word of the list of security events.

`agent.edge.tls` has one sentence for each thing that can go wrong with TLS; the tables here go by these sentences, so
that a refusal has one meaning for the technician, for the CSMS and for the trust store.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.record import record
from agent.edge import tls
from agent.edge.reasons import LinkWhy, WhyKind


@record
class Alarm:
    """`kind`: a word of `agent.core.security.KINDS`. `ours`: the CSMS refused our certificate (True), we refused the
    CSMS's (False), or it was about no certificate (None)."""

    kind: str
    ours: bool | None = None


_LOGIN = Alarm("FailedToAuthenticateAtCsms")
_OURS = Alarm("FailedToAuthenticateAtCsms", ours=True)
_THEIRS = Alarm("InvalidCsmsCertificate", ours=False)
_STRANGER = Alarm("CsmsFailedToAuthenticate", ours=False)  # a good certificate, but of somebody else
_VERSION = Alarm("InvalidTLSVersion")
_CIPHER = Alarm("InvalidTLSCipherSuite")

BY_KIND: Mapping[WhyKind, Alarm] = {WhyKind.UNAUTHORIZED: _LOGIN, WhyKind.FORBIDDEN: _LOGIN}
STRANGERS = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
BY_REASON: Mapping[str, Alarm] = {
    "UNSUPPORTED_PROTOCOL": _VERSION,
    "TLSV1_ALERT_PROTOCOL_VERSION": _VERSION,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": _CIPHER,
    "NO_CIPHERS_AVAILABLE": _CIPHER,
    "DH_KEY_TOO_SMALL": _CIPHER,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": _OURS,
    "TLSV1_ALERT_UNKNOWN_CA": _OURS,
    "SSLV3_ALERT_BAD_CERTIFICATE": _OURS,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _OURS,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": _OURS,
}
_BY_TEXT: Mapping[str, Alarm] = {
    **{text: _STRANGER if code in STRANGERS else _THEIRS for code, text in tls.VERIFY_WORDS.items()},
    **{tls.REASON_WORDS[reason]: alarm for reason, alarm in BY_REASON.items()},
}


def alarm(why: LinkWhy) -> Alarm | None:
    """None: this failure says nothing of security."""
    if why.kind is not WhyKind.TLS:
        return BY_KIND.get(why.kind)
    refused = _THEIRS if why.text.startswith("the certificate was refused") else None  # a verdict without words of ours
    return _BY_TEXT.get(why.text, refused)


def security_event(why: LinkWhy) -> str:
    """The word of the list of security events, or ""."""
    found = alarm(why)
    return found.kind if found else ""
