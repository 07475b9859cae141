"""The real process is killed before each commit and between each commit and what follows from it, again and again.

One charger, one file, one story without end: cards are tapped, cars come and go, and every life of the agent ends by
SIGKILL at the next boundary of its store (`crash_launcher`). A service manager would start it again; so does this. At
the end the central system has every transaction once, without a gap, and every watt-hour of the meter in one of them.
"""

from __future__ import annotations

import asyncio
import signal
from itertools import pairwise
from pathlib import Path

import pytest

from tests.conformance.ledger import Charge, charges
from tests.end_to_end.agent_helpers import Charger, charger, until

LAUNCHER = Path(__file__).with_name("crash_launcher.py")
ORDER = [1, 3, *(n for low in range(5, 12) for n in (low, low + 7))]  # the first are of the start; short lives and long
BOUNDARIES = len(ORDER)
LIFE_S = 5.0  # a life whose boundary never comes is killed wherever it is then
EACH_WH = 1.2  # two roundings to whole watt-hours


async def live(c: Charger, boundary: int) -> bool:
    """One life, killed at this boundary; True when it really came to it."""
    c.environ["CRASH_AT"] = str(boundary)
    mark = c.csms.mark()
    await c.start()
    hands = asyncio.ensure_future(people(c, mark))
    try:
        code = await c.exit_code(LIFE_S)
    except TimeoutError:
        code = 0
        await c.end(signal.SIGKILL)
    finally:
        hands.cancel()
        await asyncio.gather(hands, return_exceptions=True)
    return code == -signal.SIGKILL


async def people(c: Charger, mark: int) -> None:
    """Whoever is there does the next thing: plug in and tap; or, when something was charged, tap and unplug."""
    await c.csms.hear("BootNotification", mark)
    await asyncio.sleep(0.4)  # nobody taps before the lamp is on
    point = c.hw.world.points[1]
    if point.car is None:
        await c.do("plug-in")
        await c.tap()
        return
    if not any(charge.ended is None for charge in charges(c.csms)):
        await c.tap()  # the card was read by nobody
    came_wh = charges(c.csms)[-1].started_wh if charges(c.csms) else 0.0
    await until(lambda: point.meter.energy_wh > came_wh + 2, "energy")
    await c.tap()
    await asyncio.sleep(1.4)
    await c.do("unplug")


async def sweep(version: str) -> None:
    async with charger(version, start=False, variables={"SampledDataCtrlr.TxUpdatedInterval": 3}) as c:
        first_wh = await c.meter_wh()
        c.program = (str(LAUNCHER), "run", "--config", str(c.config))
        reached = [await live(c, boundary) for boundary in ORDER]
        del c.environ["CRASH_AT"]
        mark = c.csms.mark()
        await c.start()
        await c.csms.hear("BootNotification", mark)
        if c.hw.world.points[1].car is not None:
            await c.do("unplug")
        await until(lambda: all(charge.ended for charge in charges(c.csms)), "the end of every charge", 20.0)
        await c.delivered()
        used_wh = await c.meter_wh() - first_wh
        _right(charges(c.csms), used_wh)
        assert sum(reached) >= BOUNDARIES // 2


def _right(told: list[Charge], used_wh: float) -> None:
    assert told
    assert used_wh > 1
    billed_wh = sum(charge.ended_wh - charge.started_wh for charge in told)
    assert billed_wh == pytest.approx(used_wh, abs=EACH_WH * len(told))
    for before, after in pairwise(told):
        assert after.started_wh == pytest.approx(before.ended_wh, abs=EACH_WH)


async def test_killed_at_every_boundary_of_its_store_the_agent_bills_every_watt_hour_once() -> None:
    await asyncio.gather(sweep("1.6"), sweep("2.0.1"))
