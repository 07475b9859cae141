"""The flight recorder's ring of files: within its budget, and no file can harm whoever reads it."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from agent.store import recorder
from agent.store.recorder import Ring, Torn, lines

BUDGET = 64 << 10


def filled(folder: Path, blocks: int, budget: int = BUDGET) -> Ring:
    """Blocks that do not compress well; each says which it is."""
    ring = Ring(folder, budget)
    noise = "".join(f"{zlib.crc32(bytes([n % 256, n // 256])):08x}" for n in range(1000))
    for number in range(blocks):
        if ring.full:
            ring.begin()
            ring.write([f"head {number}"])
        ring.write([f"block {number}", noise])
    return ring


def test_what_is_written_is_read_in_its_order(tmp_path: Path) -> None:
    ring = filled(tmp_path / "r", 3)
    found = [line for path in ring.segments() for line in lines(path)]
    assert [line for line in found if len(line) < 20] == ["head 0", "block 0", "block 1", "block 2"]


def test_the_oldest_segments_go_before_the_budget_is_passed(tmp_path: Path) -> None:
    ring = filled(tmp_path, 60)
    assert BUDGET / 2 < sum(path.stat().st_size for path in ring.segments()) <= BUDGET
    newest = list(lines(ring.segments()[-1]))
    assert "block 59" in newest
    assert next(lines(ring.segments()[0])).startswith("head ")


def test_another_process_begins_a_segment_of_its_own(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    ring = filled(tmp_path, 1)
    assert [path.name for path in ring.segments()] == ["00000001.cpfr", "00000002.cpfr"]


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    (path,) = filled(tmp_path / "r", 1).segments()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_disk_that_is_nearly_full_gets_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "RESERVE_BYTES", 1 << 62)
    with pytest.raises(OSError, match="no room"):
        filled(tmp_path, 1)
    assert list(tmp_path.iterdir()) == []


def read(path: Path) -> tuple[list[str], bool]:
    """What can be read, and whether that was all."""
    found: list[str] = []
    try:
        for line in lines(path):
            found.append(line)
    except Torn:
        return found, False
    return found, True


def test_a_file_that_was_cut_anywhere_gives_the_blocks_before_the_cut(tmp_path: Path) -> None:
    (path,) = filled(tmp_path, 2).segments()
    data = path.read_bytes()
    whole, _ = read(path)
    for cut in range(1, len(data), 97):
        path.write_bytes(data[:cut])
        found, complete = read(path)
        assert found == whole[: len(found)]
        assert not complete or found[-1:] in (whole[:1], whole[2:3])


@pytest.mark.parametrize("at", [0, 5, 9, 20, 600])
def test_a_flipped_bit_is_noticed(tmp_path: Path, at: int) -> None:
    (path,) = filled(tmp_path, 1).segments()
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(bytes(data))
    with pytest.raises(Torn):
        list(lines(path))


def test_a_block_that_would_not_fit_into_memory_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = Ring(tmp_path, 1 << 20)
    ring.begin()
    ring.write(["x" * 5000])
    monkeypatch.setattr(recorder, "MAX_TEXT_BYTES", 4096)
    with pytest.raises(Torn, match="larger"):
        list(lines(ring.segments()[0]))


def test_a_file_of_somebody_else_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "1.cpfr"
    path.write_bytes(b"SQLite format 3\0" * 10)
    with pytest.raises(Torn, match="no flight recorder"):
        list(lines(path))
