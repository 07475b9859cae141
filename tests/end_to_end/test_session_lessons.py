"""What went wrong in the field with other charge points, each as a story of its own (numbers: tests/conformance), and
what central systems really do.
"""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.conformance.csms import SILENCE
from tests.conformance.ledger import begun, change, charges, over, read, remote_start, remote_stop
from tests.end_to_end.agent_helpers import CARD, charger, until

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


@BOTH
async def test_a_remote_stop_milliseconds_after_the_start_is_told_after_it(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        await c.do("plug-in")
        assert await remote_start(c.csms, "QUICK") == "Accepted"
        charge = await begun(c.csms)
        assert await remote_stop(c.csms, charge.id) == "Accepted"
        ended = await over(c.csms)
        assert (ended.reason, ended.ended_wh) == ("Remote", ended.started_wh)


@BOTH
async def test_five_changes_at_once_right_after_the_boot_are_each_obeyed(version: str) -> None:
    async with charger(version) as c:
        await c.csms.hear("BootNotification")
        wishes = {"ConnectionTimeOut": "61", "HeartbeatInterval": "62", "ResetRetries": "4",
                  "MeterValueSampleInterval": "63", "LocalPreAuthorize": "true"}  # fmt: skip
        answers = await asyncio.gather(*(change(c.csms, name, value) for name, value in wishes.items()))
        assert set(answers) <= {"Accepted"}
        assert {name: await read(c.csms, name) for name in wishes} == wishes


@BOTH
async def test_the_same_transaction_id_again_after_a_reset_of_the_backend_harms_nothing(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        if version == "1.6":
            c.csms.on("StartTransaction", {"transactionId": 1, "idTagInfo": {"status": "Accepted"}})
        for count in (1, 2):
            await c.do("plug-in")
            await c.tap()
            await c.charging()
            await c.do("unplug")
            stop = "StopTransaction" if version == "1.6" else "TransactionEvent"
            await c.csms.until(lambda count=count, stop=stop: len(ends(c.csms.calls(stop))) == count, "an end")  # type: ignore[misc]
        await c.delivered()


def ends(payloads: list[dict[str, object]]) -> list[dict[str, object]]:
    return [p for p in payloads if "meterStop" in p or p.get("eventType") == "Ended"]


@BOTH
async def test_a_stop_of_the_process_is_in_time_though_bus_and_csms_are_dead(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        await c.do("plug-in")
        await c.tap()
        await c.charging()
        for action in ("StatusNotification", "MeterValues", "TransactionEvent", "Heartbeat"):
            c.csms.on(action, SILENCE)
        await c.do("bus", device="evse", mode="timeout")
        await c.do("bus", device="meter", mode="timeout")
        assert await c.end() == 0  # past STOP_LIMIT_S it would be 1
        await c.wait("contactor", "open", timeout_s=20)  # its own watchdog


@BOTH
async def test_a_backend_that_closes_with_a_code_is_dialled_again(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        for links in (2, 3):
            await c.csms.hang_up(1008 if links == 2 else 1001)
            await c.csms.until(lambda links=links: c.csms.links == links, "another link")  # type: ignore[misc]
        await c.do("plug-in")
        await c.tap()
        await begun(c.csms)


async def test_a_transaction_that_starts_with_the_card_times_out_without_a_plug_and_tells_the_plug_with_one() -> None:
    points = {"TxCtrlr.TxStartPoint": "Authorized", "TxCtrlr.TxStopPoint": "Authorized", "ConnectionTimeOut": 2}
    async with charger("2.0.1", variables=points) as c:
        await c.ready()
        await c.tap()
        first = await over(c.csms)
        assert first.reason == "Timeout"
        assert first.started["transactionInfo"]["chargingState"] == "Idle"
        await c.tap()
        await begun(c.csms, 2)
        await c.do("plug-in")
        plugged = await c.csms.hear("TransactionEvent", triggerReason="CablePluggedIn")
        assert plugged["evse"] == {"id": 1, "connectorId": 1}
        await c.charging()
        await c.tap()
        assert (await over(c.csms, 2)).reason == "Local"


async def test_a_transaction_that_starts_with_the_plug_learns_its_card_later() -> None:
    points = {"TxCtrlr.TxStartPoint": "EVConnected,Authorized", "TxCtrlr.TxStopPoint": "EVConnected"}
    async with charger("2.0.1", variables=points) as c:
        await c.ready()
        await c.do("plug-in")
        charge = await begun(c.csms)
        assert charge.tag is None
        assert await c.see("order-ma") == "0"  # nobody is authorized yet
        await c.tap()
        told = await c.csms.hear("TransactionEvent", triggerReason="Authorized")
        assert told["idToken"]["idToken"] == CARD
        await c.charging()
        await c.tap()  # takes the power, and the transaction waits for the cable
        await c.wait("contactor", "open")
        assert charges(c.csms)[0].ended is None
        await c.do("unplug")
        ended = await over(c.csms)
        assert ended.ended_wh == pytest.approx(await c.meter_wh(), abs=0.5)


@BOTH
async def test_an_invalid_card_may_take_the_energy_that_the_csms_allows_and_no_more(version: str) -> None:
    variables = {"StopTransactionOnInvalidId": False, "MaxEnergyOnInvalidId": 30}
    async with charger(version, variables=variables) as c:
        c.csms.cards = {"BLOCKED": ("Blocked", "")}
        await c.ready()
        await c.do("plug-in")
        assert await remote_start(c.csms, "BLOCKED") == "Accepted"
        charge = await over(c.csms)
        assert charge.reason == "DeAuthorized"
        assert 30 <= charge.ended_wh - charge.started_wh < 60


@pytest.mark.parametrize("answered", [True, False])
async def test_a_charge_ends_in_the_version_in_which_it_began_though_the_csms_now_prefers_another(
    answered: bool,
) -> None:
    async with charger("1.6", "2.0.1") as c:
        await c.ready()
        if not answered:
            c.csms.on("StartTransaction", SILENCE)  # it may have been taken all the same
        await c.do("plug-in")
        await c.tap()
        await c.csms.hear("StartTransaction")
        c.csms.as_usual("StartTransaction")
        await c.charging()
        c.csms.versions = ("2.0.1", "1.6")  # it has learnt something new in the middle of the charge
        c.csms.cut()
        await c.csms.until(lambda: c.csms.links == 2, "a second link")
        await c.do("unplug")
        stopped = await c.csms.hear("StopTransaction")
        assert stopped["meterStop"] == pytest.approx(await c.meter_wh(), abs=0.5)
        await c.delivered()
        c.csms.cut()
        await c.csms.until(lambda: c.csms.links == 3, "a third link")
        assert c.csms.version == "2.0.1"
