"""A process that ends is a reboot: signals, kills and resets in the middle of a charge, and what is as it was after."""

from __future__ import annotations

import signal

import pytest

from tests.conformance.csms import SILENCE
from tests.conformance.ledger import (
    availability,
    begun,
    change,
    charges,
    over,
    read,
    remote_start,
    reset,
    status,
    statuses,
)
from tests.end_to_end.agent_helpers import Charger, charger, until

BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])


async def begin(c: Charger) -> None:
    await c.ready()
    await c.do("plug-in")
    await c.tap()
    await begun(c.csms)
    await c.charging()


@BOTH
async def test_sigterm_withholds_power_in_time_and_the_charge_goes_on_after_the_next_start(version: str) -> None:
    async with charger(version) as c:
        await begin(c)
        assert await c.end(signal.SIGTERM) == 0  # past STOP_LIMIT_S it would be 1
        assert await c.see("order-ma") == "0"
        mark = c.csms.mark()
        await c.start()
        boot = await c.csms.hear("BootNotification", mark)
        assert boot.get("reason", "ApplicationReset") == "ApplicationReset"
        await c.charging()
        await c.csms.until(
            lambda: c.csms.calls("MeterValues" if version == "1.6" else "TransactionEvent", mark), "more"
        )
        assert len(charges(c.csms)) == 1
        if version == "1.6":
            assert "Available" not in statuses(c.csms, 1, mark)
        await c.do("unplug")
        charge = await over(c.csms)
        assert charge.reason == "EVDisconnected"
        assert charge.ended_wh == pytest.approx(await c.meter_wh(), abs=0.5)


@BOTH
async def test_sigkill_in_mid_charge_loses_nothing_and_the_driver_notices_nothing(version: str) -> None:
    async with charger(version) as c:
        await begin(c)
        closings = await c.see("relay-count")
        assert await c.end(signal.SIGKILL) == -signal.SIGKILL
        mark = c.csms.mark()
        await c.start()
        await c.csms.hear("BootNotification", mark)
        await c.csms.until(
            lambda: c.csms.calls("MeterValues" if version == "1.6" else "TransactionEvent", mark), "more"
        )
        assert await c.see("relay-count") == closings
        await c.tap()  # the same card stops, known or not
        charge = await over(c.csms)
        assert charge.reason == "Local"
        assert charge.ended_wh == pytest.approx(await c.meter_wh(), abs=0.5)
        assert len(charges(c.csms)) == 1


@BOTH
async def test_lesson_7_a_car_that_left_while_the_agent_was_dead_ends_the_charge_with_the_true_reading(
    version: str,
) -> None:
    async with charger(version) as c:
        await begin(c)
        await c.end(signal.SIGKILL)
        await c.do("unplug")
        await c.start()
        charge = await over(c.csms)
        assert charge.reason == "EVDisconnected"
        assert charge.ended_wh == pytest.approx(await c.meter_wh(), abs=0.5)
        await status(c.csms, "Available")


@BOTH
async def test_a_charge_is_not_resumed_where_the_policy_says_never(version: str) -> None:
    async with charger(version, resume="never") as c:
        await begin(c)
        await c.end(signal.SIGKILL)
        await c.start()
        charge = await over(c.csms)
        assert charge.reason == "Reboot"
        assert charge.ended_wh == pytest.approx(await c.meter_wh(), abs=0.5)
        await c.wait("contactor", "open")


KINDS = [
    ("1.6", "Soft", 82, "SoftReset"),
    ("1.6", "Hard", 83, "HardReset"),
    ("2.0.1", "Immediate", 83, "ImmediateReset"),
]


@pytest.mark.parametrize("version, kind, code, reason", KINDS)
async def test_a_reset_ends_the_charge_tells_so_and_then_the_process(
    version: str, kind: str, code: int, reason: str
) -> None:
    async with charger(version) as c:
        await begin(c)
        assert await reset(c.csms, kind) == "Accepted"
        assert await remote_start(c.csms, "TOO-LATE") == "Rejected"
        assert await c.exit_code() == code
        charge = await over(c.csms)
        assert charge.reason == reason
        assert charge.ended_wh == pytest.approx(await c.meter_wh(), abs=0.5)
        assert await c.see("contactor") == "open"
        mark = c.csms.mark()
        await c.start()
        boot = await c.csms.hear("BootNotification", mark)
        assert boot.get("reason", "RemoteReset") == "RemoteReset"
        await status(c.csms, "Finishing" if version == "1.6" else "Occupied", 1, mark)
        assert len(charges(c.csms)) == 1


@BOTH
async def test_an_end_that_the_csms_did_not_take_before_the_reset_is_told_after_it(version: str) -> None:
    async with charger(version, variables={"MessageTimeout": 3}) as c:
        await begin(c)
        last = "StopTransaction" if version == "1.6" else "TransactionEvent"
        c.csms.on(last, SILENCE)
        kind, reason = ("Soft", "SoftReset") if version == "1.6" else ("Immediate", "ImmediateReset")
        assert await reset(c.csms, kind) == "Accepted"
        await c.exit_code(30)
        assert charges(c.csms)[0].ended is None
        c.csms.as_usual(last)
        await c.start()
        charge = await over(c.csms)
        assert charge.reason == reason
        ids = [f.message[1] for f in c.csms.frames if f.message[0] == 2 and str(charge.ended) == str(f.message[3])]
        assert len(set(ids)) == 1  # a retry is the same message with the same id


async def test_a_reset_on_idle_waits_for_the_charge_to_end_by_itself() -> None:
    async with charger("2.0.1") as c:
        await begin(c)
        assert await reset(c.csms, "OnIdle") == "Scheduled"
        assert await remote_start(c.csms, "TOO-LATE") == "Rejected"
        await c.csms.until(lambda: len(charges(c.csms)[0].samples) > 1, "it goes on")
        await c.do("unplug")
        assert (await over(c.csms)).reason == "EVDisconnected"
        assert await c.exit_code() == 82
        mark = c.csms.mark()
        await c.start()
        assert (await c.csms.hear("BootNotification", mark))["reason"] == "ScheduledReset"


@BOTH
async def test_a_reset_while_idle_comes_at_once_and_what_was_changed_is_as_it_was(version: str) -> None:
    async with charger(version, evses=2) as c:
        await c.ready()
        assert await availability(c.csms, False, 1) == "Accepted"
        assert await change(c.csms, "ConnectionTimeOut", "77") == "Accepted"
        assert await reset(c.csms, "Hard" if version == "1.6" else "Immediate") == "Accepted"
        assert await c.exit_code() == 83
        mark = c.csms.mark()
        await c.start()
        await status(c.csms, "Unavailable", 1, mark)
        await status(c.csms, "Available", 2, mark)
        assert statuses(c.csms, 1, mark) == ["Unavailable"]  # never Available for a moment
        assert await read(c.csms, "ConnectionTimeOut") == "77"
        assert await availability(c.csms, True, 1) == "Accepted"
        await status(c.csms, "Available", 1, mark)


@BOTH
async def test_availability_is_scheduled_during_a_charge_and_takes_effect_at_its_end(version: str) -> None:
    async with charger(version, evses=2) as c:
        await begin(c)
        assert await availability(c.csms, False) == "Scheduled"
        await status(c.csms, "Unavailable", 2)
        assert charges(c.csms)[0].ended is None
        await c.end(signal.SIGKILL)  # what is scheduled outlives the process
        await c.start()
        await c.do("unplug")
        await over(c.csms)
        await status(c.csms, "Unavailable", 1)
        assert await availability(c.csms, True) == "Accepted"
        await status(c.csms, "Available", 1)
        await status(c.csms, "Available", 2)
        assert await availability(c.csms, False, 9) == "Rejected"


async def test_a_reboot_command_that_is_gone_leaves_a_restart_of_the_agent_and_a_line() -> None:
    async with charger("1.6", start=False) as c:
        c.plan.service = f'reboot_command = ["{c.folder}/gone"]'
        c.write_config()
        await c.start()
        await c.ready()
        assert await reset(c.csms, "Hard") == "Accepted"
        assert await c.exit_code() == 83
        assert "RebootFailed" in c.log


async def test_a_hard_reset_runs_the_configured_command() -> None:
    async with charger("1.6", start=False) as c:
        c.plan.service = f'reboot_command = ["/usr/bin/touch", "{c.folder}/rebooted"]'
        c.write_config()
        await c.start()
        await c.ready()
        assert await reset(c.csms, "Hard") == "Accepted"
        assert await c.exit_code() == 83
        await until((c.folder / "rebooted").exists, "the command has run")
