"""Installers: real programs, a RAUC that behaves like the real one, and a board that is rebooted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.core.firmware import Activation
from agent.edge import installers
from agent.edge.installers import Command, InstallerError, Outcome, Rauc, run
from agent.log import DEBUG, Log
from tests.edge import fake_rauc

DEADLINE_S = 10.0


class Journal:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.log = Log(self._take, DEBUG)

    def _take(self, _priority: int, message: str, _fields: dict[str, str]) -> bool:
        self.lines.append(message)
        return True


def script(folder: Path, text: str) -> str:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


async def until(found: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not found():  # noqa: ASYNC110  nobody tells when a file appears
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    """Also false for one that has ended and that nobody has fetched yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# --- a command --------------------------------------------------------------------------------------------------


async def test_a_command_gets_the_file_and_its_exit_code_is_the_result(tmp_path: Path) -> None:
    journal = Journal()
    program = script(tmp_path, 'echo "writing $2"; test "$1" = --now && test -f "$2"')
    file = tmp_path / "1.bin"
    file.touch()
    command = Command([program, "--now"], activation=Activation.RESTART, log=journal.log)
    assert await command.install(file) == Outcome(Activation.RESTART)
    assert journal.lines == [f"Installer: program: writing {file}"]
    assert (await command.install(tmp_path / "none")).why == f"exit code 1: writing {tmp_path / 'none'}"


async def test_a_command_can_say_that_the_file_is_no_firmware(tmp_path: Path) -> None:
    program = script(tmp_path, "echo not for this charger >&2; exit 65")
    found = await Command([program], log=Journal().log).install(tmp_path)
    assert found == Outcome(why="exit code 65: not for this charger", refused=True)


async def test_the_version_is_the_first_line_of_what_its_command_prints(tmp_path: Path) -> None:
    program = script(tmp_path, "echo noise >&2; echo ' 2.0-b7 '; echo more")
    assert await Command(["/bin/true"], version=[program], log=Journal().log).running() == "2.0-b7"
    assert await Command(["/bin/true"], log=Journal().log).running() == ""


async def test_a_command_may_be_told_that_the_firmware_is_good(tmp_path: Path) -> None:
    mark = tmp_path / "good"
    await Command(["/bin/true"], keep=[script(tmp_path, f"touch {mark}")], log=Journal().log).keep()
    assert mark.exists()
    with pytest.raises(InstallerError, match="exit code 1"):
        await Command(["/bin/true"], keep=["/bin/false"], log=Journal().log).keep()


async def test_a_program_that_is_not_there_is_an_error_in_plain_words(tmp_path: Path) -> None:
    with pytest.raises(InstallerError, match="/no/such cannot be run: No such file or directory"):
        await run(["/no/such"], 5)


async def test_a_program_that_does_not_end_is_ended_with_all_its_children(tmp_path: Path) -> None:
    child = tmp_path / "child"
    program = script(tmp_path, f"sleep 600 & echo $! > {child}; wait")
    with pytest.raises(InstallerError, match="did not end within"):
        await run([program], 1.5)
    pid = int(child.read_text())
    await until(lambda: not alive(pid))


async def test_a_program_that_ignores_its_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installers, "END_S", 0.2)
    mark = tmp_path / "pid"
    program = script(tmp_path, f"trap '' TERM; echo $$ > {mark}; while :; do sleep 1; done")
    with pytest.raises(InstallerError):
        await run([program], 1.5)
    pid = int(mark.read_text())
    await until(lambda: not alive(pid))


async def test_a_program_ends_with_the_process_that_wanted_it(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    task = asyncio.ensure_future(run([script(tmp_path, f"echo $$ > {mark}; sleep 600")], 600))
    await until(lambda: mark.exists() and mark.read_text().strip())
    task.cancel()
    await asyncio.wait([task])
    assert not alive(int(mark.read_text()))


async def test_output_without_end_is_bounded(tmp_path: Path) -> None:
    journal = Journal()
    code, output = await run([script(tmp_path, "seq 1 200000")], DEADLINE_S, journal.log)
    assert code == 0
    assert output.endswith(b"200000\n")
    assert len(output) <= installers.MAX_OUTPUT
    assert len(journal.lines) == installers.MAX_LINES
    code, _output = await run([script(tmp_path, "head -c 3000000 /dev/zero")], DEADLINE_S, journal.log)
    assert code == 0


async def test_a_daemon_that_holds_the_pipe_holds_nobody_up(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    program = script(tmp_path, f"setsid sleep 60 & echo $! > {mark}")
    code, _output = await asyncio.wait_for(run([program], 8.0), DEADLINE_S)
    assert code == 0
    os.kill(int(mark.read_text()), 9)


async def test_a_program_does_not_inherit_the_service_managers_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    _code, output = await run(["/usr/bin/env"], DEADLINE_S)
    assert b"CREDENTIALS" not in output
    assert b"NOTIFY" not in output


# --- RAUC -------------------------------------------------------------------------------------------------------


@pytest.fixture
def rauc(tmp_path: Path) -> Rauc:
    return Rauc([str(fake_rauc.make(tmp_path))], log=Journal().log)


def bundle(folder: Path, **what: bool) -> Path:
    file = folder / "1.bin"
    file.write_bytes(fake_rauc.bundle(**what))  # type: ignore[arg-type]
    return file


async def test_rauc_installs_the_other_slot_and_the_next_boot_runs_it(rauc: Rauc, tmp_path: Path) -> None:
    assert await rauc.running() == "rootfs.0"
    assert await rauc.install(bundle(tmp_path)) == Outcome(Activation.REBOOT, "rootfs.1")
    assert await rauc.running() == "rootfs.0"
    fake_rauc.reboot(tmp_path)
    assert await rauc.running() == "rootfs.1"


async def test_rauc_goes_back_when_nobody_says_that_the_new_slot_is_good(rauc: Rauc, tmp_path: Path) -> None:
    await rauc.install(bundle(tmp_path))
    assert [fake_rauc.reboot(tmp_path) for _ in range(4)] == ["rootfs.1"] * 3 + ["rootfs.0"]


async def test_rauc_stays_with_a_slot_that_was_marked_as_good(rauc: Rauc, tmp_path: Path) -> None:
    await rauc.install(bundle(tmp_path))
    for _ in range(9):
        assert fake_rauc.reboot(tmp_path) == "rootfs.1"
        await rauc.keep()


async def test_a_bundle_that_rauc_does_not_trust_is_refused_before_anything_is_written(
    rauc: Rauc, tmp_path: Path
) -> None:
    found = await rauc.install(bundle(tmp_path, good=False))
    assert found.refused
    assert "signature verification failed" in found.why
    assert fake_rauc.board(tmp_path)["left"]["rootfs.1"] == 3
    (tmp_path / "1.bin").write_bytes(b"\x00nonsense")
    assert (await rauc.install(tmp_path / "1.bin")).refused


async def test_a_bundle_that_breaks_off_while_it_is_written_has_failed(rauc: Rauc, tmp_path: Path) -> None:
    found = await rauc.install(bundle(tmp_path, payload=False))
    assert (found.refused, found.activation) == (False, Activation.NONE)
    assert "Input/output error" in found.why
    assert fake_rauc.reboot(tmp_path) == "rootfs.0"


async def test_an_installation_that_raucs_service_is_still_at_is_waited_for(
    rauc: Rauc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installers, "BUSY_S", 0.01)
    fake_rauc.save(tmp_path, fake_rauc.board(tmp_path) | {"busy": 2})
    assert (await rauc.install(bundle(tmp_path))).target == "rootfs.1"


async def test_a_rauc_that_says_nothing_readable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InstallerError, match="no status in JSON"):
        await Rauc([script(tmp_path, "echo sorry")], log=Journal().log).running()
