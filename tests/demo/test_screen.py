"""The panel as rows, at any size, and the plain lines."""

from __future__ import annotations

import io

import pytest

from agent.demo import story
from agent.demo.board import Board, Doing, Gauges, Source
from agent.demo.screen import Plain, bar, choose, clip, gauges_in_words, render

FULL = Gauges(
    pilot="C", contactor=True, offered_a=32.0, drawn_a=16.0, power_w=11_000.0, meter_wh=1_234_600.4,
    agent_pid=42, queued=3, linked=False, billed_wh=20,
)  # fmt: skip


def board() -> Board:
    made = Board("a title", story.steps(), FULL, start_wh=1_234_567)
    made.begin(0)
    made.end(0)
    made.begin(1)
    for number in range(40):
        made.say(Source.CHARGER, f"line {number} " + "x" * 50, "MeterValues")
    return made


def texts(columns: int, rows: int) -> list[str]:
    return ["".join(text for _style, text in row) for row in render(board(), columns, rows)]


@pytest.mark.parametrize(("columns", "rows"), [(200, 60), (100, 30), (80, 24), (60, 16), (40, 10), (20, 4)])
def test_a_panel_has_the_size_of_its_window(columns: int, rows: int) -> None:
    drawn = texts(columns, rows)
    assert len(drawn) == rows
    assert max(map(len, drawn)) <= columns


def test_a_usual_window_shows_steps_gauges_and_the_last_lines() -> None:
    drawn = "\n".join(texts(80, 24))
    assert all(step.title in drawn for step in story.steps())
    assert all(word in drawn for word in ("11.0 kW", "16.0 of 32 A", "33 Wh", "1234.600 kWh", "has heard of 20 Wh"))
    assert all(word in drawn for word in ("wants energy, contactor closed", "down", "3 wait on disk", "process 42"))
    assert "line 39" in drawn
    assert "line 0 " not in drawn
    assert all(6 + len(step.about) <= 80 for step in story.steps())


def test_the_present_step_is_explained() -> None:
    assert story.steps()[1].about in "\n".join(texts(80, 24))


def test_a_low_window_keeps_the_present_step() -> None:
    drawn = "\n".join(texts(60, 14))
    assert story.steps()[1].title in drawn
    assert story.steps()[8].title not in drawn


def test_what_the_charger_stays_for_takes_the_place_of_the_steps() -> None:
    made = board()
    made.tips = ("type this",)
    drawn = "\n".join("".join(text for _style, text in row) for row in render(made, 80, 24))
    assert "type this" in drawn
    assert story.steps()[0].title not in drawn


def test_a_row_that_is_too_long_says_so() -> None:
    assert clip([("", "abc"), ("1", "defg")], 5) == [("", "abc"), ("1", "d…")]
    assert clip([("", "abc")], 3) == [("", "abc")]


def test_a_bar_shows_what_is_what_may_be_and_what_could_be() -> None:
    assert [len(text) for _style, text in bar(0.25, 0.5)] == [4, 4, 8]
    assert [len(text) for _style, text in bar(2.0, 0.0)] == [16, 0, 0]


def test_nothing_known_is_shown_as_nothing_known() -> None:
    drawn = render(Board("a title", story.steps()), 80, 24)
    assert any("not running" in text for row in drawn for _style, text in row)


def test_plain_text_tells_each_line_once_under_its_step() -> None:
    out = io.StringIO()
    made = Board("a title", story.steps(), FULL)
    screen = choose(made, plain=False, out=out)
    assert isinstance(screen, Plain)
    screen.open()
    made.begin(0)
    made.say(Source.CSMS, "welcome", "BootNotification")
    made.end(0, Doing.DONE)
    lines = out.getvalue().splitlines()
    assert lines[:3] == ["a title", "", f"[1/9] {story.steps()[0].title}"]
    assert lines[-1].endswith("CSMS -> charger  welcome  [BootNotification]")


def test_the_gauges_in_words() -> None:
    told = "11.0 kW: the car draws 16.0 A of 32 A, 33 Wh so far; 3 messages wait"
    assert gauges_in_words(FULL, 1_234_567) == told
