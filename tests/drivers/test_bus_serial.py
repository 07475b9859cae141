"""The bus on a real pseudo-terminal, against each way in which an RTU line is known to fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drivers.api import DriverError
from drivers.bus import Bus, Policy, SerialSettings
from drivers.record import replace
from drivers.wire import make_bus
from tests.drivers.bus_helpers import (
    QUICK,
    Misdeed,
    Pty,
    Slave,
    bad_crc,
    busy,
    fewer_registers,
    foreign_frame_first,
    garbage_first,
    late,
    line,
    refuses,
    silent,
    unplugs,
    until,
    wrong_function,
)

WORDS = {address: 1000 + address for address in range(64)}
PATIENT = replace(QUICK, timeout_s=1.0, deadline_s=9.0)  # where an answer comes
RETRYING = replace(QUICK, timeout_s=0.3, retries=1)
LATE = replace(QUICK, timeout_s=0.3, quarantine_s=0.3)


class Line:
    def __init__(self, pty: Pty, slave: Slave, settings: SerialSettings) -> None:
        self.pty, self.slave, self.settings = pty, slave, settings
        self.buses: list[Bus] = []

    def bus(self, policy: Policy = PATIENT) -> Bus:
        bus = make_bus(self.settings, policy)
        self.buses.append(bus)
        return bus


@pytest.fixture
async def rs485(tmp_path: Path) -> AsyncIterator[Line]:
    async with line(tmp_path / "ttyRS485", {1: dict(WORDS), 2: {0: 7, 1: 8}}) as (pty, slave, settings):
        found = Line(pty, slave, settings)
        yield found
        for bus in found.buses:
            await bus.close()


async def test_a_read_returns_the_registers_asked(rs485: Line) -> None:
    assert await rs485.bus().read(1, "input", 10, 3) == [1010, 1011, 1012]


@pytest.mark.parametrize("parity", ["N", "E", "O"])
async def test_a_line_with_parity_can_be_simulated_on_a_pseudo_terminal(rs485: Line, parity: str) -> None:
    rs485.settings = replace(rs485.settings, parity=parity)
    assert await rs485.bus().read(1, "input", 10, 1) == [1010]


async def test_each_table_has_its_own_function(rs485: Line) -> None:
    bus = rs485.bus()
    for table in ("coil", "discrete", "holding", "input"):
        await bus.read(1, table, 0, 1)
    assert [r.function for r in rs485.slave.requests] == [1, 2, 3, 4]


async def test_bits_come_as_zeros_and_ones(rs485: Line) -> None:
    assert await rs485.bus().read(1, "coil", 0, 10) == [a & 1 for a in range(10)]


@pytest.mark.parametrize(("function", "values"), [(6, [42]), (16, [42, 43])])
async def test_a_write_reaches_the_device(rs485: Line, function: int, values: list[int]) -> None:
    await rs485.bus().write(1, 5, values, function)
    assert [rs485.slave.words[1][5 + i] for i in range(len(values))] == values


async def test_a_coil_is_written_with_its_own_function(rs485: Line) -> None:
    await rs485.bus().write(1, 5, [1], function=5)
    assert (rs485.slave.requests[0].function, rs485.slave.requests[0].count) == (5, 0xFF00)


async def test_a_late_answer_is_never_taken_for_the_next(rs485: Line) -> None:
    bus = rs485.bus(LATE)
    rs485.slave.misdeeds = [late(0.36), late(0.1)]  # given up after 320 ms; without a quarantine 1000, 1001 comes next
    with pytest.raises(DriverError):
        await bus.read(1, "input", 0, 2)
    assert await bus.read(1, "input", 40, 2) == [1040, 1041]


async def test_the_answer_to_a_cancelled_request_is_never_taken_for_the_next(rs485: Line) -> None:
    bus = rs485.bus(LATE)
    rs485.slave.misdeeds = [late(0.03), late(0.06)]
    task = asyncio.create_task(bus.read(1, "input", 0, 2))
    await until(lambda: len(rs485.slave.requests) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await bus.read(1, "input", 40, 2) == [1040, 1041]


@pytest.mark.parametrize("misdeed", [wrong_function, fewer_registers, bad_crc])
async def test_a_wrong_answer_is_an_error(rs485: Line, misdeed: Misdeed) -> None:
    rs485.slave.misdeeds = [misdeed]
    with pytest.raises(DriverError, match="garbled answer"):
        await rs485.bus(LATE).read(1, "input", 0, 2)


@pytest.mark.parametrize("misdeed", [silent, wrong_function, fewer_registers, bad_crc, garbage_first, busy])
async def test_one_bad_answer_is_repeated_and_then_right(rs485: Line, misdeed: Misdeed) -> None:
    rs485.slave.misdeeds = [misdeed]
    assert await rs485.bus(RETRYING).read(1, "input", 3, 2) == [1003, 1004]


async def test_another_devices_frame_before_ours_is_passed_over(rs485: Line) -> None:
    rs485.slave.misdeeds = [foreign_frame_first]
    assert await rs485.bus().read(1, "input", 3, 2) == [1003, 1004]


async def test_a_refusal_is_not_repeated(rs485: Line) -> None:
    rs485.slave.misdeeds = [refuses(2)]
    with pytest.raises(DriverError, match="has no such register"):
        await rs485.bus(RETRYING).read(1, "input", 0, 1)
    assert len(rs485.slave.requests) == 1


@pytest.mark.parametrize(
    ("label", "told"), [("meter unit 9", "meter unit 9 on {}"), ("meter (unit 9 on {})", "meter (unit 9 on {})")]
)
async def test_an_error_names_device_line_and_reason_each_once(rs485: Line, label: str, told: str) -> None:
    bus, port = rs485.bus(QUICK), rs485.settings.port
    bus.device(9, label.format(port))
    with pytest.raises(DriverError) as error:
        await bus.read(9, "input", 0, 1)
    assert str(error.value) == f"{told.format(port)}: no answer in 0.08 s"


async def test_errors_are_counted_for_each_device(rs485: Line) -> None:
    bus = rs485.bus(RETRYING)
    rs485.slave.misdeeds = [bad_crc]
    await bus.read(1, "input", 0, 1)
    stats = bus.stats.devices[1]
    assert (stats.requests, stats.garbage, stats.repeats, stats.answers, stats.failures) == (2, 1, 1, 1, 0)


async def test_a_write_that_was_not_answered_is_repeated(rs485: Line) -> None:
    rs485.slave.misdeeds = [silent]
    await rs485.bus(RETRYING).write(1, 5, [42])
    assert len(rs485.slave.requests) == 2


async def test_a_pulled_plug_ends_the_request_at_once(rs485: Line) -> None:
    bus = rs485.bus(replace(QUICK, timeout_s=30.0, deadline_s=60.0))
    rs485.slave.misdeeds = [unplugs]
    async with asyncio.timeout(10.0):
        with pytest.raises(DriverError, match="the port went away"):
            await bus.read(1, "input", 0, 1)


async def test_a_pulled_plug_heals_when_it_is_back(rs485: Line) -> None:
    bus = rs485.bus()
    rs485.slave.misdeeds = [unplugs]
    with pytest.raises(DriverError):
        await bus.read(1, "input", 0, 1)
    with pytest.raises(DriverError, match="the port"):
        await bus.read(1, "input", 0, 1)
    rs485.pty.plug()
    assert await _read_until_it_works(bus) == [1000]
    assert bus.epoch == 2


async def test_a_port_that_is_absent_at_start_is_used_when_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "ttyUSB0"
    bus = make_bus(SerialSettings(str(path)), QUICK)
    with pytest.raises(DriverError, match=r"ttyUSB0: the port cannot be opened: .*No such file"):
        await bus.read(1, "input", 0, 1)
    async with line(path, {1: dict(WORDS)}):
        assert await _read_until_it_works(bus) == [1000]
        await bus.close()


async def test_open_never_fails(tmp_path: Path) -> None:
    bus = make_bus(SerialSettings(str(tmp_path / "nowhere")), QUICK)
    await bus.open()
    assert bus.epoch == 0


async def test_two_devices_share_the_line(rs485: Line) -> None:
    bus = rs485.bus()
    answers = await asyncio.gather(*(bus.read(unit, "input", 0, 2) for unit in (1, 2) * 8))
    assert answers == [[1000, 1001], [7, 8]] * 8


async def test_silence_lies_between_an_answer_and_the_next_request(rs485: Line) -> None:
    bus = rs485.bus()
    for _ in range(5):
        await bus.read(1, "input", 0, 1)
    pairs = zip(rs485.slave.answered_at, rs485.slave.requests[1:], strict=False)
    assert min(request.at - answered for answered, request in pairs) >= rs485.settings.silence_s


async def test_a_device_gets_the_pause_it_wants(rs485: Line) -> None:
    bus = rs485.bus()
    bus.device(1, "meter", pause_s=0.06)
    await bus.read(1, "input", 0, 1)
    await bus.read(1, "input", 0, 1)
    assert rs485.slave.requests[1].at - rs485.slave.answered_at[0] >= 0.06


async def test_the_port_belongs_to_one_owner(rs485: Line) -> None:
    await rs485.bus().read(1, "input", 0, 1)
    with pytest.raises(DriverError, match="another program uses it"):
        await rs485.bus().read(1, "input", 0, 1)


async def test_closing_ends_the_request_under_way(rs485: Line) -> None:
    bus = rs485.bus(replace(QUICK, timeout_s=30.0, deadline_s=60.0))
    rs485.slave.misdeeds = [silent]
    reading = asyncio.create_task(bus.read(1, "input", 0, 1))
    await until(lambda: len(rs485.slave.requests) == 1)
    await bus.close()
    async with asyncio.timeout(10.0):
        with pytest.raises(DriverError, match="the port went away"):
            await reading


async def test_a_pseudo_terminal_has_no_direction_to_switch(rs485: Line) -> None:
    rs485.settings = replace(rs485.settings, rs485=True)
    assert await rs485.bus().read(1, "input", 0, 1) == [1000]


async def test_a_closed_bus_says_so(rs485: Line) -> None:
    bus = rs485.bus()
    await bus.close()
    with pytest.raises(DriverError, match="the port is closed"):
        await bus.read(1, "input", 0, 1)


async def _read_until_it_works(bus: Bus) -> list[int]:
    async with asyncio.timeout(5.0):
        while True:
            try:
                return await bus.read(1, "input", 0, 1)
            except DriverError:
                await asyncio.sleep(0.02)


async def test_a_port_without_the_rs485_mode_that_was_asked_for_says_so(
    rs485: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.rtu.is_pseudo_terminal", lambda _port: False)  # it has no such mode either
    rs485.settings = replace(rs485.settings, rs485=True)
    with pytest.raises(DriverError, match="remove rs485 = true"):
        await rs485.bus().read(1, "input", 10, 1)
