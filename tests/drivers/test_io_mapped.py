"""IO boards as maps: what is written when, read back, renewed; every shipped map; mistakes in a map."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import tomli

from drivers.api import DigitalIo, DriverError
from drivers.bus import Bus, Policy, SerialSettings
from drivers.io.iomap import load_io, parse_io
from drivers.io.mapped import MappedIo
from drivers.mapfile import MapError
from drivers.regmap import map_names
from tests.drivers.register_wire import RegisterWire
from tests.drivers.virtual_time import run

Scene = Callable[[MappedIo, RegisterWire, Bus], Coroutine[Any, Any, None]]


def play(scene: Scene, name: str, **options: Any) -> None:
    async def main() -> None:
        wire = RegisterWire()
        bus = Bus(wire, SerialSettings("/dev/ttyS1"), Policy(retries=0))
        await scene(MappedIo(bus, 1, name, **options), wire, bus)

    run(main())


@pytest.mark.parametrize("name", map_names("io"))
def test_every_shipped_map_switches_its_first_and_last_output(name: str) -> None:
    async def scene(board: MappedIo, wire: RegisterWire, bus: Bus) -> None:
        outputs = board.map.outputs
        assert isinstance(board, DigitalIo)
        assert outputs is not None
        wire.tables["holding"] |= dict.fromkeys(range(16), 0)
        for output in (outputs.numbers[0], outputs.numbers[-1]):
            await board.set(output, True)
            at = outputs.row.at + output - outputs.numbers.start
            assert wire.writes[-1][0] == at
            wire.tables[outputs.row.table][outputs.readback + output - outputs.numbers.start] = 1
            assert (await board.read()).outputs[output]

    play(scene, name)


def test_the_watchdog_and_safe_values_are_written_before_an_output_is_switched_on() -> None:
    async def scene(board: MappedIo, wire: RegisterWire, bus: Bus) -> None:
        wire.tables["coil"] |= {128: 1, 130: 1}
        await board.set(0, True)
        assert wire.writes == [(269, [1]), (128, [0]), (130, [0]), (488, [30]), (260, [1]), (0, [1])]

    play(scene, "icpdas_tm")


def test_what_wears_is_written_only_where_it_differs() -> None:
    async def scene(board: MappedIo, wire: RegisterWire, bus: Bus) -> None:
        wire.tables["holding"][257] = 30
        await board.set(0, True)
        assert wire.writes == [(0, [1])]

    play(scene, "icpdas_et7060")


def test_safe_values_that_were_wrong_are_saved_by_their_own_coil() -> None:
    async def scene(board: MappedIo, wire: RegisterWire, bus: Bus) -> None:
        wire.tables["coil"][516] = 1
        await board.set(0, True)
        assert wire.writes[:2] == [(516, [0]), (432, [1])]

    play(scene, "icpdas_et7060")


def test_switching_off_comes_before_everything_else() -> None:
    async def scene(board: MappedIo, wire: RegisterWire, bus: Bus) -> None:
        await board.set(0, False)
        assert wire.writes[0] == (0, [0])
        assert (0x1000, [20]) in wire.writes

    play(scene, "wago_750")


def test_outputs_of_a_wago_coupler_are_read_back_where_they_are() -> None:
    async def scene(board: MappedIo, wire: RegisterWire, bus: Bus) -> None:
        wire.tables["coil"] |= {0: 1, 513: 1}
        assert [n for n, on in (await board.read()).outputs.items() if on] == [1]

    play(scene, "wago_750")


def test_a_board_that_forgot_its_outputs_has_its_watchdog_written_anew() -> None:
    async def scene(board: MappedIo, wire: RegisterWire, bus: Bus) -> None:
        await board.set(1, True)
        wire.writes.clear()
        wire.tables["coil"][1] = 0
        wire.tables["holding"][488] = 0
        await board.read()
        assert (488, [30]) in wire.writes
        assert (1, [1]) not in wire.writes  # whoever ordered it decides

    play(scene, "icpdas_tm")


def test_a_board_that_was_silent_has_its_watchdog_written_anew() -> None:
    async def scene(board: MappedIo, wire: RegisterWire, bus: Bus) -> None:
        await board.set(1, True)
        await board.read()
        wire.writes.clear()
        wire.fails = lambda function, address: "timeout"
        with pytest.raises(DriverError):
            await board.read()
        wire.fails = lambda function, address: None
        await asyncio.sleep(5)
        await board.read()
        assert (260, [1]) in wire.writes

    play(scene, "icpdas_tm")


def test_a_watchdog_of_another_length_is_what_the_configuration_says() -> None:
    async def scene(board: MappedIo, wire: RegisterWire, bus: Bus) -> None:
        await board.set(0, True)
        assert (488, [15]) in wire.writes

    play(scene, "icpdas_tm", watchdog_s=1.5)


def test_a_relay_of_an_r421a08_is_on_for_a_time_that_is_renewed() -> None:
    async def scene(board: MappedIo, wire: RegisterWire, bus: Bus) -> None:
        await board.set(3, True)
        assert wire.writes == [(3, [0x0602])]
        wire.tables["holding"][3] = 1
        for _ in range(8):
            await asyncio.sleep(0.25)
            await board.read()
            wire.tables["holding"][3] = 1
        assert 2 <= len(wire.writes) <= 5

    play(scene, "r421a08")


def test_a_relay_of_an_r421a08_is_switched_off_by_its_command_word() -> None:
    async def scene(board: MappedIo, wire: RegisterWire, bus: Bus) -> None:
        await board.set(3, True)
        await board.set(3, False)
        assert wire.writes[-1] == (3, [0x0200])
        assert set(wire.functions) == {6}

    play(scene, "r421a08")


def test_status_bits_in_the_high_byte_are_no_relay() -> None:
    async def scene(board: MappedIo, wire: RegisterWire, bus: Bus) -> None:
        wire.tables["holding"] |= {1: 0x0100, 2: 0x0101}
        outputs = (await board.read()).outputs
        assert (outputs[1], outputs[2]) == (False, True)

    play(scene, "r421a08")


def test_analogue_inputs_are_volts() -> None:
    async def scene(board: MappedIo, wire: RegisterWire, bus: Bus) -> None:
        wire.tables["input"][0] = 0x4000
        assert (await board.read()).volts[0] == pytest.approx(5.0, abs=0.001)

    play(scene, "wago_750_analog")


def test_an_output_that_a_board_does_not_have_is_an_error() -> None:
    async def scene(board: MappedIo, wire: RegisterWire, bus: Bus) -> None:
        with pytest.raises(DriverError, match="IO board unit 1: has no output 9"):
            await board.set(9, True)

    play(scene, "waveshare_relay_8")


def test_unit_0_is_refused() -> None:
    with pytest.raises(DriverError, match="unit 0 is for all boards"):
        MappedIo(Bus(RegisterWire(), SerialSettings("/dev/ttyS1")), 0, "lc_relay_8")


def test_only_boards_that_let_go_by_themselves_are_guarded() -> None:
    guarded = {name for name in map_names("io") if load_io(name).guarded}
    assert guarded == {"icpdas_et7060", "icpdas_tm", "r421a08", "wago_750", "wago_750_analog"}


HEAD = 'vendor = "V"\nmodel = "M"\nsource = "S"\n'


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "io/x.toml: [outputs]: missing; a board has [outputs] or [inputs] or both"),
        ("[outputs]\nat = 0", "io/x.toml: [outputs] count: missing; add count = 0x0000"),
        ("[outputs]\nat = 0\ncount = 99", "io/x.toml: [outputs] count: is 99; expected 1..64"),
        (
            '[outputs]\nat = 0\ncount = 8\ntable = "discrete"',
            'io/x.toml: [outputs] table: cannot be written; expected "coil" or "holding"',
        ),
        (
            '[outputs]\nat = 0\ncount = 8\ntable = "holding"',
            "io/x.toml: [outputs] on: and off are the values of a holding register; a coil has none",
        ),
        (
            "[outputs]\nat = 0\ncount = 8\n[safe]\nat = 9",
            "io/x.toml: [watchdog]: missing; [safe] and [start] have no meaning without it",
        ),
        ("[inputs]\nat = 0\ncount = 8\n[oops]", "io/x.toml: oops: is not a word of the map format here"),
    ],
)
def test_a_mistake_in_a_map_is_one_line(text: str, mistake: str) -> None:
    with pytest.raises(MapError) as error:
        parse_io("io/x.toml", tomli.loads(HEAD + text))
    assert str(error.value).startswith(mistake)
