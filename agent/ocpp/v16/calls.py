"""OCPP 1.6-J: calls of ours and the answers to them, transaction events apart (`transactions`).

Texts are cut at the length that their field allows: a message refused for its length tells nothing at all.
Connector 0 is the charge point as a whole; connector n is the one connector of EVSE n.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agent.core import faults
from agent.core.effects import (
    Authorize,
    Boot,
    Call,
    DataSend,
    Heartbeat,
    MeterReport,
    ReportPart,
    Status,
)
from agent.core.events import (
    BootAnswered,
    CallDone,
    Event,
    HeartbeatAnswered,
    TokenAnswered,
)
from agent.core.local_list import CONFLICT
from agent.core.supervision import Problem
from agent.core.types import ConnectorStatus, Registration, TokenInfo, TokenStatus
from agent.core.vendor import DataAnswered
from agent.ocpp.dialect import DecodeAnswer, Encode, Message, Payload, Station
from agent.ocpp.fields import branch, hope, number, one_of, stamp, text, time, without_empty
from agent.ocpp.v16.values import meter_values, token_text
from drivers.api import Fault, IdToken

# ChargePointErrorCode of each row of the fault catalogue. A minimum required error code travels as vendorErrorCode,
# with the vendorId of those who keep their list; where there is none, the catalogue's own id and our vendor's name.
# EVCommunicationError is a warning and must not stand beside Faulted (section 4.9): what stops us is never that.
MREC_VENDOR = "https://chargex.inl.gov"
ERRORS: Mapping[str, str] = {
    Fault.OTHER: "OtherError",
    Fault.DIODE: "OtherError",
    Fault.GROUND: "GroundFailure",
    Fault.DC_RESIDUAL: "GroundFailure",
    Fault.EMERGENCY_STOP: "OtherError",
    Fault.LOCK_FAILURE: "ConnectorLockFailure",
    Fault.UNLOCK_FAILURE: "ConnectorLockFailure",
    Fault.METER: "PowerMeterFailure",
    Fault.CONTACTOR: "PowerSwitchFailure",
    Fault.OVER_TEMPERATURE: "HighTemperature",
    Fault.UNDER_VOLTAGE: "UnderVoltage",
    Fault.OVER_VOLTAGE: "OverVoltage",
    Fault.OVER_CURRENT: "OverCurrentFailure",
    Fault.RFID_READER: "ReaderFailure",
    Fault.INTERNAL: "InternalError",
    Fault.PILOT: "OtherError",
    Fault.VENTILATION: "OtherError",
    Fault.CABLE: "OtherError",
    Fault.COVER: "OtherError",
    faults.Own.CONTACTOR_WELDED: "PowerSwitchFailure",
    faults.Own.CONTACTOR_OPEN: "PowerSwitchFailure",
    faults.Own.PHASES: "PowerSwitchFailure",
    faults.Own.METER_IMPLAUSIBLE: "PowerMeterFailure",
    faults.Own.METER_REPLACED: "PowerMeterFailure",
    faults.Own.METER_SIGNING: "PowerMeterFailure",
    faults.Own.METER_UNSIGNED: "PowerMeterFailure",
    faults.Own.CONTROLLER_SILENT: "InternalError",
    faults.Own.STORAGE: "InternalError",
    CONFLICT: "LocalListConflict",
}
# Section 4.9: only these three are possible for connector 0.
_WHOLE = (ConnectorStatus.AVAILABLE, ConnectorStatus.UNAVAILABLE, ConnectorStatus.FAULTED)

FIRMWARE: Mapping[str, str] = {
    "DownloadScheduled": "Downloading",
    "DownloadPaused": "Downloading",
    "Downloading": "Downloading",
    "Downloaded": "Downloaded",
    "DownloadFailed": "DownloadFailed",
    "SignatureVerified": "Downloaded",
    "InstallScheduled": "Downloaded",
    "Installing": "Installing",
    "InstallRebooting": "Installing",
    "Installed": "Installed",
    "InstallationFailed": "InstallationFailed",
    "InstallVerificationFailed": "InstallationFailed",
    "InvalidSignature": "InstallationFailed",
    "Idle": "Idle",
}


# --- out ---


def boot(_call: Boot, station: Station) -> Message:
    return "BootNotification", without_empty(
        chargePointVendor=station.vendor[:20] or "-",
        chargePointModel=station.model[:20] or "-",
        chargePointSerialNumber=station.serial[:25],
        firmwareVersion=station.firmware[:50],
        iccid=station.iccid[:20],
        imsi=station.imsi[:20],
        meterType=station.meter_type[:25],
        meterSerialNumber=station.meter_serial[:25],
    )


def heartbeat(_call: Heartbeat, _station: Station) -> Message:
    return "Heartbeat", {}


def status(call: Status, station: Station) -> Message:
    word = call.status if call.evse or call.status in _WHOLE else ConnectorStatus.AVAILABLE
    wrong = call.error or word is ConnectorStatus.FAULTED
    told = {
        "connectorId": call.evse,
        "errorCode": ERRORS.get(call.error, "OtherError") if wrong else "NoError",
        "status": str(word),
        "timestamp": stamp(call.at),
    }
    if not call.error:
        return "StatusNotification", told | without_empty(info=call.info[:50])
    row = faults.CATALOGUE.get(call.error)
    if row is not None and row.mrec:
        told |= {"vendorErrorCode": row.mrec, "vendorId": MREC_VENDOR}
    else:
        told |= without_empty(vendorErrorCode=call.error[:50], vendorId=station.vendor[:255])
    info = f"{call.error}: {call.info}" if call.info else call.error
    return "StatusNotification", told | {"info": info[:50]}


def authorize(call: Authorize, _station: Station) -> Message:
    return "Authorize", {"idTag": token_text(call.token)}


def meter_report(call: MeterReport, _station: Station) -> Message | None:
    """`call.transaction` is told when it is a number, that is, the CSMS's own name; ours would mean nothing to it."""
    values = meter_values(call.readings)
    if not values:
        return None
    told: Payload = {"connectorId": call.evse, "meterValue": values}
    if call.transaction is not None and call.transaction.removeprefix("-").isdecimal():
        told["transactionId"] = int(call.transaction)
    return "MeterValues", told


def data_send(call: DataSend, _station: Station) -> Message:
    return "DataTransfer", {"vendorId": call.vendor[:255]} | without_empty(
        messageId=None if call.message is None else call.message[:50], data=data_text(call.data)
    )


def nothing(_call: Call, _station: Station) -> None:
    """This version has no such message."""


def data_text(data: Any) -> str | None:
    """DataTransfer carries text only; anything else goes as JSON."""
    return data if data is None or isinstance(data, str) else json.dumps(data, separators=(",", ":"))


CALLS: Mapping[type[Call], Encode] = {
    Boot: boot,
    Heartbeat: heartbeat,
    Status: status,
    Authorize: authorize,
    MeterReport: meter_report,
    DataSend: data_send,
    ReportPart: nothing,
    Problem: nothing,  # the status tells faults
}


# --- answers in ---

_REGISTRATIONS = {str(word): word for word in (Registration.ACCEPTED, Registration.PENDING, Registration.REJECTED)}
_STATUSES = {
    str(word): word
    for word in (
        TokenStatus.ACCEPTED,
        TokenStatus.BLOCKED,
        TokenStatus.EXPIRED,
        TokenStatus.INVALID,
        TokenStatus.CONCURRENT_TX,
    )
}


def booted(_sent: Call, answer: Payload) -> Event:
    """What cannot be read counts as Rejected, for nothing may be sent before Accepted; `interval_s` 0: we choose."""
    status_ = hope(answer, "status", one_of(_REGISTRATIONS)) or Registration.REJECTED
    return BootAnswered(status_, max(hope(answer, "interval", number) or 0.0, 0.0), hope(answer, "currentTime", time))


def heard(_sent: Call, answer: Payload) -> Event:
    return HeartbeatAnswered(hope(answer, "currentTime", time))


def token_answered(sent: Authorize, answer: Payload) -> Event:
    return TokenAnswered(sent, token_info(answer) or TokenInfo(TokenStatus.INVALID))


def token_info(answer: Payload) -> TokenInfo | None:
    """The `idTagInfo` of an answer; a status that cannot be read is Invalid."""
    told = hope(answer, "idTagInfo", branch)
    if told is None:
        return None
    parent = hope(told, "parentIdTag", text)
    return TokenInfo(
        hope(told, "status", one_of(_STATUSES)) or TokenStatus.INVALID,
        IdToken(parent) if parent else None,
        hope(told, "expiryDate", time),
    )


def data_taken(sent: DataSend, answer: Payload) -> Event:
    return DataAnswered(sent, hope(answer, "status", text) or "Rejected", answer.get("data"))


def done(sent: Call, _answer: Payload) -> Event:
    return CallDone(sent)


ANSWERS: Mapping[str, DecodeAnswer] = {
    "BootNotification": booted,
    "Heartbeat": heard,
    "StatusNotification": done,
    "Authorize": token_answered,
    "DataTransfer": data_taken,
}
