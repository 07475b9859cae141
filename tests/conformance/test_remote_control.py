"""TriggerMessage, UnlockConnector, ClearCache, DataTransfer, ChangeAvailability, GetTransactionStatus: every answer."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.csms import Csms, Payload
from tests.conformance.ledger import (
    availability,
    begun,
    change,
    charges,
    over,
    remote_start,
    remote_stop,
    reset,
    status,
    statuses,
    trigger,
    unlock,
)
from tests.end_to_end.agent_helpers import CARD, OTHER_CARD, Charger, charger

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])


async def heard_after_trigger(csms: Csms, message: str, evse: int | None = None) -> int:
    """How many of this message one trigger brings; what follows it on the wire is asked for by a second trigger."""
    mark = csms.mark()
    assert await trigger(csms, message, evse) == "Accepted"
    assert await trigger(csms, "Heartbeat") == "Accepted"
    await csms.hear("Heartbeat", mark)
    return len(csms.calls(message, mark))


async def test_a_heartbeat_can_be_triggered(both: Charger) -> None:
    mark = both.csms.mark()
    assert await trigger(both.csms, "Heartbeat") == "Accepted"
    await both.csms.hear("Heartbeat", mark)


async def test_the_status_of_one_evse_can_be_triggered(both: Charger) -> None:
    assert await heard_after_trigger(both.csms, "StatusNotification", 2) == 1


async def test_all_statuses_can_be_triggered(both: Charger) -> None:
    assert await heard_after_trigger(both.csms, "StatusNotification") == (3 if both.csms.version == "1.6" else 2)


async def test_meter_values_of_one_evse_can_be_triggered(both: Charger) -> None:
    mark = both.csms.mark()
    assert await heard_after_trigger(both.csms, "MeterValues", 1) == 1
    values = both.csms.calls("MeterValues", mark)[0]["meterValue"]
    assert {s["context"] for v in values for s in v["sampledValue"]} == {"Trigger"}


async def test_the_firmware_status_can_be_triggered_and_is_idle(both: Charger) -> None:
    mark = both.csms.mark()
    assert await heard_after_trigger(both.csms, "FirmwareStatusNotification") == 1
    assert both.csms.calls("FirmwareStatusNotification", mark)[0]["status"] == "Idle"


async def test_the_log_status_can_be_triggered_and_is_idle(both: Charger) -> None:
    name = "DiagnosticsStatusNotification" if both.csms.version == "1.6" else "LogStatusNotification"
    assert await heard_after_trigger(both.csms, name) == 1


async def test_a_boot_cannot_be_triggered_once_it_was_accepted(v201: Charger) -> None:
    assert await trigger(v201.csms, "BootNotification") == "Rejected"  # F06.FR.17


async def test_a_boot_can_be_triggered_again_in_1_6(v16: Charger) -> None:
    assert await heard_after_trigger(v16.csms, "BootNotification") == 1


@pytest.mark.parametrize(
    ("message", "heard"),
    [
        ("LogStatusNotification", "LogStatusNotification"),
        ("FirmwareStatusNotification", "SignedFirmwareStatusNotification"),
        ("MeterValues", "MeterValues"),
        ("Heartbeat", "Heartbeat"),
    ],
)
async def test_an_extended_trigger_brings_the_message_of_the_whitepaper(v16: Charger, message: str, heard: str) -> None:
    mark = v16.csms.mark()
    answer = await v16.csms.call("ExtendedTriggerMessage", {"requestedMessage": message})
    assert answer == {"status": "Accepted"}
    await v16.csms.hear(heard, mark)


async def test_a_trigger_for_connector_0_tells_the_charge_point(v16: Charger) -> None:
    mark = v16.csms.mark()
    assert await heard_after_trigger(v16.csms, "StatusNotification", 0) == 1
    assert v16.csms.calls("StatusNotification", mark)[0]["connectorId"] == 0


async def test_a_trigger_for_an_evse_that_is_not_there_is_rejected(both: Charger) -> None:
    assert await trigger(both.csms, "StatusNotification", 9) == "Rejected"


async def test_a_transaction_event_without_transaction_cannot_be_triggered(v201: Charger) -> None:
    assert await trigger(v201.csms, "TransactionEvent", 1) == "Rejected"


@pytest.mark.parametrize("message", ["SignV2GCertificate", "StartTransaction", "SampledValues", "heartbeat", ""])
async def test_what_cannot_be_triggered_here_is_not_implemented(both: Charger, message: str) -> None:
    assert await trigger(both.csms, message) == "NotImplemented"


async def test_an_idle_connector_is_unlocked(both: Charger) -> None:
    assert await unlock(both.csms, 1) == "Unlocked"


async def test_a_connector_that_is_not_there_cannot_be_unlocked(both: Charger) -> None:
    assert await unlock(both.csms, 7) == ("NotSupported" if both.csms.version == "1.6" else "UnknownConnector")


async def test_a_lock_that_jams_is_told_as_failed(both: Charger) -> None:
    await both.do("plug-in", evse=2)
    await status(both.csms, "Preparing" if both.csms.version == "1.6" else "Occupied", 2)
    await both.do("fault", name="unlock-failure", evse=2)
    assert await unlock(both.csms, 2) == "UnlockFailed"
    await both.do("fault-clear", name="unlock-failure", evse=2)
    assert await unlock(both.csms, 2) == "Unlocked"
    await both.do("unplug", evse=2)
    await status(both.csms, "Available", 2)


async def test_data_of_an_unknown_vendor_is_answered_so(both: Charger) -> None:
    answer = await both.csms.call("DataTransfer", {"vendorId": "org.nobody", "messageId": "x", "data": "y"})
    assert answer["status"] == "UnknownVendorId"


async def test_availability_is_changed_and_told(both: Charger) -> None:
    mark = both.csms.mark()
    assert await availability(both.csms, False, 2) == "Accepted"
    await status(both.csms, "Unavailable", 2, mark)
    assert statuses(both.csms, 1, mark) == []
    assert await remote_start(both.csms, CARD, 2) == "Rejected"
    assert await availability(both.csms, False, 2) == "Accepted"  # G03.FR.02: as it is already
    assert await availability(both.csms, True, 2) == "Accepted"
    await status(both.csms, "Available", 2, mark)


async def test_the_whole_station_goes_out_of_service_and_back(both: Charger) -> None:
    mark = both.csms.mark()
    assert await availability(both.csms, False) == "Accepted"
    for evse in (1, 2):
        await status(both.csms, "Unavailable", evse, mark)
    if both.csms.version == "1.6":
        await status(both.csms, "Unavailable", 0, mark)
    assert await availability(both.csms, True) == "Accepted"
    for evse in (1, 2):
        await status(both.csms, "Available", evse, mark)


async def test_a_remote_start_for_an_evse_that_is_not_there_is_rejected(both: Charger) -> None:
    assert await remote_start(both.csms, CARD, 9) == "Rejected"


async def test_a_remote_stop_of_a_transaction_that_is_not_there_is_rejected(both: Charger) -> None:
    assert await remote_stop(both.csms, "4711") == "Rejected"


async def test_a_remote_start_is_asked_about_where_the_csms_wants_it(both: Charger) -> None:
    assert await change(both.csms, "AuthorizeRemoteTxRequests", "true") == "Accepted"
    both.csms.cards["NOBODY"] = ("Invalid", "")
    mark = both.csms.mark()
    assert await remote_start(both.csms, "NOBODY", 2) == "Accepted"
    await both.csms.hear("Authorize", mark)
    await both.do("plug-in", evse=2)
    await status(both.csms, "Preparing" if both.csms.version == "1.6" else "Occupied", 2, mark)
    await both.do("unplug", evse=2)
    await status(both.csms, "Available", 2, mark)
    assert charges(both.csms) == []
    assert await change(both.csms, "AuthorizeRemoteTxRequests", "false") == "Accepted"


async def test_nothing_is_ongoing_and_nothing_waits(v201: Charger) -> None:
    assert await v201.csms.call("GetTransactionStatus", {}) == {"messagesInQueue": False}
    named = await v201.csms.call("GetTransactionStatus", {"transactionId": "no-such"})
    assert named == {"messagesInQueue": False, "ongoingIndicator": False}


async def test_one_evse_alone_cannot_be_reset(v201: Charger) -> None:
    answer = await v201.csms.call("Reset", {"type": "Immediate", "evseId": 1})
    assert answer["status"] == "Rejected"


# --- with a charge of its own ---


@BOTH
async def test_triggers_and_questions_during_a_charge(version: str) -> None:
    async with charger(version, evses=2) as c:
        csms = c.csms
        await c.ready()
        await c.do("plug-in")
        await c.tap()
        charge = await begun(csms)
        await c.charging()
        mark = csms.mark()
        assert await trigger(csms, "MeterValues", 1) == "Accepted"
        values = await csms.hear("MeterValues", mark) if version == "2.0.1" else await triggered16(csms, mark)
        assert {s["context"] for v in values["meterValue"] for s in v["sampledValue"]} == {"Trigger"}
        if version == "2.0.1":
            assert await trigger(csms, "TransactionEvent", 1) == "Accepted"
            await csms.hear("TransactionEvent", mark, triggerReason="Trigger")
            told = await csms.call("GetTransactionStatus", {"transactionId": charge.id})
            assert told["ongoingIndicator"] is True
            assert await unlock(csms) == "OngoingAuthorizedTransaction"
        assert (await csms.call("ClearCache"))["status"] == "Accepted"
        assert await remote_stop(csms, charge.id) == "Accepted"
        assert (await over(csms)).reason == "Remote"


async def triggered16(csms: Csms, mark: int) -> Payload:
    def found() -> list[Payload]:
        return [p for p in csms.calls("MeterValues", mark) if "Trigger" in str(p)]

    return (await csms.until(found, "triggered values"))[0]


async def test_an_unlock_stops_a_charge_in_1_6_and_frees_the_plug() -> None:
    async with charger("1.6") as c:
        await c.ready()
        await c.do("plug-in")
        await c.tap()
        await begun(c.csms)
        await c.charging()
        assert await unlock(c.csms) == "Unlocked"
        assert (await over(c.csms)).reason == "UnlockCommand"
        assert await c.see("contactor") == "open"
        await c.wait("lock", "unlocked")


async def test_an_attached_cable_has_no_lock_to_open() -> None:
    async with charger("1.6", attached_a=32) as c, charger("2.0.1", evse_map="evse_wb") as d:
        await asyncio.gather(c.ready(), d.ready())
        assert await unlock(c.csms) in ("NotSupported", "Unlocked")
        assert await unlock(d.csms) == "UnlockFailed"


@BOTH
async def test_a_cleared_cache_knows_nobody_offline_and_a_full_one_does(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        assert await change(c.csms, "LocalPreAuthorize", "true") == "Accepted"
        for _ in range(2):
            mark = c.csms.mark()
            await c.tap()
            await c.csms.hear("Authorize", mark)  # asked about: it is not known
            await c.tap()  # taken back
            await c.tap(OTHER_CARD)
            await c.csms.until(lambda mark=mark: len(c.csms.calls("Authorize", mark)) == 2, "two questions")  # type: ignore[misc]
            await c.tap(OTHER_CARD)
            assert (await c.csms.call("ClearCache"))["status"] == "Accepted"
        await c.tap()
        await c.csms.until(lambda: len(c.csms.calls("Authorize")) == 5, "the last question")
        await c.do("plug-in")
        await begun(c.csms)
        await c.do("unplug")
        await over(c.csms)
        await status(c.csms, "Available")
        mark = c.csms.mark()
        await c.do("plug-in")
        await c.tap()
        await begun(c.csms, 2)
        assert c.csms.calls("Authorize", mark) == []  # LocalPreAuthorize: the cache has spoken
        assert await change(c.csms, "AuthorizationCacheEnabled", "false") == "Accepted"
        assert (await c.csms.call("ClearCache"))["status"] == "Rejected"


@BOTH
async def test_a_reboot_that_fails_is_tried_again_as_often_as_reset_retries_says(version: str) -> None:
    async with charger(version, start=False) as c:
        tries = c.folder / "tries"
        c.plan.service = f"""reboot_command = ["/bin/sh", "-c", "echo x >> '{tries}'; exit 1"]"""
        c.write_config()
        await c.start()
        await c.ready()
        assert await change(c.csms, "ResetRetries", "2") == "Accepted"
        assert await reset(c.csms, "Hard" if version == "1.6" else "Immediate") == "Accepted"
        assert await c.exit_code() == 83
        assert tries.read_text().split() == ["x", "x", "x"]
