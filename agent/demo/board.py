"""What the demo has to show, without how: the steps of the story, the gauges, and the lines of what happened.

`screen` draws it, `story` and `stage` fill it. Lines are bounded: a panel shows the last ones, plain text each once.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

MAX_LINES = 500


class Doing(StrEnum):
    WAITING = "waiting"
    NOW = "now"
    DONE = "done"
    FAILED = "failed"


class Source(StrEnum):
    """Who does or says it."""

    DEMO = "demo"  # the hand that plays driver, network and service manager
    HARDWARE = "hardware"
    CHARGER = "charger -> CSMS"
    CSMS = "CSMS -> charger"


@dataclass(slots=True)
class Step:
    title: str
    about: str  # what there is to see, for somebody who has never seen it
    doing: Doing = Doing.WAITING
    began_s: float = 0.0
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Line:
    at_s: float
    source: Source
    words: str
    action: str = ""  # OCPP's name of the message


@dataclass(slots=True)
class Gauges:
    """What can be read at the charger just now; None: not known."""

    pilot: str = ""
    contactor: bool | None = None
    offered_a: float | None = None
    drawn_a: float | None = None
    power_w: float | None = None
    meter_wh: float | None = None
    agent_pid: int | None = None  # None: it does not run
    queued: int | None = None  # messages that wait for the central system
    linked: bool = False
    billed_wh: int | None = None  # as far as the central system has heard


@dataclass(slots=True)
class Board:
    title: str
    steps: list[Step]
    gauges: Gauges = field(default_factory=Gauges)
    lines: deque[Line] = field(default_factory=lambda: deque(maxlen=MAX_LINES))
    start_wh: float | None = None  # the meter when the story began
    tips: Sequence[str] = ()  # what to type, when the charger stays for play
    on_line: Callable[[Line], None] = lambda _line: None
    on_step: Callable[[int, Step], None] = lambda _number, _step: None
    began: float = field(default_factory=time.monotonic)

    def now_s(self) -> float:
        return time.monotonic() - self.began

    def say(self, source: Source, words: str, action: str = "") -> None:
        line = Line(self.now_s(), source, words, action)
        self.lines.append(line)
        self.on_line(line)

    def begin(self, number: int) -> None:
        step = self.steps[number]
        step.doing, step.began_s = Doing.NOW, self.now_s()
        self.on_step(number, step)

    def end(self, number: int, doing: Doing = Doing.DONE) -> None:
        step = self.steps[number]
        step.doing, step.took_s = doing, self.now_s() - step.began_s
        self.on_step(number, step)
