"""Logbook, history and writers: what a technician reads later, bounded, and kept over restarts."""

from __future__ import annotations

from typing import TypeVar

import pytest

from agent.blocks.history import MAX_ROWS, History, Past
from agent.blocks.logbook import MAX_ENTRIES, TABLE, Logbook
from agent.blocks.writers import Writers
from agent.core.effects import Effect, Remember
from agent.core.events import BootAnswered, LinkDown, LinkUp, Registered, TransactionAnswered, TransactionEnded
from agent.core.record import replace
from agent.core.requests import Ref, VariablesSetRequested, VariableWrite
from agent.core.security import ClockSet
from agent.core.technician import Logged, Ordered, WriteHere
from agent.core.types import ClockQuality, Instant, Registration, TxKind, VariableId
from drivers.api import Fault, Pilot
from tests.blocks.helpers import CARD, Bench, of

T = TypeVar("T")
TIMEOUT = VariableId("TxCtrlr", "EVConnectionTimeOut")


def kept(effects: list[Effect]) -> list[Remember]:
    return [effect for effect in of(effects, Remember) if effect.table == TABLE]


def texts(bench: Bench) -> list[str]:
    return [f"{e.kind} {e.text}" for e in _block(bench, Logbook).entries()]


def _block(bench: Bench, kind: type[T]) -> T:
    return next(block for block in bench.station.blocks if isinstance(block, kind))


def rows(bench: Bench) -> list[Past]:
    return _block(bench, History).rows()


# --- the logbook ---


def test_a_fault_is_written_down_when_it_comes_and_when_it_goes() -> None:
    bench = Bench().ready()
    bench.read(Pilot.A, faults=(Fault.LOCK_FAILURE,), raw="code 7")
    bench.read(Pilot.A)
    assert texts(bench)[-2:] == [
        "fault lock-failure: the connector lock did not close (code 7)",
        "cleared lock-failure: the connector lock closes again",
    ]


def test_a_fault_that_flutters_is_stored_once_in_a_while() -> None:
    bench = Bench().ready()
    found: list[Effect] = []
    for _ in range(50):
        found += bench.read(Pilot.A, faults=(Fault.LOCK_FAILURE,))
        found += bench.read(Pilot.A)
        bench.wait(1)
    assert (len(kept(found)), len([text for text in texts(bench) if "lock" in text])) == (2, 100)


@pytest.mark.parametrize(
    ("event", "stored"),
    [
        (LinkUp(True), 0),
        (LinkDown("no route"), 1),
        (Registered(Registration.ACCEPTED), 0),
        (Registered(Registration.REJECTED), 1),
    ],
    ids=str,
)
def test_only_what_has_gone_wrong_with_the_link_costs_a_write(event: LinkUp, stored: int) -> None:
    bench = Bench()
    bench.boot()
    assert len(kept(bench.feed(event))) == stored


def test_a_return_of_the_link_is_stored_when_its_loss_was() -> None:
    bench = Bench().ready()
    bench.feed(LinkDown("no route"))
    assert len(kept(bench.feed(LinkUp(False)))) == 1


def test_the_logbook_is_bounded_in_memory_and_in_the_store() -> None:
    bench = Bench().ready()
    for number in range(MAX_ENTRIES + 50):
        bench.feed(Logged("order", f"{number}", by="anna"))
    again = Bench()
    again.restart(bench)
    assert (len(bench.remembered[TABLE]), len(texts(bench))) == (MAX_ENTRIES, MAX_ENTRIES)
    assert texts(again) == texts(bench)


def test_an_entry_gets_its_true_time_when_the_clock_is_set() -> None:
    bench = Bench()
    bench.station.handle(Logged("order", "x"), Instant(5.0, 5.0, ClockQuality.UNKNOWN, "boot-1"))
    bench.feed(ClockSet(bench.utc))
    (entry,) = _block(bench, Logbook).entries()
    assert entry.at.utc == bench.utc - (bench.mono - 5.0)


# --- the history ---


def charged() -> Bench:
    bench = Bench().ready()
    bench.charge()
    bench.read(Pilot.A)
    bench.wait(2)
    bench.meter(5004.0)
    bench.wait(15)
    return bench


def test_an_ended_transaction_is_in_the_history_with_a_part_of_its_card() -> None:
    (row,) = rows(charged())
    told = (row.evse, row.card, row.started_wh, row.energy_wh, row.reason, row.told)
    assert told == (1, "..B2C3", 5000, 5004, "EVDisconnected", None)


def test_the_history_says_when_the_csms_was_told() -> None:
    bench = charged()
    (end,) = [event for event in bench.journal if event.kind is TxKind.ENDED]
    bench.feed(TransactionAnswered(end))
    again = Bench()
    again.restart(bench)
    assert [row.told for row in rows(again)] == [bench.now]


def test_the_end_of_a_transaction_that_others_have_ended_is_in_the_history_once_it_is_told() -> None:
    (end,) = [event for event in charged().journal if event.kind is TxKind.ENDED]
    bench = Bench().ready()
    bench.feed(TransactionAnswered(end, csms_id="42"))
    assert [(row.transaction, row.csms_id, row.told) for row in rows(bench)] == [(end.transaction, "42", bench.now)]


def test_the_history_is_bounded() -> None:
    bench = Bench().ready()
    (end,) = [event for event in charged().journal if event.kind is TxKind.ENDED]
    for number in range(MAX_ROWS + 10):
        bench.feed(TransactionAnswered(replace(end, transaction=f"t-1-{number}")))
    assert (len(rows(bench)), len(bench.remembered["history"])) == (MAX_ROWS, MAX_ROWS)


def test_the_end_of_a_transaction_that_the_history_has_let_go_pushes_out_no_newer_one_when_it_is_told() -> None:
    bench = Bench().ready()
    (end,) = [event for event in charged().journal if event.kind is TxKind.ENDED]
    ends = [
        replace(end, transaction=f"t-1-{number}", at=replace(end.at, utc=end.at.utc + number))
        for number in range(MAX_ROWS + 2)
    ]
    for one in ends:  # a month without a link: more than it holds, and none of them told
        bench.feed(TransactionEnded(1, one.transaction, one, CARD))
    for one in ends:
        bench.feed(TransactionAnswered(one))
    assert [row.transaction for row in rows(bench)] == [one.transaction for one in ends[2:]]
    assert {row.card for row in rows(bench)} == {"..B2C3"}
    assert all(row.told for row in rows(bench))


# --- who has set a variable ---


def last(bench: Bench) -> tuple[str, float] | None:
    found = _block(bench, Writers).last(str(TIMEOUT))
    return (found[0], found[1].utc) if found else None


def test_it_is_known_who_has_set_a_variable_and_when() -> None:
    bench = Bench().ready()
    bench.feed(VariablesSetRequested(Ref("1", "SetVariables"), (VariableWrite(TIMEOUT, "50"),)))
    by_csms = last(bench)
    bench.wait(10)
    bench.feed(Ordered(Ref("2", "variables", "anna"), WriteHere(TIMEOUT, "60"), "test"))
    again = Bench()
    again.restart(bench)
    assert (by_csms, last(again)) == (("", bench.utc - 10), ("anna", bench.utc))


def test_it_is_known_when_the_answer_to_the_boot_has_set_the_heartbeat() -> None:
    bench = Bench().ready()
    writers = _block(bench, Writers)
    since = bench.utc
    bench.wait(10)
    for interval_s in (77, 77.0):  # a link that flutters writes nothing again
        bench.feed(BootAnswered(Registration.ACCEPTED, interval_s, bench.utc))
        bench.wait(5)
    found = writers.last("OCPPCommCtrlr.HeartbeatInterval")
    assert found is not None
    assert (found[0], found[1].utc) == ("", since + 10)


def test_a_variable_that_was_set_back_has_no_author() -> None:
    bench = Bench().ready()
    bench.feed(Ordered(Ref("2", "variables", "anna"), WriteHere(TIMEOUT, "60"), "test"))
    bench.feed(Ordered(Ref("3", "variables", "anna"), WriteHere(TIMEOUT, None), "test"))
    assert last(bench) is None
