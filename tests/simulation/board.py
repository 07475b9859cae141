"""The charger's board: everything of the agent on its ports, one life after the other, on one file and one world.

`Life` builds what the daemon builds, with the ports of the simulation. A cut falls at a boundary: before a commit,
between commit and act, or between two effects. From then on every port is dead, nothing leaks out any more, and what
was in memory is gone; the next life begins with a copy of the file as it was at that moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from agent.blocks.assembly import assemble
from agent.blocks.network import Network
from agent.blocks.sampling import Sampling
from agent.clock import Clock
from agent.core.certificates import HoldingsSeen
from agent.core.effects import Effect, Errand, Restart
from agent.core.events import Event, Restored, Stopping
from agent.core.evse import EvseLimits
from agent.core.network import Target
from agent.core.phases import Switching, WakeUp
from agent.core.troubles import UNLISTED, id_of
from agent.core.types import Instant
from agent.edge import hardware
from agent.edge.hardware import EvseParts, ReaderParts
from agent.errands import Errands
from agent.ocpp.conversation import Conversation
from agent.ocpp.dialect import Station as Charger
from agent.runtime import Runtime
from agent.store import Store, StoreFault
from drivers.api import DriverError, IdToken, Sample
from drivers.bus import Bus, Policy, SerialSettings
from drivers.mapped_evse import MappedEvse
from drivers.mapped_meter import MappedMeter
from tests.simulation.line import Link, Watch
from tests.simulation.places import links
from tests.simulation.plan import MAPS
from tests.simulation.scene import Scene
from tests.simulation.workshop import Hands

NO_MARK = Path("/nonexistent/ntp")
SETTLE_S = 2.5
ORDER_S = 0.0005  # on calm days the EVSEs of a line are asked in this order
SILENCE = hardware._Silence


class PowerCut(BaseException):
    """Raised at every port once the board is dead."""


class Quiet:
    """A log that keeps nothing but errors of the agent's own. What warns must name its fault or its trouble."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def debug(self, *_: object, **__: object) -> None:
        return None

    info = debug

    def warning(self, event: str, message: str = "", /, **fields: object) -> None:
        if id_of(event) == UNLISTED and not {"fault", "FAULT"} & fields.keys():
            self._scene.checker.complain(f"a warning without an id: {event}: {message}")

    def error(self, event: str, message: str = "", /, **fields: object) -> None:
        self.warning(event, message, **fields)
        self._scene.errors.append(f"{event}: {message}")
        del self._scene.errors[:-50]


class Gate:
    """The store, with a boundary before each commit and one after it, and a disk that may be full."""

    def __init__(self, life: Life, store: Store) -> None:
        self._life, self.store = life, store

    def _run(self, effects: Sequence[Effect], call: Callable[[], Any]) -> Any:
        life = self._life
        life.boundary()
        if life.scene.disk_full:
            raise StoreFault("full", "no space left on the disk")
        done = call()
        life.scene.checker.committed(effects)
        life.boundary()
        return done

    def commit(self, effects: Sequence[Effect]) -> Any:
        return self._run(effects, lambda: self.store.commit(effects))

    def answered(self, row_id: int, csms_id: str | None, via: str, effects: Sequence[Effect]) -> Any:
        head = self.store.head()
        assert head is not None

        def call() -> Any:
            done = self.store.answered(row_id, csms_id, via, effects)
            if csms_id is not None:
                self._life.scene.checker.names[head.event.transaction] = csms_id
            return done

        return self._run(effects, call)

    def take(self, row_id: int) -> bool:
        self._life.alive()
        return self.store.take(row_id)

    def settle(self) -> None:
        self._run((), self.store.settle)

    def dead_letter(self, row_id: int, why: str) -> Any:
        return self._run((), lambda: self.store.dead_letter(row_id, why))

    def retime(self, boot: str, offset_s: float) -> Any:
        return self._run((), lambda: self.store.retime(boot, offset_s))

    def head(self) -> Any:
        self._life.alive()
        return self.store.head()

    def sent(self, row_id: int) -> None:
        self._life.alive()
        self.store.sent(row_id)

    def dead_letters(self) -> Any:
        return self.store.dead_letters()

    def retry_dead_letters(self) -> int:
        return self.store.retry_dead_letters()


class Ports:
    """Clock, link and hardware of one life: a boundary at each thing that shows outside."""

    def __init__(self, life: Life, clock: Clock, link: Link) -> None:
        self._life, self._clock, self._link = life, clock, link

    def now(self) -> Instant:
        self._life.alive()
        return self._clock.now()

    def learn(self, utc: float, mono_at_request: float, mono_at_answer: float) -> float | None:
        return self._clock.learn(utc, mono_at_request, mono_at_answer)

    def confirm(self) -> None:
        self._link.confirm()

    def drop(self, reason: str) -> None:
        self._life.boundary()
        self._link.drop(reason)

    def redial(self, reason: str = "") -> None:
        self._link.redial(reason)

    def set_ping_interval(self, interval_s: float) -> None:
        self._link.set_ping_interval(interval_s)

    def takes_at_once(self, text: str) -> bool:
        return self._link.takes_at_once(text)

    async def send(self, text: str) -> bool:
        self._life.boundary()
        return await self._link.send(text)

    def offer(self, evse: int, current_a: float) -> None:
        self._life.boundary()
        self._life.scene.stir()
        self._life.scene.trace("offer", f"{evse} {current_a:g}")
        if current_a > 0:
            self._life.scene.checker.powered(self._life.station.facts.evses[evse])
        self._life.hardware.offer(evse, current_a)

    def share(self, evse: int, phases: int) -> None:
        self._life.boundary()
        self._life.hardware.share(evse, phases)

    def unlock(self, evse: int) -> None:
        self._life.boundary()
        self._life.scene.stir()
        self._life.hardware.unlock(evse)

    def switch_phases(self, evse: int, phases: int) -> None:
        self._life.boundary()
        self._life.scene.stir()
        self._life.hardware.switch_phases(evse, phases)

    def wake_car(self, evse: int) -> None:
        self._life.boundary()
        self._life.scene.stir()
        self._life.hardware.wake_car(evse)

    def show(self, evse: int, state: str) -> None:
        self._life.hardware.show(evse, state)


def paced(scene: Scene) -> type[SILENCE]:
    """Polls are slow while nothing happens (`Scene.rest`); a time in which nobody asks is no silence."""

    class Paced(SILENCE):
        async def ask(self, question: Awaitable[Any]) -> Any:
            began = scene.now()
            try:
                await scene.rest(self._evses[0])
                if not scene.plan.cuts_a_day:  # who asks first must not hang on how many frames the version has
                    await asyncio.sleep(ORDER_S * self._evses[0])
            except asyncio.CancelledError:
                question.close()  # type: ignore[attr-defined]
                raise
            self._heard += scene.now() - began
            return await super().ask(question)

    return Paced


class Meter:
    """A mapped meter that may lie: a register that stands still, or goes back for a moment."""

    def __init__(self, scene: Scene, evse: int, real: MappedMeter) -> None:
        self._scene, self._evse, self._real = scene, evse, real

    async def number(self) -> str:
        return await self._real.number()

    async def read(self) -> Sequence[Sample]:
        return await self._told(self._real.read)

    async def read_all(self) -> Sequence[Sample]:
        return await self._told(self._real.read_all)

    async def _told(self, read: Callable[[], Awaitable[Sequence[Sample]]]) -> Sequence[Sample]:
        scene = self._scene
        scene.advance()
        before_wh = scene.points[self._evse].meter.energy_wh
        samples = await read()
        scene.checker.true(self._evse, samples, before_wh)
        samples = scene.lies(self._evse, samples)
        scene.checker.read(self._evse, samples)
        return samples


class Reader:
    def __init__(self, scene: Scene, evses: tuple[int, ...]) -> None:
        self._scene, self._evses = scene, evses

    async def token(self) -> IdToken:
        if self._scene.reader_broken:
            raise DriverError("the reader's port is gone")
        return IdToken(await self._scene.cards[self._evses].get())


class Life:
    """One process. `ended` is set when it is over: by a cut, by its own wish, or by a bug (`why`)."""

    def __init__(self, scene: Scene, path: Path) -> None:
        self.scene, self.path = scene, path
        self.ended = asyncio.Event()
        self.why = ""
        self.dead = False
        self.hard = False  # it ends by its own wish, with a reboot of the board
        self.fuse: int | None = None  # boundaries left until the cut
        self.tasks: list[asyncio.Task[None]] = []
        self.store = Store(path, fast=True)
        opened = self.store.open(scene.boot)
        if opened.fault is not None or opened.lost:
            scene.checker.complain(f"the store does not open: {opened}")
        self.watch = Watch(scene.checker, lambda way, text: scene.frame(way, text, self.store.salt))
        self.station = self._station()
        self.network: Network = self.station.block(Network)
        self.began_s = scene.now()
        self.link = Link(
            scene.csms,
            scene.weather,
            scene.plan.version,
            scene.link_rng,
            self.watch,
            self._target,
            scene.workshop.strange.__contains__,
        )
        hardware._Silence = paced(scene)  # type: ignore[misc]
        sampling = self.station.block(Sampling)
        self.hardware = hardware.Hardware(
            self._parts(),
            self._readers(),
            self.feed,
            lambda _name: None,
            lambda evse: sampling.wants_all(evse, scene.mono()),
        )
        clock = Clock(mono=scene.mono, wall=scene.wall, boot=scene.boot, ntp_mark=NO_MARK)
        ports = Ports(self, clock, self.link)
        gate = Gate(self, self.store)
        about = Charger("Sim", "Virtual", evses=tuple(scene.points))
        prefix = f"{self.store.salt}-{opened.starts}"
        self.conversation = Conversation(about, gate.head, prefix, scene.plan.version)
        self.runtime = Runtime(
            station=self.station,
            conversation=self.conversation,
            store=gate,
            clock=ports,
            link=ports,
            hardware=ports,
            log=Quiet(scene),
            work=self._work,
            leave=self._leave,
            errand=self._errand,
        )
        self.hands = Hands(scene.workshop, self.alive, scene.checker.promises.installs)
        self.errands = Errands(self.feed, self._failed)
        for kind, handler in self.hands.handlers().items():
            self.errands.serve(kind, handler)
        scene.checker.promises.installing = lambda: self.hands.installing and not scene.workshop.quiet
        scene.checker.promises.notices.trouble = lambda: bool(self.runtime.durable.trouble)
        self.link.runtime = self.runtime
        memory = self.store.restore()
        known = memory.tables.get("clock", {}).get("offset")
        if known is not None:  # what an earlier process of this power-up was told
            clock.restore(float(known[1]), str(known[0]))
        self.restored = Restored(memory.tables, memory.open_transactions, opened.power_lost)
        variables = self.station.facts.variables
        variables.layer("preset", self.conversation.dialect.presets)
        variables.layer("pin", self.conversation.dialect.pins)
        complaints = variables.layer("config", dict(scene.plan.variables))
        assert not complaints, complaints

    async def _work(self, call: Callable[[], Any]) -> Any:
        await asyncio.sleep(self.scene.disk_s)
        return call()

    def _errand(self, errand: Errand) -> None:
        self.boundary()
        self.errands.begin(errand)

    def _leave(self, restart: Restart) -> None:
        self.hard = restart.hard
        self._over(f"restart: {restart.why}")

    # --- building -----------------------------------------------------------------------------------------------

    def _station(self) -> Any:
        scene, plan = self.scene, self.scene.plan
        more: dict[str, Any] = {"switching": Switching(plan.switches)} if plan.switches else {}
        more |= {"wake_up": WakeUp()} if plan.wakes else {}
        limits = [EvseLimits(n, scene.max_a, 3, plan.attached, False, scene.unlocks, **more) for n in scene.points]
        rules: dict[str, Any] = {"resume": plan.resume, "station_max_a": plan.station_max_a}
        updates, dials = scene.workshop.policy, links(plan.secure)
        station = assemble(limits, prefix=self.store.salt, updates=updates, links=dials, **rules)
        handle, network = station.handle, station.block(Network)

        def watched(event: Event, now: Instant) -> list[Effect]:
            effects = handle(event, now)
            scene.settled(event, effects, list(station.facts.evses.values()), now, self.store.salt)
            scene.checker.promises.moves.settled(effects, network)
            return effects

        station.handle = watched  # type: ignore[method-assign]
        return station

    def _target(self) -> Target:
        target = self.network.target
        assert target is not None, "the configuration file names a link"
        return target

    def _parts(self) -> list[EvseParts]:
        scene, plan = self.scene, self.scene.plan
        bus = Bus(scene.wire, SerialSettings("/dev/ttyS1"), scene.policy or Policy())
        parts = []
        for n in scene.points:
            watchdog = {} if plan.controller == "evse_wb" else {"watchdog_s": 60.0, "failsafe_a": 0.0}
            evse = MappedEvse(bus, 2 * n - 1, plan.controller, phases=bool(plan.switches), **watchdog)  # type: ignore[arg-type]
            meter = MappedMeter(bus, 2 * n, plan.meter, folders=[MAPS])
            parts.append(EvseParts(n, evse, Meter(scene, n, meter), 1.0, 1.0, 10.0, 30.0))
        return parts

    def _readers(self) -> list[ReaderParts]:
        return [ReaderParts(Reader(self.scene, evses), evses) for evses in self.scene.cards]

    # --- living -------------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        self._start(self._boot())

    async def _boot(self) -> None:
        await self.feed(self.restored)
        await self.feed(HoldingsSeen(self.scene.workshop.holdings()))
        self._start(self.link.run())
        self._start(self.runtime.sender())
        for work in self.hardware.tasks().values():
            self._start(work)
        await self.runtime.failed.wait()
        assert self.runtime.failure is not None
        raise self.runtime.failure

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.append(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        if not isinstance(error, PowerCut):
            import traceback

            where = traceback.extract_tb(error.__traceback__)[-1]
            self._over(f"bug: {type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})")

    def _over(self, why: str) -> None:
        if not self.ended.is_set():
            self.why = why
            self.ended.set()

    async def feed(self, event: Event) -> None:
        await self.runtime.feed(event)

    # --- boundaries ---------------------------------------------------------------------------------------------

    def alive(self) -> None:
        if self.dead:
            raise PowerCut

    def boundary(self) -> None:
        """The power may go here."""
        self.alive()
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                self.die()
                raise PowerCut

    def die(self) -> None:
        self.dead = True
        for n, point in self.scene.points.items():
            self.scene.checker.dies(n, point.controller.closed)
        self._over("cut")

    # --- ending -------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """In order, as at SIGTERM."""
        await self.feed(Stopping("asked to"))
        self.scene.stir()
        await self.hardware.settle(SETTLE_S)

    async def bury(self, heir: Path) -> None:
        """Nothing of it runs any more; what a power cut leaves of the file is at `heir`."""
        self.dead = True
        self.scene.checker.promises.life_lost(not self.runtime.durable.trouble)
        await self.errands.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if self.link.line is not None:
            self.link.line.cut()
        self.store.clone(heir)
        self.store.close()
        for suffix in ("", "-wal", "-shm"):
            Path(str(self.path) + suffix).unlink(missing_ok=True)
