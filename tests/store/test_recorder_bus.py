"""What of the exchanges with the devices is kept in the flight recording."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from agent.recording_bus import CALM_S, MAX_KNOWN, BusFrames
from drivers.busstats import Exchange
from drivers.regmap import load_meter


class Scene:
    """A line to one device, a clock that is moved, and what is kept."""

    def __init__(self) -> None:
        self.mono = 0.0
        self.kept: list[tuple[Any, ...]] = []
        self.frames = BusFrames(lambda _mono, line: self.kept.append(line), lambda: self.mono)
        self.device = SimpleNamespace(unit=2, label="meter of EVSE 1", maps=[])

    def read(self, *words: int, at: int = 0, error: str = "", after_s: float = 1.0) -> None:
        self.mono += after_s
        self.frames.hear(Exchange("ttyUSB0", self.device, 3, at, len(words), words if not error else (), error, 0.01))

    def write(self, *words: int) -> None:
        self.mono += 1
        self.frames.hear(Exchange("ttyUSB0", self.device, 16, 9, words, (), "", 0.01))

    def words(self) -> list[str]:
        return [line[6] for line in self.kept]


def test_the_first_exchange_is_kept_and_the_same_again_is_not() -> None:
    scene = Scene()
    for _ in range(50):
        scene.read(0x4366, 0x999A, after_s=10)
    assert scene.kept == [("ttyUSB0", 2, "meter of EVSE 1", 3, 0, 2, "4366999A", "", 1, 0)]


def test_what_changes_all_the_time_is_kept_once_in_as_many_seconds_as_it_has_registers() -> None:
    scene = Scene()
    for value in range(60):
        scene.read(*[value] * 10)
    assert [int(words[:4], 16) for words in scene.words()] == [0, 10, 20, 30, 40, 50]
    assert [line[8] for line in scene.kept] == [1, 10, 10, 10, 10, 10]


def test_a_failure_is_kept_at_once_and_its_repetitions_are_counted_by_the_answer_that_ends_them() -> None:
    scene = Scene()
    scene.read(1)
    for error in ("no answer", "no answer", "no answer", "exception 4"):
        scene.read(1, error=error, after_s=CALM_S)
    scene.read(1, after_s=CALM_S)
    told = [line[6:] for line in scene.kept]
    assert told == [("0001", "", 1, 0), ("", "no answer", 1, 1), ("", "exception 4", 3, 3), ("0001", "", 1, 0)]


def test_a_loose_contact_does_not_push_out_what_came_before() -> None:
    scene = Scene()
    for _ in range(300):
        scene.read(1, after_s=0.1)
        scene.read(1, error="no answer", after_s=0.1)
    assert 10 <= len(scene.kept) <= 60 / CALM_S + 2
    assert sum(line[9] for line in scene.kept) >= 290 - 5 * CALM_S


def test_a_write_is_kept_when_it_writes_other_values_however_soon() -> None:
    scene = Scene()
    for value in (16, 16, 16, 6, 16):
        scene.write(value)
    assert scene.words() == ["0010", "0006", "0010"]


def test_each_request_is_judged_by_itself() -> None:
    scene = Scene()
    for _ in range(3):
        scene.read(1, at=0)
        scene.read(2, at=7)
    assert [line[4] for line in scene.kept] == [0, 7]


def test_a_new_segment_is_told_everything_again() -> None:
    scene = Scene()
    scene.read(1)
    scene.frames.forget()
    scene.read(1)
    assert scene.words() == ["0001", "0001"]


def test_a_text_that_no_map_names_is_kept_without_it() -> None:
    scene = Scene()
    scene.write(*[int.from_bytes(pair) for pair in (b"01", b"00", b"A5", b"7C", b"21", b"\0\0")])
    assert scene.words() == [None]


@pytest.mark.parametrize("maps", [[load_meter("eastron_sdm630")], []], ids=["with a map", "without"])
def test_numbers_are_kept_whatever_is_known_of_them(maps: list[object]) -> None:
    scene = Scene()
    scene.device.maps = maps
    scene.read(0x4366, 0x999A)
    assert scene.words() == ["4366999A"]


def test_the_memory_of_what_was_told_is_bounded() -> None:
    scene = Scene()
    for at in range(3 * MAX_KNOWN):
        scene.read(1, at=at)
    assert len(scene.frames._known) <= MAX_KNOWN
