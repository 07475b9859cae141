"""The tools of a technician on a whole charger: trace, log, support bundle, replay and factory reset, as processes of
their own against the running agent.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tarfile
from pathlib import Path

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


async def do(c: Charger, *words: str) -> tuple[int | None, str]:
    """Run it to its end: exit code, and what it prints."""
    return await end(await begin(c, *words))


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

        code, out = await do(c, "trace", "modbus", "--device", "meter", "--evse", "1", "--count", "1", *where(c))
        assert code == 0, out
        assert "Voltage@L1-N" in out

        await c.do("plug-in")
        await c.charging()
        code, out = await do(c, "factory-reset", "--yes", "--reason", "test", *where(c))
        assert (code, "EVSE 1 has a transaction" in out) == (1, True)

        code, out = await do(c, "log", "--evse", "1", "--lines", "50", *where(c))
        assert code == 0
        assert "TransactionBegan" in out

        code, out = await do(c, "support-bundle", "bundle.tar.gz", *where(c))
        assert (code, "nothing secret" in out) == (0, True), out
        assert CARD.encode() not in whole(c.folder / "bundle.tar.gz")
        code, out = await do(c, "replay", "bundle.tar.gz")
        assert code == 0, out
        assert "TokenPresented" in out
        assert "steps gave the same effects" in out

        await c.do("unplug")
        await c.csms.hear("TransactionEvent", eventType="Ended")
        await c.delivered()
        await resets(c)


async def resets(c: Charger) -> None:
    memory = c.folder / "memory"
    before = set(memory.glob("recorder/*"))
    resetting = await begin(c, "factory-reset", "--yes", "--reason", "back to stock", *where(c))
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
