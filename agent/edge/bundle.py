"""One file that tells a supporter what the charger has seen and how it is: parts of text in a tar.gz, without secrets.

Whoever asks for a bundle gives its parts; here they are cut (a log loses its beginning), redacted and written, first to
the disk and then under their name, so that a file which stands there is whole.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path

from agent.edge.redaction import Redactor
from agent.errors import TransferError

PART_BYTES = 2 << 20
RECORDING, RECORDING_BYTES = "recorder.jsonl", 4 << 20  # it is cut where it is made: whole segments, or none
RESERVE_BYTES = 16 << 20  # of the disk, that no bundle may take
JOURNAL_S = 20.0
UNIT = "chargepoint"
_PROC = ("uptime", "loadavg", "meminfo", "version", "self/status", "mounts")


def name(charger: str, utc: float) -> str:
    """Of a bundle that somebody at the charger has asked for."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(utc))
    return f"support-{''.join(c if c.isalnum() else '-' for c in charger)}-{stamp}.tar.gz"


def tail(text: str, limit: int = PART_BYTES) -> str:
    """The end of a text, from a line's beginning."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return text
    _cut, _, kept = data[-limit:].partition(b"\n")
    return "(older lines were left out)\n" + kept.decode("utf-8", "replace")


def write_text(path: Path, text: str, redactor: Redactor) -> None:
    """One part as a file of its own. Raises TransferError when the disk does not take it."""
    _write(path, redactor.finish(tail(text)).encode("utf-8", "replace"))


def write_bundle(path: Path, parts: Mapping[str, str], redactor: Redactor, mtime: float) -> None:
    """As `packed`, into a file. Raises TransferError."""
    _write(path, packed(path.name, parts, redactor, mtime))


def packed(name: str, parts: Mapping[str, str], redactor: Redactor, mtime: float) -> bytes:
    """All parts, each already redacted by its own kind, as a tar.gz of that name."""
    import tarfile

    packed = BytesIO()
    folder = name.removesuffix(".tar.gz")
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=6) as tar:
        for part, text in parts.items():
            limit = RECORDING_BYTES if part == RECORDING else PART_BYTES
            data = redactor.finish(tail(text, limit)).encode("utf-8", "replace")
            head = tarfile.TarInfo(f"{folder}/{part}")
            head.size, head.mtime, head.mode = len(data), max(0, int(mtime)), 0o640
            tar.addfile(head, BytesIO(data))
    return packed.getvalue()


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if shutil.disk_usage(path.parent).free < len(data) + RESERVE_BYTES:
            raise TransferError(f"{path.parent}: the disk has no room for the file")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise TransferError(f"{path.parent}: the file cannot be written: {error.strerror or error}") from None


def clear(folder: Path, keep: str = "") -> None:
    """Remove what earlier uploads have left, but this file."""
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            if path.name != keep:
                path.unlink(missing_ok=True)


async def journal(oldest: float | None, latest: float | None, *, timeout_s: float = JOURNAL_S) -> str:
    """The unit's lines in the system's journal; empty when there is no journal, or it does not answer in time."""
    words = ["journalctl", "-u", UNIT, "-o", "short-iso", "--no-pager", "-q", "-n", "20000"]
    words += [f"--since=@{oldest:.0f}"] if oldest is not None else []
    words += [f"--until=@{latest:.0f}"] if latest is not None else []
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return ""
    try:
        async with asyncio.timeout(timeout_s):
            return (await _read(process)).decode("utf-8", "replace")
    except TimeoutError:
        return ""
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _read(process: asyncio.subprocess.Process) -> bytes:
    """Its newest lines: no more than a part has room for is ever held."""
    assert process.stdout is not None
    kept = bytearray()
    while data := await process.stdout.read(65536):
        kept += data
        if len(kept) > 2 * PART_BYTES:
            del kept[:-PART_BYTES]
    return bytes(kept)


def board() -> str:
    """Memory, load, disks and temperatures of this board, as the kernel tells them."""
    parts = []
    for name in _PROC:
        with suppress(OSError):
            parts.append(f"--- {name}\n{Path('/proc', name).read_text('utf-8', 'replace')[:8192]}")
    for zone in sorted(Path("/sys/class/thermal").glob("thermal_zone*"))[:16]:
        with suppress(OSError):
            parts.append(f"--- {zone.name}\n{(zone / 'temp').read_text().strip()}")
    return "\n".join(parts) + "\n"


def disk(path: Path) -> str:
    """How full the disk is that holds this folder."""
    try:
        usage = shutil.disk_usage(path)
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    return f"{path}: {usage.free >> 20} MiB free of {usage.total >> 20} MiB"
