"""Controllers with drivers of their own: what is wrong with their places, and which of them have no watchdog."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cli.check import complete
from agent.config import load
from agent.errors import ConfigError
from agent.parts import Parts
from drivers.registry import UNGUARDED
from drivers.wire import make_bus

STATION = """
[station]
vendor = "Example"
model = "Wallbox 11"
[csms]
url = "ws://127.0.0.1:9000/ocpp"
identity = "CP-1"
[[bus]]
name = "line"
port = "/dev/ttyS1"
[[evse]]
id = 1
cable = "socket"
max_current_a = 16
  [evse.controller]
  driver = "{driver}"
  bus = "line"
  {unit}
  [evse.meter]
  map = "eastron_sdm630"
  bus = "line"
  unit = 2
"""
SAID = "has no watchdog: if the agent dies while charging, the last offer stands"


def written(folder: Path, driver: str, unit: str = "unit = 1") -> str:
    file = folder / "agent.toml"
    file.write_text(STATION.format(driver=driver, unit=unit))
    return str(file)


@pytest.mark.parametrize("driver", UNGUARDED)
def test_the_check_warns_of_it(driver: str, tmp_path: Path) -> None:
    warnings = complete(load(written(tmp_path, driver)))
    assert [line.partition("agent.toml ")[2] for line in warnings if SAID in line] == [
        f"[evse.1.controller] driver: warning: {driver} {SAID}"
    ]


@pytest.mark.parametrize("driver", UNGUARDED)
async def test_the_start_warns_of_it(driver: str, tmp_path: Path) -> None:
    parts = Parts(load(written(tmp_path, driver)), make_bus)
    assert parts.gaps == {1: f"EVSE 1: its controller {driver} {SAID}"}
    await parts.close()


@pytest.mark.parametrize("driver", UNGUARDED)
def test_a_unit_that_is_missing_is_one_line(driver: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"\[evse.1.controller\] unit: missing; the driver {driver} needs it"):
        load(written(tmp_path, driver, ""))


def test_an_etek_as_it_leaves_the_factory_must_be_alone_on_its_line(tmp_path: Path) -> None:
    file = Path(written(tmp_path, "etek", "unit = 255"))
    with pytest.raises(ConfigError, match=r"controller\] unit: 255 may answer for any unit, but .* is on the same bus"):
        load(str(file))
    alone = file.read_text().replace('sdm630"\n  bus = "line"', 'sdm630"\n  bus = "meters"')
    file.write_text(alone.replace("[[evse]]", '[[bus]]\nname = "meters"\nport = "/dev/ttyS2"\n[[evse]]'))
    assert load(str(file)).evses[0].controller.unit == 255


def test_no_other_controller_may_be_called_255_on_a_serial_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected 1 to 247 on a serial line"):
        load(written(tmp_path, "edgetech-smartevse", "unit = 255"))


def test_a_driver_whose_map_nobody_has_confirmed_is_warned_of(tmp_path: Path) -> None:
    assert [line for line in complete(load(written(tmp_path, "etek"))) if "never confirmed" in line]
    assert not [line for line in complete(load(written(tmp_path, "innogy-ebox"))) if "never confirmed" in line]


@pytest.mark.parametrize(("max_a", "warned"), [(15, True), (16, False)])
def test_a_limit_with_which_no_car_begins_on_three_phases_is_warned_of(
    max_a: int, warned: bool, tmp_path: Path
) -> None:
    file = Path(written(tmp_path, "mapped-evse", 'unit = 1\n  map = "delta_ac_max"'))
    file.write_text(file.read_text().replace("max_current_a = 16", f"max_current_a = {max_a}"))
    said = [line for line in complete(load(str(file))) if "no car begins on three phases" in line]
    assert bool(said) is warned


def test_a_smartevse_node_with_a_place_of_its_own_is_no_cause_for_a_warning(tmp_path: Path) -> None:
    warnings = complete(load(written(tmp_path, "smartevse", "unit = 3")))
    assert [line for line in warnings if "controller" in line] == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("unit = 3", "unit = 1", r"controller\] unit: expected 2 to 8"),
        ("unit = 2", "unit = 9", r"meter\] unit: 9 is what all smartevse on this bus hear"),
        ('port = "/dev/ttyS1"', 'host = "10.0.0.9"', r"controller\] bus: .* need a serial line; use a bus with a port"),
    ],
)
def test_a_place_where_no_smartevse_node_can_be_is_one_line(old: str, new: str, said: str, tmp_path: Path) -> None:
    file = Path(written(tmp_path, "smartevse", "unit = 3"))
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=said):
        load(str(file))
