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
from typing import TYPE_CHECKING, Any

from agent.config_checks import check_station
from agent.config_keys import (
    BUS,
    CONTROLLER,
    CSMS,
    EVSE,
    METER,
    READER,
    SAFETY,
    SERVICE,
    STATION,
    STORAGE,
    TRANSACTIONS,
)
from agent.config_toml import Table, plain_texts, read, show
from agent.errors import ConfigError

if TYPE_CHECKING:
    from agent.ocpp.quirks import Quirks

DEFAULT_FILE = "/etc/chargepoint/agent.toml"
DEFAULT_SOCKET = "/run/chargepoint/control.sock"
TABLES = ("station", "csms", "bus", "evse", "reader", "transactions", "safety", "storage", "service", "variables")
MAX_BUSES, MAX_EVSES, MAX_READERS, MAX_VARIABLES = 16, 32, 16, 200
MAX_TEXT = 2500  # the longest value of a variable in OCPP
MAX_PASSWORD_BYTES = 128


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class CsmsConfig:
    """Where the central system is, and who we are to it."""

    url: str
    identity: str
    versions: tuple[str, ...]  # in order of preference
    user: str | None  # None: the identity
    password: str | bytes | None = field(repr=False)  # bytes when it was written in hex
    ca_file: str | None = None
    accept_without_subprotocol: bool = False
    quirks: Quirks | None = None  # None: everything is told as the specification has it
    quirks_dir: str = "quirks"

    @property
    def subprotocols(self) -> tuple[str, ...]:
        return tuple(f"ocpp{version}" for version in self.versions)


@dataclass(frozen=True, slots=True)
class BusConfig:
    """A serial line when `port` is set, else a TCP peer."""

    name: str
    port: str | None
    baud: int
    parity: str
    stop_bits: int
    rs485: bool
    host: str | None
    tcp_port: int
    gap_ms: float | None  # None: what the standard asks for
    timeout_ms: float


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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

    @property
    def attached_cable(self) -> bool:
        return self.cable == "attached"

    @property
    def limit_a(self) -> float:
        """What may ever be offered here."""
        return self.max_current_a if self.cable_a is None else min(self.max_current_a, self.cable_a)


@dataclass(frozen=True, slots=True)
class ReaderConfig:
    """A card reader."""

    driver: str
    port: str | None  # always set for the drivers that come with us
    baud: int
    evses: tuple[int, ...]
    kind: str  # OCPP 2 IdTokenEnumType
    form: str
    pattern: str
    uid_order: str
    uid_case: str
    strip_separators: bool
    again_after_s: float
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TransactionsConfig:
    """Policies of transactions."""

    resume: str


@dataclass(frozen=True, slots=True)
class SafetyConfig:
    """How long devices may be silent."""

    controller_silent_s: float
    meter_silent_s: float


@dataclass(frozen=True, slots=True)
class StorageConfig:
    """Where and how much is remembered."""

    dir: str
    max_mib: int


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """How the daemon sits in its system."""

    socket: str
    log_level: str
    maps_dir: str
    reboot_command: tuple[str, ...]  # (): a hard reset only ends the process


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
    variables: Mapping[str, str] = field(repr=False)  # may hold a password
    warnings: tuple[str, ...] = field(default=(), compare=False)

    def bus(self, name: str) -> BusConfig:
        return next(bus for bus in self.buses if bus.name == name)


def load(path: str | Path) -> Config:
    """The configuration in this file and its drop-ins; ConfigError when anything in it is wrong."""
    file = Path(path)
    top, _files = read(file)
    top.only(TABLES)
    where = file.absolute().parent
    service = ServiceConfig(**_with_paths(top.table("service").values(SERVICE), where, "socket", "maps_dir"))
    buses = [BusConfig(**table.values(BUS)) for table in _named(top, "bus", "name", MAX_BUSES)]
    evse_tables = _named(top, "evse", "id", MAX_EVSES)
    evses = sorted((_evse(table) for table in evse_tables), key=lambda evse: evse.id)
    reader_tables = _tables(top, "reader", MAX_READERS)
    readers = [_reader(table, tuple(evse.id for evse in evses)) for table in reader_tables]
    csms, warnings = _csms(top.table("csms"), where)
    config = Config(
        str(path),
        StationConfig(**top.table("station").values(STATION)),
        csms,
        tuple(buses),
        tuple(evses),
        tuple(readers),
        TransactionsConfig(**top.table("transactions").values(TRANSACTIONS)),
        SafetyConfig(**top.table("safety").values(SAFETY)),
        StorageConfig(**_with_paths(top.table("storage").values(STORAGE), where, "dir")),
        service,
        plain_texts(top.table("variables"), MAX_VARIABLES, MAX_TEXT),
        tuple(warnings),
    )
    more = check_station(config, top, evse_tables, reader_tables)
    return _with_warnings(config, more)


def control_socket(path: str | Path) -> str:
    """Only where the control socket is: for people who may not read the passwords of the same configuration."""
    top, _files = read(Path(path))
    return str(Path(path).absolute().parent / top.table("service").values(SERVICE)["socket"])


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
        rules = BUS if key == "bus" else EVSE
        name = rules[identity].convert(table.data.get(identity))
        if name is None:
            continue  # taking the values will say why
        if str(name) in seen:
            table.fail(identity, f"{show(name)} is used twice")
        seen.add(str(name))
        table.name = f"{key}.{name}"
    return tables


def _with_paths(values: dict[str, Any], where: Path, *keys: str) -> dict[str, Any]:
    return values | {key: str(where / values[key]) for key in keys if values[key] is not None}


# --- the CSMS -----------------------------------------------------------------------------------------------


def _csms(table: Table, where: Path) -> tuple[CsmsConfig, list[str]]:
    values = _with_paths(table.values(CSMS), where, "ca_file")
    warnings: list[str] = []
    _take_quirks(table, values, where)
    password = _password(table, values, where)
    if password is not None and ":" in (values["user"] or values["identity"]):
        table.fail("user", 'missing or unfit; a user with a colon cannot log in by password, add user = "..."')
    if values["ca_file"] is not None:
        if not Path(values["ca_file"]).is_file():
            table.fail("ca_file", f"no such file: {values['ca_file']}")
        if values["url"].startswith("ws:"):
            warnings.append(_warning(table, "ca_file", "has no effect with ws://, only with wss://"))
    if values["password"] is not None and _is_public(table.origin("password")):
        warnings.append(_warning(table, "password", "everybody on this system can read this file; chmod o-r"))
    for key in ("password_file", "password_form"):
        del values[key]
    return CsmsConfig(**values | {"password": password}), warnings


def _take_quirks(table: Table, values: dict[str, Any], where: Path) -> None:
    if values["quirks"]:
        from agent.config_quirks import take

        take(table, values, where)
    else:
        values |= {"quirks": None, "quirks_dir": str(where / values["quirks_dir"])}


def _password(table: Table, values: Mapping[str, Any], where: Path) -> str | bytes | None:
    text, file, form = values["password"], values["password_file"], values["password_form"]
    if text is not None and file is not None:
        table.fail("password_file", "there is a password as well; use one of the two")
    if file is not None:
        text = _read_password(table, file, where)
    if text is None or form == "text":
        return text  # type: ignore[no-any-return]
    try:
        return bytes.fromhex(text)
    except ValueError:
        table.fail("password_form", "is hex, but the password has other characters than pairs of 0-9 and A-F")


def _read_password(table: Table, name: str, where: Path) -> str:
    import os

    path = where / os.path.expandvars(name)  # $CREDENTIALS_DIRECTORY, where systemd puts secrets
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_PASSWORD_BYTES + 2).removesuffix(b"\n")
    except OSError as error:
        table.fail("password_file", f"{path} cannot be read: {error.strerror or error}")
    except ValueError:
        table.fail("password_file", "is not a path")
    text = raw.decode("utf-8", "replace")
    if not text or len(raw) > MAX_PASSWORD_BYTES or not text.isprintable() or "\ufffd" in text:
        table.fail("password_file", f"{path} must hold one line of 1 to {MAX_PASSWORD_BYTES} printable characters")
    return text


def _is_public(file: str) -> bool:
    return bool(Path(file).stat().st_mode & 0o004)


def _warning(table: Table, key: str, text: str) -> str:
    return str(table.error(key, f"warning: {text}"))


# --- the hardware -------------------------------------------------------------------------------------------


def _evse(table: Table) -> EvseConfig:
    values = table.values(EVSE, ("controller", "meter"))
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
    )


def _device(evse: Table, key: str, keys: Mapping[str, Any]) -> DeviceConfig:
    if key not in evse.data:
        evse.fail(key, f"missing; every EVSE needs a table [evse.{key}]")
    return DeviceConfig(**evse.table(key).values(keys))


def _reader(table: Table, evses: tuple[int, ...]) -> ReaderConfig:
    values = table.values(READER)
    for evse in values["evses"]:
        if evse not in evses:
            table.fail("evses", f"no EVSE has id {evse}; defined are {', '.join(map(str, evses)) or 'none'}")
    return ReaderConfig(**values | {"evses": values["evses"] or evses})
