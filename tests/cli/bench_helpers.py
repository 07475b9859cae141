"""The bench tools as a person meets them: real processes, on simulated hardware behind real ports of this process."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.simulated.hardware import SimulatedHardware
from drivers.simulated.plan import SimBoard, SimBus, SimChannel, SimEvse, SimStation, SimUnit, SimWiring
from tests.end_to_end.agent_helpers import QuickHardware

ROOT = Path(__file__).parents[2]
ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out.splitlines()[-1])


async def start(*words: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", *words, stdin=pipe, stdout=pipe, stderr=pipe, env=ENVIRON
    )


async def chargepoint(*words: str, typed: str = "") -> Done:
    """Run one command to its end; no command ever shows a traceback."""
    process = await start(*words)
    async with asyncio.timeout(DEADLINE_S):
        out, err = await process.communicate(typed.encode())
    assert "Traceback" not in err.decode(), err.decode()
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def bench(
    folder: Path,
    meter: str = "eastron_sdm630",
    controller: str = "reference",
    units: tuple[int, int] = (1, 2),
    board: str = "",
) -> AsyncIterator[tuple[str, SimulatedHardware]]:
    """A line with a controller, a meter and, as unit 7, a board whose input 1 is a mirror contact; its port and the
    hardware."""
    port = str(folder / "line")
    wiring = (
        SimWiring((("contactor", SimChannel("io", 1)),), (("mirror", SimChannel("io", 1, True)),)) if board else None
    )
    pilot, counts = SimUnit(controller, "b", units[0]), SimUnit(meter, "b", units[1])
    evse = SimEvse(1, pilot, counts, attached_cable=True, wiring=wiring)
    boards = (SimBoard("io", board, "b", 7),) if board else ()
    bus, dirs = SimBus("b", port=port, baud=115200), (str(folder / "maps"),)
    station = SimStation((bus,), (evse,), latency_s=(0.001, 0.003), boards=boards, map_dirs=dirs)
    async with QuickHardware(station) as hardware:
        yield port, hardware


async def charge(hardware: SimulatedHardware) -> None:
    """A car that draws 16 A."""
    await hardware.do("plug-in", evse=1)
    hardware.devices["b", 1].write("holding", 28, [160])
    async with asyncio.timeout(20):
        while float(await hardware.do("get", key="drawn-ma", evse=1)) < 15_500:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
