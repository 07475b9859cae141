"""Connection: what the controller says, turned into facts of the EVSE (IEC 61851-1 states A to F; cable; faults).

Rules kept here: the pilot states E and F, and any value that the driver cannot name, are faults and never "no car";
a reading that tells nothing of the car (E, F, unknown) leaves `plugged` as it was; a device that is silent for too long
is a fault of its own. A state D without ventilation is a fault. State F beside a fault that the controller reports is
its way to tell the car of it, and no second fault.

All faults of an EVSE are kept here, whoever finds them: one stands as long as anybody says so, and then for as long as
its row of the catalogue wants it to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from agent.blocks.station import Block, Facts, Out
from agent.core import faults
from agent.core.deadlines import Deadlines
from agent.core.effects import Note
from agent.core.events import (
    DeviceFound,
    DeviceLost,
    Event,
    EvseRead,
    FaultCleared,
    FaultRaised,
    PilotChanged,
    Plugged,
    SecurityEvent,
    StopPressed,
    Tick,
    Unplugged,
)
from agent.core.evse import CONNECTED, REQUESTING, Evse
from agent.core.supervision import FaultSeen
from agent.core.types import Instant
from drivers.api import EvseReading, Fault, Pilot

MOST_A = 1000.0
CONTROLLER, SILENCE = "controller", "silence"  # who says so
_SILENCE = {"controller": faults.CONTROLLER_SILENT, "meter": str(Fault.METER), "reader": str(Fault.RFID_READER)}


class Connection(Block):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._says: dict[tuple[int, str], dict[str, None]] = {}  # by EVSE and fault: who says so
        self._told: dict[int, set[str]] = {evse: set() for evse in facts.evses}  # faults that the controller reports
        self._holds = Deadlines()  # by EVSE and fault: nobody says so any more, and it still stands until then

    def next_deadline(self) -> float | None:
        return self._holds.next()

    def on_read(self, e: EvseRead, now: Instant) -> Out:
        evse = self._facts.evses[e.evse]
        before, reading = evse.pilot, e.reading
        evse.pilot, evse.contactor, evse.locked = reading.pilot, reading.contactor, reading.locked
        yield from self._cable(evse, reading)
        self._power_path(evse, now)
        if before is not reading.pilot:
            yield PilotChanged(evse.id, before, reading.pilot)
            yield _pilot_note(evse, before, reading)
        yield from self._plug(evse, now)
        yield from self._faults(evse, _reported(evse, reading), now)
        if reading.stop_button is not None:
            yield StopPressed(evse.id, reading.stop_button)

    def _cable(self, evse: Evse, reading: EvseReading) -> Iterator[Event]:
        left = evse.cable_present
        evse.cable_a = _rating(reading.cable_a)
        if left and not evse.cable_present and not evse.plugged and reading.pilot not in CONNECTED:
            yield Unplugged(evse.id, cable_left=False)  # the EV had gone before; now its cable has, too

    def _power_path(self, evse: Evse, now: Instant) -> None:
        closed = evse.contactor if evse.contactor is not None else evse.pilot in REQUESTING
        if closed:
            evse.open_since = None
        elif evse.open_since is None:
            evse.open_since = now.mono

    def _plug(self, evse: Evse, now: Instant) -> Iterator[Event]:
        if evse.pilot in CONNECTED and not evse.plugged:
            evse.plugged, evse.plugged_at = True, now.mono
            yield Plugged(evse.id)
        elif evse.pilot is Pilot.A and evse.plugged:
            evse.plugged = False
            yield Unplugged(evse.id, cable_left=evse.cable_present)

    def _faults(self, evse: Evse, reported: dict[str, str], now: Instant) -> Iterator[Event]:
        told = self._told[evse.id]
        for fault in sorted(told - reported.keys()):
            told.discard(fault)
            yield from self._take_back(evse, fault, CONTROLLER, now)
        for fault, info in reported.items():
            if fault not in told:
                told.add(fault)
                yield from self._find(evse, fault, CONTROLLER, info)
        if not evse.plugged:
            for fault in [fault for fault in evse.faults if faults.CATALOGUE[fault].until_unplugged]:
                yield from self._clear(evse, fault)

    # --- who says so ----------------------------------------------------------------------------------------------

    def _find(self, evse: Evse, fault: str, source: str, info: str) -> Iterator[Event]:
        self._says.setdefault((evse.id, fault), {})[source] = None
        self._holds.clear((evse.id, fault))
        if fault not in evse.faults:
            evse.faults[fault] = info
            yield FaultRaised(evse.id, fault, info)

    def _take_back(self, evse: Evse, fault: str, source: str, now: Instant) -> Iterator[Event]:
        self._says.get((evse.id, fault), {}).pop(source, None)
        row = faults.CATALOGUE[fault]
        if not self._stands(evse.id, fault) and row.hold_s:
            if row.hold_s < faults.NEVER:
                self._holds.keep((evse.id, fault), now.mono + row.hold_s)
        elif not (row.until_unplugged and evse.plugged):
            yield from self._clear(evse, fault)

    def _clear(self, evse: Evse, fault: str) -> Iterator[Event]:
        if fault in evse.faults and not self._stands(evse.id, fault):
            del evse.faults[fault]
            yield FaultCleared(evse.id, fault)

    def _stands(self, evse: int, fault: str) -> bool:
        """Somebody still says so."""
        return bool(self._says.get((evse, fault)))

    def on_tick(self, _e: Tick, now: Instant) -> Out:
        for name in self._holds.due(now.mono):
            yield from self._clear(self._facts.evses[name[0]], name[1])  # type: ignore[index]

    def on_seen(self, e: FaultSeen, now: Instant) -> Out:
        evse = self._facts.evses[e.evse]
        if e.info is None:
            return self._take_back(evse, e.fault, e.source, now)
        return self._find(evse, e.fault, e.source, e.info)

    def on_lost(self, e: DeviceLost, _now: Instant) -> Out:
        evse = self._facts.evses[e.evse]
        if e.device == "controller":
            evse.contactor = None  # nobody knows; its own watchdog takes the power away
        return self._find(evse, _SILENCE[e.device], SILENCE, e.why)

    def on_found(self, e: DeviceFound, now: Instant) -> Out:
        return self._take_back(self._facts.evses[e.evse], _SILENCE[e.device], SILENCE, now)

    def on_raised(self, e: FaultRaised, _now: Instant) -> Out:
        # Others raise faults too (metering, storage); the fact is kept here whoever concluded it.
        self._facts.evses[e.evse].faults.setdefault(e.fault, e.info)
        row = faults.CATALOGUE[e.fault]
        what = f"{row.text}: {e.info}" if e.info else row.text
        yield Note(
            "warning", "FaultRaised", f"EVSE {e.evse}: {what}; {row.remedy}", (("EVSE", e.evse), ("FAULT", e.fault))
        )
        if row.alarm:
            yield SecurityEvent(row.alarm, f"EVSE {e.evse}: {what}")

    def on_cleared(self, e: FaultCleared, _now: Instant) -> Out:
        if self._stands(e.evse, e.fault):
            return
        self._facts.evses[e.evse].faults.pop(e.fault, None)
        row = faults.CATALOGUE[e.fault]
        text = f"EVSE {e.evse}: {row.cleared or f'recovered from: {row.text}'}"
        yield Note("info", "FaultCleared", text, (("EVSE", e.evse), ("FAULT", e.fault)))

    HEARS: ClassVar = {
        EvseRead: "on_read",
        FaultSeen: "on_seen",
        DeviceLost: "on_lost",
        DeviceFound: "on_found",
        FaultRaised: "on_raised",
        FaultCleared: "on_cleared",
        Tick: "on_tick",
    }


def _rating(cable_a: float | None) -> float | None:
    """No cable has a rating that is no number, negative or beyond all plugs."""
    return cable_a if cable_a is None or 0 <= cable_a <= MOST_A else 0.0


def _reported(evse: Evse, reading: EvseReading) -> dict[str, str]:
    reported = {str(fault): reading.raw for fault in reading.faults}
    own = reading.pilot is Pilot.F and any(faults.CATALOGUE[fault].stops for fault in reported)
    if reading.pilot in (Pilot.E, Pilot.F, Pilot.UNKNOWN) and not own:
        reported.setdefault(Fault.PILOT, f"pilot {reading.pilot}; {reading.raw}".strip("; "))
    if reading.pilot is Pilot.D and not evse.limits.ventilation:
        reported.setdefault(Fault.VENTILATION, "pilot D")
    if reading.pilot in CONNECTED and not evse.limits.attached_cable and evse.cable_a == 0:
        reported.setdefault(Fault.CABLE, "a car is connected, yet no cable is seen in the socket")
    return reported


def _pilot_note(evse: Evse, before: Pilot | None, reading: EvseReading) -> Note:
    text = f"EVSE {evse.id}: pilot {before or '-'} -> {reading.pilot}"
    return Note("info", "PilotChanged", text, (("EVSE", evse.id), ("STATE", str(reading.pilot))))
