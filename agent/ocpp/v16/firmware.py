"""OCPP 1.6-J, sections 4.5 and 5.19, and the security whitepaper: updates of firmware, plain and signed, and their
statuses. Rows for the tables of `dialect`.

UpdateFirmware.conf is empty, so it cannot say no: who refuses an order without an id refuses the call.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.effects import Call, FirmwareStatus, StatusAnswer
from agent.core.requests import Ref, Request, UpdateRequested
from agent.errors import RpcError
from agent.ocpp.dialect import DecodeAnswer, DecodeRequest, Encode, EncodeAnswer, Message, Payload, Station
from agent.ocpp.fields import branch, integer, need, same, text, time, want, without_empty
from agent.ocpp.v16.calls import FIRMWARE, done

SIGNED = same(  # all that the whitepaper has
    (
        *("Idle", "DownloadScheduled", "Downloading", "DownloadPaused", "Downloaded", "DownloadFailed"),
        *("SignatureVerified", "InvalidSignature", "InstallScheduled", "Installing", "InstallRebooting", "Installed"),
        *("InstallationFailed", "InstallVerificationFailed"),
    )
)
_LONGEST_LOCATION = 2000  # plain 1.6 states no limit, and it is remembered
_ANSWERS = same(("Accepted", "AcceptedCanceled", "Rejected", "InvalidCertificate", "RevokedCertificate"))


# --- out ---


def firmware_status(call: FirmwareStatus, _station: Station) -> Message:
    if call.signed:
        told = {"status": SIGNED.get(call.status, "Idle")} | without_empty(requestId=call.request_id)
        return "SignedFirmwareStatusNotification", told
    return "FirmwareStatusNotification", {"status": FIRMWARE.get(call.status, "Idle")}


CALLS: Mapping[type[Call], Encode] = {FirmwareStatus: firmware_status}
ANSWERS: Mapping[str, DecodeAnswer] = {
    "FirmwareStatusNotification": done,
    "SignedFirmwareStatusNotification": done,
}


# --- in ---


def _location(value: object) -> str:
    location = text(value).strip()
    if len(location) > _LONGEST_LOCATION:
        raise RpcError("maxLength", f"must have at most {_LONGEST_LOCATION} characters")
    return location


def update(ref: Ref, asked: Payload) -> Request:
    return UpdateRequested(
        ref,
        location=need(asked, "location", _location),
        retrieve_at=need(asked, "retrieveDate", time),
        retries=want(asked, "retries", integer),
        retry_interval_s=want(asked, "retryInterval", integer),
    )


def signed_update(ref: Ref, asked: Payload) -> Request:
    firmware = need(asked, "firmware", branch)
    return UpdateRequested(
        ref,
        location=need(firmware, "location", _location),
        retrieve_at=need(firmware, "retrieveDateTime", time),
        install_at=want(firmware, "installDateTime", time),
        retries=want(asked, "retries", integer),
        retry_interval_s=want(asked, "retryInterval", integer),
        request_id=need(asked, "requestId", integer),
        certificate=need(firmware, "signingCertificate", text),
        signature=need(firmware, "signature", text),
    )


def updating(_asked: Payload, _answer: StatusAnswer, _station: Station) -> Payload:
    return {}


def updating_signed(_asked: Payload, answer: StatusAnswer, _station: Station) -> Payload:
    return {"status": _ANSWERS.get(answer.status, "Rejected")}


REQUESTS: Mapping[str, DecodeRequest] = {"UpdateFirmware": update, "SignedUpdateFirmware": signed_update}
REPLIES: Mapping[str, EncodeAnswer] = {"UpdateFirmware": updating, "SignedUpdateFirmware": updating_signed}
