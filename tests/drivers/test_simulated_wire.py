"""The simulated lines, felt by a real Modbus client and by the project's own drivers, over ptys and sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException

from drivers.simulated.hardware import SimulatedHardware
from drivers.simulated.plan import SimBus, SimEvse, SimReader, SimStation, SimUnit
from drivers.simulated.server import RtuLine, TcpLine
from drivers.simulated.verbs import SimError
from drivers.token.ascii_line import AsciiLine
from drivers.token.normalise import Spelling
from drivers.token.rdm6300 import Rdm6300

EVSE, METER = 1, 2
PATIENT_S = 0.5  # the client, with a device; less than a slow one takes
LONG_S = 10.0


def station(folder: Path, baud: int = 115200, evse_map: str = "evse_wb", slow_s: float = 0.8) -> SimStation:
    return SimStation(
        buses=(SimBus("rs485", port=str(folder / "ttyRS485"), baud=baud),),
        evses=(SimEvse(1, SimUnit(evse_map, "rs485", EVSE), SimUnit("eastron_sdm630", "rs485", METER)),),
        readers=(SimReader("rdm6300", str(folder / "ttyRFID"), (1,)), SimReader("ascii_line", str(folder / "ttyLine"))),
        latency_s=(0.001, 0.003),
        slow_s=slow_s,
    )


@pytest.fixture
async def hw(tmp_path: Path) -> AsyncIterator[SimulatedHardware]:
    async with SimulatedHardware(station(tmp_path)) as hardware:
        yield hardware


@pytest.fixture
async def client(hw: SimulatedHardware, tmp_path: Path) -> AsyncIterator[AsyncModbusSerialClient]:
    async for found in _client(tmp_path, 115200):
        yield found


async def _client(folder: Path, baud: int) -> AsyncIterator[AsyncModbusSerialClient]:
    modbus = AsyncModbusSerialClient(str(folder / "ttyRS485"), baudrate=baud, timeout=PATIENT_S, retries=0)
    assert await modbus.connect()
    yield modbus
    modbus.close()


def float_of(modbus: AsyncModbusSerialClient, words: Sequence[int]) -> float:
    value = modbus.convert_from_registers(list(words), modbus.DATATYPE.FLOAT32)
    assert isinstance(value, float)
    return value


async def test_the_meter_is_read_over_the_line(client: AsyncModbusSerialClient) -> None:
    answer = await client.read_input_registers(0, count=80, device_id=METER)
    assert float_of(client, answer.registers[0:2]) == pytest.approx(230.0, rel=0.02)
    assert float_of(client, answer.registers[0x48:0x4A]) == pytest.approx(1234.567, abs=0.001)


async def test_an_order_that_is_written_reaches_the_pilot(
    hw: SimulatedHardware, client: AsyncModbusSerialClient
) -> None:
    await hw.do("plug-in", evse=1, ev="hold")
    answer = await client.write_register(1000, 16, device_id=EVSE)
    assert not answer.isError()
    assert await hw.do("get", key="offered-ma", evse=1) == "16000"


async def test_what_was_ordered_is_read_back(client: AsyncModbusSerialClient) -> None:
    await client.write_registers(1000, [13], device_id=EVSE)
    answer = await client.read_holding_registers(1000, count=8, device_id=EVSE)
    assert (answer.registers[0], answer.registers[2]) == (13, 1)


async def test_the_pilot_register_follows_the_car(hw: SimulatedHardware, client: AsyncModbusSerialClient) -> None:
    await hw.do("plug-in", evse=1)
    answer = await client.read_holding_registers(1002, count=1, device_id=EVSE)
    assert answer.registers == [2]


async def test_a_register_that_is_not_there_is_exception_2(client: AsyncModbusSerialClient) -> None:
    answer = await client.read_holding_registers(3000, count=1, device_id=EVSE)
    assert answer.exception_code == 2


async def test_a_read_above_the_devices_limit_is_refused(client: AsyncModbusSerialClient) -> None:
    answer = await client.read_input_registers(0, count=82, device_id=METER)
    assert answer.exception_code == 3


async def test_an_order_below_six_ampere_is_refused(client: AsyncModbusSerialClient) -> None:
    answer = await client.write_register(1000, 5, device_id=EVSE)
    assert answer.exception_code == 3


async def test_a_measured_value_cannot_be_written(client: AsyncModbusSerialClient) -> None:
    answer = await client.write_register(1002, 3, device_id=EVSE)
    assert answer.exception_code == 2


async def test_a_unit_that_is_not_there_is_silent(client: AsyncModbusSerialClient) -> None:
    with pytest.raises(ModbusIOException):
        await client.read_holding_registers(1000, count=1, device_id=9)


@pytest.mark.parametrize("mode", ["timeout", "garbage", "slow"])
async def test_a_faulty_device_gives_no_usable_answer(
    hw: SimulatedHardware, client: AsyncModbusSerialClient, mode: str
) -> None:
    await hw.do("bus", device="meter", mode=mode)
    with pytest.raises(ModbusIOException):
        await client.read_input_registers(0, count=2, device_id=METER)


async def test_a_faulty_meter_leaves_the_controller_alone(
    hw: SimulatedHardware, client: AsyncModbusSerialClient
) -> None:
    await hw.do("bus", device="meter", mode="timeout")
    assert not (await client.read_holding_registers(1000, count=1, device_id=EVSE)).isError()


async def test_a_slow_answer_comes_late_and_is_taken_for_the_next(tmp_path: Path) -> None:
    """The trap that a bus owner must avoid: RTU answers carry no number."""
    async with SimulatedHardware(station(tmp_path, slow_s=0.65)) as hw:
        async for client in _client(tmp_path, 115200):
            await hw.do("bus", device="meter", mode="slow")
            with pytest.raises(ModbusIOException):
                await client.read_input_registers(0x48, count=2, device_id=METER)
            await hw.do("bus", device="meter", mode="timeout")
            late = await client.read_input_registers(0, count=2, device_id=METER)
            assert float_of(client, late.registers) == pytest.approx(1234.567, abs=0.001)


async def test_power_failure_silences_the_line_and_forgets_the_order(
    hw: SimulatedHardware, client: AsyncModbusSerialClient
) -> None:
    await client.write_register(1000, 16, device_id=EVSE)
    await hw.do("power", to="fail")
    with pytest.raises(ModbusIOException):
        await client.read_holding_registers(1000, count=1, device_id=EVSE)
    await hw.do("power", to="restore")
    assert (await client.read_holding_registers(1000, count=1, device_id=EVSE)).registers == [0]


async def test_a_poll_takes_as_long_as_its_bytes_take_on_the_line(tmp_path: Path) -> None:
    async with SimulatedHardware(station(tmp_path, baud=9600)) as hw:
        async for client in _client(tmp_path, 9600):
            start = time.perf_counter()
            await client.read_input_registers(0, count=36, device_id=METER)
            taken_s = time.perf_counter() - start
            line = hw.lines["rs485"]
            assert isinstance(line, RtuLine)
            assert line.busy_s == pytest.approx(85 * 10 / 9600)
            assert taken_s >= line.busy_s + 0.001


async def test_several_masters_after_one_another_find_the_same_line(hw: SimulatedHardware, tmp_path: Path) -> None:
    for order_a in (6, 7, 8):
        async for client in _client(tmp_path, 115200):
            assert not (await client.write_register(1000, order_a, device_id=EVSE)).isError()
    assert await hw.do("get", key="order-ma", evse=1) == "8000"


async def test_bytes_in_pieces_make_one_request(hw: SimulatedHardware, tmp_path: Path) -> None:
    line = hw.lines["rs485"]
    assert isinstance(line, RtuLine)
    for byte in bytes.fromhex("010303E800078478"):
        line._heard(bytes((byte,)))
    assert line.requests == 1


async def test_noise_on_the_line_does_no_lasting_harm(hw: SimulatedHardware, client: AsyncModbusSerialClient) -> None:
    line = hw.lines["rs485"]
    assert isinstance(line, RtuLine)
    for noise in (b"\x01", b"\xff" * 300, b"\x01\x10\x03\xe8\x00\x7b\xf6", bytes(range(256))):
        line._heard(noise)
        async with asyncio.timeout(LONG_S):
            while line._buffer:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert (await client.read_holding_registers(1000, count=1, device_id=EVSE)).registers == [0]


async def test_links_appear_and_go_away(tmp_path: Path) -> None:
    names = ("ttyRS485", "ttyRFID", "ttyLine")
    async with SimulatedHardware(station(tmp_path)):
        assert all((tmp_path / name).is_symlink() for name in names)
    assert not any((tmp_path / name).is_symlink() for name in names)


async def test_a_stale_link_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "ttyRS485").symlink_to("/nowhere")
    async with SimulatedHardware(station(tmp_path)):
        assert (tmp_path / "ttyRS485").exists()


async def test_a_real_port_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "ttyLine").write_text("a real port")
    with pytest.raises(FileExistsError, match="never replaces a real port"):
        async with SimulatedHardware(station(tmp_path)):
            pass
    assert not (tmp_path / "ttyRS485").is_symlink()


async def test_a_link_that_somebody_else_took_over_stays(tmp_path: Path) -> None:
    async with SimulatedHardware(station(tmp_path)):
        (tmp_path / "ttyRS485").unlink()
        (tmp_path / "ttyRS485").symlink_to("/dev/null")
    assert (tmp_path / "ttyRS485").is_symlink()


async def test_the_watchdog_of_a_silent_master_takes_the_power_away(tmp_path: Path) -> None:
    plan = station(tmp_path, evse_map="heidelberg_ec")
    async with SimulatedHardware(plan) as hw:
        async for client in _client(tmp_path, 115200):
            await client.write_registers(262, [0], device_id=EVSE)
            await client.write_registers(257, [2000], device_id=EVSE)
            await client.write_registers(261, [160], device_id=EVSE)
            await hw.do("ev-state", state="C", evse=1)
            await hw.wait("contactor", "closed", evse=1, timeout_s=LONG_S)
            assert await hw.do("get", key="offered-ma", evse=1) == "16000"
            await hw.wait("offered-ma", "0", evse=1, timeout_s=LONG_S)


async def test_tcp_devices_are_served_too(tmp_path: Path) -> None:
    plan = SimStation(
        buses=(SimBus("lan", host="127.0.0.1"),),
        evses=(SimEvse(1, SimUnit("heidelberg_ec", "lan", 255), SimUnit("carlo_gavazzi_em340", "lan", 3)),),
        latency_s=(0.001, 0.002),
    )
    async with SimulatedHardware(plan) as hw:
        line = hw.lines["lan"]
        assert isinstance(line, TcpLine)
        client = AsyncModbusTcpClient("127.0.0.1", port=line.tcp_port, timeout=LONG_S, retries=0)
        assert await client.connect()
        pilot = await client.read_input_registers(5, count=1, device_id=255)
        energy = await client.read_input_registers(0x34, count=2, device_id=3)
        client.close()
    assert pilot.registers == [2]
    assert energy.registers == [12346, 0]  # 0.1 kWh, low word first


async def test_an_rdm6300_card_is_read_by_the_driver(hw: SimulatedHardware, tmp_path: Path) -> None:
    reader = Rdm6300(str(tmp_path / "ttyRFID"))
    waiting = asyncio.create_task(reader.token())
    await _opened(reader)
    await hw.do("tap", tag="010063E9AE", evses=[1])
    token = await asyncio.wait_for(waiting, LONG_S)
    await reader.close()
    assert token.value == "010063E9AE"


async def test_a_line_card_is_read_by_the_driver(hw: SimulatedHardware, tmp_path: Path) -> None:
    reader = AsciiLine(str(tmp_path / "ttyLine"))
    waiting = asyncio.create_task(reader.token())
    await _opened(reader)
    await hw.do("tap", tag="04A1B2C3", evses=[1, 2])
    token = await asyncio.wait_for(waiting, LONG_S)
    await reader.close()
    assert token.value == "04A1B2C3"


async def _opened(reader: Rdm6300 | AsciiLine) -> None:
    async with asyncio.timeout(LONG_S):
        while reader._port is None:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("form", ["hex10", "hex8", "decimal10"])
@pytest.mark.parametrize("order", ["as_read", "reversed"])
async def test_a_card_is_tapped_by_the_text_that_the_driver_tells(tmp_path: Path, form: str, order: str) -> None:
    tag = {"hex10": "010063E9AE", "hex8": "0063E9AE", "decimal10": "0006547886"}[form]
    tag = tag if order == "as_read" or form != "decimal10" else "8678540600"
    plan = SimReader("rdm6300", str(tmp_path / "ttyRFID"), (), form, order == "reversed")
    async with SimulatedHardware(SimStation((), (SimEvse(1),), (plan,))) as hw:
        reader = Rdm6300(str(tmp_path / "ttyRFID"), form, spelling=Spelling(order=order))
        waiting = asyncio.create_task(reader.token())
        await _opened(reader)
        await hw.do("tap", tag=tag)
        token = await asyncio.wait_for(waiting, LONG_S)
        await reader.close()
    assert token.value == tag


async def test_a_card_that_nobody_heard_is_not_kept_for_later(hw: SimulatedHardware, tmp_path: Path) -> None:
    await hw.do("tap", tag="LOST", evses=[1, 2])
    reader = AsciiLine(str(tmp_path / "ttyLine"))
    waiting = asyncio.create_task(reader.token())
    await _opened(reader)
    await hw.do("tap", tag="04A1B2C3", evses=[1, 2])
    token = await asyncio.wait_for(waiting, LONG_S)
    await reader.close()
    assert token.value == "04A1B2C3"


async def test_a_file_in_the_sockets_place_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "sim.sock").write_text("mine")
    with pytest.raises(FileExistsError, match="is no socket"):
        async with SimulatedHardware(station(tmp_path), tmp_path / "sim.sock"):
            pass
    assert (tmp_path / "sim.sock").read_text() == "mine"


async def test_a_broken_reader_is_gone_until_it_is_mended(hw: SimulatedHardware, tmp_path: Path) -> None:
    await hw.do("fault", name="rfid-reader", evse=1)
    assert not (tmp_path / "ttyRFID").is_symlink()
    with pytest.raises(SimError, match="is gone"):
        await hw.do("tap", tag="010063E9AE", evses=[1])
    await hw.do("fault-clear", name="rfid-reader", evse=1)
    assert (tmp_path / "ttyRFID").exists()
