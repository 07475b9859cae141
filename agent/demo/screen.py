"""How the demo shows its board: a live panel on a terminal, plain lines anywhere else.

`render` is pure: a board and a size in, rows of styled text out. The panel lives on the terminal's alternate screen, is
redrawn a few times a second at whatever size the window has by then, and gives cursor and screen back however it ends.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Protocol, TextIO

from agent.demo.board import Board, Doing, Gauges, Line, Source, Step
from agent.demo.charger import MAX_A
from agent.demo.words import PILOT

Row = list[tuple[str, str]]  # style, text

BOLD, DIM, RED, GREEN, YELLOW, MAGENTA, CYAN = "1", "2", "31", "32", "33", "35", "36"
TITLE = "1;7"
SHADES = {Source.DEMO: MAGENTA, Source.HARDWARE: YELLOW, Source.CHARGER: GREEN, Source.CSMS: CYAN}
MARKS = {Doing.WAITING: ("·", DIM), Doing.NOW: ("▶", BOLD), Doing.DONE: ("✓", GREEN), Doing.FAILED: ("✗", RED)}
ASCII = str.maketrans("·▶✓✗█▒░─→", " >v!#=.->")
FULL_W = 3 * 230.0 * MAX_A
BAR = 16
LEFT = 40  # columns of the left half of the gauges
LEAST_LINES = 5
GAUGES_S = 3.0  # how often plain text tells the gauges while energy flows


class Screen(Protocol):
    def open(self) -> None: ...
    def draw(self) -> None:
        """Called a few times a second."""

    def close(self) -> None:
        """The terminal is as it was."""


# --- rows of the panel ---


def render(board: Board, columns: int, rows: int) -> list[Row]:
    """Exactly `rows` rows, none wider than `columns`."""
    head = [_title(board, columns)]
    tips: list[Row] = [[("", f" {tip}")] for tip in board.tips]
    middle = tips or [*_steps(board, rows), _about(board)]
    rule: Row = [(DIM, "─" * columns)]
    gauges = _gauges(board.gauges, board.start_wh)
    fixed = [*head, *middle, rule, *gauges, rule]
    room = max(0, rows - len(fixed))
    lines = [_line(line, columns) for line in list(board.lines)[-room:]] if room else []
    blank: list[Row] = [[] for _ in range(room - len(lines))]
    return [clip(row, columns) for row in (*fixed, *lines, *blank)][:rows]


def clip(row: Row, columns: int) -> Row:
    """The row with what does not fit cut off, and said so."""
    kept: Row = []
    left = columns
    for style, text in row:
        if len(text) > left:
            kept.append((style, text[: max(0, left - 1)] + "…" if left else ""))
            break
        kept.append((style, text))
        left -= len(text)
    return kept


def _title(board: Board, columns: int) -> Row:
    seconds = int(board.now_s())
    clock = f"{seconds // 60}:{seconds % 60:02d} "
    return [(TITLE, f" {board.title}".ljust(columns - len(clock))[: columns - len(clock)] + clock)]


def _steps(board: Board, rows: int) -> list[Row]:
    """All of them, or those around the present one when the window is low."""
    room = rows - 2 - 6 - LEAST_LINES
    steps = list(enumerate(board.steps, 1))
    if room < len(steps):
        now = next((k for k, step in steps if step.doing in (Doing.NOW, Doing.FAILED)), len(steps))
        first = max(0, min(now - 1 - max(1, room) // 2, len(steps) - max(1, room)))
        steps = steps[first : first + max(1, room)]
    return [_step(number, step, board.now_s()) for number, step in steps]


def _step(number: int, step: Step, now_s: float) -> Row:
    mark, style = MARKS[step.doing]
    seconds = {Doing.WAITING: "", Doing.NOW: f"{now_s - step.began_s:5.1f} s"}.get(step.doing, f"{step.took_s:5.1f} s")
    return [(style, f" {mark} {number:2} {step.title:<56}"), (DIM, seconds)]


def _about(board: Board) -> Row:
    words = [step.about for step in board.steps if step.doing in (Doing.NOW, Doing.FAILED)]
    return [(CYAN, f"      {words[-1]}")] if words else []


def _gauges(g: Gauges, start_wh: float | None) -> list[Row]:
    used = f"{g.meter_wh - start_wh:.0f} Wh" if g.meter_wh is not None and start_wh is not None else "?"
    billed = "nothing yet" if g.billed_wh is None else f"has heard of {g.billed_wh} Wh"
    car = PILOT.get(g.pilot, "?") + {True: ", contactor closed", False: "", None: ""}[g.contactor]
    return [
        [*_label("POWER", _power(g)), (DIM, " CAR     "), ("", car)],
        [*_label("CURRENT", _current(g)), (DIM, " LINK    "), _link(g)],
        [*_label("ENERGY", [(BOLD, f"{used:<10}"), ("", _register(g))]), (DIM, " CSMS    "), ("", billed)],
        [*_label("AGENT", [_agent(g)]), (DIM, " QUEUE   "), _queue(g)],
    ]


def _label(name: str, values: Row) -> Row:
    """The left half of a row: the label, and values padded to the half's width."""
    width = LEFT - 9
    used = sum(len(text) for _, text in values)
    return [(DIM, f" {name:<8}"), *values, ("", " " * max(0, width - used))]


def _power(g: Gauges) -> Row:
    power_w = g.power_w or 0.0
    return [*bar(power_w / FULL_W, power_w / FULL_W), (BOLD, f" {power_w / 1000:4.1f} kW")]


def _current(g: Gauges) -> Row:
    drawn_a, offered_a = g.drawn_a or 0.0, g.offered_a or 0.0
    return [*bar(drawn_a / MAX_A, offered_a / MAX_A), (BOLD, f" {drawn_a:4.1f}"), ("", f" of {offered_a:g} A")]


def bar(full: float, allowed: float) -> Row:
    """A bar of `BAR` characters: what is, what may be, what could be."""
    a = min(BAR, round(full * BAR))
    b = max(a, min(BAR, round(allowed * BAR)))
    return [(GREEN, "█" * a), (YELLOW, "▒" * (b - a)), (DIM, "░" * (BAR - b))]


def _register(g: Gauges) -> str:
    return f"meter {g.meter_wh / 1000:.3f} kWh" if g.meter_wh is not None else ""


def _link(g: Gauges) -> tuple[str, str]:
    return (GREEN, "up") if g.linked else (RED, "down")


def _agent(g: Gauges) -> tuple[str, str]:
    return ("", f"running, process {g.agent_pid}") if g.agent_pid is not None else (RED, "not running")


def _queue(g: Gauges) -> tuple[str, str]:
    if g.queued is None:
        return DIM, "?"
    return ("", "empty") if not g.queued else (YELLOW, f"{g.queued} wait on disk for the CSMS")


def _line(line: Line, columns: int) -> Row:
    row: Row = [(DIM, f" {line.at_s:5.1f} "), (SHADES[line.source], f"{line.source:<15} "), ("", line.words)]
    used = sum(len(text) for _, text in row)
    if line.action and used + 2 + len(line.action) <= columns:
        row.append((DIM, f"  {line.action}"))
    return row


# --- screens ---


class Panel:
    """A live panel on a terminal."""

    def __init__(self, board: Board, out: TextIO) -> None:
        self._board = board
        self._out = out
        self._colour = "NO_COLOR" not in os.environ
        self._plain_letters = not _can_say(out, "✓█→…")
        self._is_open = False

    def open(self) -> None:
        self._is_open = True
        self._out.write("\x1b[?1049h\x1b[?25l\x1b[2J")  # alternate screen, no cursor, clear

    def draw(self) -> None:
        columns, rows = self._size()
        lines = [self._text(row) for row in render(self._board, columns, rows)]
        self._out.write("\x1b[?2026h\x1b[H" + "\x1b[K\r\n".join(lines) + "\x1b[J\x1b[?2026l")  # in one piece
        self._out.flush()

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._out.write("\x1b[0m\x1b[?25h\x1b[?1049l")
            self._out.flush()

    def _size(self) -> tuple[int, int]:
        try:
            size = os.get_terminal_size(self._out.fileno())
        except OSError:
            return 80, 24
        return max(20, size.columns or 80), max(4, size.lines or 24)

    def _text(self, row: Row) -> str:
        return "".join(self._shaded(style, self._letters(text)) for style, text in row)

    def _shaded(self, style: str, text: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if style and self._colour else text

    def _letters(self, text: str) -> str:
        clean = "".join(c if c.isprintable() else " " for c in text)  # a charger's words must not command the terminal
        return clean.translate(ASCII).replace("…", "~") if self._plain_letters else clean


class Plain:
    """Lines of text, each told once: for pipes, logs and terminals that cannot do more."""

    def __init__(self, board: Board, out: TextIO) -> None:
        self._board = board
        self._out = out
        self._told_s = 0.0
        board.on_line = self._line
        board.on_step = self._step

    def open(self) -> None:
        self._say(self._board.title)

    def draw(self) -> None:
        g = self._board.gauges
        if (g.power_w or 0.0) > 0 and self._board.now_s() - self._told_s >= GAUGES_S:
            self._told_s = self._board.now_s()
            self._line(Line(self._told_s, Source.HARDWARE, gauges_in_words(g, self._board.start_wh)))

    def close(self) -> None:
        return None

    def _line(self, line: Line) -> None:
        action = f"  [{line.action}]" if line.action else ""
        self._say(f"{line.at_s:6.1f} s  {line.source:<15}  {line.words}{action}")

    def _step(self, number: int, step: Step) -> None:
        if step.doing is Doing.NOW:
            self._say(f"\n[{number + 1}/{len(self._board.steps)}] {step.title}\n      {step.about}")

    def _say(self, text: str) -> None:
        print(text, file=self._out, flush=True)


def gauges_in_words(g: Gauges, start_wh: float | None) -> str:
    used = f", {g.meter_wh - start_wh:.0f} Wh so far" if g.meter_wh is not None and start_wh is not None else ""
    waits = f"; {g.queued} messages wait" if g.queued else ""
    return (
        f"{(g.power_w or 0) / 1000:.1f} kW: the car draws {g.drawn_a or 0:.1f} A of {g.offered_a or 0:g} A{used}{waits}"
    )


def choose(board: Board, plain: bool, out: TextIO | None = None) -> Screen:
    """The panel when there is a terminal that can show it."""
    out = out or sys.stdout
    if plain or not out.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return Plain(board, out)
    return Panel(board, out)


def _can_say(out: TextIO, text: str) -> bool:
    try:
        text.encode(out.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def tell(lines: Sequence[str], out: TextIO | None = None) -> None:
    """Lines after the show, in letters that this output knows."""
    out = out or sys.stdout
    known = _can_say(out, "✓✗")
    shades = {"✓": GREEN, "✗": RED, "R": BOLD} if out.isatty() and "NO_COLOR" not in os.environ else {}
    for line in lines:
        style = shades.get(line.strip()[:1]) if line[:1] != " " or "✓" in line else None
        text = line if known else line.translate(ASCII)
        print(f"\x1b[{style}m{text}\x1b[0m" if style else text, file=out, flush=True)
