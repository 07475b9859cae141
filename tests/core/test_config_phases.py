"""[evse.phase_switching], [evse.wake_up], phase_rotation and the fan: what they become, and who cannot do it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.blocks.assembly import assemble
from agent.cli.check import complete
from agent.config import load
from agent.core.phases import Switching, WakeUp
from agent.errors import ConfigError
from agent.parts import Parts
from drivers.api import SwitchesPhases, WakesCars
from drivers.wire import make_bus
from tests.core.test_config_composed import IO_PILOT
from tests.core.test_config_composed import TEXT as OF_PARTS
from tests.core.test_config_derating import CHARGER

BOARD = CHARGER.replace("evse_wb", "reference")
SWITCHING, WAKE_UP = "  [evse.phase_switching]\n", "  [evse.wake_up]\n"
SECOND = OF_PARTS.replace('output = "relays.0"', 'output = "relays.0"\n  three_phase = "relays.5"')
CUT = OF_PARTS.replace("  [evse.controller.contactor]", '  interrupt = "relays.5"\n  [evse.controller.contactor]')


def with_(text: str, tables: str) -> str:
    """The tables of the EVSE stand before the reader."""
    head, reader, tail = text.partition("[[reader]]")
    return head + tables + reader + tail


def parts(folder: Path, text: str) -> Parts:
    (folder / "agent.toml").write_text(text)
    config = load(folder / "agent.toml")
    complete(config)
    return Parts(config, make_bus)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as error:
        parts(folder, text)
    return str(error.value)


def test_without_their_tables_nothing_is_switched_and_nobody_is_woken(tmp_path: Path) -> None:
    made = parts(tmp_path, BOARD)
    assert (made.limits[0].switching, made.limits[0].wake_up) == (None, None)
    assert not isinstance(made.evses[0].controller, SwitchesPhases)


@pytest.mark.parametrize("text", [BOARD, SECOND])
def test_a_controller_that_can_switches(text: str, tmp_path: Path) -> None:
    made = parts(tmp_path, with_(text, SWITCHING + '  when = "automatic"\n  pause_s = 20\n'))
    assert isinstance(made.evses[0].controller, SwitchesPhases)
    assert made.limits[0].switching == Switching("automatic", 20.0, 300.0)


@pytest.mark.parametrize("text", [BOARD, CUT])
def test_a_controller_that_can_wakes(text: str, tmp_path: Path) -> None:
    made = parts(tmp_path, with_(text, WAKE_UP))
    assert isinstance(made.evses[0].controller, WakesCars)
    assert made.limits[0].wake_up == WakeUp(90.0, 2)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (with_(CHARGER, SWITCHING), "[evse.1] phase_switching: the map evse_wb cannot do it"),
        (with_(CHARGER, WAKE_UP), "[evse.1] wake_up: the map evse_wb cannot do it"),
        (with_(OF_PARTS, SWITCHING), "[evse.1] phase_switching: needs a second contactor"),
        (with_(OF_PARTS.replace(*IO_PILOT), WAKE_UP), "[evse.1] wake_up: needs a relay in the pilot's line"),
        (with_(BOARD.replace("id = 1", "id = 1\nphases = 1"), SWITCHING), "[evse.1] phases: is 1, yet"),
        (with_(BOARD, SWITCHING + "  pause_s = 1\n"), "[evse.1.phase_switching] pause_s: expected a number of seconds"),
        (OF_PARTS.replace('"!relays.0"', '"!relays.0"\n  fan = "relays.6"'), "[evse.1] ventilation: is false, yet"),
    ],
)
def test_who_cannot_do_it_is_named_with_the_key(text: str, why: str, tmp_path: Path) -> None:
    assert why in refusal(tmp_path, text)


def test_the_wiring_of_the_phases_goes_from_the_file_to_the_device_model(tmp_path: Path) -> None:
    made = parts(tmp_path, BOARD.replace("id = 1", 'id = 1\nphase_rotation = "STR"'))
    variables = assemble(made.limits, prefix="t").facts.variables
    assert variables.text("ChargingStation.ConnectorPhaseRotation") == "0.Unknown,1.STR"
