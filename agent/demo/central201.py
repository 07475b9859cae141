"""The demo's central system in OCPP 2.0.1: what we answer, and what it means in words.

In 2.0.1 the charger names its transactions itself and numbers their events from 0 without a gap, so that what is told
twice, or is missing, can be seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from agent.demo.central import BOOT_INTERVAL_S, CARDS, Answer, Payload, kilowatt_hours, short
from agent.demo.ledger import Ledger, Transaction
from agent.demo.words import CHARGING_STATES, STATUSES_201, STOP_REASONS, measured, security_event

ENERGY = "Energy.Active.Import.Register"
SHOWN = (ENERGY, "Power.Active.Import", "Current.Offered")


class Central201:
    VERSION = "2.0.1"

    def hear(self, action: str, payload: Payload, ledger: Ledger, now: str) -> Answer | None:
        rule = self.RULES.get(action)
        return None if rule is None else rule(payload, ledger, now)

    # Commands

    def limit(self, transaction: str, limit_a: float, number: int, now: str) -> tuple[str, Payload]:
        schedule = {
            "id": number,
            "startSchedule": now,
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit_a}],
        }
        profile = {
            "id": number,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Absolute",
            "transactionId": transaction,
            "chargingSchedule": [schedule],
        }
        return "SetChargingProfile", {"evseId": 1, "chargingProfile": profile}

    def start(self, card: str, number: int) -> tuple[str, Payload]:
        token = {"idToken": card, "type": "ISO14443"}
        return "RequestStartTransaction", {"evseId": 1, "remoteStartId": number, "idToken": token}

    def stop(self, transaction: str) -> tuple[str, Payload]:
        return "RequestStopTransaction", {"transactionId": transaction}

    RULES: ClassVar[dict[str, Callable[[Payload, Ledger, str], Answer]]] = {}


def boot(payload: Payload, _ledger: Ledger, now: str) -> Answer:
    station = payload["chargingStation"]
    answer = {"status": "Accepted", "currentTime": now, "interval": BOOT_INTERVAL_S}
    return Answer(
        answer, f"I have started; this is {station['vendorName']} {station['model']}", "welcome; your clock is set"
    )


def heartbeat(_payload: Payload, _ledger: Ledger, now: str) -> Answer:
    return Answer({"currentTime": now}, "I am still here")


def status(payload: Payload, _ledger: Ledger, _now: str) -> Answer:
    word = payload["connectorStatus"]
    return Answer({}, f"socket {payload['evseId']}: {STATUSES_201.get(word, word)}")


def authorize(payload: Payload, _ledger: Ledger, _now: str) -> Answer:
    card = payload["idToken"]["idToken"]
    verdict = CARDS.get(card, "Invalid")
    back = "yes" if verdict == "Accepted" else f"no, it is {verdict.lower()}"
    return Answer({"idTokenInfo": {"status": verdict}}, f"card {short(card)} was tapped: may it charge?", back)


def transaction(payload: Payload, ledger: Ledger, _now: str) -> Answer:
    name, kind = payload["transactionInfo"]["transactionId"], payload["eventType"]
    card = (payload.get("idToken") or {}).get("idToken", "")
    found = ledger.begin(name, card, payload["timestamp"], name)
    values = _values(payload.get("meterValue") or [])
    answer = {"idTokenInfo": {"status": CARDS.get(card, "Invalid")}} if card else {}
    if found.new(str(payload["seqNo"])):
        found.card = found.card or card
        found.told_offline += bool(payload.get("offline"))
        for each in values:
            found.read(each.get(ENERGY))
        if kind == "Ended":
            found.ended_at = payload["timestamp"]
            found.reason = payload["transactionInfo"].get("stoppedReason", "Local")
    back = f"{found.energy_wh} Wh will be billed" if kind == "Ended" else ""
    return Answer(answer, _words(payload, found, values[-1] if values else {}), back)


def _words(payload: Payload, found: Transaction, values: dict[str, float]) -> str:
    info, offline = payload["transactionInfo"], ", offline" if payload.get("offline") else ""
    head = f"event {payload['seqNo']}{offline}: "
    if payload["eventType"] == "Started":
        card = f", card {short(found.card)}" if found.card else ""
        return f"{head}charge began{card}, meter {kilowatt_hours(found.started_wh)}"
    if payload["eventType"] == "Ended":
        why = STOP_REASONS.get(found.reason, found.reason)
        return f"{head}charge ended ({why}), meter {kilowatt_hours(found.last_wh)}"
    state = str(info.get("chargingState", ""))
    if payload["triggerReason"] in ("MeterValuePeriodic", "MeterValueClock"):
        return head + measured(values)
    return head + CHARGING_STATES.get(state, state)


def metered(payload: Payload, _ledger: Ledger, _now: str) -> Answer:
    values = _values(payload["meterValue"])
    return Answer({}, measured(values[-1]) if values else "a reading without a value")


def vendor_data(payload: Payload, _ledger: Ledger, _now: str) -> Answer:
    return Answer({"status": "UnknownVendorId"}, f"data of vendor {payload['vendorId']}", "we do not know this vendor")


def heard(what: str) -> Callable[[Payload, Ledger, str], Answer]:
    return lambda _payload, _ledger, _now: Answer({}, what)


def _values(meter_values: list[Payload]) -> list[dict[str, float]]:
    """Measurand -> value in Wh, W, A for each reading; totals only, of current the first phase."""
    found: list[dict[str, float]] = []
    for each in meter_values:
        values: dict[str, float] = {}
        for sample in each["sampledValue"]:
            measurand = sample.get("measurand", ENERGY)
            if measurand not in SHOWN or (sample.get("phase") and measurand in values):
                continue
            unit = sample.get("unitOfMeasure") or {}
            thousand = 1000 if unit.get("unit", "").startswith("k") else 1
            values[measurand] = sample["value"] * 10 ** unit.get("multiplier", 0) * thousand
        found.append(values)
    return found


Central201.RULES = {
    "BootNotification": boot,
    "Heartbeat": heartbeat,
    "StatusNotification": status,
    "Authorize": authorize,
    "TransactionEvent": transaction,
    "MeterValues": metered,
    "DataTransfer": vendor_data,
    "NotifyReport": heard("a page of my settings"),
    "NotifyEvent": heard("something changed in me"),
    "NotifyChargingLimit": heard("my charging limit has changed"),
    "ReportChargingProfiles": heard("these are my charging profiles"),
    "FirmwareStatusNotification": heard("news of the firmware"),
    "LogStatusNotification": heard("news of the log"),
    "SecurityEventNotification": lambda payload, _ledger, _now: Answer({}, security_event(payload["type"])),
}
