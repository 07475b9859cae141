"""[evse.derating]: a curve that falls, or one line that says why it is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import DeratingConfig, load
from agent.errors import ConfigError

CHARGER = """
[station]
vendor = "Example"
model = "One"
[csms]
url = "ws://localhost:9000/"
identity = "CP1"
[[bus]]
name = "rs485"
port = "/dev/ttyUSB0"
[[evse]]
id = 1
[evse.controller]
map = "evse_wb"
bus = "rs485"
unit = 1
[evse.meter]
map = "eastron_sdm630"
bus = "rs485"
unit = 2
"""


def loaded(folder: Path, text: str) -> DeratingConfig | None:
    (folder / "agent.toml").write_text(CHARGER + text)
    return load(folder / "agent.toml").evses[0].derating


def test_without_the_table_nothing_is_derated(tmp_path: Path) -> None:
    assert loaded(tmp_path, "") is None


def test_an_empty_table_takes_the_usual_curve(tmp_path: Path) -> None:
    assert loaded(tmp_path, "[evse.derating]\n") == DeratingConfig(60.0, 75.0, 85.0)


@pytest.mark.parametrize("text", ["from_c = 80", "until_c = 90", "stop_c = 70"])
def test_a_curve_that_does_not_fall_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"\[evse\.1\.derating\] until_c: .* does not lie between from_c"):
        loaded(tmp_path, f"[evse.derating]\n{text}\n")
