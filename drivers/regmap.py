"""Register maps: a device described in TOML becomes frozen rows that drivers read and the simulated hardware serves.

`load_meter(name)` and `load_evse(name)` find `meter/NAME.toml` or `evse/NAME.toml`, first in the folders given (a
manufacturer's own, such as /etc/chargepoint/maps), then among the maps shipped here, check everything, and return a
`MeterMap` or `EvseMap` (that half is `evsemap`). Rows are turned into values and back by `registers.decode` and
`registers.encode`.

Rules kept: all checks at load, each a `MapError` of one line; measurands and phases are OCPP's own words; a unit must
measure its measurand; values in SI units; the format gets a new word only when two devices need it (README.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli

from drivers.api import UNIT, Measurand, Phase
from drivers.evsemap import parse_evse as parse_evse
from drivers.mapfile import MapError, Section
from drivers.maprows import Defaults, device
from drivers.mapwords import Device, EvseMap, MeterMap, MeterRow
from drivers.registers import Read, Row, plan

SHIPPED = Path(__file__).parent / "maps"
MAX_FILE_BYTES = 256 * 1024
MAX_ROWS = 512

ENERGY = Measurand.ENERGY_ACTIVE_IMPORT_REGISTER.value


def load_meter(name: str, folders: Sequence[Path] = ()) -> MeterMap:
    """The meter map of that name; MapError when there is none or it is wrong."""
    return parse_meter(*_read_toml("meter", name, folders))


def load_evse(name: str, folders: Sequence[Path] = (), connector: int = 1) -> EvseMap:
    """The EVSE map of that name, for one of its connectors; MapError when there is none or it is wrong."""
    return parse_evse(*_read_toml("evse", name, folders), connector)


def evse_of(driver: str) -> EvseMap:
    """The map that a controller's driver in Python holds (`registry.IN_PYTHON`)."""
    from importlib import import_module

    from drivers.registry import IN_PYTHON

    return parse_evse(f"{driver}.toml", tomli.loads(import_module(IN_PYTHON[driver]).MAP))


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
        registers.fail(f'"{key}"', f"{name!r} is not a measurand of OCPP; {_near(name, list(Measurand))}")
    if "@" in key and phase not in tuple(Phase):
        registers.fail(f'"{key}"', f"{phase!r} is not a phase; use one of {', '.join(Phase)}")
    return Measurand(name), Phase(phase) if phase else None


def _read_toml(kind: str, name: str, folders: Sequence[Path]) -> tuple[str, dict[str, Any]]:
    if not name or not all(c.isalnum() or c in "_-" for c in name):
        raise MapError(f"map {name!r}: a map's name has letters, digits, _ and - only")
    for folder in (*folders, SHIPPED):
        path = folder / kind / f"{name}.toml"
        if path.is_file():
            return str(path), _parse(path)
    raise MapError(f"no {kind} map {name!r}; {_known(name, map_names(kind, folders))}")


def _near(name: str, words: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, words, 1)
    return f"did you mean {near[0]}?" if near else f"for example {ENERGY}"


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
