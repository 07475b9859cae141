"""Every key of the configuration file: what it must be, its default. One table for each table of the file.

The meaning of each key for people stands in `etc/README.md` and `etc/agent.toml`; a test holds the three together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from agent.config_toml import REQUIRED, Key

BAUDS = (300, 600, 1200, 2400, 4800, 9600, 14400, 19200, 28800, 38400, 57600, 115200, 230400)
CONNECTORS = (
    *("cType1", "cType2", "sType2", "sType3", "cTesla", "sBS1361", "sCEE-7-7"),
    *("s309-1P-16A", "s309-1P-32A", "s309-3P-16A", "s309-3P-32A"),
    *("Other1PhMax16A", "Other1PhOver16A", "Other3Ph", "Undetermined", "Unknown"),
)
ROTATIONS = ("NotApplicable", "Unknown", "RST", "RTS", "SRT", "STR", "TRS", "TSR")
TOKEN_KINDS = ("ISO14443", "ISO15693", "Local", "KeyCode", "Central", "eMAID", "MacAddress")
VERSIONS = ("2.0.1", "1.6")
LOG_LEVELS = ("debug", "info", "warning", "error")
URL_LENGTH = 512
SOCKET_LENGTH = 100  # the kernel takes 107, and the socket is made under a longer name
MAX_LIST = 64

# --- kinds of values ---


def text(longest: int, default: Any = REQUIRED, *, like: str = "", secret: bool = False, empty: bool = False) -> Key:
    """Printable text of 1 to `longest` characters."""

    def convert(value: Any) -> str | None:
        fits = isinstance(value, str) and (empty or value.strip()) and len(value) <= longest and value.isprintable()
        return value if fits else None

    example = f" such as {like}" if like else ""
    return Key(f"a text of at most {longest} characters{example}", convert, default, secret=secret)


def whole(low: int, high: int, default: Any = REQUIRED) -> Key:
    def convert(value: Any) -> int | None:
        return value if type(value) is int and low <= value <= high else None

    return Key(f"a whole number from {low} to {high}", convert, default)


def number(low: float, high: float, unit: str, default: Any = REQUIRED) -> Key:
    def convert(value: Any) -> float | None:
        return float(value) if type(value) in (int, float) and low <= value <= high else None

    return Key(f"a number of {unit} from {low:g} to {high:g}", convert, default)


def flag(default: bool) -> Key:
    return Key("true or false", lambda value: value if type(value) is bool else None, default)


def choice(words: Iterable[Any], default: Any = REQUIRED) -> Key:
    known = tuple(words)
    shown = ", ".join(str(word) for word in known)

    def convert(value: Any) -> Any:
        return value if any(type(value) is type(word) and value == word for word in known) else None

    return Key(f"one of {shown}", convert, default)


def several(expected: str, fits: Callable[[Any], bool], default: Any = REQUIRED, *, least: int = 1) -> Key:
    """A list without repeats."""

    def convert(value: Any) -> tuple[Any, ...] | None:
        if not isinstance(value, list) or not least <= len(value) <= MAX_LIST or not all(fits(item) for item in value):
            return None
        return tuple(value) if len(set(value)) == len(value) else None

    return Key(expected, convert, default)


def path(default: Any = REQUIRED, *, like: str, longest: int = 512) -> Key:
    return text(longest, default, like=like)


def _command(value: Any) -> tuple[str, ...] | None:
    fits = isinstance(value, list) and len(value) <= MAX_LIST and all(_is_text(item) for item in value)
    return tuple(value) if fits and (not value or value[0].startswith("/")) else None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and len(value) <= 1024 and value.isprintable()


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 80


def _port(value: Any) -> str | None:
    return value if _is_text(value) and value.startswith("/") else None


def _url(value: Any) -> str | None:
    if not _is_text(value) or len(value) > URL_LENGTH or any(c.isspace() for c in value):
        return None
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("ws", "wss") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return value if good and "@" not in parts.netloc and not parts.fragment else None


def _options(value: Any) -> dict[str, Any] | None:
    """What a driver of another package wants to know: plain values only."""
    if not isinstance(value, dict) or len(value) > MAX_LIST:
        return None
    plain = all(isinstance(item, str | int | float | bool) for item in value.values())
    return dict(value) if plain and all(key.isidentifier() for key in value) else None


# --- the tables ---

STATION: Mapping[str, Key] = {
    "vendor": text(50, like='"Example"'),
    "model": text(20, like='"Wallbox 22"'),
    "serial": text(25, "", empty=True),
    "firmware": text(50, "", empty=True),
    "iccid": text(20, "", empty=True),
    "imsi": text(20, "", empty=True),
    "meter_type": text(25, "", empty=True),
    "meter_serial": text(25, "", empty=True),
    "max_current_a": number(6, 1000, "amperes", None),
}
CSMS: Mapping[str, Key] = {
    "url": Key("ws://HOST:PORT/PATH or wss://HOST:PORT/PATH without a login in it", _url, secret=True),
    "identity": text(255, like='"CP001"'),
    "versions": several(
        "a list of the OCPP versions 2.0.1 and 1.6, the preferred one first", lambda item: item in VERSIONS, VERSIONS
    ),
    "user": text(255, None),
    "password": text(128, None, secret=True),
    "password_file": path(None, like='"/etc/chargepoint/csms-password"'),
    "password_form": choice(("text", "hex", "try"), "text"),
    "ca_file": path(None, like='"/etc/chargepoint/csms-ca.pem"'),
    "client_certificate_file": path(None, like='"/etc/chargepoint/charger.pem"'),
    "client_key_file": path(None, like='"/etc/chargepoint/charger.key"'),
    "security_profile": whole(0, 3, None),
    "accept_without_subprotocol": flag(False),
    "quirks": several('a list of names such as ["rate-limited"]', _is_name, (), least=0),
    "quirks_dir": path("quirks", like='"/etc/chargepoint/quirks"'),
}
FALLBACK: Mapping[str, Key] = {
    **{key: rule for key, rule in CSMS.items() if not key.startswith("quirks")},
    "identity": text(255, None, like='"CP001"'),
    "versions": Key(CSMS["versions"].expected, CSMS["versions"].convert, None),
}
BUS: Mapping[str, Key] = {
    "name": text(40, like='"rs485"'),
    "port": Key("the path of a serial port such as /dev/ttyUSB0", _port, None),
    "baud": choice(BAUDS, 9600),
    "parity": choice(("N", "E", "O"), "N"),
    "stop_bits": choice((1, 2), 1),
    "rs485": flag(False),
    "framing": choice(("rtu", "ascii"), "rtu"),
    "host": text(255, None, like='"192.168.1.50"'),
    "tcp_port": whole(1, 65535, 502),
    "gap_ms": number(0, 1000, "milliseconds", None),
    "timeout_ms": number(20, 5000, "milliseconds", 500.0),
}
EVSE: Mapping[str, Key] = {
    "id": whole(1, 99),
    "cable": choice(("socket", "attached"), "socket"),
    "cable_a": number(6, 1000, "amperes", None),
    "connector": choice(CONNECTORS, None),
    "max_current_a": number(6, 1000, "amperes", 32.0),
    "phases": whole(1, 3, 3),
    "phase_rotation": choice(ROTATIONS, "Unknown"),
    "ventilation": flag(False),
}
DERATING: Mapping[str, Key] = {
    "from_c": number(0, 150, "degrees Celsius", 60.0),
    "until_c": number(0, 150, "degrees Celsius", 75.0),
    "stop_c": number(0, 150, "degrees Celsius", 85.0),
}
PHASE_SWITCHING: Mapping[str, Key] = {
    "when": choice(("profiles", "automatic"), "profiles"),
    "pause_s": number(2, 300, "seconds", 10.0),
    "every_s": number(60, 86400, "seconds", 300.0),
}
WAKE_UP: Mapping[str, Key] = {
    "after_s": number(10, 3600, "seconds", 90.0),
    "tries": whole(1, 5, 2),
}
_DEVICE: Mapping[str, Key] = {
    "map": text(80, None, like='"eastron_sdm630"'),
    "bus": text(40, None, like='"rs485"'),
    "unit": whole(0, 255, None),
    "options": Key("a table of plain values", _options, {}),
}
CONTROLLER: Mapping[str, Key] = {
    "driver": text(80, "mapped-evse"),
    **_DEVICE,
    "poll_ms": whole(50, 10_000, 500),
    "watchdog_s": number(1, 3600, "seconds", None),
    "failsafe_a": number(0, 1000, "amperes", None),
    "connector": whole(1, 48, 1),
}
METER: Mapping[str, Key] = {
    "driver": text(80, "mapped-meter"),
    **_DEVICE,
    "poll_ms": whole(50, 60_000, 1000),
    "signing": choice(("off", "if-possible", "required"), "off"),
    "public_key": text(2500, "", like='"MFkwEwYH..." (base64)', empty=True),
}
READER: Mapping[str, Key] = {
    "driver": text(80, like='"rdm6300"'),
    "port": Key("the path of a serial port such as /dev/ttyUSB1", _port, None),
    "baud": choice(BAUDS, None),
    "evses": several("a list of EVSE ids such as [1, 2], each once", lambda item: type(item) is int, ()),
    "kind": choice(TOKEN_KINDS, "ISO14443"),
    "form": text(20, None),
    "bits": choice((26, 34), 34),
    "pattern": text(200, "", empty=True),
    "uid_order": choice(("as_read", "reversed"), "as_read"),
    "uid_case": choice(("upper", "lower"), "upper"),
    "strip_separators": flag(True),
    "strip_zeros": flag(False),
    "length": whole(0, 36, 0),
    "again_after_s": number(0, 60, "seconds", 1.0),
    "options": Key("a table of plain values", _options, {}),
}
TRANSACTIONS: Mapping[str, Key] = {"resume": choice(("if-still-plugged", "never"), "if-still-plugged")}
SAFETY: Mapping[str, Key] = {
    "controller_silent_s": number(1, 300, "seconds", 10.0),
    "meter_silent_s": number(1, 600, "seconds", 30.0),
}
STORAGE: Mapping[str, Key] = {
    "dir": path("/var/lib/chargepoint", like='"/var/lib/chargepoint"'),
    "max_mib": whole(4, 65536, 64),
    "recorder_mib": whole(0, 1024, 4),
}
SERVICE: Mapping[str, Key] = {
    "socket": path("/run/chargepoint/control.sock", like='"/run/chargepoint/control.sock"', longest=SOCKET_LENGTH),
    "log_level": choice(LOG_LEVELS, "info"),
    "maps_dir": path("maps", like='"/etc/chargepoint/maps"'),
    "reboot_command": Key('a list such as ["/sbin/reboot"], the program with its whole path', _command, ()),
    "technician_token": text(20, None, like='"SERVICE-1"'),
}
_PROGRAM = 'a list such as ["/usr/bin/program", "--option"], the program with its whole path'
FIRMWARE: Mapping[str, Key] = {
    "installer": choice(("none", "command", "rauc"), "none"),
    "command": Key(_PROGRAM, _command, ()),
    "version_command": Key(_PROGRAM, _command, ()),
    "keep_command": Key(_PROGRAM, _command, ()),
    "activation": choice(("none", "restart", "reboot"), "reboot"),
    "accept_unsigned": flag(False),
    "allow_during_transaction": flag(False),
    "roots_file": path(None, like='"/etc/chargepoint/firmware-roots.pem"'),
    "ca_file": path(None, like='"/etc/chargepoint/files-ca.pem"'),
    "max_mib": whole(1, 65536, 1024),
    "timeout_s": number(10, 86400, "seconds", 1800.0),
}
SECURITY: Mapping[str, Key] = {
    "dir": path(None, like='"/var/lib/chargepoint/certificates"'),
    "key": choice(("ec-p256", "rsa-2048"), "ec-p256"),
}
TABLES: Mapping[str, Mapping[str, Key]] = {
    "station": STATION,
    "csms": CSMS,
    "csms.fallback": FALLBACK,
    "bus": BUS,
    "evse": EVSE,
    "evse.controller": CONTROLLER,
    "evse.meter": METER,
    "evse.derating": DERATING,
    "evse.phase_switching": PHASE_SWITCHING,
    "evse.wake_up": WAKE_UP,
    "reader": READER,
    "transactions": TRANSACTIONS,
    "safety": SAFETY,
    "storage": STORAGE,
    "service": SERVICE,
    "firmware": FIRMWARE,
    "security": SECURITY,
}
