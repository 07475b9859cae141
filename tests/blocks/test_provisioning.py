"""Registration, heartbeat, variables, reports, reset: what the CSMS orders of the station itself."""

from __future__ import annotations

import pytest

from agent.core.effects import (
    Ask,
    Boot,
    Call,
    Heartbeat,
    LearnTime,
    MeterReport,
    Remember,
    Reply,
    ReportPart,
    Restart,
    Status,
    StatusAnswer,
    TransactionStatusAnswer,
    Unlock,
    VariablesAnswer,
    WritesAnswer,
)
from agent.core.events import (
    BootAnswered,
    CallFailed,
    HeartbeatAnswered,
    LinkDown,
    LinkUp,
    QueueEmptied,
    QueueFilled,
    UnlockDone,
)
from agent.core.record import replace
from agent.core.requests import (
    Ref,
    ReportRequested,
    ResetRequested,
    StartRequested,
    StopRequested,
    TransactionStatusRequested,
    TriggerRequested,
    UnlockRequested,
    VariablesRequested,
    VariablesSetRequested,
    VariableWrite,
)
from agent.core.types import Registration, ResetKind, SetStatus, StopReason, VariableId
from drivers.api import Pilot
from tests.blocks.helpers import CARD, Bench, of

REF = Ref("1", "x")


def calls(bench: Bench, kind: type[Call]) -> list[Call]:
    return [ask.call for ask in of(bench.effects, Ask) if isinstance(ask.call, kind)]


def started(registration: Registration, interval_s: float = 10.0) -> Bench:
    bench = Bench()
    bench.boot()
    bench.feed(LinkUp(True))
    bench.feed(BootAnswered(registration, interval_s, bench.utc))
    return bench


def test_boot_is_sent_once_a_process_and_not_on_a_reconnect() -> None:
    bench = Bench().ready()
    bench.feed(LinkDown("cut"))
    bench.feed(LinkUp(False))
    assert calls(bench, Boot) == []


def test_boot_tells_why_the_process_began() -> None:
    for tables, power_lost, reason in (
        ({}, True, "PowerUp"),
        ({}, False, "ApplicationReset"),
        ({"boot": {"reason": "RemoteReset"}}, False, "RemoteReset"),
    ):
        bench = Bench()
        bench.boot(power_lost=power_lost, **tables)
        bench.feed(LinkUp(True))
        assert calls(bench, Boot) == [Boot(reason)]


@pytest.mark.parametrize("registration", [Registration.PENDING, Registration.REJECTED])
def test_boot_is_repeated_after_the_interval_that_the_csms_named(registration: Registration) -> None:
    bench = started(registration, 45)
    bench.wait(44)
    assert len(calls(bench, Boot)) == 1
    bench.wait(2)
    assert len(calls(bench, Boot)) == 2


def test_an_interval_of_zero_floods_nobody() -> None:
    bench = started(Registration.PENDING, 0)
    bench.wait(29)
    assert len(calls(bench, Boot)) == 1


def test_a_boot_without_answer_is_repeated() -> None:
    bench = Bench()
    bench.boot()
    bench.feed(LinkUp(True))
    bench.feed(CallFailed(Boot("PowerUp"), "timeout"))
    bench.wait(31)
    assert len(calls(bench, Boot)) == 2


def test_a_boot_that_was_due_while_offline_goes_out_with_the_link() -> None:
    bench = started(Registration.PENDING, 10)
    bench.feed(LinkDown("cut"), CallFailed(Boot("PowerUp"), "offline"))
    bench.wait(60)
    bench.feed(LinkUp(False))
    assert len(calls(bench, Boot)) == 2


def test_no_status_before_accepted() -> None:
    bench = started(Registration.PENDING)
    bench.read()
    bench.meter()
    assert calls(bench, Status) == []


def test_heartbeats_follow_the_interval_of_the_boot_and_teach_the_time() -> None:
    bench = started(Registration.ACCEPTED, 60)
    bench.wait(121)
    assert len(calls(bench, Heartbeat)) == 2
    assert of(bench.feed(HeartbeatAnswered(5.0)), LearnTime) == [LearnTime(5.0)]


def test_the_time_is_not_learnt_when_another_source_was_chosen() -> None:
    bench = Bench(ClockCtrlr__TimeSource="NTP").ready()
    assert of(bench.feed(HeartbeatAnswered(5.0)), LearnTime) == []


def test_a_new_heartbeat_interval_counts_at_once_and_is_remembered() -> None:
    bench = Bench().ready()
    interval = VariableId("OCPPCommCtrlr", "HeartbeatInterval")
    effects = bench.feed(VariablesSetRequested(REF, (VariableWrite(interval, "20"),)))
    assert Remember("variables", "OCPPCommCtrlr.HeartbeatInterval", "20") in effects
    bench.wait(41)
    assert len(calls(bench, Heartbeat)) == 2


def test_without_an_interval_one_heartbeat_a_day_is_left() -> None:
    bench = Bench().ready()
    interval = VariableId("OCPPCommCtrlr", "HeartbeatInterval")
    bench.feed(VariablesSetRequested(REF, (VariableWrite(interval, "0"),)))
    bench.wait(2 * 86400 + 1)
    assert len(calls(bench, Heartbeat)) == 2


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("TxCtrlr.EVConnectionTimeOut", "60", SetStatus.ACCEPTED),
        ("TxCtrlr.EVConnectionTimeOut", "-1", SetStatus.REJECTED),
        ("TxCtrlr.EVConnectionTimeOut", "soon", SetStatus.REJECTED),
        ("AuthCtrlr.LocalPreAuthorize", "yes", SetStatus.REJECTED),
        ("AuthCtrlr.LocalPreAuthorize", "TRUE", SetStatus.ACCEPTED),
        ("SampledDataCtrlr.TxUpdatedMeasurands", "Voltage,Frequency", SetStatus.ACCEPTED),
        ("SampledDataCtrlr.TxUpdatedMeasurands", "Voltage,Happiness", SetStatus.REJECTED),
        ("TxCtrlr.TxStartPoint", "", SetStatus.REJECTED),
        ("SecurityCtrlr.SecurityProfile", "3", SetStatus.REJECTED),
        ("TxCtrlr.Nothing", "1", SetStatus.UNKNOWN_VARIABLE),
        ("Nowhere.Nothing", "1", SetStatus.UNKNOWN_COMPONENT),
    ],
)
def test_writes_are_judged(name: str, value: str, status: SetStatus) -> None:
    bench = Bench().ready()
    component, variable = name.split(".")
    id_ = VariableId(component, variable)
    bench.feed(VariablesSetRequested(REF, (VariableWrite(id_, value),)))
    assert bench.replies == [WritesAnswer(((id_, status),))]


@pytest.mark.parametrize(
    ("tells", "value", "status"),
    [
        (("Voltage",), "Voltage", SetStatus.ACCEPTED),
        (("Voltage",), "voltage, Current.Offered,Power.Offered", SetStatus.ACCEPTED),
        (("Voltage",), "Voltage,Frequency", SetStatus.REJECTED),
        (("Voltage",), "Energy.Active.Import.Register,Current.Import", SetStatus.ACCEPTED),  # as it is already
        (None, "Voltage,Frequency", SetStatus.ACCEPTED),
        (None, "Voltage,Nonsense", SetStatus.REJECTED),
    ],
)
def test_a_measurand_that_no_meter_here_tells_is_refused(
    tells: tuple[str, ...] | None, value: str, status: SetStatus
) -> None:
    bench = Bench(2)
    for evse in bench.station.facts.evses.values():
        evse.limits = replace(evse.limits, measures=tells if evse.id == 1 else tells and ())
    id_ = VariableId("SampledDataCtrlr", "TxUpdatedMeasurands")
    before = bench.variables.text(str(id_))
    bench.feed(VariablesSetRequested(REF, (VariableWrite(id_, value),)))
    assert bench.replies == [WritesAnswer(((id_, status),))]
    assert (bench.variables.text(str(id_)) == before) == (status is SetStatus.REJECTED)


def test_a_list_of_measurands_that_is_not_there_is_not_known() -> None:
    bench = Bench()
    bench.evse.limits = replace(bench.evse.limits, measures=("Voltage",))
    id_ = VariableId("NoCtrlr", "NoMeasurands")
    bench.feed(VariablesSetRequested(REF, (VariableWrite(id_, "Frequency"),)))
    assert bench.replies == [WritesAnswer(((id_, SetStatus.UNKNOWN_COMPONENT),))]


def test_what_the_csms_set_wins_over_the_configuration_and_survives() -> None:
    bench = Bench(TxCtrlr__EVConnectionTimeOut="90").ready()
    bench.feed(VariablesSetRequested(REF, (VariableWrite(VariableId("TxCtrlr", "EVConnectionTimeOut"), "33"),)))
    again = Bench(TxCtrlr__EVConnectionTimeOut="90")
    again.restart(bench)
    assert again.variables.number("TxCtrlr.EVConnectionTimeOut") == 33


def test_variables_are_read_with_or_without_names() -> None:
    bench = Bench().ready()
    bench.feed(VariablesRequested(REF, None))
    bench.feed(VariablesRequested(REF, (VariableId("clockctrlr", "datetime"),)))
    everything, one = bench.replies
    assert isinstance(everything, VariablesAnswer)
    assert isinstance(one, VariablesAnswer)
    assert len(everything.views) > 60
    assert one.views[0].value == "2027-01-15T08:00:00.000Z"


def test_a_report_comes_in_parts_and_the_last_says_so() -> None:
    bench = Bench().ready()
    bench.feed(ReportRequested(REF, 7, "FullInventory"))
    parts = [part for part in calls(bench, ReportPart) if isinstance(part, ReportPart)]
    assert [part.seq for part in parts] == list(range(len(parts)))
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert all(len(part.views) <= 40 for part in parts)


@pytest.mark.parametrize(
    ("message", "kind"), [("Heartbeat", Heartbeat), ("Status", Status), ("MeterValues", MeterReport)]
)
def test_a_trigger_is_answered_before_it_is_obeyed(message: str, kind: type[Call]) -> None:
    bench = Bench().ready()
    bench.feed(TriggerRequested(REF, message))
    assert bench.replies == [StatusAnswer("Accepted")]
    assert calls(bench, kind)
    order = [type(effect).__name__ for effect in bench.effects if type(effect).__name__ in ("Reply", "Ask")]
    assert order[0] == "Reply"


def test_an_unknown_trigger_is_not_implemented() -> None:
    bench = Bench().ready()
    bench.feed(TriggerRequested(REF, "MakeCoffee"))
    assert bench.replies == [StatusAnswer("NotImplemented")]


def test_a_trigger_for_an_unknown_evse_is_rejected() -> None:
    bench = Bench().ready()
    bench.feed(TriggerRequested(REF, "Status", 9))
    assert bench.replies == [StatusAnswer("Rejected", reason="UnknownEvse")]


def test_remote_start_and_stop_are_refused_while_pending() -> None:
    bench = started(Registration.PENDING)
    bench.read()
    bench.meter()
    bench.feed(StartRequested(REF, CARD, 1), StopRequested(REF, "x"))
    assert [getattr(reply, "status", "") for reply in bench.replies] == ["Rejected", "Rejected"]


def test_a_remote_start_on_a_busy_evse_is_refused() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.feed(StartRequested(REF, CARD, 1))
    assert bench.replies == [StatusAnswer("Rejected", reason="TxInProgress")]


def test_the_lock_answers_the_unlock() -> None:
    bench = Bench().ready()
    assert of(bench.feed(UnlockRequested(REF, 1)), Unlock) == [Unlock(1)]
    bench.feed(UnlockDone(1, True))
    assert bench.replies == [StatusAnswer("Unlocked")]


def test_a_lock_that_never_answers_has_failed() -> None:
    bench = Bench().ready()
    bench.feed(UnlockRequested(REF, 1))
    bench.wait(21)
    assert bench.replies == [StatusAnswer("UnlockFailed")]


def test_transaction_status_tells_of_the_queue() -> None:
    bench = Bench().ready()
    bench.feed(QueueFilled(), TransactionStatusRequested(REF, "t-1-1"), QueueEmptied(), TransactionStatusRequested(REF))
    assert bench.replies == [TransactionStatusAnswer(True, False), TransactionStatusAnswer(False, None)]


@pytest.mark.parametrize(
    ("kind", "hard", "reason"),
    [
        (ResetKind.SOFT, False, StopReason.SOFT_RESET),
        (ResetKind.HARD, True, StopReason.HARD_RESET),
        (ResetKind.IMMEDIATE, True, StopReason.IMMEDIATE_RESET),
    ],
)
def test_a_reset_ends_transactions_first(kind: ResetKind, hard: bool, reason: StopReason) -> None:
    bench = Bench().ready()
    bench.charge()
    bench.feed(ResetRequested(REF, kind))
    assert bench.replies == [StatusAnswer("Accepted")]
    assert of(bench.effects, Restart) == []
    bench.wait(2)
    bench.read(Pilot.B)
    bench.wait(1.5)
    bench.meter()
    assert bench.journal[-1].stop_reason is reason
    bench.wait(1)
    assert of(bench.effects, Restart)[0].hard is hard


@pytest.mark.parametrize("second", [ResetKind.SOFT, ResetKind.HARD])
def test_a_second_reset_while_one_is_under_way_is_rejected(second: ResetKind) -> None:
    bench = Bench().ready()
    bench.charge()
    bench.feed(ResetRequested(REF, ResetKind.SOFT), ResetRequested(REF, second))
    assert bench.replies == [StatusAnswer("Accepted"), StatusAnswer("Rejected", reason="Busy")]


def test_a_reset_waits_for_the_journal_but_not_for_ever() -> None:
    bench = Bench().ready()
    bench.feed(QueueFilled(), ResetRequested(REF, ResetKind.SOFT))
    bench.wait(5)
    assert of(bench.effects, Restart) == []
    bench.wait(10)
    assert len(of(bench.effects, Restart)) == 1


def test_a_reset_on_idle_waits_for_the_transaction_and_lets_none_begin() -> None:
    bench = Bench(evses=2).ready()
    bench.charge()
    bench.feed(ResetRequested(REF, ResetKind.ON_IDLE))
    assert bench.replies == [StatusAnswer("Scheduled")]
    bench.wait(30)
    bench.feed(StartRequested(REF, CARD, 2))
    assert getattr(bench.replies[-1], "status", "") == "Rejected"
    assert of(bench.effects, Restart) == []
    bench.read(Pilot.A)
    bench.wait(2)
    bench.meter()
    bench.wait(1)
    assert len(of(bench.effects, Restart)) == 1


def test_a_question_has_its_answer_and_no_other_effect() -> None:
    bench = Bench().ready()
    bench.evse.operative = False  # a fact that a status would be derived from
    found = bench.feed(VariablesRequested(Ref("q", "GetConfiguration"), None))
    assert [type(effect) for effect in found] == [Reply]
