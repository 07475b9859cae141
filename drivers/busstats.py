"""What a bus counts of its line and of each device on it; read by the report, written by `bus.py` alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass(slots=True)
class DeviceStats:
    """Counters of one unit, since the start."""

    requests: int = 0
    answers: int = 0
    timeouts: int = 0
    garbage: int = 0
    refusals: int = 0
    repeats: int = 0
    failures: int = 0  # reads and writes that failed for good
    failing: int = 0  # of these the last ones in a row
    last_error: str = ""


@dataclass(slots=True)
class BusStats:
    connects: int = 0
    quarantines: int = 0
    busy_s: float = 0.0  # time in which the line was ours: bytes, answer times, silences, quarantines
    devices: dict[int, DeviceStats] = field(default_factory=dict)


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
