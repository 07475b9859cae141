"""`make bench`: the table. Each figure of the agent beside that of a minimal charge point, measured in the same run.

    python -m tests.benchmarks [--quick]

The minimal charge point (`minimal16`, `minimal201`) stands on `ocpp` and `websockets` alone: no hardware, no store, no
checks of its own. A target that is missed is said in a line, and is no failure: speed depends on the machine, and on
what else it does. Use a quiet one.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmarks import disks, maps, measures
from tests.benchmarks.central import Central
from tests.benchmarks.stage import ROOT, VERSIONS, compile_modules

WIDTHS = (52, 12, 12, 8, 12)


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    starts: int
    span_s: float
    backlog: int
    rounds: int
    versions: tuple[str, ...]
    every_map: int  # each so many of the shelf


FULL = Extent(15, 6.0, 10_000, 500, VERSIONS, 1)
QUICK = Extent(3, 1.2, 600, 200, VERSIONS[1:], 8)


class Table:
    """Prints a line for each figure, and remembers the targets that were missed."""

    def __init__(self) -> None:
        self.missed: list[str] = []
        self._line("", "minimal", "agent", "ratio", "target")

    def ratio(self, name: str, minimal: float, agent: float, unit: str, limit: float = 0.0, least: float = 0.0) -> None:
        """A figure with its ratio; `limit`: it may be at most so many times the minimal one's, `least`: at least."""
        ratio = agent / minimal if minimal else float("inf")
        wanted = f"<= {limit:g} x" if limit else f">= {least:g} x" if least else ""
        well = (ratio <= limit) if limit else ratio >= least
        self._line(name, _shown(minimal, unit), _shown(agent, unit), f"{ratio:.2f}", wanted, well)

    def figure(
        self, name: str, agent: float, unit: str, limit: float | None = None, minimal: float | None = None
    ) -> None:
        """A figure by itself."""
        wanted = "" if limit is None else f"<= {_shown(limit, unit)}"
        beside = "" if minimal is None else _shown(minimal, unit)
        self._line(name, beside, _shown(agent, unit), "", wanted, limit is None or agent <= limit)

    def meter(self, name: str, reads: int, cpu_ms: float, period: float, limit: float) -> None:
        """A map of the shelf."""
        cells = (f"{reads} read{'' if reads == 1 else 's'}", _shown(cpu_ms, "ms"), f"{period:.2f}", f"<= {limit:g} x")
        self._line(f"meter {name}", *cells, period <= limit, beside="the line's own time")

    def _line(
        self,
        name: str,
        minimal: str,
        agent: str,
        ratio: str,
        wanted: str,
        well: bool = True,
        beside: str = "the minimal one",
    ) -> None:
        cells = (minimal, agent, ratio, wanted)
        text = name.ljust(WIDTHS[0]) + "".join(c.rjust(w) for c, w in zip(cells, WIDTHS[1:], strict=True))
        print(f"{text}  {'' if not wanted or name == '' else 'ok' if well else 'MISSED'}".rstrip(), flush=True)
        if not well:
            self.missed.append(f"{name}: {agent}{f', {ratio} times {beside}' if ratio else ''}, target {wanted}")


def _shown(value: float, unit: str) -> str:
    digits = 0 if value >= 100 or (unit == "" and value == int(value)) else 2 if value < 10 else 1
    return f"{value:.{digits}f} {unit}".rstrip()


async def _start(table: Table, central: Central, version: str, extent: Extent) -> None:
    found = await measures.starts(central, version, extent.starts)
    table.ratio(f"{version} start to BootNotification", found.minimal, found.agent, "ms", limit=1.2)


async def _loads(table: Table, central: Central, version: str, extent: Extent) -> None:
    minimal = await measures.minimal_load(central, version, extent.span_s)
    agent = await measures.agent_load(central, version, extent.span_s)
    table.ratio(f"{version} private memory, idle", minimal.idle_mib, agent.idle_mib, "MiB", limit=1.25)
    table.ratio(f"{version} private memory, charging", minimal.charging_mib, agent.charging_mib, "MiB", limit=1.25)
    rare = await measures.agent_load(central, version, extent.span_s, controller_ms=10_000, meter_ms=10_000)
    name = f"{version} CPU per minute"
    table.figure(f"{name}, idle, polling every 10 s", rare.idle_cpu * 0.6, "s", minimal=minimal.idle_cpu * 0.6)
    table.figure(f"{name}, idle, EVSE and meter polled", agent.idle_cpu * 0.6, "s")
    table.figure(
        f"{name}, charging, polling every 10 s", rare.charging_cpu * 0.6, "s", minimal=minimal.charging_cpu * 0.6
    )
    table.figure(f"{name}, charging, EVSE and meter polled", agent.charging_cpu * 0.6, "s", limit=0.3)


async def _trips(table: Table, central: Central, version: str, extent: Extent) -> None:
    command, trigger = await measures.trips(central, version, extent.rounds)
    bare, minimal, agent = command
    name = measures.COMMANDS[version][0]
    table.ratio(f"{version} {name}, there and back, median", minimal.median, agent.median, "us", limit=0.45)
    table.ratio(f"{version} {name}, there and back, p99", minimal.p99, agent.p99, "us", limit=0.45)
    table.ratio(f"{version} {name}, the first after a pause, median", minimal.waking, agent.waking, "us")
    table.ratio(f"{version} the websockets library alone, median", minimal.median, bare.median, "us")
    table.ratio(f"{version} TriggerMessage, which only the agent obeys", trigger[1].median, trigger[2].median, "us")


async def _drain(table: Table, central: Central, version: str, extent: Extent) -> None:
    sync = disks.sync_us()
    found = await measures.drains(central, version, extent.backlog)
    name = f"{version} messages a second, backlog of {extent.backlog}"
    table.ratio(name, found.minimal, found.agent, "/s", least=3.0)
    table.figure(f"{version} one fdatasync on this disk at that time", sync, "us")


async def _disk(table: Table, central: Central, version: str, extent: Extent) -> None:
    if not shutil.which("strace"):
        print("(strace is not installed, so what the disk sees is not measured: apt-get install strace)")
        return
    found = await disks.disk(central, version, extent.span_s)
    table.figure(f"{version} fdatasync while idle, a minute", found.idle.syncs * 60 / extent.span_s, "", 0)
    table.figure(f"{version} fdatasync for a sample, stored", found.stored.syncs, "", 1.0)
    table.figure(f"{version} bytes for a sample, stored", found.stored.bytes / 1000, "kB", 10.0)
    table.figure(f"{version} fdatasync for a sample, stored, told, gone", found.told.syncs, "")
    table.figure(f"{version} bytes for a sample, stored, told, gone", found.told.bytes / 1000, "kB")
    table.figure(f"{version} fdatasync for a transaction, besides", found.transaction.syncs, "")
    table.figure(f"{version} bytes for a transaction, besides", found.transaction.bytes / 1000, "kB")


async def _bus(table: Table, central: Central, version: str, extent: Extent) -> None:
    fast, slow = await measures.reaction(central, version)
    table.figure(f"{version} pilot seen on the bus to current ordered on it", fast, "ms")
    table.figure(f"{version} the same on a line of 9600 baud", slow, "ms")
    ours, whole = await measures.line(central, version, extent.span_s)
    table.figure(f"{version} polling at 9600 baud over the time of its bytes", ours, "x", 1.3)
    table.figure(f"{version} the same, with the devices' 5 to 20 ms to answer", whole, "x")


async def _maps(table: Table, _central: Central, _version: str, extent: Extent) -> None:
    print("(meters: reads and CPU of a poll, and its period over the line's own time at 9600 baud)")
    found = await maps.costs(extent.every_map, rounds=3)
    for cost in found:
        table.meter(cost.name, cost.reads, cost.cpu_ms, cost.period, limit=1.3)
    table.figure("meters, CPU of a poll, mean of all", sum(c.cpu_ms for c in found) / len(found), "ms")


PARTS: dict[str, Callable[..., object]] = {
    "start": _start, "load": _loads, "trip": _trips, "drain": _drain, "disk": _disk, "bus": _bus, "maps": _maps
}  # fmt: skip
ONCE = ("bus", "maps")  # the same in both versions


async def main(words: list[str]) -> None:
    extent = QUICK if "--quick" in words else FULL
    names = [word for word in words if word in PARTS] or list(PARTS)
    began = time.monotonic()
    compile_modules()
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {ROOT.name}")
    table = Table()
    async with Central() as central:
        for name in names:
            for version in extent.versions[-1:] if name in ONCE else extent.versions:
                try:
                    await PARTS[name](table, central, version, extent)  # type: ignore[misc]
                except (TimeoutError, OSError) as error:
                    print(f"{version} {name}: not measured: {type(error).__name__} {error}")
    print(f"\nmeasured in {time.monotonic() - began:.0f} s")
    print("\n".join(f"MISSED {line}" for line in table.missed) or "every target is met")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
