"""Metering: which readings of a meter are believed, and whether the EV draws power.

Rules kept here: a register that goes backwards, or leaps further than the supply could deliver, is not believed until
the meter has said so `CONFIRMATIONS` times running (a swapped meter, a rollover); it is then taken as a new meter,
and a transaction in progress ends with the last value of the old one. A register that no meter can have counts for
nothing; a meter that says nothing credible for `INCREDIBLE_S` is a fault, for nothing may flow unmetered. Each reading
keeps the time at which it was read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

from agent.blocks.station import Block, Facts, Out
from agent.core.effects import Note
from agent.core.events import (
    DeviceFound,
    Event,
    FaultCleared,
    FaultRaised,
    MeterRead,
    MeterReplaced,
)
from agent.core.evse import Evse, MeterState, Transaction
from agent.core.types import ClockQuality, Instant
from drivers.api import Fault, Measurand, Sample

CONFIRMATIONS = 3
RESTART_MARGIN_WH = 1000.0  # the same over a restart, when clocks may have been set meanwhile
MARGIN_WH = 200.0  # what may lie between two readings beyond the supply's limit: rounding of coarse meters
NOMINAL_V = 230.0
DRAW_A, DRAW_W = 1.0, 100.0  # less than this for IDLE_S means that the EV has paused (IEC 61851-1 practice)
IDLE_S = 10.0
INCREDIBLE_S = 10.0
MOST_WH = 1e12
_ENERGY = Measurand.ENERGY_ACTIVE_IMPORT_REGISTER


class Metering(Block):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._doubted: dict[int, list[float]] = {evse: [] for evse in facts.evses}
        self._replaced: set[int] = set()
        self._incredible_since: dict[int, float] = {}
        self._drew_at: dict[int, float] = dict.fromkeys(facts.evses, -IDLE_S)

    def on_read(self, e: MeterRead, now: Instant) -> Out:
        evse = self._facts.evses[e.evse]
        energy_wh = register(e.samples)
        if energy_wh is None or not self._plausible(evse, energy_wh, now):
            if energy_wh is not None:
                yield from self._doubt(evse, e, energy_wh, now)
            yield from self._disbelieve(evse, now)
            return
        self._doubted[evse.id].clear()
        self._accept(evse, e, energy_wh, now)
        if self._incredible_since.pop(evse.id, now.mono) <= now.mono - INCREDIBLE_S:
            yield FaultCleared(evse.id, Fault.METER)

    def _disbelieve(self, evse: Evse, now: Instant) -> Iterator[Event]:
        since = self._incredible_since.setdefault(evse.id, now.mono)
        if since <= now.mono - INCREDIBLE_S and Fault.METER not in evse.faults:
            yield FaultRaised(evse.id, Fault.METER, "its register cannot be right")

    def _accept(self, evse: Evse, e: MeterRead, energy_wh: float, now: Instant) -> None:
        evse.meter = MeterState(now, energy_wh, e.samples)
        if draws(e.samples):
            self._drew_at[evse.id] = now.mono
        evse.drawing = now.mono - self._drew_at[evse.id] < IDLE_S

    def _plausible(self, evse: Evse, energy_wh: float, now: Instant) -> bool:
        last = evse.meter
        if evse.id in self._replaced:
            self._replaced.discard(evse.id)
            return True
        if last is None or last.at.boot != now.boot:
            return evse.tx is None or _continues(evse, evse.tx, energy_wh, now)
        most_wh = _most_w(evse) * (now.mono - last.at.mono) / 3600 + MARGIN_WH
        return last.energy_wh - 0.5 <= energy_wh <= last.energy_wh + most_wh

    def _doubt(self, evse: Evse, e: MeterRead, energy_wh: float, now: Instant) -> Iterator[Event | Note]:
        doubted = self._doubted[evse.id]
        if doubted and not -0.5 <= energy_wh - doubted[-1] <= MARGIN_WH:
            doubted.clear()
        doubted.append(energy_wh)
        old_wh = evse.meter.energy_wh if evse.meter else 0.0
        fields = (
            ("EVSE", evse.id),
            ("FAULT", str(Fault.METER)),
            ("REGISTER_WH", round(energy_wh)),
            ("EXPECTED_WH", round(old_wh)),
        )
        if len(doubted) < CONFIRMATIONS:
            yield Note("warning", "MeterDoubted", f"EVSE {evse.id}: the meter's register leapt; reading again", fields)
            return
        doubted.clear()
        yield Note(
            "warning", "MeterReplaced", f"EVSE {evse.id}: the meter's register leapt for good: a new meter?", fields
        )
        yield MeterReplaced(evse.id)  # heard while evse.meter is still the old one
        yield MeterRead(evse.id, e.samples)

    def on_replaced(self, e: MeterReplaced, now: Instant) -> Out:
        # The other blocks hear this event in the same round and still need the old value; the next reading replaces it.
        self._replaced.add(e.evse)
        return iter(())

    def on_found(self, e: DeviceFound, _now: Instant) -> Out:
        if e.device == "meter":
            self._doubted[e.evse].clear()
        return iter(())

    HEARS: ClassVar = {MeterRead: "on_read", MeterReplaced: "on_replaced", DeviceFound: "on_found"}


def _most_w(evse: Evse) -> float:
    """More than the supply of this EVSE can deliver."""
    return evse.limits.max_a * evse.limits.phases * NOMINAL_V * 1.2


def _continues(evse: Evse, tx: Transaction, energy_wh: float, now: Instant) -> bool:
    """The first register after a restart goes on with the bill: not below it, and no more above its start than could
    flow since then. (A meter that was swapped meanwhile must not put its own past on the bill.)"""
    took_s = _since(tx.started_at, now)
    most_wh = math.inf if took_s is None else tx.started_wh + _most_w(evse) * took_s / 3600 + RESTART_MARGIN_WH
    return tx.last_wh - 1 <= energy_wh <= max(most_wh, tx.last_wh + RESTART_MARGIN_WH)


def _since(then: Instant, now: Instant) -> float | None:
    """Seconds from then to now; None when no clock tells."""
    if then.boot == now.boot:
        return now.mono - then.mono
    known = min(then.quality, now.quality) is not ClockQuality.UNKNOWN
    return max(now.utc - then.utc, 0.0) if known else None


def register(samples: tuple[Sample, ...]) -> float | None:
    """The lifetime import register in Wh; None when the meter tells none, or one that cannot be."""
    found = next((s.value for s in samples if s.measurand is _ENERGY and s.phase is None), None)
    return found if found is not None and 0 <= found < MOST_WH else None


def draws(samples: tuple[Sample, ...]) -> bool:
    """The EV takes power: by the meter's power where it tells it, else by its currents."""
    power = [s.value for s in samples if s.measurand is Measurand.POWER_ACTIVE_IMPORT and s.phase is None]
    if power:
        return power[0] >= DRAW_W
    currents = [s.value for s in samples if s.measurand is Measurand.CURRENT_IMPORT]
    return any(value >= DRAW_A for value in currents) if currents else True
