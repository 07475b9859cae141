"""The tools of a technician on a whole charger: trace, log, support bundle, replay and factory reset, as processes of
their own against the running agent.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import shlex
import signal
import sys
import tarfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from agent.__main__ import main
from tests.end_to_end import agent_helpers
from tests.end_to_end.agent_helpers import CARD, ROOT, Charger, charger, until

PATIENCE_S = 60.0


async def begin(c: Charger, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", *words),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        cwd=c.folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


async def end(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    return process.returncode, out.decode()


async def do(_c: Charger, *words: str) -> tuple[int | None, str]:
    """Run it to its end, in this process: exit code, and what it prints."""
    out = io.StringIO()

    def run() -> int:
        with redirect_stdout(out), redirect_stderr(out):
            return main(words)

    return await asyncio.wait_for(asyncio.to_thread(run), PATIENCE_S), out.getvalue()


def where(c: Charger) -> tuple[str, str]:
    return "--config", str(c.config)


async def test_a_technician_looks_on_packs_replays_and_resets() -> None:
    async with charger("2.0.1") as c:
        await c.ready()
        tracing = await begin(c, "trace", "ocpp", "--action", "authorize", "--count", "2", "--json", *where(c))
        await until(lambda: "ACTION=trace" in c.log, "the agent is listened to")
        await c.tap()
        code, out = await end(tracing)
        told = [json.loads(line) for line in out.splitlines()]
        assert (code, [line["action"] for line in told]) == (0, ["Authorize", "Authorize answered"])
        assert CARD not in out

        code, out = await do(
            c, "trace", "modbus", "--device", "meter", "--evse", "1", "--count", "3", "--full", *where(c)
        )
        assert code == 0, out
        assert "Energy.Active.Import.Register" in out

        await c.do("plug-in")
        await c.charging()
        code, out = await do(c, "factory-reset", "--yes", "--reason", "test", *where(c))
        assert (code, "EVSE 1 has a transaction" in out) == (1, True)

        code, out = await do(c, "log", "--evse", "1", "--lines", "50", *where(c))
        assert code == 0
        assert "TransactionBegan" in out

        bundle, outgoing = str(c.folder / "bundle.tar.gz"), c.folder / "memory" / "outgoing"
        outgoing.touch()  # no folder can be made there, as on a disk that is full
        code, out = await do(c, "support-bundle", bundle, *where(c))
        assert (code, "nothing secret" in out) == (0, True), out
        outgoing.unlink()
        assert CARD.encode() not in whole(c.folder / "bundle.tar.gz")
        code, out = await do(c, "replay", bundle)
        assert code == 0, out
        assert "TokenPresented" in out
        assert "steps gave the same effects" in out

        await c.do("unplug")
        await c.csms.hear("TransactionEvent", eventType="Ended")
        await c.delivered()
        *others, reset = [words for words in manual() if words[0] != "plug-and-test"]
        assert len(others) == 7
        for words in others:
            code, out = await do(c, *placed(c, words))
            assert code == 0, (words, out)
        assert reset[0] == "factory-reset"
        await resets(c, *reset, "--yes")


def manual() -> list[list[str]]:
    """The commands of the section of packaging/README.md that is about these tools."""
    section = (ROOT / "packaging/README.md").read_text().split("### Looking closer\n", 1)[1].split("\n### ", 1)[0]
    blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return [shlex.split(line, comments=True)[1:] for block in blocks for line in block.splitlines()]


def placed(c: Charger, words: list[str]) -> list[str]:
    """With the folders of this charger, and an end to what only ends with Ctrl-C."""
    places = {"/tmp": str(c.folder), "/var/lib/chargepoint/recorder": str(c.folder / "memory" / "recorder"), "60": "1"}
    short = {"trace": [] if "--count" in words or "--for-s" in words else ["--for-s", "1"]}
    found = [places.get(word, word) for word in words if word != "--follow"]
    return [*found, *short.get(words[0], []), *(where(c) if words[0] != "replay" else ())]


async def resets(c: Charger, *words: str) -> None:
    memory = c.folder / "memory"
    before = set(memory.glob("recorder/*"))
    resetting = await begin(c, *words, *where(c))
    assert await c.exit_code() == 82
    await c.start()  # as a service manager does
    code, out = await end(resetting)
    assert (code, "it is back" in out) == (0, True), out
    assert "FactoryReset: ordered by" in c.log
    assert not before & {path for path in memory.glob("recorder/*") if path.stat().st_size == 0}
    _, listed = await do(c, "transactions", "--json", *where(c))
    assert json.loads(listed)["transactions"] == []


def whole(path: Path) -> bytes:
    with tarfile.open(path, "r:gz") as tar:
        parts = [tar.extractfile(member) for member in tar]
        return b"".join(part.read() for part in parts if part is not None)


async def test_what_led_to_a_fault_is_recorded_although_the_agent_is_killed() -> None:
    async with charger("1.6") as c:
        await c.ready()
        await c.do("fault", name="over-temperature")
        await c.csms.hear("StatusNotification", status="Faulted")
        recorder = c.folder / "memory" / "recorder"
        (segment,) = recorder.iterdir()
        begun = segment.stat().st_size
        await until(lambda: segment.stat().st_size > begun, "the fault hastens a block", PATIENCE_S)
        await c.end(signal.SIGKILL)
        code, out = await do(c, "replay", str(recorder))
        assert code == 0, out
        assert "too hot" in out


# --- the guided test charge ---------------------------------------------------------------------------------


async def guided(c: Charger, *words: str) -> tuple[int | None, str]:
    """A technician who does what he is told."""
    process = await begin(c, "plug-and-test", "1", *words, *where(c))
    assert process.stdout is not None
    said = ""
    async with asyncio.timeout(2 * PATIENCE_S):
        while line := (await process.stdout.readline()).decode():
            said += line
            if "-> Plug a car" in line:
                await c.do("plug-in")
            elif "-> Hold a card" in line:
                await c.tap()
            elif "-> Unplug" in line:
                await c.do("unplug")
    return await process.wait(), said


async def test_a_guided_test_charge_passes_and_another_one_names_the_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_helpers, "PACE", 1.0)  # the register is compared with a clock
    async with charger("2.0.1") as c:
        await c.ready()
        code, said = await guided(c, "--report", "report.txt", "--measure-s", "4")
        assert code == 0, said
        assert (c.folder / "report.txt").read_text().endswith("passed\n")
        assert said.count("\nok ") == 11
        await c.do("fault", name="ground")
        await c.csms.hear("StatusNotification", connectorStatus="Faulted")
        code, said = await guided(c)
        assert (code, "FAIL  before     fault ground" in said) == (1, True), said
        assert "what to do:" in said
