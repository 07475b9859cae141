"""Waking: cars that fell asleep while nothing was offered, and do not notice that power is back.

Rules kept here
* Only where it is configured. Only a car that is connected and does not ask for power although it is offered again:
  after a pause in the middle of its charge, or after it had to wait for `LONG_S` before its first offer.
* A car that stopped by itself while it could go on is full, or has plans of its own: it is left alone.
* At most `tries` for each offer that returns, and `MOST` for each car.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from agent.blocks.station import Block, Facts, Out
from agent.core.deadlines import Deadlines
from agent.core.effects import Note, WakeCar
from agent.core.events import Tick
from agent.core.evse import REQUESTING, Evse
from agent.core.phases import WakeUp
from agent.core.types import Instant
from drivers.api import Pilot

LONG_S = 60.0
MOST = 10


class _Car:
    __slots__ = ("asked", "content", "left", "poor_since", "pulses")

    def __init__(self) -> None:
        self.asked = self.content = False
        self.poor_since: float | None = None  # connected, and nothing is offered
        self.left = self.pulses = 0


class Waking(Block):
    def __init__(self, facts: Facts) -> None:
        self._evses = [evse for evse in facts.evses.values() if evse.limits.wake_up is not None]
        self._cars = {evse.id: _Car() for evse in self._evses}
        self._deadlines = Deadlines()

    def next_deadline(self) -> float | None:
        return self._deadlines.next()

    def derive(self, now: Instant) -> Out:
        for evse in self._evses:
            if not evse.plugged:
                self._cars[evse.id] = _Car()
                self._deadlines.clear(evse.id)
            else:
                self._look(evse, self._cars[evse.id], now)
        return iter(())

    def _look(self, evse: Evse, car: _Car, now: Instant) -> None:
        if evse.pilot is not Pilot.B:
            if evse.pilot in REQUESTING:
                car.asked, car.content, car.poor_since = True, False, None
            self._deadlines.clear(evse.id)
        elif evse.offer_a <= 0:
            car.poor_since = now.mono if car.poor_since is None else car.poor_since
            self._deadlines.clear(evse.id)
        elif car.poor_since is not None:
            waited_s, car.poor_since = now.mono - car.poor_since, None
            if not car.content and (car.asked or waited_s >= LONG_S):
                car.left = _rule(evse).tries
                self._deadlines.set(evse.id, now.mono + _rule(evse).after_s)
        elif car.asked and evse.id not in self._deadlines:
            car.content = True

    def on_tick(self, _e: Tick, now: Instant) -> Iterator[WakeCar | Note]:
        due = self._deadlines.due(now.mono)
        for evse in self._evses:
            if evse.id in due:
                yield from self._wake(evse, self._cars[evse.id], now)

    def _wake(self, evse: Evse, car: _Car, now: Instant) -> Iterator[WakeCar | Note]:
        if not car.left or car.pulses >= MOST:
            return
        car.left -= 1
        car.pulses += 1
        text = (
            f"EVSE {evse.id}: the car sleeps through an offer of {evse.offer_a:g} A; wakes it ({car.left} tries left)"
        )
        yield Note("info", "WakeUp", text, (("EVSE", evse.id),))
        yield WakeCar(evse.id)
        if car.left:
            self._deadlines.set(evse.id, now.mono + _rule(evse).after_s)

    HEARS: ClassVar = {Tick: "on_tick"}


def _rule(evse: Evse) -> WakeUp:
    assert evse.limits.wake_up is not None
    return evse.limits.wake_up
