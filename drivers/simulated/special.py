"""Simulated controllers whose order is more than a map can say: what `drivers/evse/` drives, from the other end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import tomli

from drivers.evse import etek, innogy, smartevse, smartevse3
from drivers.registers import Row, decode, encode
from drivers.regmap import parse_evse
from drivers.simulated.charging_point import ChargingPoint
from drivers.simulated.controller import LEAST_OFFER_A
from drivers.simulated.evse_registers import ILLEGAL_ADDRESS, ControllerRegisters

# Of a SmartEVSE node, by the pilot: it asks, it waits for current, it may.
NODE_STATES = {"B": (4, 9, 1), "C": (6, 10, 2)}
TOO_LITTLE, UNHEARD = 1, 2  # its errors


class Ebox(ControllerRegisters):
    """A limit for each phase; what the pilot offers is the smallest of them."""

    def __init__(self, point: ChargingPoint, _unit: int) -> None:
        found = parse_evse("innogy-ebox.toml", tomli.loads(innogy.MAP))
        self._limits = dict.fromkeys((found.offer.row, *(r for r in found.info if r.key in innogy.PHASES)), 0.0)
        super().__init__(found, point)

    def _writable(self) -> dict[tuple[str, int], tuple[Row, Callable[[Row, list[int]], bool]]]:
        return super()._writable() | {(row.table, row.at): (row, self._set_offer) for row in self._limits}

    def _ordered(self, row: Row) -> list[int]:
        return encode(row, self._limits[row])

    def _set_offer(self, row: Row, words: list[int]) -> bool:
        self._limits[row] = decode(row, words) or 0.0
        self.point.controller.order_a = min(self._limits.values())
        return True


class SmartEvse(ControllerRegisters):
    """Whole ampere, in both bytes of its order; the low one counts."""

    def __init__(self, point: ChargingPoint, _unit: int) -> None:
        super().__init__(parse_evse("edgetech-smartevse.toml", tomli.loads(smartevse.MAP)), point)

    def _offered(self, row: Row) -> list[int]:
        return [int(self.point.controller.order_a) * smartevse.TWICE]

    def _set_offer(self, row: Row, words: list[int]) -> bool:
        return super()._set_offer(row, [words[0] & 0xFF])


class Etek(ControllerRegisters):
    """Stopped by its master it says so, and its pilot's voltage whether a car is there."""

    def __init__(self, point: ChargingPoint, _unit: int) -> None:
        super().__init__(parse_evse("etek.toml", tomli.loads(etek.MAP)), point)

    def _pilot(self) -> list[int]:
        stopped = self.point.controller.order_a == 0 and self.point.pilot in "AB"
        return [etek.STOPPED] if stopped else super()._pilot()

    def fill(self, image: dict[int, int], rows: Sequence[Row]) -> None:
        super().fill(image, rows)
        if (at := etek.VOLTAGE[1]) in {row.at for row in rows}:
            image[at] = 0 if self.point.pilot == "A" else 900


class SmartEvseNode(ControllerRegisters):
    """A node asks before it connects a car and before it lets it charge, hears of its current by a call to all, and
    takes the power away when it has heard none for ten seconds."""

    calls = (smartevse3.ALL_NODES,)

    def __init__(self, point: ChargingPoint, unit: int) -> None:
        super().__init__(parse_evse("smartevse.toml", tomli.loads(smartevse3.MAP)), point)
        self._place = unit - smartevse3.FIRST_UNIT
        self._current_a = 0.0
        self._heard_s = point.now_s
        self._granted = self._errors = 0  # 1: connected, 2: charging
        point.controller.gate = False

    def touched(self) -> None:
        """Time has gone by, and the car may have moved."""
        if self.point.now_s - self._heard_s >= self.point.controller.watchdog_s:
            self._current_a, self._errors = 0.0, self._errors | UNHEARD
        if self._current_a < LEAST_OFFER_A:
            self._errors |= TOO_LITTLE * (self._granted > 0)
            self._granted = 0
        self._granted = min(self._granted, "ABC".find(self.point.pilot)) if self.point.pilot in "ABC" else 0
        self._act()

    def _act(self) -> None:
        controller = self.point.controller
        controller.order_a = self._current_a if self._granted else 0.0
        controller.gate = self._granted > 1
        self.point.settle()

    def _pilot(self) -> list[int]:
        letter = self.point.pilot
        if letter not in NODE_STATES:
            return super()._pilot()
        asks, waits, granted = NODE_STATES[letter]
        return [granted if self._granted >= granted else asks if self._current_a >= LEAST_OFFER_A else waits]

    def _offered(self, row: Row) -> list[int]:
        return encode(row, self._current_a)

    def fill(self, image: dict[int, int], rows: Sequence[Row]) -> None:
        super().fill(image, rows)
        errors, temperature = smartevse3.ERRORS[1], smartevse3.TEMPERATURE[1]
        if errors in {row.at for row in rows}:
            image[errors] = image.get(errors, 0) | self._errors
        image[temperature] = round(self.point.temperature_c) + smartevse3.ZERO_C_IN_K

    def write(self, table: str, address: int, words: Sequence[int]) -> int:
        if table != "holding" or (address, len(words)) not in ((smartevse3.CURRENTS, smartevse3.COUNT), (0, 2)):
            return ILLEGAL_ADDRESS
        if address == smartevse3.CURRENTS:
            self._current_a = words[self._place] / 10
            self._heard_s = self.point.now_s
            self._errors &= ~UNHEARD
            self.point.controller.touched(self.point.now_s)
        elif (state := NODE_STATES.get(self.point.pilot)) and words[0] == smartevse3.GRANTED[state[0]]:
            self._granted, self._errors = state[2], words[1]
        self._act()
        return 0


SPECIAL: Mapping[str, Callable[[ChargingPoint, int], ControllerRegisters]] = {
    "innogy-ebox": Ebox,
    "edgetech-smartevse": SmartEvse,
    "etek": Etek,
    "smartevse": SmartEvseNode,
}
