"""What must hold between the tables of a configuration: buses, units, EVSE numbers, drivers, maps, ports, times.

Each rule is one function that raises the first `ConfigError` it finds; `check_station` returns warnings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config_composed import ANY_UNIT, BOARDS, DRIVER, IO_PILOT, check_boards, odd_parts, pilot_of
from agent.config_toml import Table, hint, show
from agent.errors import ConfigError
from drivers.api import DriverError

if TYPE_CHECKING:
    from agent.config import BusConfig, Config, DeviceConfig, EvseConfig, ReaderConfig

MAPPED = {"mapped-evse": "evse", "mapped-meter": "meter"}  # driver -> the kind of its maps
SIGNING = ("em580", "wm3m4")  # meters with drivers of their own
ON_BUS = (*SIGNING, "innogy-ebox", "edgetech-smartevse", "etek", "smartevse")
NODES, ALL_NODES = range(2, 9), 9  # units of SmartEVSE nodes, and the one that all of them hear
ROLE = {"controller": "mapped-evse", "meter": "mapped-meter"}
READERS: Mapping[str, tuple[str, ...]] = {  # our readers, each with the keys that not all of them have
    "rdm6300": ("form",),
    "ascii-line": ("pattern",),
    "wiegand": ("form", "bits"),
    "pn532": (),
    "sl025": (),
    "acs": (),
}
FORMS = {"rdm6300": ("hex10", "hex8", "decimal10"), "wiegand": ("hex", "decimal", "facility")}
LARGEST_RTU_UNIT = 247
BORN_255 = ("etek",)  # until they are given an address
SHIPPED_MAPS = "maps"

Place = tuple["EvseConfig", str, "DeviceConfig", Table]  # EVSE, "controller" or "meter", the device, its table


def check_station(config: Config, top: Table, evse_tables: Sequence[Table], readers: Sequence[Table]) -> list[str]:
    """Raise ConfigError for the first thing that cannot work; the warnings."""
    by_id = {table.data["id"]: table for table in evse_tables}
    places = list(_places(config, by_id))
    buses = {bus.name: bus for bus in config.buses}
    _check_numbers(config, top)
    _check_buses(config, top)
    for evse, role, device, table in places:
        _check_device(evse, role, device, table, buses)
        if device.driver == "smartevse":
            _check_node(device, table, buses)
        _check_map(device, table, config.service.maps_dir)
        _check_times(role, device, table, config)
    units = _check_units(places)
    check_boards(config, top, by_id, units)
    for reader, table in zip(config.readers, readers, strict=True):
        _check_reader(reader, table)
    _check_ports(config, top, readers)
    for evse in config.evses:
        _check_made_of(evse, by_id[evse.id])
    return [*_unused(config, top, places), *_oddities(config, by_id), *odd_parts(config, by_id)]


def _places(config: Config, by_id: Mapping[int, Table]) -> Iterator[Place]:
    for evse in config.evses:
        table = by_id[evse.id].table("controller")
        if evse.controller.composed is None:
            yield evse, "controller", evse.controller, table
        else:
            yield evse, "controller", pilot_of(evse.controller), table.table("pilot")
        yield evse, "meter", evse.meter, by_id[evse.id].table("meter")


def _check_numbers(config: Config, top: Table) -> None:
    ids = [evse.id for evse in config.evses]
    if not ids:
        raise ConfigError(top.file, "evse", "", "missing; a charger has at least one [[evse]]")
    for place, number in enumerate(ids, 1):
        if place != number:
            raise ConfigError(top.file, f"evse.{number}", "id", f"EVSE ids are 1, 2, 3 ...; there is no {place}")


# --- buses --------------------------------------------------------------------------------------------------


def _check_buses(config: Config, top: Table) -> None:
    for bus, table in zip(config.buses, top.tables("bus"), strict=True):
        table.name = f"bus.{bus.name}"
        if (bus.port is None) == (bus.host is None):
            table.fail("port", "a bus has either port (serial) or host (TCP)")
        serial = ("baud", "parity", "stop_bits", "rs485", "framing")
        for key in ("tcp_port",) if bus.port else serial:
            if key in table.data:
                table.fail(key, f"has no meaning for a {'serial line' if bus.port else 'TCP bus'}; remove it")


def _check_device(
    evse: EvseConfig, role: str, device: DeviceConfig, table: Table, buses: Mapping[str, BusConfig]
) -> None:
    if device.driver in MAPPED:
        for key, value in (("map", device.map), ("bus", device.bus), ("unit", device.unit)):
            if value is None:
                table.fail(key, f"missing; the driver {device.driver} needs it")
    if device.driver in ON_BUS and (device.bus is None or device.unit is None):
        table.fail("bus" if device.bus is None else "unit", f"missing; the driver {device.driver} needs it")
    if device.bus is not None and device.bus not in buses:
        table.fail("bus", f'no bus named "{device.bus}"; defined are {", ".join(buses) or "none"}')
    if device.unit is not None and device.bus is None:
        table.fail("bus", "missing; a unit is on a bus")
    born_255 = device.driver in BORN_255 and device.unit == ANY_UNIT
    in_range = 1 <= (device.unit or 1) <= LARGEST_RTU_UNIT or born_255
    if device.bus is not None and buses[device.bus].port and not in_range:
        table.fail("unit", f"expected 1 to {LARGEST_RTU_UNIT} on a serial line, not {device.unit}")
    other = ROLE["meter" if role == "controller" else "controller"]
    if device.driver == IO_PILOT and not table.name.endswith(".pilot"):
        table.fail("driver", f"{IO_PILOT} is a part; use {DRIVER} with it in [evse.controller.pilot]")
    if device.driver in (other, *READERS, *BOARDS, DRIVER):
        table.fail("driver", f"{device.driver} is no driver for a {role}; use {ROLE[role]}")
    if device.failsafe_a is not None and device.failsafe_a > evse.limit_a:
        table.fail("failsafe_a", f"{device.failsafe_a:g} A is more than this EVSE may offer ({evse.limit_a:g} A)")
    _check_driver(device.driver, table)
    if device.options and device.driver in MAPPED:
        table.fail("options", f"the driver {device.driver} has none")


def _check_node(device: DeviceConfig, table: Table, buses: Mapping[str, BusConfig]) -> None:
    assert device.bus is not None
    if device.unit not in NODES:
        table.fail("unit", f"expected 2 to 8, as the node's own menu says, not {device.unit}")
    if buses[device.bus].port is None:
        table.fail(
            "bus", "a smartevse hears orders that no one answers, which need a serial line; use a bus with a port"
        )


def _check_made_of(evse: EvseConfig, table: Table) -> None:
    """Of a controller made of parts it is known here what it can do."""
    made_of = evse.controller.composed
    if made_of is None:
        return
    if made_of.contactor["fan"] is not None and not evse.ventilation:
        table.fail("ventilation", "is false, yet [evse.controller.contactor] has a fan; set it to true")
    if evse.phase_switching is not None and made_of.contactor["three_phase"] is None:
        table.fail("phase_switching", "needs a second contactor: [evse.controller.contactor] three_phase")
    if evse.wake_up is not None and made_of.pilot["interrupt"] is None and made_of.pilot["driver"] == IO_PILOT:
        table.fail("wake_up", "needs a relay in the pilot's line: [evse.controller.pilot] interrupt")


def _check_units(places: Sequence[Place]) -> dict[tuple[str, int], str]:
    """One address answers for one device; controller and meter of one EVSE may be the same device."""
    owners: dict[tuple[str, int], tuple[int, str]] = {}
    heard = {device.bus for _evse, _role, device, _table in places if device.driver == "smartevse"}
    for evse, role, device, table in places:
        if device.bus is None or device.unit is None:
            continue
        if device.unit == ALL_NODES and device.bus in heard:
            table.fail("unit", f"{ALL_NODES} is what all smartevse on this bus hear; give the device another")
        owner = owners.setdefault((device.bus, device.unit), (evse.id, role))
        if owner[0] != evse.id:
            whose = f"the {owner[1]} of EVSE {owner[0]}"
            table.fail("unit", f'unit {device.unit} on bus "{device.bus}" is already {whose}')
    taken = {place: f"the {role} of EVSE {number}" for place, (number, role) in owners.items()}
    for _evse, _role, device, table in places:
        others = [whose for (bus, unit), whose in taken.items() if bus == device.bus and unit != ANY_UNIT]
        if device.driver in BORN_255 and device.unit == ANY_UNIT and others:
            table.fail("unit", f"{ANY_UNIT} may answer for any unit, but {others[0]} is on the same bus; readdress it")
    return taken


# --- drivers and maps ---------------------------------------------------------------------------------------


def _check_driver(name: str, table: Table) -> None:
    """Ours are known by name alone; of others the package is asked."""
    from drivers import registry

    if name in registry.BUILT_IN:
        return
    try:
        registry.find(name)
    except DriverError as error:
        table.fail("driver", str(error))


def _check_map(device: DeviceConfig, table: Table, maps_dir: str) -> None:
    kind = MAPPED.get(device.driver)
    if kind is None or device.map is None:
        return
    folders = [Path(folder) / kind for folder in (maps_dir, _shipped())]
    plain = all(c.isalnum() or c in "_-" for c in device.map)
    if plain and any((folder / f"{device.map}.toml").is_file() for folder in folders):
        return
    known = tuple(sorted({path.stem for folder in folders for path in folder.glob("*.toml")}))
    table.fail("map", f'no {kind} map "{device.map}" here or in {folders[0]}; {hint(device.map, known)}')


def _shipped() -> Path:
    import drivers

    return Path(drivers.__path__[0]) / SHIPPED_MAPS


def _check_times(role: str, device: DeviceConfig, table: Table, config: Config) -> None:
    safety = config.safety
    silent_s = safety.controller_silent_s if role == "controller" else safety.meter_silent_s
    if device.poll_ms > silent_s * 500:
        table.fail("poll_ms", f"must be at most half of [safety] {role}_silent_s, which is {silent_s:g} s")


# --- readers and ports --------------------------------------------------------------------------------------


def _check_reader(reader: ReaderConfig, table: Table) -> None:
    if reader.driver in MAPPED:
        table.fail("driver", f"{reader.driver} is no card reader; use {_or(tuple(READERS))}")
    _check_driver(reader.driver, table)
    if reader.port is None and reader.driver in READERS:
        table.fail("port", f"missing; the driver {reader.driver} needs it")
    if reader.options and reader.driver in READERS:
        table.fail("options", f"the driver {reader.driver} has none")
    for key in dict.fromkeys(key for keys in READERS.values() for key in keys):
        if key in table.data and key not in READERS.get(reader.driver, ()):
            owners = [driver for driver, keys in READERS.items() if key in keys]
            table.fail(key, f"belongs to the driver{'s'[: len(owners) > 1]} {' and '.join(owners)} only")
    if reader.form is not None and reader.form not in (known := FORMS[reader.driver]):
        table.fail("form", f"expected one of {', '.join(known)}, not {show(reader.form)}")
    if reader.pattern:
        _check_pattern(reader.pattern, table)


def _or(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _check_pattern(pattern: str, table: Table) -> None:
    import re

    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        table.fail("pattern", f"is no regular expression: {error}")


def _check_ports(config: Config, top: Table, readers: Sequence[Table]) -> None:
    owners: dict[str, str] = {}
    for bus, table in zip(config.buses, top.tables("bus"), strict=True):
        table.name = f"bus.{bus.name}"
        place = bus.port or f"{bus.host}:{bus.tcp_port}"
        _claim(place, table, owners, "port" if bus.port else "host")
    for reader, table in zip(config.readers, readers, strict=True):
        if reader.port:
            _claim(reader.port, table, owners, "port")


def _claim(place: str, table: Table, owners: dict[str, str], key: str) -> None:
    owner = owners.setdefault(place, table.name)
    if owner != table.name:
        table.fail(key, f"{place} is already used by [{owner}]")


# --- odd, but it works --------------------------------------------------------------------------------------


def _unused(config: Config, top: Table, places: Sequence[Place]) -> Iterator[str]:
    used = {device.bus for _evse, _role, device, _table in places} | {board.bus for board in config.ios}
    for bus, table in zip(config.buses, top.tables("bus"), strict=True):
        if bus.name not in used:
            yield str(ConfigError(table.file, f"bus.{bus.name}", "", "warning: no device uses this bus"))


def _oddities(config: Config, by_id: Mapping[int, Table]) -> Iterator[str]:
    limit_a = config.station.max_current_a
    for evse in config.evses:
        if limit_a is not None and evse.max_current_a > limit_a:
            text = f"warning: more than [station] max_current_a, which is {limit_a:g} A and wins"
            yield str(by_id[evse.id].error("max_current_a", text))
        if evse.meter.driver in MAPPED and evse.meter.signing != "off":
            what = {"required": "never charges", "if-possible": "charges unsigned"}[evse.meter.signing]
            text = f"warning: the driver {evse.meter.driver} cannot sign, so this EVSE {what}; use em580 or wm3m4"
            yield str(by_id[evse.id].table("meter").error("signing", text))
    if not config.readers:
        yield str(ConfigError(config.path, "reader", "", "warning: none; only the CSMS can start a charge"))
