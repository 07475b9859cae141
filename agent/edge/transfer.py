"""Files up and down, over what OCPP names: HTTP, HTTPS, FTP, FTPS and, with asyncssh installed, SFTP.

    await fetch("https://updates.example/v7.raucb", Path("/data/v7.raucb"), limit_bytes=500 << 20)
    await send(Path("/data/log.tar.gz"), "ftp://user:word@files.example/logs/", "log.tar.gz")

One try each; how often and when to try again is for the caller, whom `TransferError.permanent` tells when that is of no
use. A fetch that broke off goes on where it stopped when it is asked for again. Rules kept:

* Blocking code of the standard library in a thread of its own, which is never joined at the end of the process: the
  loop waits at most `deadline_s`, then shuts the thread's sockets and goes on.
* A peer that orders and cancels without end gets no more than `MAX_THREADS` of them.
* A login in the location is used and never shown: neither in an error nor in a log.
* TLS as towards the CSMS: chain and host name are checked against `ca_file`, or the system's trust store;
  those in `more_ca_files` vouch as well, as far as there are such files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import BoundedSemaphore, Thread
from typing import Any

from agent.edge.location import Location, parse, protocols
from agent.edge.transfer_job import STALL_S, Job, Progress, note_of
from agent.errors import TransferError

FETCH_S = 6 * 3600.0  # 300 MB over a poor radio link
SEND_S = 3600.0
MAX_THREADS = 4  # those that were given up and still wait for a server included
GIVE_UP_S = 1.0  # how long a cancelled thread may take to let go of its file
_threads = BoundedSemaphore(MAX_THREADS)
_MODULES = {"http": "http", "https": "http", "ftp": "ftp", "ftps": "ftp", "ftpes": "ftp", "sftp": "sftp"}


async def fetch(
    location: str,
    target: Path,
    *,
    limit_bytes: int,
    ca_file: str | None = None,
    more_ca_files: Sequence[Path] = (),
    on_progress: Progress | None = None,
    known_hosts: Path | None = None,
    deadline_s: float = FETCH_S,
    stall_s: float = STALL_S,
) -> None:
    """`target` is the whole file when this returns. On TransferError what has come of it stays, for the next try, with
    a note beside it (`discard` removes both); unless the error is permanent."""
    place = parse(location)
    job = Job(ca_file, more_ca_files, _on_loop(on_progress), known_hosts, stall_s)
    await _run(job, place, deadline_s, lambda: _module(place).fetch(job, place, target, limit_bytes))


async def send(
    source: Path,
    location: str,
    name: str,
    *,
    ca_file: str | None = None,
    more_ca_files: Sequence[Path] = (),
    on_progress: Progress | None = None,
    known_hosts: Path | None = None,
    deadline_s: float = SEND_S,
    stall_s: float = STALL_S,
) -> None:
    """`location` is a directory, or the file itself if it cannot be one; `name` has letters, digits and "._-" only."""
    assert name
    assert all(char.isalnum() or char in "._-" for char in name), name
    place = parse(location)
    job = Job(ca_file, more_ca_files, _on_loop(on_progress), known_hosts, stall_s)
    await _run(job, place, deadline_s, lambda: _module(place).send(job, source, place, name))


def check(location: str) -> None:
    """TransferError when this is no location that we could ever use."""
    if parse(location).scheme == "sftp" and "SFTP" not in protocols():
        raise TransferError("SFTP is not installed on this charger", True)


def discard(target: Path) -> None:
    """Remove a fetched file, whole or in part. Raises OSError."""
    target.unlink(missing_ok=True)
    note_of(target).unlink(missing_ok=True)


def _module(place: Location) -> Any:
    """Loaded when it is first needed, in the transfer's thread."""
    from importlib import import_module

    return import_module(f"agent.edge.transfer_{_MODULES[place.scheme]}")


def _on_loop(on_progress: Progress | None) -> Progress | None:
    if on_progress is None:
        return None
    loop, tell = asyncio.get_running_loop(), on_progress

    def told(done: int, total: int | None) -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, done, total)

    return told


async def _run(job: Job, place: Location, deadline_s: float, work: Callable[[], None]) -> None:
    """Do `work` in a thread; whatever happens here, the thread soon comes to its end."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[BaseException | None] = loop.create_future()
    if not _threads.acquire(blocking=False):
        raise TransferError(f"{place}: too many transfers that were given up have not ended yet")

    def thread() -> None:
        error: BaseException | None = None
        try:
            work()
        except BaseException as raised:  # noqa: BLE001  it is the caller's, whatever it is
            error = raised
        _threads.release()
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, ended, error)

    Thread(target=thread, name="transfer", daemon=True).start()
    try:
        async with asyncio.timeout(deadline_s):
            error = await asyncio.shield(ended)
    except TimeoutError:
        await _give_up(job, ended)
        raise TransferError(f"{place}: not done within {deadline_s:.0f} s") from None
    except asyncio.CancelledError:
        await _give_up(job, ended)
        raise
    if isinstance(error, OSError):  # of the file to be sent: all of the network's are told by now
        raise TransferError(f"{place}: the file cannot be read: {error.strerror or error}") from None
    if error is not None:
        raise error


async def _give_up(job: Job, ended: asyncio.Future[BaseException | None]) -> None:
    job.cancel()
    await asyncio.wait([ended], timeout=GIVE_UP_S)


def _settle(ended: asyncio.Future[BaseException | None], error: BaseException | None) -> None:
    if not ended.done():
        ended.set_result(error)
