"""Maps by name or by file: the shelf as a list, and one map loaded.

A map is called by its name on the shelf ("eastron_sdm630"), or by a file: whatever has a "/" in it or ends in ".toml".
Rule kept: a map that is broken does not hide the others; it is listed with its mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tomli

from drivers.io.iomap import IoMap as IoMap
from drivers.io.iomap import load_io, parse_io
from drivers.mapfile import MapError
from drivers.mapwords import Device, EvseMap, MeterMap
from drivers.record import as_dict
from drivers.registers import Row
from drivers.registry import IN_PYTHON as IN_PYTHON
from drivers.regmap import SHIPPED, evse_of, load_evse, load_meter, map_names, parse_evse, parse_meter

OWN = Path("/etc/chargepoint/maps")
Map = MeterMap | EvseMap
LOAD: Mapping[str, Callable[[str, Sequence[Path]], Map | IoMap]] = {
    "meter": load_meter,
    "evse": load_evse,
    "io": load_io,
}
# Tables that maps of one kind only have.
TABLES = {"registers": "meter", "pilot": "evse", "offer": "evse", "outputs": "io", "inputs": "io"}


class Entry(NamedTuple):
    """One map of the shelf; `map` None: it is broken, and `why` says how."""

    kind: str
    name: str
    file: str
    map: Map | IoMap | None
    why: str = ""

    @property
    def unverified(self) -> tuple[str, ...]:
        """Keys of the registers that nobody has seen in a source."""
        return tuple(dict.fromkeys(row.key for row in rows(self.map) if not row.verified))


def entries(folders: Sequence[Path] = ()) -> list[Entry]:
    """All maps, kind by kind, in the order of their names."""
    return [_entry(kind, name, folders) for kind in LOAD for name in map_names(kind, folders)]


def _entry(kind: str, name: str, folders: Sequence[Path]) -> Entry:
    file = str(next(p for f in (*folders, SHIPPED) if (p := f / kind / f"{name}.toml").is_file()))
    try:
        return Entry(kind, name, file, LOAD[kind](name, folders))
    except MapError as error:
        return Entry(kind, name, file, None, str(error))


def in_python() -> list[Entry]:
    """Drivers in Python that hold a map, by the names of the drivers."""
    return [Entry("driver", name, module, evse(name)) for name, module in IN_PYTHON.items()]


def is_file(text: str) -> bool:
    return "/" in text or text.endswith(".toml")


def meter(text: str, folders: Sequence[Path] = ()) -> MeterMap:
    """A meter map by name or file; MapError."""
    return parse_meter(text, _read(text)) if is_file(text) else load_meter(text, folders)


def evse(text: str, folders: Sequence[Path] = (), connector: int = 1) -> EvseMap:
    """A controller map by name or file, or that of a driver in Python by the driver's name; MapError."""
    if text in IN_PYTHON:
        return evse_of(text)
    return parse_evse(text, _read(text), connector) if is_file(text) else load_evse(text, folders, connector)


def any_map(text: str, folders: Sequence[Path] = ()) -> Map | IoMap:
    """A map of whichever kind; MapError."""
    kind = kind_of(text, _read(text)) if is_file(text) else _kind_by_name(text, folders)
    if kind == "io":
        return parse_io(text, _read(text)) if is_file(text) else load_io(text, folders)
    return meter(text, folders) if kind == "meter" else evse(text, folders)


def kind_of(file: str, data: dict[str, Any]) -> str:
    """What a document describes, by its tables, else by its folder."""
    told = (kind for table, kind in TABLES.items() if table in data)
    folder = Path(file).absolute().parent.name
    return next(told, folder if folder in LOAD else "meter")


def _kind_by_name(name: str, folders: Sequence[Path]) -> str:
    named = (kind for kind in LOAD if name in map_names(kind, folders))
    return next(named, "evse" if name in IN_PYTHON else "meter")


def _read(file: str) -> dict[str, Any]:
    try:
        return tomli.loads(Path(file).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomli.TOMLDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise MapError(f"{file}: cannot be read: {why}") from None


def rows(part: Any) -> Iterator[Row]:
    """Every register that a map knows."""
    if isinstance(part, Row):
        yield part
    elif isinstance(part, tuple):
        for inner in part:
            yield from rows(inner)
    elif hasattr(part, "_fields"):
        yield from rows(tuple(as_dict(part).values()))


def title(device: Device) -> str:
    return f"{device.vendor} {device.model}"
