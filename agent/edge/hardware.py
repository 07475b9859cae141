"""Hardware: one task for each controller, meter and reader. Polls, tells what changed, and holds the orders given.

Rules kept here
* A device is read before anything is written to it; nothing is written that the station has not ordered.
* Orders are levels: the controller is written again whenever what it reads back differs from the order, so a lost write
  or a rebooted board heals within one poll.
* A device silent for longer than it may be is told once as lost, at that very moment, and once as found again; its
  first reading then counts as news. A meter tells its number (`Numbered`) before its first reading counts, and again
  whenever it was lost, for it may be another one. A controller is polled on whatever its meter does, and the reverse.
* A meter is read whole when that is wanted (`wants_all`) or it is polled seldom, else as its driver thinks right.
* Every task beats a heart, so that the service manager's watchdog sees a hanging one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from agent.core.events import (
    DeviceFound,
    DeviceLost,
    Event,
    EvseRead,
    MeterNamed,
    MeterRead,
    TokenPresented,
    UnlockDone,
)
from agent.core.record import record
from drivers.api import (
    DriverError,
    EnergyMeter,
    EvseController,
    EvseReading,
    Numbered,
    OrdersPower,
    ReadsMore,
    Sample,
    ShowsState,
    SwitchesPhases,
    TokenReader,
    Unlocks,
    WakesCars,
)

TOLERANCE_A = 1.0  # many boards round to whole amperes
READER_RETRY_S = 2.0
OFTEN_S = 1.0  # a meter polled less often is always read whole
REWRITE_S = 1.0  # between two tries of an order that the board does not keep
T = TypeVar("T")
Tell = Callable[[Event], Awaitable[None]]
Beat = Callable[[str], None]
Wants = Callable[[int], bool]


@record
class EvseParts:
    """What one EVSE is made of, and how often it is asked."""

    id: int
    controller: EvseController
    meter: EnergyMeter
    poll_s: float = 0.5
    meter_poll_s: float = 1.0
    silent_s: float = 10.0
    meter_silent_s: float = 10.0


@record
class ReaderParts:
    reader: TokenReader
    evses: tuple[int, ...]


def until_next(period_s: float, now: float) -> float:
    """Time to the next multiple of the period: polls, heart and samples come in the same moments, and the processor
    wakes once for several."""
    return period_s - now % period_s


class _Silence:
    """Whether a device is lost, by the time since it last answered."""

    def __init__(self, evses: Sequence[int], device: str, limit_s: float, tell: Tell) -> None:
        self._evses, self._device, self._limit_s, self._tell = evses, device, limit_s, tell
        self._now = asyncio.get_running_loop().time
        self._heard = self._now()
        self._why = ""
        self._asking: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None  # one for many questions, for they are asked for years
        self._expired = False
        self.lost = False

    async def ask(self, question: Awaitable[T]) -> T:
        """Wait for the device, but no longer than until it counts as lost; DriverError either way."""
        if self.lost:
            return await question
        task = self._asking = asyncio.current_task()
        assert task is not None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(self._heard + self._limit_s, self._look)
        try:
            return await question
        except asyncio.CancelledError:
            if not self._expired or task.cancelling() > 1:
                raise
            raise DriverError(self._why or f"no answer for {self._limit_s:g} s") from None
        finally:
            self._asking = None
            if self._expired:
                self._expired = False
                task.uncancel()

    def _look(self) -> None:
        self._timer = None
        if self._asking is None:
            return
        due = self._heard + self._limit_s
        if self._now() < due:
            self._timer = asyncio.get_running_loop().call_at(due, self._look)
        else:
            self._expired = self._asking.cancel()

    async def answered(self) -> bool:
        """True when it had been lost."""
        self._heard = self._now()
        if not self.lost:
            return False
        self.lost = False
        for evse in self._evses:
            await self._tell(DeviceFound(evse, self._device))
        return True

    async def failed(self, why: str, now: float) -> None:
        self._why = why
        if not self.lost and now - self._heard >= self._limit_s:
            self.lost = True
            for evse in self._evses:
                await self._tell(DeviceLost(evse, self._device, why))


class _EvseTask:
    """One EVSE's controller and meter, each with a loop of its own."""

    def __init__(self, parts: EvseParts, tell: Tell, beat: Beat, wants_all: Wants) -> None:
        self.parts = parts
        self._tell, self._beat, self._wants_all = tell, beat, wants_all
        self._wanted_a: float | None = None
        self._shared = 1
        self._last_order: tuple[float, float] | None = None  # what was written, and when
        self._unlock = False
        self._phases: int | None = None
        self._wake_car = False
        self._show: str | None = None
        self._shown: str | None = None
        self._wake = asyncio.Event()
        self._known: tuple[object, ...] | None = None
        self.reading: EvseReading | None = None
        self.settled = asyncio.Event()  # the controller holds what is wanted

    # --- orders -------------------------------------------------------------------------------------------------

    def offer(self, current_a: float) -> None:
        self._wanted_a = current_a
        self._last_order = None
        self.settled.clear()
        self._wake.set()

    def share(self, phases: int) -> None:
        self._shared = phases
        self._last_order = None
        self._wake.set()

    def unlock(self) -> None:
        self._unlock = True
        self._wake.set()

    def switch_phases(self, phases: int) -> None:
        self._phases = phases
        self._wake.set()

    def wake(self) -> None:
        self._wake_car = True
        self._wake.set()

    def show(self, state: str) -> None:
        self._show = state
        self._wake.set()

    # --- the controller -----------------------------------------------------------------------------------------

    async def run_controller(self) -> None:
        loop = asyncio.get_running_loop()
        silence = _Silence((self.parts.id,), "controller", self.parts.silent_s, self._tell)
        while True:
            self._wake.clear()
            try:
                await self._poll(silence)
                await self._obey()
            except DriverError as error:
                await silence.failed(str(error), loop.time())
                await self._withhold()
            self._beat(f"evse{self.parts.id}")
            await self._rest(until_next(self.parts.poll_s, loop.time()))

    async def _rest(self, left_s: float) -> None:
        if left_s > 0 and not self._wake.is_set():
            timer = asyncio.get_running_loop().call_later(left_s, self._wake.set)
            await self._wake.wait()
            timer.cancel()
        else:
            await asyncio.sleep(0)

    async def _poll(self, silence: _Silence) -> None:
        reading = await silence.ask(self.parts.controller.read())
        if await silence.answered():
            self._known, self._last_order, self._shown = None, None, None
        self.reading = reading
        warm_c = None if reading.temperature_c is None else round(reading.temperature_c)
        facts = (
            reading.pilot,
            reading.contactor,
            reading.cable_a,
            reading.faults,
            reading.locked,
            warm_c,
            reading.phases,
        )
        if facts != self._known or reading.stop_button is not None:
            self._known = facts
            await self._tell(EvseRead(self.parts.id, reading))

    async def _obey(self) -> None:
        """Bring the controller to what is wanted, if it is not there."""
        controller, wanted_a, now = self.parts.controller, self._wanted_a, asyncio.get_running_loop().time()
        if wanted_a is not None and self._must_write(wanted_a, now):
            shared = self._shared
            if isinstance(controller, OrdersPower):
                controller.share(shared)
            await controller.offer(wanted_a)
            if (self._wanted_a, self._shared) == (wanted_a, shared):
                self._last_order = (wanted_a, now)
                self.settled.set()
        if self._unlock and isinstance(controller, Unlocks):
            self._unlock = False
            await self._tell(UnlockDone(self.parts.id, await controller.unlock()))
        if self._phases is not None and isinstance(controller, SwitchesPhases):
            phases, self._phases = self._phases, None
            await controller.switch_phases(phases)  # the next reading tells whether it was done
        if self._wake_car and isinstance(controller, WakesCars):
            self._wake_car = False
            await controller.wake()
        if self._show != self._shown and isinstance(controller, ShowsState) and self._show is not None:
            state = self._show
            await controller.show(state)
            self._shown = state

    async def _withhold(self) -> None:
        """Its answers are lost, yet it may hear us: our questions then feed its watchdog, so the order must go out."""
        if self._wanted_a != 0 or self.reading is None or not self._must_write(0.0, asyncio.get_running_loop().time()):
            return
        try:
            await self.parts.controller.offer(0.0)
        except DriverError:
            return  # tried again after the next poll that fails
        self._last_order = (0.0, asyncio.get_running_loop().time())

    def _must_write(self, wanted_a: float, now: float) -> bool:
        if self._last_order is None or self._last_order[0] != wanted_a:
            return True
        held_a = self.reading.offered_a if self.reading is not None else None
        if held_a is None or now - self._last_order[1] < REWRITE_S:
            return False
        return (held_a > 0) != (wanted_a > 0) or abs(held_a - wanted_a) > TOLERANCE_A

    # --- the meter ----------------------------------------------------------------------------------------------

    async def run_meter(self) -> None:
        loop = asyncio.get_running_loop()
        silence = _Silence((self.parts.id,), "meter", self.parts.meter_silent_s, self._tell)
        named = not isinstance(self.parts.meter, Numbered)
        while True:
            try:
                samples = await silence.ask(self._metered())
                if await silence.answered() or not named:
                    named = True
                    await self._name_meter(silence)
                    samples = await silence.ask(self._metered())  # the first ones are older than the name
                await self._tell(MeterRead(self.parts.id, tuple(samples)))
            except DriverError as error:
                await silence.failed(str(error), loop.time())
            self._beat(f"meter{self.parts.id}")
            await asyncio.sleep(until_next(self.parts.meter_poll_s, loop.time()))

    def _metered(self) -> Awaitable[Sequence[Sample]]:
        meter = self.parts.meter
        whole = self.parts.meter_poll_s > OFTEN_S or self._wants_all(self.parts.id)
        return meter.read_all() if whole and isinstance(meter, ReadsMore) else meter.read()

    async def _name_meter(self, silence: _Silence) -> None:
        """Which one it is; a meter that does not tell is believed by its register alone."""
        if not isinstance(self.parts.meter, Numbered):
            return
        with suppress(DriverError):
            if number := await silence.ask(self.parts.meter.number()):
                await self._tell(MeterNamed(self.parts.id, number))


class Hardware:
    """All parts of the charger. `tell` takes every event, `beat` the names of tasks that are alive; `wants_all` says
    whether the reading of an EVSE's meter that begins now should leave nothing out."""

    def __init__(
        self,
        evses: Sequence[EvseParts],
        readers: Sequence[ReaderParts],
        tell: Tell,
        beat: Beat,
        wants_all: Wants = lambda _evse: True,
    ) -> None:
        self._evses = {parts.id: _EvseTask(parts, tell, beat, wants_all) for parts in evses}
        self._readers = readers
        self._tell, self._beat = tell, beat

    def tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What has to run, by name; each runs for ever and ends only by a bug."""
        runs: dict[str, Coroutine[Any, Any, None]] = {}
        for evse in self._evses.values():
            runs[f"evse{evse.parts.id}"] = evse.run_controller()
            runs[f"meter{evse.parts.id}"] = evse.run_meter()
        for number, parts in enumerate(self._readers, 1):
            runs[f"reader{number}"] = self._run_reader(parts)
        return runs

    def beats(self) -> dict[str, float]:
        """Names of hearts and the longest time between two beats."""
        return {f"{kind}{n}": 30.0 for n in self._evses for kind in ("evse", "meter")}

    def offer(self, evse: int, current_a: float) -> None:
        self._evses[evse].offer(current_a)

    def share(self, evse: int, phases: int) -> None:
        self._evses[evse].share(phases)

    def unlock(self, evse: int) -> None:
        self._evses[evse].unlock()

    def switch_phases(self, evse: int, phases: int) -> None:
        self._evses[evse].switch_phases(phases)

    def wake_car(self, evse: int) -> None:
        self._evses[evse].wake()

    def show(self, evse: int, state: str) -> None:
        self._evses[evse].show(state)

    def reading(self, evse: int) -> EvseReading | None:
        """The controller's last words, for the technician."""
        return self._evses[evse].reading

    async def settle(self, timeout_s: float) -> bool:
        """Wait until every controller holds what was ordered last; False when one did not in time."""
        try:
            async with asyncio.timeout(timeout_s):
                for evse in self._evses.values():
                    await evse.settled.wait()
        except TimeoutError:
            return False
        return True

    async def _run_reader(self, parts: ReaderParts) -> None:
        loop = asyncio.get_running_loop()
        silence = _Silence(parts.evses, "reader", 0.0, self._tell)
        while True:
            waiting = asyncio.ensure_future(parts.reader.token())
            try:
                done, _ = await asyncio.wait({waiting}, timeout=READER_RETRY_S)
                if not done:
                    await silence.answered()  # it opened, and waits for a card
                    await asyncio.wait({waiting})
                token = waiting.result()
                await silence.answered()
                await self._tell(TokenPresented(parts.evses, token))
            except DriverError as error:
                await silence.failed(str(error), loop.time())
                await asyncio.sleep(READER_RETRY_S)
            finally:
                waiting.cancel()
