"""OCPP 1.6-J: requests of the CSMS, and our answers to them."""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.effects import DataAnswer, ScheduleAnswer, StatusAnswer, VariablesAnswer, WritesAnswer
from agent.core.profile import Profile, Purpose
from agent.core.requests import (
    AvailabilityRequested,
    ClearCacheRequested,
    DataReceived,
    ProfileClearRequested,
    ProfileSetRequested,
    Ref,
    Request,
    ResetRequested,
    ScheduleRequested,
    StartRequested,
    StopRequested,
    UnlockRequested,
    VariablesRequested,
    VariablesSetRequested,
    VariableWrite,
)
from agent.core.types import ResetKind, SetStatus, VariableId
from agent.errors import RpcError
from agent.ocpp import profiles
from agent.ocpp.dialect import DecodeRequest, EncodeAnswer, Payload, Station
from agent.ocpp.fields import branch, integer, listed, natural, need, one_of, same, stamp, text, want, without_empty
from agent.ocpp.v16 import keys
from agent.ocpp.v16.calls import data_text
from drivers.api import IdToken

_PURPOSES = {
    "ChargePointMaxProfile": Purpose.STATION_MAX,
    "TxDefaultProfile": Purpose.TX_DEFAULT,
    "TxProfile": Purpose.TX,
}
_RESETS = {"Hard": ResetKind.HARD, "Soft": ResetKind.SOFT}
_OPERATIVE = {"Operative": True, "Inoperative": False}
_KEYS = listed(text, keys.MAX_KEYS, fewest=0)


# --- in ---


def remote_start(ref: Ref, asked: Payload) -> Request:
    profile = want(asked, "chargingProfile", branch)
    return StartRequested(
        ref,
        token=IdToken(need(asked, "idTag", text).strip()),
        evse=want(asked, "connectorId", integer),
        profile=None if profile is None else _profile(profile),
    )


def remote_stop(ref: Ref, asked: Payload) -> Request:
    return StopRequested(ref, need(asked, "transactionId", _name))


def reset(ref: Ref, asked: Payload) -> Request:
    return ResetRequested(ref, need(asked, "type", one_of(_RESETS)))


def change_availability(ref: Ref, asked: Payload) -> Request:
    connector = need(asked, "connectorId", integer)
    return AvailabilityRequested(ref, need(asked, "type", one_of(_OPERATIVE)), connector or None)


def get_configuration(ref: Ref, asked: Payload) -> Request:
    """Always names the variables, also when all keys are wanted: what is no key is not told."""
    return VariablesRequested(ref, keys.asked(_names(asked)))


def change_configuration(ref: Ref, asked: Payload) -> Request:
    name, value = need(asked, "key", text), need(asked, "value", text)
    return VariablesSetRequested(ref, _writes(name, value))


def _writes(name: str, value: str) -> tuple[VariableWrite, ...]:
    key = keys.find(name)
    if key is None:
        return (VariableWrite(VariableId("", name), value, SetStatus.UNKNOWN_VARIABLE),)
    taken = None if key.read_only else key.take(value)
    if taken is None:
        return (VariableWrite(VariableId("", key.name), value, SetStatus.REJECTED),)
    return tuple(VariableWrite(variable, taken) for variable in key.variables)


def unlock_connector(ref: Ref, asked: Payload) -> Request:
    return UnlockRequested(ref, need(asked, "connectorId", integer))


def clear_cache(ref: Ref, _asked: Payload) -> Request:
    return ClearCacheRequested(ref)


def data_transfer(ref: Ref, asked: Payload) -> Request:
    return DataReceived(ref, need(asked, "vendorId", text), want(asked, "messageId", text), asked.get("data"))


def set_charging_profile(ref: Ref, asked: Payload) -> Request:
    profile = _profile(need(asked, "csChargingProfiles", branch))
    return ProfileSetRequested(ref, need(asked, "connectorId", integer), profile)


def clear_charging_profile(ref: Ref, asked: Payload) -> Request:
    purpose = want(asked, "chargingProfilePurpose", one_of(_PURPOSES))
    return ProfileClearRequested(
        ref,
        profile_id=want(asked, "id", integer),
        evse=want(asked, "connectorId", integer),
        purpose=None if purpose is None else str(purpose),
        stack_level=want(asked, "stackLevel", integer),
    )


def get_composite_schedule(ref: Ref, asked: Payload) -> Request:
    unit = want(asked, "chargingRateUnit", one_of(profiles.UNITS))
    return ScheduleRequested(ref, need(asked, "connectorId", integer), need(asked, "duration", natural), unit)


def _profile(payload: Payload) -> Profile:
    return profiles.profile(payload, "chargingProfileId", _PURPOSES, _name)


def _name(value: object) -> str:
    """A transaction, as the core knows it: the number that the CSMS gave, as text."""
    return str(integer(value))


def _names(asked: Payload) -> tuple[str, ...]:
    """The keys of a GetConfiguration; no list and an empty list both mean all."""
    return want(asked, "key", _KEYS) or _all_keys()


def _all_keys() -> tuple[str, ...]:
    return tuple(key.name for key in keys.KEYS.values())


REQUESTS: Mapping[str, DecodeRequest] = {
    "ChangeAvailability": change_availability,
    "ChangeConfiguration": change_configuration,
    "ClearCache": clear_cache,
    "ClearChargingProfile": clear_charging_profile,
    "DataTransfer": data_transfer,
    "GetCompositeSchedule": get_composite_schedule,
    "GetConfiguration": get_configuration,
    "RemoteStartTransaction": remote_start,
    "RemoteStopTransaction": remote_stop,
    "Reset": reset,
    "SetChargingProfile": set_charging_profile,
    "UnlockConnector": unlock_connector,
}


# --- answers out ---


def one_word(allowed: str, otherwise: str, **translated: str) -> EncodeAnswer:
    """Answers that are one word. A neutral word that this version lacks is translated, or else becomes `otherwise`."""
    words = same(allowed.split()) | translated

    def encode(_asked: Payload, answer: StatusAnswer, _station: Station) -> Payload:
        return {"status": words.get(answer.status, otherwise)}

    return encode


_yes_or_no = one_word("Accepted Rejected", "Rejected", Scheduled="Accepted")

# The worst result of the variables behind a key is the key's.
_WRITTEN: tuple[tuple[SetStatus, str], ...] = (
    (SetStatus.UNKNOWN_COMPONENT, "NotSupported"),
    (SetStatus.UNKNOWN_VARIABLE, "NotSupported"),
    (SetStatus.NOT_SUPPORTED, "Rejected"),
    (SetStatus.REJECTED, "Rejected"),
    (SetStatus.REBOOT_REQUIRED, "RebootRequired"),
)


def configuration_changed(_asked: Payload, answer: WritesAnswer, _station: Station) -> Payload:
    results = {status for _variable, status in answer.results}
    return {"status": next((word for status, word in _WRITTEN if status in results), "Accepted")}


def configuration(asked: Payload, answer: VariablesAnswer, station: Station) -> Payload:
    views = {str(view.id).lower(): view for view in answer.views}
    known, unknown = [], []
    for name in dict.fromkeys(asked.get("key") or _all_keys()):
        key = keys.find(name)
        view = views.get(str(key.variables[0]).lower()) if key and key.variables else None
        told = keys.read_out(key, view, station) if key else None
        if told is None:
            unknown.append(name[:50])
        else:
            known.append(told)
    if not asked.get("key"):
        unknown = []  # nobody asked for these by name
    return {"configurationKey": known} | ({"unknownKey": unknown} if unknown else {})


_profile_status = one_word("Accepted Rejected NotSupported", "Rejected")
_NO_PROFILE: Mapping[str, tuple[str, str]] = {
    "NotEnabled": ("NotSupported", "smart charging is switched off here"),
    "UnknownEvse": ("PropertyConstraintViolation", "connectorId: there is no such connector"),
}


def profile_set(asked: Payload, answer: StatusAnswer, station: Station) -> Payload:
    """Errata 3.39: these two are refusals of the call."""
    if answer.reason in _NO_PROFILE:
        raise RpcError(*_NO_PROFILE[answer.reason])
    return _profile_status(asked, answer, station)


_DATA_WORDS = same(("Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"))


def data_answered(_asked: Payload, answer: DataAnswer, _station: Station) -> Payload:
    return {"status": _DATA_WORDS.get(answer.status, "Rejected")} | without_empty(data=data_text(answer.data))


def composite_schedule(asked: Payload, answer: ScheduleAnswer, _station: Station) -> Payload:
    if answer.status != "Accepted" or answer.start is None or not answer.periods:
        return {"status": "Rejected"}
    return {
        "status": "Accepted",
        "connectorId": answer.evse,
        "scheduleStart": stamp(answer.start),
        "chargingSchedule": {  # errata 3.57: without a startSchedule of its own
            "duration": answer.duration_s,
            "chargingRateUnit": answer.unit,
            "chargingSchedulePeriod": [_period(*period) for period in answer.periods],
        },
    }


def _period(start_s: int, limit: float, phases: int | None) -> Payload:
    return {"startPeriod": start_s, "limit": round(limit, 1)} | without_empty(numberPhases=phases)


REPLIES: Mapping[str, EncodeAnswer] = {
    "ChangeAvailability": one_word("Accepted Rejected Scheduled", "Rejected"),
    "ChangeConfiguration": configuration_changed,
    "ClearCache": _yes_or_no,
    "ClearChargingProfile": one_word("Accepted Unknown", "Unknown"),
    "DataTransfer": data_answered,
    "GetCompositeSchedule": composite_schedule,
    "GetConfiguration": configuration,
    "RemoteStartTransaction": _yes_or_no,
    "RemoteStopTransaction": _yes_or_no,
    "Reset": _yes_or_no,
    "SetChargingProfile": profile_set,
    # errata 3.87: a connector that does not exist is NotSupported
    "UnlockConnector": one_word("Unlocked UnlockFailed NotSupported", "UnlockFailed", UnknownConnector="NotSupported"),
}
