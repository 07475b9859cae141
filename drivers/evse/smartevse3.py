"""A SmartEVSE version 3 (Stegen) as a node: `mapped-evse` but for its orders, which all nodes of a line hear at once.

    [evse.controller]
    driver = "smartevse"
    bus = "line1"         # a serial line, on which the agent is the only master
    unit = 2              # 2 to 8: nodes 1 to 7 of its menu

Rules kept: those of `mapped_evse`; and
* one broadcast carries the currents of all nodes of its line, so those of one bus share one table of them, and no order
  takes away a neighbour's current; it is given every two seconds by whoever is due first, which keeps all from falling
  back;
* no one answers a broadcast: whether it arrived shows in what the node holds, and it is given again when that differs;
* a node asks before it connects a car, and again before it charges: the answer is yes while an order of 6 A or more
  stands; else it waits. With the yes its error "less than 6 A" is taken back, and no other.

A node that has heard nothing for 10 s takes the power away; some versions of its firmware do so in the modes Smart and
Solar only. Recalled, in no source: that a car is connected, and no more, in the modem's states (11 to 14).
"""

from __future__ import annotations

from collections.abc import Mapping
from weakref import WeakKeyDictionary

import tomli

from drivers.api import DriverError
from drivers.bus import Bus
from drivers.mapped_evse import Image, MappedEvse, Writes
from drivers.regmap import parse_evse

FIRST_NODE, LAST_NODE, ALL_NODES = 2, 8, 9
CURRENTS, FIRST_UNIT, COUNT = 0x0020, 1, 8  # of the master, then of each node
STATE, ERRORS, TEMPERATURE = (("holding", at) for at in (0x0000, 0x0001, 0x000A))
GRANTED: Mapping[int, int] = {4: 5, 6: 7}  # what it asks for -> yes
LESS_THAN_6_A = 0x0001
ZERO_C_IN_K = 273
MAP = """
vendor = "Stegen"
model = "SmartEVSE version 3 as a node"
source = "SmartEVSE registers of a node, and its firmware"
table = "holding"
serial = { baud = 9600, unit = 2 }
max_words = 12
max_gap = 8

[pilot]                  # 4 to 7: asks for B, may, asks for C, may; 8: wakes the car; 9, 10: B and C without power
at = 0x0000
[pilot.values]
0 = "A"
1 = "B"
2 = "C"
3 = "D"
4 = "B"
5 = "B"
6 = "C"
7 = "C"
8 = "B"
9 = "B"
10 = "C"
11 = "B"
12 = "B"
13 = "B"
14 = "B"

[offer]                  # what the node has taken from the broadcast
at = 0x0002
scale = 0.1
max = 80
repeat_s = 2

[watchdog]
timeout_s = 10

[failsafe]
current_a = 0

[faults]                 # 1, 2: too little current, no master; 32 differs between its versions
over-temperature = { at = 0x0001, bit = 2 }
dc-residual = { at = 0x0001, bit = 4 }

[info]
"errors" = { at = 0x0001 }
"temperature K" = { at = 0x000A }
"""


class Currents:
    """What the nodes of one line are given, in 0.1 A, and when they were told."""

    def __init__(self) -> None:
        self.wanted = [0] * COUNT
        self.told: list[int] | None = None
        self.told_at = 0.0


class SmartEvseNode(MappedEvse):
    """One node: `unit` on `bus`."""

    def __init__(self, bus: Bus, unit: int = FIRST_NODE) -> None:
        if not FIRST_NODE <= unit <= LAST_NODE:
            raise DriverError(f"unit {unit} is no SmartEVSE node; they have {FIRST_NODE} to {LAST_NODE}")
        super().__init__(bus, unit, parse_evse("smartevse.toml", tomli.loads(MAP)))
        self._currents = _LINES.setdefault(bus, Currents())

    async def _give(self, order: Writes) -> None:
        """Tell all nodes, unless a neighbour has told them just this, just now."""
        currents, repeat_s = self._currents, self.map.offer.repeat_s or 0
        [(_, [currents.wanted[self._unit - FIRST_UNIT]])] = order
        if currents.told != currents.wanted or self._now() - currents.told_at >= repeat_s:
            told, currents.told = list(currents.wanted), None
            await self._bus.broadcast(ALL_NODES, CURRENTS, told)
            currents.told, currents.told_at = told, self._now()
        self._ordered_at = currents.told_at

    def _keeps(self, order: Writes, image: Image) -> bool:
        """What did not arrive is told anew, at once."""
        kept = super()._keeps(order, image)
        if not kept:
            self._currents.told, self._ordered_at = None, -float("inf")
        return kept

    async def _heal(self, order: Writes, image: Image) -> None:
        await super()._heal(order, image)
        granted = GRANTED.get(image[STATE])
        if granted is not None and not self._paused and self._currents.told is not None:
            answer = [granted, image[ERRORS] & ~LESS_THAN_6_A]
            await self._try(self._bus.write(self._unit, STATE[1], answer))

    def _temperature_c(self, image: Image) -> float | None:
        kelvin = image[TEMPERATURE]
        return float(kelvin - ZERO_C_IN_K) if kelvin else None


_LINES: WeakKeyDictionary[Bus, Currents] = WeakKeyDictionary()
