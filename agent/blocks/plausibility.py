"""Plausibility: the energy that a meter counts, held against the power that it tells, over a quarter of an hour.

Rules kept here
* Power between two readings is a straight line; a pause of the readings, a new meter or a restart begins anew.
* Only what is far beyond rounding, coarse registers and the car's ups and downs speaks: a register that stands still
  while power flows, a wrong unit or transformer ratio, a meter that counts another line.
* It is a warning: the register is what is billed, and nobody can say from here which of the two is right.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from agent.blocks.station import Block, Facts, Out
from agent.core.events import Event, MeterReplaced
from agent.core.evse import Evse, MeterState
from agent.core.faults import Own
from agent.core.supervision import FaultSeen
from agent.core.types import Instant
from drivers.api import Measurand

SOURCE = "energy"
SPAN_S, SPAN_WH = 900.0, 500.0  # a window is judged when both have gone by
PAUSE_S = 45.0
SHARE, COARSE_WH = 0.15, 220.0  # the register's last digit may be a tenth of a kilowatt-hour, at both ends


class _Window:
    """Since `began`: what the power makes, `last` included."""

    __slots__ = ("began", "last", "made_wh")

    def __init__(self, began: MeterState) -> None:
        self.began = self.last = began
        self.made_wh = 0.0

    def add(self, meter: MeterState, power_w: float, before_w: float) -> None:
        self.made_wh += (power_w + before_w) / 2 * (meter.at.mono - self.last.at.mono) / 3600
        self.last = meter

    @property
    def counted_wh(self) -> float:
        return self.last.energy_wh - self.began.energy_wh

    @property
    def is_full(self) -> bool:
        span_s = self.last.at.mono - self.began.at.mono
        return span_s >= SPAN_S and max(self.made_wh, self.counted_wh) >= SPAN_WH

    @property
    def fits(self) -> bool:
        most_wh = max(self.made_wh, self.counted_wh)
        return abs(self.made_wh - self.counted_wh) <= SHARE * most_wh + COARSE_WH


class Plausibility(Block):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._windows: dict[int, _Window] = {}
        self._found: dict[int, None] = {}

    def on_replaced(self, e: MeterReplaced, _now: Instant) -> Out:
        self._windows.pop(e.evse, None)
        return iter(())

    def derive(self, _now: Instant) -> Iterator[Event]:
        for evse in self._facts.evses.values():
            window = self._windows.get(evse.id)
            if evse.meter is not None and (window is None or evse.meter is not window.last):
                yield from self._look(evse, evse.meter, window)

    def _look(self, evse: Evse, meter: MeterState, window: _Window | None) -> Iterator[Event]:
        power_w = _power_w(meter)
        before_w = None if window is None else _power_w(window.last)
        if power_w is None or before_w is None or window is None or not _follows(window.last, meter):
            self._windows[evse.id] = _Window(meter)
            return
        window.add(meter, power_w, before_w)
        if not window.is_full:
            return
        self._windows[evse.id] = _Window(meter)
        if window.fits and evse.id in self._found:
            del self._found[evse.id]
            yield FaultSeen(evse.id, Own.METER_IMPLAUSIBLE, SOURCE, None)
        elif not window.fits and evse.id not in self._found:
            self._found[evse.id] = None
            text = f"it counted {window.counted_wh:.0f} Wh, its power makes {window.made_wh:.0f} Wh"
            yield FaultSeen(evse.id, Own.METER_IMPLAUSIBLE, SOURCE, text)

    HEARS: ClassVar = {MeterReplaced: "on_replaced"}


def _follows(before: MeterState, after: MeterState) -> bool:
    return before.at.boot == after.at.boot and after.at.mono - before.at.mono <= PAUSE_S


def _power_w(meter: MeterState) -> float | None:
    found = (s.value for s in meter.samples if s.measurand is Measurand.POWER_ACTIVE_IMPORT and s.phase is None)
    return next(found, None)
