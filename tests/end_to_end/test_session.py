"""Whole charging sessions, both protocol versions: real agent, real serial lines, real WebSocket.

Several EVSEs of one charger play at once where a test says so: each has a line and a card reader of its own.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conformance.csms import Payload
from tests.conformance.ledger import (
    Charge,
    begun,
    change,
    charges,
    energy,
    limit,
    over,
    profile,
    read,
    remote_start,
    remote_stop,
    status,
    statuses,
)
from tests.end_to_end.agent_helpers import CARD, OTHER_CARD, STRANGER, Charger, charger, until

BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])
WORDS = {"1.6": ("Preparing", "Charging"), "2.0.1": ("Occupied", "Occupied")}


def samples(c: Charger, evse: int = 1) -> list[Payload]:
    return [value for charge in charges(c.csms) if charge.evse == evse for value in charge.samples]


async def sampled(c: Charger, count: int, evse: int = 1) -> None:
    await c.csms.until(lambda: len(samples(c, evse)) >= count, f"{count} samples of EVSE {evse}")


async def billed(c: Charger, evse: int, reason: str, stop_tag: str | None = None) -> Charge:
    """The charge of this EVSE has ended so, and what it is billed is what the meter says, to the watt-hour."""
    charge = await over(c.csms, evse=evse)
    assert (charge.reason, charge.stop_tag) == (reason, stop_tag)
    assert charge.ended_wh == pytest.approx(await c.meter_wh(evse), abs=0.5)
    assert charge.started_wh == pytest.approx(1234567, abs=100 if "em340" in c.plan.meter_map else 0.5)
    assert await c.see("contactor", evse) == "open"
    return charge


# --- four charges at once ---


async def card_then_plug(c: Charger) -> None:
    await c.tap(CARD, 1)
    await c.csms.hear("Authorize")
    await c.do("plug-in", evse=1)
    charge = await begun(c.csms, evse=1)
    assert charge.tag == CARD
    await c.charging(1)
    await sampled(c, 2, 1)
    await c.tap(CARD, 1)
    await billed(c, 1, "Local", CARD)
    await status(c.csms, "Finishing" if c.csms.version == "1.6" else "Occupied", 1)
    await c.do("unplug", evse=1)
    await status(c.csms, "Available", 1)


async def plug_then_card(c: Charger) -> None:
    await c.do("plug-in", evse=2)
    await status(c.csms, WORDS[c.csms.version][0], 2)
    await c.tap(CARD, 2)
    charge = await begun(c.csms, evse=2)
    await c.charging(2)
    await sampled(c, 1, 2)
    await c.do("unplug", evse=2)
    ended = await billed(c, 2, "EVDisconnected")
    assert ended.started_at <= charge.started_at + 0.001 < ended.ended_at
    await status(c.csms, "Available", 2)


async def remotely(c: Charger) -> None:
    assert await remote_start(c.csms, "REMOTE-1", 3) == "Accepted"
    await c.do("plug-in", evse=3)
    charge = await begun(c.csms, evse=3)
    assert charge.tag == "REMOTE-1"
    if c.csms.version == "2.0.1":
        assert charge.started["transactionInfo"]["remoteStartId"] == 7
    await c.charging(3)
    assert await remote_start(c.csms, "REMOTE-2", 3) == "Rejected"
    assert await remote_stop(c.csms, charge.id) == "Accepted"
    await billed(c, 3, "Remote")
    assert await remote_stop(c.csms, charge.id) == "Rejected"


async def by_group(c: Charger) -> None:
    await c.do("plug-in", evse=4)
    await c.tap(OTHER_CARD, 4)
    await begun(c.csms, evse=4)
    await c.charging(4)
    await c.tap(STRANGER, 4)  # another group: it may not stop what it has not started
    await c.csms.until(lambda: "0100DEAD01" in str(c.csms.calls("Authorize")), "the stranger is asked about")
    await sampled(c, 1, 4)
    assert await c.see("contactor", 4) == "closed"
    await c.tap("0100A1B2FF", 4)
    await billed(c, 4, "Local", "0100A1B2FF")


@BOTH
async def test_four_charges_at_once_are_each_told_and_billed_rightly(version: str) -> None:
    async with charger(version, evses=4) as c:
        c.csms.cards = {
            OTHER_CARD: ("Accepted", "FAMILY"), "0100A1B2FF": ("Accepted", "FAMILY"), STRANGER: ("Accepted", "OTHERS"),
        }  # fmt: skip
        await c.ready()
        async with asyncio.TaskGroup() as group:
            for story in (card_then_plug, plug_then_card, remotely, by_group):
                group.create_task(story(c))
        assert len(charges(c.csms)) == 4
        await c.delivered()


@pytest.mark.parametrize(
    "version, plan",
    [
        ("2.0.1", {"evse_map": "evse_wb", "poll_ms": 500}),
        ("1.6", {"evse_map": "heidelberg_ec", "attached_a": 16, "max_a": 16}),
        ("2.0.1", {"meter_map": "carlo_gavazzi_em340", "evses": 2, "one_line": True}),
        ("1.6", {"meter_map": "eastron_sdm120", "evses": 2, "one_line": True}),
    ],
    ids=["evse_wb", "heidelberg_ec", "two on one line, em340", "two on one line, sdm120"],
)
async def test_other_hardware_charges_as_well(version: str, plan: dict[str, Any]) -> None:
    async def story(c: Charger, evse: int) -> None:
        await c.do("plug-in", evse=evse)
        await c.tap(CARD if evse == 1 else OTHER_CARD, evse)
        await begun(c.csms, evse=evse)
        await c.charging(evse)
        await sampled(c, 1, evse)
        await c.do("unplug", evse=evse)
        await billed(c, evse, "EVDisconnected")

    async with charger(version, **plan) as c:
        await c.ready()
        async with asyncio.TaskGroup() as group:
            for evse in range(1, c.plan.evses + 1):
                group.create_task(story(c, evse))


# --- endings ---


@BOTH
async def test_the_ev_side_may_be_unplugged_and_the_variable_says_what_follows(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        await c.do("plug-in")
        await c.tap()
        await c.charging()
        await c.do("ev-unplug")
        if version == "1.6":
            await c.csms.hear("StatusNotification", status="Finishing", info="EV side disconnected")
        await billed(c, 1, "EVDisconnected")
        await c.wait("lock", "unlocked")
        if version == "1.6":
            assert await read(c.csms, "UnlockConnectorOnEVSideDisconnect") == "true"
            assert await change(c.csms, "UnlockConnectorOnEVSideDisconnect", "false") == "Rejected"
        await c.do("unplug")
        await status(c.csms, "Available")
        name = "StopTransactionOnEVSideDisconnect" if version == "1.6" else "TxCtrlr.StopTxOnEVSideDisconnect"
        assert await change(c.csms, name, "false") == "Accepted"
        await c.do("plug-in")
        await c.tap()
        await c.charging()
        await c.do("ev-unplug")
        await c.wait("contactor", "open")
        await c.do("plug-in")
        await c.charging()
        assert charges(c.csms)[1].ended is None
        await c.tap()
        assert (await over(c.csms, 2)).reason == "Local"
        assert len(charges(c.csms)) == 2


@BOTH
async def test_a_card_refused_by_the_answer_to_the_start_ends_the_charge_or_only_its_power(version: str) -> None:
    async with charger(version, variables={"AuthorizeRemoteTxRequests": False}) as c:
        c.csms.cards = {"BLOCKED": ("Blocked", "")}
        await c.ready()
        await c.do("plug-in")
        assert await remote_start(c.csms, "BLOCKED") == "Accepted"  # it is not asked about first
        charge = await over(c.csms)
        assert charge.reason == "DeAuthorized"
        await c.do("unplug")
        await status(c.csms, "Available")
        assert await change(c.csms, "StopTransactionOnInvalidId", "false") == "Accepted"
        await c.do("plug-in")
        assert await remote_start(c.csms, "BLOCKED") == "Accepted"
        await begun(c.csms, 2)
        await status(c.csms, "SuspendedEVSE" if version == "1.6" else "Occupied")
        await c.wait("offered-ma", "0")
        assert charges(c.csms)[1].ended is None
        await c.do("unplug")
        assert (await over(c.csms, 2)).reason == "EVDisconnected"


@BOTH
async def test_an_authorization_that_nobody_uses_lapses(version: str) -> None:
    async with charger(version) as c:
        c.csms.cards = {STRANGER: ("Invalid", "")}
        await c.ready()
        assert await change(c.csms, "ConnectionTimeOut", "1") == "Accepted"
        await c.tap()
        await c.csms.hear("Authorize")
        await until(lambda: "GrantLapsed" in c.log, "the authorization lapses")
        if version == "1.6":
            told = ["Available", "Preparing", "Available"]
            await until(lambda: statuses(c.csms, 1) == told, "the connector is told as free")
        mark = c.csms.mark()
        await c.tap(STRANGER)
        await c.csms.hear("Authorize", mark)
        await c.do("plug-in")
        await status(c.csms, WORDS[version][0])
        await c.do("unplug")
        await status(c.csms, "Available")
        assert charges(c.csms) == []
        assert await c.see("relay-count") == "0"


# --- values and limits ---


@BOTH
async def test_lesson_26_a_charging_profile_lowers_pauses_and_frees_the_current_on_the_bus(version: str) -> None:
    async with charger(version, variables={"SmartChargingCtrlr.PauseMinimum": 1}) as c:
        await c.ready()
        await c.do("plug-in")
        await c.tap()
        await c.wait("offered-ma", "32000")
        assert await limit(c.csms, 1, profile(c.csms, 10)) == "Accepted"
        await c.wait("offered-ma", "10000")
        assert "10 A" in (await c.status())["evses"][0]["explanation"]
        assert await limit(c.csms, 1, profile(c.csms, 0)) == "Accepted"
        await c.wait("offered-ma", "0")
        await status(c.csms, "SuspendedEVSE" if version == "1.6" else "Occupied")
        assert await limit(c.csms, 1, profile(c.csms, 5)) == "Accepted"  # below 6 A is a pause, too
        assert (await c.csms.call("ClearChargingProfile", {}))["status"] == "Accepted"
        await c.wait("offered-ma", "32000")
        await c.charging()
        assert charges(c.csms)[0].ended is None


@BOTH
async def test_meter_values_come_sampled_aligned_and_at_the_end(version: str) -> None:
    wanted = "Energy.Active.Import.Register,Power.Active.Import,Voltage,Current.Import,Current.Offered"
    aligned = "Energy.Active.Import.Register,Voltage"
    ended = {"1.6": "StopTxnSampledData", "2.0.1": "SampledDataCtrlr.TxEndedMeasurands"}[version]
    keep = {"MeterValueSampleInterval" if version == "1.6" else "SampledDataCtrlr.TxEndedInterval": 1}
    variables = {"MeterValuesSampledData": wanted, "MeterValuesAlignedData": aligned, ended: wanted}
    async with charger(version, variables=variables | keep | {"ClockAlignedDataInterval": 2}) as c:
        await c.ready()
        idle = await c.csms.hear("MeterValues")  # aligned values are told without a transaction as well
        assert {s["context"] for v in idle["meterValue"] for s in v["sampledValue"]} == {"Sample.Clock"}
        await c.do("plug-in")
        await c.tap()
        await c.charging()
        await sampled(c, 5)
        found = [s for v in samples(c) for s in v["sampledValue"]]
        assert {s.get("measurand", "") for s in found if s["context"] == "Sample.Periodic"} == set(wanted.split(","))
        assert {s.get("measurand", "") for s in found if s["context"] == "Sample.Clock"} == set(aligned.split(","))
        assert {s.get("phase") for s in found if s["measurand"] == "Voltage"} >= {"L1-N", "L2-N", "L3-N"}
        await c.tap()
        charge = await over(c.csms)
        assert charge.ended is not None
        values = charge.ended["transactionData" if version == "1.6" else "meterValue"]
        contexts = [v["sampledValue"][0]["context"] for v in values]
        assert (contexts[0], contexts[-1]) == ("Transaction.Begin", "Transaction.End")
        assert "Sample.Periodic" in contexts[1:-1]
        assert energy(values, 0) == pytest.approx(charge.started_wh, abs=1)
        assert energy(values) == pytest.approx(charge.ended_wh, abs=1)
        times = [v["timestamp"] for v in values]
        assert times == sorted(times)
