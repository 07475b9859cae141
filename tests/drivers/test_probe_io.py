"""An IO board on the bench: each channel beside its register, nonsense flagged, and nothing written."""

from __future__ import annotations

import pytest

from drivers.bus import Bus, Policy, SerialSettings
from drivers.io.iomap import IoMap, load_io
from drivers.probe.judge import odd_channels
from drivers.probe.table import Value, io_rows, read_io
from drivers.regmap import map_names
from tests.drivers.register_wire import RegisterWire
from tests.drivers.virtual_time import run


def looked_at(found: IoMap, wire: RegisterWire) -> dict[str, Value]:
    async def main() -> list[Value]:
        return await read_io(Bus(wire, SerialSettings("/dev/ttyS1"), Policy(retries=0)), 1, found)

    return {value.row.key: value for value in run(main())}


@pytest.mark.parametrize("name", map_names("io"))
def test_each_channel_of_each_board_is_read_alone_by_its_name_and_nothing_is_written(name: str) -> None:
    found, wire = load_io(name), RegisterWire()
    for place, row in enumerate(io_rows(found)):
        wire.tables[row.table][row.at] = place % 2
    values = looked_at(found, wire)
    channels = [n for part in (found.outputs, found.inputs, found.analog) if part for n in part.numbers]
    assert len([key for key in values if key.rpartition(" ")[0] in ("output", "input", "analogue input")]) == len(
        channels
    )
    assert list(odd_channels(list(values.values()))) == []
    assert wire.writes == []


def test_a_relay_is_told_where_it_is_read_back() -> None:
    found, wire = load_io("wago_750"), RegisterWire()
    wire.tables["coil"] |= {0: 1, 512: 0, 515: 1}
    on = [key for key, value in looked_at(found, wire).items() if key.startswith("output") and value.value]
    assert on == ["output 3"]


def test_what_a_board_does_without_a_master_is_told_too() -> None:
    found, wire = load_io("icpdas_tm"), RegisterWire()
    wire.tables["holding"][488] = 30
    wire.tables["coil"][129] = 1
    values = looked_at(found, wire)
    assert values["watchdog"].shown == "3 s"
    assert values["safe value of output 1"].value == 1


@pytest.mark.parametrize(("word", "odd"), [(0, []), (1, []), (0x0701, []), (0x0102, ["output 1"]), (230, ["output 1"])])
def test_an_output_that_is_neither_on_nor_off_is_flagged(word: int, odd: list[str]) -> None:
    found, wire = load_io("r421a08"), RegisterWire()
    wire.tables["holding"][1] = word
    assert [finding.key for finding in odd_channels(list(looked_at(found, wire).values()))] == odd


def test_volts_that_no_input_measures_are_flagged() -> None:
    found, wire = load_io("wago_750_analog"), RegisterWire()
    assert found.analog is not None
    wrong = found._replace(analog=found.analog._replace(row=found.analog.row._replace(multiply=1.0, divide=1.0)))
    wire.tables["input"][0] = 0x4000
    assert [finding.key for finding in odd_channels(list(looked_at(wrong, wire).values()))] == ["analogue input 0"]


def test_a_channel_that_is_refused_hides_no_other() -> None:
    found, wire = load_io("lc_relay_8"), RegisterWire()
    wire.fails = lambda function, address: "refused" if function == 2 else None
    values = looked_at(found, wire)
    assert {value.why for key, value in values.items() if key.startswith("input")} == {"has no such register"}
    assert values["output 1"].value == 0
