"""The flight recorder's files: a ring of segments in one folder, the oldest of which make room.

A segment begins with what a replay needs and can be read without the others; it is a row of blocks of compressed lines,
each with its length and checksum. Rules kept:

* Nothing is ever forced to the disk for it: after a SIGKILL what was written is there, after a power cut perhaps not
  all of it. What depends on it is a story, never a bill.
* All segments together stay within the budget; a disk that is nearly full gets nothing of this.
* A torn or foreign file harms nobody: reading ends at the first block that is not whole, says so, and takes no more
  memory than a block may have.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

FOLDER = "recorder"
SUFFIX = ".cpfr"
MAGIC = b"CPF1"
SEGMENTS = 16  # about so many share the budget
LEAST_SEGMENT_BYTES = 32 << 10
SEGMENT_CHARACTERS = 700_000  # not packed; a bundle takes whole segments
MAX_FILES = 64
MAX_BLOCK_BYTES = 4 << 20  # compressed
MAX_TEXT_BYTES = 32 << 20  # of one block
RESERVE_BYTES = 16 << 20  # of the disk, that the recorder leaves to others
_HEAD = struct.Struct(">4sII")


class Ring:
    """Used by one thread at a time. Every method raises OSError when the disk does."""

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self._folder = folder
        self._budget_bytes = budget_bytes
        self._segment: Path | None = None
        self._size = self._characters = 0

    @property
    def full(self) -> bool:
        """The next block should begin a new segment."""
        limit = max(LEAST_SEGMENT_BYTES, self._budget_bytes // SEGMENTS)
        return self._segment is None or self._size >= limit or self._characters >= SEGMENT_CHARACTERS

    def begin(self) -> None:
        """A new segment, for what is written from now on."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        numbers = [int(path.stem) for path in self.segments() if path.stem.isdecimal()]
        self._segment = self._folder / f"{max(numbers, default=0) + 1:08}{SUFFIX}"
        self._size = self._characters = 0

    def write(self, lines: Iterable[str]) -> None:
        """One block. Without `begin` it goes on with the segment of the block before."""
        assert self._segment is not None, "no segment has begun"
        text = "\n".join(lines)
        data = zlib.compress(text.encode("utf-8", "replace"), 6)
        if len(data) > min(MAX_BLOCK_BYTES, self._budget_bytes):
            raise OSError("a block is larger than the recorder may be")
        self._make_room(len(data) + _HEAD.size)
        with os.fdopen(os.open(self._segment, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file:
            file.write(_HEAD.pack(MAGIC, len(data), zlib.crc32(data)) + data)
        self._size += _HEAD.size + len(data)
        self._characters += len(text)

    def segments(self) -> list[Path]:
        """The oldest first."""
        with suppress(FileNotFoundError):
            return sorted(path for path in self._folder.iterdir() if path.suffix == SUFFIX)
        return []

    def _make_room(self, wanted: int) -> None:
        disk = os.statvfs(self._folder)
        if disk.f_bavail * disk.f_frsize < wanted + RESERVE_BYTES:
            raise OSError("the disk has no room for the flight recorder")
        files = [(path, path.stat().st_size) for path in self.segments()]
        size = sum(each for _, each in files)
        while files and (size + wanted > self._budget_bytes or len(files) > MAX_FILES):
            path, freed = files.pop(0)
            path.unlink(missing_ok=True)
            size -= freed


class Torn(ValueError):
    """From here on a file cannot be read."""


def lines(path: Path) -> Iterator[str]:
    """The lines of one segment, block after block. Raises `Torn` where it is not whole, OSError as the disk does."""
    with path.open("rb") as file:
        while head := file.read(_HEAD.size):
            if len(head) < _HEAD.size:
                raise Torn("it ends within a block")
            magic, size, checksum = _HEAD.unpack(head)
            if magic != MAGIC or size > MAX_BLOCK_BYTES:
                raise Torn("this is no flight recorder's file, or it is damaged")
            data = file.read(size)
            if len(data) < size:
                raise Torn("it ends within a block")
            if zlib.crc32(data) != checksum:
                raise Torn("a block is damaged")
            yield from _text(data).split("\n")


def _text(data: bytes) -> str:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, MAX_TEXT_BYTES)
    except zlib.error:
        raise Torn("a block is damaged") from None
    if unpacker.unconsumed_tail:
        raise Torn("a block is larger than any that was written")
    return text.decode("utf-8", "replace")
