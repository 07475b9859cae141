"""The file that a supporter gets, and where its log comes from."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from agent.edge import bundle
from agent.edge.redaction import Redactor
from agent.errors import TransferError


def test_a_bundle_holds_its_parts_in_a_folder_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "out" / "cp-1.tar.gz"
    bundle.write_bundle(path, {"a.txt": "hello", "b.json": "{}"}, Redactor(), 1_800_000_000.0)
    with tarfile.open(path) as tar:
        assert tar.getnames() == ["cp-1/a.txt", "cp-1/b.json"]
        assert tar.extractfile("cp-1/a.txt").read() == b"hello"  # type: ignore[union-attr]


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "out" / "cp-1.tar.gz"
    bundle.write_bundle(path, {}, Redactor(), 0.0)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_long_part_loses_its_oldest_lines(tmp_path: Path) -> None:
    path = tmp_path / "cp-1.tar.gz"
    text = "".join(f"line {number}\n" for number in range(400_000))
    bundle.write_bundle(path, {"log.txt": text}, Redactor(), 0.0)
    with tarfile.open(path) as tar:
        kept = tar.extractfile("cp-1/log.txt").read()  # type: ignore[union-attr]
    assert len(kept) < bundle.PART_BYTES + 100
    assert kept.startswith(b"(older lines were left out)\nline ")
    assert kept.endswith(b"line 399999\n")


def test_every_part_is_looked_at_when_all_are_there(tmp_path: Path) -> None:
    redactor = Redactor()
    parts = {"a.txt": "the word is s3cret-word", "b.txt": str(redactor.value({"password": "s3cret-word"}))}
    bundle.write_bundle(tmp_path / "cp-1.tar.gz", parts, redactor, 0.0)
    with tarfile.open(tmp_path / "cp-1.tar.gz") as tar:
        assert tar.extractfile("cp-1/a.txt").read() == b"the word is ***"  # type: ignore[union-attr]


def test_a_disk_without_room_is_told_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "RESERVE_BYTES", 1 << 60)
    with pytest.raises(TransferError, match="no room"):
        bundle.write_bundle(tmp_path / "cp-1.tar.gz", {"a.txt": "x"}, Redactor(), 0.0)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("I am a file")
    with pytest.raises(TransferError, match="cannot be written"):
        bundle.write_bundle(tmp_path / "out" / "cp-1.tar.gz", {"a.txt": "x"}, Redactor(), 0.0)


def test_what_earlier_uploads_have_left_is_removed(tmp_path: Path) -> None:
    for name in ("old.tar.gz", "old.tar.gz.new", "this.tar.gz"):
        (tmp_path / name).write_text("x")
    bundle.clear(tmp_path, keep="this.tar.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["this.tar.gz"]


def test_the_board_tells_its_memory_and_load() -> None:
    assert {"MemTotal", "VmRSS"} <= {word.rstrip(":") for word in bundle.board().split()}


# --- the journal --------------------------------------------------------------------------------------------


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A journalctl of ours comes first in the path."""
    file = folder / "journalctl"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


async def test_the_journal_is_asked_for_our_lines_of_that_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, 'echo "$@"')
    assert (await bundle.journal(1000.0, 2000.0)).split() == [
        *("-u", "chargepoint", "-o", "short-iso", "--no-pager", "-q", "-n", "20000"),
        *("--since=@1000", "--until=@2000"),
    ]


async def test_a_journal_that_never_ends_gives_its_newest_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, monkeypatch, "seq 1 2000000")
    text = await bundle.journal(None, None)
    assert text.endswith("\n2000000\n")
    assert len(text) <= 2 * bundle.PART_BYTES + 65536


async def test_a_journal_that_hangs_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, "echo begun; exec sleep 60")
    assert await bundle.journal(None, None, timeout_s=0.3) == ""


async def test_a_system_without_a_journal_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert await bundle.journal(None, None) == ""
