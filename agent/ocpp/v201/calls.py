"""OCPP 2.0.1: calls of ours and the answers to them, transaction events apart (`transactions`).

Texts are cut at the length that their field allows: a message refused for its length tells nothing at all.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.effects import (
    Authorize,
    Boot,
    Call,
    DataSend,
    FirmwareStatus,
    Heartbeat,
    LogStatus,
    MeterReport,
    ReportPart,
    ReservationUpdate,
    SecurityNotice,
    SignCertificate,
    Status,
)
from agent.core.events import (
    BootAnswered,
    CallDone,
    Event,
    HeartbeatAnswered,
    TokenAnswered,
)
from agent.core.record import replace
from agent.core.types import ConnectorStatus, Registration, TokenInfo, TokenStatus
from agent.core.vendor import DataAnswered
from agent.ocpp.dialect import DecodeAnswer, Encode, Message, Payload, Station
from agent.ocpp.fields import branch, hope, integer, listed, number, one_of, same, stamp, text, time, without_empty
from agent.ocpp.v201.reports import report_part
from agent.ocpp.v201.values import meter_values, token_in, token_out

BOOT_REASONS = same(
    (
        "ApplicationReset",
        "FirmwareUpdate",
        "LocalReset",
        "PowerUp",
        "RemoteReset",
        "ScheduledReset",
        "Triggered",
        "Unknown",
        "Watchdog",
    )
)
FOLDED: Mapping[ConnectorStatus, str] = {
    ConnectorStatus.AVAILABLE: "Available",
    ConnectorStatus.PREPARING: "Occupied",
    ConnectorStatus.CHARGING: "Occupied",
    ConnectorStatus.SUSPENDED_EVSE: "Occupied",
    ConnectorStatus.SUSPENDED_EV: "Occupied",
    ConnectorStatus.FINISHING: "Occupied",
    ConnectorStatus.RESERVED: "Reserved",
    ConnectorStatus.UNAVAILABLE: "Unavailable",
    ConnectorStatus.FAULTED: "Faulted",
}
FIRMWARE = same(
    (
        "Downloaded",
        "DownloadFailed",
        "Downloading",
        "DownloadScheduled",
        "DownloadPaused",
        "Idle",
        "InstallationFailed",
        "Installing",
        "Installed",
        "InstallRebooting",
        "InstallScheduled",
        "InstallVerificationFailed",
        "InvalidSignature",
        "SignatureVerified",
    )
)
LOG = same(
    (
        "BadMessage",
        "Idle",
        "NotSupportedOperation",
        "PermissionDenied",
        "Uploaded",
        "UploadFailure",
        "Uploading",
        "AcceptedCanceled",
    )
)
_MOST_EVSES = 1000


# --- out ---


def boot(call: Boot, station: Station) -> Message:
    modem = without_empty(iccid=station.iccid[:20], imsi=station.imsi[:20])
    return "BootNotification", {
        "reason": BOOT_REASONS.get(call.reason, "Unknown"),
        "chargingStation": without_empty(
            vendorName=station.vendor[:50] or "-",
            model=station.model[:20] or "-",
            serialNumber=station.serial[:25],
            firmwareVersion=station.firmware[:50],
            modem=modem or None,
        ),
    }


def heartbeat(_call: Heartbeat, _station: Station) -> Message:
    return "Heartbeat", {}


def status(call: Status, _station: Station) -> Message | None:
    """There is no status of the station as a whole; it is a variable. A connector that only waits for a plug, after a
    card or after the EV has gone, is not occupied."""
    if not call.evse:
        return None
    word = FOLDED[call.status]
    return "StatusNotification", {
        "timestamp": stamp(call.at),
        "connectorStatus": "Available" if word == "Occupied" and not call.connected else word,
        "evseId": call.evse,
        "connectorId": call.connector or 1,
    }


def authorize(call: Authorize, _station: Station) -> Message:
    return "Authorize", {"idToken": token_out(call.token)}


def meter_report(call: MeterReport, _station: Station) -> Message | None:
    values = meter_values(call.readings)
    return ("MeterValues", {"evseId": call.evse, "meterValue": values}) if values else None


def data_send(call: DataSend, _station: Station) -> Message:
    return "DataTransfer", {"vendorId": call.vendor[:255]} | without_empty(
        messageId=None if call.message is None else call.message[:50], data=call.data
    )


def firmware_status(call: FirmwareStatus, _station: Station) -> Message:
    told = {"status": FIRMWARE.get(call.status, "Idle")} | without_empty(requestId=call.request_id)
    return "FirmwareStatusNotification", told


def log_status(call: LogStatus, _station: Station) -> Message:
    return "LogStatusNotification", {"status": LOG.get(call.status, "Idle")} | without_empty(requestId=call.request_id)


def security_notice(call: SecurityNotice, _station: Station) -> Message:
    return "SecurityEventNotification", {"type": call.kind[:50], "timestamp": stamp(call.at)} | without_empty(
        techInfo=call.info[:255]
    )


def sign_certificate(call: SignCertificate, _station: Station) -> Message:
    return "SignCertificate", {"csr": call.csr, "certificateType": CERTIFICATES[call.purpose]}


def reservation_update(call: ReservationUpdate, _station: Station) -> Message:
    return "ReservationStatusUpdate", {"reservationId": call.id, "reservationUpdateStatus": call.status}


CERTIFICATES: Mapping[str, str] = {"ChargingStation": "ChargingStationCertificate", "V2G": "V2GCertificate"}
CALLS: Mapping[type[Call], Encode] = {
    Boot: boot,
    Heartbeat: heartbeat,
    Status: status,
    Authorize: authorize,
    MeterReport: meter_report,
    DataSend: data_send,
    FirmwareStatus: firmware_status,
    LogStatus: log_status,
    ReportPart: report_part,
    SecurityNotice: security_notice,
    SignCertificate: sign_certificate,
    ReservationUpdate: reservation_update,
}


# --- answers in ---

_REGISTRATIONS = {str(word): word for word in (Registration.ACCEPTED, Registration.PENDING, Registration.REJECTED)}
_STATUSES = {str(word): word for word in TokenStatus}


def booted(_sent: Call, answer: Payload) -> Event:
    """What cannot be read counts as Rejected, for nothing may be sent before Accepted; `interval_s` 0: we choose."""
    status_ = hope(answer, "status", one_of(_REGISTRATIONS)) or Registration.REJECTED
    return BootAnswered(status_, max(hope(answer, "interval", number) or 0.0, 0.0), hope(answer, "currentTime", time))


def heard(_sent: Call, answer: Payload) -> Event:
    return HeartbeatAnswered(hope(answer, "currentTime", time))


def token_answered(sent: Authorize, answer: Payload) -> Event:
    return TokenAnswered(sent, token_info(answer, sent.evses) or TokenInfo(TokenStatus.INVALID))


def token_info(answer: Payload, evses: tuple[int, ...]) -> TokenInfo | None:
    """The `idTokenInfo` of an answer; a status that cannot be read is Unknown. A token that is valid on certain EVSEs
    only, none of which is among `evses`, is not accepted here (C01.FR.21)."""
    told = hope(answer, "idTokenInfo", branch)
    if told is None:
        return None
    info = TokenInfo(
        hope(told, "status", one_of(_STATUSES)) or TokenStatus.UNKNOWN,
        hope(told, "groupIdToken", token_in),
        hope(told, "cacheExpiryDateTime", time),
    )
    only = hope(told, "evseId", listed(integer, _MOST_EVSES))
    if only and not set(only) & set(evses) and info.status is TokenStatus.ACCEPTED:
        return replace(info, status=TokenStatus.NOT_AT_THIS_LOCATION)
    return info


def data_taken(sent: DataSend, answer: Payload) -> Event:
    return DataAnswered(sent, hope(answer, "status", text) or "Rejected", answer.get("data"))


def done(sent: Call, _answer: Payload) -> Event:
    return CallDone(sent)


ANSWERS: Mapping[str, DecodeAnswer] = {
    "BootNotification": booted,
    "Heartbeat": heard,
    "StatusNotification": done,
    "Authorize": token_answered,
    "MeterValues": done,
    "DataTransfer": data_taken,
    "NotifyReport": done,
    "FirmwareStatusNotification": done,
    "LogStatusNotification": done,
    "SecurityEventNotification": done,
    "ReservationStatusUpdate": done,
}
