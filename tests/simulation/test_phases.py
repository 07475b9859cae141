"""Phase switching and waking, the whole agent on the virtual clock: what the car, the contactors and the CSMS see."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any, NamedTuple

import pytest

from drivers.simulated.charging_point import ChargingPoint
from tests.simulation.plan import Plan
from tests.simulation.run import run
from tests.simulation.scene import Scene

CARD = "04AABBCC"
DAYS = 0.01
BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])


class Moment(NamedTuple):
    at: float
    phases: int
    closed: bool
    amps: float


class Story:
    """One car; `seen` is the outlet, second by second, `heard` what came to the central system."""

    def __init__(self, version: str, play: Callable[[Story], Awaitable[None]]) -> None:
        self.version, self._play = version, play
        self.seen: list[Moment] = []
        self.heard: list[dict[str, Any]] = []
        self.scene: Scene
        self.task: asyncio.Task[None] | None = None

    @property
    def point(self) -> ChargingPoint:
        return self.scene.points[1]

    def prepare(self, scene: Scene) -> None:
        self.scene = scene
        scene.checker.limits._complain = lambda _why: None  # it knows of no profiles but its own
        called = scene.csms._called

        def hear(line: Any, message_id: str, action: str, payload: dict[str, Any]) -> None:
            self.heard.append(payload)
            called(line, message_id, action, payload)

        scene.csms._called = hear  # type: ignore[method-assign]
        self.task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        await self.live(60)
        await self._play(self)
        self.point.unplug_car()
        self.point.unplug()
        await self.live(120)

    async def live(self, seconds: int) -> None:
        for _ in range(seconds):
            self.scene.stir(60.0)
            await asyncio.sleep(1.0)
            self.scene.advance()
            c = self.point.controller
            self.seen.append(Moment(self.scene.now(), c.phases, c.closed, self.point.amps))

    async def charge(self, car: str = "auto") -> None:
        self.scene.advance()
        self.point.plug_in(car)
        self.scene.tap(CARD)
        await self.live(60)
        assert self.point.amps >= 16.0

    async def profile(self, limit: float, unit: str = "A", **period: Any) -> None:
        schedule = {
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit, **period}],
        }
        more = {"stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Relative"}
        if self.version == "1.6":
            one: dict[str, Any] = {"chargingProfileId": 7, "chargingSchedule": schedule, **more}
            asked: dict[str, Any] = {"connectorId": 1, "csChargingProfiles": one}
        else:
            one = {"id": 7, "chargingSchedule": [{"id": 1, **schedule}], **more}
            asked = {"evseId": 1, "chargingProfile": one}
        await self.scene.csms.ask("SetChargingProfile", asked)


def told(version: str, play: Callable[[Story], Awaitable[None]], **plan: Any) -> Story:
    story = Story(version, play)
    outcome = run(Plan(1, version, DAYS, visits_a_day=0.001, orders_a_day=0.0, **plan), story.prepare)
    assert outcome.broken == (), outcome
    assert story.task is not None
    story.task.result()
    assert story.point.controller.live_switches == 0
    return story


@BOTH
def test_from_three_phases_to_one_and_back_with_the_pauses_that_cars_need(version: str) -> None:
    async def play(story: Story) -> None:
        await story.charge()
        await story.profile(16.0, numberPhases=1)
        await story.live(90)
        assert (story.point.phases, story.point.amps) == (1, 16.0)
        await story.profile(16.0)
        await story.live(400)
        assert (story.point.phases, story.point.amps) == (3, 16.0)

    story = told(version, play, switches="profiles")
    switched = [after.at for before, after in pairwise(story.seen) if before.phases != after.phases]
    assert len(switched) == 2
    assert switched[1] - switched[0] >= 300.0
    for at in switched:
        near = [moment for moment in story.seen if abs(moment.at - at) <= 9.0]
        assert not any(moment.closed or moment.amps for moment in near), "ten seconds before and after"
    states = [p["transactionInfo"]["chargingState"] for p in story.heard if "transactionInfo" in p]
    statuses = [p["status"] for p in story.heard if "errorCode" in p]
    assert "SuspendedEVSE" in (states or statuses)
    used = {p.get("numberOfPhasesUsed") for p in story.heard if "transactionInfo" in p}
    assert version == "1.6" or {1, 3} <= used


def test_watts_that_are_too_few_for_three_phases_charge_on_one() -> None:
    async def play(story: Story) -> None:
        await story.charge()
        await story.profile(3000.0, "W")
        await story.live(90)
        assert story.point.phases == 1
        assert story.point.amps == 13.0
        assert story.point.power_w < 3000.0

    told("2.0.1", play, switches="automatic")


@pytest.mark.parametrize("controller", ["reference", "heidelberg_ec"])
def test_a_car_that_sleeps_through_the_end_of_a_pause_is_woken_and_charges_on_in_its_transaction(
    controller: str,
) -> None:
    async def play(story: Story) -> None:
        await story.charge("sleepy")
        await story.profile(0.0)
        await story.live(60)
        await story.profile(16.0)
        await story.live(80)
        assert story.point.amps == 0.0
        await story.live(60)
        assert story.point.amps == 16.0

    story = told("2.0.1", play, wakes=True, controller=controller, attached=controller != "reference")
    started = [p for p in story.heard if p.get("eventType") == "Started"]
    assert len(started) == 1
    assert not [p for p in story.heard if p.get("connectorStatus") == "Faulted"]


def test_nobody_wakes_it_where_that_is_not_configured() -> None:
    async def play(story: Story) -> None:
        await story.charge("sleepy")
        await story.profile(0.0)
        await story.live(60)
        await story.profile(16.0)
        await story.live(130)
        assert story.point.amps == 0.0

    told("2.0.1", play)


@pytest.mark.parametrize("seed", [1])
def test_no_cut_no_bus_and_no_fault_makes_it_switch_under_load(seed: int) -> None:
    """Profiles come and go, cars come and go, everything breaks; the phases are switched all the same."""
    seen: list[tuple[int, int]] = []

    def prepare(scene: Scene) -> None:
        scene.checker.limits._complain = lambda _why: None
        point, rng = scene.points[1], scene.plan.rng("phases")

        async def play() -> None:
            while True:
                seen.append((point.controller.phases, point.controller.live_switches))
                await asyncio.sleep(rng.uniform(60.0, 1200.0))
                story = Story("2.0.1", lambda _story: asyncio.sleep(0.0))
                story.scene = scene
                one: dict[str, Any] = {"numberPhases": 1} if rng.random() < 0.5 else {}
                await story.profile(rng.choice((6.0, 10.0, 16.0)), **one)

        scene.actors = asyncio.ensure_future(play())  # type: ignore[attr-defined]

    plan = Plan(
        seed, "2.0.1", 0.4, visits_a_day=60.0, orders_a_day=0.0, switches="profiles", wakes=True,
        cuts_a_day=12.0, buses_a_day=24.0, links_a_day=6.0, faults_a_day=12.0, meters_a_day=6.0,
    )  # fmt: skip
    outcome = run(plan, prepare)
    assert outcome.broken == (), outcome
    assert {phases for phases, _ in seen} == {1, 3}
    assert not any(under_load for _, under_load in seen)
