"""A charger's life in steps of every kind: requests, cars, cards, links that break, answers that do not come, full
disks, clocks that err, quirks, time.

`live` plays one, looks at the rules after each step, then lets all come to rest: what was recorded must have left, and
a new process must wake on what the old one remembered.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from agent.config_quirks import SHIPPED, resolve
from agent.config_toml import Table
from agent.core.events import TokenPresented
from agent.ocpp.dialect import load
from drivers.api import IdToken, Pilot
from tests.fuzz.rig import CARD, RAM, UTC, Rig
from tests.fuzz.shapes import actions, right, schema
from tests.fuzz.words import TX, payloads
from tests.simulation.loop import run_virtually

Step = tuple[str, Any, Any]
REST_S = 2 * 3600.0
MOOD = ("accept", "accept", "accept", "silent", "GenericError", "empty", "wrong", "2027-01-01T00:00:00Z", "0001-01-01")
QUIRKS = resolve(Table("", "csms", {}, {}), sorted(path.stem for path in SHIPPED.glob("*.toml")), SHIPPED)


def steps(version: str) -> st.SearchStrategy[Step]:
    asked = sorted(load(version).requests)
    known = st.sampled_from(asked).flatmap(
        lambda action: st.tuples(st.just("call"), st.just(action), payloads(version, action))
    )
    any_ = st.sampled_from(actions(version)).flatmap(
        lambda action: st.tuples(st.just("call"), st.just(action), payloads(version, action))
    )
    return st.one_of(
        known, known, known, known, any_,
        st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 31.0, 70.0, 700.0, 4000.0]), st.none()),
        st.tuples(st.just("car"), st.sampled_from([1, 1, 2]), st.sampled_from([Pilot.A, Pilot.B, Pilot.C, Pilot.C])),
        st.tuples(st.just("card"), st.sampled_from([1, 2]), st.sampled_from([CARD, IdToken("FUZZ"), IdToken("x")])),
        st.tuples(st.just("link"), st.sampled_from(["", "1.6", "2.0.1"]), st.none()),
        st.tuples(st.just("disk"), st.sampled_from([True, False, False]), st.none()),
        st.tuples(st.just("clock"), st.sampled_from([0.0, UTC, 9e9]), st.none()),
        st.tuples(st.just("quirks"), st.booleans(), st.none()),
        st.tuples(st.just("mood"), st.sampled_from(MOOD), st.none()),
    )  # fmt: skip


class Life:
    """One charger and one central system with moods."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.mood = "accept"
        self._count = 0
        rig.answer = self._answer

    def _answer(self, action: str, payload: dict[str, Any]) -> Any:
        if self.mood == "silent":
            return None
        if self.mood == "GenericError" or self.mood == "empty":
            return self.mood if self.mood == "GenericError" else {}
        if self.mood != "wrong":
            answer = self.rig.accept(action, payload)
            return answer | {"currentTime": self.mood} if "currentTime" in answer and self.mood != "accept" else answer
        return {key: [value] for key, value in right(schema(self.rig.version, action, answer=True)).items()}

    async def step(self, step: Step) -> None:
        verb, first, second = step
        await getattr(self, f"_{verb}")(first, second)
        await self.rig.settle()
        self.rig.check()

    async def _call(self, action: str, payload: Any) -> None:
        if not self.rig.conversation.linked:
            return
        tx = self.rig.station.facts.evses[1].tx
        text = json.dumps(payload).replace(TX, tx.id if tx else "none")
        self._count += 1
        message_id, before = f"c{self._count}", str(self.rig.station.facts.registration)
        await self.rig.take(json.dumps([2, message_id, action, json.loads(text)]))
        count = self.rig.answers[message_id]
        silent = before == "Rejected" and self.rig.version == "1.6"
        assert count == 1 or (count == 0 and (silent or self.rig.luck.unfinished)), (
            f"{count} answers to {action} {text}"
        )

    async def _wait(self, seconds: float, _: None) -> None:
        before = self.rig.turns
        await asyncio.sleep(seconds)
        turns = self.rig.turns - before
        assert turns < 100 + 10 * seconds, f"{turns} timers in {seconds} s: a deadline that comes for ever"

    async def _car(self, evse: int, pilot: Pilot) -> None:
        await self.rig.car(evse, pilot)

    async def _card(self, evse: int, token: IdToken) -> None:
        await self.rig.runtime.feed(TokenPresented((evse,), token))

    async def _link(self, version: str, _: None) -> None:
        """ "": it breaks; else it stands anew."""
        await self.rig.disconnect()
        if version:
            await self.rig.connect(version)

    async def _disk(self, full: bool, _: None) -> None:
        self.rig.store.full = full

    async def _clock(self, power_up_utc: float, _: None) -> None:
        self.rig.power_up_utc = power_up_utc

    async def _quirks(self, all_of: bool, _: None) -> None:
        self.rig.conversation.obey(QUIRKS if all_of else None, {})

    async def _mood(self, mood: str, _: None) -> None:
        self.mood = mood

    async def rest(self) -> None:
        """The cars leave, the link stands, the central system accepts all; after hours nothing waits any more."""
        self.mood, self.rig.store.full = "accept", False
        await self.rig.disconnect()
        for evse in (1, 2):
            await self.rig.car(evse, Pilot.A)
        await self.rig.connect()
        for _ in range(24):
            await self.rig.rest(REST_S / 24)
            self.rig.check()
        assert self.rig.store.head() is None, f"still waits: {self.rig.store.head()}; {self.rig.log.lines[-5:]}"


def live(version: str, whole: Sequence[Step]) -> None:
    async def play() -> None:
        with tempfile.TemporaryDirectory(dir=RAM if Path(RAM).is_dir() else None) as folder:
            rig = Rig(version, Path(folder))
            life = Life(rig)
            await rig.begin()
            for step in whole:
                await life.step(step)
            if not rig.restarts:
                await life.rest()
            await rig.end()
            again = Rig(version, Path(folder))
            await again.wake()
            again.check()
            await again.end()

    run_virtually(play())
