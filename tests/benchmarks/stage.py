"""What the benchmarks run: processes, their files, and what the kernel says of them.

Both sides run in the same interpreter with the same flags and with compiled modules on disk, as they are installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
VERSIONS = ("1.6", "2.0.1")
MINIMAL = {"1.6": "tests.benchmarks.minimal16", "2.0.1": "tests.benchmarks.minimal201", "echo": "tests.benchmarks.echo"}
CARD = "010063E9AE"
CONFIGURATION = """
[station]
vendor = "Example"
model = "Wallbox 22"
[csms]
url = "{url}"
identity = "CP001"
versions = {versions}
[[bus]]
name = "rs485"
port = "{folder}/{port}"
baud = {baud}
[[evse]]
id = 1
[evse.controller]
map = "reference"
bus = "rs485"
unit = 1
poll_ms = {controller_ms}
[evse.meter]
map = "eastron_sdm630"
bus = "rs485"
unit = 2
poll_ms = {meter_ms}
[[reader]]
driver = "rdm6300"
port = "{folder}/cards"
evses = [1]
[safety]
controller_silent_s = 60
meter_silent_s = 300
[storage]
dir = "{folder}/memory"
[service]
socket = "{folder}/control.sock"
log_level = "info"
[variables]
"SampledDataCtrlr.TxUpdatedInterval" = 1
"""


def environ() -> dict[str, str]:
    """Compiled modules may be written and read; nothing else of this shell's matters."""
    left_out = ("PYTHONDONTWRITEBYTECODE", "PYTHONWARNINGS", "NOTIFY_SOCKET")
    return {**{k: v for k, v in os.environ.items() if k not in left_out}, "PYTHONPATH": str(ROOT)}


def compile_modules() -> None:
    """As an installed package has them."""
    folders = [str(ROOT / name) for name in ("agent", "drivers", "tests/benchmarks")]
    subprocess.run([sys.executable, "-m", "compileall", "-q", *folders], check=True)


def start(*words: str, log: Path | None = None, before: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    """A process of this interpreter; `before`: a program that runs it."""
    with (log or Path(os.devnull)).open("ab") as out:
        return subprocess.Popen(
            [*before, sys.executable, *words], stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=environ(), cwd="/"
        )


@contextlib.contextmanager
def running(*words: str, log: Path | None = None, before: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[bytes]]:
    process = start(*words, log=log, before=before)
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(8.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass
class Scene:
    """One charger: a folder with its files, and its hardware as a process while `hardware` runs."""

    url: str
    version: str
    controller_ms: int = 500
    meter_ms: int = 1000
    baud: int = 115200
    port: str = "bus"
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="cpb-")))

    @property
    def config(self) -> Path:
        return self.folder / "agent.toml"

    @property
    def agent(self) -> tuple[str, ...]:
        return ("-m", "agent", "run", "--config", str(self.config))

    @property
    def log(self) -> Path:
        return self.folder / "agent.log"

    def write(self) -> None:
        versions = json.dumps([self.version, *(v for v in VERSIONS if v != self.version)])
        values = {key: getattr(self, key) for key in ("url", "folder", "controller_ms", "meter_ms", "baud")}
        (self.folder / "memory").mkdir(exist_ok=True)
        self.config.write_text(CONFIGURATION.format(**values, versions=versions, port=self.port))
        (self.folder / "hardware.toml").write_text(CONFIGURATION.format(**values, versions=versions, port="bus"))

    async def do(self, *words: str) -> None:
        """A verb of `chargepoint sim`."""
        request = _request(words)
        reader, writer = await asyncio.open_unix_connection(str(self.folder / "sim.sock"))
        writer.write(json.dumps(request).encode() + b"\n")
        async with asyncio.timeout(15.0):
            answer = json.loads(await reader.readline())
        writer.close()
        await writer.wait_closed()
        assert answer["ok"], answer


def _request(words: tuple[str, ...]) -> dict[str, Any]:
    verb, *pairs = words
    args: dict[str, Any] = dict(pair.split("=") for pair in pairs)
    return {"verb": verb, **({} if verb == "tap" else {"evse": 1}), **args}


@contextlib.asynccontextmanager
async def charger(url: str, version: str, **more: Any) -> AsyncIterator[Scene]:
    """The hardware of one charger, without its agent."""
    scene = Scene(url, version, **more)
    scene.write()
    words = ("simulate", "--config", str(scene.folder / "hardware.toml"), "--socket", str(scene.folder / "sim.sock"))
    try:
        with running("-m", "agent", *words, log=scene.folder / "hardware.log"):
            await until((scene.folder / "sim.sock").exists, "the simulated hardware")
            yield scene
    finally:
        shutil.rmtree(scene.folder, ignore_errors=True)


async def until(found: Any, what: str, within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not found():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        await asyncio.sleep(0.02)


# --- what the kernel says of a process ---------------------------------------------------------------------------


def uss_mib(pid: int) -> float:
    """Memory that would be free if this process ended."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(kib) for kib in re.findall(r"^Private_(?:Clean|Dirty): +(\d+) kB", text, re.MULTILINE)) / 1024


def cpu_s(pid: int) -> float:
    """Time on a processor so far, of all threads alive."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


async def cpu_percent(pid: int, span_s: float) -> float:
    """Of one core, over the next `span_s`."""
    before, began = cpu_s(pid), time.monotonic()
    await asyncio.sleep(span_s)
    return (cpu_s(pid) - before) / (time.monotonic() - began) * 100


def child_of(pid: int) -> int:
    """The process that a tracer runs."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
