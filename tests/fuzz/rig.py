"""A charger without edges: the real runtime, station, conversation and store, on a clock that never waits.

EVSE 1 charges by a card that the central system has accepted; EVSE 2 is free. After every frame `Rig` looks whether
what must hold still holds; who breaks a rule is told the frame. What is done beside the loop ends as `fates` has it.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.blocks.assembly import assemble
from agent.clock import Clock
from agent.core.certificates import HoldingsSeen
from agent.core.effects import Errand, Restart
from agent.core.events import DeviceFound, EvseRead, MeterRead, Restored, TokenPresented
from agent.core.evse import CONNECTED, EvseLimits
from agent.core.firmware import UpdatePolicy
from agent.core.network import FileLink, Links, Profile
from agent.errands import MAX_ERRANDS
from agent.ocpp.conversation import Conversation
from agent.ocpp.dialect import Station as Charger
from agent.runtime import Runtime
from agent.store import Store, StoreFault
from drivers.api import EvseReading, IdToken, Measurand, Pilot, Sample
from tests.fuzz.fates import ABLE, Luck
from tests.fuzz.shapes import right, schema
from tests.simulation.loop import run_virtually

LINKS = Links((FileLink(Profile("ws://127.0.0.1:9/ocpp", "CP1"), "mark"),), ("ocpp16J", "ocpp20J"))
NO_MARK = Path("/nonexistent/ntp")
RAM = "/dev/shm"
CARD = IdToken("0102030405")
UTC = 1_795_262_400.0
MOST_TURNS = 200  # of asking and answering, until there is quiet
LONGEST_LOG = 200
EXPECTED = ("DeadLetter", "DeadLetterDropped", "StorageFailed", "SamplesThinned")  # nobody's bug
Answer = Callable[[str, dict[str, Any]], Any]


class Quiet:
    """A log that keeps the last lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.errors: list[str] = []

    def debug(self, event: str, message: str = "", /, **_: object) -> None:
        self.lines.append(f"{event}: {message[:300]}")
        del self.lines[:-LONGEST_LOG]

    info = warning = debug

    def error(self, event: str, message: str = "", /, **fields: object) -> None:
        self.debug(event, message, **fields)
        if event not in EXPECTED:
            self.errors.append(f"{event}: {message[:300]}")


class Disk(Store):
    """A store whose disk is full when a story says so."""

    full = False

    def _change(self, work: Any) -> Any:
        if self.full:
            raise StoreFault("full", "no space left on the disk")
        return super()._change(work)


class Rig:
    """`answer` gives the answer to a call of the station, a text for a CALLERROR, None for silence; without it every
    call gets the least that its schema allows, with "Accepted"."""

    def __init__(self, version: str, folder: Path, answer: Answer | None = None) -> None:
        self.version = version
        self.log = Quiet()
        self.store = Disk(folder / "rig.db", fast=True)
        self.power_up_utc = UTC  # what the clock of the board says
        self.clock = Clock(
            mono=self._mono, wall=lambda: self._mono() + self.power_up_utc, boot="boot", ntp_mark=NO_MARK
        )
        opened = self.store.open(self.clock.boot)
        self.station = assemble(
            [EvseLimits(1, 32.0), EvseLimits(2, 32.0)],
            prefix=self.store.salt,
            links=LINKS,
            updates=UpdatePolicy(installer=True),
        )
        charger = Charger("Example", "Wallbox", evses=(1, 2))
        self.conversation = Conversation(charger, self.store.head, f"{opened.salt}-1", version)
        self.runtime = Runtime(
            station=self.station, conversation=self.conversation, store=self.store, clock=self.clock, link=self,
            hardware=self, log=self.log, work=self._work, leave=self._leave, errand=self._errand,
        )  # fmt: skip
        self.turns = 0  # how often a timer has come
        self._due, self.runtime._due = self.runtime._due, self._count  # type: ignore[method-assign]
        self.answer = answer or self.accept
        self._calls: list[tuple[str, str, dict[str, Any]]] = []
        self._news = asyncio.Event()  # something was asked or ordered
        self.answers: Counter[str] = Counter()
        self.refused: dict[str, str] = {}  # message id -> CALLERROR code
        self.said: list[str] = []  # actions of calls
        self.restarts: list[Restart] = []
        self.luck = Luck()
        self._errands: list[Errand] = []
        self._fallen = False  # the link is to be dropped and dialled anew
        self._offers: dict[int, float] = {}
        self._wh = 5000.0

    async def _work(self, call: Callable[[], Any]) -> Any:
        return call()

    def _leave(self, restart: Restart) -> None:
        self.restarts.append(restart)

    def _errand(self, errand: Errand) -> None:
        self._errands.append(errand)
        self._news.set()
        assert len(self._errands) < MAX_ERRANDS, self._errands

    # --- the ports ----------------------------------------------------------------------------------------------

    def _mono(self) -> float:
        return asyncio.get_running_loop().time() + 1000.0

    def _wall(self) -> float:
        return self._mono() + self.power_up_utc

    def _count(self) -> None:
        self.turns += 1
        self._due()

    def confirm(self) -> None:
        """Nobody redials here."""

    def drop(self, reason: str = "") -> None:
        self._fallen = True

    redial = drop

    def set_ping_interval(self, interval_s: float) -> None:
        assert interval_s >= 0

    def takes_at_once(self, text: str) -> bool:
        return True

    async def send(self, text: str) -> bool:
        frame = json.loads(text.encode())
        if frame[0] == 2:
            self.said.append(frame[2])
            self._calls.append((frame[1], frame[2], frame[3]))
            self._news.set()
        else:
            self.answers[frame[1]] += 1
            if frame[0] == 4:
                self.refused[frame[1]] = frame[2]
        return True

    def share(self, evse: int, phases: int) -> None: ...

    def offer(self, evse: int, current_a: float) -> None:
        self._offers[evse] = current_a
        if current_a > 0:
            facts = self.station.facts.evses[evse]
            assert facts.grant is not None and facts.tx is not None, f"{current_a} A on EVSE {evse} for nobody"

    def unlock(self, evse: int) -> None:
        """The lock is open; nobody waits for it."""

    def switch_phases(self, evse: int, phases: int) -> None:
        """Nothing here has a second contactor."""

    def wake_car(self, evse: int) -> None:
        """No car sleeps."""

    def show(self, evse: int, state: str) -> None:
        """No lamp."""

    # --- life ---------------------------------------------------------------------------------------------------

    async def wake(self) -> None:
        """What a process does at its start: remember, look at the hardware, dial."""
        memory = self.store.restore()
        await self.runtime.feed(Restored(memory.tables, memory.open_transactions, True))
        for evse in (1, 2):
            await self.runtime.feed(DeviceFound(evse, "controller"))
        await self.runtime.feed(HoldingsSeen(ABLE))
        await self.connect()

    async def begin(self) -> None:
        """Registered, and charging on EVSE 1."""
        await self.wake()
        await self.car(1, Pilot.B)
        await self.car(2, Pilot.A)
        await self.runtime.feed(TokenPresented((1,), CARD))
        await self.settle()
        await self.car(1, Pilot.C)
        await self.settle()

    async def connect(self, version: str = "") -> None:
        if self.conversation.linked:
            return
        self.version = version or self.version
        await self.runtime.connected(f"ocpp{self.version}")
        await self.settle()

    async def disconnect(self) -> None:
        self._fallen = False
        if self.conversation.linked:
            self._calls.clear()
            await self.runtime.disconnected("cut")

    async def car(self, evse: int, pilot: Pilot) -> None:
        """What controller and meter say."""
        closed = pilot is Pilot.C and self._offers.get(evse, 0.0) > 0
        self._wh += 1.0
        await self.runtime.feed(EvseRead(evse, EvseReading(pilot, closed, cable_a=0.0 if pilot is Pilot.A else 32.0)))
        register = Sample(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, self._wh)
        await self.runtime.feed(MeterRead(evse, (register, Sample(Measurand.POWER_ACTIVE_IMPORT, 7000.0 * closed))))

    async def rest(self, seconds: float) -> None:
        """Time goes by, and whatever is asked is answered at once."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(end):
                    await self._news.wait()
            self._news.clear()
            await self.settle()

    async def settle(self) -> None:
        """Answer what the station asks and end what it has ordered, until there is nothing more."""
        for _ in range(MOST_TURNS):
            if self._fallen and self.conversation.linked:
                await self.disconnect()
                await self.runtime.connected(f"ocpp{self.version}")
            if self._errands:
                came = self.luck.of(self._errands.pop(0))
                if came is not None:
                    await self.runtime.feed(came)
                continue
            if not self._calls:
                return
            message_id, action, payload = self._calls.pop(0)
            answer = self.answer(action, payload)
            if isinstance(answer, str):
                await self.runtime.received(json.dumps([4, message_id, answer, "", {}]))
            elif answer is not None:
                await self.runtime.received(json.dumps([3, message_id, answer]))
        raise AssertionError(f"it asks and asks: {self.said[-10:]}")

    def accept(self, action: str, _payload: dict[str, Any]) -> Any:
        return right(schema(self.version, action, answer=True), full=False)

    async def take(self, text: str) -> None:
        """One frame, and what follows from it."""
        try:
            await self.runtime.received(text)
            await self.settle()
            self.check()
        except BaseException as error:
            error.add_note(f"frame: {text[:500]}")
            error.add_note("\n".join(self.log.lines[-12:]))
            raise

    async def call(self, message_id: str, action: str, payload: Any) -> None:
        """A CALL; it must be answered exactly once."""
        await self.take(json.dumps([2, message_id, action, payload]))
        count = self.answers[message_id]
        waits = count == 0 and self.luck.unfinished  # for an errand that never ends
        assert count == 1 or waits, f"{count} answers to {action} {str(payload)[:500]}"

    @property
    def charging(self) -> bool:
        return self._offers.get(1, 0.0) >= 6 and self.station.facts.evses[1].tx is not None

    def check(self) -> None:
        """What holds whatever came."""
        assert self.runtime.failure is None, self.runtime.failure
        assert self.log.errors == []
        timers: Any = asyncio.get_running_loop()
        armed = [one for one in timers._scheduled if one._callback == self._count and not one.cancelled()]
        assert len(armed) <= 1, f"{len(armed)} timers are armed"
        for evse in self.station.facts.evses.values():
            assert evse.offer_a == 0 or 6 <= evse.offer_a <= 32
            if evse.offer_a > 0:
                assert evse.grant is not None and evse.tx is not None and evse.pilot in CONNECTED and evse.operative

    async def end(self) -> None:
        """No timer rings in a closed store."""
        tasks, self._due = list(self.runtime._tasks), lambda: None
        await asyncio.gather(*tasks)
        self.store.close()


def play(version: str, story: Callable[[Rig], Awaitable[None]], answer: Answer | None = None) -> Rig:
    """One charger, from its start to the end of the story."""

    async def whole() -> Rig:
        with tempfile.TemporaryDirectory(dir=RAM if Path(RAM).is_dir() else None) as folder:
            rig = Rig(version, Path(folder), answer)
            await rig.begin()
            await story(rig)
            await rig.end()
            return rig

    return run_virtually(whole())
