"""Heat: the hotter it gets, the less is offered, before it is too hot for anything (`Curve`).

Rules kept here
* The hottest of what meter and controller tell counts. A value that no sensor in a cabinet can have is none.
* Less at once, in whole amperes; more only when it is `HYSTERESIS_K` cooler, so that the offer does not flicker.
* At `stop_c` it is a fault, and stays one until it has cooled down to `until_c`.
* Whoever set a curve and has nothing that tells a temperature, or none any more, is told so, once. What was told last
  goes on counting: nobody knows whether it is cooler since.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import floor
from typing import ClassVar

from agent.blocks.station import Block, Facts, Out
from agent.core.deadlines import Deadlines
from agent.core.derating import Curve, Derated
from agent.core.effects import Note
from agent.core.events import Event, EvseRead, MeterRead
from agent.core.evse import MINIMUM_A, Evse
from agent.core.supervision import FaultSeen
from agent.core.types import Instant
from drivers.api import Fault, Measurand, Sample

SOURCE, METER = "the temperature", "meter"
HYSTERESIS_K = 2.0
COLDEST_C, HOTTEST_C = -60.0, 200.0
BLIND_AFTER = 10  # readings of the meter without a temperature
SILENT_S = 600.0  # a sensor has failed; slow registers are read far more often


class Heat(Block):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._told_c: dict[tuple[int, str], float] = {}  # by EVSE and device
        self._felt_c: dict[int, float] = {}  # what counts: follows a rise at once, a fall with hysteresis
        self._limit_a: dict[int, float | None] = {}
        self._hot: dict[int, None] = {}
        self._blind: dict[int, int] = {}
        self._lost = Deadlines()  # by EVSE: when its meter has told none for too long

    def on_meter(self, e: MeterRead, now: Instant) -> Out:
        yield from self._hear(e.evse, METER, _hottest(e.samples), now)
        for n in self._lost.due(now.mono):
            assert isinstance(n, int)
            text = f"EVSE {n}: its meter tells no temperature any more; {self._told_c[n, METER]:.0f} C was the last"
            yield _warning(n, text)

    def on_controller(self, e: EvseRead, now: Instant) -> Out:
        return self._hear(e.evse, "controller", e.reading.temperature_c, now)

    def _hear(self, n: int, device: str, value_c: float | None, now: Instant) -> Iterator[Event | Note]:
        evse = self._facts.evses[n]
        curve = evse.limits.derating
        if curve is None:
            return
        if value_c is not None and COLDEST_C <= value_c <= HOTTEST_C:
            self._told_c[n, device] = value_c
            if device == METER:  # a controller is heard only when something has changed
                self._lost.set(n, now.mono + SILENT_S)
            yield from self._feel(evse, curve, max(c for (m, _), c in self._told_c.items() if m == n))
        elif device == METER and not any(m == n for m, _ in self._told_c):
            self._blind[n] = self._blind.get(n, 0) + 1
            if self._blind[n] == BLIND_AFTER:
                text = f"EVSE {n}: [evse.derating] is set, yet neither meter nor controller tells a temperature"
                yield _warning(n, text)

    def _feel(self, evse: Evse, curve: Curve, hottest_c: float) -> Iterator[Event]:
        before_c = self._felt_c.get(evse.id, hottest_c)
        felt_c = self._felt_c[evse.id] = min(max(before_c, hottest_c), hottest_c + HYSTERESIS_K)
        limit_a = allowed(curve, evse.limits.max_a, felt_c)
        if limit_a != self._limit_a.get(evse.id):
            self._limit_a[evse.id] = limit_a
            yield Derated(evse.id, SOURCE, limit_a)
        if hottest_c >= curve.stop_c and evse.id not in self._hot:
            self._hot[evse.id] = None
            yield FaultSeen(
                evse.id, Fault.OVER_TEMPERATURE, "heat", f"{hottest_c:.0f} C, the limit is {curve.stop_c:g} C"
            )
        elif hottest_c <= curve.until_c and evse.id in self._hot:
            del self._hot[evse.id]
            yield FaultSeen(evse.id, Fault.OVER_TEMPERATURE, "heat", None)

    def felt(self, evse: int) -> tuple[float | None, float | None]:
        """The hottest that was told last, and the current that it leaves (None: no limit)."""
        told_c = [celsius for (n, _), celsius in self._told_c.items() if n == evse]
        return max(told_c, default=None), self._limit_a.get(evse)

    HEARS: ClassVar = {MeterRead: "on_meter", EvseRead: "on_controller"}


def _warning(evse: int, text: str) -> Note:
    return Note("warning", "DeratingBlind", text, (("EVSE", evse), ("FAULT", str(Fault.OVER_TEMPERATURE))))


def allowed(curve: Curve, max_a: float, temperature_c: float) -> float | None:
    """The current that this temperature leaves, in whole amperes; None: no limit."""
    if temperature_c <= curve.from_c:
        return None
    if temperature_c >= curve.until_c:
        return min(MINIMUM_A, max_a)
    share = (temperature_c - curve.from_c) / (curve.until_c - curve.from_c)
    return float(floor(max_a - share * (max_a - MINIMUM_A) + 1e-9))


def _hottest(samples: tuple[Sample, ...]) -> float | None:
    return max((s.value for s in samples if s.measurand is Measurand.TEMPERATURE), default=None)
