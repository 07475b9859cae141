"""What a central system knows of each charge, in the same words for both protocol versions, and how it asks for things.

`charges(csms)` reads the frames that came; the rest builds requests. Nothing here is shared with the agent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.conformance.csms import Csms, Payload, epoch

ENERGY = "Energy.Active.Import.Register"
# name of the 1.6 key: component, variable, instance
VARIABLES: dict[str, tuple[str, ...]] = {
    "HeartbeatInterval": ("OCPPCommCtrlr", "HeartbeatInterval"),
    "WebSocketPingInterval": ("OCPPCommCtrlr", "WebSocketPingInterval"),
    "ConnectionTimeOut": ("TxCtrlr", "EVConnectionTimeOut"),
    "AuthorizationCacheEnabled": ("AuthCacheCtrlr", "Enabled"),
    "AuthorizeRemoteTxRequests": ("AuthCtrlr", "AuthorizeRemoteStart"),
    "LocalPreAuthorize": ("AuthCtrlr", "LocalPreAuthorize"),
    "StopTransactionOnInvalidId": ("TxCtrlr", "StopTxOnInvalidId"),
    "MeterValuesSampledData": ("SampledDataCtrlr", "TxUpdatedMeasurands"),
    "MeterValueSampleInterval": ("SampledDataCtrlr", "TxUpdatedInterval"),
    "MeterValuesAlignedData": ("AlignedDataCtrlr", "Measurands"),
    "ClockAlignedDataInterval": ("AlignedDataCtrlr", "Interval"),
    "MinimumStatusDuration": ("ChargingStation", "StatusMinimumDuration"),
    "TransactionMessageAttempts": ("OCPPCommCtrlr", "MessageAttempts", "TransactionEvent"),
    "ResetRetries": ("OCPPCommCtrlr", "ResetRetries"),
    "SecurityProfile": ("SecurityCtrlr", "SecurityProfile"),
    "MessageTimeout": ("OCPPCommCtrlr", "MessageTimeout", "Default"),
}


@dataclass
class Charge:
    """One transaction as it was told."""

    id: str
    evse: int
    tag: str | None
    started_at: float
    started_wh: float
    started: Payload
    samples: list[Payload] = field(default_factory=list)
    updates: list[Payload] = field(default_factory=list)
    ended: Payload | None = None
    ended_at: float = 0.0
    ended_wh: float = 0.0
    reason: str | None = None
    stop_tag: str | None = None


def charges(csms: Csms) -> list[Charge]:
    """All, in the order in which their starts arrived. Fails when anything comes before its start or twice."""
    return _charges16(csms) if csms.version == "1.6" else _charges201(csms)


def energy(values: list[Payload], which: int = -1) -> float:
    """The lifetime register in Wh, of the first (0) or last (-1) of these meter values."""
    samples = [s for v in values for s in v["sampledValue"] if "phase" not in s]
    return [float(s["value"]) for s in samples if s.get("measurand", ENERGY) == ENERGY][which]


def _charges16(csms: Csms) -> list[Charge]:
    known: dict[int, Charge] = {}
    seen: set[str] = set()
    answers = {f.message[1]: f.message[2] for f in csms.frames if f.ours and f.message[0] == 3}
    for frame in csms.frames:
        if frame.ours or frame.message[0] != 2 or frame.message[1] not in answers or frame.message[1] in seen:
            continue
        _kind, message_id, action, p = frame.message
        seen.add(message_id)
        if action == "StartTransaction":
            number = answers[message_id]["transactionId"]
            assert number not in known, f"{number} was started twice"
            known[number] = Charge(str(number), p["connectorId"], p["idTag"], epoch(p["timestamp"]), p["meterStart"], p)
        elif action == "MeterValues" and "transactionId" in p:
            charge = known[p["transactionId"]]
            assert charge.ended is None, f"a sample after the end: {p}"
            charge.updates.append(p)
            charge.samples += p["meterValue"]
        elif action == "StopTransaction":
            _end(known[p["transactionId"]], p, p["timestamp"], p["meterStop"], p.get("reason", "Local"), p.get("idTag"))
    return list(known.values())


def _end(charge: Charge, p: Payload, at: str, wh: float, reason: str | None, tag: str | None) -> None:
    assert charge.ended is None, f"ended twice: {p}"
    charge.ended, charge.ended_at, charge.ended_wh, charge.reason = p, epoch(at), wh, reason
    charge.stop_tag = tag


def _charges201(csms: Csms) -> list[Charge]:
    known: dict[str, Charge] = {}
    next_seq: dict[str, int] = {}
    answered = {f.message[1] for f in csms.frames if f.ours and f.message[0] == 3}
    seen: set[str] = set()
    for frame in csms.frames:
        if frame.ours or frame.message[:1] != [2] or frame.message[2] != "TransactionEvent":
            continue
        _kind, message_id, _action, p = frame.message
        if message_id not in answered or message_id in seen:
            continue
        seen.add(message_id)
        number = p["transactionInfo"]["transactionId"]
        assert p["seqNo"] == next_seq.get(number, 0), f"a gap, or out of order: {p}"
        next_seq[number] = p["seqNo"] + 1
        _event201(known, number, p)
    return list(known.values())


def _event201(known: dict[str, Charge], number: str, p: Payload) -> None:
    tag = p.get("idToken", {}).get("idToken")
    if p["eventType"] == "Started":
        wh = energy(p["meterValue"])
        known[number] = Charge(number, p["evse"]["id"], tag, epoch(p["timestamp"]), wh, p)
        return
    charge = known[number]
    if p["eventType"] == "Updated":
        charge.tag = charge.tag or tag
        charge.updates.append(p)
        charge.samples += p.get("meterValue", [])
    else:
        wh = energy(p["meterValue"])
        _end(charge, p, p["timestamp"], wh, p["transactionInfo"].get("stoppedReason"), tag)


async def begun(csms: Csms, how_many: int = 1, evse: int | None = None) -> Charge:
    """The last of `how_many` charges (on this EVSE), as soon as so many have begun."""

    def found() -> Charge | None:
        here = [c for c in charges(csms) if evse in (None, c.evse)]
        return here[how_many - 1] if len(here) >= how_many else None

    return await csms.until(found, f"the start of charge {how_many}")


async def over(csms: Csms, how_many: int = 1, evse: int | None = None, timeout_s: float = 20.0) -> Charge:
    """The same as soon as it has ended."""

    def found() -> Charge | None:
        here = [c for c in charges(csms) if evse in (None, c.evse)]
        return here[how_many - 1] if len(here) >= how_many and here[how_many - 1].ended else None

    return await csms.until(found, f"the end of charge {how_many}", timeout_s)


def statuses(csms: Csms, evse: int, since: int = 0) -> list[str]:
    """What StatusNotification said of this EVSE."""
    at, word = ("connectorId", "status") if csms.version == "1.6" else ("evseId", "connectorStatus")
    return [p[word] for p in csms.calls("StatusNotification", since) if p[at] == evse]


async def status(csms: Csms, word: str, evse: int = 1, since: int = 0) -> None:
    """Waits until the last status told of this EVSE is `word`."""
    await csms.until(lambda: statuses(csms, evse, since)[-1:] == [word], f"status {word} of EVSE {evse}")


# --- requests ---


async def remote_start(csms: Csms, tag: str, evse: int | None = 1, **more: Any) -> str:
    place = {} if evse is None else {"connectorId" if csms.version == "1.6" else "evseId": evse}
    if csms.version == "1.6":
        answer = await csms.call("RemoteStartTransaction", {"idTag": tag} | place | more)
    else:
        token = {"idToken": tag, "type": "Central"}
        asked = {"idToken": token, "remoteStartId": 7} | place | more
        answer = await csms.call("RequestStartTransaction", asked)
    return str(answer["status"])


async def remote_stop(csms: Csms, charge_id: str) -> str:
    if csms.version == "1.6":
        return str((await csms.call("RemoteStopTransaction", {"transactionId": int(charge_id)}))["status"])
    return str((await csms.call("RequestStopTransaction", {"transactionId": charge_id}))["status"])


async def availability(csms: Csms, operative: bool, evse: int = 0) -> str:
    word = "Operative" if operative else "Inoperative"
    if csms.version == "1.6":
        asked: Payload = {"connectorId": evse, "type": word}
    else:
        asked = {"operationalStatus": word} | ({"evse": {"id": evse}} if evse else {})
    return str((await csms.call("ChangeAvailability", asked))["status"])


async def unlock(csms: Csms, evse: int = 1) -> str:
    asked = {"connectorId": evse} if csms.version == "1.6" else {"evseId": evse, "connectorId": 1}
    return str((await csms.call("UnlockConnector", asked))["status"])


async def trigger(csms: Csms, message: str, evse: int | None = None) -> str:
    place: Payload = {} if evse is None else {"connectorId": evse} if csms.version == "1.6" else {"evse": {"id": evse}}
    return str((await csms.call("TriggerMessage", {"requestedMessage": message} | place))["status"])


async def reset(csms: Csms, kind: str) -> str:
    return str((await csms.call("Reset", {"type": kind}))["status"])


def variable(name: str) -> Payload:
    component, what, *instance = VARIABLES.get(name) or name.split(".")
    named = {"name": what} | ({"instance": instance[0]} if instance else {})
    return {"component": {"name": component}, "variable": named}


async def change(csms: Csms, name: str, value: str) -> str:
    """Set one variable by its 1.6 name, in either version."""
    if csms.version == "1.6":
        return str((await csms.call("ChangeConfiguration", {"key": name, "value": value}))["status"])
    answer = await csms.call("SetVariables", {"setVariableData": [variable(name) | {"attributeValue": value}]})
    return str(answer["setVariableResult"][0]["attributeStatus"])


async def read(csms: Csms, name: str) -> str | None:
    """One variable's value by its 1.6 name; None when there is none."""
    if csms.version == "1.6":
        keys = (await csms.call("GetConfiguration", {"key": [name]})).get("configurationKey", [])
        return keys[0].get("value") if keys else None
    answer = await csms.call("GetVariables", {"getVariableData": [variable(name)]})
    value: str | None = answer["getVariableResult"][0].get("attributeValue")
    return value


def profile(csms: Csms, limit_a: float, purpose: str = "TxDefaultProfile", **more: Any) -> Payload:
    """A charging profile of one period from the start of the charge."""
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit_a}]}
    common = {"stackLevel": 0, "chargingProfilePurpose": purpose, "chargingProfileKind": "Relative"} | more
    if csms.version == "1.6":
        return {"chargingProfileId": 1, "chargingSchedule": schedule} | common
    return {"id": 1, "chargingSchedule": [{"id": 1} | schedule]} | common


async def limit(csms: Csms, evse: int, what: Payload) -> str:
    place, name = ("connectorId", "csChargingProfiles") if csms.version == "1.6" else ("evseId", "chargingProfile")
    return str((await csms.call("SetChargingProfile", {place: evse, name: what}))["status"])
