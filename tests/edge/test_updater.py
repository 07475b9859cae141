"""The updater: files that come and go, and what each errand is answered with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.core.firmware import (
    Activation,
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
from agent.core.requests import Ref, UpdateRequested
from agent.edge import updater
from agent.edge.installers import InstallerError, Rauc
from agent.edge.updater import Updater
from agent.errors import OperatingFault, TransferError
from agent.log import Log
from tests.edge import fake_rauc
from tests.edge.firmware_signers import Signer, roots, signer

LOG = Log(lambda *_: True)


class Shop:
    """Where firmware is fetched: what it gives, what it refuses, and one that never ends."""

    def __init__(self) -> None:
        self.content = fake_rauc.bundle()
        self.error: Exception | None = None
        self.hangs = False
        self.asked: list[tuple[str, int]] = []

    async def fetch(self, location: str, target: Path, *, limit_bytes: int) -> None:
        self.asked.append((location, limit_bytes))
        target.write_bytes(self.content[:10])
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        if self.error:
            raise self.error
        target.write_bytes(self.content)


class Desk:
    def __init__(self, folder: Path) -> None:
        self.shop = Shop()
        self.folder = folder / "firmware"
        self.roots: Sequence[bytes] | OperatingFault = roots()
        self.updater = Updater(
            self.folder,
            Rauc([str(fake_rauc.make(folder))], log=LOG),
            limit_bytes=1000,
            log=LOG,
            roots=self._roots,
            fetch=self.shop.fetch,
        )
        self._handlers = self.updater.handlers()

    def _roots(self) -> Sequence[bytes]:
        if isinstance(self.roots, OperatingFault):
            raise self.roots
        return self.roots

    async def do(self, errand: Any) -> Any:
        async with asyncio.timeout(20):
            return await self._handlers[type(errand)](errand)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_a_file_is_fetched_installed_and_removed(desk: Desk) -> None:
    assert await desk.do(FetchFirmware(3, "https://x")) == FirmwareFetched(3)
    assert desk.shop.asked == [("https://x", 1000)]
    assert await desk.do(InstallFirmware(3)) == FirmwareInstalled(3, Activation.REBOOT, "rootfs.1")
    await desk.do(DropFirmware(3))
    assert list(desk.folder.iterdir()) == []


@pytest.mark.parametrize("permanent", [True, False])
async def test_a_file_that_cannot_be_fetched_says_why(desk: Desk, permanent: bool) -> None:
    desk.shop.error = TransferError("no such file", permanent)
    assert await desk.do(FetchFirmware(1, "x")) == FirmwareFetched(1, "no such file", permanent)


async def test_a_disk_that_refuses_is_a_fetch_that_failed(desk: Desk) -> None:
    desk.folder.write_text("in the way")
    found = await desk.do(FetchFirmware(1, "x"))
    assert found.why
    assert not found.permanent


async def test_a_fetch_that_is_dropped_ends_unanswered_and_leaves_nothing(desk: Desk) -> None:
    desk.shop.hangs = True
    task = asyncio.ensure_future(desk.do(FetchFirmware(1, "x")))
    async with asyncio.timeout(5):
        while not desk.shop.asked:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0)
    await desk.do(DropFirmware(1))
    assert await task is None
    assert list(desk.folder.iterdir()) == []


async def test_a_fetch_under_way_ends_with_the_process_and_its_file_stays(desk: Desk) -> None:
    desk.shop.hangs = True
    task = asyncio.ensure_future(desk.do(FetchFirmware(1, "x")))
    async with asyncio.timeout(5):
        while not desk.shop.asked:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert desk.updater.file(1).exists()


async def test_dropping_leaves_the_file_of_a_later_update(desk: Desk) -> None:
    for number in (1, 2, 3):
        await desk.do(FetchFirmware(number, "x"))
    desk.folder.joinpath("notes.txt").touch()
    await desk.do(DropFirmware(2))
    assert {path.name for path in desk.folder.iterdir()} == {"3.bin", "notes.txt"}


async def test_dropping_what_was_never_there_is_fine(desk: Desk) -> None:
    assert await desk.do(DropFirmware(9)) is None


async def test_a_signer_is_checked_against_the_roots_of_the_manufacturer(desk: Desk) -> None:
    order = UpdateRequested(Ref("r", "x"), "https://x", certificate=signer().pem, signature="")
    assert await desk.do(CheckSigner(order)) == SignerChecked(order)
    desk.roots = []
    assert (await desk.do(CheckSigner(order))).verdict == "invalid"
    desk.roots = OperatingFault("disk gone")
    assert (await desk.do(CheckSigner(order))).verdict == "invalid"


async def test_a_file_is_verified_before_it_is_installed(desk: Desk) -> None:
    await desk.do(FetchFirmware(1, "x"))
    good = signer().sign(desk.shop.content)
    assert await desk.do(VerifyFirmware(1, signer().pem, good)) == FirmwareVerified(1)
    other = signer().sign(b"something else")
    assert (await desk.do(VerifyFirmware(1, signer().pem, other))).verdict == "signature"
    assert (await desk.do(VerifyFirmware(1, Signer("Stranger").pem, good))).verdict == "certificate"
    assert (await desk.do(VerifyFirmware(2, signer().pem, good))).verdict == "file"


async def test_a_file_that_has_gone_is_not_installed(desk: Desk) -> None:
    assert await desk.do(InstallFirmware(1)) == FirmwareInstalled(1, why="the fetched file is gone")


async def test_the_running_slot_is_looked_at_and_kept(desk: Desk, tmp_path: Path) -> None:
    assert await desk.do(LookAtFirmware()) == FirmwareSeen("rootfs.0")
    assert await desk.do(KeepFirmware()) == FirmwareKept()
    assert ["status", "mark-good"] in fake_rauc.board(tmp_path)["calls"]


async def test_what_runs_is_kept_by_an_installer_that_starts_later_than_we_do(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    async def keep() -> None:
        tries.append("keep")
        if len(tries) < 3:
            raise InstallerError("no service yet")

    monkeypatch.setattr(updater, "KEEP_PAUSES_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(desk.updater._installer, "keep", keep)
    assert await desk.do(KeepFirmware()) == FirmwareKept()
    assert len(tries) == 3


async def test_an_installer_that_cannot_be_asked_is_no_bug(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updater, "KEEP_PAUSES_S", (0.0,))
    (tmp_path / "rauc").unlink()
    await desk.do(FetchFirmware(1, "x"))
    assert await desk.do(LookAtFirmware()) == FirmwareSeen("")
    assert "cannot be run" in (await desk.do(KeepFirmware())).why
    assert "cannot be run" in (await desk.do(InstallFirmware(1))).why
    assert issubclass(InstallerError, OperatingFault)
