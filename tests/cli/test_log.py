"""`chargepoint log`: the journal where there is one, in plain words, with what to do about each id."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main

NOW = 1_800_000_000
ENTRIES: list[dict[str, Any]] = [
    {"PRIORITY": "6", "MESSAGE": "Offer: EVSE 1: offers 16 A EVSE=1 OFFER_A=16", "AT": -7200},
    {"PRIORITY": "4", "MESSAGE": "LinkDown: no link to the CSMS FAULT=link", "AT": -60},
    {"PRIORITY": "4", "MESSAGE": "FaultRaised: EVSE 2: too hot EVSE=2 FAULT=over-temperature", "AT": -50},
    {"PRIORITY": "7", "MESSAGE": "FrameIn: x", "AT": -40},
    {"PRIORITY": "6", "MESSAGE": [65, 27, 255], "AT": -30},
]


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of journalctl, which says what it was asked."""
    lines = [json.dumps({**entry, "__REALTIME_TIMESTAMP": str((NOW + entry["AT"]) * 1_000_000)}) for entry in ENTRIES]
    program = tmp_path / "journalctl"
    (tmp_path / "lines").write_text("\n".join([*lines, "no json", '{"MESSAGE": 1}']))
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncat {tmp_path}/lines\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(time, "time", lambda: float(NOW))
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["log", *words]) == 0
    return capsys.readouterr().out


def test_the_journal_is_shown_with_its_levels_and_what_to_do(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys)
    assert "INFO    Offer: EVSE 1" in out
    assert "WARNING LinkDown" in out
    assert "  link: read the reason in chargepoint status" in out
    assert "  over-temperature: let it cool" in out
    assert "FrameIn" not in out
    assert "\x1b" not in out
    assert "-u chargepoint" in (journal / "asked").read_text()


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["--level", "warning"], ["LinkDown", "FaultRaised"]),
        (["--evse", "2"], ["FaultRaised"]),
        (["--fault", "link"], ["LinkDown"]),
        (["--since", "1h"], ["LinkDown", "FaultRaised", "A"]),
        (["--level", "debug", "--lines", "2"], ["FrameIn", "A"]),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("journal")
def test_it_is_filtered(capsys: pytest.CaptureFixture[str], words: list[str], kept: list[str]) -> None:
    told = [json.loads(line) for line in shown(capsys, "--json", *words).splitlines()]
    assert [entry["text"].partition(":")[0].partition("\x1b")[0] for entry in told] == kept


def test_it_goes_on_with_what_is_written_from_now_on(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = [json.loads(line) for line in shown(capsys, "--json", "--level", "warning", "--follow").splitlines()]
    assert [entry["fault"] for entry in told] == 2 * ["link", "over-temperature"]  # the stand-in says it all once more
    assert "-n 0 --follow" in (journal / "asked").read_text()


@pytest.mark.usefixtures("journal")
def test_a_span_that_is_none_is_a_mistake_of_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["log", "--since", "yesterday"])
    assert stop.value.code == 2
    assert "such as 30min" in capsys.readouterr().err


def test_without_a_journal_the_agent_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["log", "--socket", str(tmp_path / "none.sock")]) == 69
    assert "no agent is running" in capsys.readouterr().err
