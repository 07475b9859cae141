"""Boards that are ordered in watts: no phase gets more than was ordered, however many phases the car uses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import tomli

from drivers.api import OrdersPower
from drivers.mapfile import MapError
from drivers.regmap import load_evse, map_names, parse_evse
from tests.drivers.evse_scene import play as play_reference
from tests.drivers.test_evse_story import Rig
from tests.drivers.virtual_time import run

IN_WATTS = [name for name in map_names("evse") if load_evse(name).offer.watts]
BOARD = """
vendor = "V"
model = "M"
source = "S"
[pilot]
at = 1
values = { 1 = "A" }
[offer]
at = 2
unit = "W"
max = %s
"""


def play(name: str, car_phases: int, scene: Callable[[Rig], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        rig = Rig(name)
        rig.point.draw(63.0, car_phases, None)
        rig.point.plug_in("auto")
        await rig.poll(0.0)
        await scene(rig)

    run(main())


async def order(rig: Rig, current_a: float, phases: int) -> float:
    """What each phase then carries."""
    assert isinstance(rig.evse, OrdersPower)
    rig.evse.share(phases)
    await rig.evse.offer(current_a)
    await rig.poll(10.0)
    return rig.point.amps


@pytest.mark.parametrize("name", IN_WATTS)
@pytest.mark.parametrize("car_phases", [1, 2, 3])
def test_no_phase_carries_more_than_ordered_and_all_of_it_once_the_phases_are_known(name: str, car_phases: int) -> None:
    async def scene(rig: Rig) -> None:
        assert await order(rig, 20.0, 1) == pytest.approx(20.0 / car_phases, abs=0.5)
        if car_phases > 1:
            assert await order(rig, 20.0, car_phases) == pytest.approx(20.0, abs=0.5)
        assert rig.point.amps <= 20.0

    play(name, car_phases, scene)


@pytest.mark.parametrize("name", IN_WATTS)
def test_what_is_read_back_is_the_order_however_many_share_it(name: str) -> None:
    async def scene(rig: Rig) -> None:
        for phases in (1, 3, 2):
            await order(rig, 20.0, phases)
            assert (await rig.poll(0.0)).offered_a == pytest.approx(20.0, abs=0.5)

    play(name, 3, scene)


@pytest.mark.parametrize("name", IN_WATTS)
def test_an_order_that_was_lost_is_noticed(name: str) -> None:
    async def scene(rig: Rig) -> None:
        await order(rig, 20.0, 3)
        rig.point.controller.order_a = 30.0
        assert (await rig.poll(0.0)).offered_a != pytest.approx(20.0, abs=1.0)

    play(name, 3, scene)


def test_a_board_that_is_ordered_in_ampere_needs_not_know() -> None:
    async def scene(evse: Any, _wire: Any, _bus: Any) -> None:
        await asyncio.sleep(0)
        assert not isinstance(evse, OrdersPower)

    play_reference(scene)


def test_a_register_in_watts_must_hold_the_most_on_three_phases() -> None:
    assert parse_evse("evse/x.toml", tomli.loads(BOARD % 80)).offer.max_a == 80
    with pytest.raises(MapError, match=r"\[offer\] max: is 32, too much for a register of type int16"):
        parse_evse("evse/x.toml", tomli.loads(BOARD % 32 + 'type = "int16"\nscale = 0.5\n'))


def test_a_fail_safe_in_watts_is_that_of_one_phase() -> None:
    found = load_evse("delta_ac_max").failsafe
    assert found is not None
    assert found.row is not None
    assert found.row.divide == 230.0
