"""A controller made of parts in the configuration: what it becomes, and each mistake by file, table and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cli.check import complete
from agent.config import Config, load
from agent.config_composed import ChannelName, pilot_of
from agent.errors import ConfigError
from agent.parts import Parts
from drivers.api import ShowsState, Unlocks
from drivers.composed import ComposedEvse
from drivers.wire import make_bus

TEXT = """
[station]
vendor = "Example"
model = "Wallbox 22"
[csms]
url = "ws://127.0.0.1:9000/ocpp"
identity = "CP-1"
[[bus]]
name = "rs485"
port = "/dev/ttyUSB0"
[[bus]]
name = "net"
host = "192.0.2.1"
[[io]]
name = "relays"
map = "wago_750_analog"
bus = "net"
unit = 1
watchdog_s = 2
[[io]]
name = "lines"
driver = "gpio"
chip = "/dev/gpiochip0"
outputs = [17]
inputs = [22, 23]
[[evse]]
id = 1
  [evse.controller]
  driver = "composed"
  poll_ms = 250
  [evse.controller.pilot]
  map = "evse_wb"
  bus = "rs485"
  unit = 1
  [evse.controller.contactor]
  output = "relays.0"
  mirror = "!relays.0"
  [evse.controller.guards]
  residual = "!relays.1"
  [evse.controller.lock]
  lock = "relays.1"
  unlock = "relays.2"
  locked = "lines.22"
  [evse.controller.cable]
  volts = "relays.0"
  [evse.controller.lights]
  charging = ["relays.4"]
  [evse.meter]
  map = "eastron_sdm630"
  bus = "rs485"
  unit = 2
[[reader]]
driver = "rdm6300"
port = "/dev/ttyUSB1"
"""
IO_PILOT = (
    '  map = "evse_wb"\n  bus = "rs485"\n  unit = 1\n',
    '  driver = "io-pilot"\n  connected = "lines.22"\n  requesting = "lines.23"\n  enable = "lines.17"\n'
    "  current_a = 16\n",
)


def loaded(folder: Path, *changes: str) -> Config:
    text = TEXT
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file = folder / "agent.toml"
    file.write_text(text)
    return load(file)


def test_its_parts_are_read(tmp_path: Path) -> None:
    controller = loaded(tmp_path).evses[0].controller
    assert controller.composed is not None
    assert controller.composed.contactor["mirror"] == ChannelName("relays", 0, True)
    assert controller.composed.contactor["verify_ms"] == 250
    assert (pilot_of(controller).driver, pilot_of(controller).unit) == ("mapped-evse", 1)


def test_it_becomes_a_controller_with_its_abilities(tmp_path: Path) -> None:
    controller = Parts(loaded(tmp_path), make_bus).evses[0].controller
    assert isinstance(controller, ComposedEvse)
    assert isinstance(controller, Unlocks) and isinstance(controller, ShowsState)


def test_what_its_contactor_may_take_is_known_to_whoever_watches_it(tmp_path: Path) -> None:
    [limits] = Parts(loaded(tmp_path), make_bus).limits
    assert (limits.opens_s, limits.closes_s) == (6.0, 33.0)
    output = '  output = "relays.0"\n'
    slow = loaded(tmp_path, output, f"{output}  force_off_s = 20\n  min_open_s = 100\n")
    [limits] = Parts(slow, make_bus).limits
    assert (limits.opens_s, limits.closes_s) == (20.0, 103.0)


def test_a_pilot_module_becomes_one_too(tmp_path: Path) -> None:
    assert isinstance(Parts(loaded(tmp_path, *IO_PILOT), make_bus).evses[0].controller, ComposedEvse)


def test_it_is_right_with_a_word_on_what_has_no_guard(tmp_path: Path) -> None:
    said = "\n".join(complete(loaded(tmp_path)))
    assert "[io.lines] driver: warning: lines of a chip keep their level when the agent dies" in said
    assert "[io.relays] map: warning: registers of wago_750_analog were never confirmed" in said
    assert "mirror" not in said


def test_what_is_missing_for_safety_is_said(tmp_path: Path) -> None:
    config = loaded(
        tmp_path, '  mirror = "!relays.0"\n', "", '  [evse.controller.guards]\n  residual = "!relays.1"\n', "",
        '  [evse.controller.lock]\n  lock = "relays.1"\n  unlock = "relays.2"\n  locked = "lines.22"\n', "",
    )  # fmt: skip
    said = "\n".join(config.warnings)
    for word in ("without a mirror contact", "residual-current device is not told", "a socket without a lock"):
        assert word in said


MISTAKES: dict[str, tuple[tuple[str, ...], str]] = {
    "no contactor": (
        ('  [evse.controller.contactor]\n  output = "relays.0"\n  mirror = "!relays.0"\n', ""),
        "[evse.1.controller] contactor: missing; the driver composed needs a table [evse.controller.contactor]",
    ),
    "parts of another driver": (
        ('  driver = "composed"\n', '  driver = "mapped-evse"\n'),
        "[evse.1.controller.pilot]: belongs to the driver composed only",
    ),
    "a bus at the wrong place": (
        ('  driver = "composed"\n', '  driver = "composed"\n  bus = "rs485"\n'),
        "[evse.1.controller] bus: belongs to a part of the driver composed, such as [evse.controller.pilot]; move it",
    ),
    "a channel that is none": (
        ('output = "relays.0"', 'output = "relays"'),
        '[evse.1.controller.contactor] output: expected a channel of an [[io]] such as "relays.3"',
    ),
    "a board that nobody knows": (
        ('output = "relays.0"', 'output = "relay.0"'),
        '[evse.1.controller.contactor] output: no [[io]] named "relay"; defined are relays, lines',
    ),
    "an output used twice": (
        ('unlock = "relays.2"', 'unlock = "relays.0"'),
        "[evse.1.controller.lock] unlock: relays.0 is already used by [evse.1.controller.contactor] output",
    ),
    "a light that nobody knows": (
        ("  charging = [", "  chargin = ["),
        "[evse.1.controller.lights] chargin: unknown key; did you mean charging?",
    ),
    "a unit that is taken": (
        ('bus = "net"\nunit = 1', 'bus = "rs485"\nunit = 2'),
        '[io.relays] unit: unit 2 on bus "rs485" is already the meter of EVSE 1',
    ),
    "a board for any unit beside others": (
        ('bus = "net"\nunit = 1', 'bus = "rs485"\nunit = 255'),
        "[io.relays] unit: 255 may answer for any unit, but the controller of EVSE 1 is on the same bus; readdress it",
    ),
    "a unit for all": (
        ('bus = "net"\nunit = 1', 'bus = "net"\nunit = 0'),
        "[io.relays] unit: expected a whole number from 1 to 255, not 0",
    ),
    "a unit between": (
        ('bus = "net"\nunit = 1', 'bus = "rs485"\nunit = 250'),
        "[io.relays] unit: expected 1 to 247 on a serial line, or 255 for a board alone on it",
    ),
    "a chip for a board": (
        ("watchdog_s = 2", 'chip = "/dev/gpiochip1"'),
        "[io.relays] chip: has no meaning for the driver mapped-io; remove it",
    ),
    "a line that is both": (
        ("inputs = [22, 23]", "inputs = [17, 22]"),
        "[io.lines] inputs: line 17 is an output already",
    ),
    "a half pilot module": (
        (IO_PILOT[0], IO_PILOT[1].replace("  current_a = 16\n", "")),
        "[evse.1.controller.pilot] current_a: missing; the driver io-pilot needs it",
    ),
    "a module's key at a controller": (
        ('  map = "evse_wb"\n', '  map = "evse_wb"\n  current_a = 16\n'),
        "[evse.1.controller.pilot] current_a: belongs to the driver io-pilot",
    ),
    "a pilot without its map": (
        ('  map = "evse_wb"\n', ""),
        "[evse.1.controller.pilot] map: missing; the driver mapped-evse needs it",
    ),
    "a part as a whole": (
        ('  map = "eastron_sdm630"\n', '  driver = "composed"\n'),
        "[evse.1.meter] driver: composed is no driver for a meter; use mapped-meter",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_with_table_and_key(mistake: str, tmp_path: Path) -> None:
    changes, expected = MISTAKES[mistake]
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path, *changes)
    assert str(error.value).startswith(f"{tmp_path}/agent.toml {expected}")


LATER: dict[str, tuple[tuple[str, ...], str]] = {
    "a channel that the board does not have": (
        ('unlock = "relays.2"', 'unlock = "relays.8"'),
        "[evse.1.controller.lock] unlock: relays.8: the board relays has no such one among its outputs, which are 0 to",
    ),
    "an analogue input of a chip": (
        ('volts = "relays.0"', 'volts = "lines.22"'),
        "[evse.1.controller.cable] volts: lines.22: the board lines has no such one among its analog, which are none",
    ),
    "a map that is not there": (
        ('map = "wago_750_analog"', 'map = "wago_751"'),
        "[io.relays] map: no io map 'wago_751'",
    ),
    "a watchdog that is not there": (
        (
            'map = "wago_750_analog"',
            'map = "brainboxes_ed588"',
            '  [evse.controller.cable]\n  volts = "relays.0"\n',
            "",
        ),
        "[io.relays] watchdog_s: the map brainboxes_ed588 has no register for it; remove it",
    ),
    "a poll that is too slow for the watchdog of the map": (
        ("watchdog_s = 2\n", "", "poll_ms = 250", "poll_ms = 1000"),
        "[evse.1.controller] poll_ms: must be at most a third of watchdog_s of [io.relays], which is 2 s",
    ),
    "a poll that is too slow for the watchdog": (
        ("poll_ms = 250", "poll_ms = 1000"),
        "[evse.1.controller] poll_ms: must be at most a third of watchdog_s of [io.relays], which is 2 s",
    ),
}


@pytest.mark.parametrize("mistake", LATER)
def test_what_a_board_lacks_is_found_by_the_check_and_at_the_start(mistake: str, tmp_path: Path) -> None:
    changes, expected = LATER[mistake]
    config = loaded(tmp_path, *changes)
    for look in (complete, lambda config: Parts(config, make_bus)):
        with pytest.raises(ConfigError) as error:
            look(config)
        assert str(error.value).startswith(f"{tmp_path}/agent.toml {expected}")


def test_a_drop_in_changes_a_board_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "site.toml").write_text('[[io]]\nname = "relays"\nunit = 9\n')
    assert [board.unit for board in loaded(tmp_path).ios] == [9, None]


def test_a_pilot_module_that_cannot_tell_its_errors_is_said(tmp_path: Path) -> None:
    assert "an error of the pilot looks like a car that has left" in "\n".join(loaded(tmp_path, *IO_PILOT).warnings)
