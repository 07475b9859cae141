"""A whole session with each controller that is a driver in Python, and with one that is ordered in watts: the real
agent, and the board that `chargepoint simulate` makes of the same configuration."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.csms import PATIENCE_S
from tests.conformance.ledger import begun, over, status
from tests.end_to_end import agent_helpers
from tests.end_to_end.agent_helpers import CARD, Charger, charger

SPECIAL = """
[[evse]]
id = {n}
cable = "attached"
cable_a = 32
max_current_a = {max_a:g}
[evse.controller]
CONTROLLER
poll_ms = {poll_ms}
[evse.meter]
{meter}
bus = "line{line}"
unit = 17
poll_ms = 250
[[reader]]
driver = "rdm6300"
port = "{folder}/reader{n}"
evses = [{n}]
again_after_s = 0.5
"""
ON_LINE = 'driver = "{}"\nbus = "line{{line}}"\nunit = 2'
CONTROLLERS = {
    "openevse": 'driver = "openevse"\noptions = {{ port = "{folder}/rapi" }}',
    **{name: ON_LINE.format(name) for name in ("innogy-ebox", "edgetech-smartevse", "etek", "smartevse")},
}
WATTS = 'map = "delta_ac_max"\nbus = "line{line}"\nunit = 2'


def use(controller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_helpers, "_EVSE", SPECIAL.replace("CONTROLLER", controller))


async def charging(c: Charger) -> None:
    await c.ready()
    await c.tap(CARD, 1)
    await c.do("plug-in", evse=1)
    await begun(c.csms, evse=1)
    await c.charging(1)


@pytest.mark.parametrize("driver", list(CONTROLLERS))
async def test_a_session_is_charged_billed_and_ended(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(CONTROLLERS[driver], monkeypatch)
    async with charger("2.0.1", max_a=16.0) as c:
        await charging(c)
        await c.wait("drawn-ma", "16000" if driver != "etek" else "15996")
        await c.tap(CARD, 1)
        charge = await over(c.csms, evse=1)
        assert charge.ended_wh == pytest.approx(await c.meter_wh(), abs=0.5)
        assert await c.see("contactor") == "open"
        await c.do("unplug", evse=1)
        await status(c.csms, "Available", 1)


@pytest.mark.parametrize("phases", [1, 3])
async def test_watts_are_ordered_for_the_phases_that_the_car_uses(phases: int, monkeypatch: pytest.MonkeyPatch) -> None:
    use(WATTS, monkeypatch)
    async with charger("2.0.1", max_a=20.0) as c:
        await c.do("ev-draw", evse=1, amps=32, phases=phases)
        await charging(c)
        most_ma = drawn_ma = 0
        async with asyncio.timeout(PATIENCE_S):
            while drawn_ma < 19_900:
                drawn_ma = int(await c.see("drawn-ma"))
                most_ma = max(most_ma, drawn_ma)
                await asyncio.sleep(0.1)
        assert most_ma <= 20_000
        assert f"ordered in watts on {phases} phase" in (await c.status())["evses"][0]["explanation"]
