"""K: Smart charging, controllers that are ordered in watts. Which phases of a car share what is ordered.

Rules kept here
* As long as nobody knows, one phase may carry all of it: none gets more than the limit, whatever the car does.
* The meter tells, once a car draws: a phase counts that carries nearly as much as the one that carries most. Fewer are
  believed at once, and kept while the car rests. A new car begins anew.
* Three phases that share what one may carry have less than 6 A each when that is less than 18 A, and then no car begins
  on them. Where it is nearly enough (16 A: such a breaker carries 18 A for an hour) and nothing flows for `BEGIN_S`,
  the least with which three phases begin is ordered until the meter has told; never where it would not tell.
"""

from __future__ import annotations

from agent.blocks.shares import Cap
from agent.core.deadlines import Deadlines
from agent.core.evse import MINIMUM_A, REQUESTING, Evse
from agent.core.types import Instant
from drivers.api import Measurand, Phase

LINES = (Phase.L1, Phase.L2, Phase.L3)
DRAWS_A = 1.5  # more than what a charger may take for itself behind its meter
LIKE_MOST = 0.8
BEGIN_S = 30.0
FRESH_S = 10.0
LEAST_A = len(LINES) * MINIMUM_A  # on one phase: the power with which three begin
NEARLY_A = LEAST_A / 1.13  # a breaker of this rating carries that for an hour, IEC 60898-1
ONE_CARRIES = "as if one phase carried all, until the meter has told"


class Watts:
    """Of those EVSEs whose controller is ordered in watts. `shares`: by EVSE, how many phases share its order."""

    def __init__(self) -> None:
        self.shares: dict[int, int] = {}
        self._used: dict[int, int] = {}  # by EVSE: as the meter has told
        self._waits = Deadlines()
        self._begins: dict[int, None] = {}

    def next(self) -> float | None:
        return self._waits.next()

    def look(self, evse: Evse, now: Instant) -> None:
        """What has become known of its car."""
        if not evse.plugged:
            self._used.pop(evse.id, None)
        elif (used := _used(evse, now)) is not None:
            self._used[evse.id] = used
        if not evse.plugged or self._known(evse) is not None:
            self._begins.pop(evse.id, None)
            self._waits.clear(evse.id)
        elif (at := self._waits.get(evse.id)) is not None and at <= now.mono:
            self._begins[evse.id] = None
            self._waits.clear(evse.id)

    def order(self, evse: Evse, cap: Cap, now: Instant) -> Cap:
        """What is ordered where this may be offered, and why."""
        offer_a, why = cap
        known, nearly = self._known(evse), NEARLY_A <= offer_a < LEAST_A and len(_amps(evse, now)) > 1
        if evse.id in self._begins and nearly:
            self.shares[evse.id] = len(LINES)
            return MINIMUM_A, f"{MINIMUM_A:g} A: three phases begin with it, until the meter has told; then {why}"
        if known is None and nearly:
            self._waits.keep(evse.id, now.mono + BEGIN_S)
        else:
            self._waits.clear(evse.id)
        self.shares[evse.id] = known or 1
        rests_on = ONE_CARRIES if known is None else f"on {known} phase{'s' * (known > 1)}"
        return offer_a, f"{why}, ordered in watts {rests_on}" if offer_a > 0 else why

    def rest(self, evse: Evse) -> None:
        """Nothing is ordered, so nothing is waited for."""
        self._waits.clear(evse.id)

    def _known(self, evse: Evse) -> int | None:
        return 1 if evse.phases == 1 else self._used.get(evse.id)


def _used(evse: Evse, now: Instant) -> int | None:
    """How many phases carry the car's current; None: it draws none, or the meter does not tell it by phases."""
    amps = _amps(evse, now) if evse.pilot in REQUESTING else []
    most_a = max(amps, default=0.0)
    return sum(a >= LIKE_MOST * most_a for a in amps) if most_a >= DRAWS_A else None


def _came_at(evse: Evse, now: Instant) -> float:
    """Since when the car is here; one whose transaction is older than this process was here before it."""
    began = evse.tx.started_at if evse.tx is not None else None
    if began is None:
        return evse.plugged_at
    return min(evse.plugged_at, began.mono) if began.boot == now.boot else 0.0


def _amps(evse: Evse, now: Instant) -> list[float]:
    """Of each phase, by a reading that is younger than the car, and not old."""
    meter = evse.meter
    if meter is None or meter.at.mono < max(_came_at(evse, now), now.mono - FRESH_S):
        return []
    return [s.value for s in meter.samples if s.measurand is Measurand.CURRENT_IMPORT and s.phase in LINES]
