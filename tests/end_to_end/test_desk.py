"""What README.md tells a stranger to do: point `etc/desk.toml` at a central system by its URL, start hardware and agent
by hand, and charge. The commands are taken from the README itself; only the folder is another one.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.demo.central import Central, Crossed

ROOT = Path(__file__).parents[2]
COMMAND = re.compile(r"^\.venv/bin/chargepoint (.+?)(?: &)?$", re.MULTILINE)
DEADLINE_S = 60.0


class Desk:
    """A folder with desk.toml, changed in its URL and its places only."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.config = folder / "desk.toml"
        text = (ROOT / "etc/desk.toml").read_text()
        assert text.count('url = "ws://127.0.0.1:9000/ocpp"') == 1
        self.config.write_text(self.placed(text.replace("ws://127.0.0.1:9000/ocpp", url)))
        blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
        self.commands = [words for block in blocks for words in COMMAND.findall(block)]

    def placed(self, text: str) -> str:
        return text.replace("/tmp/chargepoint-desk", str(self.folder)).replace("etc/desk.toml", str(self.config))

    async def start(self, beginning: str) -> asyncio.subprocess.Process:
        """The one command of the README that begins so."""
        (words,) = [words for words in self.commands if words.startswith(beginning)]
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent", *shlex.split(self.placed(words)),
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip

    async def do(self, beginning: str) -> str:
        """Run it to its end; what it prints."""
        process = await self.start(beginning)
        out, _ = await asyncio.wait_for(process.communicate(), DEADLINE_S)
        assert process.returncode == 0, out.decode()
        return out.decode()


@asynccontextmanager
async def desk(central: Central) -> AsyncIterator[Desk]:
    """Hardware and agent run, by the commands of the README."""
    await central.open()
    with tempfile.TemporaryDirectory(prefix="d-", dir="/tmp") as folder:
        made = Desk(Path(folder), central.url)
        told = await made.do("check-config ")
        assert ": ok, 1 EVSE on 1 bus" in told
        assert "warning" not in told
        started = [await made.start("simulate ")]
        try:
            await until((made.folder / "sim.sock").exists, "the hardware is there")
            started.append(await made.start("run "))
            yield made
        finally:
            for process in reversed(started):
                process.terminate()
                await asyncio.wait_for(process.communicate(), DEADLINE_S)
            await central.cut()


async def until(true: Callable[[], bool], what: str) -> None:
    ends = asyncio.get_running_loop().time() + DEADLINE_S
    while not true():
        assert asyncio.get_running_loop().time() < ends, what
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_stranger_charges_against_a_central_system_by_changing_one_url(version: str) -> None:
    crossed: list[Crossed] = []
    central = Central(crossed.append, (version,))
    async with desk(central) as made:
        await until(lambda: central.boots == 1, "registered")
        await until(lambda: any(each.action == "StatusNotification" for each in crossed), "the socket is told of")
        await made.do("sim --socket /tmp/chargepoint-desk/sim.sock tap")
        await until(lambda: "0100A57C21" in central.asked_for, "the card is asked for")
        await made.do("sim --socket /tmp/chargepoint-desk/sim.sock plug-in")
        await until(lambda: central.ledger.open() is not None, "the charge began")
        shown = await made.do("status ")
        assert f"OCPP {version}" in shown
        assert "card ..7C21" in shown
        await made.do("sim --socket /tmp/chargepoint-desk/sim.sock unplug")
        await until(lambda: central.ledger.open() is None, "the charge ended")
    (bill,) = central.ledger
    assert bill.reason == "EVDisconnected"
