"""Charges while the central system cannot be reached, and before the time is known."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.conformance.csms import epoch
from tests.conformance.ledger import availability, begun, charges, over, status, statuses
from tests.end_to_end.agent_helpers import CARD, OTHER_CARD, Charger, charger, eventually, until

BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])


@BOTH
async def test_charges_made_offline_arrive_in_order_with_the_times_when_they_happened(version: str) -> None:
    async with charger(version, variables={"OCPPCommCtrlr.OfflineThreshold": 0}) as c:
        await c.ready()
        await c.do("plug-in")
        await c.tap()
        await c.charging()
        await c.csms.until(lambda: charges(c.csms)[0].samples, "a sample")
        c.csms.cut(refuse=True)
        cut_at = time.time()
        await until(lambda: "LinkDown" in c.log, "the agent sees that the link is gone")
        assert await c.see("contactor") == "closed"  # losing the CSMS stops nobody
        await c.tap()  # the card that began stops, known or not
        await c.wait("contactor", "open")
        await c.do("unplug")
        await until(lambda: c.log.count("TransactionEnded") == 1, "the first charge ends")
        first_wh = await c.meter_wh()
        await c.do("plug-in")
        await c.tap()  # the cache knows it
        await c.charging()
        await c.tap(OTHER_CARD)  # a stranger
        await until(lambda: "refused: " in c.log, "the stranger is refused")
        await c.do("unplug")
        await until(lambda: c.log.count("TransactionEnded") == 2, "the second charge ends")
        second_wh, mended_at = await c.meter_wh(), time.time()
        mark = c.csms.mark()
        c.csms.mend()
        first, second = await over(c.csms, 1), await over(c.csms, 2)
        assert (first.reason, second.reason) == ("Local", "EVDisconnected")
        assert (first.ended_wh, second.ended_wh) == (round(first_wh), round(second_wh)) or version == "2.0.1"
        assert first.ended_wh == pytest.approx(first_wh, abs=0.5)
        assert second.ended_wh == pytest.approx(second_wh, abs=0.5)
        assert cut_at < first.ended_at < second.started_at < second.ended_at < mended_at
        assert (first.tag, second.tag) == (CARD, CARD)
        assert "BootNotification" not in c.csms.actions(mark)  # a mere reconnect
        assert "Authorize" not in c.csms.actions(mark)  # a question of yesterday is asked no more
        await c.csms.hear("StatusNotification", mark)  # offline for longer than OfflineThreshold
        if version == "2.0.1":
            assert first.ended is not None and second.ended is not None
            assert first.ended["offline"] and second.started["offline"] and second.ended["offline"]
            assert not first.started.get("offline")
        await c.delivered()


NO_CLOCK = """
import pathlib, sys, time
import agent.clock
real, synchronized = time.time, pathlib.Path({mark!r})
agent.clock.SYSTEM_CHECK_S = 0.2
agent.clock.Clock.__init__.__kwdefaults__.update(
    wall=lambda: real() - (0 if synchronized.exists() else {ago}), ntp_mark=synchronized
)
from agent.__main__ import main
sys.exit(main(["run", "--config", {config!r}]))
"""


async def quality(c: Charger, wanted: str) -> bool:
    return bool((await c.status())["clock"]["quality"] == wanted)


@pytest.mark.parametrize(("version", "teacher"), [("1.6", "csms"), ("2.0.1", "csms"), ("1.6", "ntp")])
async def test_a_charge_begun_before_the_time_was_known_gets_its_true_times(version: str, teacher: str) -> None:
    """A board without a battery wakes up in 1970."""
    async with charger(version, start=False, variables={"AllowOfflineTxForUnknownId": True}) as c:
        c.csms.refusing = True
        mark = c.folder / "synchronized"
        c.program = ("-c", NO_CLOCK.format(ago=int(time.time()) - 1000, config=str(c.config), mark=str(mark)))
        await c.start()
        await until(lambda: "PilotChanged" in c.log, "the hardware is read")
        plugged_at = time.time()
        await c.do("plug-in")
        await c.tap()
        await c.charging()
        charging_at = time.time()
        assert (await c.status())["clock"]["quality"] == "unknown"
        if teacher == "ntp":  # before the CSMS can say anything
            mark.touch()
            await eventually(lambda: quality(c, "synced"), "the clock was set")
        c.csms.mend()
        charge = await begun(c.csms)
        assert plugged_at - 1 < charge.started_at < charging_at + 1
        await c.csms.until(lambda: charges(c.csms)[0].samples, "a sample")
        assert all(epoch(v["timestamp"]) > plugged_at - 1 for v in charges(c.csms)[0].samples)
        await c.do("unplug")
        ended = await over(c.csms)
        assert charging_at - 1 < ended.ended_at < time.time() + 1
        assert (await c.status())["clock"]["quality"] == "synced"


@BOTH
async def test_a_short_loss_of_the_link_repeats_nothing(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        mark = c.csms.mark()
        c.csms.cut()
        await c.csms.until(lambda: c.csms.links == 2, "a second link")
        await c.do("plug-in")
        await status(c.csms, "Preparing" if version == "1.6" else "Occupied")
        await c.tap()
        await begun(c.csms)
        heard = c.csms.actions(mark)
        assert "BootNotification" not in heard
        assert "Available" not in statuses(c.csms, 1, mark)
        await asyncio.gather(c.do("unplug"), over(c.csms))
        await status(c.csms, "Available", 1, mark)


@BOTH
async def test_what_was_changed_while_connected_holds_while_it_is_not(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        assert await availability(c.csms, False, 1) == "Accepted"
        await status(c.csms, "Unavailable")
        c.csms.cut(refuse=True)
        await until(lambda: "LinkDown" in c.log, "the link is gone")

        async def refused() -> bool:
            await c.tap()
            return "no EVSE here is free" in c.log

        await eventually(refused, "the card is refused")
        assert (await c.status())["evses"][0]["status"] == "Unavailable"
