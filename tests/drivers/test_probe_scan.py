"""The search for devices: its order, its economy, and what it makes of noise; wires without a line."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from drivers.api import DriverError
from drivers.bus import READ_FUNCTION, SerialSettings, TcpSettings, WireError
from drivers.mapwords import MeterMap
from drivers.probe.scan import Progress, Result, Scan, Settings, serial_settings
from drivers.probe.shelf import Entry, entries
from drivers.registers import encode

PLACES = serial_settings("/dev/ttyS1", [], [], [], [])


class Line:
    """A line with devices at one speed: unit -> (table, address) -> word. Others hear noise there, or nothing."""

    def __init__(self, at: SerialSettings, units: dict[int, dict[tuple[str, int], int]], noisy: bool = False) -> None:
        self.at, self.units, self.noisy = at, units, noisy
        self.asked: list[tuple[Settings, int]] = []

    def wire(self, settings: Settings) -> LineWire:
        return LineWire(self, settings)


class LineWire:
    """One way to listen to it."""

    def __init__(self, line: Line, settings: Settings) -> None:
        self.name, self.connected = settings.name, True
        self._line, self._settings = line, settings

    async def connect(self, timeout_s: float) -> None:
        return None

    async def drain(self, window_s: float) -> None:
        return None

    def close(self) -> None:
        return None

    async def transact(
        self, unit: int, function: int, address: int, payload: int | Sequence[int], timeout_s: float
    ) -> list[int]:
        assert isinstance(payload, int), "a search never writes"
        table = next(name for name, code in READ_FUNCTION.items() if code == function)
        self._line.asked.append((self._settings, unit))
        if unit not in self._line.units:
            raise WireError("timeout")
        if self._settings != self._line.at:
            raise WireError("garbage" if self._line.noisy else "timeout")
        words = self._line.units[unit]
        if any((table, address + i) not in words for i in range(payload)):
            raise WireError("exception", code=2)
        return [words[table, address + i] for i in range(payload)]


def search(line: Line, units: Sequence[int] = range(1, 248), shelf: Sequence[Entry] = (), **more: Any) -> Result:
    return asyncio.run(Scan(PLACES, units, line.wire, shelf, **more).run())


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The silences between frames are nobody's here."""
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda _s: sleep(0))


@pytest.mark.parametrize("at", PLACES, ids=lambda at: f"{at.baud}{at.parity}{at.stop_bits}")
def test_a_device_is_found_at_whatever_speed_it_talks(at: SerialSettings) -> None:
    found = search(Line(at, {1: {}})).found
    assert [(one.settings, one.unit) for one in found] == [(at, 1)]


def test_the_usual_unit_at_the_usual_speed_is_asked_first() -> None:
    line = Line(PLACES[0], {1: {}})
    search(line)
    assert line.asked[0] == (PLACES[0], 1)
    assert (PLACES[0].baud, PLACES[0].parity) == (9600, "N")


def test_an_exception_is_an_answer() -> None:
    assert [one.unit for one in search(Line(PLACES[0], {7: {}})).found] == [7]


def test_after_a_find_the_search_goes_on_at_that_speed_only() -> None:
    line = Line(PLACES[1], {1: {}, 200: {}})
    assert [one.unit for one in search(line).found] == [1, 200]
    later = [settings for settings, unit in line.asked if unit == 200]
    assert {settings for settings in later if settings != PLACES[1]} <= {PLACES[0]}


def test_everywhere_leaves_no_speed_out() -> None:
    line = Line(PLACES[0], {1: {}})
    search(line, units=range(1, 4), everywhere=True)
    assert {settings for settings, _ in line.asked} == set(PLACES)


def test_noise_at_the_wrong_speed_is_told() -> None:
    result = search(Line(PLACES[4], {1: {}}, noisy=True), units=[1])
    assert [one.settings for one in result.found] == [PLACES[4]]
    assert result.garbled.keys() == {"9600 8N1", "9600 8E1", "19200 8E1", "19200 8N1"}


def test_a_device_is_known_by_its_identification_registers() -> None:
    words = {("holding", 0xFC02): 0x0070, ("holding", 0xFC00): 0, ("holding", 0xFC01): 7}
    [found] = search(Line(PLACES[0], {1: words}), units=[1], shelf=entries()).found
    assert [guess.name for guess in found.guesses if guess.sure] == ["eastron_sdm630"]


class Late(LineWire):
    """Each answer takes its time; one that nobody has waited for is taken for the next one."""

    TAKES_S = 0.65
    stray: list[int] | None = None

    async def drain(self, window_s: float) -> None:
        if window_s >= self.TAKES_S - 0.5:
            self.stray = None

    async def transact(
        self, unit: int, function: int, address: int, payload: int | Sequence[int], timeout_s: float
    ) -> list[int]:
        words, stray = await super().transact(unit, function, address, payload, timeout_s), self.stray
        self.stray = None
        if stray is not None and len(stray) == len(words):
            self.stray = words
            return stray
        if timeout_s < self.TAKES_S:
            self.stray = words
            raise WireError("timeout")
        return words


def test_the_answers_of_a_slow_device_are_not_taken_one_for_another() -> None:
    meter = next(entry for entry in entries() if entry.name == "eastron_sdm220")
    assert isinstance(meter.map, MeterMap)
    line = Line(PLACES[0], {1: {("input", at): 0 for at in range(0x200)} | {("holding", at): 0 for at in range(2)}})
    known = {"Voltage@L1-N": 230.0, "Frequency": 50.0, "Energy.Active.Import.Register": 1_234_000.0}
    for row in (r.row for r in meter.map.registers if r.row.key in known):
        line.units[1] |= {("input", row.at + n): word for n, word in enumerate(encode(row, known[row.key]))}
    scan = Scan(PLACES[:1], [1], lambda settings: Late(line, settings), [meter])
    [found] = asyncio.run(scan.run()).found
    assert [guess.why for guess in found.guesses] == ["230.0 V, 50.00 Hz, 1234.000 kWh"]


def test_a_device_that_no_map_fits_is_told_all_the_same() -> None:
    [found] = search(Line(PLACES[0], {1: {}}), units=[1], shelf=entries()).found
    assert found.guesses == ()


def test_a_peer_that_answers_to_any_unit_is_told_once() -> None:
    words = {(table, at): 0 for table in ("holding", "input") for at in range(4)}
    at: Any = TcpSettings("10.0.0.9")
    line = Line(at, dict.fromkeys(range(256), words))
    result = asyncio.run(Scan([at], range(1, 248), line.wire).run())
    assert [(one.unit, one.any_unit) for one in result.found] == [(1, True)]


def test_a_gateway_that_knows_nobody_behind_it_is_no_device() -> None:
    class Gateway(LineWire):
        async def transact(self, *_: Any) -> list[int]:
            raise WireError("exception", code=11)

    at = TcpSettings("10.0.0.9")
    line = Line(PLACES[0], {})
    assert asyncio.run(Scan([at], [1, 2], lambda settings: Gateway(line, settings)).run()).found == ()


def test_a_port_that_goes_away_ends_the_search_in_plain_words() -> None:
    class Gone(LineWire):
        async def transact(self, *_: Any) -> list[int]:
            raise WireError("closed", "went away")

    line = Line(PLACES[0], {})
    with pytest.raises(DriverError, match=r"^/dev/ttyS1: the port went away$"):
        asyncio.run(Scan(PLACES, [1], lambda settings: Gone(line, settings)).run())


def test_what_is_asked_for_alone_is_tried() -> None:
    tried = serial_settings("/dev/ttyS1", [2400], ["O"], [2], entries())
    assert [(one.baud, one.parity, one.stop_bits) for one in tried] == [(2400, "O", 2)]


def test_the_estimate_holds_for_an_empty_line() -> None:
    line = Line(PLACES[0], {})
    scan = Scan(PLACES, range(1, 11), line.wire, quick_s=0.1)
    _, at_most_s = scan.estimate()
    asyncio.run(scan.run())
    assert len(line.asked) * 0.1 < at_most_s < len(line.asked) * 0.7


def test_what_is_left_shrinks_with_each_step_and_is_never_more_than_was_estimated() -> None:
    told: list[Progress] = []
    scan = Scan(PLACES[:3], range(1, 31), Line(PLACES[0], {}).wire, told=told.append)
    _, at_most_s = scan.estimate()
    asyncio.run(scan.run())
    assert at_most_s + 0.01 >= told[0].left_s
    assert all(later.left_s < sooner.left_s for sooner, later in itertools.pairwise(told))
    assert all(later.done > sooner.done for sooner, later in itertools.pairwise(told))
    assert told[-1].left_s < 1.0, "the last unit at the last speed"


def test_a_find_shortens_what_is_left_to_its_speed() -> None:
    told: list[Progress] = []
    scan = Scan(PLACES, range(1, 31), Line(PLACES[0], {4: {}}).wire, told=told.append)
    asyncio.run(scan.run())
    found = next(place for place, step in enumerate(told) if step.where.endswith("unit 5"))
    assert told[found].left_s < told[found - 1].left_s / 4
    assert {step.where.rpartition(" unit ")[0] for step in told} == {"9600 8N1"}
