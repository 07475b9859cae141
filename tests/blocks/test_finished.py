"""A car that has finished and stays: it begins nothing new, over a restart as well, and its connector is Finishing."""

from __future__ import annotations

from typing import Any

import pytest

from agent.core.evse import connector_status
from agent.core.types import ConnectorStatus, TxKind
from drivers.api import Pilot
from tests.blocks.helpers import OTHER_CARD, Bench


def finished(**variables: Any) -> Bench:
    """A charge has ended by its card, and the car is still plugged in."""
    bench = Bench(**variables).ready()
    bench.charge()
    bench.tap()
    bench.wait(1)
    bench.read(Pilot.B)
    bench.wait(1.5)
    bench.meter()
    assert bench.journal[-1].kind is TxKind.ENDED
    return bench


def restarted(before: Bench, **variables: Any) -> Bench:
    again = Bench(**variables)
    again.mono, again.utc, again.wh = before.mono + 5, before.utc + 5, dict(before.wh)
    again.restart(before)
    again.online()
    return again


@pytest.mark.parametrize("start", ["PowerPathClosed", "EVConnected", "EVConnected,Authorized"])
def test_a_finished_car_begins_nothing_new_after_a_restart(start: str) -> None:
    again = restarted(finished(TxCtrlr__TxStartPoint=start), TxCtrlr__TxStartPoint=start)
    again.read(Pilot.B)
    again.meter()
    again.wait(60)
    assert again.journal == []
    assert connector_status(again.evse) is ConnectorStatus.FINISHING


def test_a_finished_car_begins_nothing_new_when_the_pilot_is_in_error_first() -> None:
    again = restarted(finished(TxCtrlr__TxStartPoint="EVConnected"), TxCtrlr__TxStartPoint="EVConnected")
    again.read(Pilot.F, cable_a=32.0)
    again.meter()
    again.read(Pilot.B)
    assert again.journal == []


def test_a_card_starts_a_new_charge_of_a_finished_car_after_a_restart() -> None:
    again = restarted(finished())
    again.read(Pilot.B)
    again.meter()
    again.tap(OTHER_CARD)
    assert [event.kind for event in again.journal][:1] == [TxKind.STARTED]


def test_a_finished_car_that_left_during_the_restart_leaves_the_connector_available() -> None:
    again = restarted(finished())
    again.read(Pilot.A)
    again.meter()
    assert connector_status(again.evse) is ConnectorStatus.AVAILABLE
    assert again.remembered["finished"] == {}


def test_the_next_car_is_preparing_not_finishing() -> None:
    again = restarted(finished())
    again.read(Pilot.A)
    again.meter()
    again.read(Pilot.B)
    assert connector_status(again.evse) is ConnectorStatus.PREPARING


def test_a_finished_car_is_forgotten_when_it_leaves() -> None:
    bench = finished()
    assert bench.remembered["finished"] == {"1": True}
    bench.read(Pilot.A)
    assert bench.remembered["finished"] == {}


def test_a_cable_that_stays_after_its_car_has_left_is_still_finishing() -> None:
    bench = finished()
    bench.read(Pilot.A, cable_a=32.0)
    assert connector_status(bench.evse) is ConnectorStatus.FINISHING
    bench.read(Pilot.A)
    assert connector_status(bench.evse) is ConnectorStatus.AVAILABLE


def test_an_evse_that_the_configuration_has_lost_is_forgotten() -> None:
    again = Bench()
    again.boot(finished={"7": True})
    assert again.remembered["finished"] == {}
