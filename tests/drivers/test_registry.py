"""Drivers by name, and what may be imported for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from drivers import registry
from drivers.api import DriverError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", sorted(registry.BUILT_IN))
def test_each_built_in_name_has_its_class(name: str) -> None:
    assert isinstance(registry.find(name), type)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(DriverError, match="no driver 'mapped'; known are acs, ascii-line, "):
        registry.find("mapped")


def declare(folder: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """A manufacturer's installed package with one driver in it."""
    (folder / "acme-1.dist-info").mkdir()
    (folder / "acme-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    (folder / "acme-1.dist-info" / "entry_points.txt").write_text(f"[{registry.GROUP}]\nacme = {target}\n")
    (folder / "acme_driver.py").write_text("class Board: ...\n")
    monkeypatch.syspath_prepend(str(folder))


def test_a_driver_of_a_manufacturers_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(tmp_path, monkeypatch, "acme_driver:Board")
    assert registry.find("acme").__name__ == "Board"


def test_a_driver_that_cannot_be_loaded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(tmp_path, monkeypatch, "acme_drivers:Board")
    with pytest.raises(DriverError, match=r"driver 'acme' \(acme_drivers:Board\) cannot be loaded: No module"):
        registry.find("acme")


def imported_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_drivers_need_no_agent() -> None:
    modules = imported_by("import drivers.mapped_meter, drivers.mapped_evse, drivers.wire, drivers.registry")
    assert not {m for m in modules if m == "agent" or m.startswith("agent.")}


@pytest.mark.parametrize("heavy", ["pymodbus", "serial", "importlib.metadata", "logging.config", "email"])
def test_a_driver_imports_nothing_heavy_before_it_is_used(heavy: str) -> None:
    statement = "import drivers.mapped_meter, drivers.mapped_evse, drivers.registry, drivers.token.rdm6300"
    assert heavy not in imported_by(statement)


def test_the_wire_never_imports_a_server() -> None:
    assert "pymodbus.server" not in imported_by("import drivers.wire, pymodbus.client")


def test_a_serial_line_is_spoken_without_a_modbus_library() -> None:
    modules = imported_by(
        "import asyncio, os\n"
        "from drivers.bus import SerialSettings\n"
        "from drivers.wire import make_bus\n"
        "bus = make_bus(SerialSettings(os.ttyname(os.openpty()[1])))\n"
        "asyncio.run(bus.open())\n"
        "assert bus.epoch == 1"
    )
    assert "serial" in modules
    assert "pymodbus" not in modules
