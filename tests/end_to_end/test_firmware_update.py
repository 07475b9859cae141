"""Firmware: a charger with two slots and a real file server; reboots, slots that come back, and what the CSMS hears."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.cli.status import screen
from tests.conformance.csms import Csms, Payload, Refusal, stamp
from tests.conformance.ledger import begun, over, read, remote_start, status, statuses, trigger
from tests.edge import fake_rauc
from tests.edge.file_servers import Files, Handler, http_files
from tests.edge.firmware_signers import Signer, maker, signer
from tests.end_to_end.agent_helpers import CARD, Charger, charger, until

BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])
HARD_RESET = 83
BUNDLE = "/v2.raucb"
_RAUC = """
reboot_command = {reboot}
[firmware]
installer = "rauc"
command = ["{board}/rauc"]
roots_file = "{board}/roots.pem"
"""
_COMMAND = """
[firmware]
installer = "command"
command = ["{board}/install"]
activation = "none"
roots_file = "{board}/roots.pem"
"""


@pytest.fixture
def files() -> Iterator[Files]:
    with http_files() as server:
        server.files[BUNDLE] = fake_rauc.bundle()
        yield server


def make_board(folder: Path) -> None:
    fake_rauc.make(folder)
    (folder / "roots.pem").write_text(maker().pem)
    (folder / "install").write_text(f"#!/bin/sh\ncp $1 {folder}/installed\n")
    (folder / "install").chmod(0o755)


@contextlib.asynccontextmanager
async def updatable(version: str, board: Path, table: str = _RAUC, **plan: Any) -> AsyncIterator[Charger]:
    """A charger whose board lies in a folder; `reboot` of the agent is one of the board."""
    make_board(board)
    call = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r}); from pathlib import Path; "
    call += f"from tests.edge.fake_rauc import reboot; reboot(Path({str(board)!r}))"
    reboot = f"[{sys.executable!r}, '-c', \"{call}\"]"
    text = table.format(board=board, reboot=reboot)
    async with charger(version, service=text, **plan) as c:
        await c.ready()
        yield c


async def order(c: Charger, url: str, **more: Any) -> Payload:
    if c.csms.version == "1.6":
        return await c.csms.call("UpdateFirmware", {"location": url, "retrieveDate": stamp()} | more)
    firmware = {"location": url, "retrieveDateTime": stamp()}
    return await c.csms.call("UpdateFirmware", {"requestId": 5, "firmware": firmware} | more)


async def signed(c: Charger, url: str, certificate: str, signature: str, request_id: int = 8) -> str:
    firmware = {"location": url, "retrieveDateTime": stamp(), "signingCertificate": certificate, "signature": signature}
    action = "SignedUpdateFirmware" if c.csms.version == "1.6" else "UpdateFirmware"
    answer = await c.csms.call(action, {"requestId": request_id, "firmware": firmware})
    return str(answer["status"])


def told(csms: Csms, action: str = "FirmwareStatusNotification") -> list[str]:
    return [p["status"] for p in csms.calls(action)]


async def heard(csms: Csms, word: str, action: str = "FirmwareStatusNotification", since: int = 0) -> Payload:
    return await csms.hear(action, since, status=word)


@BOTH
async def test_lesson_22_an_update_goes_from_the_order_to_the_new_slot(
    version: str, files: Files, tmp_path: Path
) -> None:
    async with updatable(version, tmp_path) as c:
        answer = await order(c, files.url + BUNDLE)
        assert answer == ({} if version == "1.6" else {"status": "Accepted"})
        assert await c.exit_code() == HARD_RESET
        assert fake_rauc.board(tmp_path)["runs"] == "rootfs.1"
        assert "Installed" not in told(c.csms)
        assert statuses(c.csms, 1)[-1] == "Unavailable"
        mark = c.csms.mark()
        await c.start()
        boot = await c.csms.hear("BootNotification", mark)
        await heard(c.csms, "Installed", since=mark)
        assert boot.get("reason", "FirmwareUpdate") == "FirmwareUpdate"
        await status(c.csms, "Available", 1, mark)
        assert fake_rauc.board(tmp_path)["left"]["rootfs.1"] == 3
        first = ["Downloading", "Downloaded", "Installing"]
        assert told(c.csms) == [*first, *([] if version == "1.6" else ["InstallRebooting"]), "Installed"]
        await c.csms.hear("SecurityEventNotification", mark, type="FirmwareUpdated")
        folder = c.folder / "memory" / "firmware"
        await until(lambda: list(folder.iterdir()) == [], "the fetched file is removed")
        if version == "2.0.1":
            assert {p["requestId"] for p in c.csms.calls("FirmwareStatusNotification")} == {5}


async def test_lesson_22_a_slot_that_does_not_come_up_is_a_failed_installation(files: Files, tmp_path: Path) -> None:
    async with updatable("1.6", tmp_path) as c:
        await order(c, files.url + BUNDLE)
        await heard(c.csms, "Installing")
        assert await c.exit_code() == HARD_RESET
        state = fake_rauc.board(tmp_path)
        fake_rauc.save(tmp_path, state | {"runs": "rootfs.0", "left": {"rootfs.0": 3, "rootfs.1": 0}})
        for _ in range(3):  # the kernel's name for the power-up stays the same here, so it reboots again
            mark = c.csms.mark()
            await c.start()
            if any(p["status"] == "InstallationFailed" for p in c.csms.calls("FirmwareStatusNotification")):
                break
            with contextlib.suppress(TimeoutError):
                await c.exit_code(8.0)
        await heard(c.csms, "InstallationFailed", since=mark)
        assert told(c.csms) == ["Downloading", "Downloaded", "Installing", "InstallationFailed"]
        await status(c.csms, "Available", 1, mark)


async def test_a_bundle_that_breaks_while_it_is_written_fails_and_the_charger_goes_on(
    files: Files, tmp_path: Path
) -> None:
    files.files[BUNDLE] = fake_rauc.bundle(payload=False)
    async with updatable("1.6", tmp_path) as c:
        mark = c.csms.mark()
        await order(c, files.url + BUNDLE)
        await heard(c.csms, "InstallationFailed")
        await status(c.csms, "Available", 1, mark)
        assert told(c.csms) == ["Downloading", "Downloaded", "Installing", "InstallationFailed"]
        assert "Input/output error" in c.log
        assert "Firmware  the last update ended with InstallationFailed\n" in screen(await c.status())


async def test_a_kill_in_mid_download_goes_on_where_it_stopped(files: Files, tmp_path: Path) -> None:
    whole = fake_rauc.bundle() + b" " * 9_000_000

    def stall(handler: Handler) -> None:
        if "Range" in handler.headers:
            handler.serve(whole)
            return
        handler.send_response(200)
        handler.send_header("ETag", '"one"')
        handler.send_header("Content-Length", str(len(whole)))
        handler.end_headers()
        handler.wfile.write(whole[:8_500_000])
        handler.wfile.flush()
        files.released.wait(20)

    files.hooks[BUNDLE] = stall
    async with updatable("1.6", tmp_path) as c:
        await order(c, files.url + BUNDLE)
        target = c.folder / "memory" / "firmware" / "1.bin"
        await until(lambda: target.exists() and target.stat().st_size >= 8_000_000, "most of the file")
        await c.end(signal.SIGKILL)
        await c.start()
        assert await c.exit_code() == HARD_RESET
        assert fake_rauc.board(tmp_path)["versions"]["rootfs.1"] == "2.0"
        assert told(c.csms) == ["Downloading", "Downloaded", "Installing"]
        ranges = [headers.get("Range") for _verb, _path, headers in files.requests]
        assert ranges[0] is None
        assert ranges[-1] is not None


@BOTH
async def test_an_update_waits_for_the_charge_and_nobody_else_may_begin(
    version: str, files: Files, tmp_path: Path
) -> None:
    async with updatable(version, tmp_path, evses=2) as c:
        await c.do("plug-in")
        await c.tap()
        await begun(c.csms)
        await c.charging()
        await order(c, files.url + BUNDLE)
        await heard(c.csms, "Downloaded")
        await status(c.csms, "Unavailable", 2)
        assert await remote_start(c.csms, CARD, 2) == "Rejected"
        assert "Installing" not in told(c.csms)
        assert fake_rauc.board(tmp_path)["versions"]["rootfs.1"] is None
        await c.do("unplug")
        charge = await over(c.csms)
        assert charge.reason == "EVDisconnected"
        assert await c.exit_code() == HARD_RESET
        assert fake_rauc.board(tmp_path)["runs"] == "rootfs.1"


async def test_backends_probe_with_a_nonsense_location_and_get_one_failure(files: Files, tmp_path: Path) -> None:
    async with updatable("1.6", tmp_path) as c:
        for location in ("nonsense", "file:///etc/passwd", f"{files.url}/none", "http://127.0.0.1:1/x"):
            mark = c.csms.mark()
            assert await order(c, location, retries=1) == {}
            await heard(c.csms, "DownloadFailed", since=mark)
            since = [p["status"] for p in c.csms.calls("FirmwareStatusNotification", mark)]
            assert since == ["Downloading", "DownloadFailed"]
        assert statuses(c.csms, 1)[-1] == "Available"
        mark = c.csms.mark()
        assert await trigger(c.csms, "FirmwareStatusNotification") == "Accepted"
        await heard(c.csms, "Idle", since=mark)


@BOTH
async def test_without_an_installer_an_order_is_not_supported_and_the_profile_not_told(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        with pytest.raises(Refusal, match="NotSupported"):
            await order(c, "http://127.0.0.1:1/x")
        if version == "1.6":
            assert "FirmwareManagement" not in (await read(c.csms, "SupportedFeatureProfiles") or "")
        assert told(c.csms) == []


async def test_with_an_installer_the_profile_is_told(tmp_path: Path) -> None:
    async with updatable("1.6", tmp_path) as c:
        assert "FirmwareManagement" in (await read(c.csms, "SupportedFeatureProfiles") or "").split(",")


@BOTH
async def test_statuses_of_a_time_without_a_link_are_told_after_it_in_order(
    version: str, files: Files, tmp_path: Path
) -> None:
    content = files.files[BUNDLE]

    def late(handler: Handler) -> None:
        files.released.wait(20)
        handler.serve(content)

    files.hooks["/late"] = late
    action = "SignedFirmwareStatusNotification" if version == "1.6" else "FirmwareStatusNotification"
    async with updatable(version, tmp_path, _COMMAND) as c:
        assert await signed(c, files.url + "/late", signer().pem, signer().sign(content)) == "Accepted"
        await heard(c.csms, "Downloading", action)
        c.csms.cut(refuse=True)
        files.released.set()
        await until((tmp_path / "installed").exists, "the installation")
        c.csms.mend()
        await heard(c.csms, "Installed", action)
        words = told(c.csms, action)
        assert words[-4:] == ["Downloaded", "SignatureVerified", "Installing", "Installed"]
        assert set(words[:-4]) == {"Downloading"}  # twice, if the cut took the answer


# --- signed firmware ------------------------------------------------------------------------------------------------


@BOTH
async def test_signed_firmware_is_verified_and_installed(version: str, files: Files, tmp_path: Path) -> None:
    action = "SignedFirmwareStatusNotification" if version == "1.6" else "FirmwareStatusNotification"
    async with updatable(version, tmp_path, _COMMAND) as c:
        content = files.files[BUNDLE]
        assert await signed(c, files.url + BUNDLE, signer().pem, signer().sign(content)) == "Accepted"
        await heard(c.csms, "Installed", action)
        assert told(c.csms, action) == ["Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed"]
        assert {p["requestId"] for p in c.csms.calls(action)} == {8}
        assert (tmp_path / "installed").read_bytes() == content
        await status(c.csms, "Available")


@BOTH
async def test_lesson_33_firmware_that_its_signer_did_not_sign_is_not_installed(
    version: str, files: Files, tmp_path: Path
) -> None:
    action = "SignedFirmwareStatusNotification" if version == "1.6" else "FirmwareStatusNotification"
    async with updatable(version, tmp_path, _COMMAND) as c:
        assert await signed(c, files.url + BUNDLE, signer().pem, signer().sign(b"other")) == "Accepted"
        await heard(c.csms, "InvalidSignature", action)
        await c.csms.hear("SecurityEventNotification", type="InvalidFirmwareSignature")
        assert not (tmp_path / "installed").exists()


@BOTH
async def test_lesson_33_a_certificate_of_somebody_else_is_refused(version: str, files: Files, tmp_path: Path) -> None:
    stranger = Signer("Stranger", Signer("Other root", ca=True))
    async with updatable(version, tmp_path, _COMMAND) as c:
        sign = stranger.sign(files.files[BUNDLE])
        assert await signed(c, files.url + BUNDLE, stranger.pem, sign) == "InvalidCertificate"
        await c.csms.hear("SecurityEventNotification", type="InvalidFirmwareSigningCertificate")
        assert files.requests == []
        assert await signed(c, files.url + BUNDLE, "no certificate", sign) == "InvalidCertificate"


async def test_a_revoked_certificate_is_refused_as_such(files: Files, tmp_path: Path) -> None:
    gone = Signer("Gone", maker())
    async with updatable("1.6", tmp_path, _COMMAND) as c:
        (tmp_path / "roots.pem").write_text(maker().pem + maker().revoke(gone).decode())
        assert await signed(c, files.url + BUNDLE, gone.pem, gone.sign(files.files[BUNDLE])) == "RevokedCertificate"


async def test_a_newer_order_cancels_one_that_is_being_fetched(files: Files, tmp_path: Path) -> None:
    def hang(_handler: Handler) -> None:
        files.released.wait(20)

    files.hooks["/slow"] = hang
    action = "SignedFirmwareStatusNotification"
    async with updatable("1.6", tmp_path, _COMMAND) as c:
        content = files.files[BUNDLE]
        sign = signer().sign(content)
        assert await signed(c, files.url + "/slow", signer().pem, sign, 1) == "Accepted"
        await until(lambda: files.requests, "the first fetch")
        mark = c.csms.mark()
        assert await trigger16(c.csms) == "Accepted"
        assert (await c.csms.hear(action, mark)) == {"status": "Downloading", "requestId": 1}
        assert await signed(c, files.url + BUNDLE, signer().pem, sign, 2) == "AcceptedCanceled"
        await heard(c.csms, "Installed", action)
        assert {p.get("requestId") for p in c.csms.calls(action)} == {1, 2}


async def trigger16(csms: Csms) -> str:
    answer = await csms.call("ExtendedTriggerMessage", {"requestedMessage": "FirmwareStatusNotification"})
    return str(answer["status"])


async def test_an_unsigned_order_is_not_supported_where_the_command_checks_nothing(
    files: Files, tmp_path: Path
) -> None:
    async with updatable("1.6", tmp_path, _COMMAND) as c:
        with pytest.raises(Refusal, match="NotSupported"):
            await order(c, files.url + BUNDLE)
