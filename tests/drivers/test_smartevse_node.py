"""SmartEVSE version 3 as a node: orders that all nodes of a line hear, and the questions that a node asks."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from drivers.api import DriverError, EvseReading, Fault, Pilot, gap
from drivers.bus import Bus, Policy, SerialSettings, WireError
from drivers.evse.smartevse3 import SmartEvseNode
from drivers.rtu import TURNAROUND_S
from drivers.wire import make_bus
from tests.drivers.bus_helpers import line
from tests.drivers.faults import HASTY, PATIENT, UNIT, Bank, Subject, never_lies
from tests.drivers.register_wire import RegisterWire
from tests.drivers.virtual_time import run

STATE, ERRORS, CURRENT, TEMPERATURE, CURRENTS = 0, 1, 2, 0x0A, 0x20
FROZEN_K = 273


class NodeWire(RegisterWire):
    """One set of registers for each node; all take their current from a broadcast unless it is `lost`."""

    def __init__(self) -> None:
        super().__init__()
        self.units: dict[int, dict[int, int]] = {unit: {TEMPERATURE: FROZEN_K + 20} for unit in (2, 3)}
        self.told: list[tuple[float, int, int, list[int]]] = []
        self.lost = 0

    async def transact(
        self, unit: int, function: int, address: int, payload: int | Sequence[int], timeout_s: float
    ) -> list[int]:
        self.tables["holding"] = self.units[unit]
        return await super().transact(unit, function, address, payload, timeout_s)

    async def broadcast(
        self, unit: int, function: int, address: int, payload: Sequence[int], timeout_s: float
    ) -> list[int]:
        await asyncio.sleep(0.1)
        if not self.connected:
            raise WireError("closed", "went away")
        self.told.append((asyncio.get_running_loop().time(), unit, address, list(payload)))
        self.lost -= 1
        for node, registers in self.units.items():
            if self.lost < 0:
                registers[CURRENT] = payload[node - 1]
        return []


Scene = Callable[[SmartEvseNode, NodeWire, Bus], Coroutine[Any, Any, None]]


def play(scene: Scene) -> None:
    async def main() -> None:
        wire = NodeWire()
        bus = Bus(wire, SerialSettings("/dev/ttyS1"), Policy(retries=0))
        await scene(SmartEvseNode(bus, 2), wire, bus)

    run(main())


@pytest.mark.parametrize(("state", "pilot"), [*enumerate("ABCDBBCCBBCBBBB"), (15, "?"), (255, "?")])
def test_a_node_tells_its_state(state: int, pilot: str) -> None:
    async def scene(node: SmartEvseNode, wire: NodeWire, bus: Bus) -> None:
        wire.units[2][STATE] = state
        assert (await node.read()).pilot == Pilot(pilot)

    play(scene)


def test_current_temperature_and_faults_come_in_one_read() -> None:
    async def scene(node: SmartEvseNode, wire: NodeWire, bus: Bus) -> None:
        wire.units[2].update({CURRENT: 165, TEMPERATURE: FROZEN_K - 7, ERRORS: 1 | 2 | 4 | 16 | 32})
        reading = await node.read()
        assert (reading.offered_a, reading.temperature_c) == (16.5, -7.0)
        assert reading.faults == (Fault.DC_RESIDUAL, Fault.OVER_TEMPERATURE)
        assert wire.reads == [("holding", 0, 11)]

    play(scene)


@pytest.mark.parametrize(("ordered_a", "word"), [(16.04, 160), (6.0, 60), (100.0, 800), (5.9, 0), (0.0, 0)])
def test_an_order_is_told_to_all_nodes_at_once(ordered_a: float, word: int) -> None:
    async def scene(node: SmartEvseNode, wire: NodeWire, bus: Bus) -> None:
        await node.offer(ordered_a)
        assert [rest for _, *rest in wire.told] == [[9, CURRENTS, [0, word, 0, 0, 0, 0, 0, 0]]]
        assert (await node.read()).offered_a == word / 10

    play(scene)


def test_no_order_takes_away_the_current_of_a_neighbour() -> None:
    async def scene(node: SmartEvseNode, wire: NodeWire, bus: Bus) -> None:
        neighbour = SmartEvseNode(bus, 3)
        await node.offer(10.0)
        await neighbour.offer(16.0)
        await node.offer(0.0)
        assert [(await one.read()).offered_a for one in (node, neighbour)] == [0.0, 16.0]

    play(scene)


def test_two_nodes_are_called_every_two_seconds_and_not_twice_as_often() -> None:
    async def scene(node: SmartEvseNode, wire: NodeWire, bus: Bus) -> None:
        nodes = (node, SmartEvseNode(bus, 3))
        for one in nodes:
            await one.offer(10.0)
        wire.told.clear()
        for _ in range(20):
            for one in nodes:
                await one.read()
            await asyncio.sleep(0.5)
        times = [at for at, *_ in wire.told]
        assert 4 <= len(times) <= 6
        assert max(b - a for a, b in itertools.pairwise(times)) < 3.0

    play(scene)


def test_an_order_that_did_not_arrive_is_told_again_with_the_next_poll() -> None:
    async def scene(node: SmartEvseNode, wire: NodeWire, bus: Bus) -> None:
        await node.offer(10.0)
        wire.lost = 1
        await node.offer(0.0)
        assert (await node.read()).offered_a == 10.0
        assert (await node.read()).offered_a == 0.0

    play(scene)


def test_power_is_taken_from_a_node_that_answers_no_more() -> None:
    async def scene(node: SmartEvseNode, wire: NodeWire, bus: Bus) -> None:
        await node.offer(10.0)
        wire.fails = lambda function, address: "timeout"
        with pytest.raises(DriverError):
            await node.read()
        await node.offer(0.0)
        assert wire.units[2][CURRENT] == 0

    play(scene)


@pytest.mark.parametrize(("asked", "granted"), [(4, 5), (6, 7)])
@pytest.mark.parametrize("errors", [0, 1, 16])
def test_a_node_that_asks_is_answered_and_only_one_error_taken_back(asked: int, granted: int, errors: int) -> None:
    async def scene(node: SmartEvseNode, wire: NodeWire, bus: Bus) -> None:
        await node.offer(6.0)
        wire.units[2].update({STATE: asked, ERRORS: errors})
        await node.read()
        assert wire.writes == [(STATE, [granted, errors & 16])]

    play(scene)


@pytest.mark.parametrize("ordered_a", [None, 0.0, 5.9])
@pytest.mark.parametrize("asked", [4, 6])
def test_a_node_that_asks_while_no_order_stands_waits(asked: int, ordered_a: float | None) -> None:
    async def scene(node: SmartEvseNode, wire: NodeWire, bus: Bus) -> None:
        if ordered_a is not None:
            await node.offer(ordered_a)
        wire.units[2][STATE] = asked
        await node.read()
        assert wire.writes == []

    play(scene)


def test_it_falls_back_to_no_power_by_itself() -> None:
    async def scene(node: SmartEvseNode, wire: NodeWire, bus: Bus) -> None:
        guard = node.guard()
        assert guard is not None
        assert (guard.timeout_s, gap(guard)) == (10.0, None)

    play(scene)


def test_a_line_that_cannot_call_all_is_refused_in_words() -> None:
    async def main() -> None:
        node = SmartEvseNode(Bus(RegisterWire(), SerialSettings("/dev/ttyS1")), 2)
        with pytest.raises(DriverError, match="broadcast to unit 9 on /dev/ttyS1: needs a serial line"):
            await node.offer(10.0)

    run(main())


@pytest.mark.parametrize("unit", [1, 9])
def test_only_units_of_nodes_are_taken(unit: int) -> None:
    with pytest.raises(DriverError, match="they have 2 to 8"):
        SmartEvseNode(Bus(NodeWire(), SerialSettings("/dev/ttyS1")), unit)


# ---- on a pseudo-terminal


def registers(state: int) -> Bank:
    return {**dict.fromkeys(range(12), 0), STATE: state, CURRENT: 100, TEMPERATURE: FROZEN_K + 20}


@pytest.mark.parametrize("fault", ["bad crc", "silence", "short answer", "echo before the answer", "late by more"])
async def test_a_node_tells_the_truth_or_fails(fault: str, tmp_path: Path) -> None:
    def at_unit(bus: Bus) -> SmartEvseNode:
        node = SmartEvseNode(bus, 2)
        node._unit = UNIT  # where the faulty line has its device
        return node

    async def told(node: SmartEvseNode) -> EvseReading:
        return await node.read()

    await never_lies(Subject(at_unit, told, (registers(0), registers(1), registers(2))), fault, tmp_path)


async def test_a_broadcast_waits_for_no_answer_and_the_line_is_clean_after_it(tmp_path: Path) -> None:
    async with line(tmp_path / "tty", {2: registers(1)}) as (_, slave, settings):
        bus, loop = make_bus(settings, PATIENT), asyncio.get_running_loop()
        began = loop.time()
        await bus.broadcast(9, CURRENTS, [160, 0, 60, 0, 0, 0, 0, 0])
        assert loop.time() - began >= TURNAROUND_S
        assert await bus.read(2, "holding", 0, 3) == [1, 0, 100]
        first, _read = slave.requests
        assert (first.unit, first.function, first.address) == (9, 16, CURRENTS)
        assert first.words == [160, 0, 60, 0, 0, 0, 0, 0]
        assert (bus.stats.quarantines, list(bus.stats.devices)) == (0, [2])
        await bus.close()


async def test_a_broadcast_on_a_port_that_is_away_says_so(tmp_path: Path) -> None:
    async with line(tmp_path / "tty", {}) as (pty, _, settings):
        pty.unplug()
        with pytest.raises(DriverError, match=r"broadcast to unit 9 on .*tty: the port cannot be opened"):
            await make_bus(settings, HASTY).broadcast(9, CURRENTS, [0] * 8)
