"""Metering: which readings of a meter are believed, and whether the EV draws power.

Rules kept here: a register that goes backwards, or leaps further than the supply could deliver, is not believed until
the meter has said so `CONFIRMATIONS` times running (a swapped meter, a rollover); it is then taken as a new meter,
and a transaction in progress ends with the last value of the old one. A register that no meter can have counts for
nothing; a meter that says nothing credible for `INCREDIBLE_S` is a fault, for nothing may flow unmetered. Each reading
keeps the time at which it was read.

The first register after a restart goes on with the bill only when no more has been counted since the one that was
stored last (`agent.blocks.meter_memory`) than the supply could deliver. How long that was, the monotonic clock tells
within a power-up, UTC over one. Where neither knows, it is taken for no longer than it surely was: the time since
power-up and that between two stored registers. That can only bill too little, and a meter that tells its number needs
no clock: the same one is believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

from agent.blocks.meter_memory import MOST_APART_S
from agent.blocks.station import Block, Facts, Out
from agent.core.effects import Note
from agent.core.events import (
    DeviceFound,
    Event,
    MeterRead,
    MeterReplaced,
)
from agent.core.evse import Evse, MeterState, Transaction
from agent.core.supervision import FaultSeen
from agent.core.types import ClockQuality, Instant
from drivers.api import Fault, Measurand, Sample

CONFIRMATIONS = 3
CALM = 60  # readings believed in a row after which doubts are worth warnings again
OWN_W = 100.0  # what a charger may take for itself behind its meter, whatever the contactor does
MARGIN_WH = 200.0  # what may lie between two readings beyond the supply's limit: rounding of coarse meters
ROUNDING_WH = 0.5  # a register may seem to be so much lower than it was
NOMINAL_V = 230.0
DRAW_A, DRAW_W = 1.0, 100.0  # less than this for IDLE_S means that the EV has paused (IEC 61851-1 practice)
IDLE_S = 10.0
INCREDIBLE_S = 10.0
SOURCE = "register"
MOST_WH = 1e12
_ENERGY = Measurand.ENERGY_ACTIVE_IMPORT_REGISTER


class Metering(Block):
    """`knows`: whether the meter of this EVSE has told the number that it had before."""

    def __init__(self, facts: Facts, knows: Callable[[int], bool]) -> None:
        self._facts = facts
        self._knows = knows
        self._doubted: dict[int, list[float]] = {evse: [] for evse in facts.evses}
        self._agreed = dict.fromkeys(facts.evses, 0)  # readings that went on from one another
        self._highest_wh = dict.fromkeys(facts.evses, 0.0)  # of this meter: one that creeps backwards is found out, too
        self._calm = dict.fromkeys(facts.evses, 0)  # readings believed since one was doubted
        self._warnings = dict.fromkeys(facts.evses, CONFIRMATIONS)  # that are left until it has been calm
        self._replaced: set[int] = set()
        self._incredible_since: dict[int, float] = {}
        self._disbelieved: set[int] = set()  # EVSEs whose meter is a fault for it
        self._drew_at: dict[int, float] = dict.fromkeys(facts.evses, -IDLE_S)

    def on_read(self, e: MeterRead, now: Instant) -> Out:
        evse = self._facts.evses[e.evse]
        energy_wh = register(e.samples)
        if energy_wh is None or not self._plausible(evse, energy_wh, now):
            if energy_wh is not None:
                yield from self._doubt(evse, e, energy_wh, now)
            yield from self._disbelieve(evse, now)
            return
        self._calm[evse.id] += 1
        if self._calm[evse.id] == CALM:
            self._warnings[evse.id] = CONFIRMATIONS
        self._doubted[evse.id].clear()
        self._agreed[evse.id] += 1
        self._accept(evse, e, energy_wh, now)
        self._incredible_since.pop(evse.id, None)
        if evse.id in self._disbelieved:
            self._disbelieved.discard(evse.id)
            yield FaultSeen(evse.id, Fault.METER, SOURCE, None)

    def _disbelieve(self, evse: Evse, now: Instant) -> Iterator[Event]:
        since = self._incredible_since.setdefault(evse.id, now.mono)
        if since <= now.mono - INCREDIBLE_S and evse.id not in self._disbelieved:
            self._disbelieved.add(evse.id)
            yield FaultSeen(evse.id, Fault.METER, SOURCE, "its register cannot be right")

    def _accept(self, evse: Evse, e: MeterRead, energy_wh: float, now: Instant) -> None:
        evse.meter = MeterState(now, energy_wh, e.samples)
        self._highest_wh[evse.id] = max(energy_wh, self._highest_wh[evse.id])
        if evse.rest is None or evse.rest.energy_wh >= energy_wh or (evse.offer_a <= 0 and evse.open_since is not None):
            evse.rest = evse.meter
        if draws(e.samples):
            self._drew_at[evse.id] = now.mono
        evse.drawing = now.mono - self._drew_at[evse.id] < IDLE_S

    def _plausible(self, evse: Evse, energy_wh: float, now: Instant) -> bool:
        last = evse.meter
        if evse.id in self._replaced:
            self._replaced.discard(evse.id)
            self._highest_wh[evse.id] = energy_wh
            return True
        if last is None or last.at.boot != now.boot:
            return evse.tx is None or _continues(evse, evse.tx, energy_wh, now)
        least_wh = self._highest_wh[evse.id] - ROUNDING_WH
        return least_wh <= energy_wh <= last.energy_wh + _flowed_wh(evse, last.at.mono, now.mono)

    def _doubt(self, evse: Evse, e: MeterRead, energy_wh: float, now: Instant) -> Iterator[Event | Note]:
        doubted = self._doubted[evse.id]
        if doubted and not -ROUNDING_WH <= energy_wh - doubted[-1] <= MARGIN_WH:
            doubted.clear()
        doubted.append(energy_wh)
        level = "warning" if self._warnings[evse.id] else "debug"
        self._calm[evse.id], self._warnings[evse.id] = 0, max(self._warnings[evse.id] - 1, 0)
        old_wh = evse.meter.energy_wh if evse.meter else 0.0
        fields = (
            ("EVSE", evse.id),
            ("FAULT", str(Fault.METER)),
            ("REGISTER_WH", round(energy_wh)),
            ("EXPECTED_WH", round(old_wh)),
        )
        if len(doubted) < CONFIRMATIONS:
            yield Note(level, "MeterDoubted", f"EVSE {evse.id}: the meter's register leapt; reading again", fields)
            return
        doubted.clear()
        if evse.meter is None and evse.tx and energy_wh >= evse.tx.last_wh - 1 and self._knows(evse.id):
            self._replaced.add(evse.id)  # no clock tells for how long it counted: the same meter is believed
            yield MeterRead(evse.id, e.samples)
            return
        yield Note(level, "MeterReplaced", f"EVSE {evse.id}: the meter's register leapt for good: a new meter?", fields)
        proven = self._agreed[evse.id] >= CONFIRMATIONS  # else it was the first reading that lied
        leapt = "its register went back for good" if energy_wh < old_wh else "its register leapt for good"
        why = leapt if proven else ""
        yield MeterReplaced(evse.id, why)  # heard while evse.meter is still the old one
        yield MeterRead(evse.id, e.samples)

    def on_replaced(self, e: MeterReplaced, now: Instant) -> Out:
        # The other blocks hear this event in the same round and still need the old value; the next reading replaces it.
        self._replaced.add(e.evse)
        self._agreed[e.evse] = 0
        self._facts.evses[e.evse].rest = None
        return iter(())

    def on_found(self, e: DeviceFound, _now: Instant) -> Out:
        if e.device == "meter":
            self._doubted[e.evse].clear()
        return iter(())

    HEARS: ClassVar = {MeterRead: "on_read", MeterReplaced: "on_replaced", DeviceFound: "on_found"}


def _most_w(evse: Evse) -> float:
    """More than the supply of this EVSE can deliver."""
    return evse.limits.max_a * evse.limits.phases * NOMINAL_V * 1.2


def _flowed_wh(evse: Evse, since: float, until: float) -> float:
    """More than may have flowed in this time; what an open contactor lets through is the charger's own."""
    closed_s = until - since if evse.open_since is None else max(evse.open_since - since, 0.0)
    return (_most_w(evse) * closed_s + OWN_W * (until - since)) / 3600 + MARGIN_WH


def _continues(evse: Evse, tx: Transaction, energy_wh: float, now: Instant) -> bool:
    """The first register after a restart goes on with the bill: not below it, and no more above the one that was stored
    last than could flow since then. (A meter that was swapped meanwhile must not put its own past on the bill.)"""
    wh, at = tx.last_read or (tx.started_wh, tx.started_at)
    most_wh = wh + _most_w(evse) * _at_most_s(at, now) / 3600 + MARGIN_WH
    return tx.last_wh - 1 <= energy_wh <= max(most_wh, tx.last_wh + MARGIN_WH)


def _at_most_s(then: Instant, now: Instant) -> float:
    """Seconds from then to now; what is sure where no clock tells."""
    if then.boot == now.boot:
        return now.mono - then.mono
    known = min(then.quality, now.quality) is not ClockQuality.UNKNOWN
    return max(now.utc - then.utc if known else 0.0, now.mono + MOST_APART_S)


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
