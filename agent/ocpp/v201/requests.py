"""OCPP 2.0.1: requests of the CSMS, and our answers to them."""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.effects import (
    Answer,
    DataAnswer,
    ScheduleAnswer,
    StatusAnswer,
    TransactionStatusAnswer,
    VariablesAnswer,
    WritesAnswer,
)
from agent.core.profile import Profile, Purpose
from agent.core.requests import (
    AvailabilityRequested,
    ClearCacheRequested,
    DataReceived,
    ProfileClearRequested,
    ProfileSetRequested,
    Ref,
    ReportRequested,
    Request,
    ResetRequested,
    ScheduleRequested,
    StartRequested,
    StopRequested,
    TransactionStatusRequested,
    TriggerRequested,
    UnlockRequested,
    VariablesRequested,
    VariablesSetRequested,
    VariableWrite,
)
from agent.core.types import ResetKind, SetStatus, VariableId, VariableView
from agent.ocpp import profiles
from agent.ocpp.dialect import DecodeRequest, EncodeAnswer, Payload, Station
from agent.ocpp.fields import (
    branch,
    integer,
    listed,
    natural,
    need,
    one_of,
    same,
    stamp,
    text,
    tidy,
    want,
    without_empty,
)
from agent.ocpp.v201.reports import LONGEST_VALUE
from agent.ocpp.v201.values import place_in, place_out, token_in, variable_in

MOST_ITEMS = 200  # DeviceDataCtrlr.ItemsPerMessage of GetVariables and SetVariables
_ATTRIBUTE = one_of(same(("Actual", "Target", "MinSet", "MaxSet")))
_PURPOSES = {str(purpose): purpose for purpose in Purpose}
_RESETS = {"Immediate": ResetKind.IMMEDIATE, "OnIdle": ResetKind.ON_IDLE}
_OPERATIVE = {"Operative": True, "Inoperative": False}
_BASES = same(("ConfigurationInventory", "FullInventory", "SummaryInventory"))
_TRIGGERS = {
    "BootNotification": "Boot",
    "LogStatusNotification": "Log",
    "FirmwareStatusNotification": "Firmware",
    "Heartbeat": "Heartbeat",
    "MeterValues": "MeterValues",
    "SignChargingStationCertificate": "SignCertificate",
    "StatusNotification": "Status",
    "TransactionEvent": "TransactionEvent",
}


# --- in ---


def request_start(ref: Ref, asked: Payload) -> Request:
    profile = want(asked, "chargingProfile", branch)
    return StartRequested(
        ref,
        token=need(asked, "idToken", token_in),
        evse=want(asked, "evseId", integer),
        remote_start_id=need(asked, "remoteStartId", integer),
        group=want(asked, "groupIdToken", token_in),
        profile=None if profile is None else _profile(profile),
    )


def request_stop(ref: Ref, asked: Payload) -> Request:
    return StopRequested(ref, need(asked, "transactionId", text))


def reset(ref: Ref, asked: Payload) -> Request:
    return ResetRequested(ref, need(asked, "type", one_of(_RESETS)), want(asked, "evseId", natural))


def change_availability(ref: Ref, asked: Payload) -> Request:
    evse, connector = want(asked, "evse", place_in) or (None, None)
    operative = need(asked, "operationalStatus", one_of(_OPERATIVE))
    return AvailabilityRequested(ref, operative, evse, connector or None)


def get_variables(ref: Ref, asked: Payload) -> Request:
    """Asks for actual values; other attributes are answered by `variables`, from the payload."""
    return VariablesRequested(ref, need(asked, "getVariableData", listed(_wanted, MOST_ITEMS)))


def _wanted(value: object) -> VariableId:
    item = branch(value)
    want(item, "attributeType", _ATTRIBUTE)
    return variable_in(item)


def set_variables(ref: Ref, asked: Payload) -> Request:
    return VariablesSetRequested(ref, need(asked, "setVariableData", listed(_write, MOST_ITEMS)))


def _write(value: object) -> VariableWrite:
    item = branch(value)
    actual = want(item, "attributeType", _ATTRIBUTE) in (None, "Actual")
    verdict = None if actual else SetStatus.NOT_SUPPORTED
    return VariableWrite(variable_in(item), need(item, "attributeValue", text), verdict)


def get_base_report(ref: Ref, asked: Payload) -> Request:
    return ReportRequested(ref, need(asked, "requestId", integer), need(asked, "reportBase", one_of(_BASES)))


def trigger_message(ref: Ref, asked: Payload) -> Request:
    word = need(asked, "requestedMessage", text)
    evse, _connector = want(asked, "evse", place_in) or (None, None)
    return TriggerRequested(ref, _TRIGGERS.get(word, ""), evse)


def unlock_connector(ref: Ref, asked: Payload) -> Request:
    return UnlockRequested(ref, need(asked, "evseId", natural), need(asked, "connectorId", natural))


def clear_cache(ref: Ref, _asked: Payload) -> Request:
    return ClearCacheRequested(ref)


def get_transaction_status(ref: Ref, asked: Payload) -> Request:
    return TransactionStatusRequested(ref, want(asked, "transactionId", text))


def data_transfer(ref: Ref, asked: Payload) -> Request:
    return DataReceived(ref, need(asked, "vendorId", text), want(asked, "messageId", text), asked.get("data"))


def set_charging_profile(ref: Ref, asked: Payload) -> Request:
    profile = _profile(need(asked, "chargingProfile", branch))
    return ProfileSetRequested(ref, need(asked, "evseId", natural), profile)


def clear_charging_profile(ref: Ref, asked: Payload) -> Request:
    criteria = want(asked, "chargingProfileCriteria", branch) or {}
    purpose = want(criteria, "chargingProfilePurpose", one_of(_PURPOSES))
    return ProfileClearRequested(
        ref,
        profile_id=want(asked, "chargingProfileId", integer),
        evse=want(criteria, "evseId", natural),
        purpose=None if purpose is None else str(purpose),
        stack_level=want(criteria, "stackLevel", integer),
    )


def get_composite_schedule(ref: Ref, asked: Payload) -> Request:
    unit = want(asked, "chargingRateUnit", one_of(profiles.UNITS))
    return ScheduleRequested(ref, need(asked, "evseId", natural), need(asked, "duration", natural), unit)


def _profile(payload: Payload) -> Profile:
    return profiles.profile(payload, "id", _PURPOSES, text)


REQUESTS: Mapping[str, DecodeRequest] = {
    "ChangeAvailability": change_availability,
    "ClearCache": clear_cache,
    "ClearChargingProfile": clear_charging_profile,
    "DataTransfer": data_transfer,
    "GetBaseReport": get_base_report,
    "GetCompositeSchedule": get_composite_schedule,
    "GetTransactionStatus": get_transaction_status,
    "GetVariables": get_variables,
    "RequestStartTransaction": request_start,
    "RequestStopTransaction": request_stop,
    "Reset": reset,
    "SetChargingProfile": set_charging_profile,
    "SetVariables": set_variables,
    "TriggerMessage": trigger_message,
    "UnlockConnector": unlock_connector,
}


# --- answers out ---


def one_word(allowed: str, otherwise: str, **translated: str) -> EncodeAnswer:
    """Answers that are one word and a reason. A neutral word that this version lacks is translated, or else becomes
    `otherwise`."""
    words = same(allowed.split()) | translated

    def encode(_asked: Payload, answer: StatusAnswer, _station: Station) -> Payload:
        return {"status": words.get(answer.status, otherwise)} | because(answer)

    return encode


def because(answer: Answer) -> Payload:
    reason = getattr(answer, "reason", "")
    return {"statusInfo": {"reasonCode": reason[:20]}} if reason else {}


_yes_or_no = one_word("Accepted Rejected", "Rejected", Scheduled="Accepted")


def start_requested(asked: Payload, answer: StatusAnswer, station: Station) -> Payload:
    """F02: a transaction that runs already is named."""
    return _yes_or_no(asked, answer, station) | without_empty(transactionId=answer.transaction)


def variables(asked: Payload, answer: VariablesAnswer, _station: Station) -> Payload:
    """Answered in the order in which they were asked for."""
    pairs = zip(asked["getVariableData"], answer.views, strict=True)
    return {"getVariableResult": [_got(item, view) for item, view in pairs]}


def _got(item: Payload, view: VariableView) -> Payload:
    told = _echo(item)
    status = _got_status(view.status, item.get("attributeType") or "Actual")
    told["attributeStatus"] = status
    if status == "Accepted":
        told["attributeValue"] = (view.value or "")[:LONGEST_VALUE]
    return told


def _got_status(status: SetStatus, attribute: str) -> str:
    """No variable of ours has a target or a settable limit; whether it exists at all is told first."""
    unknown = status in (SetStatus.UNKNOWN_COMPONENT, SetStatus.UNKNOWN_VARIABLE)
    word = str(status if attribute == "Actual" or unknown else SetStatus.NOT_SUPPORTED)
    return "Accepted" if word == "RebootRequired" else word


def variables_set(asked: Payload, answer: WritesAnswer, _station: Station) -> Payload:
    pairs = zip(asked["setVariableData"], answer.results, strict=True)
    return {"setVariableResult": [_echo(item) | {"attributeStatus": str(status)} for item, (_id, status) in pairs]}


def _echo(item: Payload) -> Payload:
    """What was asked for, as it was named."""
    told: Payload = {"component": _named(item["component"]), "variable": _named(item["variable"])}
    if item.get("attributeType"):
        told["attributeType"] = item["attributeType"]
    return told


def _named(node: Payload) -> Payload:
    place = want(node, "evse", place_in)
    told: Payload = {"name": node["name"]} | without_empty(instance=node.get("instance"))
    return told if place is None else told | {"evse": place_out(*place)}


def transaction_status(_asked: Payload, answer: TransactionStatusAnswer, _station: Station) -> Payload:
    return {"messagesInQueue": answer.messages_in_queue} | without_empty(ongoingIndicator=answer.ongoing)


_DATA_WORDS = same(("Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"))


def data_answered(_asked: Payload, answer: DataAnswer, _station: Station) -> Payload:
    return {"status": _DATA_WORDS.get(answer.status, "Rejected")} | without_empty(data=answer.data)


def composite_schedule(_asked: Payload, answer: ScheduleAnswer, _station: Station) -> Payload:
    if answer.status != "Accepted" or answer.start is None or not answer.periods:
        return {"status": "Rejected"} | because(answer)
    return {
        "status": "Accepted",
        "schedule": {
            "evseId": answer.evse,
            "duration": answer.duration_s,
            "scheduleStart": stamp(answer.start),
            "chargingRateUnit": answer.unit,
            "chargingSchedulePeriod": [_period(*period) for period in answer.periods],
        },
    }


def _period(start_s: int, limit: float, phases: int | None) -> Payload:
    return {"startPeriod": start_s, "limit": tidy(limit)} | without_empty(numberPhases=phases)


REPLIES: Mapping[str, EncodeAnswer] = {
    "ChangeAvailability": one_word("Accepted Rejected Scheduled", "Rejected"),
    "ClearCache": _yes_or_no,
    "ClearChargingProfile": one_word("Accepted Unknown", "Unknown"),
    "DataTransfer": data_answered,
    "GetBaseReport": one_word("Accepted Rejected NotSupported EmptyResultSet", "Rejected"),
    "GetCompositeSchedule": composite_schedule,
    "GetTransactionStatus": transaction_status,
    "GetVariables": variables,
    "RequestStartTransaction": start_requested,
    "RequestStopTransaction": _yes_or_no,
    "Reset": one_word("Accepted Rejected Scheduled", "Rejected"),
    "SetChargingProfile": _yes_or_no,
    "SetVariables": variables_set,
    "TriggerMessage": one_word("Accepted Rejected NotImplemented", "Rejected", NotSupported="NotImplemented"),
    "UnlockConnector": one_word(
        "Unlocked UnlockFailed OngoingAuthorizedTransaction UnknownConnector", "UnlockFailed", Accepted="Unlocked"
    ),
}
