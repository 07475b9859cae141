"""The smartEVSE board of edgetech: `mapped-evse` but for its order, which holds the current twice.

    [evse.controller]
    driver = "edgetech-smartevse"
    bus = "line1"
    unit = 1

The low byte of its order is the current that it allows, the high byte the current until the next second; both are whole
ampere, and both are given alike.

Rules kept: those of `mapped_evse`. No watchdog is known: when the agent dies the last order stands, and the station
warns of it.
"""

from __future__ import annotations

import tomli

from drivers.bus import Bus
from drivers.mapped_evse import MappedEvse, Writes
from drivers.regmap import parse_evse

TWICE = 0x0101
MAP = """
vendor = "edgetech"
model = "smartEVSE"
source = "smartEVSE Modbus registers of the board's maker, as a control program uses them"
table = "input"
serial = { baud = 9600, unit = 1 }
max_gap = 0

[identify]
"firmware" = { at = 0x0005 }

[pilot]                  # 0, "not known", is not named
at = 0x0103
mask = 0x00FF
values = { 1 = "A", 2 = "B", 3 = "C" }

[offer]
table = "holding"
at = 0x0201
max = 32
readback = false
repeat_s = 10

[info]
"advertised" = { at = 0x0102 }
"temperature C" = { at = 0x0104 }
"""


class EdgetechSmartEvse(MappedEvse):
    """One board: `unit` on `bus`."""

    def __init__(self, bus: Bus, unit: int = 1) -> None:
        super().__init__(bus, unit, parse_evse("edgetech_smartevse.toml", tomli.loads(MAP)))

    def _writes(self, current_a: float) -> tuple[Writes, bool]:
        writes, pause = super()._writes(current_a)
        return [(row, [words[0] * TWICE]) for row, words in writes], pause
