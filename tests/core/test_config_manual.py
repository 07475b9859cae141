"""The manual, the commented example and the dataclasses name the same keys and defaults as the program knows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import tomli

from agent import __version__
from agent import config as words
from agent.config import load
from agent.config_composed import IO, IoConfig
from agent.config_composed import TABLES as PARTS
from agent.config_csms import CsmsConfig
from agent.config_firmware import FirmwareConfig
from agent.config_keys import TABLES as KEYS
from agent.config_toml import REQUIRED
from agent.errors import Exit

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "etc" / "agent.toml"
MANUAL = (ROOT / "etc" / "README.md").read_text("utf-8")
LISTS = ("bus", "io", "evse", "reader")
COMPOSED = {f"evse.controller.{name}": keys for name, keys in PARTS.items() if name != "lights"}
TABLES = {**KEYS, "io": IO, **COMPOSED}
CLASSES: dict[str, Any] = {
    "station": words.StationConfig,
    "csms": CsmsConfig,
    "bus": words.BusConfig,
    "io": IoConfig,
    "evse": words.EvseConfig,
    "evse.controller": words.DeviceConfig,
    "evse.derating": words.DeratingConfig,
    "evse.phase_switching": words.SwitchingConfig,
    "evse.wake_up": words.WakeUpConfig,
    "reader": words.ReaderConfig,
    "transactions": words.TransactionsConfig,
    "safety": words.SafetyConfig,
    "storage": words.StorageConfig,
    "service": words.ServiceConfig,
    "firmware": FirmwareConfig,
    "security": words.SecurityConfig,
}
NOT_KEPT = {"csms": {"password_file"}}  # it says where the password is written
INSIDE = {
    "csms": {"fallback"},
    "evse": {"controller", "meter", "derating", "phase_switching", "wake_up"},
    "evse.controller": {"signing", "public_key", "composed"},
}


def uncommented() -> str:
    return re.sub(r'^#(["a-z\[])', r"\1", EXAMPLE.read_text("utf-8"), flags=re.MULTILINE)


def example() -> dict[str, dict[str, Any]]:
    """Every key of the example with the value shown, by table; the members of a list together."""
    data = tomli.loads(re.sub(r"^password_file", "#", uncommented(), flags=re.MULTILINE))
    found: dict[str, dict[str, Any]] = {}
    for name, value in data.items():
        merged: dict[str, Any] = {}
        for table in value if name in LISTS else [value]:
            merged = table | merged
        found[name] = merged
    found["csms.fallback"] = found["csms"].pop("fallback")[0] | {"password_file": ""}
    found["evse.controller"] = found["evse"].pop("controller")
    for evse in reversed(data["evse"]):
        for name in PARTS:
            table = found.setdefault(f"evse.controller.{name}", {})
            found[f"evse.controller.{name}"] = table | evse["controller"].get(name, {})
    found["evse.meter"] = found["evse"].pop("meter")
    for name in ("derating", "phase_switching", "wake_up"):
        found[f"evse.{name}"] = found["evse"].pop(name)
    found["csms"]["password_file"] = ""
    return found


def manual() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for part in re.split(r"^#+ ", MANUAL, flags=re.MULTILINE)[1:]:
        if heading := re.match(r"\[+([a-z._]+)\]+", part):
            found[heading[1]] = set(re.findall(r"^\| `([a-z0-9_]+)` \|", part, flags=re.MULTILINE))
    return found


@pytest.mark.parametrize("table", TABLES)
def test_lesson_29_the_manual_explains_every_key_and_no_other(table: str) -> None:
    assert manual()[table] == set(TABLES[table])


@pytest.mark.parametrize("table", TABLES)
def test_the_example_shows_every_key_and_no_other(table: str) -> None:
    assert set(example()[table]) == set(TABLES[table])


@pytest.mark.parametrize("table", CLASSES)
def test_the_class_holds_every_key_and_no_other(table: str) -> None:
    fields = set(CLASSES[table].__annotations__)
    assert fields - INSIDE.get(table, set()) == set(TABLES[table]) - NOT_KEPT.get(table, set())


@pytest.mark.parametrize("table", TABLES)
def test_a_commented_key_of_the_example_shows_its_default(table: str) -> None:
    shown = example()[table]
    for key, rule in TABLES[table].items():
        if rule.default not in (REQUIRED, None, ()):
            assert rule.convert(shown[key]) == rule.default, key


def test_the_example_works_as_it_is() -> None:
    config = load(EXAMPLE)
    assert (config.evses[0].controller.map, config.evses[0].meter.map) == ("evse_wb", "eastron_sdm630")


def test_the_example_works_with_every_key_in_use(tmp_path: Path) -> None:
    text = re.sub(r"^password_file", "#", uncommented(), flags=re.MULTILINE)
    for name in ("csms-ca.pem", "files-ca.pem", "charger.pem", "charger.key"):
        text = text.replace(f"/etc/chargepoint/{name}", str(tmp_path / "ca.pem"))
    text = text.replace('cable = "socket"', 'cable = "attached"').replace('"sType2"', '"cType2"')
    (tmp_path / "ca.pem").write_text("")
    (tmp_path / "agent.toml").write_text(text)
    assert load(tmp_path / "agent.toml").evses[0].cable_a == 32


def test_the_manual_lists_every_exit_code() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", MANUAL, flags=re.MULTILINE)}
    assert listed == {int(code) for code in Exit} | {130, 141}


def test_the_manual_names_only_tables_that_exist() -> None:
    assert set(manual()) == {*TABLES, "variables"}


def test_the_version_is_that_of_the_package() -> None:
    assert tomli.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"] == __version__
