"""Files over SFTP, by asyncssh where that is installed, on an event loop of its own in the thread of one transfer.

The server's host key is trusted when it is seen first and must stay the same; what was seen is kept in a file of one
line a server ("host:port kind key"), which the operator may also write beforehand. Login by password only: no keys or
agents of the account that the charger runs under are offered to a server that somebody else has named.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.edge.location import Location
from agent.edge.transfer_job import Cancelled, Job, Target, refused
from agent.errors import TransferError

MAX_HOSTS = 200
BLOCK = 65536  # is asked for by several requests at once
_seen: dict[str, str] = {}  # where no file was named: for as long as the process lives


def fetch(job: Job, location: Location, path: Path, limit_bytes: int) -> None:
    async def work(sftp: Any) -> None:
        with Target(job, path, location, limit_bytes) as target:
            name = location.file_path or "."
            facts = await _soon(job, sftp.stat(name))
            mark = str(int(facts.mtime or 0))
            same = (target.mark.get("size"), target.mark.get("date")) == (facts.size, mark)
            at = target.have if same and target.have <= (facts.size or 0) else 0
            async with await _soon(job, sftp.open(name, "rb")) as file:
                target.begin(at, facts.size, date=mark)
                while data := await _soon(job, file.read(BLOCK, target.have)):
                    target.write(data)
            target.done()

    _run(job, location, work)


def send(job: Job, source: Path, location: Location, name: str) -> None:
    async def work(sftp: Any) -> None:
        path = location.file_path
        is_folder = not path or path.endswith("/") or await _soon(job, sftp.isdir(path))
        goal = (f"{path.rstrip('/')}/{name}" if path else name) if is_folder else path
        total, done = source.stat().st_size, 0  # noqa: ASYNC240  this loop is ours alone
        with source.open("rb") as data:
            async with await _soon(job, sftp.open(goal, "wb")) as file:
                while block := data.read(BLOCK):
                    await _soon(job, file.write(block))
                    done += len(block)
                    job.moved(done, total)

    _run(job, location, work)


async def _soon(job: Job, work: Awaitable[Any]) -> Any:
    async with asyncio.timeout(job.stall_s):
        return await work


def _run(job: Job, location: Location, work: Callable[[Any], Awaitable[None]]) -> None:
    try:
        import asyncssh
    except ImportError:
        raise TransferError("SFTP is not installed on this charger", True) from None
    try:
        asyncio.run(_session(job, location, work))
    except asyncio.CancelledError:
        raise Cancelled from None
    except (asyncssh.PermissionDenied, asyncssh.HostKeyNotVerifiable) as error:
        host = isinstance(error, asyncssh.HostKeyNotVerifiable)
        why = "the key of the server is another one than before" if host else "the login is wrong, or not allowed"
        raise TransferError(f"{location}: {why}", True, not host) from None
    except asyncssh.SFTPError as error:
        gone = isinstance(error, asyncssh.SFTPNoSuchFile | asyncssh.SFTPNoSuchPath | asyncssh.SFTPPermissionDenied)
        why = "there is no such file, or it may not be used" if gone else "the server refused"
        raise TransferError(f"{location}: {why}", gone) from None
    except (OSError, EOFError, asyncssh.Error) as error:
        job.check()
        raise refused(location, error if isinstance(error, OSError | EOFError) else EOFError()) from None
    except ValueError:
        raise TransferError(f"{location}: this login cannot be used with SFTP", True) from None


async def _session(job: Job, location: Location, work: Callable[[Any], Awaitable[None]]) -> None:
    import asyncssh

    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    stop = task.cancel

    def cancel() -> None:
        with suppress(RuntimeError):  # the loop is closed: all is over anyway
            loop.call_soon_threadsafe(stop)

    job.on_cancel = cancel
    job.check()
    options: dict[str, Any] = {
        "known_hosts": ([], [], []),  # none is trusted beforehand: each is asked about at _Hosts
        "client_keys": None,
        "agent_path": None,
        "config": None,
        "username": location.user or "anonymous",
        "password": location.password,
        "login_timeout": job.connect_s,
        "connect_timeout": job.connect_s,
        "client_factory": lambda: _client(job, location),
    }
    async with (
        asyncssh.connect(location.host, location.port, **options) as connection,
        connection.start_sftp_client() as sftp,
    ):
        await work(sftp)


def _client(job: Job, location: Location) -> Any:
    import asyncssh

    class Hosts(asyncssh.SSHClient):
        def validate_host_public_key(self, _host: str, _addr: str, _port: int, key: Any) -> bool:
            line = key.export_public_key().decode().split()
            return _known(job.known_hosts, f"{location.host}:{location.port}", " ".join(line[:2]))

    return Hosts()


def _known(path: Path | None, host: str, key: str) -> bool:
    """Is this the host's key? One that was never seen is written down, as long as there is room: whoever names servers
    without end must not displace those that the operator has written."""
    text = "" if path is None else _text(path)
    hosts = _seen if path is None else _read(text)
    if host in hosts:
        return hosts[host] == key
    if len(hosts) < MAX_HOSTS:
        hosts[host] = key
        if path is not None:
            _write(path, "\n".join([*text.splitlines(), f"{host} {key}", ""]))
    return True


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "surrogateescape")  # a power cut may have damaged a line
    except FileNotFoundError:
        return ""


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(path.name + ".new")
    with suppress(OSError):  # it is asked about again next time
        fresh.write_text(text, "utf-8", "surrogateescape")
        fresh.replace(path)


def _read(text: str) -> dict[str, str]:
    parts = (line.partition(" ") for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return {host: key.strip() for host, _, key in parts}
