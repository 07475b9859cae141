"""Each measurement by itself: what it does, and the figures that it gives. The table is put together in `__main__`."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from agent.core.effects import Record
from agent.core.types import (
    ChargingState,
    ClockQuality,
    Context,
    Instant,
    Reading,
    StopReason,
    TransactionEvent,
    Trigger,
    TxKind,
)
from agent.store import Store
from drivers.api import IdToken, Measurand, Phase, Sample
from tests.benchmarks.central import Central, Connection
from tests.benchmarks.stage import (
    CARD,
    MINIMAL,
    Scene,
    charger,
    cpu_percent,
    end,
    running,
    start,
    until,
    uss_mib,
)
from tests.benchmarks.tap import Frame, Tap

SETTLE_S = 1.0
BLOCK = 25  # commands in a row to one side
REST_S = 0.02  # before each row, for whoever has it: all begin as cold as the others
COMMANDS: dict[str, tuple[str, dict[str, Any]]] = {
    "1.6": ("GetConfiguration", {"key": ["HeartbeatInterval"]}),
    "2.0.1": (
        "GetVariables",
        {"getVariableData": [{"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}]},
    ),
}
TRIGGERS: dict[str, tuple[str, dict[str, Any]]] = {
    version: ("TriggerMessage", {"requestedMessage": "Heartbeat"}) for version in COMMANDS
}


@dataclass(frozen=True)
class Pair:
    """A figure of the minimal charge point, and ours."""

    minimal: float
    agent: float


# --- start -------------------------------------------------------------------------------------------------------


async def _start_ms(central: Central, version: str, *words: str, log: Path | None = None) -> float:
    central.expect(version)
    began = time.monotonic()
    process = start(*words, log=log)
    try:
        return (await central.heard("BootNotification") - began) * 1000
    finally:
        await asyncio.to_thread(end, process)


async def starts(central: Central, version: str, runs: int) -> Pair:
    """Milliseconds from the start of the process to BootNotification at the central system, medians, alternated."""
    minimal: list[float] = []
    agent: list[float] = []
    async with charger(central.url, version) as scene:
        await _start_ms(central, version, *scene.agent, log=scene.log)  # makes the database and compiled modules
        for _ in range(runs):
            minimal.append(await _start_ms(central, version, "-m", MINIMAL[version], central.url))
            agent.append(await _start_ms(central, version, *scene.agent, log=scene.log))
    return Pair(statistics.median(minimal), statistics.median(agent))


# --- memory and processor ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Load:
    """What a process takes: MiB, and per cent of one core."""

    idle_mib: float
    charging_mib: float
    idle_cpu: float
    charging_cpu: float


async def minimal_load(central: Central, version: str, span_s: float) -> Load:
    """Idle, then with a sample of eight values sent each second."""
    found = []
    for words in ((), ("--every", "1")):
        central.expect(version)
        with running("-m", MINIMAL[version], central.url, *words) as process:
            await central.heard("Heartbeat")
            await asyncio.sleep(SETTLE_S)
            found.append((await cpu_percent(process.pid, span_s), uss_mib(process.pid)))
    (idle_cpu, idle), (charging_cpu, charging) = found
    return Load(idle, charging, idle_cpu, charging_cpu)


async def agent_load(central: Central, version: str, span_s: float, **more: Any) -> Load:
    """Idle, then charging with a sample stored and sent each second; controller and meter are polled all the time."""
    async with charger(central.url, version, **more) as scene:
        central.expect(version)
        with running(*scene.agent, log=scene.log) as process:
            await central.heard("StatusNotification")
            await asyncio.sleep(SETTLE_S)
            idle_cpu, idle = await cpu_percent(process.pid, span_s), uss_mib(process.pid)
            await charge(scene, central, version)
            charging_cpu, charging = await cpu_percent(process.pid, span_s), uss_mib(process.pid)
    return Load(idle, charging, idle_cpu, charging_cpu)


async def charge(scene: Scene, central: Central, version: str) -> None:
    """Until energy flows and the second sample has come."""
    await scene.do("tap", f"tag={CARD}")
    await scene.do("plug-in", "ev=auto")
    action = {"1.6": "MeterValues", "2.0.1": "TransactionEvent"}[version]
    async with asyncio.timeout(40.0):
        await central.heard(action, 2 if version == "1.6" else 6, 40.0)
    await asyncio.sleep(SETTLE_S)


# --- round trip --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trip:
    """Microseconds, of all commands. `waking`: of the first one after a pause alone, median."""

    median: float
    p99: float
    waking: float


class _Trips:
    """Times of one command on one connection."""

    def __init__(self, central: Central, link: Connection, action: str, payload: dict[str, Any]) -> None:
        self._central, self._link = central, link
        self._words = (action, payload)
        self._us: list[float] = []

    async def run(self, rounds: int) -> None:
        for n in range(rounds):
            text = json.dumps([2, f"ask-{n}", *self._words])
            began = time.perf_counter()
            answer = json.loads(await self._central.ask(self._link, text))
            self._us.append((time.perf_counter() - began) * 1e6)
            assert answer[0] in (2, 3), answer

    def found(self) -> Trip:
        times = self._us[BLOCK:]  # the first row warms up
        waking = statistics.median(times[::BLOCK])
        return Trip(statistics.median(times), statistics.quantiles(times, n=100)[98], waking)


async def _linked(central: Central, version: str, heard: str) -> Connection:
    await central.heard(heard)
    await asyncio.sleep(SETTLE_S)
    assert central.link is not None
    return central.link


async def trips(central: Central, version: str, rounds: int) -> tuple[list[Trip], list[Trip]]:
    """The library alone, the minimal one, the agent: a command that reads one variable, and one that triggers a
    message. All three stand at the same time and take turns, so that they meet the same machine. Who has waited for
    longer wakes more slowly, so each has the same rest before its turn."""
    found: list[list[Trip]] = []
    async with charger(central.url, version) as scene:
        central.expect("echo")
        with running("-m", MINIMAL["echo"], central.url):
            links = [await _linked(central, "echo", "connection")]
            central.expect(version)
            with running("-m", MINIMAL[version], central.url):
                links.append(await _linked(central, version, "Heartbeat"))
                central.expect(version)
                with running(*scene.agent, log=scene.log):
                    links.append(await _linked(central, version, "StatusNotification"))
                    for words in (COMMANDS, TRIGGERS):
                        sides = [_Trips(central, link, *words[version]) for link in links]
                        for _ in range(1 + rounds // BLOCK):
                            for side in sides:
                                await asyncio.sleep(REST_S)
                                await side.run(BLOCK)
                        found.append([side.found() for side in sides])
    return found[0], found[1]


# --- drain -------------------------------------------------------------------------------------------------------


def _at(seconds: float) -> Instant:
    return Instant(1000.0 + seconds, 1_790_000_000.0 + seconds, ClockQuality.SYNCED, "0d5f8a52-6a0e-4b52-9be0")


def _event(seq: int, last: int) -> TransactionEvent:
    kind = TxKind.STARTED if seq == 0 else TxKind.ENDED if seq == last else TxKind.UPDATED
    lines = (Phase.L1, Phase.L2, Phase.L3)
    samples = (
        *(Sample(Measurand.VOLTAGE, 230.1, phase) for phase in (Phase.L1_N, Phase.L2_N, Phase.L3_N)),
        *(Sample(Measurand.CURRENT_IMPORT, 16.02, phase) for phase in lines),
        Sample(Measurand.POWER_ACTIVE_IMPORT, 11040.2),
        Sample(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, 123456.0),
    )
    return TransactionEvent(
        "bench", seq, kind, _at(seq), Trigger.METER_VALUE_PERIODIC, evse=1, connector=1, started_wh=0, energy_wh=seq,
        charging_state=ChargingState.CHARGING, started_at=_at(0), token=IdToken(CARD) if seq == 0 else None,
        readings=(Reading(_at(seq), Context.PERIODIC, samples),),
        stop_reason=StopReason.LOCAL if kind is TxKind.ENDED else None,
    )  # fmt: skip


def fill(folder: Path, count: int) -> None:
    """A finished transaction of `count` events that nobody has been told."""
    store = Store(folder / "memory" / "chargepoint.db")
    store.open()
    for first in range(0, count, 1000):
        store.commit([Record(_event(seq, count - 1)) for seq in range(first, min(first + 1000, count))])
    store.close()


async def _rate(central: Central, count: int) -> float:
    await central.transactions(count, 120.0)
    return (central.tx_count - 1) / (central.tx_at[1] - central.tx_at[0])


async def drains(central: Central, version: str, count: int) -> Pair:
    """Messages a second when a backlog is told: the minimal one's lies in memory, ours in the store."""
    central.expect(version)
    with running("-m", MINIMAL[version], central.url, "--drain", str(count // 4)):
        minimal = await _rate(central, count // 4)
    async with charger(central.url, version) as scene:
        fill(scene.folder, count)
        central.expect(version)
        with running(*scene.agent, log=scene.log):
            return Pair(minimal, await _rate(central, count))


# --- the bus -----------------------------------------------------------------------------------------------------


async def reaction(central: Central, version: str) -> tuple[float, float]:
    """Milliseconds from the answer that shows pilot C to the end of the request that orders current, at 115200 and at
    9600 baud, with the default polling."""
    found = []
    for baud in (115200, 9600):
        async with (
            charger(central.url, version, baud=baud, port="tapped") as scene,
            Tap(scene.folder / "tapped", scene.folder / "bus") as tap,
        ):
            central.expect(version)
            with running(*scene.agent, log=scene.log):
                await central.heard("StatusNotification")
                await asyncio.sleep(SETTLE_S)
                await scene.do("tap", f"tag={CARD}")
                await central.heard("Authorize")
                since = len(tap.frames)
                await scene.do("plug-in", "ev=auto")
                await until(lambda t=tap, s=since: _order(t.frames[s:]), "the order")
                frames = tap.frames[since:]
                found.append((_order(frames) - _shown(frames)) * 1000)
    return found[0], found[1]


def _order(frames: Sequence[Frame]) -> float:
    """When current was ordered: the first write of a register other than 0."""
    for frame in frames:
        if frame.from_master and frame.data[1] in (6, 16) and frame.data[-4:-2] != b"\0\0":
            return frame.at
    return 0.0


def _shown(frames: Sequence[Frame]) -> float:
    """When the pilot that the order follows was shown: the controller's first answer that tells another state."""
    answers = [f for f in frames if not f.from_master and f.data[0] == 1 and f.data[1] == 3 and f.at < _order(frames)]
    states = [f.data[3:5] for f in answers]
    changed = [f.at for f, now, before in zip(answers[1:], states[1:], states, strict=False) if now != before]
    return changed[-1] if changed else answers[-1].at


async def line(central: Central, version: str, span_s: float) -> tuple[float, float]:
    """Time on the line over the time of its bytes at 9600 baud, when everything is polled as fast as it goes: without
    and with the time that the simulated devices take before they answer."""
    async with (
        charger(central.url, version, baud=9600, port="tapped", controller_ms=50, meter_ms=50) as scene,
        Tap(scene.folder / "tapped", scene.folder / "bus") as tap,
    ):
        central.expect(version)
        with running(*scene.agent, log=scene.log):
            await central.heard("StatusNotification")
            await asyncio.sleep(SETTLE_S)
            since = len(tap.frames)
            await asyncio.sleep(span_s)
            frames = tap.frames[since:]
    pairs = [pair for pair in pairwise(frames) if pair[0].from_master != pair[1].from_master]
    asked = [(b.at - a.at, _line_s(a) + _line_s(b)) for a, b in pairs if a.from_master]
    between_s = sum(b.at - a.at for a, b in pairs if b.from_master)
    bytes_s = sum(of_bytes for _took, of_bytes in asked)
    return (bytes_s + between_s) / bytes_s, (sum(took for took, _of_bytes in asked) + between_s) / bytes_s


def _line_s(frame: Frame) -> float:
    return len(frame.data) * 10 / 9600
