"""Each fault planted in the hardware of a charge: it is found, told with the right code in both versions, and it goes.

The whole agent on the virtual clock, over simulated Modbus devices; what is looked at is what the central system hears.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agent.core.faults import CATALOGUE, Own
from agent.ocpp.v16.calls import ERRORS
from drivers.api import Fault
from drivers.simulated.charging_point import ChargingPoint
from tests.simulation.checker import STUCK
from tests.simulation.plan import Plan
from tests.simulation.run import run
from tests.simulation.scene import Scene

CARD = "04AABBCC"
DAYS = 0.25
Hand = Callable[[ChargingPoint], None]


class Story:
    """One charge with a fault in it; `heard` is what came to the central system, with its time."""

    def __init__(
        self, plant: Hand, mend: Hand, *, senses: bool = True, before: bool = False, stop: bool = False
    ) -> None:
        self._plant, self._mend = plant, mend
        self._senses, self._before, self._stop = senses, before, stop
        self.heard: list[tuple[float, str, dict[str, Any]]] = []
        self.mended_s = self.left_s = self.planted_s = 0.0
        self.task: asyncio.Task[None] | None = None

    def prepare(self, scene: Scene) -> None:
        called = scene.csms._called

        def hear(line: Any, message_id: str, action: str, payload: dict[str, Any]) -> None:
            self.heard.append((scene.now(), action, payload))
            called(line, message_id, action, payload)

        scene.csms._called = hear  # type: ignore[method-assign]
        self.task = asyncio.ensure_future(self._play(scene, scene.points[1]))

    async def _play(self, scene: Scene, point: ChargingPoint) -> None:
        if not self._senses:
            point.senses = frozenset()  # the controller has no word for it: the agent must find it
        await asyncio.sleep(120.0)
        self._act(scene, self._plant if self._before else lambda _point: None)
        self._act(scene, lambda point: point.plug_in("auto"))
        scene.tap(CARD)
        await asyncio.sleep(120.0)
        if not self._before:
            self._act(scene, self._plant)
        if self._stop:
            scene.tap(CARD)
        await asyncio.sleep(300.0)
        self.mended_s = scene.now()
        self._act(scene, self._mend)
        await asyncio.sleep(300.0)
        self.left_s = scene.now()
        self._act(scene, _leave)
        await asyncio.sleep(300.0)

    def _act(self, scene: Scene, hand: Hand) -> None:
        scene.advance()
        if hand is self._plant:
            self.planted_s = scene.now()
        hand(scene.points[1])
        scene.stir(60.0)

    # --- what was heard ---------------------------------------------------------------------------------------------

    def statuses(self, fault: str) -> list[tuple[float, str, str]]:
        told = [(at, p) for at, action, p in self.heard if action == "StatusNotification"]
        return [(at, p["status"], p["errorCode"]) for at, p in told if p.get("info", "").split(":")[0] == fault]

    def events(self, fault: str) -> list[tuple[float, bool, str]]:
        told = [(at, p["eventData"][0]) for at, action, p in self.heard if action == "NotifyEvent"]
        return [(at, e["cleared"], e["techCode"]) for at, e in told if e["techInfo"].startswith(f"{fault}:")]


def _leave(point: ChargingPoint) -> None:
    point.unplug_car()
    point.unplug()


def play(story: Story, version: str, **changes: Any) -> Story:
    plan = Plan(1, version, DAYS, visits_a_day=0.001, orders_a_day=0.0, **changes)
    outcome = run(plan, story.prepare)
    assert outcome.broken == (), outcome
    assert story.task is not None
    assert story.task.done()
    story.task.result()
    return story


def planted(fault: Fault, **how: Any) -> Story:
    return Story(lambda point: point.fault(fault, True), lambda point: point.fault(fault, False), **how)


def stuck() -> Story:
    def hold(point: ChargingPoint, held: bool) -> None:
        point.controller.hold(held)
        assert point.on_fault is not None
        point.on_fault(STUCK, held)  # type: ignore[arg-type]

    return Story(lambda point: hold(point, True), lambda point: hold(point, False), before=True)


def pilot(state: str) -> Story:
    return Story(lambda point: point.force(state), lambda point: point.force("C"))


# of parts that this stage does not have; an open cover stops nothing; and a welded contactor has a test of its own
UNTOLD = (Fault.LOCK_FAILURE, Fault.UNLOCK_FAILURE, Fault.RFID_READER, Fault.COVER, Fault.CONTACTOR)
TOLD = [fault for fault in Fault if fault not in UNTOLD]
# name: the story, and the fault that must be found
STORIES: dict[str, tuple[Callable[[], Story], str]] = {
    **{f"told {fault}": (lambda fault=fault: planted(fault), str(fault)) for fault in TOLD},  # type: ignore[misc]
    "a pilot in E": (lambda: pilot("E"), str(Fault.PILOT)),
    "a pilot in D": (lambda: pilot("D"), str(Fault.VENTILATION)),
    "a silent meter": (lambda: planted(Fault.METER, senses=False), str(Fault.METER)),
    "an overdraw that nobody tells": (lambda: planted(Fault.OVER_CURRENT, senses=False), str(Fault.OVER_CURRENT)),
    "a contactor that does not close": (stuck, str(Own.CONTACTOR_OPEN)),
}


@pytest.mark.parametrize("name", STORIES)
def test_a_fault_is_told_with_its_code_and_goes_in_the_older_version(name: str) -> None:
    make, fault = STORIES[name]
    story = play(make(), "1.6")
    found = story.statuses(fault)
    assert found, f"{fault} was not told"
    at, status, code = found[0]
    assert (status, code) == ("Faulted", ERRORS[fault])
    assert story.planted_s <= at <= story.planted_s + 200.0
    last = [p for _, action, p in story.heard if action == "StatusNotification" and p["connectorId"] == 1][-1]
    assert (last["status"], last["errorCode"]) == ("Available", "NoError")


@pytest.mark.parametrize("name", STORIES)
def test_a_fault_is_told_with_its_code_and_goes_in_the_newer_version(name: str) -> None:
    make, fault = STORIES[name]
    story = play(make(), "2.0.1")
    row = CATALOGUE[fault]
    events = story.events(fault)
    assert [(cleared, code) for _, cleared, code in events[:1]] == [(False, row.mrec or fault)]
    assert events[-1][1], "it was never told to be over"
    assert events[-1][0] >= (
        story.left_s if row.until_unplugged else story.mended_s if fault != Fault.OVER_CURRENT else 0
    )


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_a_welded_contactor_is_found_after_the_end_of_the_charge_and_stands_until_a_restart(version: str) -> None:
    story = play(planted(Fault.CONTACTOR, senses=False, stop=True), version)
    if version == "1.6":
        assert [row[1:] for row in story.statuses(Own.CONTACTOR_WELDED)][:1] == [("Faulted", "PowerSwitchFailure")]
    else:
        assert [row[1:] for row in story.events(Own.CONTACTOR_WELDED)] == [(False, "CX017")]
    last = [p for _, action, p in story.heard if action == "StatusNotification"][-1]
    assert (last.get("status") or last.get("connectorStatus")) == "Faulted"


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_an_ordinary_charge_tells_no_fault(version: str) -> None:
    story = play(Story(lambda _point: None, lambda _point: None), version)
    assert [p for _, action, p in story.heard if action == "NotifyEvent"] == []
    assert {p.get("errorCode", "NoError") for _, action, p in story.heard if action == "StatusNotification"} == {
        "NoError"
    }
