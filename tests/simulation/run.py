"""One run: a plan is played from its first moment to the day when all must be settled, on a clock that never waits.

run(plan) -> Outcome; its `broken` is empty when every invariant held.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.edge import hardware
from tests.simulation.board import SILENCE, Life
from tests.simulation.checker import Totals
from tests.simulation.chores import Steward
from tests.simulation.loop import run_virtually
from tests.simulation.people import Operator, Visitors, pause, remote_stop
from tests.simulation.plan import DAY_S, Plan
from tests.simulation.scene import Scene
from tests.simulation.trouble import Trouble, heal, swap

FUSE_MAX = 12  # boundaries between the moment of a cut and the cut
LOOK_S = 10.0
SWAP_S = 60.0  # a power cut long enough for somebody to change a meter
DRAIN_S = 6 * 3600.0
BROKEN_MAX = 5
RAM = "/dev/shm"
Prepare = Callable[[Scene], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    plan: Plan
    totals: Totals
    broken: tuple[str, ...]
    digest: str
    core_digest: str
    core_lines: tuple[str, ...] = field(default=(), repr=False)
    errors: tuple[str, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        head = f"seed {self.plan.seed}, OCPP {self.plan.version}, {self.plan.days:g} days"
        again = f"again: python -m tests.simulation.soak {self.plan.seed} --version {self.plan.version}"
        return "\n".join([head, *self.broken, f"{again} --days {self.plan.days:g}", *self.errors[-5:]])


class Run:
    def __init__(self, plan: Plan, folder: Path) -> None:
        self.scene = Scene(plan)
        self.plan = plan
        self._folder = folder
        self._lives = 0
        self.life: Life = None  # type: ignore[assignment]
        self._rng, self._swaps = plan.rng("cuts"), plan.rng("swaps")
        self._done = asyncio.Event()
        self._actors: list[asyncio.Task[None]] = []

    def _path(self) -> Path:
        self._lives += 1
        return self._folder / f"{self._lives}.db"

    async def play(self) -> None:
        scene = self.scene
        background = [asyncio.ensure_future(work) for work in (scene.tick(), self._look())]
        path = self._path()
        keeper = asyncio.ensure_future(self._keep_alive(path))
        people = [Visitors(scene, n) for n in scene.points]
        work: list[Coroutine[Any, Any, None]] = [visitor.run() for visitor in people]
        operator, steward = Operator(scene), Steward(scene)
        if self.plan.chores_a_day:
            work.append(steward.run())
        if self.plan.orders_a_day:
            work.append(operator.run())
        if self.plan.cuts_a_day:
            work.append(self._cuts())
        self._actors = [asyncio.ensure_future(one) for one in [*work, *Trouble(scene).tasks()]]
        await self._until(self.plan.days * DAY_S)
        await self._stop(self._actors)
        if not scene.checker.broken:
            await self._wind_up(operator, steward)
        await self._stop([keeper, *background])
        with contextlib.suppress(Exception):
            await self.life.bury(self._path())

    async def _until(self, end_s: float) -> None:
        """Until then, or until an invariant is broken."""
        while self.scene.now() < end_s and not self.scene.checker.broken:
            await asyncio.sleep(min(600.0, max(0.1, end_s - self.scene.now())))
            for actor in self._actors:
                if actor.done():
                    actor.result()

    async def _stop(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        for found in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(found, Exception):
                raise found

    # --- lives --------------------------------------------------------------------------------------------------

    async def _keep_alive(self, path: Path) -> None:
        """The service manager and the mains: one life after the other."""
        scene = self.scene
        while True:
            self.life = Life(scene, path)
            scene.stir(20.0)
            scene.workshop.starts()
            await self.life.begin()
            await self.life.ended.wait()
            path = self._path()
            why = self.life.why
            if why.startswith("restart"):
                scene.checker.totals.restarts += 1
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(10.0):
                        await self.life.stop()
            elif why != "cut":
                scene.checker.complain(why)
            hard = self.life.hard
            await self.life.bury(path)
            await self._between(why)
            if hard:  # the board starts anew, the controllers do not notice
                scene.workshop.power_lost()
                scene.workshop.boots()
                scene.power_up()

    async def _between(self, why: str) -> None:
        """How long nothing runs: a moment after a kill, longer without mains."""
        scene, rng = self.scene, self._rng
        if why != "cut" or rng.random() < 0.5:
            scene.checker.totals.kills += why == "cut"
            await asyncio.sleep(rng.uniform(0.5, 8.0))
            return
        scene.checker.totals.cuts += 1
        for n in scene.points:
            scene.checker.silence(n, scene.now())
            scene.checker.mute[n].pop()
        scene.power(False)
        scene.workshop.power_lost()
        away_s = rng.choice((0.3, 5.0, 600.0, 7200.0)) * rng.uniform(0.5, 1.5)
        await asyncio.sleep(away_s)
        if away_s > SWAP_S and self._swaps.random() < self.plan.swaps:
            swap(scene, self._swaps.choice(sorted(scene.points)), self._swaps)  # whether a car is there or not
        if rng.random() < 0.3:
            scene.skew_s = -1_700_000_000.0  # no battery: the board wakes up long ago
        elif scene.skew_s < -1e9:
            scene.skew_s = 0.0
        scene.power_up()
        scene.workshop.boots()
        scene.power(True)

    async def _cuts(self) -> None:
        rng = self._rng
        while True:
            if rng.random() < 0.6:
                await pause(rng, DAY_S / self.plan.cuts_a_day)
            else:  # in the middle of a visit
                await self._when_busy(rng)
            self.life.fuse = rng.randrange(FUSE_MAX)
            await asyncio.sleep(30.0)
            if not self.life.ended.is_set() and self.life.fuse is not None:
                self.life.die()
            await asyncio.sleep(rng.choice((1.0, 5.0, 60.0)))

    async def _when_busy(self, rng: Any) -> None:
        await asyncio.sleep(DAY_S / self.plan.cuts_a_day * rng.uniform(0.2, 1.0))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DAY_S):
                while all(p.car is None for p in self.scene.points.values()):  # noqa: ASYNC110  the world tells nobody
                    await asyncio.sleep(1.0)
        await asyncio.sleep(rng.choice((0.0, 1.0, 5.0, 30.0, 300.0)) * rng.random())

    # --- looking ------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        while True:
            busy = any(point.controller.closed or point.car for point in self.scene.points.values())
            await asyncio.sleep(LOOK_S if busy else 60.0)
            self._look_at_power()
            if self.life is not None and not self.life.dead:
                self._look_at_queues()
                self.scene.checker.promises.moves.looked(self.life.network, self.life.began_s)
                evses = list(self.life.station.facts.evses.values())
                self.scene.checker.limits.looked(evses, self.scene.now())

    def _look_at_power(self) -> None:
        scene, life = self.scene, self.life
        scene.advance()
        alive = life is not None and not life.dead
        for n, point in scene.points.items():
            evse = life.station.facts.evses[n] if alive else None
            permitted = evse is not None and evse.offer_a > 0
            blind = not alive or scene.units[2 * n - 1].mode != "ok" or not scene.wire.plugged
            healthy = point.controller.powered and not point.controller.welded
            unguarded = self.plan.controller == "evse_wb" and blind
            scene.checker.contactor(n, point.controller.closed and healthy and not unguarded, permitted, blind)

    def _look_at_queues(self) -> None:
        runtime, outbox = self.life.runtime, self.life.conversation.outbox
        counts = (len(outbox._others), len(outbox._triggered), len(outbox._questions), runtime._to_send.qsize())
        self.scene.checker.queued(counts)

    # --- the end ------------------------------------------------------------------------------------------------

    async def _wind_up(self, operator: Operator, steward: Steward) -> None:
        """All is mended and unplugged; then everything must drain."""
        scene = self.scene
        if self.life is not None:
            self.life.fuse = None
        if not all(point.controller.powered for point in scene.points.values()):
            await asyncio.sleep(20_000.0)
        heal(scene)
        await operator.no_limit()
        await operator.open_all()
        await steward.finish()
        end_s = scene.now() + DRAIN_S
        while scene.now() < end_s and not self._drained():
            await asyncio.sleep(60.0)
            for n in scene.points:  # one that waits for its car to return is ended from afar
                await remote_stop(scene, n)
        if not self._drained():
            tx = {n: evse.tx for n, evse in self.life.station.facts.evses.items()}
            left = scene.checker.promises.unfinished()
            scene.checker.complain(f"not drained: {self.life.store.counts()}, open: {tx}, {left}")
            return
        dead = [(letter.transaction, letter.seq) for letter in self.life.store.dead_letters()]
        scene.checker.finish(dead)

    def _drained(self) -> bool:
        life = self.life
        if life is None or life.dead or self.life.store.counts().rows:
            return False
        if self.scene.checker.promises.unfinished():
            return False
        return all(evse.tx is None for evse in life.station.facts.evses.values())


def run(plan: Plan, prepare: Prepare | None = None, lines: bool = False) -> Outcome:
    """Play the plan. `prepare` may change the scene before its first moment."""

    async def main() -> Outcome:
        with tempfile.TemporaryDirectory(dir=RAM if Path(RAM).is_dir() else None) as folder:
            play = Run(plan, Path(folder))
            play.scene.keep_lines = lines
            if prepare is not None:
                prepare(play.scene)
            await play.play()
            scene, totals = play.scene, play.scene.checker.totals
            totals.days = scene.now() / DAY_S
            return Outcome(
                plan,
                totals,
                tuple(scene.checker.broken[:BROKEN_MAX]),
                scene.digest,
                scene.core_digest,
                tuple(scene.core_lines),
                tuple(scene.errors),
            )

    try:
        return run_virtually(main())
    finally:
        hardware._Silence = SILENCE  # type: ignore[misc]
