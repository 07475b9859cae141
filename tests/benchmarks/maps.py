"""The shelf of meters: what a poll of each map costs on a line of 9600 baud, and in this process.

    python -m tests.benchmarks.maps FOLDER NAME ...      the meters, each on a line of its own, until it is ended

The line's own time of a poll is that of its bytes and of the silence that the meter wants before each request; nobody
can be faster. The meters are a process of their own and answer at once, so that all that is over it is ours.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from drivers.bus import SerialSettings
from drivers.mapped_meter import MappedMeter
from drivers.mapwords import MeterMap
from drivers.regmap import load_meter, map_names
from drivers.simulated.hardware import SimulatedHardware
from drivers.simulated.plan import SimBus, SimEvse, SimStation, SimUnit
from drivers.wire import make_bus
from tests.benchmarks.stage import running

SLOW_BAUD, FAST_BAUD = 9600, 115200
AT_ONCE = 8  # lines that are timed side by side: a poll is nearly all waiting
READ_BYTES = 8 + 5  # of a request, and of an answer besides its words
START_S = 20.0


class Cost(NamedTuple):
    name: str
    reads: int  # requests of a poll
    period: float  # time of a poll over the line's own time
    cpu_ms: float  # of a poll, in this process


async def costs(every: int, rounds: int) -> list[Cost]:
    """One for each map, or for each so many."""
    names = map_names("meter")[::every]
    with TemporaryDirectory(prefix="cpb-") as folder:
        place = Path(folder)
        with running("-m", "tests.benchmarks.maps", folder, *names, log=place / "log"):
            await _served(place, names)
            batches = [names[i : i + AT_ONCE] for i in range(0, len(names), AT_ONCE)]
            timed = [p for batch in batches for p in await asyncio.gather(*(_period(place, n, rounds) for n in batch))]
            cpu = [await _cpu_ms(place, name, rounds) for name in names]
    reads = [len(load_meter(name).fast) for name in names]
    return [Cost(*figures) for figures in zip(names, reads, timed, cpu, strict=True)]


async def _served(folder: Path, names: Sequence[str]) -> None:
    ports = [folder / f"{name}-{baud}" for name in names for baud in (SLOW_BAUD, FAST_BAUD)]
    async with asyncio.timeout(START_S):
        while not all(port.exists() for port in ports):  # noqa: ASYNC110  (another process makes them)
            await asyncio.sleep(0.05)


async def _period(folder: Path, name: str, rounds: int) -> float:
    settings = SerialSettings(str(folder / f"{name}-{SLOW_BAUD}"), baud=SLOW_BAUD)
    bus = make_bus(settings)
    meter = MappedMeter(bus, 1, name)
    await meter.read()  # the line is opened, and all is read that is read seldom
    since = time.perf_counter()
    for _ in range(rounds):
        await meter.read()
    took_s = time.perf_counter() - since
    await bus.close()
    return took_s / (rounds * _line_s(meter.map, settings))


def _line_s(meter_map: MeterMap, settings: SerialSettings) -> float:
    silence_s = max(meter_map.device.pause_s, settings.silence_s)
    return sum((READ_BYTES + 2 * read.count) * settings.byte_s + silence_s for read in meter_map.fast)


async def _cpu_ms(folder: Path, name: str, rounds: int) -> float:
    bus = make_bus(SerialSettings(str(folder / f"{name}-{FAST_BAUD}"), baud=FAST_BAUD))
    meter_map = load_meter(name)
    meter = MappedMeter(bus, 1, meter_map._replace(device=meter_map.device._replace(pause_s=0.0)))
    await meter.read()
    since = time.process_time()
    for _ in range(rounds):
        await meter.read()
    took_s = time.process_time() - since
    await bus.close()
    return took_s * 1000 / rounds


async def serve(folder: str, names: Sequence[str]) -> None:
    """All meters, each twice: on a line of 9600 baud and on a fast one."""
    lines = [(name, baud) for name in names for baud in (SLOW_BAUD, FAST_BAUD)]
    buses = [SimBus(f"{n}-{baud}", port=f"{folder}/{n}-{baud}", baud=baud) for n, baud in lines]
    evses = [SimEvse(k, None, SimUnit(n, f"{n}-{baud}", 1)) for k, (n, baud) in enumerate(lines, 1)]
    async with SimulatedHardware(SimStation(tuple(buses), tuple(evses), latency_s=(0.0, 0.0))):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2:]))
