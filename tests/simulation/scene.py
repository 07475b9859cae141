"""Everything around the agent that outlives it: world, line of Modbus, clocks, cards, network, central system, truth.

Polls are slow while nothing happens: `rest` holds a read back until something moves in the world, somebody gives an
order, or a while has passed. Days pass in a moment, and near every event the polls are as quick as on a real charger.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from agent.core import record
from agent.core.effects import Effect, Offer, Record
from agent.core.events import Event
from agent.core.evse import Evse
from agent.core.types import Instant
from drivers.api import IdToken, Measurand, Sample
from drivers.bus import Policy
from drivers.simulated.charging_point import ChargingPoint
from drivers.simulated.devices import build_devices
from drivers.simulated.plan import SimBus, SimEvse, SimStation, SimUnit
from drivers.simulated.registers import SimDevice
from drivers.simulated.server import Thinking
from drivers.simulated.world import World
from tests.simulation.checker import Checker
from tests.simulation.csms import Csms
from tests.simulation.line import Weather
from tests.simulation.plan import EPOCH, MAPS, Plan
from tests.simulation.promises import Promises
from tests.simulation.wire import WatchedWire
from tests.simulation.workshop import Workshop

TOKENS = {
    "04AABBCC": ("Accepted", "FAMILY"),
    "04DDEEFF": ("Accepted", "FAMILY"),
    "0401020304": ("Accepted", ""),
    "04B10C4ED0": ("Blocked", ""),
}
STRANGER = "04FFFF00"
BUSY_S = 5.0  # quick polls for this long after an event
CHARGING_REST_S = 30.0
IDLE_REST_S = 900.0
LAMP_S = 1.0
_ENERGY = Measurand.ENERGY_ACTIVE_IMPORT_REGISTER


class Scene:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.max_a = 16.0 if plan.controller == "heidelberg_ec" else 32.0
        self.unlocks = plan.controller == "reference" and not plan.attached
        bus = SimBus("b", port="/dev/ttyS1")
        evses = tuple(self._evse(n) for n in range(1, plan.evses + 1))
        self.world = World(SimStation((bus,), evses, seed=plan.seed, map_dirs=(str(MAPS),)), self._on_world)
        units: dict[int, SimDevice] = {unit: device for (_, unit), device in build_devices(self.world).items()}
        self.units = units
        thinking = Thinking((0.005, 0.020), 0.65, plan.seed)
        self.checker = Checker(plan, self.now, lambda evse: self.points[evse].meter.energy_wh)
        self.wire = WatchedWire(bus, units, thinking, self.advance, self.checker.complain)
        self.policy: Policy | None = None
        self.points: dict[int, ChargingPoint] = self.world.points
        for n, point in self.points.items():
            point.on_fault = lambda fault, present, n=n: self.checker.plant(n, str(fault), present)
        self.checker.first_wh = {n: point.meter.energy_wh for n, point in self.points.items()}
        self.csms = Csms(plan.rng("csms"), plan.csms, TOKENS, self.checker.complain)
        self.checker.books = self.csms.books
        self.workshop = Workshop(plan, self.now)
        self.checker.promises = Promises(
            plan, self.now, TOKENS, self.workshop, self.checker.open_transactions, self.checker.complain
        )
        self.weather = Weather()
        self.link_rng = plan.rng("link")
        together = tuple(self.points)
        self.cards: dict[tuple[int, ...], asyncio.Queue[str]] = {together: asyncio.Queue(8)}
        self.reader_broken = False
        self.disk_full = False
        self.disk_s = 0.002
        self.errors: list[str] = []
        self.boots = 0
        self.boot = ""
        self._boot_at = 0.0
        self._boot_mono = 0.0
        self.skew_s = 0.0  # how wrong the system clock is
        self.frozen: dict[int, Sequence[Sample]] = {}
        self.lie_back: dict[int, int] = {}
        self._busy_until = 0.0
        self._stirred = asyncio.Event()
        self._hash = hashlib.sha256()
        self._core = hashlib.sha256()
        self.core_lines: list[str] = []
        self.keep_lines = False
        self.power_up()

    def _evse(self, n: int) -> SimEvse:
        plan = self.plan
        unit = SimUnit(plan.controller, "b", 2 * n - 1)
        meter = SimUnit(plan.meter, "b", 2 * n)
        return SimEvse(n, unit, meter, plan.attached, 20.0 + 12.0 * plan.attached, self.max_a, 3)

    # --- time ---------------------------------------------------------------------------------------------------

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def power_up(self) -> None:
        """The board starts anew: its own monotonic clock, and a system clock that may know nothing."""
        self.boots += 1
        self.boot = f"boot-{self.boots}"
        self._boot_at, self._boot_mono = self.now(), 3.0 + self.boots
        self.checker.boots[self.boot] = self._boot_at - self._boot_mono

    def mono(self) -> float:
        return self.now() - self._boot_at + self._boot_mono

    def wall(self) -> float:
        return EPOCH + self.now() + self.skew_s

    def advance(self) -> None:
        self.world.advance(self.now())

    async def tick(self) -> None:
        """The world moves at its own moments, whoever looks."""
        while True:
            self.advance()
            left_s = self.world.next_deadline() - self.world.now_s
            await asyncio.sleep(min(60.0, max(0.01, left_s)))

    # --- pace ---------------------------------------------------------------------------------------------------

    def stir(self, for_s: float = BUSY_S) -> None:
        self._busy_until = max(self._busy_until, self.now() + for_s)
        self._stirred.set()

    async def rest(self, evse: int) -> None:
        if self.now() < self._busy_until:
            return
        self._stirred.clear()
        slow_s = CHARGING_REST_S if self.points[evse].controller.order_a > 0 else IDLE_REST_S
        try:
            async with asyncio.timeout(slow_s):
                await self._stirred.wait()
        except TimeoutError:
            return

    def _on_world(self, _now_s: float, _evse: int, _text: str) -> None:
        self.stir()

    # --- what the meter tells -------------------------------------------------------------------------------------

    def lies(self, evse: int, samples: Sequence[Sample]) -> Sequence[Sample]:
        if evse in self.frozen:
            if not self.frozen[evse]:
                self.frozen[evse] = tuple(samples)
            return self.frozen[evse]
        left = self.lie_back.get(evse, 0)
        if left:
            self.lie_back[evse] = left - 1
            return tuple(changed(s, value=s.value / 2) if s.measurand is _ENERGY else s for s in samples)
        return samples

    # --- hands --------------------------------------------------------------------------------------------------

    def tap(self, token: str) -> None:
        self.stir()
        for queue in self.cards.values():
            if not queue.full():
                queue.put_nowait(token)

    def power(self, on: bool) -> None:
        self.advance()
        self.world.power(on)

    # --- the trace ----------------------------------------------------------------------------------------------

    def trace(self, kind: str, text: str) -> None:
        self._hash.update(f"{self.now():.6f} {kind} {text}\n".encode())

    def frame(self, way: str, text: str, salt: str) -> None:
        self.checker.totals.frames += 1
        self.trace(way, text.replace(salt, "SALT"))

    def settled(self, event: Event, effects: Sequence[Effect], evses: Sequence[Evse], now: Instant, salt: str) -> None:
        """After each step of a station: check, and remember for the trace."""
        self.checker.step(event)
        if any(evse.tx is not None and evse.tx.stop is not None for evse in evses):
            self.stir()
        for effect in effects:
            line = str(effect).replace(salt, "SALT")
            self.trace("effect", line)
            self._core_line(effect, salt)
        self.checker.settled(evses)
        self.checker.promises.settled(effects, evses)
        self.checker.limits.settled(event, effects, evses, now, self.now())

    def _core_line(self, effect: Effect, salt: str) -> None:
        """What both versions must do alike: offers, and transactions as far as they are billed."""
        if isinstance(effect, Offer):
            line = f"offer {effect.evse} {effect.current_a:g}"
        elif isinstance(effect, Record):
            e = effect.event
            token = shown(e.token)
            line = f"{e.message_id} {e.kind} {e.trigger} {e.energy_wh} {e.charging_state} {e.stop_reason} {token}"
            line = line.replace(salt, "SALT")
        else:
            return
        self._core.update(line.encode())
        if self.keep_lines:
            self.core_lines.append(f"{self.now():.2f} {line}")

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()[:16]

    @property
    def core_digest(self) -> str:
        return self._core.hexdigest()[:16]


def changed(value: Any, /, **fields: Any) -> Any:
    """A copy with other fields, of a record of the agent or a dataclass of the drivers."""
    return record.replace(value, **fields) if hasattr(value, "_values") else replace(value, **fields)


def shown(token: IdToken | None) -> str:
    return token.value if token else "-"
