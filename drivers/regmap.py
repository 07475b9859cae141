"""Register maps: a device described in TOML becomes frozen rows that drivers read and the simulated hardware serves.

`load_meter(name)` and `load_evse(name)` find `meter/NAME.toml` or `evse/NAME.toml`, first in the folders given (a
manufacturer's own, such as /etc/chargepoint/maps), then among the maps shipped here, check everything, and return a
`MeterMap` or `EvseMap`. Rows are turned into values and back by `registers.decode` and `registers.encode`.

Rules kept: all checks at load, each a `MapError` of one line; measurands and phases are OCPP's own words; a unit must
measure its measurand; values in SI units; the format gets a new word only when two devices need it (README.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tomli

from drivers.api import UNIT, Fault, Measurand, Phase, Pilot, StopButton
from drivers.mapfile import MapError, Section
from drivers.maprows import Defaults, device
from drivers.mapwords import (
    Choice,
    Device,
    EvseMap,
    Flag,
    MeterMap,
    MeterRow,
    Offer,
    Setting,
    StopRegisters,
    Write,
)
from drivers.registers import Read, Row, encode, plan

SHIPPED = Path(__file__).parent / "maps"
MAX_FILE_BYTES = 256 * 1024
MAX_ROWS = 512

T = TypeVar("T")
ENERGY = Measurand.ENERGY_ACTIVE_IMPORT_REGISTER.value


def load_meter(name: str, folders: Sequence[Path] = ()) -> MeterMap:
    """The meter map of that name; MapError when there is none or it is wrong."""
    return parse_meter(*_read_toml("meter", name, folders))


def load_evse(name: str, folders: Sequence[Path] = ()) -> EvseMap:
    """The EVSE map of that name; MapError when there is none or it is wrong."""
    return parse_evse(*_read_toml("evse", name, folders))


def map_names(kind: str, folders: Sequence[Path] = ()) -> list[str]:
    """All maps of a kind ("meter" or "evse") that can be loaded by name."""
    found = {path.stem for folder in (*folders, SHIPPED) for path in (folder / kind).glob("*.toml")}
    return sorted(found)


def parse_meter(file: str, data: dict[str, Any]) -> MeterMap:
    """A parsed TOML document as a meter map."""
    top = Section(file, "", data)
    found, defaults = device(top), Defaults(top)
    slow_every = top.number("slow_every", 1, 3600, 10)
    registers = top.section("registers")
    rows, slow = _meter_rows(registers, defaults)
    top.done()
    if ENERGY not in {r.row.key for r in rows if r.row not in slow}:
        registers.fail(f'"{ENERGY}"', "missing or slow; a charging session is billed by it, so each poll must read it")
    fast = [row for r in rows for row in (r.row, *r.plus) if r.row not in slow]
    late = [row for r in rows for row in (r.row, *r.plus) if r.row in slow]
    return MeterMap(found, rows, _plan(found, fast), _plan(found, late), slow_every)


def _plan(of: Device, rows: Sequence[Row]) -> tuple[Read, ...]:
    return plan(rows, of.max_words, of.max_gap)


def _meter_rows(registers: Section, defaults: Defaults) -> tuple[tuple[MeterRow, ...], list[Row]]:
    rows: list[MeterRow] = []
    slow: list[Row] = []
    if len(registers.keys()) > MAX_ROWS:
        registers.fail("", f"has {len(registers.keys())} rows; the limit is {MAX_ROWS}")
    for key in registers.keys():  # noqa: SIM118  (a Section is no dict)
        measurand, phase = _measurand(registers, key)
        section = registers.section(key)
        row = defaults.row(section, key, UNIT[measurand])
        if row.type == "string":
            section.fail("type", "is 'string'; a measured value is a number")
        if section.get("slow", bool, False):
            slow.append(row)
        plus = tuple(_addend(section, row, at) for at in section.numbers("plus", []))
        section.done()
        rows.append(MeterRow(row, measurand, phase, plus))
    return tuple(rows), slow


def _addend(section: Section, row: Row, at: int) -> Row:
    if not 0 <= at <= 0x10000 - row.words or at == row.at:
        section.fail("plus", f"holds {at}; expected addresses of other registers, 0..{0x10000 - row.words}")
    return row._replace(key=f"{row.key} + {at}", at=at)


def _measurand(registers: Section, key: str) -> tuple[Measurand, Phase | None]:
    name, _, phase = key.partition("@")
    if name not in tuple(Measurand):
        registers.fail(f'"{key}"', f"{name!r} is not a measurand of OCPP; for example {ENERGY}")
    if "@" in key and phase not in tuple(Phase):
        registers.fail(f'"{key}"', f"{phase!r} is not a phase; use one of {', '.join(Phase)}")
    return Measurand(name), Phase(phase) if phase else None


def parse_evse(file: str, data: dict[str, Any]) -> EvseMap:
    """A parsed TOML document as an EVSE map."""
    top = Section(file, "", data)
    found, defaults = device(top), Defaults(top)
    evse = _EvseParts(top, defaults)
    pilot, offer = evse.pilot(), evse.offer()
    contactor, cable, lock = evse.flag("contactor"), evse.row("cable", "A"), evse.flag("lock")
    stop, faults, info = evse.stop_button(), evse.faults(), evse.info()
    unlock = evse.write("unlock")
    if unlock and not lock:
        top.fail("[unlock]", "needs [lock] too, or nobody can tell whether the connector is open afterwards")
    reads = [pilot.row, *(flag.row for _, flag in faults), *info, *([offer.row] if offer.readback else ())]
    reads += [flag.row for flag in (contactor, lock) if flag] + [row for row in (cable,) if row]
    reads += [row for row in (stop.kind.row, stop.count, stop.seen) if row] if stop else []
    result = EvseMap(
        device=found, pilot=pilot, contactor=contactor, cable=cable, offer=offer, faults=faults, lock=lock,
        watchdog=evse.setting("watchdog", "timeout_s", "s"), failsafe=evse.setting("failsafe", "current_a", "A"),
        init=evse.init(), feed=evse.write("feed"), unlock=unlock, stop_button=stop,
        led=evse.choice("led", None), info=info, reads=_plan(found, reads),
    )  # fmt: skip
    top.done()
    return result


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

    def offer(self) -> Offer:
        section = self.top.section("offer")
        row = self._writable(section, "offer", "A")
        low, high = section.get("min", float, 6.0), self._fitting(section, row, "max")
        if not 6.0 <= low <= high <= 80.0:
            section.fail("max", f"is {high:g} with min {low:g}; expected 6 <= min <= max <= 80 ampere")
        pause, readback = section.number("pause", -0x8000, 0xFFFF, 0), section.get("readback", bool, True)
        section.done()
        return Offer(row, low, high, pause, readback)

    def choice(self, key: str, words: list[str] | None) -> Choice | None:
        if not self.top.has(key):
            return None
        section = self.top.section(key)
        row = self.defaults.row(section, key)
        found = self._values(section, words)
        section.done()
        return Choice(row, found)

    def stop_button(self) -> StopRegisters | None:
        if not self.top.has("stop_button"):
            return None
        section = self.top.section("stop_button")
        kind = Choice(self.defaults.row(section, "stop_button"), self._values(section, list(StopButton)))
        if section.has("count") != section.has("seen"):
            section.fail("count", "and seen come together: presses so far, and presses taken note of")
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

    def setting(self, key: str, value: str, unit: str) -> Setting | None:
        def read(section: Section) -> Setting:
            row = self._writable(section, key, unit)
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
        if row.bit is None and row.type != "bit" and not section.has("values"):
            section.fail("values", "missing; add bit = N, or values = [..] that mean yes")
        values = section.numbers("values", [1])
        section.done()
        return Flag(row, values)

    def _write(self, section: Section, key: str) -> Write:
        row = self._writable(section, key)
        return Write(row, section.number("value", -0x8000, (1 << 16 * row.words) - 1))

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


def _read_toml(kind: str, name: str, folders: Sequence[Path]) -> tuple[str, dict[str, Any]]:
    if not name or not all(c.isalnum() or c in "_-" for c in name):
        raise MapError(f"map {name!r}: a map's name has letters, digits, _ and - only")
    for folder in (*folders, SHIPPED):
        path = folder / kind / f"{name}.toml"
        if path.is_file():
            return str(path), _parse(path)
    raise MapError(f"no {kind} map {name!r}; {_known(name, map_names(kind, folders))}")


def _known(name: str, names: list[str]) -> str:
    """The names that may be meant, or all of them: the shelf is long."""
    from difflib import get_close_matches

    near = [known for known in names if name in known] or get_close_matches(name, names)
    return f"near it are {', '.join(near)}" if near else f"known are {', '.join(names) or 'none'}"


def _parse(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise MapError(f"{path}: is larger than {MAX_FILE_BYTES} bytes; a map is a small text")
        return tomli.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomli.TOMLDecodeError) as error:
        raise MapError(f"{path}: cannot be read: {error}") from None
