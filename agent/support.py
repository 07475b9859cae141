"""What the running agent gives away of itself in a file: the errands of the block `diagnostics`, and the bundle that a
technician asks for on the charger itself.

The file is written whole before anything is sent, into a folder beside the store, and removed when the upload is over.
Packing and redacting are done in a thread that nobody has to wait for.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from agent import __version__
from agent.blocks.security import Security
from agent.core.diagnostics import DropLog, LogSent, SendLog
from agent.custody import file_servers
from agent.edge.trace import Trace
from agent.errors import AgentError, TransferError
from agent.worker import Worker

if TYPE_CHECKING:
    from agent.daemon import Daemon
    from agent.edge.redaction import Redactor

FOLDER = "outgoing"
KNOWN_HOSTS = "known_hosts"
BUNDLE_S = 120.0

T = TypeVar("T")


class Support:
    """`errands` are to be served by `send` and `drop`; `frame` is to be told every frame."""

    def __init__(self, daemon: Daemon) -> None:
        self._d = daemon
        self._folder = Path(daemon.config.storage.dir) / FOLDER
        self._under_way: dict[int, asyncio.Task[LogSent]] = {}
        self.trace = Trace(daemon.clock.mono)
        daemon.errands.serve(SendLog, self.send)
        daemon.errands.serve(DropLog, self.drop)

    def frame(self, way: str, text: str) -> None:
        """A frame crosses, or something becomes of the link."""
        mono = self.trace.add(way, text)
        if self._d.recorder is not None:
            self._d.recorder.frame(mono, way, text)

    # --- errands ------------------------------------------------------------------------------------------------

    async def send(self, errand: SendLog) -> LogSent | None:
        task = asyncio.ensure_future(self._send(errand))
        self._under_way[errand.number] = task
        try:
            return await task
        except asyncio.CancelledError:
            if errand.number in self._under_way:
                raise  # the process ends
            return None
        finally:
            task.cancel()
            self._under_way.pop(errand.number, None)

    async def drop(self, errand: DropLog) -> None:
        task = self._under_way.pop(errand.number, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        if not self._under_way:
            from agent.edge.bundle import clear

            clear(self._folder)

    async def _send(self, errand: SendLog) -> LogSent:
        from agent.edge.transfer import check, send

        path = self._folder / errand.name
        try:
            check(errand.location)
        except TransferError as error:
            return LogSent(errand.number, str(error), "malformed")
        try:
            if not path.exists():
                await self._make(path, errand)
            config = self._d.config
            hosts = Path(config.storage.dir) / KNOWN_HOSTS
            await send(path, errand.location, errand.name, known_hosts=hosts, **file_servers(config))
        except TransferError as error:
            return LogSent(errand.number, str(error), "denied" if error.denied else "")
        return LogSent(errand.number)

    async def _make(self, path: Path, errand: SendLog) -> None:
        from agent.edge import bundle

        bundle.clear(self._folder, keep=path.name)
        if errand.kind == "Security":
            redactor, text = self._redactor(), "\n".join([*errand.lines, ""])
            await _beside(lambda: bundle.write_text(path, redactor.text(text), redactor))
        else:
            await self.bundle(path, errand.oldest, errand.latest)

    # --- the bundle ---------------------------------------------------------------------------------------------

    async def bundle(self, path: Path, oldest: float | None = None, latest: float | None = None) -> None:
        """Write the bundle (tar.gz). Raises TransferError when the disk does not take it."""
        from agent.edge.bundle import write_bundle

        parts, redactor, utc = await self._parts(oldest, latest)
        await _beside(lambda: write_bundle(path, parts(), redactor, utc))

    async def packed(self, name: str) -> bytes:
        """The same without a file: somebody at the charger has asked, and perhaps because the disk is full."""
        from agent.edge.bundle import packed

        parts, redactor, utc = await self._parts(None, None)
        return await _beside(lambda: packed(name, parts(), redactor, utc))

    async def _parts(
        self, oldest: float | None, latest: float | None
    ) -> tuple[Callable[[], dict[str, str]], Redactor, float]:
        """What makes the parts, for a thread of its own; all that only the loop may look at is taken here."""
        from agent.edge import bundle

        redactor, now = self._redactor(), self._d.clock.now()
        log = await bundle.journal(oldest, latest)
        ring = "" if log else "\n".join([*self._d.log.recent(oldest, latest), ""])
        frames = list(self.trace.lines(now, oldest, latest))
        status, settings = self._d.report.status(), self._settings()
        about, recorder = self._about(), self._d.recorder
        security = next(block for block in self._d.built.station.blocks if isinstance(block, Security))
        alarms = security.lines(oldest, latest)
        half = bundle.RECORDING_BYTES // 2  # a mask may be longer than what it hides
        if recorder is not None:
            await recorder.flush(now)

        def parts() -> dict[str, str]:
            return {
                "about.txt": redactor.text(about),
                "status.json": as_json(redactor.value(status)),
                "settings.json": as_json(redactor.value(settings)),
                "configuration.json": as_json(redactor.value(self._configuration())),
                "frames.txt": "".join(f"{at} {way} {redactor.frame(text)}\n" for at, way, text in frames),
                "log.txt": redactor.text(bundle.tail(log or ring)),
                "security.txt": redactor.text("\n".join([*alarms, ""])),
                "board.txt": redactor.text(bundle.board()),
                bundle.RECORDING: masked_recording(recorder.newest(half), redactor) if recorder is not None else "",
            }

        return parts, redactor, now.utc

    def name(self) -> str:
        """Of a bundle that somebody at the charger has asked for."""
        from agent.edge import bundle

        station = self._d.config.station
        return bundle.name(station.serial or station.model, self._d.clock.now().utc)

    def _redactor(self) -> Redactor:
        from agent.edge.redaction import Redactor

        return Redactor(self._d.log.secrets)

    def _about(self) -> str:
        import platform

        from agent.edge.bundle import disk

        config = self._d.config
        lines = (
            f"chargepoint-agent {__version__}",
            f"{config.station.vendor} {config.station.model} {config.station.serial} {config.station.firmware}",
            f"Python {platform.python_version()}, {sys.platform}, {' '.join(platform.uname()[2:5])}",
            self._d.report.line(),
            disk(Path(config.storage.dir)),
            disk(Path("/")),
            "",
        )
        return "\n".join(lines)

    def _settings(self) -> dict[str, Any]:
        """All variables as they are now; what may only be written has no value."""
        now = self._d.clock.now()
        variables = self._d.built.station.facts.variables
        return {str(row.id): variables.view(row.id, now).value for row in variables.rows()}

    def _configuration(self) -> dict[str, Any]:
        """The configuration as it is read: the file with its drop-ins."""
        from agent.config_toml import read

        try:
            table, files = read(Path(self._d.config.path))
        except AgentError as error:
            return {"error": str(error)}
        return {"files": [str(file) for file in files], "merged": table.data}


async def _beside(work: Callable[[], T]) -> T:
    """In a thread that does not hold the end of the process."""
    worker = Worker("bundle")
    try:
        async with asyncio.timeout(BUNDLE_S):
            return await worker.do(work)
    except TimeoutError:
        raise TransferError("the file was not made in time") from None
    finally:
        worker.leave()


def masked_recording(lines: Sequence[str], redactor: Redactor) -> str:
    import secrets

    from agent.recording_mask import Mask

    mask = Mask(secrets.token_bytes(16), redactor.value)
    return "".join(f"{line}\n" for line in mask.lines(lines))


def as_json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n"
