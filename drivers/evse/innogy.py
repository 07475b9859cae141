"""An innogy eBox (Modbus TCP): `mapped-evse` but for its three limits, one for each phase.

    [evse.controller]
    driver = "innogy-ebox"
    bus = "box"
    unit = 1

Rules kept: those of `mapped_evse`; each order goes to all three phases, and of the three limits that is told as held
which is the farthest from the order, so that one which was lost is given again.
No watchdog is known: when the agent dies the last order stands, and the station warns of it.
"""

from __future__ import annotations

import tomli

from drivers.api import EvseReading
from drivers.bus import Bus
from drivers.mapped_evse import Image, MappedEvse, Writes
from drivers.record import replace
from drivers.registers import decode
from drivers.regmap import parse_evse

PHASES = ("limit of L2", "limit of L3")  # rows of [info] below
MAP = """
vendor = "innogy"
model = "eBox"
source = "innogy eBox Modbus TCP registers, as a control program uses them"
table = "input"
tcp = { port = 502, unit = 1 }
max_gap = 0
write = 16

[identify]
"identity" = { at = 0, type = "string", words = 25 }

[pilot]                  # "A1", "B2", "C2" ...: the letter is the high byte; E is told with no car, too
at = 275
mask = 0xFF00
values = { 0x4100 = "A", 0x4200 = "B", 0x4300 = "C", 0x4400 = "D", 0x4500 = "E", 0x4600 = "F" }

[offer]
table = "holding"
type = "float32"
at = 1012
max = 32

[info]
"limit of L2" = { table = "holding", type = "float32", at = 1014 }
"limit of L3" = { table = "holding", type = "float32", at = 1016 }
"""


class InnogyEbox(MappedEvse):
    """One box: `unit` on `bus`."""

    def __init__(self, bus: Bus, unit: int = 1) -> None:
        super().__init__(bus, unit, parse_evse("innogy_ebox.toml", tomli.loads(MAP)))
        self._phases = [self.map.offer.row, *(row for row in self.map.info if row.key in PHASES)]
        self._ordered_a = 0.0

    def _writes(self, current_a: float) -> tuple[Writes, bool]:
        writes, pause = super()._writes(current_a)
        [(row, words)] = writes
        self._ordered_a = decode(row, words) or 0.0
        return [(phase, words) for phase in self._phases], pause

    def _work_out(self, image: Image) -> EvseReading:
        held = [decode(row, [image[row.table, row.at], image[row.table, row.at + 1]]) for row in self._phases]
        told = max((a for a in held if a is not None), key=lambda a: abs(a - self._ordered_a), default=None)
        return replace(super()._work_out(image), offered_a=told)
