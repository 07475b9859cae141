"""What went wrong in the field with other charge points, each as a story of its own (numbers: tests/conformance)."""

from __future__ import annotations

import signal

import pytest

from tests.conformance.csms import SILENCE
from tests.conformance.ledger import begun, charges, over
from tests.end_to_end.agent_helpers import charger, until

BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])


@BOTH
async def test_lesson_1_an_offline_charge_survives_a_kill_before_it_is_told(version: str) -> None:
    async with charger(version, variables={"AllowOfflineTxForUnknownId": True}) as c:
        await c.ready()
        c.csms.cut(refuse=True)
        await until(lambda: "LinkDown" in c.log, "the link is gone")
        await c.do("plug-in")
        await c.tap()
        await c.charging()
        await c.do("unplug")
        await until(lambda: "TransactionEnded" in c.log, "the charge ends")
        await c.end(signal.SIGKILL)
        c.csms.mend()
        await c.start()
        charge = await over(c.csms)
        assert charge.reason == "EVDisconnected"
        assert charge.ended_wh == pytest.approx(await c.meter_wh(), abs=0.5)
        assert len(charges(c.csms)) == 1
        await c.delivered()


async def test_lesson_3_a_stop_waits_for_the_name_that_its_start_gets_late() -> None:
    async with charger("1.6", variables={"MessageTimeout": 60}) as c:
        await c.ready()
        c.csms.on("StartTransaction", SILENCE)
        await c.do("plug-in")
        await c.tap()
        await c.csms.hear("StartTransaction")
        await c.charging()
        await c.do("unplug")
        await until(lambda: "TransactionEnded" in c.log, "the charge ends")
        assert c.csms.calls("StopTransaction") == []
        start = next(f.message[1] for f in c.csms.frames if f.message[2:3] == ["StartTransaction"])
        await c.csms.send([3, start, {"transactionId": 0, "idTagInfo": {"status": "Accepted"}}])
        assert (await c.csms.hear("StopTransaction"))["transactionId"] == 0  # 0 is an id like any other


@BOTH
async def test_lesson_12_the_link_comes_back_in_mid_charge(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        await c.do("plug-in")
        await c.tap()
        await begun(c.csms)
        await c.charging()
        closings = await c.see("relay-count")
        c.csms.cut()
        await c.csms.until(lambda: c.csms.links == 2, "a second link")
        told = len(charges(c.csms)[0].samples)
        await c.csms.until(lambda: len(charges(c.csms)[0].samples) > told, "samples go on")
        assert await c.see("relay-count") == closings
        assert c.process is not None and c.process.returncode is None
