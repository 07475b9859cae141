"""Who comes by: drivers with cards and cars, and an operator at the central system.

Each is one task with its own dice, so that the others do not change when one of them does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from drivers.simulated.registers import ControllerRegisters
from tests.simulation.books import Payload
from tests.simulation.limits import PURPOSES, Rule, rule_of
from tests.simulation.plan import DAY_S, EPOCH, Rng
from tests.simulation.scene import STRANGER, TOKENS, Scene

MEMBERS = ("04AABBCC", "04DDEEFF", "0401020304")
OUTSIDERS = ("04B10C4ED0", STRANGER)


async def pause(rng: Rng, mean_s: float, least_s: float = 0.0) -> None:
    await asyncio.sleep(least_s + rng.expovariate(1.0 / mean_s))


class Visitors:
    """The drivers at one EVSE, one after the other."""

    def __init__(self, scene: Scene, evse: int, rng: Rng | None = None) -> None:
        self._scene, self._evse = scene, evse
        self._rng = rng or scene.plan.rng(f"visitors/{evse}")
        self._point = scene.points[evse]

    async def run(self) -> None:
        while True:
            await pause(self._rng, DAY_S / self._scene.plan.visits_a_day, 60.0)
            await self._visit()
            self.leave()

    def leave(self) -> None:
        """Car and cable go; a cable that the lock holds goes later."""
        self._scene.advance()
        try:
            self._point.unplug()
        except ValueError:
            return

    async def _visit(self) -> None:
        rng, scene = self._rng, self._scene
        card = rng.choice(MEMBERS) if rng.random() < 0.85 else rng.choice(OUTSIDERS)
        remote, card_first = rng.random() < 0.2, rng.random() < 0.5
        ways: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "card": lambda: self._tap(card),
            "remote": lambda: remote_start(scene, self._evse, card),
        }
        start = ways["remote" if remote else "card"]
        if rng.random() < 0.05:  # a card and no car: it lapses
            await start()
            await asyncio.sleep(rng.uniform(10.0, 400.0))
            return
        for step in (start, self._plug) if card_first else (self._plug, start):
            await step()
            await asyncio.sleep(rng.uniform(1.0, 40.0))
        await asyncio.sleep(rng.choice((20.0, 120.0, 900.0, 2400.0, 5400.0)) * rng.uniform(0.5, 1.5))
        await self._end(card)
        await asyncio.sleep(rng.choice((2.0, 30.0, 300.0)))

    @property
    def free(self) -> bool:
        return self._point.car is None

    async def comes(self, card: str, stays_s: float) -> None:
        """With this card, plugging in first or last."""
        steps: list[Callable[[], Coroutine[Any, Any, None]]] = [self._plug, lambda: self._tap(card)]
        for step in steps if self._rng.random() < 0.5 else reversed(steps):
            await step()
            await asyncio.sleep(self._rng.uniform(1.0, 20.0))
        await asyncio.sleep(stays_s)
        self.leave()

    async def _tap(self, card: str) -> None:
        self._scene.tap(card)

    async def _plug(self) -> None:
        rng = self._rng
        self._scene.advance()
        self._point.draw(rng.choice((6.0, 13.0, 16.0, 32.0)), rng.choice((1, 3)), rng.choice((20.0, 60.0, 97.0)))
        if self._point.car is None:
            self._point.plug_in("hold" if rng.random() < 0.1 else "auto")

    async def _end(self, card: str) -> None:
        dice, scene = self._rng.random(), self._scene
        if dice < 0.35:
            scene.tap(card)
        elif dice < 0.45:
            scene.tap(self._rng.choice(MEMBERS))  # a card of the group, or of somebody else
        elif dice < 0.55:
            await remote_stop(scene, self._evse)
        elif dice < 0.65:
            self._button()
        elif dice < 0.75:
            scene.advance()
            self._point.unplug_car()

    def _button(self) -> None:
        parts = [p for unit in self._scene.units.values() for p in unit.parts]
        mine = [p for p in parts if isinstance(p, ControllerRegisters) and p.point is self._point]
        stop = mine[0].map.stop_button
        if stop is not None:
            self._scene.advance()
            self._point.controller.press(self._rng.choice(sorted(set(map(str, stop.kind.words.values())) - {""})))
            self._scene.stir()


# --- the central system's own requests ------------------------------------------------------------------------------


async def remote_start(scene: Scene, evse: int, token: str) -> None:
    if scene.plan.version == "1.6":
        await scene.csms.ask("RemoteStartTransaction", {"connectorId": evse, "idTag": token})
    else:
        asked = {"evseId": evse, "remoteStartId": 7, "idToken": {"idToken": token, "type": "Central"}}
        await scene.csms.ask("RequestStartTransaction", asked)


async def remote_stop(scene: Scene, evse: int) -> None:
    running = [key for key, where in scene.csms.running.items() if where == evse]
    if running and scene.plan.version == "1.6":
        await scene.csms.ask("RemoteStopTransaction", {"transactionId": int(running[-1])})
    elif running:
        await scene.csms.ask("RequestStopTransaction", {"transactionId": running[-1]})


class Operator:
    """Orders and nonsense from the central system, from time to time."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._rng = scene.plan.rng("operator")
        self._v16 = scene.plan.version == "1.6"

    async def run(self) -> None:
        while True:
            await pause(self._rng, DAY_S / self._scene.plan.orders_a_day)
            await self._rng.choice(_ORDERS)(self)

    async def _availability(self) -> None:
        evse = self._rng.choice((0, 1))
        for word in ("Inoperative", "Operative"):
            await self._available(evse, word)
            await pause(self._rng, 600.0)

    async def _available(self, evse: int, word: str) -> None:
        if self._v16:
            await self._scene.csms.ask("ChangeAvailability", {"connectorId": evse, "type": word})
        else:
            place = {"evse": {"id": evse}} if evse else {}
            await self._scene.csms.ask("ChangeAvailability", {"operationalStatus": word} | place)

    async def open_all(self) -> None:
        """At the end of a run: everything in service, no limit."""
        for evse in (0, *self._scene.points):
            await self._available(evse, "Operative")

    async def _set(self) -> None:
        key, value = self._rng.choice(
            (
                ("MeterValueSampleInterval", "90"),
                ("HeartbeatInterval", "1700"),
                ("ConnectionTimeOut", "90"),
                ("Nope", "1"),
            )
        )
        if self._v16:
            await self._scene.csms.ask("ChangeConfiguration", {"key": key, "value": value})
            return
        where = {"MeterValueSampleInterval": ("SampledDataCtrlr", "TxUpdatedInterval"), "Nope": ("Nope", "Nope")}
        component, variable = where.get(key, ("OCPPCommCtrlr", "HeartbeatInterval"))
        data = {"component": {"name": component}, "variable": {"name": variable}, "attributeValue": value}
        await self._scene.csms.ask("SetVariables", {"setVariableData": [data]})

    async def _trigger(self) -> None:
        words = ["BootNotification", "Heartbeat", "StatusNotification", "MeterValues"]
        words += [] if self._v16 else ["TransactionEvent"]
        await self._scene.csms.ask("TriggerMessage", {"requestedMessage": self._rng.choice(words)})

    async def _reset(self) -> None:
        kinds = ("Soft", "Hard") if self._v16 else ("OnIdle", "Immediate")
        await self._scene.csms.ask("Reset", {"type": self._rng.choice(kinds)})

    async def _clear_cache(self) -> None:
        await self._scene.csms.ask("ClearCache", {})

    async def _unlock(self) -> None:
        place = {"connectorId": 1} if self._v16 else {"evseId": 1, "connectorId": 1}
        await self._scene.csms.ask("UnlockConnector", place)

    async def _limit(self) -> None:
        """Some charging profiles, for some hours, looked at in between and cleared one way or another."""
        limits, rng = self._scene.checker.limits, self._rng
        for _ in range(rng.choice((1, 1, 2, 3))):
            now = int(EPOCH + self._scene.now())
            running = sorted(self._scene.csms.running.items())
            rule = rule_of(rng, rng.randrange(1, 7), now, running, sorted(self._scene.points))

            def heard(status: str, _payload: Payload, rule: Rule = rule) -> None:
                if status == "Accepted":
                    limits.install(rule)

            await self._tell("SetChargingProfile", rule.wire(self._v16), heard)
            await pause(rng, 200.0)
            await self._ask_schedule()
        await pause(rng, 5000.0)
        await self._ask_schedule()
        await (self._clear_some() if rng.random() < 0.5 else self.no_limit())

    async def _ask_schedule(self) -> None:
        place = {"connectorId" if self._v16 else "evseId": self._rng.choice((0, 1, 1))}
        asked = {"duration": self._rng.choice((60, 3600, 90_000)), "chargingRateUnit": self._rng.choice("AW")}
        await self._scene.csms.ask("GetCompositeSchedule", place | asked)

    async def _tell(self, action: str, payload: Payload, then: Callable[[str, Payload], None]) -> bool:
        """Whether it was heard. What becomes of a request without an answer nobody can say."""
        scene, limits, told = self._scene, self._scene.checker.limits, []
        if scene.csms.line is None:
            return False
        sure, limits.sure = limits.sure, False

        def heard(status: str, payload: Payload) -> None:
            told.append(status)
            then(status, payload)
            limits.sure = sure and not scene.disk_full

        await scene.csms.ask(action, payload, heard)
        return bool(told)

    async def _clear_some(self) -> None:
        rng = self._rng
        number, level, purpose = rng.randrange(1, 7), rng.choice((0, 1, 3)), rng.choice(sorted(PURPOSES))
        evse = rng.choice((0, 1))
        word = PURPOSES[purpose][0 if self._v16 else 1]
        place = {"connectorId" if self._v16 else "evseId": evse}
        ways: tuple[tuple[Payload, Callable[[Rule], bool]], ...] = (
            ({}, lambda rule: rule.number == number),
            (place, lambda rule: rule.evse == evse),
            ({"chargingProfilePurpose": word}, lambda rule: rule.purpose == purpose),
            ({"stackLevel": level}, lambda rule: rule.level == level),
            ({"stackLevel": level} | place, lambda rule: (rule.level, rule.evse) == (level, evse)),
        )
        criteria, fits = rng.choice(ways)
        if not criteria:
            asked: Payload = {"id" if self._v16 else "chargingProfileId": number}
        else:
            asked = criteria if self._v16 else {"chargingProfileCriteria": criteria}
        await self._tell(
            "ClearChargingProfile", asked, lambda status, _: self._scene.checker.limits.clear(status, fits)
        )

    async def no_limit(self) -> None:
        """No profile at all; after this all is known again."""
        limits = self._scene.checker.limits

        def heard(status: str, _payload: Payload) -> None:
            if status in ("Accepted", "Unknown"):
                limits.clear(status if limits_were_sure else "", lambda _rule: True)

        limits_were_sure = limits.sure
        disk_full = self._scene.disk_full
        if await self._tell("ClearChargingProfile", {}, heard):
            limits.sure = not limits.rules and not disk_full and not self._scene.disk_full

    async def _nonsense(self) -> None:
        self._scene.csms.spoil(self._rng.choice(_NONSENSE))

    async def _unknown(self) -> None:
        await self._scene.csms.ask("MakeCoffee", {"sugar": 2})

    async def _foreign(self) -> None:
        self._scene.csms.spoil('[3, "nobody-asked", {}]')


_ORDERS: tuple[Callable[[Operator], Coroutine[Any, Any, None]], ...] = (
    Operator._availability,
    Operator._set,
    Operator._trigger,
    Operator._trigger,
    Operator._reset,
    Operator._clear_cache,
    Operator._unlock,
    Operator._limit,
    Operator._limit,
    Operator._nonsense,
    Operator._unknown,
    Operator._foreign,
)
_SETTINGS = (
    ("MeterValueSampleInterval", "90"),
    ("HeartbeatInterval", "1700"),
    ("ConnectionTimeOut", "90"),
    ("Nope", "1"),
)
_NONSENSE = (
    "",
    "hello",
    "[]",
    "[2]",
    '[2,"x"]',
    '[9,"x",{}]',
    '[2,"bad","Reset",',
    "[" * 300 + "]" * 300,
    '[2,17,"Reset",{}]',
    '{"a":1}',
    "null",
)


assert set(MEMBERS) | {"04B10C4ED0"} == set(TOKENS)
