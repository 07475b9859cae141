"""The simulated station: its charging points on one clock that the caller moves. Pure, fast, the same for each seed.

`World(plan)`, then `advance(now_s)` as time goes by and the methods of each `ChargingPoint` as hands do things.
`on_event(now_s, evse, text)` hears what happens, for people.
"""

from __future__ import annotations

from collections.abc import Callable

from drivers.simulated.charging_point import ChargingPoint
from drivers.simulated.plan import SimEvse, SimStation

Hears = Callable[[float, int, str], None]


def nobody(_now_s: float, _evse: int, _text: str) -> None:
    return None


class World:
    def __init__(self, station: SimStation, on_event: Hears = nobody) -> None:
        self.station = station
        self.now_s = 0.0
        self.powered = True
        self.on_event = on_event
        self.points = {e.number: self._point(e) for e in station.evses}

    def _point(self, evse: SimEvse) -> ChargingPoint:
        seed = self.station.seed * 1000 + evse.number
        return ChargingPoint(evse, seed, lambda now_s, text: self.on_event(now_s, evse.number, text))

    def advance(self, now_s: float) -> None:
        """Let time go on until `now_s`; a time already past does nothing."""
        for point in self.points.values():
            point.advance(now_s)
        self.now_s = max(self.now_s, now_s)

    def next_deadline(self) -> float:
        return min((p.next_deadline() for p in self.points.values()), default=float("inf"))

    def power(self, on: bool) -> None:
        """Mains of the whole station: contactors drop, volatile orders are lost, meters keep their count."""
        self.powered = on
        self.on_event(self.now_s, 0, f"mains {'back' if on else 'gone'}")
        for point in self.points.values():
            point.power(on)

    def reset(self) -> None:
        """Cable out, faults gone, mains back, meters at their start."""
        if not self.powered:
            self.power(True)
        for point in self.points.values():
            point.reset()
