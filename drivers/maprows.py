"""What all register maps say alike: the words for the whole file, and one register with its type, order and scale.

Rules kept: all checks at load, each a `MapError` of one line; a unit must measure what it stands for, and values are in
SI units; what the file says once (table, type, order, sentinels) holds for each row that does not say otherwise.
"""

from __future__ import annotations

from pathlib import Path

from drivers.mapfile import Section
from drivers.mapwords import Device, Expected, Serial, Tcp
from drivers.registers import BIT_TABLES, TABLES, TYPES, Row, factor

# SI unit -> the units a map may name for it, and what one of them is in SI.
UNITS: dict[str, dict[str, float]] = {
    "A": {"A": 1, "mA": 0.001},
    "Wh": {"Wh": 1, "kWh": 1000, "MWh": 1e6},
    "varh": {"varh": 1, "kvarh": 1000, "Mvarh": 1e6},
    "Hz": {"Hz": 1},
    "W": {"W": 1, "kW": 1000},
    "": {"": 1},
    "var": {"var": 1, "kvar": 1000},
    "RPM": {"RPM": 1},
    "Percent": {"Percent": 1},
    "Celsius": {"Celsius": 1},
    "V": {"V": 1, "mV": 0.001, "kV": 1000},
    "s": {"s": 1, "ms": 0.001},
}
ORDERS = ("big", "little")
SMALLEST = 1e-12  # of a scale; its inverse is the largest


class Defaults:
    """What a file says once for all its rows."""

    def __init__(self, top: Section) -> None:
        self.table = top.word("table", TABLES, "holding")
        self.type = top.word("type", TYPES, "uint16")
        self.order = top.word("order", ORDERS, "big")
        self.verified = is_verified(top)
        self.absent = _absent_by_type(top)

    def row(self, section: Section, key: str, unit: str = "", table: str | None = None) -> Row:
        """The register of one table; leaves keys that belong to its owner (`values`, `expect`, ...) alone."""
        table = section.word("table", TABLES, table or self.table)
        kind = section.word("type", TYPES, "bit" if table in BIT_TABLES else self.type)
        if (kind == "bit") != (table in BIT_TABLES):
            section.fail("type", f"{kind!r} cannot be read from table {table!r}; coils and discrete inputs are 'bit'")
        words = section.number("words", 1, 64) if kind == "string" else TYPES[kind][0]
        at = section.number("at", 0, 0x10000 - words)
        bit = section.number("bit", 0, 15) if section.has("bit") else None
        if bit is not None and kind not in ("uint16", "int16"):
            section.fail("bit", f'needs a register of one word; add type = "uint16" (now {kind})')
        multiply, divide = factor(_scale(section, unit))
        absent = section.numbers("absent", self.absent.get(kind, []) if bit is None else [])
        patterns = tuple(value & (1 << 16 * words) - 1 for value in absent)
        little = section.word("order", ORDERS, self.order) == "little"
        verified = is_verified(section) and self.verified
        kind = "uint16" if bit is not None else kind
        return Row(key, table, at, kind, words, little, multiply, divide, patterns, bit, verified)


def is_verified(section: Section) -> bool:
    """Whether what a table says was taken from a source, and not from somebody's memory."""
    return section.word("confidence", ("verified", "unverified"), "verified") == "verified"


def _absent_by_type(top: Section) -> dict[str, list[int]]:
    if not top.has("absent"):
        return {}
    table = top.section("absent")
    for kind in table.keys():  # noqa: SIM118  (a Section is no dict)
        if kind not in TYPES or kind in ("bit", "string"):
            table.fail(kind, "is not a type that has sentinels; for example int32 = [0x7FFFFFFF]")
    return {kind: list(table.numbers(kind)) for kind in table.keys()}  # noqa: SIM118


def _scale(section: Section, unit: str) -> float:
    scale = section.get("scale", float, 1.0)
    if not SMALLEST <= abs(scale) <= 1 / SMALLEST:
        section.fail("scale", f"is {scale:g}; expected what one step of the register is worth, such as 0.1")
    known = UNITS[unit]
    return scale * known[section.word("unit", known, unit)]


def device(top: Section) -> Device:
    """What a file says of its device."""
    name = Path(top.file).stem
    vendor, model, source = (_said(top, key) for key in ("vendor", "model", "source"))
    pause_s = top.number("pause_ms", 0, 1000, 0) / 1000
    max_words, max_gap = top.number("max_words", 1, 125, 60), top.number("max_gap", 0, 125, 8)
    write = top.number("write", 6, 16, 6)
    if write not in (6, 16):
        top.fail("write", f"is {write}; expected 6 (one register) or 16 (several)")
    identify = _identify(top) if top.has("identify") else ()
    verified, serial, tcp = is_verified(top), _serial(top), _tcp(top)
    return Device(name, vendor, model, source, verified, pause_s, max_words, max_gap, write, identify, serial, tcp)


def _said(top: Section, key: str) -> str:
    text = top.get(key, str)
    if not text.strip():
        top.fail(key, "is empty; say " + ("where the numbers come from" if key == "source" else "what it is called"))
    return text


def _serial(top: Section) -> Serial | None:
    if not top.has("serial"):
        return None
    table = top.section("serial")
    baud, parity = table.number("baud", 300, 1_000_000), table.word("parity", ("N", "E", "O"), "N")
    stop_bits, unit = table.number("stop_bits", 1, 2, 1), table.number("unit", 1, 247, 1)
    framing = table.word("framing", ("rtu", "ascii"), "rtu")
    found = Serial(baud, parity, stop_bits, unit, is_verified(table), framing)
    table.done()
    return found


def _tcp(top: Section) -> Tcp | None:
    if not top.has("tcp"):
        return None
    table = top.section("tcp")
    found = Tcp(table.number("port", 1, 65535, 502), table.number("unit", 0, 255, 1), is_verified(table))
    table.done()
    return found


def _identify(top: Section) -> tuple[Expected, ...]:
    table, defaults, found = top.section("identify"), Defaults(top), []
    for key in table.keys():  # noqa: SIM118
        section = table.section(key)
        row = defaults.row(section, key)
        if row.type == "string":
            found.append(Expected(row, (), section.texts("expect", [])))
        else:
            found.append(Expected(row, section.numbers("expect", [])))
        section.done()
    return tuple(found)
