"""The map of an IO board: a TOML file in maps/io/ becomes an `IoMap`. The words are in the README of this folder.

Rules kept: as for all maps, every check at load and each mistake one line; a word only where two boards need it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from drivers.mapfile import Section
from drivers.maprows import Defaults, device
from drivers.mapwords import Device, Write
from drivers.registers import Row
from drivers.regmap import _read_toml

MAX_CHANNELS = 64


class Outputs(NamedTuple):
    """`on`, `off` and `hold` are register values; None: coils. `hold` plus seconds switches on for so long."""

    row: Row  # of the first one
    numbers: range
    readback: int
    on: int | None = None
    off: int | None = None
    hold: int | None = None


class Inputs(NamedTuple):
    row: Row
    numbers: range


class Safe(NamedTuple):
    """What the outputs become when the host is lost, a coil for each output; `save` is a coil that keeps them."""

    at: int
    save: int | None


class Watchdog(NamedTuple):
    row: Row
    timeout_s: float


class IoMap(NamedTuple):
    device: Device
    outputs: Outputs | None
    inputs: Inputs | None
    analog: Inputs | None
    init: tuple[Write, ...]
    settings: tuple[Write, ...]
    safe: Safe | None
    watchdog: Watchdog | None
    start: tuple[Write, ...]

    @property
    def guarded(self) -> bool:
        return self.watchdog is not None or (self.outputs is not None and self.outputs.hold is not None)

    @property
    def verified(self) -> bool:
        """Whether all its registers were read in a source."""
        parts = [part.row for part in (self.outputs, self.inputs, self.analog, self.watchdog) if part is not None]
        parts += [write.row for write in (*self.init, *self.settings, *self.start)]
        return self.device.verified and all(row.verified for row in parts)


def load_io(name: str, folders: Sequence[Path] = ()) -> IoMap:
    """The IO map of that name; MapError when there is none or it is wrong."""
    return parse_io(*_read_toml("io", name, folders))


def parse_io(file: str, data: dict[str, Any]) -> IoMap:
    """A parsed TOML document as an IO map."""
    top = Section(file, "", data)
    found, defaults = device(top), Defaults(top)
    outputs, inputs = _outputs(top, defaults), _inputs(top, defaults, "inputs", ("discrete", "coil"))
    analog = _inputs(top, defaults, "analog", ("input", "holding"))
    if outputs is None and inputs is None:
        top.fail("[outputs]", "missing; a board has [outputs] or [inputs] or both")
    safe, watchdog = _safe(top, outputs), _watchdog(top, defaults)
    init, settings, start = (_writes(top, defaults, key) for key in ("init", "settings", "start"))
    if (safe or start) and not watchdog:
        top.fail("[watchdog]", "missing; [safe] and [start] have no meaning without it")
    top.done()
    return IoMap(found, outputs, inputs, analog, init, settings, safe, watchdog, start)


def _outputs(top: Section, defaults: Defaults) -> Outputs | None:
    if not top.has("outputs"):
        return None
    section = top.section("outputs")
    row = defaults.row(section, "outputs", "", "coil")
    if row.table not in ("coil", "holding"):
        section.fail("table", 'cannot be written; expected "coil" or "holding"')
    numbers = _numbers(section, row)
    words = [section.number(key, 0, 0xFFFF) if section.has(key) else None for key in ("on", "off", "hold")]
    readback = section.number("readback", 0, 0xFFFF, row.at)
    section.done()
    if (row.table == "holding") != (None not in words[:2]):
        key, other = ("off", "on") if words[0] is not None and words[1] is None else ("on", "off")
        section.fail(key, f"and {other} are the values of a holding register; a coil has none")
    return Outputs(row, numbers, readback, *words)


def _inputs(top: Section, defaults: Defaults, key: str, tables: tuple[str, ...]) -> Inputs | None:
    if not top.has(key):
        return None
    section = top.section(key)
    row = defaults.row(section, key, "V" if key == "analog" else "", tables[0])
    if row.table not in tables or row.words != 1:
        section.fail("table", f"expected {' or '.join(tables)}, one word for each")
    numbers = _numbers(section, row)
    section.done()
    return Inputs(row, numbers)


def _numbers(section: Section, row: Row) -> range:
    first, count = section.number("first", 0, 1, 1), section.number("count", 1, MAX_CHANNELS)
    if row.at + count > 0x10000:
        section.fail("count", f"is {count}, more than there are addresses from {row.at}")
    return range(first, first + count)


def _safe(top: Section, outputs: Outputs | None) -> Safe | None:
    if not top.has("safe"):
        return None
    section = top.section("safe")
    if outputs is None:
        section.fail("at", "is for outputs, and there are none")
    found = Safe(section.number("at", 0, 0xFFFF), section.number("save", 0, 0xFFFF) if section.has("save") else None)
    section.done()
    return found


def _watchdog(top: Section, defaults: Defaults) -> Watchdog | None:
    if not top.has("watchdog"):
        return None
    section = top.section("watchdog")
    row = defaults.row(section, "watchdog", "s", "holding")
    found = Watchdog(row, section.get("timeout_s", float))
    section.done()
    return found


def _writes(top: Section, defaults: Defaults, key: str) -> tuple[Write, ...]:
    if not top.has(key):
        return ()
    table, found = top.section(key), []
    for name in table.keys():  # noqa: SIM118  (a Section is no dict)
        section = table.section(name)
        row = defaults.row(section, name, "", "holding")
        if row.table not in ("holding", "coil") or row.words != 1 or row.bit is not None:
            section.fail("table", "cannot be written; expected one holding register or a coil")
        found.append(Write(row, section.number("value", 0, 0xFFFF)))
        section.done()
    return tuple(found)
