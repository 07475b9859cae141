"""Faults as events of the device model: each told once when it comes and once when it goes."""

from __future__ import annotations

from agent.blocks.assembly import assemble
from agent.core.effects import Ask
from agent.core.events import CallFailed, LinkDown, LinkUp, StorageFailed, StorageRecovered
from agent.core.evse import EvseLimits
from agent.core.supervision import Problem
from agent.core.types import VariableId
from drivers.api import Fault, Pilot
from tests.blocks.helpers import Bench, of


def told(bench: Bench) -> list[tuple[int, str, bool]]:
    calls = [ask.call for ask in of(bench.effects, Ask)]
    return [(call.evse, call.fault, call.present) for call in calls if isinstance(call, Problem)]


def last(bench: Bench) -> Problem:
    return [ask.call for ask in of(bench.effects, Ask) if isinstance(ask.call, Problem)][-1]


def test_a_fault_is_told_when_it_comes_and_when_it_goes() -> None:
    bench = Bench().ready()
    bench.read(faults=(Fault.GROUND,))
    bench.wait(20)
    bench.read()
    assert told(bench) == [(1, "ground", True), (1, "ground", False)]


def test_two_faults_are_told_one_by_one() -> None:
    bench = Bench().ready()
    bench.read(faults=(Fault.GROUND, Fault.INTERNAL))
    assert told(bench) == [(1, "ground", True), (1, "internal", True)]


def test_what_still_makes_a_variable_true_is_told_again_when_another_fault_of_it_has_gone() -> None:
    bench = Bench().ready()
    bench.read(contactor=True, faults=(Fault.CONTACTOR,))
    bench.wait(60)
    bench.read(contactor=True)
    calls = [ask.call for ask in of(bench.effects, Ask) if isinstance(ask.call, Problem)]
    assert [(call.fault, call.present, call.others) for call in calls] == [
        ("contactor", True, False),
        ("contactor-welded", True, False),
        ("contactor", False, True),
        ("contactor-welded", True, False),
    ]


def test_a_fault_in_a_charge_names_its_transaction() -> None:
    bench = Bench().ready()
    bench.charge()
    assert bench.evse.tx is not None
    bench.read(Pilot.C, faults=(Fault.INTERNAL,))
    assert last(bench).transaction == bench.evse.tx.id


def test_a_fault_of_the_station_is_told_once_for_all_evses() -> None:
    bench = Bench(evses=2).ready()
    bench.feed(StorageFailed("full"))
    bench.wait(20)
    bench.feed(StorageRecovered())
    assert told(bench) == [(0, "storage", True), (0, "storage", False)]


def test_a_fault_that_flickers_is_told_every_ten_seconds_at_most() -> None:
    bench = Bench().ready()
    for _ in range(60):
        bench.read(faults=(Fault.GROUND,))
        bench.wait(0.5)
        bench.read()
        bench.wait(0.5)
    assert 2 <= len(told(bench)) <= 7
    assert [present for *_, present in told(bench)] == [True, False, True, False, True, False, True][: len(told(bench))]


def test_what_happens_without_a_link_is_kept_with_its_time() -> None:
    bench = Bench().ready()
    bench.feed(LinkDown("cut"))
    at = bench.utc
    bench.read(faults=(Fault.GROUND,))
    bench.wait(600)
    bench.feed(LinkUp(False))
    assert told(bench) == [(1, "ground", True)]
    assert last(bench).at.utc == at


def test_a_long_time_away_keeps_no_more_than_its_share() -> None:
    bench = Bench().ready()
    bench.feed(LinkDown("cut"))
    for _ in range(100):
        bench.read(faults=(Fault.GROUND,))
        bench.wait(20)
        bench.read()
        bench.wait(20)
    assert len(told(bench)) == 50


def test_what_the_csms_did_not_take_is_told_again() -> None:
    bench = Bench().ready()
    bench.read(faults=(Fault.GROUND,))
    bench.feed(CallFailed(last(bench), "timeout"))
    bench.wait(59)
    assert len(told(bench)) == 1
    bench.wait(2)
    assert told(bench) == [(1, "ground", True)] * 2


def test_the_device_model_shows_it_while_it_stands() -> None:
    bench = Bench(evses=2).ready()
    tripped = VariableId("RCD", "Tripped", evse=1)
    assert bench.variables.view(tripped, bench.now).value == "false"
    bench.read(faults=(Fault.GROUND,))
    assert bench.variables.view(tripped, bench.now).value == "true"
    assert bench.variables.view(VariableId("RCD", "Tripped", evse=2), bench.now).value == "false"


def test_the_wiring_of_the_phases_is_told_as_it_was_configured() -> None:
    limits = [EvseLimits(1, phase_rotation="RST"), EvseLimits(2), EvseLimits(3, phases=1, phase_rotation="STR")]
    variables = assemble(limits, prefix="t").facts.variables
    assert variables.text("ChargingStation.ConnectorPhaseRotation") == "0.Unknown,1.RST,3.STR"
    told = [variables.view(VariableId("Connector", "PhaseRotation", "", n, 1), Bench().now).value for n in (1, 2, 3)]
    assert told == ["RST", None, "Sxx"]


def test_the_csms_may_correct_how_the_phases_are_wired() -> None:
    variables = assemble([EvseLimits(1, phase_rotation="RST")], prefix="t").facts.variables
    variables.write(VariableId("ChargingStation", "ConnectorPhaseRotation"), "1.TRS")
    assert variables.view(VariableId("Connector", "PhaseRotation", "", 1, 1), Bench().now).value == "TRS"
