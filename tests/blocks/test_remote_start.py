"""RemoteStart and RemoteStop in every state of the connector, and ChangeAvailability with its schedule and memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.core.effects import Effect, Reply, StatusAnswer
from agent.core.events import OpenTransaction, TransactionAnswered
from agent.core.evse import connector_status
from agent.core.requests import AvailabilityRequested, Ref, StartRequested, StopRequested, UnlockRequested
from agent.core.types import ConnectorStatus, TxKind
from drivers.api import Fault, IdToken, Pilot
from tests.blocks.helpers import ACCEPTED, CARD, OTHER_CARD, Bench, of

REF = Ref("1", "x")


def said(effects: list[Effect]) -> list[str]:
    return [reply.answer.status for reply in of(effects, Reply) if isinstance(reply.answer, StatusAnswer)]


def start(bench: Bench, evse: int | None = 1) -> list[str]:
    return said(bench.feed(StartRequested(REF, OTHER_CARD, evse)))


def change(bench: Bench, operative: bool, evse: int | None = None, connector: int | None = None) -> list[str]:
    return said(bench.feed(AvailabilityRequested(REF, operative, evse, connector)))


def status(bench: Bench, evse: int = 1) -> str:
    return str(connector_status(bench.station.facts.evses[evse]))


def stopped(bench: Bench) -> None:
    bench.tap()
    bench.wait(1)
    bench.read(Pilot.B)
    bench.wait(1.5)
    bench.meter()


def available(_bench: Bench) -> None:
    pass


def preparing(bench: Bench) -> None:
    bench.read(Pilot.B)


def charging(bench: Bench) -> None:
    bench.charge()


def ending(bench: Bench) -> None:
    bench.charge()
    bench.tap()


def finishing(bench: Bench) -> None:
    bench.charge()
    stopped(bench)


def unavailable(bench: Bench) -> None:
    change(bench, False, 1)


def faulted(bench: Bench) -> None:
    bench.read(faults=frozenset((Fault.CONTACTOR,)))


def card_first(bench: Bench) -> None:
    bench.tap()


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (available, "Accepted"),
        (preparing, "Accepted"),
        (finishing, "Accepted"),
        (card_first, "Rejected"),
        (charging, "Rejected"),
        (ending, "Rejected"),
        (unavailable, "Rejected"),
        (faulted, "Rejected"),
    ],
)
def test_a_remote_start_is_accepted_where_a_card_could_start(state: Callable[[Bench], None], word: str) -> None:
    bench = Bench().ready()
    state(bench)
    assert start(bench) == [word]


@pytest.mark.parametrize("evse", [0, 3, -1])
def test_a_remote_start_at_a_connector_that_is_not_there_is_rejected(evse: int) -> None:
    assert start(Bench(2).ready(), evse) == ["Rejected"]


@pytest.mark.parametrize(
    ("kind", "word"), [("ISO14443", "Rejected"), ("Central", "Rejected"), ("NoAuthorization", "Accepted")]
)
def test_a_remote_start_for_nobody_is_rejected_unless_nobody_has_to_authorize(kind: str, word: str) -> None:
    assert said(Bench().ready().feed(StartRequested(REF, IdToken("", kind), 1))) == [word]


def test_a_remote_start_without_connector_takes_the_one_with_the_car() -> None:
    bench = Bench(2).ready()
    bench.read(Pilot.B, 2)
    assert start(bench, None) == ["Accepted"]
    assert (bench.journal[0].kind, bench.journal[0].evse) == (TxKind.STARTED, 2)


def test_a_remote_start_without_connector_is_rejected_when_none_is_free() -> None:
    bench = Bench(2).ready()
    change(bench, False)
    assert start(bench, None) == ["Rejected"]


def test_a_remote_start_of_a_car_that_has_finished_charges_anew() -> None:
    bench = Bench().ready()
    finishing(bench)
    before = len(bench.journal)
    start(bench)
    assert bench.journal[before].kind is TxKind.STARTED


def test_a_remote_start_that_nobody_uses_lapses_after_the_connection_time_out() -> None:
    bench = Bench(TxCtrlr__EVConnectionTimeOut="30").ready()
    start(bench)
    assert status(bench) == ConnectorStatus.PREPARING
    bench.wait(31)
    assert status(bench) == ConnectorStatus.AVAILABLE
    bench.read(Pilot.B)
    assert bench.journal == []


def test_the_newest_remote_start_of_a_token_is_the_one_that_waits() -> None:
    bench = Bench(2).ready()
    for number in (5, 6, 7):
        assert said(bench.feed(StartRequested(REF, OTHER_CARD, None, number))) == ["Accepted"]
    bench.read(Pilot.B, evse=2)
    bench.read(Pilot.B, evse=1)
    assert [event.remote_start_id for event in bench.journal if event.kind is TxKind.STARTED] == [7]


def test_a_remote_start_at_one_connector_leaves_nothing_of_an_earlier_one_at_any() -> None:
    bench = Bench(2).ready()
    start(bench, None)
    start(bench, 1)
    bench.read(Pilot.B, evse=2)
    assert (bench.evse.grant is not None, bench.station.facts.evses[2].grant) == (True, None)


@pytest.mark.parametrize("evse", [None, 1])
def test_a_remote_start_is_rejected_where_each_free_connector_waits_for_somebody_else(evse: int | None) -> None:
    bench = Bench(2).ready()
    bench.tap(CARD, evses=(1, 2))
    bench.tap(IdToken("THIRD"), evses=(1, 2))
    assert start(bench, evse) == ["Rejected"]
    bench.read(Pilot.B)
    bench.read(Pilot.B, evse=2)
    assert [v.grant.token.value for v in bench.station.facts.evses.values() if v.grant] == [CARD.value, "THIRD"]


def test_without_a_connection_time_out_a_remote_start_waits_for_ever() -> None:
    bench = Bench(TxCtrlr__EVConnectionTimeOut="0").ready()
    start(bench)
    bench.wait(100_000)
    bench.read(Pilot.B)
    assert bench.journal[0].kind is TxKind.STARTED


# --- remote stop ---


def test_a_remote_stop_of_a_transaction_that_is_over_is_rejected() -> None:
    bench = Bench().ready()
    bench.charge()
    name = bench.journal[0].transaction
    stopped(bench)
    assert said(bench.feed(StopRequested(REF, name))) == ["Rejected"]


def test_a_remote_stop_names_the_transaction_as_the_csms_does() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.feed(TransactionAnswered(bench.journal[0], ACCEPTED, "4711"))
    assert said(bench.feed(StopRequested(REF, "4712"))) == ["Rejected"]
    assert said(bench.feed(StopRequested(REF, "4711"))) == ["Accepted"]


def test_a_remote_stop_of_a_transaction_that_is_ending_is_accepted_and_ends_it_once() -> None:
    bench = Bench().ready()
    bench.charge()
    name = bench.journal[0].transaction
    bench.tap()
    assert said(bench.feed(StopRequested(REF, name))) == ["Accepted"]
    bench.read(Pilot.B)
    bench.wait(1.5)
    bench.meter()
    assert [event.kind for event in bench.journal].count(TxKind.ENDED) == 1


# --- availability ---


def test_the_same_state_again_is_accepted() -> None:
    bench = Bench().ready()
    assert change(bench, True, 1) == ["Accepted"]
    assert change(bench, False, 1) == ["Accepted"]
    assert change(bench, False, 1) == ["Accepted"]


@pytest.mark.parametrize(("evse", "connector"), [(3, None), (9, None), (1, 2)])
def test_the_availability_of_a_connector_that_is_not_there_is_rejected(evse: int, connector: int | None) -> None:
    bench = Bench(2).ready()
    assert change(bench, False, evse, connector) == ["Rejected"]
    assert bench.remembered.get("availability", {}) == {}


def test_all_connectors_go_out_of_service_the_charging_one_at_its_end() -> None:
    bench = Bench(2).ready()
    bench.charge()
    assert change(bench, False) == ["Scheduled"]
    assert (status(bench, 1), status(bench, 2)) == ("Charging", "Unavailable")
    stopped(bench)
    assert status(bench, 1) == "Unavailable"


def test_a_scheduled_change_can_be_taken_back() -> None:
    bench = Bench().ready()
    bench.charge()
    assert change(bench, False, 1) == ["Scheduled"]
    assert change(bench, False, 1) == ["Scheduled"]
    assert change(bench, True, 1) == ["Accepted"]
    stopped(bench)
    assert status(bench) == "Finishing"


def test_a_scheduled_change_survives_a_restart_in_mid_charge_and_waits_for_its_end() -> None:
    bench = Bench().ready()
    bench.charge()
    change(bench, False, 1)
    (tx,) = bench.remembered["open"]
    kept = OpenTransaction(tx, bench.journal[-1].seq + 1, bench.remembered["open"][tx])  # type: ignore[arg-type]
    again = Bench()
    again.mono, again.utc, again.wh = bench.mono + 5, bench.utc + 5, dict(bench.wh)
    again.boot(kept, availability=bench.remembered["availability"])
    again.online()
    again.read(Pilot.C)
    again.meter(power_w=7000.0)
    assert again.evse.operative
    stopped(again)
    assert status(again) == "Unavailable"


def test_a_connector_out_of_service_takes_no_card_and_gives_no_power() -> None:
    bench = Bench().ready()
    change(bench, False, 1)
    bench.read(Pilot.B)
    bench.tap(CARD)
    assert (bench.journal, bench.evse.offer_a) == ([], 0.0)


# --- unlock ---


@pytest.mark.parametrize("evse", [0, 2, 99])
def test_a_connector_that_is_not_there_is_not_unlocked(evse: int) -> None:
    assert said(Bench().ready().feed(UnlockRequested(REF, evse))) == ["UnknownConnector"]


def test_a_station_without_a_lock_does_not_support_unlocking_and_says_so_in_its_keys() -> None:
    bench = Bench(attached=True).ready()
    row = bench.variables.find("OCPPCommCtrlr.UnlockOnEVSideDisconnect")
    assert row is not None and (row.default, str(row.mutability)) == ("false", "ReadOnly")
