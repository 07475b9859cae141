"""Controllers that are ordered in watts: which phases of a car share the order."""

from __future__ import annotations

import pytest

from agent.core.derating import Derated
from agent.core.effects import Effect, Offer, Share
from agent.core.events import MeterRead, OpenTransaction, Restored
from drivers.api import Measurand, Phase, Pilot, Sample
from tests.blocks.helpers import Bench, of


def bench(limit_a: float = 32.0) -> Bench:
    """A car that was offered power and does not draw yet."""
    found = Bench(in_watts=True).ready()
    limit(found, limit_a)
    found.tap()
    found.read(Pilot.B)
    return found


def limit(bench: Bench, limit_a: float) -> list[Effect]:
    return bench.feed(Derated(1, "the sun", limit_a))


def draws(bench: Bench, *amps: float) -> list[Effect]:
    """The meter tells the current of each phase."""
    samples = [Sample(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, bench.wh[1])]
    samples += [Sample(Measurand.CURRENT_IMPORT, a, line) for a, line in zip(amps, Phase, strict=False)]
    return bench.read(Pilot.C if max(amps, default=0.0) > 0 else Pilot.B) + bench.feed(MeterRead(1, tuple(samples)))


def passes(bench: Bench, seconds: int, amps: tuple[float, ...] = (0.0, 0.0, 0.0)) -> None:
    """Time, in which the meter tells this."""
    for _ in range(seconds):
        bench.wait(1)
        draws(bench, *amps)


def ordered(bench: Bench) -> tuple[float, int]:
    """What stands: ampere on each phase, and how many phases share it."""
    return of(bench.effects, Offer)[-1].current_a, ([1] + [e.phases for e in of(bench.effects, Share)])[-1]


@pytest.mark.parametrize(
    ("amps", "phases"),
    [((20, 0, 0), 1), ((0, 20, 0.3), 1), ((20, 20, 0.2), 2), ((20, 19, 18), 3), ((6, 6, 6), 3), ((20, 10, 10), 1)],
)
def test_the_phases_that_the_meter_sees_share_the_order(amps: tuple[float, ...], phases: int) -> None:
    box = bench(20.0)
    draws(box, *amps)
    assert [effect.phases for effect in of(box.effects, Share)] == [phases] * (phases > 1)
    assert box.evse.offer_a == 20.0


def test_until_the_meter_has_told_one_phase_may_carry_all_and_the_words_say_so() -> None:
    box = bench(20.0)
    assert of(box.effects, Share) == []
    assert box.evse.explanation.endswith(", ordered in watts as if one phase carried all, until the meter has told")
    draws(box, 7, 7, 7)
    assert box.evse.explanation.endswith(", ordered in watts on 3 phases")


def test_a_current_too_small_for_a_car_tells_nothing() -> None:
    box = bench(20.0)
    draws(box, 1.4, 0.1, 0.1)
    assert "until the meter has told" in box.evse.explanation


def test_fewer_phases_are_believed_at_once() -> None:
    box = bench(20.0)
    draws(box, 16, 16, 16)
    assert of(draws(box, 16, 0, 0), Share) == [Share(1, 1)]


def test_what_a_car_uses_is_kept_while_it_rests_and_forgotten_with_it() -> None:
    box = bench(20.0)
    draws(box, 16, 16, 16)
    assert of(draws(box, 0, 0, 0) + box.wait(600), Share) == []
    box.read(Pilot.A)
    box.meter()
    box.wait(5)
    box.tap()
    box.read(Pilot.B)
    assert of(box.effects, Share)[-1] == Share(1, 1)


def test_a_reading_from_before_the_car_tells_nothing_of_it() -> None:
    box = Bench(in_watts=True).ready()
    draws(box, 16, 16, 16)  # a meter that others use, too
    box.read(Pilot.A)
    box.wait(5)
    box.tap()
    box.read(Pilot.B)
    box.read(Pilot.C)
    assert box.evse.offer_a > 0
    assert of(box.effects, Share) == []


@pytest.mark.parametrize(("limit_a", "begins"), [(17.9, True), (16.0, True), (15.9, False), (18.0, False)])
def test_three_phases_get_what_they_begin_with_where_one_may_nearly_carry_it(limit_a: float, begins: bool) -> None:
    box = bench(limit_a)
    passes(box, 29)
    assert ordered(box) == (limit_a, 1)
    passes(box, 2)
    assert ordered(box) == ((6.0, 3) if begins else (limit_a, 1))


@pytest.mark.parametrize(("amps", "phases"), [((18, 0, 0), 1), ((6, 6, 6), 3)])
def test_once_a_car_has_begun_it_gets_all_that_it_may(amps: tuple[float, ...], phases: int) -> None:
    box = bench(16.0)
    passes(box, 31)
    assert "three phases begin with it" in box.evse.explanation
    draws(box, *amps)
    assert ordered(box) == (16.0, phases)


def test_a_limit_that_falls_while_a_car_may_begin_is_one_phases() -> None:
    box = bench(16.0)
    passes(box, 31)
    limit(box, 6.0)
    assert ordered(box) == (6.0, 1)


@pytest.mark.parametrize("amps", [(), (0.0,)])
def test_where_the_meter_will_not_tell_by_phases_none_is_made_to_begin(amps: tuple[float, ...]) -> None:
    box = bench(16.0)
    passes(box, 60, amps)
    assert ordered(box) == (16.0, 1)


def test_a_meter_that_falls_silent_while_a_car_may_begin_leaves_it_one_phase() -> None:
    box = bench(16.0)
    passes(box, 31)
    assert ordered(box) == (6.0, 3)
    box.wait(15)
    limit(box, 16.0)
    assert ordered(box) == (16.0, 1)


def test_a_car_that_begins_by_itself_is_not_made_to() -> None:
    box = bench(16.0)
    passes(box, 20)
    passes(box, 60, (15, 0, 0))
    assert ordered(box) == (16.0, 1)


def test_a_controller_that_is_ordered_in_ampere_is_told_nothing_of_phases() -> None:
    box = Bench().ready()
    box.tap()
    box.read(Pilot.B)
    draws(box, 16, 16, 16)
    assert of(box.effects, Share) == []
    assert "watts" not in box.evse.explanation


@pytest.mark.parametrize("meter_first", [True, False])
def test_after_a_restart_a_car_that_charges_on_three_phases_goes_on_with_all_of_it(meter_first: bool) -> None:
    box = bench(16.0)
    draws(box, 16, 16, 16)
    last = box.journal[-1]
    again = Bench(in_watts=True)
    again.mono, again.utc = box.mono + 20, box.utc + 20
    found = OpenTransaction(last.transaction, last.seq + 1, box.remembered["open"][last.transaction], None, 5000)  # type: ignore[arg-type]
    again.feed(Restored(box.remembered, (found,)))
    limit(again, 16.0)
    samples = [Sample(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, 5000.0)]
    samples += [Sample(Measurand.CURRENT_IMPORT, 16.0, line) for line in (Phase.L1, Phase.L2, Phase.L3)]
    if meter_first:
        again.feed(MeterRead(1, tuple(samples)))
        again.mono += 1
    again.read(Pilot.C, contactor=True, offered_a=16.0)
    if not meter_first:
        again.feed(MeterRead(1, tuple(samples)))
    again.wait(1)
    assert ordered(again) == (16.0, 3)
    assert {effect.current_a for effect in of(again.effects, Offer)} == {16.0}
