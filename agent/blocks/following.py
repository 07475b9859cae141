"""K: Smart charging, what may still flow after less was offered. `power` keeps it of a supply that several share.

Rules kept here
* A car may take `FOLLOW_S` to follow a lower offer (IEC 61851-1), and a contactor a moment to open. So long, what was
  offered before is held for it: until then at the latest, and no longer than until the contactor is open, or a reading
  of the meter that is newer than the order sees no more than the offer.
* A car that takes its time and then still takes more than it is offered holds its share for as long as the meter sees
  that: until it obeys, or has lost its power for it (`supervision`).
* Where nothing is offered any more and current flows on all the same (a contactor that is welded, or lies about being
  open), it stays held for as long as the meter sees it; without a fresh meter, for as long as the contactor is closed.
  A contactor that stays closed is kept in mind: current may come back.
"""

from __future__ import annotations

from agent.blocks.supervision import FLOW_A, FLOW_W, FOLLOW_S, overdraws
from agent.core.deadlines import Deadlines
from agent.core.evse import Evse, MeterState
from agent.core.faults import Own
from agent.core.types import Instant
from drivers.api import Measurand

FRESH_S = 30.0
LEAST_V = 207.0  # EN 50160; power alone may all flow in one phase, and at the lowest voltage
NEAR_A = 0.5  # what a meter sees more than the offer because it is not exact


class Following:
    def __init__(self) -> None:
        self._given: dict[int, float] = {}  # by EVSE: what was offered before less was
        self._since: dict[int, float] = {}
        self._until = Deadlines()

    def next(self) -> float | None:
        return self._until.next()

    def due(self, mono: float) -> None:
        self._until.due(mono)

    def lowered(self, evse: Evse, from_a: float, now: Instant) -> None:
        self._given[evse.id] = max(from_a, self._given.get(evse.id, 0.0))
        self._since[evse.id] = now.mono
        self._until.set(evse.id, now.mono + FOLLOW_S)

    def look(self, evse: Evse, now: Instant) -> None:
        """Forget what has been followed."""
        if evse.id not in self._given or self._flows(evse, now):
            return
        closed = evse.contactor is True or Own.CONTACTOR_WELDED in evse.faults
        if evse.offer_a > 0 or not closed:
            del self._given[evse.id], self._since[evse.id]
            self._until.clear(evse.id)

    def held_a(self, evse: Evse, now: Instant) -> float:
        """What may flow there still, whatever it is offered."""
        return self._given[evse.id] if evse.id in self._given and self._flows(evse, now) else 0.0

    def stays(self, evse: Evse) -> bool:
        """It had its time, so nobody knows how long it will be."""
        return evse.id in self._given and evse.id not in self._until

    def _flows(self, evse: Evse, now: Instant) -> bool:
        meter = self._witness(evse, now)
        if evse.offer_a > 0 and evse.id not in self._until:
            return meter is not None and overdraws(evse, evse.offer_a, meter.samples)
        seen_a = None if meter is None else _seen_a(meter)
        if evse.id in self._until:
            followed = seen_a is not None and seen_a <= max(evse.offer_a, FLOW_A) + NEAR_A
            return evse.open_since is None and not followed
        return evse.contactor is True if seen_a is None else seen_a >= FLOW_A

    def _witness(self, evse: Evse, now: Instant) -> MeterState | None:
        """A reading that is newer than the order."""
        fresh = evse.meter is not None and max(self._since[evse.id], now.mono - FRESH_S) < evse.meter.at.mono
        return evse.meter if fresh else None


def _seen_a(meter: MeterState) -> float | None:
    """In the phase that carries most; None when nobody knows."""
    currents = [s.value for s in meter.samples if s.measurand is Measurand.CURRENT_IMPORT and s.phase]
    if currents:
        return max(currents)
    powers = [s.value for s in meter.samples if s.measurand is Measurand.POWER_ACTIVE_IMPORT and s.phase is None]
    if not powers:
        return None
    return powers[0] / LEAST_V if powers[0] >= FLOW_W else 0.0
