"""Modbus ASCII as bytes: requests as the devices expect them, and our answer among everything else on a line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.api import DriverError, Pilot
from drivers.ascii import ASCII, check
from drivers.bus import Policy, SerialSettings
from drivers.framing import request_pdu, values_of
from drivers.mapped_evse import MappedEvse
from drivers.simulated.hardware import SimulatedHardware
from drivers.simulated.plan import SimBus, SimEvse, SimStation, SimUnit
from drivers.wire import make_bus
from tests.drivers.bus_helpers import Pty

READ = ASCII.wrap(1, request_pdu(3, 1, 2))
ANSWER = b">01030401011237AD\r\n"
WRITE = ASCII.wrap(1, request_pdu(6, 1, [3]))


def test_a_read_is_written_as_the_device_expects_it() -> None:
    assert READ == b":010300010002F9\r\n"


def test_a_write_is_written_as_the_device_expects_it() -> None:
    assert ASCII.wrap(1, request_pdu(16, 0x14, [0xA6])) == b":0110001400010200A632\r\n"


def test_the_answer_of_a_device_is_found() -> None:
    pdu = ASCII.find(READ, ANSWER, False).pdu
    assert pdu is not None
    assert values_of(pdu, 3, 1, 2) == [0x0101, 0x1237]


def test_a_refusal_is_found() -> None:
    assert ASCII.find(READ, b">0190046B\r\n", False).pdu == b"\x90\x04"


@given(st.binary(min_size=1, max_size=255))
def test_all_bytes_of_a_frame_sum_up_to_nothing(body: bytes) -> None:
    assert (sum(body) + check(body)) & 0xFF == 0


@pytest.mark.parametrize(
    "heard",
    [
        ANSWER,
        b":" + ANSWER[1:],
        READ + ANSWER,
        b"\x00\xff" + ANSWER,
        b">0103" + ANSWER,  # one that broke off
        b">02030401011237AC\r\n" + ANSWER,  # another unit's
        b">01030401011237AE\r\n" + ANSWER,  # a wrong check
        b"\r\n\r\n" + ANSWER + b":0",
    ],
)
def test_an_answer_is_found_among_the_rest(heard: bytes) -> None:
    assert ASCII.find(READ, heard, False).pdu == bytes.fromhex("030401011237")


@pytest.mark.parametrize(
    "heard",
    [
        b"",
        ANSWER[:-1],
        ANSWER[:-2],
        READ,
        b">01030401011237AE\r\n",
        b">02030401011237AC\r\n",
        b">0103040101 237AD\r\n",
        b">01 03 04 01 01 12 37 AD\r\n",
        b">010306010112371AD\r\n",
        b">0103060101123 7AB\r\n",
        b"<01030401011237AD\r\n",
        b">\xff1030401011237AD\r\n",
        b">01\r\n",
    ],
)
def test_what_is_no_answer_is_not_taken_for_one(heard: bytes) -> None:
    assert ASCII.find(READ, heard, False).pdu is None


def test_a_confirmation_that_copies_the_request_is_an_answer_on_a_quiet_line() -> None:
    assert ASCII.find(WRITE, WRITE, False).pdu == bytes.fromhex("0600010003")


def test_the_same_bytes_are_an_echo_where_the_line_echoes() -> None:
    assert ASCII.find(WRITE, WRITE, True).pdu is None
    assert ASCII.find(WRITE, WRITE + WRITE, True).pdu == bytes.fromhex("0600010003")


def test_how_much_is_missing_is_known_from_the_head() -> None:
    for cut in range(7, len(ANSWER)):
        assert ASCII.find(READ, ANSWER[:cut], False).missing == len(ANSWER) - cut


@given(st.binary(max_size=300), st.integers(0, 18), st.booleans())
def test_noise_and_half_an_answer_are_no_answer(noise: bytes, cut: int, echoes: bool) -> None:
    assert ASCII.find(READ, noise + ANSWER[:cut], echoes).pdu is None


async def test_a_bus_speaks_it_on_a_real_port(tmp_path: Path) -> None:
    pty = Pty(tmp_path / "ttyRS485")
    heard = bytearray()

    def hear(data: bytes) -> None:
        heard.extend(data)
        if heard.endswith(b"\r\n"):
            pty.send(ANSWER)

    pty.on_data = hear
    pty.plug()
    bus = make_bus(SerialSettings(str(pty.path), 38400, "E", framing="ascii"), Policy(retries=0))
    assert await bus.read(1, "holding", 1, 2) == [0x0101, 0x1237]
    assert heard == READ
    await bus.close()
    pty.unplug()


async def test_a_broken_answer_is_garbage(tmp_path: Path) -> None:
    pty = Pty(tmp_path / "ttyRS485")
    pty.on_data = lambda data: pty.send(ANSWER.replace(b"37", b"38"))
    pty.plug()
    bus = make_bus(SerialSettings(str(pty.path), 38400, framing="ascii"), Policy(retries=0, timeout_s=0.4))
    with pytest.raises(DriverError, match="garbled"):
        await bus.read(1, "holding", 1, 2)
    await bus.close()
    pty.unplug()


async def test_a_car_charges_at_a_board_that_speaks_it(tmp_path: Path) -> None:
    port = str(tmp_path / "ttyRS485")
    line = SimBus("b", port=port, baud=38400, parity="E", framing="ascii")
    async with SimulatedHardware(SimStation((line,), (SimEvse(1, SimUnit("abl_emh1", "b", 1)),))) as hw:
        bus = make_bus(SerialSettings(port, 38400, "E", framing="ascii"))
        evse = MappedEvse(bus, 1, "abl_emh1")
        assert (await evse.read()).pilot is Pilot.A
        await hw.do("plug-in", evse=1)
        await evse.offer(16.0)
        await hw.wait("contactor", "closed", evse=1, timeout_s=8)
        assert (await evse.read()).pilot is Pilot.C
        assert 15.9 < hw.world.points[1].controller.pwm_a <= 16.0
        await bus.close()


async def test_a_device_that_refuses_is_told_apart_from_a_silent_one(tmp_path: Path) -> None:
    port = str(tmp_path / "ttyRS485")
    line = SimBus("b", port=port, baud=38400, framing="ascii")
    async with SimulatedHardware(SimStation((line,), (SimEvse(1, SimUnit("abl_emh1", "b", 1)),))):
        bus = make_bus(SerialSettings(port, 38400, framing="ascii"), Policy(retries=0, timeout_s=0.4))
        with pytest.raises(DriverError, match="no such register"):
            await bus.read(1, "holding", 0x1000, 1)
        with pytest.raises(DriverError, match="no answer"):
            await bus.read(2, "holding", 0x2E, 1)
        await bus.close()
