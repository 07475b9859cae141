"""The controller half of the map format: a parsed TOML document becomes an `EvseMap`.

Every row may be shifted: a device with several connectors repeats its registers every `connector_step` addresses, and
connector 2 is served by the same map. What lies only once says `shared = true`.

Rules kept: those of `regmap`; a map says what its device cannot do by leaving the table out, and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from drivers.api import Fault, Pilot, StopButton
from drivers.mapfile import Section
from drivers.maprows import UNITS, Defaults, device
from drivers.mapwords import (
    ANY_MASK,
    Choice,
    Enable,
    EvseMap,
    Feed,
    Flag,
    Offer,
    Setting,
    StopRegisters,
    Wake,
    Write,
    per_phase,
)
from drivers.registers import Row, encode, plan

T = TypeVar("T")
PHASES = ("1", "3")


def parse_evse(file: str, data: dict[str, Any], connector: int = 1) -> EvseMap:
    """A parsed TOML document as the map of one of the device's connectors."""
    top = Section(file, "", data)
    found, defaults = device(top), _Shifted(top, connector)
    parts = _EvseParts(top, defaults)
    enable = parts.enable()
    pilot, offer = parts.pilot(), parts.offer(enable)
    contactor, cable, lock = parts.flag("contactor"), parts.row("cable", "A"), parts.flag("lock")
    charging, stop, faults, info = parts.flag("charging"), parts.stop_button(), parts.faults(), parts.info()
    unlock = parts.write("unlock")
    if unlock and not lock:
        top.fail("[unlock]", "needs [lock] too, or nobody can tell whether the connector is open afterwards")
    reads = [pilot.row, *(flag.row for _, flag in faults), *info, *([offer.row] if offer.readback else ())]
    reads += [flag.row for flag in (charging, contactor, lock) if flag] + [row for row in (cable,) if row]
    reads += [enable.row] if enable and enable.readback else []
    reads += [row for row in (stop.kind.row, stop.count, stop.seen) if row] if stop else []
    result = EvseMap(
        device=found, pilot=pilot, charging=charging, contactor=contactor, cable=cable, offer=offer, enable=enable,
        watchdog=parts.setting("watchdog", "timeout_s", "s"), failsafe=parts.setting("failsafe", "current_a", "A"),
        init=parts.init(), feed=parts.feed(), faults=faults, lock=lock, unlock=unlock, stop_button=stop,
        led=parts.choice("led", None), info=info, reads=plan(reads, found.max_words, found.max_gap),
        phases=parts.phases(), phases_told=parts.choice("phases_told", list(PHASES)), wake=parts.wake(),
    )  # fmt: skip
    if result.phases_told and not result.phases:
        top.fail("[phases_told]", "needs [phases]: what switches them?")
    if result.failsafe and not result.watchdog:
        top.fail("[failsafe]", "needs [watchdog]: what leads to this current?")
    top.done()
    return result


class _Shifted(Defaults):
    """Rows of one connector."""

    def __init__(self, top: Section, connector: int) -> None:
        super().__init__(top)
        step = top.number("connector_step", 1, 0x4000) if top.has("connector_step") else 0
        if connector > 1 and not step:
            top.fail("connector_step", f"missing; so there is no connector {connector}")
        self._shift = step * (connector - 1)

    def row(self, section: Section, key: str, unit: str = "", table: str | None = None) -> Row:
        found = super().row(section, key, unit, table)
        if section.get("shared", bool, False) or not self._shift:
            return found
        if found.at + self._shift > 0x10000 - found.words:
            section.fail("at", f"is {found.at}; with {self._shift} for this connector there is no such register")
        return found._replace(at=found.at + self._shift)


class _EvseParts:
    """The tables of an EVSE map, each a method; a table that is not there gives None or nothing."""

    def __init__(self, top: Section, defaults: Defaults) -> None:
        self.top = top
        self.defaults = defaults

    def pilot(self) -> Choice:
        found = self.choice("pilot", [p.value for p in Pilot if p is not Pilot.UNKNOWN])
        if found is None:
            self.top.fail("[pilot]", "missing; add the register that tells the control-pilot state A to F")
        return found

    def offer(self, enable: Enable | None) -> Offer:
        section = self.top.section("offer")
        row, watts = self._current(section, "offer")
        most = row if watts is None else per_phase(watts, max(map(int, PHASES)))
        low, high = section.get("min", float, 6.0), self._fitting(section, most, "max")
        if not 6.0 <= low <= high <= 80.0:
            section.fail("max", f"is {high:g} with min {low:g}; expected 6 <= min <= max <= 80 ampere")
        pause = section.number("pause", -0x8000, 0xFFFF, 0) if section.has("pause") or enable is None else None
        readback = section.get("readback", bool, True)
        repeat_s = section.number("repeat_s", 1, 3600) if section.has("repeat_s") else None
        section.done()
        return Offer(row, low, high, pause, readback, repeat_s, watts)

    def enable(self) -> Enable | None:
        def read(section: Section) -> Enable:
            row = self._writable(section, "enable")
            on, off = (section.number(key, 0, 0xFFFF, value) for key, value in (("on", 1), ("off", 0)))
            if on == off:
                section.fail("off", f"is {off}, as on; expected the value that withholds power")
            return Enable(row, on, off, section.get("readback", bool, True))

        return self._one("enable", read)

    def choice(self, key: str, words: list[str] | None) -> Choice | None:
        if not self.top.has(key):
            return None
        section = self.top.section(key)
        row = self.defaults.row(section, key)
        found = Choice(row, self._values(section, words), _mask(section, row))
        section.done()
        return found

    def phases(self) -> Choice | None:
        if not self.top.has("phases"):
            return None
        section = self.top.section("phases")
        found = Choice(self._writable(section, "phases"), self._values(section, list(PHASES)))
        section.done()
        if sorted(found.words.values()) != list(PHASES):
            section.fail("values", 'expected one register value for "1" and one for "3"')
        return found

    def wake(self) -> Wake | None:
        def read(section: Section) -> Wake:
            row, value = self._write(section, "wake")
            back = section.number("back", -0x8000, 0xFFFF) if section.has("back") else None
            return Wake(row, value, back, section.number("pulse_s", 1, 60))

        return self._one("wake", read)

    def stop_button(self) -> StopRegisters | None:
        if not self.top.has("stop_button"):
            return None
        section = self.top.section("stop_button")
        kind = Choice(self.defaults.row(section, "stop_button"), self._values(section, list(StopButton)))
        if section.has("count") != section.has("seen"):
            missing, other = ("seen", "count") if section.has("count") else ("count", "seen")
            section.fail(missing, f"and {other} come together: presses so far, and presses taken note of")
        count, seen = (self._inner_row(section, key) if section.has(key) else None for key in ("count", "seen"))
        section.done()
        return StopRegisters(kind, count, seen)

    def faults(self) -> tuple[tuple[Fault, Flag], ...]:
        if not self.top.has("faults"):
            return ()
        table = self.top.section("faults")
        found: list[tuple[Fault, Flag]] = []
        for key in table.keys():  # noqa: SIM118
            if key not in tuple(Fault):
                table.fail(key, f"is not a fault; use one of {', '.join(Fault)}")
            found += [(Fault(key), self._flag(section, key)) for section in table.sections(key)]
        return tuple(found)

    def info(self) -> tuple[Row, ...]:
        return self._each("info", self.defaults.row)

    def init(self) -> tuple[Write, ...]:
        return self._each("init", self._write)

    def row(self, key: str, unit: str) -> Row | None:
        return self._one(key, lambda section: self.defaults.row(section, key, unit))

    def flag(self, key: str) -> Flag | None:
        if not self.top.has(key):
            return None
        return self._flag(self.top.section(key), key)

    def write(self, key: str) -> Write | None:
        return self._one(key, lambda section: self._write(section, key))

    def feed(self) -> Feed | None:
        def read(section: Section) -> Feed:
            every_s = section.number("every_s", 1, 3600) if section.has("every_s") else 0
            return Feed(*self._write(section, "feed"), every_s)

        return self._one("feed", read)

    def setting(self, key: str, value: str, unit: str) -> Setting | None:
        """A register and its value, or only the value when the device has it by itself."""

        def read(section: Section) -> Setting:
            if not section.has("at"):
                return Setting(None, section.get(value, float))
            row = self._current(section, key)[0] if unit == "A" else self._writable(section, key, unit)
            return Setting(row, self._fitting(section, row, value))

        return self._one(key, read)

    def _one(self, key: str, read: Callable[[Section], T]) -> T | None:
        if not self.top.has(key):
            return None
        section = self.top.section(key)
        found = read(section)
        section.done()
        return found

    def _each(self, key: str, read: Callable[[Section, str], T]) -> tuple[T, ...]:
        if not self.top.has(key):
            return ()
        table = self.top.section(key)
        found: list[T] = []
        for name in table.keys():  # noqa: SIM118
            section = table.section(name)
            found.append(read(section, name))
            section.done()
        return tuple(found)

    def _flag(self, section: Section, key: str) -> Flag:
        row = self.defaults.row(section, key)
        if section.get("any", bool, False):
            if section.has("values"):
                section.fail("values", "says which ones, and any = true that all but 0; one of them")
            found = Flag(row, (), _mask(section, row))
        else:
            if row.bit is None and row.type != "bit" and not section.has("values"):
                section.fail("values", "missing; add bit = N, or values = [..] that mean yes (any = true: all but 0)")
            found = Flag(row, section.numbers("values", [1]), _mask(section, row))
        section.done()
        return found

    def _write(self, section: Section, key: str) -> Write:
        row = self._writable(section, key)
        return Write(row, section.number("value", -0x8000, (1 << 16 * row.words) - 1))

    def _current(self, section: Section, key: str) -> tuple[Row, Row | None]:
        """A register for a current; or one for a power: as the current of a single phase, and as it is."""
        if not section.has("unit") or section.get("unit", str) not in UNITS["W"]:
            return self._writable(section, key, "A"), None
        watts = self._writable(section, key, "W")
        return per_phase(watts), watts

    def _writable(self, section: Section, key: str, unit: str = "") -> Row:
        row = self.defaults.row(section, key, unit, "holding")
        if row.table not in ("holding", "coil") or row.bit is not None or row.type == "string":
            section.fail("table", "cannot be written; expected a whole holding register or a coil")
        return row

    def _fitting(self, section: Section, row: Row, key: str) -> float:
        """A number in SI units that the register can hold."""
        value = section.get(key, float)
        try:
            encode(row, value)
        except ValueError:
            section.fail(key, f"is {value:g}, too much for a register of type {row.type} with this scale")
        return value

    def _inner_row(self, section: Section, key: str) -> Row:
        inner = section.section(key)
        row = self._writable(inner, key) if key == "seen" else self.defaults.row(inner, key)
        inner.done()
        return row

    def _values(self, section: Section, words: list[str] | None) -> dict[int, str]:
        table = section.section("values")
        found: dict[int, str] = {}
        for key in table.keys():  # noqa: SIM118
            word = table.get(key, str) if words is None else table.word(key, words)
            try:
                found[int(key, 0)] = word
            except ValueError:
                table.fail(key, 'is not a register value; expected an integer such as 1 = "A"')
        return found


def _mask(section: Section, row: Row) -> int:
    """Which bits of the register are meant."""
    return section.number("mask", 1, (1 << 16 * row.words) - 1) if section.has("mask") else ANY_MASK
