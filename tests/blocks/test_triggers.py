"""TriggerMessage in every word and place, and the table that other blocks add their answers to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.blocks.remote_control import Answerer, RemoteControl
from agent.blocks.station import Facts, Station
from agent.core.catalogue import rows
from agent.core.effects import (
    Ask,
    Boot,
    Call,
    Effect,
    FirmwareStatus,
    Heartbeat,
    LogStatus,
    MeterReport,
    Reply,
    Status,
    StatusAnswer,
)
from agent.core.events import BootAnswered, CallFailed, LinkUp
from agent.core.evse import Evse, EvseLimits
from agent.core.requests import Ref, TriggerRequested
from agent.core.types import Context, Instant, Registration
from agent.core.variables import Variables
from drivers.api import Measurand
from tests.blocks.helpers import Bench, of

REF = Ref("1", "TriggerMessage")
NOW = Instant(1.0, 1_800_000_000.0)


def told(effects: list[Effect]) -> list[Call]:
    assert all(ask.triggered for ask in of(effects, Ask))
    return [ask.call for ask in of(effects, Ask)]


def answered(effects: list[Effect]) -> list[StatusAnswer]:
    return [reply.answer for reply in of(effects, Reply) if isinstance(reply.answer, StatusAnswer)]


@pytest.mark.parametrize(
    ("message", "evse", "expected"),
    [
        ("BootAgain", None, [Boot]),
        ("Heartbeat", None, [Heartbeat]),
        ("Heartbeat", 1, [Heartbeat]),
        ("Heartbeat", 7, [Heartbeat]),
        ("Firmware", 7, [FirmwareStatus]),
        ("Status", None, [Status, Status, Status]),
        ("Status", 0, [Status]),
        ("Status", 2, [Status]),
        ("MeterValues", None, [MeterReport, MeterReport]),
        ("SampledValues", None, [MeterReport, MeterReport]),
        ("SampledValues", 0, [MeterReport, MeterReport]),
        ("SampledValues", 2, [MeterReport]),
        ("Firmware", None, [FirmwareStatus]),
        ("SignedFirmware", None, [FirmwareStatus]),
        ("Diagnostics", None, [LogStatus]),
        ("Log", None, [LogStatus]),
    ],
)
def test_each_message_can_be_triggered(message: str, evse: int | None, expected: list[type[Call]]) -> None:
    found = Bench(2).ready().feed(TriggerRequested(REF, message, evse))
    assert answered(found) == [StatusAnswer("Accepted")]
    assert [type(call) for call in told(found)] == expected


@pytest.mark.parametrize("message", ["Status", "SampledValues", "MeterValues", "TransactionEvent"])
def test_a_trigger_for_a_connector_that_is_not_there_tells_nothing(message: str) -> None:
    found = Bench().ready().feed(TriggerRequested(REF, message, 2))
    assert answered(found) == [StatusAnswer("Rejected", reason="UnknownEvse")]
    assert told(found) == []


def test_the_status_of_connector_0_is_that_of_the_station() -> None:
    (status,) = told(Bench(2).ready().feed(TriggerRequested(REF, "Status", 0)))
    assert isinstance(status, Status) and status.evse == 0


def test_triggered_sampled_values_are_those_of_the_interval_and_say_so() -> None:
    bench = Bench(SampledDataCtrlr__TxUpdatedMeasurands="Power.Active.Import").ready()
    (report,) = told(bench.feed(TriggerRequested(REF, "SampledValues", 1)))
    assert isinstance(report, MeterReport)
    (reading,) = report.readings
    assert reading.context is Context.TRIGGER
    assert [s.measurand for s in reading.samples] == [Measurand.POWER_ACTIVE_IMPORT]


def test_triggered_values_name_the_running_transaction() -> None:
    bench = Bench().ready()
    bench.charge()
    (report,) = told(bench.feed(TriggerRequested(REF, "SampledValues", 1)))
    assert isinstance(report, MeterReport) and report.transaction == bench.journal[0].transaction


def test_meter_values_cannot_be_triggered_before_the_meter_was_read() -> None:
    bench = Bench()
    bench.boot()
    bench.online()
    assert answered(bench.feed(TriggerRequested(REF, "SampledValues", 1))) == [StatusAnswer("Rejected")]


def test_a_boot_asked_for_again_after_it_was_accepted_is_told() -> None:
    assert told(Bench().ready().feed(TriggerRequested(REF, "BootAgain"))) == [Boot("Triggered")]


def test_a_triggered_boot_that_failed_is_not_repeated_by_itself() -> None:
    bench = Bench().ready()
    bench.feed(TriggerRequested(REF, "BootAgain"))
    bench.feed(CallFailed(Boot("Triggered"), "timeout"))
    assert not any(isinstance(ask.call, Boot) for ask in of(bench.wait(3600), Ask))


def test_while_pending_a_heartbeat_can_be_triggered() -> None:
    bench = Bench()
    bench.boot()
    bench.feed(LinkUp(True), BootAnswered(Registration.PENDING, 60.0, None))
    assert told(bench.feed(TriggerRequested(REF, "Heartbeat"))) == [Heartbeat()]


# --- answers of other blocks ---


def station(**triggers: Answerer) -> Station:
    facts = Facts([Evse(EvseLimits(1))], Variables(rows([1])))
    return Station(facts, [RemoteControl(facts, triggers=triggers)])


def uploading(_evse: int | None, _now: Instant) -> Iterator[Effect]:
    yield Ask(LogStatus("Uploading"), triggered=True)


def nothing(_evse: int | None, _now: Instant) -> Iterator[Effect]:
    return iter(())


def test_another_blocks_answer_counts_before_our_own() -> None:
    found = station(Diagnostics=uploading).handle(TriggerRequested(REF, "Diagnostics"), NOW)
    assert told(found) == [LogStatus("Uploading")]


def test_who_answers_for_one_kind_of_log_answers_for_both() -> None:
    assert told(station(Diagnostics=uploading).handle(TriggerRequested(REF, "Log"), NOW)) == [LogStatus("Uploading")]


def test_a_block_that_has_nothing_to_tell_rejects() -> None:
    found = station(SignCertificate=nothing).handle(TriggerRequested(REF, "SignCertificate"), NOW)
    assert answered(found) == [StatusAnswer("Rejected")]


def test_what_no_block_answers_for_is_not_implemented() -> None:
    assert answered(station().handle(TriggerRequested(REF, "SignCertificate"), NOW)) == [StatusAnswer("NotImplemented")]
