"""What goes wrong in the middle of a charge: the safe state comes first, and the central system hears what it was."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.conformance.ledger import begun, charges, over, status
from tests.end_to_end.agent_helpers import CARD, Charger, charger, eventually, until

BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])
SAFETY = "[safety]\ncontroller_silent_s = 2\nmeter_silent_s = 2"


async def begin(c: Charger) -> None:
    await c.ready()
    await c.do("plug-in")
    await c.tap()
    await begun(c.csms)
    await c.charging()


async def faults(c: Charger) -> list[str]:
    return [fault["id"] for fault in (await c.status())["evses"][0]["faults"]]


@BOTH
async def test_a_ground_fault_ends_the_charge_and_is_told_with_its_name(version: str) -> None:
    async with charger(version) as c:
        await begin(c)
        await c.do("fault", name="ground")
        await c.wait("contactor", "open")
        charge = await over(c.csms)
        assert charge.reason == ("Other" if version == "1.6" else "GroundFault")
        await status(c.csms, "Faulted")
        if version == "1.6":
            told = await c.csms.hear("StatusNotification", status="Faulted")
            assert (told["errorCode"], told["vendorErrorCode"], told["vendorId"]) == (
                "GroundFailure",
                "CX002",
                "https://chargex.inl.gov",
            )
            assert told["info"].startswith("ground: ")
        await c.do("fault-clear", name="ground")
        await status(c.csms, "Finishing" if version == "1.6" else "Occupied")
        await c.do("unplug")
        await status(c.csms, "Available")


@BOTH
async def test_the_emergency_stop_ends_the_charge_at_once(version: str) -> None:
    async with charger(version) as c:
        await begin(c)
        await c.do("stop-button", reason="emergency")
        await c.wait("contactor", "open", timeout_s=5)
        charge = await over(c.csms)
        assert charge.reason == "EmergencyStop"
        assert charge.ended_wh == pytest.approx(await c.meter_wh(), abs=0.5)


@BOTH
async def test_a_silent_meter_pauses_the_charge_and_no_stale_value_is_told(version: str) -> None:
    async with charger(version, service=SAFETY) as c:
        await begin(c)
        await c.do("bus", device="meter", mode="timeout")
        await c.wait("contactor", "open")
        await status(c.csms, "Faulted")
        assert charges(c.csms)[0].ended is None
        await c.do("bus", device="meter", mode="ok")
        await c.charging()
        await c.do("unplug")
        charge = await over(c.csms)
        assert charge.ended_wh == pytest.approx(await c.meter_wh(), abs=0.5)
        times = [value["timestamp"] for value in charge.samples]
        assert len(times) == len(set(times))  # a reading is told once, with its own time


@BOTH
async def test_a_silent_controller_is_a_fault_and_heals_without_a_restart(version: str) -> None:
    async with charger(version, service=SAFETY) as c:
        await begin(c)
        await c.do("bus", device="evse", mode="timeout")
        await status(c.csms, "Faulted")
        await c.do("bus", device="evse", mode="ok")
        await status(c.csms, "Charging" if version == "1.6" else "Occupied")
        await c.charging()
        assert charges(c.csms)[0].ended is None


async def test_when_the_agent_dies_for_good_the_controller_takes_the_power_away() -> None:
    async with charger("2.0.1") as c:
        await begin(c)
        await c.end(signal.SIGKILL)
        await c.wait("contactor", "open", timeout_s=20)


@BOTH
async def test_a_meter_that_leaps_backwards_ends_the_charge_with_the_last_value_of_the_old_one(version: str) -> None:
    async with charger(version) as c:
        await begin(c)
        await c.csms.until(lambda: len(charges(c.csms)[0].samples) >= 2, "two samples")
        before_wh = await c.meter_wh()
        await c.do("meter", wh=17.0)
        charge = await over(c.csms)
        assert charge.reason == "Other"
        assert before_wh - 60 <= charge.ended_wh <= before_wh + 60  # never less than nothing, never the new meter's


@BOTH
async def test_a_contactor_that_does_not_close_is_told_and_gets_another_try_with_the_next_plug(version: str) -> None:
    async with charger(version, service=SAFETY) as c:
        await c.ready()
        await c.do("contactor", evse=1, state="stuck")
        await c.do("plug-in")
        await c.tap()
        await status(c.csms, "Faulted")
        assert await faults(c) == ["contactor-open"]
        await c.wait("offered-ma", "0")
        if version == "2.0.1":
            event = (await c.csms.hear("NotifyEvent"))["eventData"][0]
            assert (event["component"]["name"], event["techCode"], event["cleared"]) == (
                "PowerContactor",
                "CX017",
                False,
            )
        await c.do("contactor", evse=1, state="ok")
        await c.do("unplug")
        await status(c.csms, "Available")
        await over(c.csms)
        await c.do("plug-in")
        await c.tap()
        await c.charging()


async def test_a_reader_that_is_pulled_out_is_told_and_comes_back() -> None:
    async with charger("1.6") as c:
        await c.ready()
        await c.do("fault", name="rfid-reader")
        told: dict[str, Any] = await c.csms.hear("StatusNotification", errorCode="ReaderFailure")
        assert told["status"] == "Available"  # it stops nobody: a remote start still works
        await c.do("fault-clear", name="rfid-reader")
        mark = c.csms.mark()
        await c.csms.hear("StatusNotification", mark, errorCode="NoError", connectorId=1)
        await c.do("plug-in")
        await c.tap()
        assert (await begun(c.csms)).tag == CARD


@BOTH
async def test_a_full_disk_lets_a_charge_go_on_and_none_begin(version: str) -> None:
    """As far as it can be shown without a disk of its own: the folder of the store is not there at start."""
    async with charger(version, start=False) as c:
        (c.folder / "memory").write_text("in the way")
        await c.start()
        await c.csms.hear("BootNotification")

        async def failing() -> bool:
            return str((await c.status())["storage"]["state"]) == "failing"

        await eventually(failing, "the trouble is shown")
        await eventually(lambda: faults(c), "the fault")
        assert await faults(c) == ["storage"]
        await c.do("plug-in")
        await c.tap()
        await until(lambda: "Authorized" in c.log, "the card is known")
        assert await c.see("order-ma") == "0"
        assert charges(c.csms) == []
