"""Strangers at both ends of the wire: our drivers against a slave of libmodbus, our simulated hardware against mbpoll.

What both ends of ours understand alike, they may understand wrongly alike. These two have never seen our code.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from drivers.api import DriverError, Measurand, Phase, Pilot, Sample
from drivers.bus import Bus
from drivers.evse.etek import EtekEpc
from drivers.evse.innogy import InnogyEbox
from drivers.evse.smartevse import EdgetechSmartEvse
from drivers.io.mapped import MappedIo
from drivers.mapped_evse import MappedEvse
from drivers.mapped_meter import MappedMeter
from drivers.mapwords import MeterMap
from drivers.registers import encode_down
from drivers.regmap import load_evse, load_meter, map_names
from drivers.signed.wm3m4 import Wm3m4
from tests.drivers.stranger import HASTY, UNIT, held, held_number, program, stranger

both = pytest.mark.parametrize("kind", ["rtu", "tcp"])
COUNTS = [0, 1, 0x1234, 0xFFFF, 0x8000]


# ---- nothing is passed over


@pytest.mark.parametrize(("ci", "ends"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_where_all_must_be_proved_a_missing_stranger_is_a_failure(
    ci: str, ends: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ends, match="needs gcc and pkg-config"):
        program(tmp_path)


# ---- the bus


@both
@pytest.mark.parametrize("table", ["input", "holding"])
async def test_registers_of_libmodbus_come_as_it_holds_them(kind: str, table: str, tmp_path: Path) -> None:
    image = [f"{table} {100 + k} {word}" for k, word in enumerate(COUNTS)]
    async with stranger(kind, tmp_path, image) as slave:
        assert await slave.bus.read(UNIT, table, 100, len(COUNTS)) == COUNTS


@both
@pytest.mark.parametrize("table", ["coil", "discrete"])
async def test_bits_of_libmodbus_come_as_it_holds_them(kind: str, table: str, tmp_path: Path) -> None:
    bits = [1, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1]
    async with stranger(kind, tmp_path, [f"{table} {20 + k} {bit}" for k, bit in enumerate(bits)]) as slave:
        assert await slave.bus.read(UNIT, table, 20, len(bits)) == bits


@both
async def test_the_longest_read_arrives_whole(kind: str, tmp_path: Path) -> None:
    async with stranger(kind, tmp_path, [f"input {k} {k * 7}" for k in range(125)]) as slave:
        assert await slave.bus.read(UNIT, "input", 0, 125) == [k * 7 for k in range(125)]


@both
@pytest.mark.parametrize(
    ("function", "words", "said"),
    [
        (5, [1], "5 9 1"),
        (5, [0], "5 9 0"),
        (6, [0xABCD], "6 9 43981"),
        (16, [7], "16 9 7"),
        (16, [1, 2, 65535], "16 9 1 2 65535"),
    ],
)
async def test_libmodbus_holds_what_was_written(
    kind: str, function: int, words: list[int], said: str, tmp_path: Path
) -> None:
    async with stranger(kind, tmp_path, ["coil 9 0" if words == [1] else "coil 9 1"]) as slave:
        await slave.bus.write(UNIT, 9, words, function)
        assert await slave.said() == said


@both
async def test_an_address_that_libmodbus_has_not_is_told_so(kind: str, tmp_path: Path) -> None:
    async with stranger(kind, tmp_path, ["no input 50"]) as slave:
        with pytest.raises(DriverError, match="has no such register"):
            await slave.bus.read(UNIT, "input", 49, 2)


@both
async def test_a_busy_libmodbus_is_asked_again(kind: str, tmp_path: Path) -> None:
    async with stranger(kind, tmp_path, ["holding 3 77", "refuse 3 6 2"]) as slave:
        assert await slave.bus.read(UNIT, "holding", 3, 1) == [77]


@both
async def test_a_value_that_libmodbus_refuses_is_told_so(kind: str, tmp_path: Path) -> None:
    async with stranger(kind, tmp_path, ["refuse 3 3 1"]) as slave:
        with pytest.raises(DriverError, match="refuses this value"):
            await slave.bus.write(UNIT, 3, [5000], 6)


@both
async def test_a_silent_libmodbus_is_asked_again(kind: str, tmp_path: Path) -> None:
    async with stranger(kind, tmp_path, ["holding 3 77", "silent 3 1"]) as slave:
        assert await slave.bus.read(UNIT, "holding", 3, 1) == [77]


@both
async def test_a_unit_that_is_not_there_gives_no_answer(kind: str, tmp_path: Path) -> None:
    async with stranger(kind, tmp_path, [], HASTY) as slave:
        with pytest.raises(DriverError, match="no answer"):
            await slave.bus.read(UNIT + 1, "holding", 3, 1)


# ---- meters


def counted(meter: MeterMap) -> tuple[list[str], list[Sample]]:
    """Registers that hold 1, 2, 3 ... (a power factor 1 to 9 tenths), and what they mean."""
    image, samples, numbers = [], [], itertools.count(1)
    for r in meter.registers:
        value = 0.0
        for row in (r.row, *r.plus):
            number = next(numbers)
            image += held_number(row, number)
            value += number * row.multiply / row.divide
        samples.append(Sample(r.measurand, value, r.phase))
    return image, samples


async def reads_what_it_holds(kind: str, name: str, folder: Path) -> None:
    meter = load_meter(name)
    image, samples = counted(meter)
    async with stranger(kind, folder, image) as slave:
        read = {(s.measurand, s.phase): s.value for s in await MappedMeter(slave.bus, UNIT, meter).read()}
    assert read == {(s.measurand, s.phase): pytest.approx(s.value) for s in samples}


@pytest.mark.parametrize("name", map_names("meter"))
async def test_each_meter_map_reads_a_meter_made_of_libmodbus(name: str, tmp_path: Path) -> None:
    await reads_what_it_holds("rtu", name, tmp_path)


@pytest.mark.parametrize("name", ["siemens_pac3200", "carlo_gavazzi_em340"])
async def test_a_meter_is_read_over_tcp_too(name: str, tmp_path: Path) -> None:
    await reads_what_it_holds("tcp", name, tmp_path)


@both
async def test_a_meter_made_of_libmodbus_is_known_by_its_code(kind: str, tmp_path: Path) -> None:
    async with stranger(kind, tmp_path, ["holding 64514 112", "int32 holding 64512 12345678"]) as slave:
        said = await MappedMeter(slave.bus, UNIT, "eastron_sdm630").identity()
        assert said.endswith("meter code 112, serial number 12345678")


@both
async def test_another_meter_than_the_map_says_is_refused(kind: str, tmp_path: Path) -> None:
    async with stranger(kind, tmp_path, ["holding 64514 137"]) as slave:
        with pytest.raises(DriverError, match="meter code is 137"):
            await MappedMeter(slave.bus, UNIT, "eastron_sdm630").identity()


@both
async def test_a_meter_that_lost_its_energy_register_gives_no_sample(kind: str, tmp_path: Path) -> None:
    image, _ = counted(load_meter("eastron_sdm630"))
    async with stranger(kind, tmp_path, [*image, "no input 60"]) as slave:
        with pytest.raises(DriverError, match="has no such register"):
            await MappedMeter(slave.bus, UNIT, "eastron_sdm630").read()


# ---- controllers


@pytest.mark.parametrize("name", map_names("evse"))
async def test_each_controller_map_reads_and_orders_a_board_made_of_libmodbus(name: str, tmp_path: Path) -> None:
    evse_map = load_evse(name)
    pilot, row = evse_map.pilot, evse_map.offer.row
    words = encode_down(row, 10.0)
    async with stranger("rtu", tmp_path, held(pilot.row, pilot.value_of("B"))) as slave:
        evse = MappedEvse(slave.bus, UNIT, evse_map)
        assert (await evse.read()).pilot is Pilot.B
        await evse.offer(10.0)
        function = 5 if row.table == "coil" else 16 if row.words > 1 else evse_map.device.write
        assert await slave.has_said(f"{function} {row.at} {' '.join(map(str, words))}")


@both
@pytest.mark.parametrize(
    ("make", "image", "orders"),
    [
        (InnogyEbox, ["input 275 16946"], [f"16 {at} 16672 0" for at in (1012, 1014, 1016)]),  # "B2"; 10.0
        (EdgetechSmartEvse, ["input 259 2"], ["6 513 2570"]),  # 0x0A0A
        (EtekEpc, ["holding 141 19", "holding 153 900", "holding 89 2"], ["6 109 1666", "6 89 1"]),
    ],
)
async def test_a_controller_with_a_page_of_its_own_orders_from_a_board_made_of_libmodbus(
    kind: str, make: Callable[[Bus, int], MappedEvse], image: list[str], orders: list[str], tmp_path: Path
) -> None:
    async with stranger(kind, tmp_path, image) as slave:
        evse = make(slave.bus, UNIT)
        await evse.offer(10.0)
        assert [await slave.said() for _ in orders] == orders
        assert (await evse.read()).pilot is Pilot.B


@both
async def test_a_board_made_of_libmodbus_is_armed_before_it_offers(kind: str, tmp_path: Path) -> None:
    async with stranger(kind, tmp_path, ["holding 16 1"]) as slave:
        await MappedEvse(slave.bus, UNIT, "reference").offer(16.0)
        assert [await slave.said() for _ in range(3)] == ["6 30 0", "6 29 15000", "6 28 160"]


@both
async def test_all_that_a_board_of_libmodbus_says_is_told(kind: str, tmp_path: Path) -> None:
    image = ["holding 16 3", "holding 17 1", "holding 18 320", "holding 19 1", "holding 20 4", "holding 28 160"]
    async with stranger(kind, tmp_path, image) as slave:
        r = await MappedEvse(slave.bus, UNIT, "reference").read()
        told = (r.pilot, r.contactor, r.cable_a, r.locked, r.faults, r.offered_a)
        assert told == (Pilot.C, True, 32.0, True, ("ground",), 16.0)


@both
async def test_an_order_that_the_board_refuses_is_an_error(kind: str, tmp_path: Path) -> None:
    async with stranger(kind, tmp_path, ["holding 16 1", "refuse 28 3 1"]) as slave:
        with pytest.raises(DriverError, match="refuses this value"):
            await MappedEvse(slave.bus, UNIT, "reference").offer(16.0)


# ---- IO boards, and a meter of packed numbers


@both
async def test_a_relay_of_libmodbus_is_switched(kind: str, tmp_path: Path) -> None:
    async with stranger(kind, tmp_path, []) as slave:
        await MappedIo(slave.bus, UNIT, "waveshare_relay_8_d").set(3, True)
        assert await slave.has_said("5 2 1")


@both
async def test_inputs_and_outputs_of_libmodbus_are_told_apart(kind: str, tmp_path: Path) -> None:
    image = ["coil 0 1", "coil 7 1", "discrete 1 1", "discrete 7 1"]
    async with stranger(kind, tmp_path, image) as slave:
        told = await MappedIo(slave.bus, UNIT, "waveshare_relay_8_d").read()
        assert [n for n, on in told.outputs.items() if on] == [1, 8]
        assert [n for n, on in told.inputs.items() if on] == [2, 8]


@both
async def test_packed_numbers_of_libmodbus_are_unpacked(kind: str, tmp_path: Path) -> None:
    volts, watts = (0xFF << 24) | 2301, (1 << 24) | (-736 & 0xFFFFFF)  # 2301 tenths, and -736 tens
    image = [
        f"int32 input 107 {volts - (1 << 32)}",
        f"int32 input 140 {watts}",
        "int32 input 418 123456",
        "input 414 1",
    ]
    async with stranger(kind, tmp_path, image) as slave:
        told = {(s.measurand, s.phase): s.value for s in await Wm3m4(slave.bus, UNIT).read()}
        assert told[Measurand.VOLTAGE, Phase.L1_N] == pytest.approx(230.1)
        assert told[Measurand.POWER_ACTIVE_IMPORT, None] == -7360.0
        assert told[Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, None] == 1234560.0
