"""What the simulated central system has billed, kept as a real one keeps it, and every rule that it sees broken.

1.6: by message id, since nothing else tells a repeat from a second transaction. 2.0.1: by transaction and `seqNo`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Payload = dict[str, Any]
REGISTER = "Energy.Active.Import.Register"


@dataclass(slots=True)
class Bill:
    """One transaction as the central system knows it. `seqs`: of 2.0.1, as they came."""

    key: str
    evse: int
    token: str
    started_at: float
    start_wh: float | None
    stop_wh: float | None = None
    stopped_at: float | None = None
    reason: str = ""
    seqs: list[int] = field(default_factory=list)
    samples: list[tuple[float, float]] = field(default_factory=list)


class Books:
    """`complain` is told each broken rule."""

    def __init__(self, complain: Callable[[str], None]) -> None:
        self.bills: dict[str, Bill] = {}
        self.refused: set[str] = set()  # message ids answered by CALLERROR at least once
        self.repeats = 0
        self.fresh = True  # the last message was not a repeat
        self._complain = complain
        self._answers: dict[str, tuple[str, Payload]] = {}
        self._starts: dict[tuple[Any, ...], str] = {}
        self._next = 100

    def take(self, message_id: str, action: str, payload: Payload) -> Payload:
        """Book a message of a transaction; what the answer says beside its idTagInfo."""
        text = json.dumps(payload, sort_keys=True)
        before = self._answers.get(message_id)
        self.fresh = before is None
        if before is not None:
            self.repeats += 1
            if before[0] != text:
                self._complain(f"{action} {message_id} was repeated with another text: {before[0]} / {text}")
            return before[1]
        answer = _BOOK[action](self, message_id, payload)
        self._answers[message_id] = (text, answer)
        return answer

    # --- 1.6 ----------------------------------------------------------------------------------------------------

    def start(self, message_id: str, told: Payload) -> Payload:
        same = (told["connectorId"], told["idTag"], told["meterStart"], told["timestamp"])
        if same in self._starts:
            self._complain(f"StartTransaction {message_id} tells again what {self._starts[same]} told: {same}")
        self._starts[same] = message_id
        self._next += 1
        key = str(self._next)
        self.bills[key] = Bill(
            key, told["connectorId"], told["idTag"], utc(told["timestamp"]), float(told["meterStart"])
        )
        return {"transactionId": self._next}

    def meter(self, message_id: str, told: Payload) -> Payload:
        number = told.get("transactionId")
        if number is not None and number != -1:
            bill = self._open(message_id, str(number))
            if bill is not None:
                self._samples(bill, told["meterValue"])
        return {}

    def stop(self, message_id: str, told: Payload) -> Payload:
        if told["transactionId"] == -1:
            return {}
        bill = self._open(message_id, str(told["transactionId"]))
        if bill is not None:
            bill.stop_wh, bill.stopped_at = float(told["meterStop"]), utc(told["timestamp"])
            bill.reason = told.get("reason", "Local")
        return {}

    def _open(self, message_id: str, key: str) -> Bill | None:
        bill = self.bills.get(key)
        if bill is None or bill.stop_wh is not None:
            self._complain(f"{message_id} names transaction {key}, which is {'over' if bill else 'unknown'}")
            return None
        return bill

    def _samples(self, bill: Bill, values: list[Payload]) -> None:
        for value in values:
            wh = energy(value)
            if wh is not None:
                bill.samples.append((utc(value["timestamp"]), wh))

    # --- 2.0.1 --------------------------------------------------------------------------------------------------

    def event(self, message_id: str, told: Payload) -> Payload:
        key, seq = told["transactionInfo"]["transactionId"], told["seqNo"]
        bill = self.bills.get(key)
        values = told.get("meterValue", [])
        if told["eventType"] == "Started":
            if bill is not None:
                self._complain(f"{message_id}: transaction {key} starts a second time")
            first = next((wh for wh in map(energy, values) if wh is not None), None)
            token = told.get("idToken", {}).get("idToken", "")
            bill = self.bills[key] = Bill(key, told["evse"]["id"], token, utc(told["timestamp"]), first)
        elif bill is None:
            if not self.refused_of(key):
                self._complain(f"{message_id}: {told['eventType']} of {key}, which never started")
            return {}
        self._in_order(bill, seq, message_id)
        self._samples(bill, values)
        if told["eventType"] == "Ended":
            last = next((wh for wh in map(energy, reversed(values)) if wh is not None), None)
            bill.stop_wh, bill.stopped_at = last, utc(told["timestamp"])
            bill.reason = told["transactionInfo"].get("stoppedReason", "Local")
        return {}

    def _in_order(self, bill: Bill, seq: int, message_id: str) -> None:
        if bill.stopped_at is not None:
            self._complain(f"{message_id}: {bill.key} has ended before")
        expected = bill.seqs[-1] + 1 if bill.seqs else 0
        between = [f"{bill.key}-{n}" for n in range(expected, seq)]
        if seq < expected or any(name not in self.refused for name in between):
            self._complain(f"{message_id}: seqNo {seq} where {expected} was due")
        bill.seqs.append(seq)

    def refused_of(self, key: str) -> bool:
        return any(name.rpartition("-")[0] == key for name in self.refused)


_BOOK: dict[str, Callable[[Books, str, Payload], Payload]] = {
    "StartTransaction": Books.start,
    "MeterValues": Books.meter,
    "StopTransaction": Books.stop,
    "TransactionEvent": Books.event,
}
BOOKED = tuple(_BOOK)


def utc(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def energy(value: Payload) -> float | None:
    """The lifetime register of one meter value, in Wh, in either version."""
    for sample in value["sampledValue"]:
        if sample.get("measurand", REGISTER) == REGISTER and "phase" not in sample:
            unit = sample.get("unit") or sample.get("unitOfMeasure", {}).get("unit", "Wh")
            return float(sample["value"]) * (1000.0 if unit == "kWh" else 1.0)
    return None
