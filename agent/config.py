"""The configuration of one charger: `load("/etc/chargepoint/agent.toml")` gives a frozen `Config`, or a `ConfigError`.

Everything is checked here, once, before anything runs: keys (`agent.config_keys`), and what they mean together: buses,
units, EVSEs, readers, drivers and maps that must exist. What is odd but works is a line in `Config.warnings`. Two loads
of the same files are equal, so a reload sees what has changed. Relative paths count from the folder of the file.
Passwords never show: not in `repr`, not in an error.

The names under [variables] are not resolved here, since the protocol versions' tables know them: `chargepoint
check-config` and the start of the agent do it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.config_checks import check_station
from agent.config_composed import IO, ComposedConfig, IoConfig, take_parts
from agent.config_composed import TABLES as PARTS
from agent.config_csms import CsmsConfig, take_csms
from agent.config_firmware import FirmwareConfig, take_firmware
from agent.config_keys import (
    BUS,
    CONTROLLER,
    DERATING,
    EVSE,
    METER,
    PHASE_SWITCHING,
    READER,
    SAFETY,
    SECURITY,
    SERVICE,
    STATION,
    STORAGE,
    TRANSACTIONS,
    WAKE_UP,
)
from agent.config_toml import Table, plain_texts, read, show, with_paths
from agent.core.record import record
from agent.errors import ConfigError

TABLES = (
    *("station", "csms", "bus", "io", "evse", "reader", "transactions", "safety", "storage", "service", "firmware"),
    *("security", "variables"),
)
MAX_IOS = 32
MAX_BUSES, MAX_EVSES, MAX_READERS, MAX_VARIABLES = 16, 32, 16, 200
MAX_TEXT = 2500  # the longest value of a variable in OCPP


@record
class StationConfig:
    """What the charger is."""

    vendor: str
    model: str
    serial: str = ""
    firmware: str = ""  # "": the version of this program
    iccid: str = ""
    imsi: str = ""
    meter_type: str = ""
    meter_serial: str = ""
    max_current_a: float | None = None  # of the supply, shared by all EVSEs; None: no common limit


@record
class BusConfig:
    """A serial line when `port` is set, else a TCP peer."""

    name: str
    port: str | None
    baud: int
    parity: str
    stop_bits: int
    rs485: bool
    framing: str  # of a serial line: "rtu" or "ascii"
    host: str | None
    tcp_port: int
    gap_ms: float | None  # None: what the standard asks for
    timeout_ms: float


@record
class DeviceConfig:
    """A controller or a meter. `map`, `bus` and `unit` are always set for the mapped drivers."""

    driver: str
    map: str | None
    bus: str | None
    unit: int | None
    options: Mapping[str, Any]
    poll_ms: int
    watchdog_s: float | None = None  # controllers only; None: as the map says
    failsafe_a: float | None = None
    signing: str = "off"  # meters only: "off", "if-possible" or "required"
    public_key: str = ""  # meters only, base64; "": whatever it says
    connector: int = 1  # controllers only: which of the device's connectors, where its map says that it has several
    composed: ComposedConfig | None = None  # controllers made of parts only


@record
class DeratingConfig:
    """What heat leaves of the current: all up to `from_c`, 6 A at `until_c`, nothing from `stop_c` on."""

    from_c: float
    until_c: float
    stop_c: float


@record
class SwitchingConfig:
    """When the outlet is fed by one phase instead of three, and how slowly."""

    when: str  # "profiles" or "automatic"
    pause_s: float
    every_s: float


@record
class WakeUpConfig:
    """After how long, and how often, a car that sleeps through an offer is woken."""

    after_s: float
    tries: int


@record
class EvseConfig:
    """One place where one car can charge."""

    id: int
    cable: str  # "socket" or "attached"
    cable_a: float | None  # of an attached cable
    connector: str  # OCPP 2 ConnectorEnumType
    max_current_a: float
    phases: int
    phase_rotation: str
    ventilation: bool
    controller: DeviceConfig
    meter: DeviceConfig
    derating: DeratingConfig | None = None
    phase_switching: SwitchingConfig | None = None
    wake_up: WakeUpConfig | None = None

    @property
    def attached_cable(self) -> bool:
        return self.cable == "attached"

    @property
    def limit_a(self) -> float:
        """What may ever be offered here."""
        return self.max_current_a if self.cable_a is None else min(self.max_current_a, self.cable_a)


@record
class ReaderConfig:
    """A card reader."""

    driver: str
    port: str | None  # always set for the drivers that come with us
    baud: int | None  # None: as such a reader leaves the factory
    evses: tuple[int, ...]
    kind: str  # OCPP 2 IdTokenEnumType
    form: str | None  # None: the driver's first
    bits: int
    pattern: str
    uid_order: str
    uid_case: str
    strip_separators: bool
    strip_zeros: bool
    length: int
    again_after_s: float
    options: Mapping[str, Any]


@record
class TransactionsConfig:
    """Policies of transactions."""

    resume: str


@record
class SafetyConfig:
    """How long devices may be silent."""

    controller_silent_s: float
    meter_silent_s: float


@record
class StorageConfig:
    """Where and how much is remembered."""

    dir: str
    max_mib: int
    recorder_mib: int


@record
class ServiceConfig:
    """How the daemon sits in its system."""

    socket: str
    log_level: str
    maps_dir: str
    reboot_command: tuple[str, ...]  # (): a hard reset only ends the process
    technician_token: str | None  # None: a technician starts no charge but with a card


@record
class SecurityConfig:
    """Certificates of our own and those that we trust."""

    dir: str | None  # None: beside what is remembered
    key: str


@dataclass(frozen=True, slots=True)
class Config:
    """All of it."""

    path: str
    station: StationConfig
    csms: CsmsConfig
    buses: tuple[BusConfig, ...]
    evses: tuple[EvseConfig, ...]  # in the order of their ids, which are 1 to n
    readers: tuple[ReaderConfig, ...]
    transactions: TransactionsConfig
    safety: SafetyConfig
    storage: StorageConfig
    service: ServiceConfig
    firmware: FirmwareConfig
    security: SecurityConfig
    variables: Mapping[str, str] = field(repr=False)  # may hold a password
    warnings: tuple[str, ...] = field(default=(), compare=False)
    ios: tuple[IoConfig, ...] = ()

    def bus(self, name: str) -> BusConfig:
        return next(bus for bus in self.buses if bus.name == name)


def load(path: str | Path) -> Config:
    """The configuration in this file and its drop-ins; ConfigError when anything in it is wrong."""
    file = Path(path)
    top, _files = read(file)
    top.only(TABLES)
    where = file.absolute().parent
    service = ServiceConfig(**with_paths(top.table("service").values(SERVICE), where, "socket", "maps_dir"))
    buses = [BusConfig(**table.values(BUS)) for table in _named(top, "bus", "name", MAX_BUSES)]
    ios = [IoConfig(**table.values(IO)) for table in _named(top, "io", "name", MAX_IOS)]
    evse_tables = _named(top, "evse", "id", MAX_EVSES)
    evses = sorted((_evse(table) for table in evse_tables), key=lambda evse: evse.id)
    reader_tables = _tables(top, "reader", MAX_READERS)
    readers = [_reader(table, tuple(evse.id for evse in evses)) for table in reader_tables]
    csms, warnings = take_csms(top.table("csms"), where)
    firmware, more = take_firmware(top.table("firmware"), where, service.reboot_command)
    warnings += more
    config = Config(
        str(path),
        StationConfig(**top.table("station").values(STATION)),
        csms,
        tuple(buses),
        tuple(evses),
        tuple(readers),
        TransactionsConfig(**top.table("transactions").values(TRANSACTIONS)),
        SafetyConfig(**top.table("safety").values(SAFETY)),
        StorageConfig(**with_paths(top.table("storage").values(STORAGE), where, "dir")),
        service,
        firmware,
        SecurityConfig(**with_paths(top.table("security").values(SECURITY), where, "dir")),
        plain_texts(top.table("variables"), MAX_VARIABLES, MAX_TEXT),
        tuple(warnings),
        tuple(ios),
    )
    more = check_station(config, top, evse_tables, reader_tables)
    return _with_warnings(config, more)


def _with_warnings(config: Config, more: list[str]) -> Config:
    from dataclasses import replace

    return replace(config, warnings=config.warnings + tuple(more)) if more else config


def _tables(top: Table, key: str, at_most: int) -> list[Table]:
    tables = top.tables(key)
    if len(tables) > at_most:
        raise ConfigError(tables[at_most].file, key, "", f"{len(tables)} of them; at most {at_most} are possible")
    return tables


def _named(top: Table, key: str, identity: str, at_most: int) -> list[Table]:
    """Tables that are called by what names them in messages, from here on."""
    tables = _tables(top, key, at_most)
    seen: set[str] = set()
    for table in tables:
        rules = {"bus": BUS, "io": IO, "evse": EVSE}[key]
        name = rules[identity].convert(table.data.get(identity))
        if name is None:
            continue  # taking the values will say why
        if str(name) in seen:
            table.fail(identity, f"{show(name)} is used twice")
        seen.add(str(name))
        table.name = f"{key}.{name}"
    return tables


# --- the hardware -------------------------------------------------------------------------------------------


def _evse(table: Table) -> EvseConfig:
    values = table.values(EVSE, ("controller", "meter", "derating", "phase_switching", "wake_up"))
    attached = values["cable"] == "attached"
    if attached and values["cable_a"] is None:
        table.fail("cable_a", 'missing; an attached cable has a rating, such as cable_a = 32 (or cable = "socket")')
    if not attached and values["cable_a"] is not None:
        table.fail("cable_a", 'only an attached cable has a fixed rating; remove it or set cable = "attached"')
    connector = values["connector"] or ("cType2" if attached else "sType2")
    if connector[0] == ("s" if attached else "c"):
        what = "a socket" if connector[0] == "s" else "an attached cable"
        table.fail("connector", f'{connector} is {what}, but cable = "{values["cable"]}"')
    return EvseConfig(
        **values | {"connector": connector},
        controller=_device(table, "controller", CONTROLLER),
        meter=_device(table, "meter", METER),
        derating=_derating(table) if "derating" in table.data else None,
        phase_switching=_switching(table, values["phases"]) if "phase_switching" in table.data else None,
        wake_up=WakeUpConfig(**table.table("wake_up").values(WAKE_UP)) if "wake_up" in table.data else None,
    )


def _derating(evse: Table) -> DeratingConfig:
    table = evse.table("derating")
    curve = DeratingConfig(**table.values(DERATING))
    if not curve.from_c < curve.until_c < curve.stop_c:
        table.fail(
            "until_c", f"{curve.until_c:g} does not lie between from_c {curve.from_c:g} and stop_c {curve.stop_c:g}"
        )
    return curve


def _switching(evse: Table, phases: int) -> SwitchingConfig:
    table = evse.table("phase_switching")
    found = SwitchingConfig(**table.values(PHASE_SWITCHING))
    if phases != 3:
        evse.fail("phases", f"is {phases}, yet [{table.name}] switches between one phase and three; set it to 3")
    return found


def _device(evse: Table, key: str, keys: Mapping[str, Any]) -> DeviceConfig:
    if key not in evse.data:
        evse.fail(key, f"missing; every EVSE needs a table [evse.{key}]")
    if key != "controller":
        return DeviceConfig(**evse.table(key).values(keys))
    table = evse.table(key)
    return take_parts(table, DeviceConfig(**table.values(keys, tuple(PARTS))))


def _reader(table: Table, evses: tuple[int, ...]) -> ReaderConfig:
    values = table.values(READER)
    for evse in values["evses"]:
        if evse not in evses:
            table.fail("evses", f"no EVSE has id {evse}; defined are {', '.join(map(str, evses)) or 'none'}")
    return ReaderConfig(**values | {"evses": values["evses"] or evses})
