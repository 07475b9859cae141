"""A controller's temperature, where its map tells one."""

from __future__ import annotations

import pytest

from drivers.bus import Bus
from drivers.mapped_evse import MappedEvse
from tests.drivers.evse_scene import play
from tests.drivers.register_wire import RegisterWire

STATE, TEMPERATURE = 5, 9  # of a Heidelberg


@pytest.mark.parametrize(("value", "celsius"), [(0, 0.0), (317, 31.7), (0xFF9C, -10.0), (856, 85.6)])
def test_a_heidelberg_tells_how_warm_it_is(value: int, celsius: float) -> None:
    async def scene(evse: MappedEvse, wire: RegisterWire, _bus: Bus) -> None:
        wire.tables["input"][STATE] = 2
        wire.tables["input"][TEMPERATURE] = value
        assert (await evse.read()).temperature_c == pytest.approx(celsius)

    play(scene, "heidelberg_ec")


def test_a_board_without_a_thermometer_tells_none() -> None:
    async def scene(evse: MappedEvse, _wire: RegisterWire, _bus: Bus) -> None:
        assert (await evse.read()).temperature_c is None

    play(scene)
