"""Orders of a technician: decided as those of a card, a button or the CSMS are, answered once, and in the logbook."""

from __future__ import annotations

import pytest

from agent.blocks.logbook import Logbook, LogEntry
from agent.core.effects import Ask, Authorize, Effect, Note, Record, Reply, StatusAnswer, Unlock, WritesAnswer
from agent.core.events import TokenAnswered, UnlockDone
from agent.core.requests import Ref
from agent.core.technician import (
    Order,
    Ordered,
    Requeue,
    RetryHere,
    ServiceHere,
    StartHere,
    StopHere,
    Told,
    UnlockHere,
    WriteHere,
)
from agent.core.types import SetStatus, StopReason, TokenInfo, TokenStatus, TransactionEvent, TxKind, VariableId
from drivers.api import Fault, IdToken, Pilot
from tests.blocks.helpers import CARD, OTHER_CARD, Bench, of

TIMEOUT = VariableId("TxCtrlr", "EVConnectionTimeOut")
OWN = IdToken("SERVICE-1", "Local")


def order(bench: Bench, what: Order, by: str = "anna", verb: str = "stop") -> list[Effect]:
    return bench.feed(Ordered(Ref("t1", verb, by), what, "the driver has called"))


def told(effects: list[Effect]) -> tuple[bool, str]:
    (reply,) = of(effects, Reply)
    assert isinstance(reply.answer, Told)
    return reply.answer.done, reply.answer.text


def log(bench: Bench) -> list[LogEntry]:
    return next(block for block in bench.station.blocks if isinstance(block, Logbook)).entries()


def ended(bench: Bench) -> TransactionEvent:
    (last,) = [event for event in bench.journal if event.kind is TxKind.ENDED]
    return last


# --- stop ---


def test_a_stop_ends_the_transaction_as_the_stop_button_does() -> None:
    bench = Bench().ready()
    bench.charge()
    order(bench, StopHere(1))
    bench.wait(30)
    assert (ended(bench).stop_reason, ended(bench).token) == (StopReason.LOCAL, None)


def test_a_stop_is_answered_when_the_transaction_has_ended() -> None:
    bench = Bench().ready()
    bench.charge()
    assert of(order(bench, StopHere(1)), Reply) == []
    bench.read(Pilot.B)
    bench.wait(2)
    done, text = told(bench.meter(5004.0))
    assert (done, "has ended with 0.004 kWh" in text) == (True, True)


def test_a_stop_is_answered_although_the_meter_is_silent() -> None:
    bench = Bench().ready()
    bench.charge()
    order(bench, StopHere(1))
    assert told(bench.wait(25))[0]


def test_a_stop_takes_back_what_nobody_has_used() -> None:
    bench = Bench().ready()
    bench.tap()
    assert told(order(bench, StopHere(1))) == (True, "the authorization is taken back")
    assert bench.evse.grant is None


def test_a_stop_where_nobody_charges_is_refused() -> None:
    assert told(order(Bench().ready(), StopHere(1))) == (False, "nobody charges here")


def test_a_second_stop_is_refused() -> None:
    bench = Bench().ready()
    bench.charge()
    order(bench, StopHere(1))
    done, text = told(order(bench, StopHere(1)))
    assert (done, "is ending already" in text) == (False, True)


def test_a_stop_that_only_withholds_power_says_so() -> None:
    bench = Bench(TxCtrlr__TxStopPoint="EVConnected").ready()
    bench.charge()
    done, text = told(order(bench, StopHere(1)))
    assert (done, "when the cable is unplugged" in text) == (True, True)


def test_an_evse_that_is_not_there_is_named() -> None:
    assert told(order(Bench(2).ready(), StopHere(7))) == (False, "there is no EVSE 7; there is 1, 2")


# --- start ---


def test_a_start_asks_the_csms_about_the_card() -> None:
    found = order(Bench().ready(), StartHere(1, CARD))
    assert [ask.call for ask in of(found, Ask) if isinstance(ask.call, Authorize)] == [Authorize(CARD, (1,), "start")]


def test_a_start_is_answered_when_the_card_is_accepted() -> None:
    bench = Bench().ready()
    order(bench, StartHere(1, CARD))
    found = bench.feed(TokenAnswered(Authorize(CARD, (1,), "start"), TokenInfo(TokenStatus.ACCEPTED)))
    assert told(found) == (True, "..B2C3 may charge; plug in within 120 s")


def test_a_start_with_a_bad_card_is_refused_in_the_words_of_the_csms() -> None:
    bench = Bench().ready()
    order(bench, StartHere(1, CARD))
    found = bench.feed(TokenAnswered(Authorize(CARD, (1,), "start"), TokenInfo(TokenStatus.BLOCKED)))
    assert told(found) == (False, "the card is Blocked")


def test_a_start_that_nobody_judges_is_answered_all_the_same() -> None:
    bench = Bench().ready()
    order(bench, StartHere(1, CARD))
    assert not told(bench.wait(45))[0]


def test_a_technicians_own_token_needs_no_question_and_is_billed_by_its_name() -> None:
    bench = Bench().ready()
    bench.read(Pilot.B)
    found = order(bench, StartHere(1, OWN, own=True))
    asked = [ask for ask in of(found, Ask) if isinstance(ask.call, Authorize)]
    assert (asked, told(found)[0]) == ([], True)
    assert of(found, Record)[0].event.token == OWN


def test_a_technicians_own_token_respects_a_fault() -> None:
    bench = Bench().ready()
    bench.read(Pilot.A, faults=(Fault.GROUND,))
    done, text = told(order(bench, StartHere(1, OWN, own=True)))
    assert (done, "ground" in text, "do not touch" in text) == (False, True, True)


@pytest.mark.parametrize("own", [True, False])
def test_a_start_never_stops_a_charge(own: bool) -> None:
    bench = Bench().ready()
    bench.charge()
    assert told(order(bench, StartHere(1, CARD, own))) == (False, "a card has been accepted here already")
    assert bench.evse.tx is not None
    assert bench.evse.tx.stop is None


def test_a_start_out_of_service_is_refused() -> None:
    bench = Bench().ready()
    order(bench, ServiceHere(False, 1))
    assert told(order(bench, StartHere(1, OTHER_CARD))) == (False, "it is out of service")


# --- what other blocks decide ---


def test_unlocking_is_decided_as_for_the_csms() -> None:
    bench = Bench().ready()
    assert of(order(bench, UnlockHere(1)), Unlock) == [Unlock(1)]
    (reply,) = of(bench.feed(UnlockDone(1, True)), Reply)
    assert (reply.ref.by, reply.answer) == ("anna", StatusAnswer("Unlocked"))


def test_out_of_service_waits_for_the_transaction() -> None:
    bench = Bench().ready()
    bench.charge()
    (reply,) = of(order(bench, ServiceHere(False, 1)), Reply)
    assert reply.answer == StatusAnswer("Scheduled")


def test_a_variable_that_is_set_here_counts_and_survives() -> None:
    bench = Bench().ready()
    (reply,) = of(order(bench, WriteHere(TIMEOUT, "77")), Reply)
    assert reply.answer == WritesAnswer(((TIMEOUT, SetStatus.ACCEPTED),))
    again = Bench()
    again.restart(bench)
    assert again.variables.text(str(TIMEOUT)) == "77"


def test_a_variable_that_was_set_can_be_set_back() -> None:
    bench = Bench().ready()
    before = bench.variables.text(str(TIMEOUT))
    order(bench, WriteHere(TIMEOUT, "77"))
    assert told(order(bench, WriteHere(TIMEOUT, None)))[0]
    again = Bench()
    again.restart(bench)
    assert (bench.variables.text(str(TIMEOUT)), again.variables.text(str(TIMEOUT))) == (before, before)


def test_a_variable_that_nobody_has_set_cannot_be_set_back() -> None:
    assert not told(order(Bench().ready(), WriteHere(TIMEOUT, None)))[0]


def test_dead_letters_are_put_back_by_the_runtime() -> None:
    assert of(order(Bench().ready(), RetryHere()), Requeue) == [Requeue(Ref("t1", "stop", "anna"))]


# --- the logbook ---


def test_each_order_is_in_the_logbook_with_author_and_reason_and_stays_there() -> None:
    bench = Bench().ready()
    order(bench, StopHere(1))
    order(bench, ServiceHere(False, 1), verb="availability")
    again = Bench()
    again.restart(bench)
    assert [(e.kind, e.text, e.evse, e.by, e.why) for e in log(again) if e.kind == "order"] == [
        ("order", "stop: refused: nobody charges here", 1, "anna", "the driver has called"),
        ("order", "availability: out of service: done", 1, "anna", "the driver has called"),
    ]


def test_each_order_is_a_line_in_the_journal() -> None:
    (note,) = of(order(Bench().ready(), StopHere(1)), Note)
    assert note.text == "EVSE 1: anna orders stop: refused: nobody charges here; why: the driver has called"


def test_no_whole_card_stands_in_the_logbook_nor_in_the_journal() -> None:
    bench = Bench().ready()
    found = order(bench, StartHere(1, CARD))
    assert CARD.value not in f"{of(found, Note)}{log(bench)}"
