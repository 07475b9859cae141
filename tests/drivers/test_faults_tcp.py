"""No fault of a TCP peer makes a driver tell what is not so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from drivers.bus import Bus
from drivers.io.mapped import MappedIo
from drivers.mapped_evse import MappedEvse
from tests.drivers.faults import UNIT, Subject
from tests.drivers.faults_tcp import every_tcp_fault, never_lies_over_tcp
from tests.drivers.test_faults import board, counted, meter, one, relays, ten


@every_tcp_fault
@pytest.mark.parametrize("ask", [ten, one])
async def test_a_read_gives_what_is_there_or_fails(ask: Callable[[Bus], Awaitable[list[int]]], fault: str) -> None:
    moments = (counted(1000), counted(2000), counted(3000))
    await never_lies_over_tcp(Subject(lambda bus: bus, ask, moments), fault)


@every_tcp_fault
async def test_a_mapped_meter_tells_the_truth_or_fails(fault: str) -> None:
    await never_lies_over_tcp(meter("siemens_7kt1665"), fault)


@every_tcp_fault
async def test_a_mapped_controller_tells_the_truth_or_fails(fault: str) -> None:
    moments = (board(1, 0, 0), board(2, 320, 160), board(3, 200, 100))
    await never_lies_over_tcp(Subject(lambda bus: MappedEvse(bus, UNIT, "reference"), MappedEvse.read, moments), fault)


@every_tcp_fault
async def test_an_io_board_tells_the_truth_or_fails(fault: str) -> None:
    moments = (relays(0b0000_0001), relays(0b1100_0010), relays(0b0011_0100))
    subject = Subject(lambda bus: MappedIo(bus, UNIT, "waveshare_relay_8_d"), MappedIo.read, moments)
    await never_lies_over_tcp(subject, fault)
