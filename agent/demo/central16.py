"""The demo's central system in OCPP 1.6-J: what we answer, and what it means in words.

In 1.6 the central system gives a transaction its number, in the answer to StartTransaction; a start that is told twice
(same connector, card, time and register) gets the same number again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

from agent.demo.central import BOOT_INTERVAL_S, CARDS, Answer, Payload, kilowatt_hours, short
from agent.demo.ledger import Ledger
from agent.demo.words import STATUSES_16, STOP_REASONS, measured, security_event

ENERGY = "Energy.Active.Import.Register"
SHOWN = (ENERGY, "Power.Active.Import", "Current.Offered")


class Central16:
    VERSION = "1.6"

    def hear(self, action: str, payload: Payload, ledger: Ledger, now: str) -> Answer | None:
        rule = self.RULES.get(action)
        return None if rule is None else rule(payload, ledger, now)

    # Commands

    def limit(self, transaction: str, limit_a: float, number: int, now: str) -> tuple[str, Payload]:
        profile = {
            "chargingProfileId": number,
            "transactionId": int(transaction),
            "stackLevel": 0,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {
                "startSchedule": now,
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit_a}],
            },
        }
        return "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile}

    def start(self, card: str, _number: int) -> tuple[str, Payload]:
        return "RemoteStartTransaction", {"connectorId": 1, "idTag": card}

    def stop(self, transaction: str) -> tuple[str, Payload]:
        return "RemoteStopTransaction", {"transactionId": int(transaction)}

    RULES: ClassVar[dict[str, Callable[[Payload, Ledger, str], Answer]]] = {}


def boot(payload: Payload, _ledger: Ledger, now: str) -> Answer:
    who = f"{payload['chargePointVendor']} {payload['chargePointModel']}"
    answer = {"status": "Accepted", "currentTime": now, "interval": BOOT_INTERVAL_S}
    return Answer(answer, f"I have started; this is {who}", "welcome; your clock is set")


def heartbeat(_payload: Payload, _ledger: Ledger, now: str) -> Answer:
    return Answer({"currentTime": now}, "I am still here")


def status(payload: Payload, _ledger: Ledger, _now: str) -> Answer:
    where = f"socket {payload['connectorId']}" if payload["connectorId"] else "the station"
    error = payload.get("errorCode", "NoError")
    fault = f"; fault: {error}" if error != "NoError" else ""
    return Answer({}, f"{where}: {STATUSES_16.get(payload['status'], payload['status'])}{fault}")


def authorize(payload: Payload, _ledger: Ledger, _now: str) -> Answer:
    card = payload["idTag"]
    verdict = CARDS.get(card, "Invalid")
    back = "yes" if verdict == "Accepted" else f"no, it is {verdict.lower()}"
    return Answer({"idTagInfo": {"status": verdict}}, f"card {short(card)} was tapped: may it charge?", back)


def started(payload: Payload, ledger: Ledger, _now: str) -> Answer:
    card, at, energy_wh = payload["idTag"], payload["timestamp"], payload["meterStart"]
    found = ledger.begin(f"{payload['connectorId']} {card} {at} {energy_wh}", card, at)
    if found.new("start"):
        found.read(energy_wh)
    verdict = CARDS.get(card, "Invalid")
    words = f"charge began, card {short(card)}, meter {kilowatt_hours(energy_wh)}"
    answer = {"transactionId": int(found.id), "idTagInfo": {"status": verdict}}
    return Answer(answer, words, f"noted as transaction {found.id}")


def metered(payload: Payload, ledger: Ledger, _now: str) -> Answer:
    found = ledger.named(str(payload.get("transactionId", "")))
    words = ""
    for at, values in _readings(payload["meterValue"]):
        words = measured(values)
        if found is not None and found.new(f"{at} {sorted(values)}"):
            found.read(values.get(ENERGY))
    return Answer({}, words or "a reading without a value")


def stopped(payload: Payload, ledger: Ledger, _now: str) -> Answer:
    found = ledger.named(str(payload["transactionId"]))
    reason = payload.get("reason", "Local")
    if found is not None and found.new("stop"):
        found.read(payload["meterStop"])
        found.ended_at, found.reason = payload["timestamp"], reason
    meter = kilowatt_hours(payload["meterStop"])
    words = f"charge ended ({STOP_REASONS.get(reason, reason)}), meter {meter}"
    back = f"{found.energy_wh} Wh will be billed" if found is not None else "we know of no such transaction"
    return Answer({"idTagInfo": {"status": "Accepted"}}, words, back)


def vendor_data(payload: Payload, _ledger: Ledger, _now: str) -> Answer:
    return Answer({"status": "UnknownVendorId"}, f"data of vendor {payload['vendorId']}", "we do not know this vendor")


def heard(what: str) -> Callable[[Payload, Ledger, str], Answer]:
    return lambda _payload, _ledger, _now: Answer({}, what)


def _readings(meter_values: list[Payload]) -> Iterator[tuple[str, dict[str, float]]]:
    """Time and measurand -> value in Wh, W, A; totals only, of current the first phase."""
    for each in meter_values:
        values: dict[str, float] = {}
        for sample in each["sampledValue"]:
            measurand = sample.get("measurand", ENERGY)
            if measurand not in SHOWN or (sample.get("phase") and measurand in values):
                continue
            thousand = 1000 if sample.get("unit", "").startswith("k") else 1
            values[measurand] = float(sample["value"]) * thousand
        yield each["timestamp"], values


Central16.RULES = {
    "BootNotification": boot,
    "Heartbeat": heartbeat,
    "StatusNotification": status,
    "Authorize": authorize,
    "StartTransaction": started,
    "MeterValues": metered,
    "StopTransaction": stopped,
    "DataTransfer": vendor_data,
    "FirmwareStatusNotification": heard("news of the firmware"),
    "DiagnosticsStatusNotification": heard("news of the diagnostics"),
    "SecurityEventNotification": lambda payload, _ledger, _now: Answer({}, security_event(payload["type"])),
}
