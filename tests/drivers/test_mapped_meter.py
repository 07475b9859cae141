"""A meter by its map: what its registers hold is what is told, and what they do not hold is not."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest
import tomli

from drivers.api import UNIT, DriverError, EnergyMeter, Identifies, Measurand, Phase
from drivers.bus import Bus, SerialSettings
from drivers.mapped_meter import NUMBER, MappedMeter
from drivers.mapwords import MeterMap
from drivers.registers import encode, encode_text
from drivers.regmap import ENERGY, load_meter, map_names, parse_meter
from drivers.wire import make_bus
from tests.drivers.bus_helpers import line
from tests.drivers.register_wire import RegisterWire
from tests.drivers.virtual_time import run


def meter_on(wire: RegisterWire, name: str | MeterMap) -> MappedMeter:
    return MappedMeter(Bus(wire, SerialSettings("/dev/ttyS1")), 1, name)


def filled(name: str) -> RegisterWire:
    """Registers that hold 1.0 for the first row, 2.0 for the second ..., in SI units."""
    wire = RegisterWire()
    for number, row in enumerate(load_meter(name).registers, 1):
        wire.set(row.row, encode(row.row, _value(row.measurand, number)))
    return wire


def _value(measurand: Measurand, number: int) -> float:
    """Something else for each row, and nothing finer than the coarsest meter can say."""
    if measurand is Measurand.POWER_FACTOR:
        return number / 100
    return number * (1000.0 if "Energy" in measurand else 10.0 if "Power" in measurand else 1.0)


@pytest.mark.parametrize("name", map_names("meter"))
def test_each_register_of_a_meter_is_told_in_its_si_unit(name: str) -> None:
    async def scene() -> None:
        samples = await meter_on(filled(name), name).read()
        told = {(s.measurand, s.phase): s.value for s in samples}
        rows = load_meter(name).registers
        assert told == {(r.measurand, r.phase): pytest.approx(_value(r.measurand, n)) for n, r in enumerate(rows, 1)}
        assert {measurand for measurand, _phase in told} == meter_on(filled(name), name).measures()

    run(scene())


@pytest.mark.parametrize("name", map_names("meter"))
def test_each_measurand_of_a_map_has_a_unit(name: str) -> None:
    assert all(r.measurand in UNIT for r in load_meter(name).registers)


def test_a_value_that_is_no_number_is_left_out() -> None:
    async def scene() -> None:
        wire = filled("eastron_sdm630")
        rows = {r.row.key: r.row for r in load_meter("eastron_sdm630").registers}
        wire.set(rows["Voltage@L2-N"], encode(rows["Voltage@L2-N"], math.nan))
        samples = await meter_on(wire, "eastron_sdm630").read()
        assert Phase.L2_N not in {s.phase for s in samples}

    run(scene())


def test_a_poll_without_energy_fails() -> None:
    async def scene() -> None:
        wire = filled("eastron_sdm630")
        row = next(r.row for r in load_meter("eastron_sdm630").registers if r.row.key == ENERGY)
        wire.set(row, encode(row, math.nan))
        with pytest.raises(DriverError, match="meter unit 1 on /dev/ttyS1: its energy register holds no value"):
            await meter_on(wire, "eastron_sdm630").read()

    run(scene())


def test_a_silent_meter_is_an_error() -> None:
    async def scene() -> None:
        wire = filled("eastron_sdm120")
        wire.fails = lambda function, address: "timeout"
        with pytest.raises(DriverError, match="meter unit 1 on /dev/ttyS1: no answer"):
            await meter_on(wire, "eastron_sdm120").read()

    run(scene())


def test_all_values_of_a_meter_can_be_asked_for_in_any_poll() -> None:
    async def scene() -> None:
        meter = meter_on(filled("eastron_sdm630"), "eastron_sdm630")
        whole, usual, again = await meter.read(), await meter.read(), await meter.read_all()
        assert len(usual) < len(whole) == len(again) == len(load_meter("eastron_sdm630").registers)

    run(scene())


def test_a_slow_value_is_told_only_when_it_was_read() -> None:
    text = f"""
        vendor = "V"
        model = "M"
        source = "S"
        slow_every = 3
        [registers]
        "{ENERGY}" = {{ at = 0 }}
        "Frequency" = {{ at = 9, slow = true }}
    """

    async def scene() -> None:
        meter = meter_on(RegisterWire(), parse_meter("x.toml", tomli.loads(text)))
        assert [len(await meter.read()) for _ in range(6)] == [2, 1, 1, 2, 1, 1]

    run(scene())


TARIFFS = f"""
    vendor = "V"
    model = "M"
    source = "S"
    type = "uint32"
    max_gap = 0
    absent = {{ uint32 = [-1] }}
    [registers]
    "{ENERGY}" = {{ at = 0, unit = "kWh", plus = [10, 20] }}
"""


@pytest.mark.parametrize(("words", "told"), [([3, 4, 5], [12000.0]), ([3, 0, 0], [3000.0])])
def test_registers_of_several_tariffs_are_one_energy(words: list[int], told: list[float]) -> None:
    async def scene() -> None:
        wire = RegisterWire()
        wire.tables["holding"].update({10 * n + 1: word for n, word in enumerate(words)})
        assert [s.value for s in await meter_on(wire, parse_meter("x.toml", tomli.loads(TARIFFS))).read()] == told

    run(scene())


def test_half_a_sum_is_no_energy() -> None:
    async def scene() -> None:
        wire = RegisterWire()
        wire.tables["holding"].update({1: 3, 10: 0xFFFF, 11: 0xFFFF, 21: 5})
        with pytest.raises(DriverError, match="its energy register holds no value"):
            await meter_on(wire, parse_meter("x.toml", tomli.loads(TARIFFS))).read()

    run(scene())


def test_a_meter_says_who_it_is() -> None:
    async def scene() -> None:
        wire = filled("carlo_gavazzi_em340")
        code, serial = load_meter("carlo_gavazzi_em340").device.identify
        wire.set(code.row, [341])
        wire.set(serial.row, encode_text(serial.row, "KY123"))
        identity = await meter_on(wire, "carlo_gavazzi_em340").identity()
        assert identity.endswith("identification code 341, serial number KY123")
        assert ("input", 0x0B, 1) in wire.reads

    run(scene())


@pytest.mark.parametrize(
    ("name", "words", "number"),
    [
        ("eastron_sdm630", [0x0123, 0x4567], str(0x01234567)),
        ("eastron_sdm630", [0, 0], ""),
        ("eastron_sdm630", [0xFFFF, 0xFFFF], ""),
        ("carlo_gavazzi_em340", [0x4B59, 0x3132, 0x3300, 0, 0, 0, 0], "KY123"),
        ("inepro_pro1", [0x0123, 0x4567], ""),  # nobody has seen that register yet
        ("acrel_adl400", None, ""),  # has none
    ],
)
def test_a_meter_tells_its_number_where_it_is_known_for_sure(name: str, words: list[int] | None, number: str) -> None:
    async def scene() -> None:
        wire = filled(name)
        for expected in load_meter(name).device.identify:
            if expected.row.key == NUMBER and words is not None:
                wire.set(expected.row, words)
        assert await meter_on(wire, name).number() == number

    run(scene())


def test_another_model_is_told_apart() -> None:
    async def scene() -> None:
        wire = filled("eastron_sdm630")
        wire.tables["holding"][0xFC02] = 0x0020
        with pytest.raises(DriverError, match="meter code is 32, map eastron_sdm630 expects 112, 121: another device"):
            await meter_on(wire, "eastron_sdm630").identity()

    run(scene())


def test_a_mapped_meter_keeps_the_contract() -> None:
    meter = meter_on(RegisterWire(), "eastron_sdm120")
    assert isinstance(meter, EnergyMeter)
    assert isinstance(meter, Identifies)


async def test_a_meter_is_read_over_a_real_line(tmp_path: Path) -> None:
    registers = {a: w for table in filled("eastron_sdm120").tables.values() for a, w in table.items()}
    image = {address: registers.get(address, 0) for address in range(0x60)}
    async with line(tmp_path / "tty", {1: image}) as (_, _, settings):
        bus = make_bus(settings)
        samples = await MappedMeter(bus, 1, "eastron_sdm120").read()
        assert next(s.value for s in samples if s.measurand == ENERGY) == pytest.approx(7000.0)
        await bus.close()


async def test_two_meters_on_one_line_are_read_side_by_side(tmp_path: Path) -> None:
    image = dict.fromkeys(range(96), 0)
    async with line(tmp_path / "tty", {1: dict(image), 2: dict(image)}) as (_, slave, settings):
        bus = make_bus(settings)
        meters = [MappedMeter(bus, unit, "eastron_sdm120") for unit in (1, 2)]
        await asyncio.gather(*(meter.read() for meter in meters))
        assert sorted({request.unit for request in slave.requests}) == [1, 2]
        await bus.close()


DOUBTS = """
vendor = "V"
model = "M"
source = "S"
max_gap = 0
[registers]
"Energy.Active.Import.Register" = { at = 0, type = "uint32" }
"Frequency" = { at = 10, scale = 0.01, confidence = "unverified" }
"Voltage@L1-N" = { at = 20, scale = 0.1%s }
"""


@pytest.mark.parametrize("kind", ["refused", "timeout"])
@pytest.mark.parametrize(("confirmed", "address"), [(True, 20), (False, 20), (False, 10)])
def test_registers_that_nobody_confirmed_and_the_meter_does_not_have_take_no_others_with_them(
    confirmed: bool, address: int, kind: str
) -> None:
    async def scene() -> None:
        wire = RegisterWire()
        wire.tables["holding"].update({1: 5000, 10: 5000, 20: 2300})
        text = DOUBTS % ("" if confirmed else ', confidence = "unverified"')
        meter = meter_on(wire, parse_meter("meter/x.toml", tomli.loads(text)))
        wire.fails = lambda function, at: kind if at == address else None
        if confirmed or kind == "timeout":
            with pytest.raises(DriverError):
                await meter.read()
            return
        for _ in range(3):
            told = {s.measurand: s.value for s in await meter.read()}
            assert told.pop(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER) == 5000
            assert len(told) == 1
        assert [at for _, at, _ in wire.reads].count(30 - address) == 3
        assert wire.functions.count(3) == 3 * 2 + 1  # it is not asked for again
        wire.fails = lambda function, at: None
        wire.connected = False  # it may be another meter that answers then
        assert len(await meter.read()) == 3

    run(scene())
