"""Heat, end to end: a hot board is offered less, then nothing; people are told why."""

from __future__ import annotations

from tests.conformance.ledger import begun, status
from tests.end_to_end.agent_helpers import CARD, charger, eventually

CURVE = "[evse.derating]\nfrom_c = 60\nuntil_c = 75\nstop_c = 85"


async def test_heat_takes_current_away_step_by_step_then_all_of_it_until_it_has_cooled_down() -> None:
    async with charger("2.0.1", evse_map="heidelberg_ec", max_a=16.0, attached_a=16.0, evse_tables=CURVE) as c:
        point = c.hw.world.points[1]
        await c.ready()
        await c.tap(CARD, 1)
        await c.do("plug-in", evse=1)
        await begun(c.csms, evse=1)
        await c.charging(1)

        async def explained() -> bool:
            point.temperature_c = 68.0  # it would cool down by itself
            evse = (await c.status())["evses"][0]
            return "the temperature" in evse["explanation"] and evse["offer_a"] == evse["temperature_limit_a"] < 16

        await eventually(explained, "a lower offer, and why")
        point.temperature_c = 110.0
        await status(c.csms, "Faulted", 1)
        await c.wait("offered-ma", "0")
        point.temperature_c = 20.0

        async def rests() -> bool:
            return str((await c.status())["evses"][0]["explanation"]) == "0 A: a rest after a fault"

        await eventually(rests, "no fault any more, and half a minute of rest")
