"""The next driver, while the transaction of the one before is still ending: his card counts, and so does his car."""

from __future__ import annotations

from typing import Any

import pytest

from agent.core.effects import Ask, Authorize, Record
from agent.core.events import TokenAnswered, TokenPresented
from agent.core.types import TxKind
from drivers.api import Pilot
from tests.blocks.helpers import ACCEPTED, CARD, OTHER_CARD, Bench, of


def leaving(evses: int = 1, **variables: Any) -> Bench:
    """The car has just left, and the meter's last value is waited for."""
    bench = Bench(evses, TxCtrlr__TxStopPoint="EVConnected,Authorized", **variables).ready()
    bench.charge()
    bench.read(Pilot.A, contactor=True)
    assert bench.evse.tx is not None
    assert bench.evse.tx.stop is not None
    return bench


def end(bench: Bench) -> None:
    bench.read(bench.evse.pilot or Pilot.A, contactor=False)
    bench.wait(2)
    bench.meter()
    assert TxKind.ENDED in [event.kind for event in bench.journal]


def started(bench: Bench) -> list[str]:
    """Cards of the transactions that began."""
    return [event.token.value for event in bench.journal if event.kind is TxKind.STARTED and event.token]


@pytest.mark.parametrize("plugs", ["before the end", "after the end"])
@pytest.mark.parametrize("card", [CARD, OTHER_CARD])
def test_a_card_that_is_accepted_while_the_last_transaction_ends_starts_the_next_one(plugs: str, card: object) -> None:
    bench = leaving()
    bench.tap(card)  # type: ignore[arg-type]
    if plugs == "before the end":
        bench.read(Pilot.B, contactor=True)
        end(bench)
    else:
        end(bench)
        bench.read(Pilot.B)
    bench.read(Pilot.C)
    assert started(bench) == [CARD.value, card.value]  # type: ignore[attr-defined]
    assert bench.evse.offer_a == 32.0


def test_a_card_asked_about_before_the_car_left_counts_when_the_answer_comes() -> None:
    bench = Bench().ready()
    bench.charge()
    (ask,) = of(bench.feed(TokenPresented((1,), OTHER_CARD)), Ask)
    bench.read(Pilot.A, contactor=True)
    assert isinstance(ask.call, Authorize)
    bench.feed(TokenAnswered(ask.call, ACCEPTED))
    end(bench)
    bench.read(Pilot.B)
    assert started(bench)[1:] == [OTHER_CARD.value]


def test_a_driver_who_stops_his_charge_twice_starts_no_other() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.tap()
    bench.tap()
    end(bench)
    bench.wait(20)
    assert started(bench) == [CARD.value]
    assert bench.evse.grant is None


def test_two_cards_do_not_wait_for_one_place() -> None:
    bench = leaving()
    bench.tap(OTHER_CARD)
    bench.tap(CARD)
    end(bench)
    bench.read(Pilot.B)
    assert started(bench)[1:] == [OTHER_CARD.value]


def test_a_card_that_waits_lapses_when_nobody_comes() -> None:
    bench = leaving(TxCtrlr__EVConnectionTimeOut="60")
    bench.tap(OTHER_CARD)
    end(bench)
    bench.wait(61)
    bench.read(Pilot.B)
    assert started(bench) == [CARD.value]


def test_of_two_places_the_one_that_is_just_being_left_can_be_chosen() -> None:
    bench = leaving(2)
    bench.tap(OTHER_CARD, evses=(1, 2))
    end(bench)
    bench.read(Pilot.B)
    assert started(bench)[1:] == [OTHER_CARD.value]
    assert bench.station.facts.evses[2].grant is None


def test_a_car_that_comes_while_the_last_transaction_ends_is_a_new_visit() -> None:
    bench = leaving(TxCtrlr__TxStartPoint="EVConnected")
    bench.wait(1)
    bench.read(Pilot.B, contactor=True)
    end(bench)
    kinds = [effect.event.kind for effect in bench.effects if isinstance(effect, Record)]
    assert kinds.count(TxKind.STARTED) == 2
    assert not bench.evse.finished
