"""An EVSE controller that is a register map (`EvseController`; `Unlocks` and `ShowsState` when the map has them).

Rules kept:
* an order is a level: below 6 A (or the map's minimum) it is the map's pause value, never rounded up; above the map's
  maximum it is the maximum; steps of the register are rounded down; power is given after the current is set, and
  taken away before;
* what keeps the controller from falling back is done by reading alone: the feed, and an order that must be repeated;
* watchdog, fail-safe and set-up registers are written before the first order, again whenever the link was remade, the
  device failed to answer or lost its order, and before power is offered after a pause (a board may have restarted
  unnoticed in between);
* a pilot value that the map does not name is `Pilot.UNKNOWN` with `Fault.PILOT`, never "A";
* a power is ordered as if one phase carried it, until it is told how many share it;
* a press of the stop button is told once, also when a poll is repeated or its answer lost (`stop_button`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivers.api import DriverError, EvseReading, Fault, Guard, Pilot
from drivers.bus import Bus
from drivers.mapped_meter import identify
from drivers.mapwords import EvseMap, Flag, Setting
from drivers.record import replace
from drivers.registers import Image as Image
from drivers.registers import Read, Row, decode, encode, encode_down, plan, raw, words_from_bits, words_in
from drivers.regmap import load_evse

if TYPE_CHECKING:
    from drivers.pulse import Pulse
    from drivers.stop_button import StopPresses

UNLOCK_TIMEOUT_S = 5.0
UNLOCK_POLL_S = 0.2
TEMPERATURES = {"temperature C": 1.0, "temperature 0.1 C": 0.1}  # rows of [info] that are more than words for people

Writes = list[tuple[Row, list[int]]]


class MappedEvse:
    """One controller: `unit` on `bus`, as `evse_map` says (a map, or the name of one)."""

    def __init__(
        self,
        bus: Bus,
        unit: int,
        evse_map: EvseMap | str,
        label: str = "",
        timeout_s: float | None = None,
        watchdog_s: float | None = None,
        failsafe_a: float | None = None,
        folders: Sequence[Path] = (),
        connector: int = 1,
        phases: bool = False,
    ) -> None:
        self.map = load_evse(evse_map, folders, connector) if isinstance(evse_map, str) else evse_map
        self._bus = bus
        self._unit = unit
        self._label = label or f"controller unit {unit}"
        self._setup = _setup(self.map, watchdog_s, failsafe_a)
        self._guard = self.map.guard(watchdog_s, failsafe_a)
        self._reads = _keyed(self.map.reads)
        if phases and self.map.phases:
            self._reads += _keyed(self._further())
            self.switch_phases = self._switch_phases
        self._told_phases = phases and (self.map.phases_told or self.map.phases)
        self._pulse: Pulse | None = None
        self._warm = [row for row in self.map.info if row.key in TEMPERATURES]
        self._stop = _presses(self.map)
        self._last: tuple[Image, EvseReading] | None = None
        self._order: Writes | None = None  # our last order
        self._ordered_at = self._fed_at = -float("inf")
        self._paused = True
        self._armed: int | None = None  # the bus epoch in which the set-up registers were written
        bus.device(unit, self._label, self.map.device.pause_s, timeout_s, self.map)
        if self.map.unlock:
            self.unlock = self._unlock
        if self.map.offer.watts:
            self.share = self._share
        if self.map.led:
            self.show = self._show
        if self.map.wake:
            self.wake = self._wake

    def _further(self) -> tuple[Read, ...]:
        """What must be read beside the rest to know how many phases there are."""
        told = self.map.phases_told or self.map.phases
        assert told is not None
        known = {key for _, keys in self._reads for key in keys}
        if all((told.row.table, told.row.at + i) in known for i in range(told.row.words)):
            return ()
        return plan([told.row], self.map.device.max_words, self.map.device.max_gap)

    async def read(self) -> EvseReading:
        """One poll; feeds the watchdog, and heals set-up registers of a device that came back."""
        image = await self._poll()
        if self._order is not None:
            await self._heal(self._order, image)
        if self._stop and (seen := self._stop.to_confirm(image)):
            await self._try(self._write(*seen))
        reading = self._reading(image)
        return reading if self._pulse is None else await self._covered(self._pulse, reading)

    async def offer(self, current_a: float) -> None:
        """Order this current; 0 and all below the minimum withhold power."""
        order, pause = self._writes(current_a)
        stale = self._armed != self._bus.epoch or (self._paused and not pause)
        if stale and not pause:
            await self._arm()
        self._order, self._paused = order, pause
        await self._give(order)
        if stale and pause:  # taking power away comes first, whatever the set-up registers say
            await self._arm()

    def _writes(self, current_a: float) -> tuple[Writes, bool]:
        """For boards of which the order is more than a map can say, to be overridden (drivers/evse/)."""
        return order_writes(self.map, current_a)

    async def identity(self) -> str:
        """Vendor, model and what the identification registers say; DriverError when it is another device."""
        return await identify(self._bus, self._unit, self.map.device, self._label)

    async def _unlock(self) -> bool:
        order, lock = self.map.unlock, self.map.lock
        assert order is not None
        assert lock is not None
        image = await self._poll()
        if self._is_live(image):
            return False
        await self._write(order.row, words_from_bits(order.row, order.value))
        end = asyncio.get_running_loop().time() + UNLOCK_TIMEOUT_S
        while _is_set(lock, await self._poll()):
            if asyncio.get_running_loop().time() >= end:
                return False
            await asyncio.sleep(UNLOCK_POLL_S)
        return True

    def _is_live(self, image: Image) -> bool:
        """Whether the outlet may carry power: by the contactor, or by the pilot where no contactor is told."""
        if self.map.contactor:
            return _is_set(self.map.contactor, image)
        return self._pilot(image) in (Pilot.C, Pilot.D)

    async def _show(self, state: str) -> None:
        led = self.map.led
        assert led is not None
        if state.lower() in led.words.values():  # an indicator need not know every word
            await self._write(led.row, words_from_bits(led.row, led.value_of(state.lower())))

    def _share(self, phases: int) -> None:
        self.map = self.map._replace(offer=self.map.offer.shared(phases))
        self._last = None

    async def _switch_phases(self, phases: int) -> bool:
        choice = self.map.phases
        assert choice is not None
        if not self._paused or self._is_live(await self._poll()):
            return False
        await self._write(choice.row, words_from_bits(choice.row, choice.value_of(str(phases))))
        return True

    async def _wake(self) -> bool:
        wake = self.map.wake
        assert wake is not None
        from drivers.pulse import Pulse

        reading = self._reading(await self._poll())
        if self._pulse is not None or reading.pilot is not Pilot.B:
            return False
        self._pulse = Pulse(reading, self._now(), wake.pulse_s)
        await self._write(wake.row, words_from_bits(wake.row, wake.value))
        return True

    async def _covered(self, pulse: Pulse, reading: EvseReading) -> EvseReading:
        wake, now = self.map.wake, self._now()
        assert wake is not None
        if pulse.is_due(now):
            if wake.back is not None:
                await self._write(wake.row, words_from_bits(wake.row, wake.back))
            pulse.ended(now)
        if pulse.is_past(now):
            self._pulse = None
            return reading
        return pulse.cover(reading)

    def guard(self) -> Guard | None:
        return self._guard

    async def _heal(self, order: Writes, image: Image) -> None:
        """Write what a device that came back has lost, and what would lapse."""
        if not self._keeps(order, image):
            self._armed = None
        if self._armed != self._bus.epoch:
            await self._try(self._arm())
        repeat_s = self.map.offer.repeat_s
        due = repeat_s is not None and self._now() - self._ordered_at >= repeat_s
        if due and (self._paused or self._armed == self._bus.epoch):
            await self._try(self._give(order))

    def _keeps(self, order: Writes, image: Image) -> bool:
        """Whether the device still holds the order, as far as it can be read back."""
        readable = [part.row for part in (self.map.offer, self.map.enable) if part and part.readback]
        return all(words_in(row, image) == words for row, words in order if row in readable)

    async def _give(self, order: Writes) -> None:
        for row, words in order:
            await self._write(row, words)
        self._ordered_at = self._now()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _feed(self) -> None:
        feed = self.map.feed
        if feed is None or self._order is None or self._now() - self._fed_at < feed.every_s:
            return
        await self._write(feed.row, words_from_bits(feed.row, feed.value))
        self._fed_at = self._now()

    async def _poll(self) -> Image:
        image: Image = {}
        try:
            await self._feed()
            for read, keys in self._reads:
                words = await self._bus.read(self._unit, read.table, read.at, read.count)
                image.update(zip(keys, words, strict=True))
        except DriverError:
            self._armed = None
            raise
        return image

    async def _arm(self) -> None:
        """Write watchdog, fail-safe and set-up registers."""
        epoch = self._bus.epoch
        for row, words in self._setup:
            await self._write(row, words)
        # The first write may itself have remade the link; then only what came after it counts for this epoch.
        self._armed = epoch if epoch else self._bus.epoch

    async def _try(self, writing: Coroutine[Any, Any, None]) -> None:
        """Writes that the next poll or order repeats when they fail: what was read is still worth telling."""
        try:
            await writing
        except DriverError:
            self._armed = None

    async def _write(self, row: Row, words: list[int]) -> None:
        function = 5 if row.table == "coil" else 16 if len(words) > 1 else self.map.device.write
        try:
            await self._bus.write(self._unit, row.at, words, function)
        except DriverError:
            self._armed = None
            raise

    def _reading(self, image: Image) -> EvseReading:
        """What the registers say; most polls find what the last one found, and nothing is worked out anew."""
        stop = self._stop.pressed(image) if self._stop else None
        if stop is not None or self._last is None or self._last[0] != image:
            self._last = (image, self._work_out(image))
        reading = self._last[1]
        return reading if stop is None else replace(reading, stop_button=stop)

    def _work_out(self, image: Image) -> EvseReading:
        """All of it but the stop button, which tells a press once."""
        m = self.map
        pilot = self._pilot(image)
        faults = {fault for fault, flag in m.faults if _is_set(flag, image)}
        if pilot is Pilot.UNKNOWN:
            faults.add(Fault.PILOT)
        return EvseReading(
            pilot=pilot,
            contactor=_is_set(m.contactor, image) if m.contactor else None,
            offered_a=_offered_a(m, image),
            cable_a=decode(m.cable, words_in(m.cable, image)) if m.cable else None,
            faults=tuple(sorted(faults)),
            locked=_is_set(m.lock, image) if m.lock else None,
            raw=self._raw(image),
            temperature_c=self._temperature_c(image),
            phases=self._fed_by(image),
        )

    def _fed_by(self, image: Image) -> int | None:
        told = self._told_phases
        word = told.word(words_in(told.row, image)) if told else None
        return None if word is None else int(word)

    def _temperature_c(self, image: Image) -> float | None:
        found = [(decode(row, words_in(row, image)), TEMPERATURES.get(row.key)) for row in self._warm]
        return max(
            (value * factor for value, factor in found if value is not None and factor is not None), default=None
        )

    def _pilot(self, image: Image) -> Pilot:
        choice, charging = self.map.pilot, self.map.charging
        word = choice.word(words_in(choice.row, image))
        if word == "B" and charging is not None and _is_set(charging, image):
            return Pilot.C
        return Pilot.UNKNOWN if word is None else Pilot(word)

    def _raw(self, image: Image) -> str:
        rows = (self.map.pilot.row, *self.map.info)
        return ", ".join(f"{row.key} {raw(row, words_in(row, image))}" for row in rows)


def _presses(evse: EvseMap) -> StopPresses | None:
    if evse.stop_button is None:
        return None
    from drivers.stop_button import StopPresses

    return StopPresses(evse.stop_button)


def _keyed(reads: Sequence[Read]) -> list[tuple[Read, list[tuple[str, int]]]]:
    return [(r, [(r.table, r.at + i) for i in range(r.count)]) for r in reads]


def order_writes(evse: EvseMap, current_a: float) -> tuple[Writes, bool]:
    """The writes of an order, and whether it withholds power. A NaN withholds it too."""
    offer, enable = evse.offer, evse.enable
    if not current_a >= offer.min_a:
        writes = [(enable.row, words_from_bits(enable.row, enable.off))] if enable else []
        if offer.pause is not None:
            writes.append((offer.row, words_from_bits(offer.row, offer.pause)))
        return writes, True
    writes = [(offer.row, encode_down(offer.row, min(current_a, offer.max_a)))]
    if enable:
        writes.append((enable.row, words_from_bits(enable.row, enable.on)))
    return writes, False


def _setup(evse: EvseMap, watchdog_s: float | None, failsafe_a: float | None) -> Writes:
    """All set-up writes in order, with their words; the fail-safe current before the watchdog that leads to it."""
    writes = [(w.row, words_from_bits(w.row, w.value)) for w in evse.init]
    wake = evse.wake
    if wake and wake.back is not None and all((row.table, row.at) != wake.row[1:3] for row, _ in writes):
        writes.append((wake.row, words_from_bits(wake.row, wake.back)))  # a pulse that a crash has left
    pairs: tuple[tuple[Setting | None, float | None], ...] = (
        (evse.failsafe, failsafe_a),
        (evse.watchdog, watchdog_s),
    )
    for setting, wanted in pairs:
        if setting and setting.row:
            writes.append((setting.row, _encode(setting.row, setting.value if wanted is None else wanted)))
    return writes


def _encode(row: Row, value: float) -> list[int]:
    try:
        return encode(row, value)
    except ValueError as error:
        raise DriverError(f"[{row.key}] cannot be set to {value:g}: {error}") from None


def _is_set(flag: Flag, image: Image) -> bool:
    return flag.is_set(words_in(flag.row, image))


def _offered_a(evse: EvseMap, image: Image) -> float | None:
    """What the device holds as its order; None when it cannot tell."""
    offer, enable = evse.offer, evse.enable
    if enable and enable.readback and words_in(enable.row, image) != words_from_bits(enable.row, enable.on):
        return 0.0
    if not offer.readback:
        return None
    words = words_in(offer.row, image)
    paused = offer.pause is not None and words == words_from_bits(offer.row, offer.pause)
    return 0.0 if paused else decode(offer.row, words)
