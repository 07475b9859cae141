"""N: Diagnostics. Faults told to the CSMS as events of the device model, where the protocol version has such a message.

Rules kept here
* Each fault is told when it comes and when it goes, with the time at which it did; a status tells the newest one only.
* Several share a variable (a welded contactor and one that does not close). When one of them goes, those that stand are
  told once more: whoever goes by the variable must not take it for mended.
* A fault that comes and goes all the time is told at most every `SPAN_S`, and then as it is.
* What happens without a link waits in the outbox, `MAX_AWAY` of them; of the rest the state is told that is found when
  the link is back. What the CSMS did not take is told once more after `AGAIN_S`, as it is then.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from agent.blocks.station import Block, Facts, Out
from agent.core.deadlines import Deadlines
from agent.core.effects import Ask, Effect
from agent.core.events import CallFailed
from agent.core.faults import CATALOGUE
from agent.core.supervision import Problem
from agent.core.types import Instant

SPAN_S, AGAIN_S = 10.0, 60.0
MAX_AWAY = 50
STATION = 0
_Key = tuple[int, str]  # EVSE (or STATION), fault


class Problems(Block):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._told: dict[_Key, str] = {}  # the faults that the CSMS has heard of, and what it heard
        self._quiet = Deadlines()  # by key: until when nothing more is told of it
        self._number = 0
        self._away = 0
        for (component, variable), faults in _variables().items():
            for evse in (STATION,) if component == "ChargingStation" else facts.evses:
                where = f"@{evse}" + ("/1" if component == "Connector" else "") if evse else ""
                key = f"{component}{where}.{variable}"
                facts.variables.compute(key, lambda _now, evse=evse, faults=faults: self._state(evse, faults))  # type: ignore[misc]

    def _state(self, evse: int, faults: tuple[str, ...]) -> str:
        evses = [self._facts.evses[evse]] if evse else list(self._facts.evses.values())
        return "true" if any(fault in one.faults for one in evses for fault in faults) else "false"

    def next_deadline(self) -> float | None:
        return self._quiet.next()

    def derive(self, now: Instant) -> Iterator[Effect]:
        self._quiet.due(now.mono)
        self._away = 0 if self._facts.online else self._away
        standing = {
            (_place(evse.id, fault), fault): info
            for evse in self._facts.evses.values()
            for fault, info in evse.faults.items()
        }
        for key, info in standing.items():
            if key not in self._told and self._may_tell(key):
                self._told[key] = info
                yield self._tell(key, True, info, now)
        for key in [key for key in self._told if key not in standing]:
            if self._may_tell(key):
                info = self._told.pop(key)
                others = [other for other in self._told if other in standing and _alike(other, key)]
                yield self._tell(key, False, info, now, bool(others))
                for other in others:
                    yield self._tell(other, True, standing[other], now)

    def _may_tell(self, key: _Key) -> bool:
        return key not in self._quiet and (self._facts.online or self._away < MAX_AWAY)

    def _tell(self, key: _Key, present: bool, info: str, now: Instant, others: bool = False) -> Ask:
        evse, fault = key
        self._quiet.set(key, now.mono + SPAN_S)
        self._away += not self._facts.online
        self._number += 1
        tx = self._facts.evses[evse].tx if evse else None
        return Ask(Problem(evse, fault, present, now, info, self._number, tx.id if tx else None, others))

    def on_failed(self, e: CallFailed, now: Instant) -> Out:
        call = e.call
        if isinstance(call, Problem) and e.why != "dropped":
            key = (call.evse, call.fault)
            if call.present and key in self._told:
                del self._told[key]
                self._quiet.set(key, now.mono + AGAIN_S)
            elif not call.present and key not in self._told:
                self._told[key] = call.info
                self._quiet.set(key, now.mono + AGAIN_S)
        return iter(())

    HEARS: ClassVar = {CallFailed: "on_failed"}


def _alike(one: _Key, other: _Key) -> bool:
    return one[0] == other[0] and CATALOGUE[one[1]].tells == CATALOGUE[other[1]].tells


def _place(evse: int, fault: str) -> int:
    return STATION if CATALOGUE[fault].tells[0] == "ChargingStation" else evse


def _variables() -> dict[tuple[str, str], tuple[str, ...]]:
    """The variables that tell faults, and which ones."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for row in CATALOGUE.values():
        found[row.tells] = (*found.get(row.tells, ()), str(row.id))
    return found
