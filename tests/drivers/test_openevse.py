"""An OpenEVSE by RAPI on a real pseudo-terminal, with a board behind it that was written apart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.api import DriverError, EvseController, Fault, Guard, Pilot, gap
from drivers.evse import openevse
from drivers.evse.openevse import OpenEvse
from drivers.evse.rapi import Lines, line
from drivers.registry import find
from drivers.simulated.charging_point import ChargingPoint
from drivers.simulated.hardware import SimulatedHardware
from drivers.simulated.plan import SimEvse, SimStation
from drivers.simulated.rapi import SENSES, RapiBoard
from drivers.simulated.world import World
from tests.drivers.bus_helpers import until


class Rig:
    """The board, its charging point, and the driver on its port."""

    def __init__(self, folder: Path, watchdog_s: float = 3.0) -> None:
        self.world = World(SimStation((), (SimEvse(1),)))
        self.start_s = asyncio.get_running_loop().time()
        self.board = RapiBoard(str(folder / "ttyRAPI"), self.point, self.now)
        self.evse = OpenEvse(str(folder / "ttyRAPI"), watchdog_s=watchdog_s)

    @property
    def point(self) -> ChargingPoint:
        return self.world.points[1]

    def now(self) -> None:
        self.world.advance(asyncio.get_running_loop().time() - self.start_s)

    async def pilot(self, wanted: Pilot) -> None:
        async with asyncio.timeout(10):
            while (await self.evse.read()).pilot is not wanted:  # noqa: ASYNC110  (nobody tells)
                await asyncio.sleep(0.05)

    async def charge(self, current_a: float = 16.0) -> None:
        self.point.plug_in("auto")
        await self.evse.offer(current_a)
        await self.pilot(Pilot.C)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path)
    rig.board.open()
    yield rig
    await rig.evse.close()
    rig.board.close()


# ---- the language


@pytest.mark.parametrize("sent", [b"$GS^30\r", b"$GE^26\r", b"$FS^31\r", b"$FE^27\r", b"$SC 16 V^65\r", b"$OK 16^07\r"])
def test_a_line_bears_the_check_that_the_board_expects(sent: bytes) -> None:
    assert line(sent[1 : sent.index(b"^")].decode()) == sent


@given(st.lists(st.integers(1, 9), max_size=5))
def test_lines_are_put_together_from_pieces(cuts: list[int]) -> None:
    data, lines, found = line("OK 01 0 01 0000") + b"\n" + line("AT 01 01 16 0000"), Lines(), []
    for cut in [*cuts, len(data)]:
        found += lines.feed(data[:cut])
        data = data[cut:]
    assert found == [["$OK", "01", "0", "01", "0000"], ["$AT", "01", "01", "16", "0000"]]


@given(st.binary(max_size=200))
def test_noise_is_no_answer_and_takes_no_room(noise: bytes) -> None:
    lines = Lines()
    assert lines.feed(noise + b"$OK 16^08\r") == []
    assert lines.feed(b"\r" + line("OK")) == [["$OK"]]


# ---- the driver


async def test_it_is_found_by_its_name_and_is_a_controller(rig: Rig) -> None:
    assert find("openevse") is OpenEvse
    assert isinstance(rig.evse, EvseController)


async def test_a_car_comes_charges_pauses_and_goes(rig: Rig) -> None:
    await rig.pilot(Pilot.A)
    await rig.charge()
    reading = await rig.evse.read()
    assert (reading.offered_a, reading.faults, rig.point.controller.pwm_a) == (16.0, (), 16.0)
    await rig.evse.offer(0.0)
    assert ((await rig.evse.read()).offered_a, rig.point.controller.pwm_a) == (0.0, 0.0)
    rig.point.unplug_car()
    await rig.pilot(Pilot.A)


@pytest.mark.parametrize(
    ("wanted_a", "held_a"), [(5.99, 0.0), (float("nan"), 0.0), (6.0, 6.0), (13.7, 13.0), (500.0, 32.0)]
)
async def test_an_order_is_clamped_and_rounded_down(rig: Rig, wanted_a: float, held_a: float) -> None:
    await rig.evse.offer(wanted_a)
    assert ((await rig.evse.read()).offered_a, rig.point.controller.order_a) == (held_a, held_a)


@pytest.mark.parametrize("fault", SENSES)
async def test_a_fault_comes_and_goes(rig: Rig, fault: Fault) -> None:
    rig.point.fault(fault, True)
    assert fault in (await rig.evse.read()).faults
    rig.point.fault(fault, False)
    assert (await rig.evse.read()).faults == ()


async def test_a_state_that_nobody_named_is_a_fault_and_never_a(rig: Rig) -> None:
    rig.point.force("E")
    reading = await rig.evse.read()
    assert (reading.pilot, reading.faults) == (Pilot.UNKNOWN, (Fault.PILOT,))


async def test_the_heartbeat_is_set_before_power_is_given(rig: Rig) -> None:
    await rig.evse.offer(16.0)
    assert rig.board.asked == ["SY 3 6", "SC 16 V", "FE"]


async def test_power_is_withheld_without_a_word_before(rig: Rig) -> None:
    await rig.evse.offer(0.0)
    assert rig.board.asked == ["FS"]


async def test_a_master_that_is_gone_leaves_what_was_said(rig: Rig) -> None:
    await rig.charge()
    guard = rig.evse.guard()
    assert guard == Guard(3.0, 6.0)
    assert gap(guard) is None
    rig.world.advance(rig.world.now_s + guard.timeout_s + 0.1)
    assert rig.point.controller.order_a == guard.current_a


async def test_what_the_board_lost_is_seen_and_can_be_ordered_again(rig: Rig) -> None:
    await rig.charge()
    rig.world.advance(rig.world.now_s + 3.1)
    assert (await rig.evse.read()).offered_a == 6.0
    await rig.evse.offer(16.0)
    assert (await rig.evse.read()).offered_a == 16.0


async def test_a_board_that_has_booted_is_supervised_again(rig: Rig) -> None:
    await rig.charge()
    rig.board.reboot()
    await rig.evse.read()
    assert (await rig.evse.read()).offered_a == 0.0
    assert rig.point.controller.watchdog_s == 3.0


async def test_lines_that_nobody_asked_for_are_no_answers(rig: Rig) -> None:
    await rig.evse.read()
    rig.board.say("AT 01 01 16 0000")
    rig.board.say("AN 0")
    assert (await rig.evse.read()).pilot is Pilot.A


@pytest.mark.parametrize(("mode", "why"), [("timeout", "no answer"), ("garbage", "garbled")])
async def test_a_silent_or_garbling_board_is_one_error(rig: Rig, mode: str, why: str) -> None:
    rig.board.mode = mode
    with pytest.raises(DriverError, match=why):
        await rig.evse.read()
    rig.board.mode = "ok"
    assert (await rig.evse.read()).pilot is Pilot.A


# ---- what a line may do to an answer


Says = Callable[[bytes], None]
FAULTS: dict[str, Callable[[Says, bytes, bytes], None]] = {  # how to say, the answer, and the question that it is for
    "check wrong": lambda say, answer, asked: say(answer[:-2] + b"!\r"),
    "one bit flipped": lambda say, answer, asked: say(answer[:4] + bytes([answer[4] ^ 0x04]) + answer[5:]),
    "silence": lambda say, answer, asked: None,
    "refused": lambda say, answer, asked: say(line("NK")),
    "short answer": lambda say, answer, asked: say(line("OK 01")),
    "no words": lambda say, answer, asked: say(line("OK")),
    "cut short": lambda say, answer, asked: say(answer[: len(answer) // 2]),
    "echo before the answer": lambda say, answer, asked: say(asked + answer),
    "echo and no answer": lambda say, answer, asked: say(asked),
    "noise before the answer": lambda say, answer, asked: say(b"\x00\xff$O" + answer),
    "said twice": lambda say, answer, asked: say(answer + answer),
    "news in between": lambda say, answer, asked: say(line("AT 03 03 16 0000") + answer),
    "late": lambda say, answer, asked: later(0.12, say, answer),
}


def later(delay_s: float, say: Says, answer: bytes) -> None:
    asyncio.get_running_loop().call_later(delay_s, say, answer)


@pytest.mark.parametrize("struck", ["GS", "GE"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_no_fault_of_the_line_makes_it_tell_what_is_not_so(
    rig: Rig, fault: str, struck: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openevse, "TIMEOUT_S", 0.08)
    monkeypatch.setattr(openevse, "REST_S", 0.1)
    say, todo = rig.board._port.write, [fault]

    def said(answer: bytes) -> None:
        asked = rig.board.asked[-1]
        if todo and asked == struck:
            FAULTS[todo.pop()](say, answer, line(asked))
        else:
            say(answer)

    async def told() -> tuple[Pilot, float | None, tuple[Fault, ...]] | None:
        try:
            reading = await rig.evse.read()
        except DriverError:
            return None
        return reading.pilot, reading.offered_a, reading.faults

    await rig.evse.offer(16.0)
    assert await told() == (Pilot.A, 16.0, ())
    monkeypatch.setattr(rig.board._port, "write", said)
    rig.point.plug_in("hold")
    assert await told() in (None, (Pilot.B, 16.0, ()))
    assert todo == []
    rig.point.unplug_car()
    async with asyncio.timeout(5):
        while (now := await told()) != (Pilot.A, 16.0, ()):
            assert now is None


async def test_an_unknown_port_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="cannot be opened"):
        await OpenEvse(str(tmp_path / "nothing")).read()


async def test_a_port_that_comes_back_is_opened_again(rig: Rig) -> None:
    await rig.charge()
    rig.board.close()
    with pytest.raises(DriverError):
        await rig.evse.read()
    rig.board.open()
    await until(lambda: Path(rig.board.path).exists())
    assert (await rig.evse.read()).pilot in (Pilot.B, Pilot.C)


async def test_it_says_who_it_is(rig: Rig) -> None:
    assert await rig.evse.identity() == "OpenEVSE 8.2.1 5.1.0"


async def test_the_simulated_charger_has_it_at_its_port(tmp_path: Path) -> None:
    port = str(tmp_path / "ttyRAPI")
    async with SimulatedHardware(SimStation((), (SimEvse(1, rapi_port=port),))) as hw:
        evse = OpenEvse(port)
        await hw.do("plug-in", evse=1)
        await evse.offer(10.0)
        await hw.wait("contactor", "closed", evse=1, timeout_s=8)
        await evse.close()


# ---- waking


async def test_a_sleeping_car_is_woken_by_a_moment_of_state_f(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openevse, "WAKE_S", 0.3)
    rig.point.plug_in("hold")
    await rig.evse.offer(16.0)
    await rig.pilot(Pilot.B)
    assert await rig.evse.wake()
    reading = await rig.evse.read()
    assert rig.point.pilot == "F"
    assert (reading.pilot, reading.offered_a, reading.faults) == (Pilot.B, 16.0, ())
    await asyncio.sleep(0.3)
    await rig.evse.read()
    assert rig.point.pilot == "B"
    assert rig.board.asked.count("FD") == 1


async def test_a_pause_ends_the_waking_at_once(rig: Rig) -> None:
    rig.point.plug_in("hold")
    await rig.evse.offer(16.0)
    await rig.pilot(Pilot.B)
    await rig.evse.wake()
    await rig.evse.offer(0.0)
    assert (await rig.evse.read()).offered_a == 0.0
    assert rig.point.pilot == "B"


async def test_a_car_that_charges_or_has_no_offer_is_not_woken(rig: Rig) -> None:
    assert await rig.evse.wake() is False
    await rig.charge()
    assert await rig.evse.wake() is False
    assert "FD" not in rig.board.asked
