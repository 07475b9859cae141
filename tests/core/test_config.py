"""One test for each kind of mistake in a configuration, with the exact line that a person sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import Config, load
from agent.config_socket import control_socket
from agent.config_variables import resolve
from agent.errors import ConfigError
from drivers.registry import BUILT_IN
from drivers.regmap import map_names

BASE = """\
[station]
vendor = "Example"
model = "Wallbox 22"

[csms]
url = "ws://127.0.0.1:9000/ocpp"
identity = "CP001"

[[bus]]
name = "rs485"
port = "/dev/ttyUSB0"

[[bus]]
name = "rs485b"
port = "/dev/ttyUSB1"

[[evse]]
id = 1
  [evse.controller]
  map = "evse_wb"
  bus = "rs485"
  unit = 1
  [evse.meter]
  map = "eastron_sdm630"
  bus = "rs485b"
  unit = 2

[[reader]]
driver = "rdm6300"
port = "/dev/ttyUSB2"

[transactions]
[safety]
[storage]
[service]
[variables]
"""
SECOND = """\
[[evse]]
id = {id}
  [evse.controller]
  map = "evse_wb"
  bus = "rs485"
  unit = {unit}
  [evse.meter]
  map = "eastron_sdm630"
  bus = "rs485"
  unit = 4

[transactions]"""


def written(folder: Path, *changes: str) -> Path:
    """BASE with each pair of `changes` (old, new) made, as a file that only its owner may read."""
    text = BASE
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in text, old
        text = text.replace(old, new, 1)
    file = folder / "agent.toml"
    file.write_text(text)
    file.chmod(0o600)
    return file


def loaded(folder: Path, *changes: str) -> Config:
    return load(written(folder, *changes))


def line(folder: Path, *changes: str) -> str:
    """The error, without the folder."""
    file = written(folder, *changes)
    with pytest.raises(ConfigError) as caught:
        resolve(load(file))
    return str(caught.value).replace(f"{folder}/", "")


CONTROLLER = '  map = "evse_wb"\n  bus = "rs485"\n  unit = 1\n'
MISTAKES = {
    "a word that is not TOML": (
        ('vendor = "Example"', "vendor = Example"),
        "agent.toml: line 2, column 10: is not TOML: Invalid value",
    ),
    "an unknown table": (
        ("[csms]", "[cmss]"),
        "agent.toml [cmss]: unknown table; did you mean csms?",
    ),
    "an unknown key": (
        ("identity", "identty"),
        "agent.toml [csms] identty: unknown key; did you mean identity?",
    ),
    "an unknown key like no other": (
        ("[safety]", "[safety]\nxyzzy = 1"),
        "agent.toml [safety] xyzzy: unknown key; known are controller_silent_s, meter_silent_s",
    ),
    "a key outside of all tables": (
        ("[station]", "silent = 1\n[station]"),
        "agent.toml silent: stands outside of every table; the tables are station, csms, bus, io, evse, reader, "
        "transactions, safety, storage, service, firmware, security, variables",
    ),
    "a missing key": (
        ('identity = "CP001"\n', ""),
        'agent.toml [csms] identity: missing; expected a text of at most 255 characters such as "CP001"',
    ),
    "a missing table": (
        ('[station]\nvendor = "Example"\nmodel = "Wallbox 22"\n', ""),
        'agent.toml [station] vendor: missing; expected a text of at most 50 characters such as "Example"',
    ),
    "a wrong type": (
        ('"CP001"', "17"),
        'agent.toml [csms] identity: expected a text of at most 255 characters such as "CP001", not 17',
    ),
    "true where a number is expected": (
        ("unit = 1", "unit = true"),
        "agent.toml [evse.1.controller] unit: expected a whole number from 0 to 255, not true",
    ),
    "a number out of range": (
        ("id = 1", "id = 1\nmax_current_a = 2000"),
        "agent.toml [evse.1] max_current_a: expected a number of amperes from 6 to 1000, not 2000",
    ),
    "no number at all": (
        ("id = 1", "id = 1\nmax_current_a = nan"),
        "agent.toml [evse.1] max_current_a: expected a number of amperes from 6 to 1000, not nan",
    ),
    "a word that is not among the choices": (
        ("id = 1", 'id = 1\ncable = "fixed"'),
        'agent.toml [evse.1] cable: expected one of socket, attached, not "fixed"',
    ),
    "a baud rate that no port has": (
        ('name = "rs485"', 'name = "rs485"\nbaud = 9601'),
        "agent.toml [bus.rs485] baud: expected one of 300, 600, 1200, 2400, 4800, 9600, 14400, 19200, 28800, 38400, "
        "57600, 115200, 230400, not 9601",
    ),
    "a table in single brackets": (
        ("[[reader]]", "[reader]"),
        "agent.toml [reader]: expected [[reader]] in double brackets, once for each",
    ),
    "a table in double brackets": (
        ("[storage]", "[[storage]]"),
        "agent.toml [storage]: expected one table, not a list of them",
    ),
    "a value where a table belongs": (
        (f"  [evse.controller]\n{CONTROLLER}", 'controller = "evse_wb"\n'),
        'agent.toml [evse.1.controller]: expected a table, not "evse_wb"',
    ),
    "a bus that is not defined": (
        ('bus = "rs485"', 'bus = "rs485x"'),
        'agent.toml [evse.1.controller] bus: no bus named "rs485x"; defined are rs485, rs485b',
    ),
    "a bus name used twice": (
        ('name = "rs485b"', 'name = "rs485"'),
        'agent.toml [bus #2] name: "rs485" is used twice',
    ),
    "a bus that is serial and TCP": (
        ('name = "rs485"', 'name = "rs485"\nhost = "10.0.0.1"'),
        "agent.toml [bus.rs485] port: a bus has either port (serial) or host (TCP)",
    ),
    "a baud rate over TCP": (
        ('port = "/dev/ttyUSB0"', 'host = "10.0.0.1"\nbaud = 9600'),
        "agent.toml [bus.rs485] baud: has no meaning for a TCP bus; remove it",
    ),
    "two owners of a port": (
        ('port = "/dev/ttyUSB2"', 'port = "/dev/ttyUSB1"'),
        "agent.toml [reader #1] port: /dev/ttyUSB1 is already used by [bus.rs485b]",
    ),
    "an address used twice": (
        ("[transactions]", SECOND.format(id=2, unit=1)),
        'agent.toml [evse.2.controller] unit: unit 1 on bus "rs485" is already the controller of EVSE 1',
    ),
    "an address that a serial line has not": (
        ("unit = 1", "unit = 248"),
        "agent.toml [evse.1.controller] unit: expected 1 to 247 on a serial line, not 248",
    ),
    "an EVSE id used twice": (
        ("[transactions]", SECOND.format(id=1, unit=3)),
        "agent.toml [evse #2] id: 1 is used twice",
    ),
    "a gap in the EVSE ids": (
        ("[transactions]", SECOND.format(id=3, unit=3)),
        "agent.toml [evse.3] id: EVSE ids are 1, 2, 3 ...; there is no 2",
    ),
    "a controller that is missing": (
        (f"  [evse.controller]\n{CONTROLLER}", ""),
        "agent.toml [evse.1] controller: missing; every EVSE needs a table [evse.controller]",
    ),
    "a mapped device without a map": (
        ('  map = "evse_wb"\n', ""),
        "agent.toml [evse.1.controller] map: missing; the driver mapped-evse needs it",
    ),
    "a map that does not exist": (
        ('"evse_wb"', '"evse_wd"'),
        'agent.toml [evse.1.controller] map: no evse map "evse_wd" here or in maps/evse; did you mean evse_wb?',
    ),
    "a map of another kind": (
        ('"evse_wb"', '"eastron_sdm630"'),
        'agent.toml [evse.1.controller] map: no evse map "eastron_sdm630" here or in maps/evse; '
        f"known are {', '.join(map_names('evse'))}",
    ),
    "a map somewhere else": (
        ('"evse_wb"', '"../meter/eastron_sdm630"'),
        'agent.toml [evse.1.controller] map: no evse map "../meter/eastron_sdm630" here or in maps/evse; '
        f"known are {', '.join(map_names('evse'))}",
    ),
    "a driver that nobody knows": (
        ('driver = "rdm6300"', 'driver = "rdm63"'),
        f"agent.toml [reader #1] driver: no driver 'rdm63'; known are {', '.join(sorted(BUILT_IN))}; "
        "others come from packages with entry points chargepoint.drivers",
    ),
    "a driver in the wrong place": (
        ('  map = "evse_wb"', '  driver = "mapped-meter"\n  map = "evse_wb"'),
        "agent.toml [evse.1.controller] driver: mapped-meter is no driver for a controller; use mapped-evse",
    ),
    "a card reader that is a meter": (
        ('driver = "rdm6300"', 'driver = "mapped-meter"'),
        "agent.toml [reader #1] driver: mapped-meter is no card reader; "
        "use rdm6300, ascii-line, wiegand, pn532, sl025 or acs",
    ),
    "options for a driver that has none": (
        ('  map = "evse_wb"', '  options = { fast = true }\n  map = "evse_wb"'),
        "agent.toml [evse.1.controller] options: the driver mapped-evse has none",
    ),
    "a poll slower than silence": (
        ('  map = "evse_wb"', '  poll_ms = 6000\n  map = "evse_wb"'),
        "agent.toml [evse.1.controller] poll_ms: must be at most half of [safety] controller_silent_s, which is 10 s",
    ),
    "a fail-safe current above the limit": (
        ('  map = "evse_wb"', '  failsafe_a = 63\n  map = "evse_wb"'),
        "agent.toml [evse.1.controller] failsafe_a: 63 A is more than this EVSE may offer (32 A)",
    ),
    "a reader for an EVSE that is not there": (
        ('driver = "rdm6300"', 'driver = "rdm6300"\nevses = [1, 2]'),
        "agent.toml [reader #1] evses: no EVSE has id 2; defined are 1",
    ),
    "an EVSE named twice for a reader": (
        ('driver = "rdm6300"', 'driver = "rdm6300"\nevses = [1, 1]'),
        "agent.toml [reader #1] evses: expected a list of EVSE ids such as [1, 2], each once, not [1, 1]",
    ),
    "a reader without a port": (
        ('port = "/dev/ttyUSB2"', ""),
        "agent.toml [reader #1] port: missing; the driver rdm6300 needs it",
    ),
    "a key of another reader": (
        ('driver = "rdm6300"', 'driver = "rdm6300"\npattern = "x"'),
        "agent.toml [reader #1] pattern: belongs to the driver ascii-line only",
    ),
    "a pattern that is none": (
        ('driver = "rdm6300"', 'driver = "ascii-line"\npattern = "(x"'),
        "agent.toml [reader #1] pattern: is no regular expression: missing ), unterminated subpattern at position 0",
    ),
    "an attached cable without a rating": (
        ("id = 1", 'id = 1\ncable = "attached"'),
        "agent.toml [evse.1] cable_a: missing; an attached cable has a rating, such as cable_a = 32 "
        '(or cable = "socket")',
    ),
    "a rating of a socket": (
        ("id = 1", "id = 1\ncable_a = 32"),
        'agent.toml [evse.1] cable_a: only an attached cable has a fixed rating; remove it or set cable = "attached"',
    ),
    "a connector that contradicts the cable": (
        ("id = 1", 'id = 1\nconnector = "cType2"'),
        'agent.toml [evse.1] connector: cType2 is an attached cable, but cable = "socket"',
    ),
    "an address of the web": (
        ("ws://", "https://"),
        "agent.toml [csms] url: expected ws://HOST:PORT/PATH or wss://HOST:PORT/PATH without a login in it, "
        "but this is something else",
    ),
    "a login in the address": (
        ("ws://", "ws://me:secret@"),
        "agent.toml [csms] url: expected ws://HOST:PORT/PATH or wss://HOST:PORT/PATH without a login in it, "
        "but this is something else",
    ),
    "a version that nobody speaks": (
        ("[csms]", '[csms]\nversions = ["1.5"]'),
        "agent.toml [csms] versions: expected a list of the OCPP versions 2.0.1 and 1.6, the preferred one first, "
        'not ["1.5"]',
    ),
    "no version at all": (
        ("[csms]", "[csms]\nversions = []"),
        "agent.toml [csms] versions: expected a list of the OCPP versions 2.0.1 and 1.6, the preferred one first, "
        "not []",
    ),
    "two passwords": (
        ("[csms]", '[csms]\npassword = "a"\npassword_file = "b"'),
        "agent.toml [csms] password_file: there is a password as well; use one of the two",
    ),
    "a password file that is not there": (
        ("[csms]", '[csms]\npassword_file = "secret"'),
        "agent.toml [csms] password_file: secret cannot be read: No such file or directory",
    ),
    "a password that is no hex": (
        ("[csms]", '[csms]\npassword = "hunter2"\npassword_form = "hex"'),
        "agent.toml [csms] password_form: is hex, but the password has other characters than pairs of 0-9 and A-F",
    ),
    "a user with a colon": (
        ("CP001", "CP:001", "[csms]", '[csms]\npassword = "hunter2"'),
        'agent.toml [csms] user: missing or unfit; a user with a colon cannot log in by password, add user = "..."',
    ),
    "a CA file that is not there": (
        ("[csms]", '[csms]\nca_file = "ca.pem"'),
        "agent.toml [csms] ca_file: no such file: ca.pem",
    ),
    "a command without its whole path": (
        ("[service]", '[service]\nreboot_command = ["reboot"]'),
        'agent.toml [service] reboot_command: expected a list such as ["/sbin/reboot"], the program with '
        'its whole path, not ["reboot"]',
    ),
    "a variable that nobody knows": (
        ("[variables]", "[variables]\nHeartbeetInterval = 10"),
        "agent.toml [variables] HeartbeetInterval: no such variable; did you mean HeartbeatInterval?",
    ),
    "a variable with a wrong value": (
        ("[variables]", '[variables]\nHeartbeatInterval = "often"'),
        "agent.toml [variables] HeartbeatInterval: expected whole number from 0 to 86400",
    ),
    "a key that cannot be set": (
        ("[variables]", "[variables]\nNumberOfConnectors = 2"),
        "agent.toml [variables] NumberOfConnectors: is a fact of this program and cannot be set",
    ),
    "a variable set by both of its names": (
        ("[variables]", "[variables]\nHeartbeatInterval = 10\nOCPPCommCtrlr.HeartbeatInterval = 20"),
        "agent.toml [variables] OCPPCommCtrlr.HeartbeatInterval: sets the same variable as HeartbeatInterval, "
        "to another value",
    ),
    "a date as a variable": (
        ("[variables]", "[variables]\nHeartbeatInterval = 2026-01-01"),
        "agent.toml [variables] HeartbeatInterval: expected a text, a number, true or false, or a list of texts",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_exact_line(mistake: str, tmp_path: Path) -> None:
    changes, expected = MISTAKES[mistake]
    assert line(tmp_path, *changes) == expected


def test_the_base_of_these_tests_is_right(tmp_path: Path) -> None:
    assert loaded(tmp_path).warnings == ()


def test_the_exit_code_of_a_mistake_is_78(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "nothing.toml")
    assert int(caught.value.exit_code) == 78


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.toml: cannot be read: No such file or directory$"):
        load(tmp_path / "nothing.toml")


def test_a_file_that_is_not_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_bytes(b"[station]\nvendor = '\xff'\n")
    with pytest.raises(ConfigError, match=r"agent\.toml: line 2: is not UTF-8 text$"):
        load(tmp_path / "agent.toml")


def test_a_file_of_many_megabytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text("#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="is longer than 1048576 bytes"):
        load(tmp_path / "agent.toml")


def test_a_charger_without_an_evse_is_refused(tmp_path: Path) -> None:
    evse = BASE[BASE.index("[[evse]]") : BASE.index("[[reader]]")]
    assert line(tmp_path, evse, "") == "agent.toml [evse]: missing; a charger has at least one [[evse]]"


# --- what works --------------------------------------------------------------------------------------------


def test_controller_and_meter_of_one_evse_may_be_one_device(tmp_path: Path) -> None:
    config = loaded(tmp_path, 'bus = "rs485b"\n  unit = 2', 'bus = "rs485"\n  unit = 1')
    assert config.evses[0].controller.unit == config.evses[0].meter.unit


def test_evses_are_in_the_order_of_their_ids(tmp_path: Path) -> None:
    config = loaded(tmp_path, "id = 1", "id = 2", "[transactions]", SECOND.format(id=1, unit=3))
    assert [evse.id for evse in config.evses] == [1, 2]


def test_a_reader_without_evses_serves_all(tmp_path: Path) -> None:
    config = loaded(tmp_path, "[transactions]", SECOND.format(id=2, unit=3))
    assert config.readers[0].evses == (1, 2)


def test_an_attached_cable_limits_the_offer(tmp_path: Path) -> None:
    config = loaded(tmp_path, "id = 1", 'id = 1\ncable = "attached"\ncable_a = 20')
    assert (config.evses[0].limit_a, config.evses[0].connector) == (20, "cType2")


def test_paths_count_from_the_folder_of_the_file(tmp_path: Path) -> None:
    config = loaded(tmp_path, "[storage]", '[storage]\ndir = "data"')
    assert (config.storage.dir, config.service.maps_dir) == (f"{tmp_path}/data", f"{tmp_path}/maps")


def test_a_map_of_the_manufacturer_is_found(tmp_path: Path) -> None:
    (tmp_path / "maps" / "evse").mkdir(parents=True)
    (tmp_path / "maps" / "evse" / "acme-1.toml").write_text("")
    assert loaded(tmp_path, '"evse_wb"', '"acme-1"').evses[0].controller.map == "acme-1"


def test_variables_are_kept_as_text(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        "[variables]",
        '[variables]\nA.B = 1\n"C.D[e]" = true\nF = ["x", "y"]\nG = "z"\n[variables.H]\nI = 0.5',
    )
    assert config.variables == {"A.B": "1", "C.D[e]": "true", "F": "x,y", "G": "z", "H.I": "0.5"}


def test_a_key_of_one_version_sets_all_variables_behind_it(tmp_path: Path) -> None:
    config = loaded(tmp_path, "[variables]", "[variables]\nmetervaluesampleinterval = 10")
    assert resolve(config) == {"SampledDataCtrlr.TxUpdatedInterval": "10", "SampledDataCtrlr.TxEndedInterval": "10"}


def test_two_loads_of_the_same_file_are_equal(tmp_path: Path) -> None:
    assert loaded(tmp_path) == loaded(tmp_path)


def test_the_socket_is_found_without_checking_the_rest(tmp_path: Path) -> None:
    file = written(tmp_path, "[service]", '[service]\nsocket = "s.sock"', "CP001", "CP:001", "[csms]", "[cmss]")
    assert control_socket(file) == f"{tmp_path}/s.sock"


# --- passwords ---------------------------------------------------------------------------------------------

SECRET = "correct-horse"


def test_a_password_does_not_show_in_the_repr(tmp_path: Path) -> None:
    config = loaded(tmp_path, "[csms]", f'[csms]\npassword = "{SECRET}"', "[variables]", f'[variables]\nX = "{SECRET}"')
    assert SECRET not in repr(config)


def test_a_password_of_a_wrong_type_does_not_show_in_the_error(tmp_path: Path) -> None:
    assert SECRET not in line(tmp_path, "[csms]", f'[csms]\npassword = ["{SECRET}"]')


def test_a_password_file_gives_its_one_line(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    assert loaded(tmp_path, "[csms]", '[csms]\npassword_file = "secret"').csms.password == SECRET


def test_a_password_file_may_lie_where_the_service_manager_puts_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "csms").write_text(SECRET)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    config = loaded(tmp_path, "[csms]", '[csms]\npassword_file = "$CREDENTIALS_DIRECTORY/csms"')
    assert config.csms.password == SECRET


def test_keys_and_certificates_may_lie_where_the_service_manager_puts_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {"ca_file": "ca.pem", "client_certificate_file": "charger.pem", "client_key_file": "charger.key"}
    (tmp_path / "copies").mkdir()
    for name in keys.values():
        (tmp_path / "copies" / f"cp_{name}").touch()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "copies"))
    lines = "\n".join(f'{key} = "$CREDENTIALS_DIRECTORY/cp_{name}"' for key, name in keys.items())
    csms = loaded(tmp_path, "[csms]", f"[csms]\n{lines}").csms
    assert [getattr(csms, key) for key in keys] == [f"{tmp_path}/copies/cp_{name}" for name in keys.values()]


def test_who_is_not_the_service_finds_its_secrets_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "csms-password").write_text(SECRET)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    config = loaded(tmp_path, "[csms]", '[csms]\npassword_file = "$CREDENTIALS_DIRECTORY/cp_csms-password"')
    assert config.csms.password == SECRET


def test_a_password_file_of_two_lines_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n{SECRET}\n")
    told = line(tmp_path, "[csms]", '[csms]\npassword_file = "secret"')
    assert told == ("agent.toml [csms] password_file: secret must hold one line of 1 to 128 printable characters")


def test_a_password_in_hex_is_bytes(tmp_path: Path) -> None:
    config = loaded(tmp_path, "[csms]", '[csms]\npassword = "00ff"\npassword_form = "hex"')
    assert config.csms.password == b"\x00\xff"


# --- warnings ----------------------------------------------------------------------------------------------


def warnings(folder: Path, *changes: str) -> list[str]:
    return [text.replace(f"{folder}/", "") for text in loaded(folder, *changes).warnings]


def test_a_bus_without_devices_is_a_warning(tmp_path: Path) -> None:
    assert warnings(tmp_path, 'bus = "rs485b"', 'bus = "rs485"') == [
        "agent.toml [bus.rs485b]: warning: no device uses this bus"
    ]


def test_a_password_that_everybody_can_read_is_a_warning(tmp_path: Path) -> None:
    file = written(tmp_path, "[csms]", f'[csms]\npassword = "{SECRET}"')
    file.chmod(0o644)
    assert [text.replace(f"{tmp_path}/", "") for text in load(file).warnings] == [
        "agent.toml [csms] password: warning: everybody on this system can read this file; chmod o-r"
    ]


def test_a_ca_file_without_tls_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    assert warnings(tmp_path, "[csms]", '[csms]\nca_file = "ca.pem"') == [
        "agent.toml [csms] ca_file: warning: has no effect with ws://, only with wss://"
    ]


def test_an_evse_above_the_supply_is_a_warning(tmp_path: Path) -> None:
    assert warnings(tmp_path, "[station]", "[station]\nmax_current_a = 16") == [
        "agent.toml [evse.1] max_current_a: warning: more than [station] max_current_a, which is 16 A and wins"
    ]


def test_a_charger_without_a_reader_is_a_warning(tmp_path: Path) -> None:
    reader = BASE[BASE.index("[[reader]]") : BASE.index("[transactions]")]
    assert warnings(tmp_path, reader, "") == ["agent.toml [reader]: warning: none; only the CSMS can start a charge"]


# --- drop-ins ----------------------------------------------------------------------------------------------


def dropped(folder: Path, name: str, text: str) -> None:
    (folder / "conf.d").mkdir(exist_ok=True)
    (folder / "conf.d" / name).write_text(text)


def test_a_drop_in_wins_key_by_key(tmp_path: Path) -> None:
    dropped(tmp_path, "site.toml", '[csms]\nurl = "wss://csms.example"')
    assert (loaded(tmp_path).csms.url, loaded(tmp_path).csms.identity) == ("wss://csms.example", "CP001")


def test_the_last_drop_in_wins(tmp_path: Path) -> None:
    dropped(tmp_path, "10-a.toml", '[csms]\nidentity = "A"')
    dropped(tmp_path, "20-b.toml", '[csms]\nidentity = "B"')
    assert loaded(tmp_path).csms.identity == "B"


def test_a_drop_in_changes_the_evse_of_the_same_id(tmp_path: Path) -> None:
    dropped(tmp_path, "site.toml", "[[evse]]\nid = 1\nmax_current_a = 16\n[evse.meter]\nunit = 9")
    evse = loaded(tmp_path).evses[0]
    assert (evse.max_current_a, evse.meter.unit, evse.meter.map) == (16, 9, "eastron_sdm630")


def test_a_drop_in_adds_a_reader(tmp_path: Path) -> None:
    dropped(tmp_path, "site.toml", '[[reader]]\ndriver = "ascii-line"\nport = "/dev/ttyACM0"')
    assert [reader.driver for reader in loaded(tmp_path).readers] == ["rdm6300", "ascii-line"]


def test_a_mistake_in_a_drop_in_names_the_drop_in(tmp_path: Path) -> None:
    dropped(tmp_path, "site.toml", "[[evse]]\nid = 1\nphases = 4")
    assert line(tmp_path) == "conf.d/site.toml [evse.1] phases: expected a whole number from 1 to 3, not 4"


def test_an_entry_that_a_drop_in_doubles_is_still_a_double(tmp_path: Path) -> None:
    dropped(tmp_path, "site.toml", '[[bus]]\nname = "rs485"\nbaud = 4800\n[[bus]]\nname = "rs485"\nbaud = 2400')
    assert line(tmp_path) == 'conf.d/site.toml [bus #3] name: "rs485" is used twice'
