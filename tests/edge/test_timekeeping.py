"""Who tells the time late: NTP to the system's clock, before or between two processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.core.security import ClockSet
from agent.core.types import ClockQuality, Instant
from agent.durable import Durable
from agent.errors import StoreError
from agent.timekeeping import Timekeeper
from drivers.api import Pilot
from tests.conformance.csms import epoch
from tests.fuzz.rig import Rig
from tests.simulation.loop import run_virtually

OFFSET_S, JUMP_S = 1_800_000_000.0, 1_799_999_000.0


class Board:
    """A clock that nobody has set, a store that may refuse, and a log."""

    def __init__(self) -> None:
        self.mono, self.synced, self.full = 100.0, False, False
        self.retimed: list[tuple[str, float]] = []
        self.told: list[str] = []
        self.time = Timekeeper(self, Durable(self, self._work, self), self)  # type: ignore[arg-type]

    async def _work(self, call: Callable[[], Any]) -> Any:
        return call()

    def retime(self, boot: str, offset_s: float) -> None:
        if self.full:
            raise StoreError("the disk is full")
        self.retimed.append((boot, offset_s))

    def learn(self, utc: float, mono_at_request: float, mono_at_answer: float) -> float | None:
        return None

    def now(self) -> Instant:
        offset_s = OFFSET_S if self.synced else OFFSET_S - JUMP_S
        quality = ClockQuality.SYNCED if self.synced else ClockQuality.UNKNOWN
        return Instant(self.mono, self.mono + offset_s, quality, "b")

    def info(self, _event: str, message: str = "", /, **_fields: object) -> None:
        self.told.append(message)

    debug = warning = error = info

    async def look(self) -> list[Any]:
        self.mono += 1.0
        return await self.time.look(self.now())


@pytest.fixture
def board() -> Board:
    return Board()


SET = ClockSet(JUMP_S, "the system")


async def test_what_was_written_before_ntp_is_told_with_its_true_time(board: Board) -> None:
    assert await board.look() == []
    board.synced = True
    assert await board.look() == [SET]
    assert await board.look() == []
    assert board.retimed == [("b", OFFSET_S)]
    assert board.told == [f"the clock was set by the system, by {JUMP_S:+.0f} s"]


async def test_what_an_earlier_process_of_this_power_up_wrote_is_told_as_truly(
    board: Board,
) -> None:
    board.synced = True
    assert await board.look() == []
    assert board.retimed == [("b", OFFSET_S)]


async def test_where_nothing_can_have_been_written_nothing_is(board: Board) -> None:
    board.time.settled = board.synced = True
    assert await board.look() == []
    assert board.retimed == []


async def test_a_disk_that_refuses_is_asked_again_and_the_news_is_told_once(board: Board) -> None:
    await board.look()
    board.synced = board.full = True
    assert await board.look() == [SET]
    board.full = False
    assert await board.look() == []
    assert board.retimed == [("b", OFFSET_S)]


class SeenFirst(Rig):
    """Its hardware has been read before it reaches the CSMS, as that of a real charger has."""

    async def connect(self, version: str = "") -> None:
        for evse in (1, 2):
            await self.car(evse, Pilot.A)
        await super().connect(version)


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_a_status_from_before_the_csms_told_the_time_is_told_with_its_true_time(version: str, tmp_path: Path) -> None:
    now, told = "2027-01-15T08:00:00Z", []

    def answer(action: str, payload: dict[str, Any]) -> dict[str, Any]:
        if action == "StatusNotification":
            told.append(epoch(payload["timestamp"]))
        return {"status": "Accepted", "currentTime": now, "interval": 300} if action == "BootNotification" else {}

    async def whole() -> None:
        charger = SeenFirst(version, tmp_path, answer)
        charger.power_up_utc = 0.0  # 1970
        await charger.wake()
        await charger.end()

    run_virtually(whole())
    assert len(told) >= 2
    assert [abs(at - epoch(now)) < 5 for at in told] == [True] * len(told)
