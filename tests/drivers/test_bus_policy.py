"""The bus's policy on a virtual clock, with a wire of our own: who gets the line, for how long, what is given up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.api import DriverError
from drivers.bus import MAX_WAITING, Bus, Policy, SerialSettings, WireError
from drivers.record import replace
from tests.drivers.virtual_time import run

SETTINGS = SerialSettings("/dev/ttyS1")
ANSWER_S = 0.02


class FakeWire:
    """Answers after 20 ms with the addresses as values; `fate[unit]` may raise instead, after the timeout."""

    name = "fake"

    def __init__(self) -> None:
        self.connected = False
        self.port_there = True
        self.fate: dict[int, Callable[[], WireError | None]] = {}
        self.log: list[str] = []
        self.connect_at: list[float] = []

    async def connect(self, timeout_s: float) -> None:
        self.connect_at.append(now())
        if not self.port_there:
            raise WireError("closed", "cannot be opened: no such file")
        self.connected = True

    async def transact(
        self, unit: int, function: int, address: int, payload: int | Sequence[int], timeout_s: float
    ) -> list[int]:
        self.log.append(f"ask {unit}")
        error = self.fate.get(unit, lambda: None)()
        await asyncio.sleep(ANSWER_S if error is None or error.kind == "exception" else timeout_s)
        if error is not None:
            raise error
        return list(range(address, address + payload)) if isinstance(payload, int) else []

    async def drain(self, window_s: float) -> None:
        self.log.append("drain")
        await asyncio.sleep(window_s)

    def close(self) -> None:
        self.connected = False


def now() -> float:
    return asyncio.get_running_loop().time()


def silence() -> WireError:
    return WireError("timeout")


def on_bus(test: Callable[[Bus, FakeWire], Coroutine[Any, Any, None]], policy: Policy | None = None) -> None:
    async def main() -> None:
        wire = FakeWire()
        await test(Bus(wire, SETTINGS, policy), wire)

    run(main())


async def failing(bus: Bus, unit: int) -> str:
    with pytest.raises(DriverError) as error:
        await bus.read(unit, "input", 0, 1)
    return str(error.value)


def test_requests_are_served_in_the_order_asked() -> None:
    async def scene(bus: Bus, wire: FakeWire) -> None:
        await asyncio.gather(*(bus.read(unit, "input", 0, 1) for unit in (5, 3, 4, 3)))
        assert wire.log == ["ask 5", "ask 3", "ask 4", "ask 3"]

    on_bus(scene)


def test_a_timeout_puts_the_line_in_quarantine_before_the_next_request() -> None:
    async def scene(bus: Bus, wire: FakeWire) -> None:
        wire.fate[9] = silence
        await failing(bus, 9)
        await bus.read(1, "input", 0, 1)
        assert wire.log == ["ask 9", "drain", "ask 9", "drain", "ask 9", "drain", "ask 1"]

    on_bus(scene)


def test_a_cancelled_quarantine_is_made_up_for() -> None:
    async def scene(bus: Bus, wire: FakeWire) -> None:
        wire.fate[9] = silence
        await failing(bus, 9)
        waiting = asyncio.create_task(bus.read(1, "input", 0, 1))
        await asyncio.sleep(0.1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await bus.read(2, "input", 0, 1)
        assert wire.log[-3:] == ["drain", "drain", "ask 2"]

    on_bus(scene)


def test_a_request_cancelled_in_the_queue_leaves_the_line_clean() -> None:
    async def scene(bus: Bus, wire: FakeWire) -> None:
        first = asyncio.create_task(bus.read(1, "input", 0, 1))
        second = asyncio.create_task(bus.read(2, "input", 0, 1))
        await asyncio.sleep(ANSWER_S / 2)
        second.cancel()
        await first
        await bus.read(3, "input", 0, 1)
        assert wire.log == ["ask 1", "ask 3"]

    on_bus(scene)


def test_an_answer_of_another_length_is_an_error() -> None:
    class ShortWire(FakeWire):
        async def transact(
            self, unit: int, function: int, address: int, payload: int | Sequence[int], timeout_s: float
        ) -> list[int]:
            return [0]

    async def main() -> None:
        bus = Bus(ShortWire(), SETTINGS)
        with pytest.raises(DriverError, match="1 values where 3 were asked"):
            await bus.read(1, "input", 0, 3)

    run(main())


class SlowWire(FakeWire):
    """One device that answers everything, but `latency_s` late; what arrives answers the last request."""

    latency_s = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.arriving: list[tuple[float, list[int]]] = []

    async def transact(
        self, unit: int, function: int, address: int, payload: int | Sequence[int], timeout_s: float
    ) -> list[int]:
        assert isinstance(payload, int)
        self._forget()
        self.arriving.append((now() + self.latency_s, list(range(address, address + payload))))
        at, answer = self.arriving[0]
        if at > now() + timeout_s:
            await asyncio.sleep(timeout_s)
            raise silence()
        await asyncio.sleep(at - now())
        self._forget()
        return answer

    async def drain(self, window_s: float) -> None:
        await asyncio.sleep(window_s)
        self._forget()

    def _forget(self) -> None:
        self.arriving = [item for item in self.arriving if item[0] > now()]


@given(st.floats(0.1, 1.6), st.floats(0.0, 2.0))
def test_a_slow_device_never_gives_the_answer_to_another_request(latency_s: float, poll_s: float) -> None:
    async def main() -> None:
        wire = SlowWire()
        wire.latency_s = latency_s
        bus = Bus(wire, SETTINGS, replace(Policy(), deadline_s=20.0))
        for address in (0, 40, 80, 120):
            with contextlib.suppress(DriverError):
                assert await bus.read(1, "input", address, 2) == [address, address + 1]
            await asyncio.sleep(poll_s)

    run(main())


def test_the_answer_to_a_cancelled_request_is_waited_out_in_full() -> None:
    async def main() -> None:
        wire = SlowWire()
        wire.latency_s = 0.49
        bus = Bus(wire, SETTINGS)
        first = asyncio.create_task(bus.read(1, "input", 0, 2))
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert await bus.read(1, "input", 40, 2) == [40, 41]

    run(main())


def test_a_busy_device_is_asked_a_bounded_number_of_times() -> None:
    async def scene(bus: Bus, wire: FakeWire) -> None:
        wire.fate[1] = lambda: WireError("exception", code=6)
        assert (await failing(bus, 1)).endswith("is busy")
        assert wire.log == ["ask 1"] * 3

    on_bus(scene)


def test_another_device_gets_its_turn_between_two_attempts() -> None:
    async def scene(bus: Bus, wire: FakeWire) -> None:
        wire.fate[9] = silence
        dying = asyncio.create_task(failing(bus, 9))
        await asyncio.sleep(0)
        await bus.read(1, "input", 0, 1)
        assert wire.log == ["ask 9", "drain", "ask 1"]
        await dying

    on_bus(scene)


def test_a_device_that_failed_is_asked_only_once_at_a_time() -> None:
    async def scene(bus: Bus, wire: FakeWire) -> None:
        wire.fate[9] = silence
        await failing(bus, 9)
        asked = wire.log.count("ask 9")
        await asyncio.sleep(10.0)
        await failing(bus, 9)
        assert wire.log.count("ask 9") == asked + 1

    on_bus(scene)


def test_a_silent_device_takes_at_most_about_half_of_the_line() -> None:
    async def poll(bus: Bus, unit: int) -> None:
        while now() < 60.0:
            try:
                await bus.read(unit, "input", 0, 10)
            except DriverError:
                await asyncio.sleep(0.1)

    async def scene(bus: Bus, wire: FakeWire) -> None:
        wire.fate[9] = silence
        await asyncio.gather(poll(bus, 9), poll(bus, 1))
        assert bus.stats.devices[1].answers * ANSWER_S > 60.0 * 0.35

    on_bus(scene)


def test_a_write_to_a_failing_device_does_not_wait_for_its_turn() -> None:
    async def scene(bus: Bus, wire: FakeWire) -> None:
        wire.fate[9] = silence
        for _ in range(3):
            await failing(bus, 9)
        wire.fate.clear()
        await bus.write(9, 0, [0])
        assert wire.log[-1] == "ask 9"

    on_bus(scene)


def test_a_device_that_answers_again_is_trusted_again() -> None:
    async def scene(bus: Bus, wire: FakeWire) -> None:
        wire.fate[9] = silence
        for _ in range(4):
            await failing(bus, 9)
        wire.fate.clear()
        await asyncio.sleep(4.0)
        assert [await bus.read(9, "input", 4, 1) for _ in range(2)] == [[4], [4]]

    on_bus(scene)


def test_repeating_ends_at_the_deadline() -> None:
    async def scene(bus: Bus, wire: FakeWire) -> None:
        wire.fate[9] = silence
        await failing(bus, 9)
        assert now() <= 2.0

    on_bus(scene, Policy(retries=100, deadline_s=2.0))


def test_a_request_that_gets_no_turn_ends_at_its_deadline() -> None:
    async def scene(bus: Bus, wire: FakeWire) -> None:
        wire.fate[9] = silence
        blocked = asyncio.create_task(failing(bus, 9))
        await asyncio.sleep(0)
        assert "no turn on the line" in await failing(bus, 1)
        assert now() == pytest.approx(3.0)
        await blocked

    on_bus(scene, Policy(timeout_s=4.0, deadline_s=3.0))


def test_the_queue_is_bounded() -> None:
    async def scene(bus: Bus, wire: FakeWire) -> None:
        waiting = [asyncio.create_task(bus.read(1, "input", 0, 1)) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        assert "requests are waiting" in await failing(bus, 1)
        await asyncio.gather(*waiting)

    on_bus(scene)


def test_an_absent_port_is_tried_at_growing_intervals_up_to_five_seconds() -> None:
    async def scene(bus: Bus, wire: FakeWire) -> None:
        wire.port_there = False
        while now() < 40.0:
            await failing(bus, 1)
            await asyncio.sleep(0.05)
        pauses = [b - a for a, b in zip(wire.connect_at, wire.connect_at[1:], strict=False)]
        assert pauses[0] < 0.5
        assert 5.0 <= max(pauses) <= 5.1

    on_bus(scene)


def test_an_absent_port_costs_no_waiting() -> None:
    async def scene(bus: Bus, wire: FakeWire) -> None:
        wire.port_there = False
        await failing(bus, 1)
        assert now() == 0.0

    on_bus(scene)


def test_a_port_that_only_fails_is_closed_and_opened_anew() -> None:
    async def scene(bus: Bus, wire: FakeWire) -> None:
        wire.fate[9] = silence
        while now() < 60.0:
            await failing(bus, 9)
            await asyncio.sleep(1.0)
        assert bus.epoch > 1

    on_bus(scene)


def test_no_time_is_wasted_between_requests_of_one_device() -> None:
    async def scene(bus: Bus, wire: FakeWire) -> None:
        for _ in range(100):
            await bus.read(1, "input", 0, 1)
        assert now() == pytest.approx(100 * ANSWER_S + 99 * SETTINGS.silence_s)

    on_bus(scene)


def test_a_change_of_unit_doubles_the_silence() -> None:
    async def scene(bus: Bus, wire: FakeWire) -> None:
        await bus.read(1, "input", 0, 1)
        await bus.read(2, "input", 0, 1)
        assert now() == pytest.approx(2 * ANSWER_S + 2 * SETTINGS.silence_s)

    on_bus(scene)


def test_a_devices_pause_does_not_hold_up_another_device() -> None:
    async def scene(bus: Bus, wire: FakeWire) -> None:
        bus.device(1, "meter", pause_s=1.0)
        await bus.read(1, "input", 0, 1)
        await bus.read(2, "input", 0, 1)
        assert now() < 0.1

    on_bus(scene)


def test_another_device_may_use_the_line_while_one_rests() -> None:
    async def scene(bus: Bus, wire: FakeWire) -> None:
        bus.device(1, "meter", pause_s=1.0)
        await bus.read(1, "input", 0, 1)
        resting = asyncio.create_task(bus.read(1, "input", 0, 1))
        await asyncio.sleep(0)
        await bus.read(2, "input", 0, 1)
        assert wire.log == ["ask 1", "ask 2"]
        await resting

    on_bus(scene)


@pytest.mark.parametrize(("baud", "silence_s"), [(9600, 0.00365), (19200, 0.00182), (115200, 0.00175)])
def test_the_silence_is_three_and_a_half_characters(baud: int, silence_s: float) -> None:
    assert replace(SETTINGS, baud=baud).silence_s == pytest.approx(silence_s, abs=1e-5)


def test_a_request_waits_longer_on_a_slower_line() -> None:
    async def scene(bus: Bus, wire: FakeWire) -> None:
        wire.fate[1] = silence
        with pytest.raises(DriverError):
            await bus.read(1, "input", 0, 40)
        assert now() == pytest.approx(0.5 + (8 + 5 + 80 + 4) * 10 / 9600, abs=0.01)

    on_bus(scene, Policy(retries=0))
