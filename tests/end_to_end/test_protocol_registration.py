"""Registration (1.6 section 4.2, 2.0.1 B01 to B03): what may cross the wire before Accepted."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.csms import Csms, Refusal
from tests.conformance.ledger import begun, change, read, remote_start, remote_stop, status, trigger
from tests.end_to_end.agent_helpers import START_S, Charger, charger

BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])


def answering(*versions: str, boot: str, interval_s: int) -> Csms:
    csms = Csms(*versions)
    csms.boot_status, csms.interval_s = boot, interval_s
    return csms


async def boots(c: Charger, count: int) -> list[float]:
    """When the first `count` BootNotifications came."""

    def found() -> list[float]:
        return [f.at for f in c.csms.frames if not f.ours and f.message[2:3] == ["BootNotification"]]

    await c.csms.until(lambda: len(found()) >= count, f"BootNotification {count}", START_S)
    return found()


@BOTH
async def test_lesson_17_pending_lets_the_csms_look_and_set_and_trigger_but_not_start(version: str) -> None:
    async with charger(version, csms=answering(version, boot="Pending", interval_s=2)) as c:
        await boots(c, 1)
        assert await change(c.csms, "ConnectionTimeOut", "55") == "Accepted"
        assert await read(c.csms, "ConnectionTimeOut") == "55"
        assert await remote_start(c.csms, "TOO-EARLY") == "Rejected"
        if version == "1.6":
            assert await remote_stop(c.csms, "1") == "Rejected"
        assert await trigger(c.csms, "StatusNotification", 1) == "Accepted"
        await status(c.csms, "Available")
        assert await trigger(c.csms, "Heartbeat") == "Accepted"
        await c.csms.hear("Heartbeat")
        await c.do("plug-in")
        first, second = (await boots(c, 2))[:2]
        assert 1.5 < second - first < 20  # the interval of the answer, and not our own of 30 s
        assert set(c.csms.actions()) == {"BootNotification", "StatusNotification", "Heartbeat"}
        assert c.csms.actions().count("StatusNotification") == 1  # the plug is not told yet
        assert await trigger(c.csms, "BootNotification") == "Accepted"
        c.csms.boot_status = "Accepted"
        await boots(c, 3)
        await status(c.csms, "Preparing" if version == "1.6" else "Occupied")


@BOTH
async def test_rejected_is_silent_until_the_interval_is_over(version: str) -> None:
    async with charger(version, csms=answering(version, boot="Rejected", interval_s=2)) as c:
        await boots(c, 1)
        await c.do("plug-in")
        await c.tap()
        if version == "1.6":  # section 4.2: it should not answer
            with pytest.raises(TimeoutError):
                await c.csms.call("GetConfiguration", {}, 0.7)
            c.csms._asked.clear()
        else:  # B03.FR.07
            with pytest.raises(Refusal, match="SecurityError"):
                await c.csms.call("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
        first, second = (await boots(c, 2))[:2]
        assert 1.5 < second - first < 20
        assert set(c.csms.actions()) == {"BootNotification"}
        c.csms.boot_status = "Accepted"
        await boots(c, 3)
        await status(c.csms, "Preparing" if version == "1.6" else "Occupied")
        assert c.csms.calls("Authorize") == []  # the card of before is forgotten
        await c.tap()
        await begun(c.csms)


@BOTH
async def test_calls_that_come_before_the_answer_to_the_boot_are_survived(version: str) -> None:
    """Some central systems ask at once, several things together."""

    async with charger(version, start=False) as c:
        held = asyncio.Event()

        def boot(_p: object) -> None:
            held.set()

        c.csms.on("BootNotification", boot)
        await c.start()
        async with asyncio.timeout(START_S):
            await held.wait()
        action, payload = ("GetConfiguration", {}) if version == "1.6" else ("GetVariables", {"getVariableData": [
            {"component": {"name": "TxCtrlr"}, "variable": {"name": "EVConnectionTimeOut"}}]})  # fmt: skip
        asked = [c.csms.call(action, payload) for _ in range(5)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        if version == "1.6":
            assert all(isinstance(a, dict) and a["configurationKey"] for a in answers)
        else:  # B01.FR.10, B02.FR.09: not accepted yet
            assert all(isinstance(a, Refusal) and a.code == "SecurityError" for a in answers)
        boot_id = next(f.message[1] for f in c.csms.frames if not f.ours and f.message[2:3] == ["BootNotification"])
        now = "2026-11-21T11:00:00Z"
        await c.csms.send([3, boot_id, {"status": "Accepted", "interval": 300.0, "currentTime": now}])
        await status(c.csms, "Available")


@BOTH
async def test_statuses_wait_for_the_hardware(version: str) -> None:
    async with charger(version, start=False) as c:
        await c.do("bus", device="evse", mode="timeout")
        await c.do("plug-in")
        await c.start()
        await boots(c, 1)
        assert await trigger(c.csms, "Heartbeat") == "Accepted"
        await c.csms.hear("Heartbeat")
        assert c.csms.calls("StatusNotification") == []
        await c.do("bus", device="evse", mode="ok")
        await status(c.csms, "Preparing" if version == "1.6" else "Occupied")
        words = [p.get("status", p.get("connectorStatus")) for p in c.csms.calls("StatusNotification")]
        assert words[-1:] == ["Preparing" if version == "1.6" else "Occupied"]
        assert words.count("Available") == (1 if version == "1.6" else 0)  # connector 0 only


@BOTH
async def test_the_boot_tells_who_we_are_and_the_interval_becomes_the_heartbeat(version: str) -> None:
    async with charger(version, csms=answering(version, boot="Accepted", interval_s=1)) as c:
        await c.ready()
        boot = c.csms.calls("BootNotification")[0]
        if version == "1.6":
            assert (boot["chargePointVendor"], boot["chargePointModel"]) == ("Example", "Wallbox 22")
            assert (boot["chargePointSerialNumber"], boot["firmwareVersion"]) == ("WB-1", "1.2.3")
        else:
            told = boot["chargingStation"]
            assert (told["vendorName"], told["model"], told["serialNumber"]) == ("Example", "Wallbox 22", "WB-1")
            assert boot["reason"] == "PowerUp"
        assert c.csms.requests[0].path == "/ocpp/CP%2042"
        await c.csms.until(lambda: len(c.csms.calls("Heartbeat")) >= 2, "two heartbeats")
        assert await read(c.csms, "HeartbeatInterval") == "1"


@BOTH
async def test_an_answer_to_the_boot_that_cannot_be_read_counts_as_rejected(version: str) -> None:
    async with charger(version, start=False) as c:
        c.csms.on("BootNotification", {"status": "Nonsense", "interval": 1})
        await c.start()
        await boots(c, 1)
        c.csms.as_usual("BootNotification")
        await boots(c, 2)
        await status(c.csms, "Available")
        assert c.csms.actions()[:2] == ["BootNotification", "BootNotification"]


@BOTH
async def test_a_dead_controller_at_start_is_told_and_hides_no_other_evse(version: str) -> None:
    """Whatever is silent from the first moment on is no secret: it is faulted, in the time that the file states."""
    async with charger(version, start=False, evses=2, service="[safety]\ncontroller_silent_s = 1") as c:
        await c.do("bus", device="evse", mode="timeout", evse=1)
        await c.start()
        await status(c.csms, "Faulted", 1)
        await status(c.csms, "Available", 2)
        await c.do("bus", device="evse", mode="ok", evse=1)
        await status(c.csms, "Available", 1)
