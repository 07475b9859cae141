"""An ETEK EKEPC2 (EPC controller): `mapped-evse` but for its state while it is stopped, which another register tells.

    [evse.controller]
    driver = "etek"
    bus = "line1"
    unit = 255            # as it leaves the factory, for a line of its own; with others it needs an address of its own

Stopped by its master it says "emergency stop", whether or not a car is there; the voltage at its pilot tells the two
apart.

Rules kept: those of `mapped_evse`. Its duty cycle is ordered, 0.6 A for each percent. No watchdog is known: when the
agent dies the last order stands, and the station warns of it. What the states mean is told by one control program and
those who use it with such boards, not by the maker: the map is unverified.
"""

from __future__ import annotations

import tomli

from drivers.api import Pilot
from drivers.bus import Bus
from drivers.mapped_evse import Image, MappedEvse
from drivers.regmap import parse_evse

STATE, VOLTAGE = ("holding", 141), ("holding", 153)
STOPPED = 19
CONNECTED_FROM = 300  # of the pilot's voltage, in the board's own measure
MAP = """
vendor = "ETEK"
model = "EKEPC2"
source = "ETEK, RS485 communication of EKEPC2-C/S; its states as a control program uses them"
confidence = "unverified"
table = "holding"
serial = { baud = 9600 }
max_gap = 0

[pilot]                  # 0, starting, is not named, nor are faults from 6 on
at = 141
values = { 1 = "A", 2 = "F", 3 = "B", 4 = "B", 5 = "C" }

[offer]                  # 0.01 % of duty cycle
at = 109
scale = 0.006
max = 48

[enable]
at = 89
on = 1
off = 2

[faults]
other = { at = 141, values = [2] }

[info]
"pilot voltage" = { at = 153 }
"duty percent" = { at = 152 }
"""


class EtekEpc(MappedEvse):
    """One board: `unit` on `bus`."""

    def __init__(self, bus: Bus, unit: int = 1) -> None:
        super().__init__(bus, unit, parse_evse("etek.toml", tomli.loads(MAP)))

    def _pilot(self, image: Image) -> Pilot:
        if image[STATE] != STOPPED:
            return super()._pilot(image)
        return Pilot.B if image[VOLTAGE] >= CONNECTED_FROM else Pilot.A
