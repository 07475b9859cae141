"""Section 4.9: the transitions of a connector's status, each by what makes it; named as in the table there. Statuses
are looked at as they are told. Reserved (column 7, row G) is tested with reservations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.core.effects import Ask, Effect, Note, Status
from agent.core.events import TransactionAnswered
from agent.core.profile import Kind, Period, Profile, Purpose
from agent.core.requests import AvailabilityRequested, ProfileSetRequested, Ref
from agent.core.types import TokenInfo, TokenStatus
from drivers.api import Fault, Pilot
from tests.blocks.helpers import OTHER_CARD, Bench, of

REF = Ref("1", "x")
OPEN = frozenset((Fault.COVER,))
Act = Callable[[Bench], list[Effect]]


def words(effects: list[Effect], evse: int = 1) -> list[str]:
    return [str(a.call.status) for a in of(effects, Ask) if isinstance(a.call, Status) and a.call.evse == evse]


# --- what makes a change ---


def plug(bench: Bench) -> list[Effect]:
    return bench.read(Pilot.B)


def unplug(bench: Bench) -> list[Effect]:
    found = bench.read(Pilot.A)
    bench.wait(1.5)
    return found + bench.meter()


def tap(bench: Bench) -> list[Effect]:
    return bench.tap()


def tap_other(bench: Bench) -> list[Effect]:
    return bench.tap(OTHER_CARD)


def draw(bench: Bench) -> list[Effect]:
    found = bench.read(Pilot.C)
    bench.wait(1)
    return found + bench.meter(power_w=7000.0)


def pause(bench: Bench) -> list[Effect]:
    return bench.read(Pilot.B)


def stop(bench: Bench) -> list[Effect]:
    found = bench.tap()
    bench.wait(1)
    found += bench.read(Pilot.B)
    bench.wait(1.5)
    return found + bench.meter()


def wait(bench: Bench) -> list[Effect]:
    return bench.wait(121)


def refuse(bench: Bench) -> list[Effect]:
    """The CSMS refuses the card afterwards; by StopTransactionOnInvalidId only the power goes."""
    started = bench.journal[0]
    return bench.feed(TransactionAnswered(started, TokenInfo(TokenStatus.BLOCKED), "7"))


def inoperative(bench: Bench) -> list[Effect]:
    return bench.feed(AvailabilityRequested(REF, False, 1))


def operative(bench: Bench) -> list[Effect]:
    return bench.feed(AvailabilityRequested(REF, True, 1))


def fault(bench: Bench) -> list[Effect]:
    evse = bench.evse
    assert evse.pilot is not None
    return bench.read(evse.pilot, cable_a=evse.cable_a or 0.0, faults=frozenset((Fault.METER,)))  # no rest follows


def clear(bench: Bench) -> list[Effect]:
    evse = bench.evse
    assert evse.pilot is not None
    return bench.read(evse.pilot, cable_a=evse.cable_a or 0.0)


def limit(amperes: float) -> Act:
    def set_limit(bench: Bench) -> list[Effect]:
        profile = Profile(
            id=1, stack_level=0, purpose=Purpose.TX_DEFAULT, kind=Kind.RELATIVE, unit="A", periods=(Period(0, amperes),)
        )
        return bench.feed(ProfileSetRequested(REF, 1, profile)) + bench.wait(60)

    return set_limit


A: tuple[Act, ...] = ()
B = (plug,)
C = (tap, plug, draw)
D = (tap, plug)
E = (tap, plug, draw, limit(0))
F = (tap, plug, draw, stop)
H = (inoperative,)

TABLE: tuple[tuple[str, tuple[Act, ...], Act, list[str]], ...] = (
    ("A2 a plug", A, plug, ["Preparing"]),
    ("A2 a card", A, tap, ["Preparing"]),
    ("A8", A, inoperative, ["Unavailable"]),
    ("A9", A, fault, ["Faulted"]),
    ("B1 the cable goes", B, unplug, ["Available"]),
    ("B1 nobody plugs in", (tap,), wait, ["Available"]),
    ("B1 the card again", (tap,), tap, ["Available"]),
    ("B3", (plug, draw), tap, ["SuspendedEV"]),
    ("B4", B, tap, ["SuspendedEV"]),
    ("B5", (plug, limit(0)), tap, ["SuspendedEVSE"]),
    ("out of service with a car and no charge, which the table leaves out", B, inoperative, ["Unavailable"]),
    ("B9", B, fault, ["Faulted"]),
    ("C4", C, pause, ["SuspendedEV"]),
    ("C5", C, limit(0), ["SuspendedEVSE"]),
    ("C6", C, stop, ["Finishing"]),
    ("C1 after the cable", C, unplug, ["Finishing", "Available"]),
    ("C8 scheduled", (*C, inoperative), stop, ["Finishing", "Unavailable"]),
    ("C9", C, fault, ["Faulted"]),
    ("D3", D, draw, ["Charging"]),
    ("D5", D, limit(0), ["SuspendedEVSE"]),
    ("D6", D, stop, ["Finishing"]),
    ("D1", D, unplug, ["Finishing", "Available"]),
    ("D8", (*D, inoperative), stop, ["Finishing", "Unavailable"]),
    ("D9", D, fault, ["Faulted"]),
    ("E3", E, limit(16), ["SuspendedEV", "Charging"]),  # until the contactor has closed
    ("E4", (*E, pause), limit(16), ["SuspendedEV"]),
    ("E6", E, stop, ["Finishing"]),
    ("E1", E, unplug, ["Finishing", "Available"]),
    ("E8", (*E, inoperative), stop, ["Finishing", "Unavailable"]),
    ("E9", E, fault, ["Faulted"]),
    ("F1", F, unplug, ["Available"]),
    ("F2 a new card charges anew", F, tap_other, ["SuspendedEV"]),
    ("F8", F, inoperative, ["Unavailable"]),
    ("F9", F, fault, ["Faulted"]),
    ("H1", H, operative, ["Available"]),
    ("H2", (*H, plug), operative, ["Preparing"]),
    ("H9", H, fault, ["Faulted"]),
    ("I1", (*A, fault), clear, ["Available"]),
    ("I2", (*B, fault), clear, ["Preparing"]),
    ("I3 when the contactor has closed", (*C, fault, clear), draw, ["Charging"]),
    ("I4", (*D, fault), clear, ["SuspendedEV"]),
    ("I5", (*E, fault), clear, ["SuspendedEVSE"]),
    ("I6", (*F, fault), clear, ["Finishing"]),
    ("I8", (*H, fault), clear, ["Unavailable"]),
)


@pytest.mark.parametrize(("before", "act", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_transition_of_the_table_is_told(before: tuple[Act, ...], act: Act, expected: list[str]) -> None:
    bench = Bench().ready()
    for step in before:
        step(bench)
    assert words(act(bench)) == expected


def test_a_card_refused_afterwards_suspends_the_charge_where_it_may_go_on() -> None:
    bench = Bench(TxCtrlr__StopTxOnInvalidId="false").ready()
    bench.charge()
    assert words(refuse(bench)) == ["SuspendedEVSE"]


# --- the error code ---


def last(bench: Bench, **reading: Any) -> Status:
    asks = of(bench.read(**reading), Ask)
    (status,) = [ask.call for ask in asks if isinstance(ask.call, Status)]
    assert isinstance(status, Status)
    return status


def test_a_fault_that_does_not_stop_is_told_in_its_state() -> None:
    status = last(Bench().ready(), faults=frozenset((Fault.UNLOCK_FAILURE,)), raw="0x11")
    assert (str(status.status), status.error, status.info) == ("Available", Fault.UNLOCK_FAILURE, "0x11")


def test_a_fault_during_a_charge_that_does_not_stop_it_is_told_and_the_charge_goes_on() -> None:
    bench = Bench().ready()
    bench.charge()
    status = last(bench, pilot=Pilot.C, faults=frozenset((Fault.RFID_READER,)))
    assert (str(status.status), status.error) == ("Charging", Fault.RFID_READER)
    assert bench.evse.offer_a == 32.0


def test_an_open_door_is_a_security_event_once_though_it_rattles_and_the_charge_goes_on() -> None:
    bench = Bench().ready()
    bench.charge()
    status = last(bench, pilot=Pilot.C, faults=OPEN)
    for faults in (frozenset(), OPEN):
        bench.read(Pilot.C, faults=faults)
        bench.wait(1)
    told = [note.text for note in of(bench.effects, Note) if "TamperDetectionActivated" in note.text]
    assert len(told) == 1
    assert (str(status.status), status.error) == ("Charging", Fault.COVER)


def test_of_a_warning_and_a_fault_that_stops_the_fault_is_told() -> None:
    bench = Bench().ready()
    bench.read(faults=frozenset((Fault.UNLOCK_FAILURE,)))
    status = last(bench, faults=frozenset((Fault.UNLOCK_FAILURE, Fault.CONTACTOR)))
    assert (str(status.status), status.error) == ("Faulted", Fault.CONTACTOR)


def test_a_second_fault_is_told_and_the_first_again_when_the_second_has_gone() -> None:
    bench = Bench().ready()
    bench.read(faults=frozenset((Fault.OVER_TEMPERATURE,)))
    both = frozenset((Fault.OVER_TEMPERATURE, Fault.CONTACTOR))
    assert last(bench, faults=both).error == Fault.CONTACTOR
    assert last(bench, faults=frozenset((Fault.OVER_TEMPERATURE,))).error == Fault.OVER_TEMPERATURE


def test_an_error_state_of_the_pilot_does_not_hide_the_fault_that_made_it() -> None:
    status = last(Bench().ready(), pilot=Pilot.F, faults=frozenset((Fault.GROUND,)))
    assert status.error == Fault.GROUND


def test_the_state_f_by_which_a_controller_tells_the_car_of_its_fault_is_no_second_fault() -> None:
    bench = Bench().ready()
    bench.charge()
    bench.read(Pilot.F, faults=(Fault.GROUND,))
    assert (list(bench.evse.faults), bench.evse.offer_a) == ([Fault.GROUND], 0.0)
    bench.read(Pilot.F)
    assert list(bench.evse.faults) == [Fault.PILOT]
    bench.read(Pilot.F, faults=(Fault.RFID_READER,))  # that is no reason for it
    assert Fault.PILOT in bench.evse.faults


def test_a_fault_that_has_gone_leaves_no_error_behind() -> None:
    bench = Bench().ready()
    bench.read(faults=frozenset((Fault.CONTACTOR,)))
    assert last(bench).error == ""


@pytest.mark.parametrize("which", [Fault.LOCK_FAILURE, Fault.METER, Fault.CONTACTOR])
def test_a_fault_that_comes_with_the_plug_lets_no_transaction_begin_until_it_has_gone(which: Fault) -> None:
    bench = Bench().ready()
    bench.tap()
    status = last(bench, pilot=Pilot.B, faults=frozenset((which,)))
    assert (str(status.status), status.error) == ("Faulted", which)
    assert bench.journal == []
    bench.read(Pilot.B)
    assert bench.journal[0].token is not None


def test_connector_0_is_never_more_than_available_or_unavailable() -> None:
    bench = Bench().ready()
    bench.charge()
    unplug(bench)
    bench.read(faults=frozenset((Fault.CONTACTOR,)))
    bench.feed(AvailabilityRequested(REF, False))
    assert set(words(bench.effects, 0)) <= {"Available", "Unavailable"}
