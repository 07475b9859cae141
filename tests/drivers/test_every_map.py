"""Every map of the shelf, each field of it, over a real line: what the file says is what the driver tells."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import tomli
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.api import DriverError, Fault, Pilot, Sample
from drivers.bus import SerialSettings
from drivers.mapped_evse import MappedEvse
from drivers.mapped_meter import MappedMeter
from drivers.mapwords import MeterMap
from drivers.registers import Row
from drivers.regmap import ENERGY, load_evse, load_meter, map_names, parse_meter
from drivers.simulated.hardware import SimulatedHardware
from drivers.simulated.plan import SimBus, SimEvse, SimStation, SimUnit
from drivers.wire import make_bus
from tests.drivers.map_wire import MAPS, Field, Recorded, TableSlave, Words, extremes, fields, mask_of, placed, plugged

METERS, EVSES = map_names("meter"), map_names("evse")
THOROUGH = settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def name_of(sample: Sample) -> str:
    return f"{sample.measurand}@{sample.phase}" if sample.phase else sample.measurand.value


def hurried(name: str) -> MeterMap:
    """A map without the pause that its meter wants: the bus keeps it, and is tested for that."""
    meter_map = load_meter(name)
    return meter_map._replace(device=meter_map.device._replace(pause_s=0.0))


# ---- meters


async def read_over_a_line(name: str, image: Words) -> list[Sample]:
    with TemporaryDirectory() as folder:
        async with plugged(Path(folder) / "tty") as (pty, port):
            slave = TableSlave(pty, image)
            slave.longest = load_meter(name).device.max_words
            bus = make_bus(port)
            try:
                return list(await MappedMeter(bus, 1, hurried(name)).read())
            finally:
                await bus.close()


def chosen(field: Field, data: st.DataObject) -> list[int]:
    """Patterns of a field and of what is added to it; the energy always has a value, or there is no reading."""
    ends = [p for p in extremes(field) if field.key != ENERGY or field.value(p) is not None]
    return [data.draw(st.sampled_from(ends), label=field.key) for _ in field.addresses]


@pytest.mark.parametrize("name", METERS)
@THOROUGH
@given(data=st.data())
def test_each_field_of_a_meter_is_told_as_its_registers_hold_it(name: str, data: st.DataObject) -> None:
    image: Words = {}
    expected: dict[str, float] = {}
    for field in fields(name):
        patterns = chosen(field, data)
        image.update(placed(field, patterns))
        values = [value for p in patterns if (value := field.value(p)) is not None]
        if len(values) == len(patterns):
            expected[field.key] = sum(values)
    told = {name_of(s): s.value for s in asyncio.run(read_over_a_line(name, image))}
    assert told == {key: pytest.approx(value, rel=1e-9, abs=1e-300) for key, value in expected.items()}


SILENT = [
    name for name in METERS for f in fields(name) if f.key == ENERGY and any(f.value(p) is None for p in extremes(f))
]


@pytest.mark.parametrize("name", SILENT)
def test_a_meter_whose_energy_says_nothing_fails(name: str) -> None:
    image: Words = {}
    for field in fields(name):
        nothing = next((p for p in extremes(field) if field.value(p) is None), 0)
        image.update(placed(field, [nothing if field.key == ENERGY else 0] * len(field.addresses)))
    with pytest.raises(DriverError, match="its energy register holds no value"):
        asyncio.run(read_over_a_line(name, image))


@pytest.mark.parametrize("name", METERS)
def test_no_two_fields_of_a_meter_lie_over_each_other(name: str) -> None:
    cells = [cell for field in fields(name) for cell, _ in placed(field, [0] * len(field.addresses))]
    assert len(cells) == len(set(cells))


@pytest.mark.parametrize("name", METERS)
async def test_a_simulated_meter_is_read_back_field_by_field(name: str, tmp_path: Path) -> None:
    unit, port = SimUnit(name, "line", 1), str(tmp_path / "tty")
    plan = SimStation((SimBus("line", port=port, baud=115200),), (SimEvse(1, None, unit),), latency_s=(0.0, 0.0))
    async with SimulatedHardware(plan) as hardware:
        await hardware.do("meter", evse=1, rate_w=7360.0)
        point = hardware.world.points[1]
        bus = make_bus(SerialSettings(port, baud=115200))
        meter = MappedMeter(bus, 1, hurried(name))
        assert meter.map.device.model in await meter.identity()
        async with asyncio.timeout(30):
            while True:  # what a meter shows changes twice a second: compare within one such half
                before = point.shown()
                samples = await MappedMeter(bus, 1, hurried(name)).read()
                if point.shown().tick == before.tick:
                    break
        after = point.shown()
        await bus.close()
    steps = {f.key: 0.0 if f.is_float else abs(f.factor) for f in fields(name)}
    assert {name_of(s) for s in samples} == set(steps)
    for s in samples:
        low, high = (shown.value(s.measurand, s.phase) or 0.0 for shown in (before, after))
        slack = steps[name_of(s)] / 2 + 1e-6 * abs(high) + 1e-9
        assert low - slack <= s.value <= high + slack, name_of(s)


# ---- what was seen on a line

SDM_ENERGY = {"01 04 00 48 00 02 F1 DD": "01 04 04 44 9A 52 25 33 E0"}
ABB_ENERGY = {"01 03 50 00 00 04 55 09": "01 03 08 00 00 00 00 00 BC 61 4E FD 97"}
FRAMES: list[tuple[str, dict[str, str], dict[str, float]]] = [
    (
        "eastron_sdm630",
        {"01 04 00 00 00 02 71 CB": "01 04 04 43 66 33 33 5A FA", **SDM_ENERGY},
        {"Voltage@L1-N": 230.2, ENERGY: 1234567},
    ),
    (
        "eastron_sdm630",
        {"01 04 00 34 00 02 30 05": "01 04 04 45 E6 00 00 0F 7F", **SDM_ENERGY},
        {"Power.Active.Import": 7360, ENERGY: 1234567},
    ),
    ("eastron_sdm120", SDM_ENERGY, {ENERGY: 1234567}),
    ("abb_b23", ABB_ENERGY, {ENERGY: 123456780}),
]


@pytest.mark.parametrize(("name", "record", "values"), FRAMES)
async def test_recorded_frames_are_asked_for_and_understood(
    name: str, record: dict[str, str], values: dict[str, float], tmp_path: Path
) -> None:
    top = tomli.loads((MAPS / "meter" / f"{name}.toml").read_text("utf-8"))
    few = {**top, "max_gap": 0, "registers": {key: top["registers"][key] for key in values}}
    async with plugged(tmp_path / "tty") as (pty, port):
        slave = Recorded(pty, record)
        bus = make_bus(port)
        samples = await MappedMeter(bus, 1, parse_meter("few.toml", few)).read()
        await bus.close()
    assert slave.unknown == []
    assert {name_of(s): s.value for s in samples} == {key: pytest.approx(v, rel=1e-7) for key, v in values.items()}


def test_an_sdm72_of_the_first_version_is_asked_for_what_it_measures_only() -> None:
    found = load_meter("eastron_sdm72d")
    asked = [(read.at, read.count) for read in (*found.fast, *found.slow)]
    assert asked == [(0x34, 2), (0x48, 4)]


async def test_the_recorded_meter_code_of_an_sdm72_is_known(tmp_path: Path) -> None:
    top = tomli.loads((MAPS / "meter" / "eastron_sdm72d_v2.toml").read_text("utf-8"))
    top["identify"] = {"meter code": top["identify"]["meter code"]}
    async with plugged(tmp_path / "tty") as (pty, port):
        Recorded(pty, {"01 03 FC 02 00 01 15 9A": "01 03 02 00 89 79 E2"})
        bus = make_bus(port)
        assert (await MappedMeter(bus, 1, parse_meter("few.toml", top)).identity()).endswith("meter code 137")
        await bus.close()


# ---- controllers


def laid(row: Row, value: int) -> Words:
    """A register value in place; of a bit row that bit in a word of other bits."""
    if row.bit is not None:
        return {(row.table, row.at): value << row.bit | 0x5A5A & ~(1 << row.bit)}
    words = [value >> shift & 0xFFFF for shift in range(16 * (row.words - 1), -1, -16)]
    return {(row.table, row.at + i): word for i, word in enumerate(words[::-1] if row.little else words)}


async def seen(name: str, images: Sequence[Words], path: Path) -> list[tuple[Pilot, tuple[Fault, ...], bool | None]]:
    found = []
    async with plugged(path) as (pty, port):
        slave = TableSlave(pty, {}, rest=0)
        bus = make_bus(port)
        evse_map = load_evse(name)
        evse = MappedEvse(bus, 1, evse_map._replace(device=evse_map.device._replace(pause_s=0.0)))
        for image in images:
            slave.image = image
            reading = await evse.read()
            found.append((reading.pilot, reading.faults, reading.contactor))
        await bus.close()
    return found


@pytest.mark.parametrize("name", EVSES)
async def test_each_pilot_value_of_a_controller_is_told_over_a_line(name: str, tmp_path: Path) -> None:
    pilot = load_evse(name).pilot
    images = [laid(pilot.row, value) for value in pilot.words]
    found = await seen(name, images, tmp_path / "tty")
    assert [reading[0] for reading in found] == [Pilot(word) for word in pilot.words.values()]


@pytest.mark.parametrize("name", EVSES)
async def test_a_pilot_value_that_no_map_names_is_a_fault_and_never_a(name: str, tmp_path: Path) -> None:
    pilot = load_evse(name).pilot
    width = 1 if pilot.row.type == "bit" or pilot.row.bit is not None else 16 * pilot.row.words
    mask = mask_of(name, "pilot")
    unnamed = [v for v in (0, 1, 99, 0x7FFF, 0xFFFF) if v < 1 << width and v & mask not in pilot.words]
    found = await seen(name, [laid(pilot.row, value) for value in unnamed], tmp_path / "tty")
    assert all(p is Pilot.UNKNOWN and Fault.PILOT in faults for p, faults, _ in found)


CONTACTORS = {name: flag for name in EVSES if (flag := load_evse(name).contactor)}


@pytest.mark.parametrize("name", CONTACTORS)
async def test_each_value_that_a_controller_has_for_closed_is_told_over_a_line(name: str, tmp_path: Path) -> None:
    flag = CONTACTORS[name]
    values = flag.values or (mask_of(name, "contactor") & 0x7FFF,)
    found = await seen(name, [laid(flag.row, value) for value in values], tmp_path / "tty")
    assert [closed for _, _, closed in found] == [True] * len(values)


async def test_the_recorded_order_of_an_evse_wb_is_what_goes_over_the_line(tmp_path: Path) -> None:
    order = "01 06 03 E8 00 10 08 76"
    async with plugged(tmp_path / "tty") as (pty, port):
        slave = Recorded(pty, {order: order})
        bus = make_bus(port)
        await MappedEvse(bus, 1, "evse_wb").offer(16.9)
        await bus.close()
    assert slave.unknown == []
