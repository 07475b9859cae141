"""The clock: whom it believes, and when it jumps."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.clock import CREDIBLE_FROM, SYSTEM_CHECK_S, WRITTEN_AT, Clock, boot_id, boottime
from agent.core.types import ClockQuality

NOW = WRITTEN_AT + 1e6  # a plausible UTC


class Board:
    """A board whose clocks stand where the test puts them."""

    def __init__(self, tmp_path: Path, wall: float = NOW, mono: float = 100.0) -> None:
        self.wall, self.mono = wall, mono
        self.ntp_mark = tmp_path / "synchronized"
        self.clock = Clock(mono=lambda: self.mono, wall=lambda: self.wall, boot="b1", ntp_mark=self.ntp_mark)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.mono += seconds


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


def test_a_plausible_system_clock_is_believed_with_reserve(board: Board) -> None:
    now = board.clock.now()
    assert (now.mono, now.utc, now.quality, now.boot) == (100.0, NOW, ClockQuality.SYSTEM, "b1")


def test_a_clock_that_nobody_set_is_unknown(tmp_path: Path) -> None:
    assert Board(tmp_path, wall=1000.0).clock.now().quality is ClockQuality.UNKNOWN


def test_a_system_clock_set_by_ntp_is_trusted(board: Board) -> None:
    board.ntp_mark.touch()
    assert board.clock.now().quality is ClockQuality.SYNCED


def test_ntp_is_noticed_when_it_comes_later(board: Board) -> None:
    board.clock.now()
    board.ntp_mark.touch()
    board.passes(SYSTEM_CHECK_S)
    assert board.clock.now().quality is ClockQuality.SYNCED


def test_the_csms_is_believed_at_once_when_we_knew_less(board: Board) -> None:
    jump = board.clock.learn(NOW + 0.5, 100.0, 100.0)
    assert jump == pytest.approx(0.5)
    now = board.clock.now()
    assert now.utc == pytest.approx(NOW + 0.5)
    assert now.quality is ClockQuality.SYNCED


def test_the_answers_travel_time_is_halved(board: Board) -> None:
    board.clock.learn(NOW, 96.0, 100.0)
    assert board.clock.now().utc == pytest.approx(NOW + 2.0)


def test_a_small_difference_is_no_reason_to_jump(board: Board) -> None:
    board.clock.learn(NOW, 100.0, 100.0)
    assert board.clock.learn(NOW + 1.9, 100.0, 100.0) is None
    assert board.clock.now().utc == pytest.approx(NOW)


def test_a_large_difference_is(board: Board) -> None:
    board.clock.learn(NOW, 100.0, 100.0)
    assert board.clock.learn(NOW - 2.1, 100.0, 100.0) == pytest.approx(-2.1)


def test_a_difference_that_a_slow_answer_explains_is_not(board: Board) -> None:
    board.clock.learn(NOW, 100.0, 100.0)
    assert board.clock.learn(NOW - 1.0, 90.0, 100.0) is None


def test_an_absurd_time_is_not_learnt(board: Board) -> None:
    assert board.clock.learn(CREDIBLE_FROM - 1, 100.0, 100.0) is None
    assert board.clock.now().utc == NOW


def test_what_was_learnt_outlives_a_jump_of_the_system_clock(board: Board) -> None:
    board.clock.learn(NOW, 100.0, 100.0)
    board.wall -= 1e9
    board.mono += 60.0
    assert board.clock.now().utc == pytest.approx(NOW + 60.0)


def test_an_offset_is_taken_up_by_a_new_process_of_the_same_boot(tmp_path: Path) -> None:
    board = Board(tmp_path, wall=0.0)
    assert board.clock.restore(NOW - 100.0, "b1")
    assert board.clock.now().utc == pytest.approx(NOW)
    assert board.clock.offset_s == NOW - 100.0


def test_an_offset_of_another_boot_is_worth_nothing(board: Board) -> None:
    assert not board.clock.restore(NOW - 100.0, "b0")


def test_the_real_board_has_a_boot_and_a_clock_that_runs() -> None:
    assert boot_id() == boot_id()
    assert boottime() <= boottime()
    assert Clock().now().mono <= boottime()
