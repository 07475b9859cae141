"""Simulated controllers whose order is more than a map can say: what `drivers/evse/` drives, from the other end."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tomli

from drivers.evse import innogy, smartevse
from drivers.registers import Row, decode, encode
from drivers.regmap import parse_evse
from drivers.simulated.charging_point import ChargingPoint
from drivers.simulated.evse_registers import ControllerRegisters


class Ebox(ControllerRegisters):
    """A limit for each phase; what the pilot offers is the smallest of them."""

    def __init__(self, point: ChargingPoint) -> None:
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

    def __init__(self, point: ChargingPoint) -> None:
        super().__init__(parse_evse("edgetech-smartevse.toml", tomli.loads(smartevse.MAP)), point)

    def _offered(self, row: Row) -> list[int]:
        return [int(self.point.controller.order_a) * smartevse.TWICE]

    def _set_offer(self, row: Row, words: list[int]) -> bool:
        return super()._set_offer(row, [words[0] & 0xFF])


SPECIAL: Mapping[str, Callable[[ChargingPoint], ControllerRegisters]] = {
    "innogy-ebox": Ebox,
    "edgetech-smartevse": SmartEvse,
}
