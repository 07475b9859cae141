"""The pilot is taken away from a sleeping car for some seconds. What the controller sees meanwhile is its own doing,
and not the car's: until the car has settled, its pilot is told as it was before. Pure: time is an argument."""

from __future__ import annotations

from drivers.api import EvseReading, Fault
from drivers.record import replace

SETTLES_S = 2.0


class Pulse:
    """One of them. Whoever began it asks at each poll whether it is `due` to end, and says so when it has ended."""

    __slots__ = ("_is_over", "_until", "before")

    def __init__(self, before: EvseReading, now: float, pulse_s: float) -> None:
        self.before, self._until, self._is_over = before, now + pulse_s, False

    def is_due(self, now: float) -> bool:
        return not self._is_over and now >= self._until

    def ended(self, now: float) -> None:
        self._is_over, self._until = True, now + SETTLES_S

    def is_past(self, now: float) -> bool:
        return self._is_over and now >= self._until

    def cover(self, reading: EvseReading) -> EvseReading:
        """The reading with the pilot that the car had."""
        faults = tuple(fault for fault in reading.faults if fault is not Fault.PILOT)
        return replace(reading, pilot=self.before.pilot, cable_a=self.before.cable_a, faults=faults)
