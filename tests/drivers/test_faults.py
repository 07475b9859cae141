"""No fault of a line makes a driver tell what is not so: each kind of driver against each fault of `faults`."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest

from agent.blocks.metering import MARGIN_WH
from drivers.api import DriverError, EvseReading, Measurand, Sample
from drivers.bus import Bus
from drivers.composed import ComposedEvse, Contactor
from drivers.evse.etek import EtekEpc
from drivers.evse.innogy import InnogyEbox
from drivers.evse.smartevse import EdgetechSmartEvse
from drivers.io.channel import Channel
from drivers.io.mapped import MappedIo
from drivers.mapped_evse import MappedEvse
from drivers.mapped_meter import MappedMeter
from drivers.probe.judge import judge
from drivers.probe.table import Samples
from drivers.record import replace
from drivers.registers import encode, put
from drivers.regmap import ENERGY, load_meter, map_names
from drivers.signed.wm3m4 import Wm3m4
from drivers.wire import make_bus
from tests.drivers.bus_helpers import line
from tests.drivers.faults import FAULTS, HASTY, UNIT, Bank, Subject, every_fault, never_lies

# ---- the bus itself


def counted(first: int) -> Bank:
    return {address: first + address for address in range(40)}


async def ten(bus: Bus) -> list[int]:
    return await bus.read(UNIT, "holding", 5, 10)


async def one(bus: Bus) -> list[int]:
    return await bus.read(UNIT, "input", 5, 1)


@every_fault
@pytest.mark.parametrize("ask", [ten, one])
async def test_a_read_gives_what_is_there_or_fails(
    ask: Callable[[Bus], Awaitable[list[int]]], fault: str, tmp_path: Path
) -> None:
    moments = (counted(1000), counted(2000), counted(3000))
    await never_lies(Subject(lambda bus: bus, ask, moments), fault, tmp_path)


# ---- meters


def meter_bank(name: str, load: float) -> Bank:
    """A meter that charges a car with `load` times 16 A; the more load, the more energy it has counted."""
    found = load_meter(name)
    bank = {read.at + k: 0 for read in (*found.fast, *found.slow) for k in range(read.count)}
    for r in found.registers:
        for row in (r.row, *r.plus):
            put(bank, row, encode(row, _shown(r.measurand.value, load)))
    return bank


def _shown(measurand: str, load: float) -> float:
    return next(value(load) for head, value in SHOWN if measurand.startswith(head))


SHOWN: tuple[tuple[str, Callable[[float], float]], ...] = (
    ("Voltage", lambda load: 230.0 + 4 * load),
    ("Frequency", lambda load: 49.0 + load),
    ("Current", lambda load: 16.0 * load),
    ("Power.Factor", lambda load: 1.0 - load / 10),
    ("Power.", lambda load: 3600.0 * load),
    ("Temperature", lambda load: 20.0 + load),
    ("Energy.", lambda load: 1_234_560.0 * load),
)


def told_of(told: Sequence[Sample], truth: Sequence[Sample]) -> bool:
    """Slow values are not in every poll."""
    return set(told) <= set(truth) and any(s.measurand == ENERGY and s.phase is None for s in told)


def quick(name: str) -> Callable[[Bus], MappedMeter]:
    """The meter without the pause that it wants: the bus keeps it, and is tested for that."""
    plain = load_meter(name)
    without = plain._replace(device=plain.device._replace(pause_s=0.0))
    return lambda bus: MappedMeter(bus, UNIT, without)


def meter(name: str) -> Subject:
    moments = (meter_bank(name, 0.5), meter_bank(name, 0.75), meter_bank(name, 1.0))
    return Subject(quick(name), MappedMeter.read, moments, told_of)


@every_fault
@pytest.mark.parametrize("name", ["carlo_gavazzi_em340", "orno_we504"])
async def test_a_mapped_meter_tells_the_truth_or_fails(name: str, fault: str, tmp_path: Path) -> None:
    await never_lies(meter(name), fault, tmp_path)


# ---- controllers


def board(pilot: int, cable: int, offer: int) -> Bank:
    return {**dict.fromkeys(range(16, 33), 0), 16: pilot, 18: cable, 28: offer}


@every_fault
async def test_a_mapped_controller_tells_the_truth_or_fails(fault: str, tmp_path: Path) -> None:
    moments = (board(1, 0, 0), board(2, 320, 160), board(3, 200, 100))
    await never_lies(Subject(lambda bus: MappedEvse(bus, UNIT, "reference"), MappedEvse.read, moments), fault, tmp_path)


@every_fault
async def test_an_order_that_is_not_an_error_was_taken(fault: str, tmp_path: Path) -> None:
    async with line(tmp_path / "tty", {UNIT: board(2, 320, 0)}) as (_, slave, settings):
        bus = make_bus(settings, HASTY)
        evse = MappedEvse(bus, UNIT, "reference")
        slave.misdeeds = [FAULTS[fault]]
        try:
            await evse.offer(16.0)
        except DriverError:
            pass
        else:
            assert slave.words[UNIT][28] == 160
        finally:
            await bus.close()


# ---- controllers with a page of their own: an order and a look


FEW = ("bad crc", "silence", "no such register", "short answer", "echo before the answer", "echo and no answer")


async def obeyed(evse: MappedEvse) -> EvseReading:
    await evse.offer(10.0)
    return await evse.read()


def advertising(state: int) -> Bank:
    return {0x0102: 0, 0x0103: state, 0x0104: 20, 0x0201: 0}


def box(state: bytes) -> Bank:
    return dict.fromkeys(range(1012, 1018), 0) | {275: int.from_bytes(state, "big")}


@pytest.mark.parametrize("fault", [*FEW, "late by more"])
async def test_an_ebox_tells_the_truth_or_fails(fault: str, tmp_path: Path) -> None:
    moments = (box(b"A1"), box(b"B2"), box(b"C2"))
    await never_lies(Subject(lambda bus: InnogyEbox(bus, UNIT), obeyed, moments), fault, tmp_path)


@pytest.mark.parametrize("fault", [*FEW, "late by more"])
async def test_a_smartevse_tells_the_truth_or_fails(fault: str, tmp_path: Path) -> None:
    moments = (advertising(1), advertising(2), advertising(3))
    await never_lies(Subject(lambda bus: EdgetechSmartEvse(bus, UNIT), obeyed, moments), fault, tmp_path)


def stopped(volts: int) -> Bank:
    return {141: 19, 152: 0, 153: volts, 109: 2666, 89: 2}


@pytest.mark.parametrize("fault", [*FEW, "late by more"])
async def test_an_etek_tells_the_truth_or_fails(fault: str, tmp_path: Path) -> None:
    moments = (stopped(0), stopped(900), stopped(600))
    await never_lies(Subject(lambda bus: EtekEpc(bus, UNIT), obeyed, moments), fault, tmp_path)


# ---- IO boards


def relays(on: int, mode: int = 0) -> Bank:
    """Outputs and inputs alike, with what their watchdog and settings hold."""
    return {**{k: on >> k & 1 for k in range(8)}, **{0x1000 + k: mode for k in range(8)}}


@every_fault
async def test_an_io_board_tells_the_truth_or_fails(fault: str, tmp_path: Path) -> None:
    moments = (relays(0b0000_0001), relays(0b1100_0010), relays(0b0011_0100))
    subject = Subject(lambda bus: MappedIo(bus, UNIT, "waveshare_relay_8_d"), MappedIo.read, moments)
    await never_lies(subject, fault, tmp_path)


@every_fault
@pytest.mark.parametrize("on", [True, False])
async def test_a_relay_that_was_switched_without_an_error_is_switched(on: bool, fault: str, tmp_path: Path) -> None:
    async with line(tmp_path / "tty", {UNIT: relays(0 if on else 0xFF)}) as (_, slave, settings):
        bus = make_bus(settings, HASTY)
        slave.misdeeds = [FAULTS[fault]]
        try:
            await MappedIo(bus, UNIT, "waveshare_relay_8_d").set(3, on)
        except DriverError:
            pass
        else:
            assert slave.words[UNIT][2] == (0xFF00 if on else 0)
        finally:
            await bus.close()


# ---- controllers made of parts


def composed(bus: Bus) -> ComposedEvse:
    """Pilot and IO board as one unit, whose registers lie apart."""
    io = MappedIo(bus, UNIT, "waveshare_relay_8_d")
    return ComposedEvse(MappedEvse(bus, UNIT, "reference"), Contactor(Channel(io, 1, "coil"), Channel(io, 1, "mirror")))


@every_fault
async def test_a_composed_controller_tells_the_truth_or_fails(fault: str, tmp_path: Path) -> None:
    moments = (board(1, 0, 0) | relays(0), board(2, 320, 0) | relays(0), board(3, 200, 0) | relays(0))
    await never_lies(Subject(composed, ComposedEvse.read, moments), fault, tmp_path)


# ---- meters that sign: what they measure


def packed(exponent: int, mantissa: int) -> list[int]:
    return [(exponent & 0xFF) << 8 | mantissa >> 16 & 0xFF, mantissa & 0xFFFF]


def wm3m4(load: int) -> Bank:
    bank = dict.fromkeys([*range(105, 132), *range(140, 172), *range(414, 422)], 0)
    for at in (*range(107, 113, 2), *range(118, 124, 2), *range(126, 132, 2), *range(140, 164, 2)):
        bank.update(zip((at, at + 1), packed(-2, 1000 * load + at), strict=True))
    return bank | {414: 1, 415: 1, 419: 20_000 + load, 421: load}


@every_fault
async def test_a_signing_meter_tells_the_truth_or_fails(fault: str, tmp_path: Path) -> None:
    subject = Subject(lambda bus: Wm3m4(bus, UNIT), Wm3m4.read, (wm3m4(3), wm3m4(5), wm3m4(7)))
    await never_lies(subject, fault, tmp_path)


# ---- words in the wrong order, which no check of a frame can tell: physics does, on the bench


def swapped(name: str, load: float) -> Bank:
    """As `meter_bank`, by a meter that was set to the other order of words."""
    bank = meter_bank(name, load)
    for r in load_meter(name).registers:
        for row in (r.row, *r.plus):
            if row.words > 1:
                words = [bank[row.at + k] for k in range(row.words)]
                bank.update({row.at + k: word for k, word in enumerate(reversed(words))})
    return bank


async def polled(name: str, folder: Path, banks: Sequence[Bank]) -> list[Samples]:
    async with line(folder / "tty", {UNIT: {}}) as (_, slave, settings):
        bus = make_bus(replace(settings, baud=115200))
        driver, polls = quick(name)(bus), []
        for bank in banks:
            slave.words[UNIT] = bank
            polls.append({(s.measurand, s.phase): s.value for s in await driver.read()})
        await bus.close()
    return polls


@pytest.mark.parametrize("name", map_names("meter"))
async def test_a_meter_with_swapped_words_is_found_out(name: str, tmp_path: Path) -> None:
    before, now = await polled(name, tmp_path, [swapped(name, 0.5), swapped(name, 0.5001)])  # 120 Wh in a minute
    assert judge(now, before, span_s=60.0)


@pytest.mark.parametrize("name", map_names("meter"))
async def test_one_answer_with_swapped_words_is_not_believed_in_a_transaction(name: str, tmp_path: Path) -> None:
    right, wrong = await polled(name, tmp_path, [meter_bank(name, 0.5), swapped(name, 0.5)])
    energy = (Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, None)
    assert not -0.5 <= wrong[energy] - right[energy] <= MARGIN_WH  # then `Metering` takes nothing of the whole poll


# ---- the kit itself


@contextlib.contextmanager
def untrue() -> Iterator[None]:
    """Some stroke was found out."""
    with pytest.raises(ExceptionGroup) as told:
        yield
    assert "is true" in str(told.value.exceptions[0])


class Stubborn:
    """A driver that tells its last value when it has none."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._last: list[int] = []

    async def ask(self) -> list[int]:
        with contextlib.suppress(DriverError):
            self._last = await ten(self._bus)
        return self._last


async def test_a_driver_that_hides_a_fault_is_found_out(tmp_path: Path) -> None:
    moments = (counted(1000), counted(2000), counted(3000))
    with untrue():
        await never_lies(Subject(Stubborn, Stubborn.ask, moments), "silence", tmp_path)


async def test_a_line_without_a_quarantine_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.drivers.faults.HASTY", replace(HASTY, quarantine_s=0.0))
    moments = (counted(1000), counted(2000), counted(3000))
    with untrue():
        await never_lies(Subject(lambda bus: bus, ten, moments), "late by a little", tmp_path)
