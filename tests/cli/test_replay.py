"""`chargepoint replay`: what it prints, where it finds a recording, and how it says that something deviates."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main
from agent.blocks.assembly import assemble
from agent.core.evse import EvseLimits
from agent.core.network import Links
from agent.core.types import ClockQuality, Instant
from agent.store.recorder import lines
from tests.fuzz.test_recordings import EVENTS, AtOnce


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    """A recording of a few steps, as the agent leaves it."""
    build: dict[str, Any] = {"evses": (EvseLimits(1, 32.0, 3),), "prefix": "t", "links": Links()}
    recorder = AtOnce(assemble(**build), build, tmp_path / "recorder", 1 << 20)
    for mono, event in enumerate(EVENTS):
        recorder.decide(event, Instant(float(mono), 1e9 + mono, ClockQuality.SYNCED, "b"))
    recorder.close()
    (path,) = (tmp_path / "recorder").iterdir()
    return path


def shown(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    code = main(["replay", *map(str, words)])
    told = capsys.readouterr()
    return code, told.out + told.err


def test_the_story_is_told_and_every_step_is_alike(segment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = shown(capsys, segment)
    assert code == 0
    assert "TokenPresented evses=[1] token=card ..C3D4" in out
    assert "-> to tell the CSMS: Boot" in out
    assert f"{len(EVENTS)} of {len(EVENTS)} steps gave the same effects" in out
    assert "Tick" not in out
    assert "Tick" in shown(capsys, segment, "--all")[1]


def test_what_failed_on_a_line_to_a_device_is_told_and_the_rest_only_when_all_is_wanted(
    segment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = list(lines(segment))
    of_bus = ["ttyUSB0", 2, "meter of EVSE 1", 4, 52]
    told.append(json.dumps(["bus", 9.0, *of_bus, 2, "4366999A", "", 1, 0]))
    told.append(json.dumps(["bus", 9.5, *of_bus, 2, "", "no answer", 7, 3]))
    file = segment.with_suffix(".jsonl")
    file.write_text("\n".join(told))
    code, out = shown(capsys, file, "--evse", "1")
    assert code == 0
    assert (
        "device: meter of EVSE 1, unit 2 on ttyUSB0: read 2 at 0034: no answer; 6 more since the last, 2 failed" in out
    )
    assert "4366999A" not in out
    assert "read 2 at 0034: 4366999A" in shown(capsys, file, "--all")[1]


def test_only_what_is_about_an_evse_is_told(segment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out = shown(capsys, segment, "--evse", "1")
    assert "EvseRead" in out
    assert "LinkUp" not in out


def test_a_step_that_is_decided_otherwise_is_shown(segment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = [line.replace('api.Pilot","B', 'api.Pilot","A') for line in lines(segment)]
    file = segment.with_suffix(".jsonl")
    file.write_text("\n".join(told))
    code, out = shown(capsys, file, "--quiet")
    assert code == 1
    assert "it decides otherwise now" in out
    assert "recorded: [" in out
    assert "1 did not" in out
    assert json.loads(shown(capsys, file, "--json")[1])["deviations"] == 1


def test_a_torn_segment_is_told_up_to_there(segment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with segment.open("ab") as file:
        file.write(b"CPF1\0\0")
    code, out = shown(capsys, segment.parent)
    assert code == 0
    assert "not read: 00000001.cpfr: it ends within a block" in out


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.cpfr", b"SQLite format 3\0" * 9, "nothing is recorded there (a.cpfr: this is no flight recorder's file"),
        ("a.tar.gz", b"no archive", "no whole support bundle"),
        ("a.jsonl", b"", "nothing is recorded there"),
        (None, b"", "No such file or directory"),
    ],
    ids=["foreign", "no archive", "empty", "missing"],
)  # fmt: skip
def test_what_is_no_recording_is_said_to_be_none_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str | None, content: bytes, why: str
) -> None:
    path = tmp_path / (name or "none.cpfr")
    if name is not None:
        path.write_bytes(content)
    code, out = shown(capsys, path)
    assert (code, why in out, out.count("\n")) == (1, True, 1), out


def test_a_bundle_without_a_recording_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("x/about.txt"), io.BytesIO())
    assert "holds no flight recording" in shown(capsys, path)[1]
