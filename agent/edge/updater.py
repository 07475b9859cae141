"""Updater: the errands of the block `firmware`, done with files, transfers, signatures and an installer.

One file for each update, `NUMBER.bin` in a folder of its own, removed when the update is over; a fetch that broke off
goes on in the same file. Whatever fails in the world becomes the event that answers the errand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from agent.core.effects import Errand
from agent.core.events import Event
from agent.core.firmware import (
    CheckSigner,
    DropFirmware,
    FetchFirmware,
    FirmwareFetched,
    FirmwareInstalled,
    FirmwareKept,
    FirmwareSeen,
    FirmwareVerified,
    InstallFirmware,
    KeepFirmware,
    LookAtFirmware,
    SignerChecked,
    VerifyFirmware,
)
from agent.edge.installers import Installer, InstallerError
from agent.errors import OperatingFault, TransferError
from agent.log import Log

MAX_WHY = 200
KEEP_PAUSES_S = (5.0, 20.0, 60.0)
ENDING_S = 5.0  # how long a fetch that is given up may take to let go of its file
Fetch = Callable[..., Awaitable[None]]
Handler = Callable[[Any], Awaitable[Event | None]]


class Updater:
    """`roots`: certificates (PEM) that may vouch for firmware; `utc`: the time, None when nobody knows it."""

    def __init__(
        self,
        folder: Path,
        installer: Installer,
        *,
        limit_bytes: int,
        log: Log,
        roots: Callable[[], Sequence[bytes]] = tuple,
        utc: Callable[[], float | None] = lambda: None,
        fetch: Fetch | None = None,
    ) -> None:
        self._folder, self._installer, self._limit_bytes = folder, installer, limit_bytes
        self._log, self._roots, self._utc, self._fetch = log, roots, utc, fetch
        self._fetching: dict[int, asyncio.Task[None]] = {}
        self._dropped: set[int] = set()

    def handlers(self) -> Mapping[type[Errand], Handler]:
        return {
            LookAtFirmware: self._on_look,
            CheckSigner: self._on_check,
            FetchFirmware: self._on_fetch,
            VerifyFirmware: self._on_verify,
            InstallFirmware: self._on_install,
            KeepFirmware: self._on_keep,
            DropFirmware: self._on_drop,
        }

    def file(self, number: int) -> Path:
        return self._folder / f"{number}.bin"

    # --- the file -----------------------------------------------------------------------------------------------

    async def _on_fetch(self, e: FetchFirmware) -> Event | None:
        task = asyncio.ensure_future(self._fetch_to(e.location, self.file(e.number)))
        self._fetching[e.number] = task
        try:
            await task
        except TransferError as error:
            return FirmwareFetched(e.number, _short(error), error.permanent)
        except OSError as error:
            return FirmwareFetched(e.number, _short(error))
        except asyncio.CancelledError:
            if e.number in self._dropped:
                return None
            raise
        finally:
            del self._fetching[e.number]
        return FirmwareFetched(e.number)

    async def _fetch_to(self, location: str, file: Path) -> None:
        if self._fetch is None:
            from agent.edge.transfer import fetch

            self._fetch = fetch
        self._folder.mkdir(0o700, parents=True, exist_ok=True)
        await self._fetch(location, file, limit_bytes=self._limit_bytes)

    async def _on_drop(self, e: DropFirmware) -> None:
        """Files of earlier updates, whatever left them behind, go with it."""
        tasks = [task for number, task in self._fetching.items() if number <= e.number]
        self._dropped = {number for number in self._fetching if number <= e.number}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=ENDING_S)
        try:
            await asyncio.to_thread(self._remove, e.number)
        except OSError as error:
            self._log.warning("FirmwareNotRemoved", f"a firmware file stays on the disk: {_short(error)}")

    def _remove(self, number: int) -> None:
        for path in list(self._folder.iterdir()) if self._folder.is_dir() else []:
            head = path.name.partition(".")[0]
            if head.isdecimal() and int(head) <= number:
                path.unlink(missing_ok=True)

    # --- signatures ---------------------------------------------------------------------------------------------

    async def _on_check(self, e: CheckSigner) -> Event:
        from agent.edge.signing import check_signer

        pem = e.order.certificate or ""
        verdict, why = await asyncio.to_thread(self._with_roots, partial(check_signer, pem))
        return SignerChecked(e.order, verdict, why)

    async def _on_verify(self, e: VerifyFirmware) -> Event:
        from agent.edge.signing import check_file

        check = partial(check_file, self.file(e.number), e.certificate, e.signature)
        return FirmwareVerified(e.number, *await asyncio.to_thread(self._with_roots, check))

    def _with_roots(self, check: Callable[[Sequence[bytes], float | None], tuple[str, str]]) -> tuple[str, str]:
        try:
            roots = self._roots()
        except (OSError, OperatingFault) as error:
            self._log.warning("NoManufacturerRoots", f"the roots of the manufacturer cannot be read: {_short(error)}")
            roots = ()
        return check(roots, self._utc())

    # --- the installer ------------------------------------------------------------------------------------------

    async def _on_look(self, _e: LookAtFirmware) -> Event:
        try:
            return FirmwareSeen(await self._installer.running())
        except InstallerError as error:
            self._log.warning("FirmwareUnknown", f"which firmware runs cannot be told: {_short(error)}")
            return FirmwareSeen("")

    async def _on_install(self, e: InstallFirmware) -> Event:
        if not self.file(e.number).is_file():
            return FirmwareInstalled(e.number, why="the fetched file is gone")
        try:
            done = await self._installer.install(self.file(e.number))
        except InstallerError as error:
            return FirmwareInstalled(e.number, why=_short(error))
        return FirmwareInstalled(e.number, done.activation, done.target, done.why, done.refused)

    async def _on_keep(self, _e: KeepFirmware) -> Event:
        """Tried for a while: an installer's service may start later than we do."""
        why = ""
        for pause_s in (0.0, *KEEP_PAUSES_S):
            await asyncio.sleep(pause_s)
            try:
                await self._installer.keep()
            except InstallerError as error:
                why = _short(error)
            else:
                return FirmwareKept()
        return FirmwareKept(why)


def _short(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:MAX_WHY]
