"""OCPP 2.0.1: certificates (A02 to A05, M03 to M05), both ways. Rows for the tables of `dialect`."""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.effects import CertificateIdsAnswer
from agent.core.requests import (
    CertificateDeleteRequested,
    CertificateIdsRequested,
    CertificateInstallRequested,
    CertificateSigned,
    Ref,
    Request,
)
from agent.ocpp.certificates import hash_in, hash_out, signing
from agent.ocpp.dialect import DecodeAnswer, DecodeRequest, EncodeAnswer, Payload, Station
from agent.ocpp.fields import listed, need, one_of, text, want
from agent.ocpp.v201.requests import one_word

MOST_KINDS = 10
_ROOTS = {
    "CSMSRootCertificate": "CSMSRoot",
    "ManufacturerRootCertificate": "ManufacturerRoot",
    "V2GRootCertificate": "V2GRoot",
    "MORootCertificate": "MORoot",
}
_ASKED = _ROOTS | {"V2GCertificateChain": "V2G"}
_TOLD = {neutral: word for word, neutral in _ASKED.items()}
_PURPOSES = {"ChargingStationCertificate": "ChargingStation", "V2GCertificate": "V2G"}


# --- answers to ours ---


ANSWERS: Mapping[str, DecodeAnswer] = {"SignCertificate": signing}


# --- in ---


def certificate_signed(ref: Ref, asked: Payload) -> Request:
    purpose = want(asked, "certificateType", one_of(_PURPOSES)) or "ChargingStation"
    return CertificateSigned(ref, need(asked, "certificateChain", text), purpose)


def install_certificate(ref: Ref, asked: Payload) -> Request:
    kind = need(asked, "certificateType", one_of(_ROOTS))
    return CertificateInstallRequested(ref, kind, need(asked, "certificate", text))


def delete_certificate(ref: Ref, asked: Payload) -> Request:
    return CertificateDeleteRequested(ref, need(asked, "certificateHashData", hash_in))


def get_installed_certificate_ids(ref: Ref, asked: Payload) -> Request:
    kinds = want(asked, "certificateType", listed(one_of(_ASKED), MOST_KINDS))
    return CertificateIdsRequested(ref, kinds or ())


REQUESTS: Mapping[str, DecodeRequest] = {
    "CertificateSigned": certificate_signed,
    "InstallCertificate": install_certificate,
    "DeleteCertificate": delete_certificate,
    "GetInstalledCertificateIds": get_installed_certificate_ids,
}


# --- answers out ---


def installed_ids(_asked: Payload, answer: CertificateIdsAnswer, _station: Station) -> Payload:
    if not answer.found:
        return {"status": "NotFound"}
    chains = [{"certificateType": _TOLD[kind], "certificateHashData": hash_out(found)} for kind, found in answer.found]
    return {"status": "Accepted", "certificateHashDataChain": chains}


REPLIES: Mapping[str, EncodeAnswer] = {
    "CertificateSigned": one_word("Accepted Rejected", "Rejected"),
    "InstallCertificate": one_word("Accepted Rejected Failed", "Failed"),
    "DeleteCertificate": one_word("Accepted Failed NotFound", "Failed"),
    "GetInstalledCertificateIds": installed_ids,
}
