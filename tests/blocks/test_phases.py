"""From three phases to one and back: asked for by profiles, never under load, slowly, seldom, and told."""

from __future__ import annotations

from typing import Any

import pytest

from agent.core.effects import Ask, Note, Offer, ScheduleAnswer, Status, StatusAnswer, SwitchPhases
from agent.core.events import DeviceFound, DeviceLost, MeterRead
from agent.core.evse import charging_state
from agent.core.faults import Own
from agent.core.phases import Switching
from agent.core.profile import Kind, Period, Profile, Purpose
from agent.core.requests import ProfileClearRequested, ProfileSetRequested, Ref, ScheduleRequested
from agent.core.types import ChargingState, ConnectorStatus
from drivers.api import Measurand, Phase, Pilot, Sample
from tests.blocks.helpers import Bench, of

REF = Ref("1", "x")


class Wallbox(Bench):
    """A controller with a second contactor that obeys, and a meter that sees what flows."""

    def __init__(self, when: str = "profiles", **more: Any) -> None:
        super().__init__(switching=Switching(when), **more)
        self.phases: int | None = 3
        self.obeys = True
        self.pilot = Pilot.A
        self.amps = 0.0

    def look(self, pilot: Pilot | None = None, contactor: bool | None = None) -> None:
        self.pilot = pilot or self.pilot
        flows = self.pilot is Pilot.C and self.evse.offer_a > 0
        closed = flows if contactor is None else contactor
        self.amps = self.evse.offer_a if flows else 0.0
        self.read(self.pilot, contactor=closed, phases=self.phases)
        lines = [Sample(Measurand.CURRENT_IMPORT, self.amps, line) for line in list(Phase)[: self.phases]]
        self.wh[1] += self.amps * 230 * (self.phases or 3) / 3600
        self.feed(MeterRead(1, (Sample(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, self.wh[1]), *lines)))

    def live(self, seconds: int) -> list[tuple[float, int]]:
        """Second by second; each order to switch, and when it came."""
        orders: list[tuple[float, int]] = []
        for _ in range(seconds):
            self.wait(1)
            self.look()
            for order in of(self.effects, SwitchPhases):
                assert self.amps == 0 and not self.evse.contactor, "under load"
                orders.append((self.mono, order.phases))
                self.phases = order.phases if self.obeys else self.phases
            self.effects = [effect for effect in self.effects if not isinstance(effect, SwitchPhases)]
            self.look()
        return orders

    def going(self) -> Wallbox:
        self.ready()
        self.look()
        self.tap()
        self.look(Pilot.B)
        self.look(Pilot.C)
        self.live(5)
        assert self.evse.offer_a == 32.0
        return self

    def profile(self, limit: float, phases: int | None = None, unit: str = "A", **period: Any) -> str:
        schedule = (Period(0, limit, phases, **period),)
        one = Profile(7, 0, Purpose.TX_DEFAULT, Kind.RELATIVE, unit, schedule)
        self.feed(ProfileSetRequested(REF, 1, one))
        answer = self.replies[-1]
        assert isinstance(answer, StatusAnswer)
        return answer.status


def test_a_profile_for_one_phase_pauses_switches_and_goes_on() -> None:
    box = Wallbox().going()
    began = box.mono
    box.profile(16.0, 1)
    assert (box.evse.offer_a, box.evse.explanation) == (0.0, "0 A: switching to 1 phase")
    assert charging_state(box.evse) is ChargingState.SUSPENDED_EVSE
    orders = box.live(40)
    assert [phases for _, phases in orders] == [1]
    assert 10.0 <= orders[0][0] - began <= 13.0
    assert (box.evse.phases, box.evse.offer_a) == (1, 16.0)
    offers = [effect.current_a for effect in of(box.effects, Offer)]
    assert offers[-2:] == [0.0, 16.0]


def test_the_pause_after_the_switch_is_as_long_as_the_one_before() -> None:
    box = Wallbox().going()
    box.profile(16.0, 1)
    box.live(18)
    assert (box.phases, box.evse.offer_a) == (1, 0.0)
    box.live(6)
    assert box.evse.offer_a == 16.0


def test_the_csms_hears_that_the_station_suspends_and_then_how_many_phases_there_are() -> None:
    box = Wallbox(TxCtrlr__TxStartPoint="EVConnected").going()
    box.online()
    box.effects.clear()
    box.profile(16.0, 1)
    box.live(2)
    told = [ask.call.status for ask in of(box.effects, Ask) if isinstance(ask.call, Status)]
    assert ConnectorStatus.SUSPENDED_EVSE in told
    box.effects.clear()
    box.live(60)
    assert {event.phases for event in box.journal if event.charging_state is ChargingState.CHARGING} == {1}


def test_the_same_car_sees_it_once_in_five_minutes() -> None:
    box = Wallbox().going()
    box.profile(16.0, 1)
    first = box.live(40)[0][0]
    box.feed(ProfileClearRequested(REF, profile_id=7))
    [(second, phases)] = box.live(400)
    assert phases == 3
    assert second - first >= 300.0


def test_the_next_car_does_not_wait() -> None:
    box = Wallbox().going()
    box.profile(16.0, 1)
    box.live(40)
    box.feed(ProfileClearRequested(REF, profile_id=7))
    box.look(Pilot.B)
    box.look(Pilot.A)
    assert [phases for _, phases in box.live(20)] == [3]


def test_a_car_that_comes_while_it_is_switched_has_not_seen_it() -> None:
    box = Wallbox().going()
    box.profile(16.0, 1)
    box.look(Pilot.B)
    box.look(Pilot.A)
    box.live(14)
    assert (box.phases, box.evse.switching) == (1, "switching to 1 phase")
    box.feed(ProfileClearRequested(REF, profile_id=7))
    box.tap()
    box.look(Pilot.B)
    assert [phases for _, phases in box.live(40)] == [3]


def test_a_restart_does_not_shorten_the_pause_after_a_switch() -> None:
    box = Wallbox().going()
    box.profile(16.0, 1)
    box.live(13)
    assert box.phases == 1
    again = Wallbox()
    again.mono, again.utc, again.phases = box.mono + 1, box.utc + 1, 1
    again.restart(box)
    again.look(Pilot.B)
    again.meter()
    again.tap()
    assert (again.evse.offer_a, again.evse.switching) == (0.0, "the rest of a pause after a switch of phases")
    again.live(30)
    assert again.evse.offer_a > 0
    assert again.remembered.get("phases", {}) == {}


def test_nothing_is_switched_for_a_car_that_nobody_has_authorized() -> None:
    box = Wallbox()
    box.ready()
    box.look(Pilot.B)
    box.profile(16.0, 1)
    assert box.live(60) == []


def test_a_car_that_does_not_let_go_is_never_switched_under_load() -> None:
    box = Wallbox().going()
    box.profile(16.0, 1)
    for _ in range(70):
        box.wait(1)
        box.look(contactor=True)
    assert of(box.effects, SwitchPhases) == []
    assert box.evse.switching == ""
    assert "does not become free of load" in of(box.effects, Note)[-1].text or box.evse.faults


def test_a_car_that_does_not_let_go_gets_its_rest_though_the_outlet_was_switched_before_it_came() -> None:
    box = Wallbox()
    box.ready()
    box.look()
    box.profile(16.0, 1)
    box.live(60)
    assert box.phases == 1  # nobody was there to be disturbed
    box.profile(16.0, 3)
    box.tap()
    box.look(Pilot.C, contactor=True)
    for _ in range(150):
        box.wait(1)
        box.look(contactor=True)
    assert len([note for note in of(box.effects, Note) if "switches from 1 phase" in note.text]) == 1
    assert box.evse.switching == ""


def test_current_that_the_meter_still_sees_is_a_load() -> None:
    box = Wallbox().going()
    box.profile(16.0, 1)
    for _ in range(40):
        box.wait(1)
        box.read(Pilot.B, contactor=False, phases=3)
        box.feed(MeterRead(1, (Sample(Measurand.CURRENT_IMPORT, 5.0, Phase.L2),)))
        box.meter(power_w=1150.0)
    assert of(box.effects, SwitchPhases) == []


def test_a_controller_that_does_not_obey_is_a_fault_after_three_tries_and_charging_goes_on() -> None:
    box = Wallbox().going()
    box.obeys = False
    box.profile(16.0, 1)
    orders = box.live(1200)
    assert len(orders) == 3
    assert list(box.evse.faults) == [Own.PHASES]
    assert (box.evse.phases, box.evse.offer_a) == (3, 16.0)


def test_the_fault_goes_when_it_can_be_done_again() -> None:
    box = Wallbox().going()
    box.obeys = False
    box.profile(16.0, 1)
    box.live(1200)
    box.obeys = True
    box.look(Pilot.A)
    box.live(40)
    assert (box.phases, box.evse.faults) == (1, {})


def test_a_silent_controller_is_not_switched() -> None:
    box = Wallbox().going()
    box.feed(DeviceLost(1, "controller", "no answer"))
    box.profile(16.0, 1)
    assert of(box.wait(120), SwitchPhases) == []
    box.feed(DeviceFound(1, "controller"))
    assert [phases for _, phases in box.live(60)] == [1]


def test_a_controller_that_does_not_tell_its_phases_is_left_alone() -> None:
    box = Wallbox().going()
    box.phases = None
    box.look()
    box.profile(16.0, 1)
    assert box.live(60) == []
    assert box.evse.offer_a == 16.0


def test_two_phases_of_a_profile_are_one_where_there_is_one_or_three() -> None:
    box = Wallbox().going()
    box.profile(16.0, 2)
    assert [phases for _, phases in box.live(40)] == [1]


@pytest.mark.parametrize(
    ("watts", "phases", "offer_a"),
    [(3680.0, 1, 16.0), (4139.0, 1, 17.9), (4140.0, 3, 6.0), (1380.0, 1, 6.0), (1379.0, 3, 0.0), (22080.0, 3, 32.0)],
)
def test_watts_that_are_too_few_for_three_phases_go_to_one_where_it_is_automatic(
    watts: float, phases: int, offer_a: float
) -> None:
    box = Wallbox("automatic").going()
    box.profile(watts, unit="W")
    box.live(60)
    assert (box.phases, box.evse.offer_a) == (phases, offer_a)


def test_watts_of_the_whole_station_count_as_the_evses_own_where_it_has_but_one() -> None:
    box = Wallbox("automatic").going()
    schedule = (Period(0, 3680.0),)
    box.feed(ProfileSetRequested(REF, 0, Profile(8, 0, Purpose.STATION_MAX, Kind.RELATIVE, "W", schedule)))
    box.live(60)
    assert (box.phases, box.evse.offer_a) == (1, 16.0)


def test_watts_of_a_station_with_two_evses_switch_neither() -> None:
    box = Wallbox("automatic", evses=2).going()
    schedule = (Period(0, 3680.0),)
    box.feed(ProfileSetRequested(REF, 0, Profile(8, 0, Purpose.STATION_MAX, Kind.RELATIVE, "W", schedule)))
    assert box.live(60) == []
    assert box.evse.offer_a == 0.0


@pytest.mark.parametrize(("when", "told"), [("automatic", (0, 3680.0, 1)), ("profiles", (0, 3680.0, 3))])
def test_the_composite_schedule_names_the_phases_that_will_be(when: str, told: tuple[int, float, int]) -> None:
    box = Wallbox(when).going()
    box.profile(3680.0, unit="W")
    box.feed(ScheduleRequested(REF, 1, 600, "W"))
    answer = box.replies[-1]
    assert isinstance(answer, ScheduleAnswer)
    assert answer.periods == (told,)


def test_watts_alone_switch_nothing_where_only_profiles_may() -> None:
    box = Wallbox().going()
    box.profile(3680.0, unit="W")
    assert box.live(60) == []
    assert box.evse.offer_a == 0.0


def test_until_it_is_switched_the_watts_count_for_the_phases_that_there_are() -> None:
    box = Wallbox().going()
    box.profile(16.0, 1)
    box.live(40)
    box.profile(6900.0, 3, unit="W")
    assert (box.phases, box.evse.offer_a) == (1, 30.0)
    box.live(330)
    assert (box.phases, box.evse.offer_a) == (3, 10.0)


def test_a_board_that_falls_back_to_three_phases_is_noticed_and_limited_at_once() -> None:
    box = Wallbox("automatic").going()
    box.profile(3680.0, unit="W")
    box.live(60)
    box.phases = 3
    box.look()
    assert box.evse.offer_a == 0.0


def test_a_profile_that_names_the_one_phase_is_refused() -> None:
    """No hardware of ours can choose it: ACPhaseSwitchingSupported is not there."""
    box = Wallbox().going()
    assert box.profile(16.0, 1, phase=2) == "Rejected"


@pytest.mark.parametrize(("bench", "told"), [(Wallbox(), "true"), (Bench(), "false")])
def test_the_device_model_says_whether_it_can(bench: Bench, told: str) -> None:
    assert bench.variables.text("SmartChargingCtrlr.Phases3to1") == told


def test_without_a_second_contactor_a_profile_for_one_phase_changes_nothing() -> None:
    bench = Bench().ready()
    bench.charge()
    schedule = (Period(0, 16.0, 1),)
    bench.feed(ProfileSetRequested(REF, 1, Profile(7, 0, Purpose.TX_DEFAULT, Kind.RELATIVE, "A", schedule)))
    assert bench.evse.offer_a == 16.0
    assert of(bench.wait(600), SwitchPhases) == []
