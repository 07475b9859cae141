"""A whole charger for tests: simulated hardware behind real ports in this process, the real agent as a process of its
own, and a scripted central system on a real socket.

    async with charger("1.6") as c:
        await c.ready()
        await c.do("tap", tag=CARD)

Everything lies in a folder of its own, so that any number of them run side by side. Whoever leaves the block without a
failure has also proved that no frame broke a schema and that the agent did not show a traceback.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.config import load
from agent.demo.simulate import station_of
from drivers.simulated.hardware import SimulatedHardware
from tests.conformance.csms import PATIENCE_S, Csms
from tests.conformance.ledger import status

ROOT = Path(__file__).parents[2]
CARD, OTHER_CARD, STRANGER = "010063E9AE", "0100A1B2C3", "0100DEAD01"
IDENTITY = "CP 42"  # a space: the URL needs it percent-encoded
START_S = 60.0
PACE = 3.0  # more, and the meter's leaps would be too much to be believed
HOLD_S = 1.1  # a hand holds a card for half a second; the reader must miss it for as long before it counts again
QUICK: Mapping[str, Any] = {
    "RetryBackOffWaitMinimum": 0,
    "RetryBackOffRandomRange": 0,
    "SampledDataCtrlr.TxUpdatedInterval": 1,
}
_STATION = """
[station]
vendor = "Example"
model = "Wallbox 22"
serial = "WB-1"
firmware = "1.2.3"
{station}
[csms]
url = "{url}"
identity = "{identity}"
versions = {versions}
{csms}
[storage]
dir = "{folder}/memory"
[service]
socket = "{folder}/control.sock"
log_level = "debug"
{service}
[transactions]
resume = "{resume}"
"""
_BUS = """
[[bus]]
name = "line{n}"
port = "{folder}/bus{n}"
baud = 115200
"""
_EVSE = """
[[evse]]
id = {n}
cable = "{cable}"
{cable_a}
max_current_a = {max_a:g}
[evse.controller]
map = "{evse_map}"
bus = "line{line}"
unit = {unit}
poll_ms = {poll_ms}
[evse.meter]
{meter}
bus = "line{line}"
unit = {meter_unit}
poll_ms = 250
{evse_tables}
[[reader]]
driver = "rdm6300"
port = "{folder}/reader{n}"
evses = [{n}]
again_after_s = 0.5
"""


@dataclass
class Plan:
    """What the charger is, and what its file says. `one_line`: all devices on one bus, else one bus for each EVSE."""

    versions: tuple[str, ...]
    evses: int = 1
    one_line: bool = False
    evse_map: str = "reference"
    meter_map: str = "eastron_sdm630"
    meter: str = ""  # lines of its table instead of that map
    attached_a: float | None = None
    max_a: float = 32.0
    evse_tables: str = ""  # further tables of each EVSE
    poll_ms: int = 100
    resume: str = "if-still-plugged"
    station: str = ""
    csms_lines: str = ""
    service: str = ""
    variables: dict[str, Any] = field(default_factory=dict)

    def text(self, folder: Path, url: str) -> str:
        parts = [_STATION.format(
            folder=folder, url=url, identity=IDENTITY, versions=json.dumps(list(self.versions)), resume=self.resume,
            station=self.station, csms=self.csms_lines, service=self.service,
        )]  # fmt: skip
        parts += [_BUS.format(folder=folder, n=n) for n in range(1, 2 if self.one_line else self.evses + 1)]
        parts += [self._evse(folder, n) for n in range(1, self.evses + 1)]
        values = {**_named(QUICK), **_named(self.variables)}
        return "\n".join([*parts, "[variables]", *(f'"{k}" = {json.dumps(v)}' for k, v in values.items())])

    def _evse(self, folder: Path, n: int) -> str:
        return _EVSE.format(
            folder=folder, n=n, line=1 if self.one_line else n, unit=2 * n - 1, meter_unit=2 * n, max_a=self.max_a,
            cable="attached" if self.attached_a else "socket", evse_map=self.evse_map,
            meter=self.meter or f'map = "{self.meter_map}"',
            cable_a=f"cable_a = {self.attached_a}" if self.attached_a else "", poll_ms=self.poll_ms,
            evse_tables=self.evse_tables,
        )  # fmt: skip


def _named(values: Mapping[str, Any]) -> dict[str, Any]:
    """The names of the retry variables are long."""
    return {f"OCPPCommCtrlr.{k}" if k.startswith("RetryBackOff") else k: v for k, v in values.items()}


class QuickHardware(SimulatedHardware):
    """A world in which cars, coils and meters run `PACE` times as fast; lines and card readers do not."""

    def advance(self) -> None:
        self.world.advance((asyncio.get_running_loop().time() - self._start_s) * PACE)


class Charger:
    """One charger: `hw` its hardware, `csms` the other end, and the agent's process between them."""

    def __init__(self, folder: Path, plan: Plan, csms: Csms) -> None:
        self.folder, self.plan, self.csms = folder, plan, csms
        self.config = folder / "agent.toml"
        self.environ: dict[str, str] = {}
        self.program: tuple[str, ...] = ("-m", "agent", "run", "--config", str(folder / "agent.toml"))
        self.process: asyncio.subprocess.Process | None = None
        self._away_at: dict[int, float] = {}
        self.write_config()
        self.hw = QuickHardware(station_of(load(str(self.config))))

    def write_config(self) -> None:
        self.config.write_text(self.plan.text(self.folder, self.csms.url))

    # --- the agent's process ------------------------------------------------------------------------------------

    async def start(self) -> None:
        assert self.process is None or self.process.returncode is not None
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **self.environ}
        with (self.folder / "agent.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, *self.program),
                stdout=log, stderr=log, env=environ, cwd=self.folder,
            )  # fmt: skip

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Signal it and wait; its exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.exit_code()

    async def exit_code(self, timeout_s: float = 60.0) -> int:
        assert self.process is not None
        async with asyncio.timeout(timeout_s):
            return await self.process.wait()

    async def ready(self, since: int = 0) -> None:
        """Until the CSMS has heard that all EVSEs are free."""
        await self.csms.hear("BootNotification", since, START_S)
        for n in range(1, self.plan.evses + 1):
            await status(self.csms, "Available", n, since)

    @property
    def log(self) -> str:
        file = self.folder / "agent.log"
        return file.read_text(errors="replace") if file.exists() else ""

    async def status(self) -> dict[str, Any]:
        """`chargepoint status --json`, as the control socket gives it."""
        reader, writer = await eventually(self._control, "the control socket")
        async with asyncio.timeout(PATIENCE_S):
            writer.write(b'{"verb":"status"}\n')
            line = await reader.readline()
            writer.close()
            await writer.wait_closed()
        found: dict[str, Any] = json.loads(line)
        return found

    async def _control(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """The process before may have left its socket behind."""
        try:
            return await asyncio.open_unix_connection(str(self.folder / "control.sock"), limit=1 << 22)
        except (FileNotFoundError, ConnectionRefusedError):
            return None

    async def delivered(self) -> None:
        """Until the CSMS has answered all that a bill depends on."""

        async def empty() -> bool:
            found = await self.status()
            return bool(found["queue"]["rows"] == 0 and found["dead_letters"] == [])

        await eventually(empty, "an empty queue")

    # --- the hardware -------------------------------------------------------------------------------------------

    async def do(self, verb: str, **args: Any) -> str:
        return await self.hw.do(verb, **({"evse": 1} | args if verb in NEED_EVSE else args))

    async def see(self, key: str, evse: int = 1) -> str:
        return await self.hw.do("get", key=key, evse=evse)

    async def wait(self, key: str, value: str, evse: int = 1, timeout_s: float = PATIENCE_S) -> None:
        await self.hw.wait(key, value, evse, timeout_s * PACE)

    async def tap(self, tag: str = CARD, evse: int = 1) -> None:
        """A card at the reader, once the card before it has been taken away."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._away_at.get(evse, 0.0) - loop.time())
        self._away_at[evse] = loop.time() + HOLD_S
        await self.hw.do("tap", tag=tag, evses=[evse])

    async def meter_wh(self, evse: int = 1) -> float:
        return float(await self.see("meter-wh", evse))

    async def charging(self, evse: int = 1) -> None:
        """Until energy flows."""
        await self.wait("contactor", "closed", evse)
        await until(lambda: self.hw.world.points[evse].amps > 3, "the EV draws")


NEED_EVSE = ("plug-in", "unplug", "ev-unplug", "ev-state", "ev-draw", "fault", "fault-clear", "meter", "stop-button")


async def until(found: Callable[[], object], what: str, timeout_s: float = PATIENCE_S) -> None:
    """A condition of the hardware or of a file, looked at often, with a deadline."""
    try:
        async with asyncio.timeout(timeout_s):
            while not found():  # noqa: ASYNC110  nobody tells when a file or a register changes
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not seen within {timeout_s:g} s: {what}") from None


async def eventually(look: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
    """The same for what is asked with an await: the first true thing that it gives."""
    try:
        async with asyncio.timeout(timeout_s):
            while not (seen := await look()):  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.05)
            return seen
    except TimeoutError:
        raise AssertionError(f"not seen within {timeout_s:g} s: {what}") from None


@contextlib.asynccontextmanager
async def charger(*versions: str, csms: Csms | None = None, start: bool = True, **plan: Any) -> AsyncIterator[Charger]:
    """A charger and its central system; `plan` as in `Plan`."""
    folder = Path(tempfile.mkdtemp(prefix="cp-"))
    try:
        async with csms or Csms(*versions) as central:
            one = Charger(folder, Plan(versions, **plan), central)
            async with one.hw:
                try:
                    if start:
                        await one.start()
                    yield one
                    await _finish(one)
                except BaseException:
                    print(one.log[-8000:], "--- frames ---", central.told(), sep="\n")
                    raise
                finally:
                    await _kill(one)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _kill(one: Charger) -> None:
    if one.process is not None and one.process.returncode is None:
        one.process.kill()
        await one.process.wait()


async def _finish(one: Charger) -> None:
    await _kill(one)
    assert one.csms.wrong == []
    assert "Traceback" not in one.log
    assert "our answer to" not in one.log
