"""OCPP 1.6-J: the messages of the security whitepaper about security events and certificates, both ways. Rows for the
tables of `dialect`.

The whitepaper names the two sides by the words of 1.6; the neutral words are those of its successor.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.effects import Call, CertificateIdsAnswer, SecurityNotice, SignCertificate
from agent.core.requests import (
    CertificateDeleteRequested,
    CertificateIdsRequested,
    CertificateInstallRequested,
    CertificateSigned,
    Ref,
    Request,
)
from agent.ocpp.certificates import hash_in, hash_out, signing
from agent.ocpp.dialect import DecodeAnswer, DecodeRequest, Encode, EncodeAnswer, Message, Payload, Station
from agent.ocpp.fields import need, one_of, stamp, text, without_empty
from agent.ocpp.v16.calls import done
from agent.ocpp.v16.requests import one_word

# --- out ---

EVENTS: Mapping[str, str] = {
    "FailedToAuthenticateAtCsms": "FailedToAuthenticateAtCentralSystem",
    "CsmsFailedToAuthenticate": "CentralSystemFailedToAuthenticate",
    "InvalidCsmsCertificate": "InvalidCentralSystemCertificate",
    "InvalidChargingStationCertificate": "InvalidChargePointCertificate",
}


def notice(call: SecurityNotice, _station: Station) -> Message:
    kind = EVENTS.get(call.kind, call.kind)
    return "SecurityEventNotification", {"type": kind[:50], "timestamp": stamp(call.at)} | without_empty(
        techInfo=call.info[:255]
    )


def sign(call: SignCertificate, _station: Station) -> Message:
    return "SignCertificate", {"csr": call.csr}


CALLS: Mapping[type[Call], Encode] = {SecurityNotice: notice, SignCertificate: sign}
ANSWERS: Mapping[str, DecodeAnswer] = {"SecurityEventNotification": done, "SignCertificate": signing}


# --- in ---

_KINDS = {"CentralSystemRootCertificate": "CSMSRoot", "ManufacturerRootCertificate": "ManufacturerRoot"}


def certificate_signed(ref: Ref, asked: Payload) -> Request:
    return CertificateSigned(ref, need(asked, "certificateChain", text))


def install_certificate(ref: Ref, asked: Payload) -> Request:
    kind = need(asked, "certificateType", one_of(_KINDS))
    return CertificateInstallRequested(ref, kind, need(asked, "certificate", text))


def delete_certificate(ref: Ref, asked: Payload) -> Request:
    return CertificateDeleteRequested(ref, need(asked, "certificateHashData", hash_in))


def get_installed_certificate_ids(ref: Ref, asked: Payload) -> Request:
    return CertificateIdsRequested(ref, (need(asked, "certificateType", one_of(_KINDS)),))


REQUESTS: Mapping[str, DecodeRequest] = {
    "CertificateSigned": certificate_signed,
    "InstallCertificate": install_certificate,
    "DeleteCertificate": delete_certificate,
    "GetInstalledCertificateIds": get_installed_certificate_ids,
}


def installed_ids(_asked: Payload, answer: CertificateIdsAnswer, _station: Station) -> Payload:
    if not answer.found:
        return {"status": "NotFound"}
    return {"status": "Accepted", "certificateHashData": [hash_out(found) for _kind, found in answer.found]}


REPLIES: Mapping[str, EncodeAnswer] = {
    "CertificateSigned": one_word("Accepted Rejected", "Rejected"),
    "InstallCertificate": one_word("Accepted Rejected Failed", "Failed"),
    "DeleteCertificate": one_word("Accepted Failed NotFound", "Failed"),
    "GetInstalledCertificateIds": installed_ids,
}
