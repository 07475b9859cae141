"""What a bus counts of its line and of each device on it; read by the report, written by `bus.py` alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class DeviceStats:
    """Counters of one unit, since the start."""

    def __init__(self) -> None:
        self.requests = self.answers = 0
        self.timeouts = self.garbage = self.refusals = self.repeats = 0
        self.failures = 0  # reads and writes that failed for good
        self.failing = 0  # of these the last ones in a row
        self.last_error = ""


class BusStats:
    def __init__(self) -> None:
        self.connects = self.quarantines = 0
        self.busy_s = 0.0  # time in which the line was ours: bytes, answer times, silences, quarantines
        self.devices: dict[int, DeviceStats] = {}

    @property
    def counted(self) -> tuple[int, int]:
        """All questions, and those that had no whole answer."""
        devices = self.devices.values()
        return sum(one.requests for one in devices), sum(one.timeouts + one.garbage for one in devices)


class Exchange(NamedTuple):
    """A request and its answer, as a tap is told of it. `device` has a `unit`, a `label` and its `maps`; `error`: why
    there is no answer."""

    bus: str
    device: Any
    function: int
    address: int
    payload: int | Sequence[int]  # how many were asked for, or what was written
    answer: Sequence[int]
    error: str
    took_s: float
