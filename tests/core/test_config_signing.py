"""Meters that sign, in the configuration: what they need, and what is told of one that cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.core.evse import EvseLimits
from agent.parts import Parts
from drivers.signed.em580 import Em580
from drivers.signed.wm3m4 import Wm3m4
from drivers.wire import make_bus
from tests.core.test_config import line, loaded

METER = '  map = "eastron_sdm630"\n  bus = "rs485b"\n  unit = 2\n'


def meter(*lines: str) -> tuple[str, str]:
    return METER, "".join(f"  {one}\n" for one in lines)


@pytest.mark.parametrize(("name", "kind"), [("em580", Em580), ("wm3m4", Wm3m4)])
def test_a_meter_that_signs_is_made_by_its_driver(name: str, kind: type, tmp_path: Path) -> None:
    lines = meter(f'driver = "{name}"', 'bus = "rs485b"', "unit = 2", 'signing = "required"')
    parts = Parts(loaded(tmp_path, *lines), make_bus)
    limits: EvseLimits = parts.limits[0]
    assert isinstance(parts.evses[0].meter, kind)
    assert (limits.signing, limits.signs) == ("required", True)


def test_without_a_word_nothing_is_signed(tmp_path: Path) -> None:
    limits = Parts(loaded(tmp_path), make_bus).limits[0]
    assert (limits.signing, limits.signs) == ("off", False)


def test_its_driver_needs_a_bus_and_a_unit(tmp_path: Path) -> None:
    assert "[evse.1.meter] bus: missing; the driver em580 needs it" in line(tmp_path, *meter('driver = "em580"'))
    without = meter('driver = "wm3m4"', 'bus = "rs485b"')
    assert "[evse.1.meter] unit: missing; the driver wm3m4 needs it" in line(tmp_path, *without)


def test_a_meter_that_cannot_sign_is_warned_of(tmp_path: Path) -> None:
    config = loaded(tmp_path, METER, METER + '  signing = "required"\n')
    assert "cannot sign, so this EVSE never charges; use em580 or wm3m4" in str(config.warnings)


def test_another_word_for_signing_is_refused(tmp_path: Path) -> None:
    assert "one of off, if-possible, required" in line(tmp_path, METER, METER + '  signing = "yes"\n')
