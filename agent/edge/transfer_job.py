"""What one file transfer keeps while it runs in its own thread: its time, its sockets, its count, its target file.

Rules kept:

* Every wait of a transfer has a bound: a stall time-out on each socket, and a whole deadline that `transfer` keeps. To
  cancel is to shut the sockets, so that a thread which waits on one ends at once.
* A fetched file may be cut at any byte. What is on the disk for sure is noted beside it (`NAME.part`) with what the
  server said of the file; the rest is dropped when the transfer goes on. A complete file has no note beside it.
* The disk keeps a reserve for the journal, whatever size a file claims to have.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from agent.edge.location import Location
from agent.edge.tls import client_context, explain, vouch
from agent.errors import LinkError, TransferError

CONNECT_S = 20.0  # one address; a name may have several
STALL_S = 60.0  # without a single byte
BLOCK = 16384  # must go within STALL_S; lost when the connection breaks meanwhile
SYNC_BYTES = 4 << 20  # what may have to be fetched again after a power cut
RESERVE_BYTES = 32 << 20  # of the disk, that no fetched file may take
PROGRESS_S = 1.0
Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all if known


class Cancelled(Exception):
    """The transfer was given up from outside; nobody waits for its answer any more."""


class Job:
    """Shared by the thread that works and the loop that waits. `stall_s`: the longest silence of a peer."""

    def __init__(
        self,
        ca_file: str | None = None,
        more_ca_files: Sequence[Path] = (),
        on_progress: Progress | None = None,
        known_hosts: Path | None = None,
        stall_s: float = STALL_S,
    ) -> None:
        self.more_ca_files = more_ca_files
        self.ca_file, self.known_hosts, self.stall_s = ca_file, known_hosts, stall_s
        self.connect_s = min(CONNECT_S, stall_s)
        self.cancelled = False
        self.on_cancel: Callable[[], None] | None = None
        self._progress, self._told_at = on_progress, float("-inf")
        self._sockets: list[socket.socket] = []

    def watch(self, sock: socket.socket | None) -> None:
        """This socket is shut when the transfer is cancelled."""
        assert sock is not None
        self._sockets = [*self._sockets[-3:], sock]
        sock.settimeout(self.stall_s)
        self.check()

    def cancel(self) -> None:
        """From any thread."""
        self.cancelled = True
        for sock in self._sockets:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # beneath TLS, whose state is the other thread's
        if self.on_cancel is not None:
            self.on_cancel()

    def check(self) -> None:
        if self.cancelled:
            raise Cancelled

    def moved(self, count: int, total: int | None, *, last: bool = False) -> None:
        """`count` bytes of `total` are done."""
        self.check()
        now = time.monotonic()
        if self._progress is not None and (last or now - self._told_at >= PROGRESS_S):
            self._told_at = now
            self._progress(count, total)

    def tls(self) -> ssl.SSLContext:
        try:
            context = client_context(self.ca_file)
            for file in self.more_ca_files:
                if file.is_file():
                    vouch(context, str(file))
            return context
        except LinkError as error:
            raise TransferError(str(error), True) from None


class Target:
    """The file that a fetch writes, and the note beside it."""

    def __init__(self, job: Job, path: Path, location: Location, limit_bytes: int) -> None:
        self.job, self.path, self.limit = job, path, limit_bytes
        place = f"{location.scheme}://{location.host}:{location.port}{location.path}"
        self.place = hashlib.sha256(place.encode()).hexdigest()  # a path may be a secret
        self.server = str(location)
        self.note = note_of(path)
        self.mark: dict[str, str | int] = {}  # what the server said of the file: etag, date, size
        self.have = 0
        self.total: int | None = None
        self._file: BinaryIO | None = None
        self._synced = 0

    def __enter__(self) -> Target:
        try:
            self.mark, self.have = self._found()
            self._file = self.path.open("r+b" if self.have else "wb")
            self._file.truncate(self.have)
            self._file.seek(self.have)
        except OSError as error:
            raise TransferError(f"{self.path} cannot be written: {error.strerror or error}") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        assert self._file is not None
        try:
            if isinstance(error, TransferError) and error.permanent:
                self._discard()
            else:
                self._sync()
        except OSError as trouble:
            if error is None:
                raise _disk_error(trouble) from None
        finally:
            with suppress(OSError):
                self._file.close()
        if kind is None:
            self.note.unlink(missing_ok=True)

    def begin(self, at: int, total: int | None, **mark: str | int | None) -> None:
        """The server sends from byte `at` on. TransferError when the whole would be too large."""
        assert self._file is not None
        if total is not None and total > self.limit:
            raise TransferError(f"{self.server}: the file has {total} bytes, more than the {self.limit} allowed", True)
        self._room((total or at) - at)
        self.have, self.total = at, total
        self.mark = {key: value for key, value in mark.items() if value}
        if total is not None:
            self.mark["size"] = total
        try:
            self._file.seek(at)
            self._file.truncate(at)
            self._sync()
        except OSError as error:
            raise _disk_error(error) from None

    def write(self, data: bytes) -> None:
        assert self._file is not None
        if self.have + len(data) > (self.limit if self.total is None else self.total):
            raise TransferError(f"{self.server}: the file is longer than it may be", True)
        try:
            self._file.write(data)
            self.have += len(data)
            if self.have - self._synced >= SYNC_BYTES:
                self._room(0)
                self._sync()
        except OSError as error:
            raise _disk_error(error) from None
        self.job.moved(self.have, self.total)

    def done(self) -> None:
        """All has come; TransferError if that is not so."""
        if self.total is not None and self.have < self.total:
            raise TransferError(f"{self.server}: the file ended after {self.have} of {self.total} bytes")
        self.job.moved(self.have, self.total, last=True)

    def _found(self) -> tuple[dict[str, str | int], int]:
        """The mark and the bytes of an earlier try at the same place."""
        try:
            noted = json.loads(self.note.read_text("utf-8"))
            have = min(int(noted["have"]), self.path.stat().st_size)
            if noted["place"] == self.place and have > 0:
                return {str(key): value for key, value in noted["mark"].items() if isinstance(value, str | int)}, have
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        return {}, 0

    def _sync(self) -> None:
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._synced = self.have
        fresh = self.note.with_name(self.note.name + ".new")
        fresh.write_text(json.dumps({"place": self.place, "have": self.have, "mark": self.mark}), "utf-8")
        fresh.replace(self.note)

    def _discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def _room(self, wanted: int) -> None:
        if shutil.disk_usage(self.path.parent).free < wanted + RESERVE_BYTES:
            raise TransferError(f"{self.path.parent}: the disk has no room for the file")


def note_of(path: Path) -> Path:
    """The note that stands beside a file which is not complete."""
    return path.with_name(path.name + ".part")


def _disk_error(error: OSError) -> TransferError:
    return TransferError(f"the file cannot be written: {error.strerror or error}")


def refused(location: Location, error: OSError | EOFError) -> TransferError:
    """What went wrong on the way, in words without a secret."""
    if isinstance(error, ssl.SSLError):
        clock = getattr(error, "verify_code", None) in (9, 10)
        foreign = isinstance(error, ssl.SSLCertVerificationError) and not clock
        return TransferError(f"{location}: {explain(error)}", foreign)
    if isinstance(error, TimeoutError):
        return TransferError(f"{location}: the server did not answer in time")
    if isinstance(error, socket.gaierror):
        return TransferError(f"{location}: the name of the server cannot be looked up")
    if isinstance(error, ConnectionRefusedError):
        return TransferError(f"{location}: nobody listens there")
    why = getattr(error, "strerror", None) or "the server closed the connection"
    return TransferError(f"{location}: {why}")
