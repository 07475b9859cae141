"""K: Smart charging, phase switching. Feeds an outlet by one phase or by three, as the charging profiles want it.

Rules kept here
* Never under load: the offer is withheld (a pause by the station, SuspendedEVSE), the contactor has opened, the meter
  sees no current any more; then `pause_s`, then the order, then, when the controller has done it, `pause_s` again. Cars
  have been destroyed by less. Whatever stays in the way for `EMPTY_S` calls it off.
* The same car sees it at most once in `every_s`; without a car it is done at once. What was called off is tried again
  after `every_s`, and after `TRIES` such failures, which are a fault, not before the next car.
* A restart in the middle of it does not shorten the pause after the switch.
* How many there are is what the controller tells. Until it has told, and while it is silent, nothing is switched.
* While nobody is authorized and a car is there, nothing is switched: who knows what the next one wants.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from agent.blocks.kept import Kept, number, text
from agent.blocks.station import Block, Facts, Out
from agent.core.deadlines import Deadlines
from agent.core.effects import Effect, Forget, Note, Remember, SwitchPhases
from agent.core.events import Event, EvseRead, Restored, Tick, Unplugged
from agent.core.evse import REQUESTING, Evse
from agent.core.faults import CONTROLLER_SILENT, Own
from agent.core.phases import Switching
from agent.core.supervision import FaultSeen
from agent.core.types import Instant
from drivers.api import Measurand

EMPTY_S = 60.0  # a car lets go within 3 s, else its controller opens under load after 6 s
OBEYED_S = 15.0  # an order is told back within two polls
TRIES = 3
LOAD_A, LOAD_W = 1.0, 150.0
FRESH_S = 10.0
SOURCE = TABLE = "phases"
EMPTYING, RESTING, ORDERED, SETTLING = "emptying", "resting", "ordered", "settling"


class Phases(Block):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._evses = [evse for evse in facts.evses.values() if evse.limits.switching is not None]
        self._goals: dict[int, int] = {}  # by EVSE that is being switched
        self._steps: dict[int, str] = {}
        self._failed: dict[int, int] = {}
        self._saw: dict[int, bool] = {}  # by EVSE: a car was there when the order was given
        self._ends = Deadlines()  # by EVSE: of its step
        self._again = Deadlines()  # by EVSE: not before

    def next_deadline(self) -> float | None:
        moments = (self._ends.next(), self._again.next())
        return min((at for at in moments if at is not None), default=None)

    def on_restored(self, e: Restored, now: Instant) -> Out:
        """A car that was in the middle of it when the process ended still gets its pause."""
        kept = Kept(e, TABLE)
        until = kept.rows(lambda _key, value: (text(value[0]), number(value[1])))
        yield from kept.forget()
        for key in until:
            yield Forget(TABLE, key)
        for evse in self._evses:
            boot, at = until.get(str(evse.id), ("", 0.0))
            if boot == now.boot and now.mono < at:
                self._goals[evse.id] = evse.limits.phases
                evse.switching = "the rest of a pause after a switch of phases"
                self._go(evse, SETTLING, min(at, now.mono + OBEYED_S + _rule(evse).pause_s))

    def on_read(self, e: EvseRead, _now: Instant) -> Out:
        evse = self._facts.evses[e.evse]
        if evse.limits.switching is not None:
            evse.phases_now = e.reading.phases
        return iter(())

    def on_unplugged(self, e: Unplugged, _now: Instant) -> Out:
        self._failed.pop(e.evse, None)
        self._again.clear(e.evse)
        return iter(())

    def on_tick(self, _e: Tick, now: Instant) -> Out:
        self._again.due(now.mono)
        for name in self._ends.due(now.mono):
            evse = next(evse for evse in self._evses if evse.id == name)
            yield from self._end_of_step(evse, _rule(evse), now)

    def derive(self, now: Instant) -> Iterator[Event | Effect]:
        for evse in self._evses:
            step = self._steps.get(evse.id)
            if step is None:
                yield from self._maybe_begin(evse, now)
            elif step == EMPTYING and _is_empty(evse, now):
                self._go(evse, RESTING, now.mono + _rule(evse).pause_s)
            elif step == RESTING and not _is_empty(evse, now):
                self._go(evse, EMPTYING, now.mono + EMPTY_S)
            elif step == ORDERED and evse.phases_now == self._goals[evse.id]:
                self._go(evse, SETTLING, now.mono + _rule(evse).pause_s)

    def _maybe_begin(self, evse: Evse, now: Instant) -> Iterator[Effect]:
        goal = evse.phases_wanted or evse.limits.phases
        if evse.phases_now in (None, goal) or evse.id in self._again or not self._may_begin(evse):
            return
        self._goals[evse.id] = goal
        evse.switching = f"switching to {_told(goal)}"
        self._go(evse, EMPTYING, now.mono + EMPTY_S)
        what = f"EVSE {evse.id}: switches from {_told(evse.phases)} to {_told(goal)}"
        yield Note("info", "Phases", what, (("EVSE", evse.id),))

    def _may_begin(self, evse: Evse) -> bool:
        if CONTROLLER_SILENT in evse.faults or self._failed.get(evse.id, 0) >= TRIES:
            return False
        running = evse.tx is None or (evse.tx.stop is None and not evse.tx.restored)
        return not evse.plugged or (evse.grant is not None and running)

    def _end_of_step(self, evse: Evse, rule: Switching, now: Instant) -> Iterator[Event | Effect]:
        step, goal = self._steps[evse.id], self._goals[evse.id]
        if step == RESTING and _is_empty(evse, now):
            self._go(evse, ORDERED, now.mono + OBEYED_S)
            self._saw[evse.id] = evse.plugged
            yield Remember(TABLE, str(evse.id), [now.boot, now.mono + OBEYED_S + rule.pause_s])
            yield SwitchPhases(evse.id, goal)
            return
        self._give_back(evse, now.mono + rule.every_s)
        if step in (ORDERED, SETTLING):
            yield Forget(TABLE, str(evse.id))
        if step == SETTLING:
            self._failed.pop(evse.id, None)
            yield FaultSeen(evse.id, Own.PHASES, SOURCE, None)
            return
        self._failed[evse.id] = self._failed.get(evse.id, 0) + 1
        why = "the controller did not do it" if step == ORDERED else "the outlet does not become free of load"
        what = f"EVSE {evse.id}: stays on {_told(evse.phases)}: {why}"
        yield Note("warning", "Phases", what, (("EVSE", evse.id), ("FAULT", str(Own.PHASES))))
        if self._failed[evse.id] == TRIES:
            yield FaultSeen(evse.id, Own.PHASES, SOURCE, f"{_told(goal)} wanted: {why}")

    def _go(self, evse: Evse, step: str, until: float) -> None:
        self._steps[evse.id] = step
        self._ends.set(evse.id, until)

    def _give_back(self, evse: Evse, again: float) -> None:
        """The car may have power again."""
        del self._steps[evse.id], self._goals[evse.id]
        evse.switching = ""
        saw = self._saw.pop(evse.id, True)
        if evse.plugged and saw:
            self._again.set(evse.id, again)

    HEARS: ClassVar = {Restored: "on_restored", EvseRead: "on_read", Unplugged: "on_unplugged", Tick: "on_tick"}


def _rule(evse: Evse) -> Switching:
    assert evse.limits.switching is not None
    return evse.limits.switching


def _is_empty(evse: Evse, now: Instant) -> bool:
    """Nothing is offered, the contactor is open, and a meter that tells sees no load."""
    closed = evse.contactor if evse.contactor is not None else evse.pilot in REQUESTING
    if evse.offer_a > 0 or closed or CONTROLLER_SILENT in evse.faults:
        return False
    if evse.meter is None or now.mono - evse.meter.at.mono > FRESH_S:
        return True
    samples = evse.meter.samples
    amps = [s.value for s in samples if s.measurand is Measurand.CURRENT_IMPORT]
    watts = [s.value for s in samples if s.measurand is Measurand.POWER_ACTIVE_IMPORT]
    return max(amps, default=0.0) < LOAD_A and max(watts, default=0.0) < LOAD_W


def _told(phases: int) -> str:
    return f"{phases} phase{'s' * (phases > 1)}"
