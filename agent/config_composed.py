"""[[io]] and a controller made of parts: [evse.controller] with driver = "composed" and its tables.

Keys, and what they mean together: boards that exist, channels that are used once. Which channels a board has is known
to its map: `agent.composing` looks there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from agent.config_keys import choice, number, path, several, text, whole
from agent.config_toml import Key, Table
from agent.core.record import record, replace
from agent.errors import ConfigError

if TYPE_CHECKING:
    from agent.config import Config, DeviceConfig

DRIVER = "composed"
IO_PILOT = "io-pilot"
BOARDS = ("mapped-io", "gpio")
ANY_UNIT = 255
LARGEST_RTU_UNIT = 247
OUTPUTS = (
    "output",
    "three_phase",
    "lock",
    "unlock",
    "enable",
    "interrupt",
    "fan",
)  # keys of channels that are switched
WORDS = (
    *("off", "starting", "available", "preparing", "charging", "suspendedev", "suspendedevse", "finishing"),
    *("reserved", "unavailable", "faulted", "accepted", "refused"),
)
_CHANNEL = re.compile(r"(!?)([A-Za-z0-9_-]{1,40})\.([0-9]{1,3})")


class ChannelName(NamedTuple):
    """As it is written: "relays.3", or "!relays.3" for on where the board says off."""

    board: str
    number: int
    inverted: bool

    def __str__(self) -> str:
        return f"{'!' * self.inverted}{self.board}.{self.number}"


def _channel_of(value: Any) -> ChannelName | None:
    found = _CHANNEL.fullmatch(value) if isinstance(value, str) else None
    return ChannelName(found[2], int(found[3]), bool(found[1])) if found else None


def _channels_of(value: Any) -> tuple[ChannelName, ...] | None:
    if not isinstance(value, list) or len(value) > 16:
        return None
    found = [_channel_of(item) for item in value]
    return None if None in found else tuple(channel for channel in found if channel)


def _channel(**default: Any) -> Key:
    return Key('a channel of an [[io]] such as "relays.3", or "!relays.3" for the reverse', _channel_of, **default)


def _is_line(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 999


_LINES = "a list of the chip's lines such as [17, 27], each once"
IO: Mapping[str, Key] = {
    "name": text(40, like='"relays"'),
    "driver": choice(BOARDS, "mapped-io"),
    "map": text(80, None, like='"icpdas_et7060"'),
    "bus": text(40, None, like='"rs485"'),
    "unit": whole(1, ANY_UNIT, None),
    "watchdog_s": number(0.5, 255, "seconds", None),
    "chip": path(None, like='"/dev/gpiochip0"'),
    "outputs": several(_LINES, _is_line, ()),
    "inputs": several(_LINES, _is_line, ()),
    "bias": choice(("as-is", "pull-up", "pull-down", "none"), "as-is"),
}
PILOT: Mapping[str, Key] = {
    "driver": text(80, "mapped-evse"),
    "map": text(80, None, like='"evse_wb"'),
    "bus": text(40, None, like='"rs485"'),
    "unit": whole(0, 255, None),
    "watchdog_s": number(1, 3600, "seconds", None),
    "failsafe_a": number(0, 1000, "amperes", None),
    "connected": _channel(default=None),
    "requesting": _channel(default=None),
    "failed": _channel(default=None),
    "enable": _channel(default=None),
    "current_a": number(6, 80, "amperes", None),
    "interrupt": _channel(default=None),
}
CONTACTOR: Mapping[str, Key] = {
    "output": _channel(),
    "mirror": _channel(default=None),
    "three_phase": _channel(default=None),
    "three_phase_mirror": _channel(default=None),
    "fan": _channel(default=None),
    "verify_ms": whole(50, 2000, 250),
    "min_open_s": number(1, 600, "seconds", 5.0),
    "after_fault_s": number(5, 3600, "seconds", 30.0),
    "force_off_s": number(3, 30, "seconds", 6.0),
}
GUARDS: Mapping[str, Key] = {key: _channel(default=None) for key in ("residual", "dc_residual", "emergency", "cover")}
LOCK: Mapping[str, Key] = {
    "lock": _channel(),
    "unlock": _channel(default=None),
    "locked": _channel(default=None),
    "pulse_ms": whole(20, 5000, 500),
}
CABLE: Mapping[str, Key] = {
    "volts": _channel(),
    "pull_up_ohm": number(10, 100_000, "ohm", 330.0),
    "supply_v": number(1, 24, "volts", 5.0),
}
LIGHTS: Mapping[str, Key] = {word: Key('a list of channels such as ["relays.5"]', _channels_of, None) for word in WORDS}
TABLES: Mapping[str, Mapping[str, Key]] = {
    "pilot": PILOT,
    "contactor": CONTACTOR,
    "guards": GUARDS,
    "lock": LOCK,
    "cable": CABLE,
    "lights": LIGHTS,
}


@record
class IoConfig:
    """A board with relays and inputs."""

    name: str
    driver: str
    map: str | None
    bus: str | None
    unit: int | None
    watchdog_s: float | None  # None: as the map says
    chip: str | None
    outputs: tuple[int, ...]
    inputs: tuple[int, ...]
    bias: str


@record
class ComposedConfig:
    """What a controller is made of: the values of each table, None where there is no such table."""

    pilot: Mapping[str, Any]
    contactor: Mapping[str, Any]
    guards: Mapping[str, Any] | None = None
    lock: Mapping[str, Any] | None = None
    cable: Mapping[str, Any] | None = None
    lights: Mapping[str, Any] | None = None

    def channels(self) -> Iterator[tuple[str, str, ChannelName]]:
        """Table, key and channel of each that is used."""
        for name in TABLES:
            for key, value in (getattr(self, name) or {}).items():
                for channel in value if isinstance(value, tuple) and name == "lights" else (value,):
                    if isinstance(channel, ChannelName):
                        yield name, key, channel


def take_parts(table: Table, device: DeviceConfig) -> DeviceConfig:
    """The device with what it is made of; ConfigError when the tables and the driver do not fit."""
    given = [name for name in TABLES if name in table.data]
    if device.driver != DRIVER:
        if given:
            raise ConfigError(table.file, f"{table.name}.{given[0]}", "", f"belongs to the driver {DRIVER} only")
        return device
    for name in ("pilot", "contactor"):
        if name not in given:
            table.fail(name, f"missing; the driver {DRIVER} needs a table [evse.controller.{name}]")
    for key in ("map", "bus", "unit", "watchdog_s", "failsafe_a", "options"):
        if key in table.data:
            table.fail(key, f"belongs to a part of the driver {DRIVER}, such as [evse.controller.pilot]; move it there")
    values = {name: table.table(name).values(TABLES[name]) for name in given}
    _check_pilot(table.table("pilot"), values["pilot"])
    return replace(device, composed=ComposedConfig(**values))


def _check_pilot(table: Table, values: Mapping[str, Any]) -> None:
    of_io = ("connected", "requesting", "enable", "current_a")
    is_io = values["driver"] == IO_PILOT
    for key in of_io if is_io else ():
        if values[key] is None:
            table.fail(key, f"missing; the driver {IO_PILOT} needs it")
    for key in ("map", "bus", "unit", "watchdog_s", "failsafe_a") if is_io else (*of_io, "failed"):
        if key in table.data:
            table.fail(key, f"{'has no meaning for' if is_io else 'belongs to'} the driver {IO_PILOT}")


def pilot_of(device: DeviceConfig) -> DeviceConfig:
    """The pilot of a controller made of parts, as a device of its own."""
    assert device.composed is not None
    keys = ("driver", "map", "bus", "unit", "watchdog_s", "failsafe_a")
    return replace(device, composed=None, **{key: device.composed.pilot[key] for key in keys})


# --- what must hold between the tables --------------------------------------------------------------------------


def check_boards(config: Config, top: Table, evses: Mapping[int, Table], units: Mapping[tuple[str, int], str]) -> None:
    """ConfigError for the first board or channel that cannot work. `units`: who has which unit on which bus."""
    tables = top.tables("io")
    taken = dict(units)
    for board, table in zip(config.ios, tables, strict=True):
        table.name = f"io.{board.name}"
        _check_board(config, board, table)
        if board.bus is not None and board.unit is not None:
            owner = taken.setdefault((board.bus, board.unit), f"the board {board.name}")
            if owner != f"the board {board.name}":
                table.fail("unit", f'unit {board.unit} on bus "{board.bus}" is already {owner}')
    _check_any_unit(config, tables, taken)
    _check_channels(config, evses)


def _check_board(config: Config, board: IoConfig, table: Table) -> None:
    mapped = board.driver == "mapped-io"
    for key in ("map", "bus", "unit") if mapped else ("chip",):
        if getattr(board, key) is None:
            table.fail(key, f"missing; the driver {board.driver} needs it")
    for key in ("chip", "outputs", "inputs", "bias") if mapped else ("map", "bus", "unit", "watchdog_s"):
        if key in table.data:
            table.fail(key, f"has no meaning for the driver {board.driver}; remove it")
    if both := sorted(set(board.outputs) & set(board.inputs)):
        table.fail("inputs", f"line {both[0]} is an output already")
    buses = {bus.name: bus for bus in config.buses}
    if board.bus is not None and board.bus not in buses:
        table.fail("bus", f'no bus named "{board.bus}"; defined are {", ".join(buses) or "none"}')
    if mapped and buses[str(board.bus)].port and LARGEST_RTU_UNIT < (board.unit or 0) < ANY_UNIT:
        table.fail("unit", f"expected 1 to {LARGEST_RTU_UNIT} on a serial line, or {ANY_UNIT} for a board alone on it")


def _check_any_unit(config: Config, tables: Sequence[Table], taken: Mapping[tuple[str, int], str]) -> None:
    """Boards that are called 255 may answer for every unit."""
    serial = {bus.name for bus in config.buses if bus.port}
    for board, table in zip(config.ios, tables, strict=True):
        others = [owner for (bus, unit), owner in taken.items() if bus == board.bus and unit != board.unit]
        if board.unit == ANY_UNIT and board.bus in serial and others:
            table.fail("unit", f"{ANY_UNIT} may answer for any unit, but {others[0]} is on the same bus; readdress it")


def _check_channels(config: Config, evses: Mapping[int, Table]) -> None:
    names = [board.name for board in config.ios]
    owners: dict[tuple[str, int], str] = {}
    for evse in config.evses:
        if evse.controller.composed is None:
            continue
        controller = evses[evse.id].table("controller")
        for name, key, channel in evse.controller.composed.channels():
            table = controller.table(name)
            if channel.board not in names:
                table.fail(key, f'no [[io]] named "{channel.board}"; defined are {", ".join(names) or "none"}')
            if key in OUTPUTS:
                owner = owners.setdefault((channel.board, channel.number), f"[{table.name}] {key}")
                if owner != f"[{table.name}] {key}":
                    table.fail(key, f"{channel} is already used by {owner}")


def odd_parts(config: Config, evses: Mapping[int, Table]) -> Iterator[str]:
    """What works, but not as safely as it could."""
    for evse in config.evses:
        composed = evse.controller.composed
        if composed is None:
            continue
        controller = evses[evse.id].table("controller")
        if composed.pilot["driver"] == IO_PILOT and composed.pilot["failed"] is None:
            text = "warning: none; an error of the pilot looks like a car that has left, and ends its charge"
            yield str(controller.table("pilot").error("failed", text))
        if composed.contactor["mirror"] is None:
            text = "warning: without a mirror contact nobody sees that the contactor is welded"
            yield str(controller.table("contactor").error("mirror", text))
        if composed.guards is None or composed.guards["residual"] is None:
            text = "warning: none; a tripped residual-current device is not told to the CSMS"
            yield str(controller.table("guards").error("residual", text))
        if composed.lock is None and evse.cable == "socket":
            yield str(controller.error("lock", "warning: a socket without a lock; a plug can be pulled under load"))
