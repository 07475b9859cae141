"""The last frames, kept in memory."""

from __future__ import annotations

from timeit import timeit

from agent.core.types import Instant
from agent.edge.trace import BUDGET, COST, LONGEST, Trace


class Watch:
    mono = 100.0

    def __call__(self) -> float:
        return self.mono


def frames(trace: Trace, oldest: float | None = None, latest: float | None = None) -> list[tuple[str, str, str]]:
    return list(trace.lines(Instant(200.0, 1_800_000_000.0), oldest, latest))


def test_frames_are_kept_with_their_way_and_true_time() -> None:
    trace = Trace(Watch())
    trace.add("<", "[2]")
    assert frames(trace) == [("2027-01-15T07:58:20Z", "<", "[2]")]


def test_only_the_frames_between_two_moments_are_told() -> None:
    watch = Watch()
    trace = Trace(watch)
    for moment in (100.0, 150.0, 190.0):
        watch.mono = moment
        trace.add(">", str(moment))
    utc = 1_800_000_000.0
    assert [text for _, _, text in frames(trace, utc - 60, utc - 20)] == ["150.0"]


def test_a_long_frame_loses_its_end() -> None:
    trace = Trace(Watch())
    trace.add("<", "x" * 100_000)
    assert frames(trace)[0][2] == "x" * LONGEST


def test_the_oldest_frames_make_room() -> None:
    trace = Trace(Watch())
    for number in range(10_000):
        trace.add("<", f"{number}" + "x" * 1000)
    kept = frames(trace)
    assert kept[-1][2].startswith("9999")
    assert sum(len(text) + COST for _, _, text in kept) <= BUDGET


def test_a_frame_costs_a_few_microseconds_at_most() -> None:
    trace = Trace(Watch())
    text = "x" * 500
    assert min(timeit(lambda: trace.add("<", text), number=2000) for _ in range(5)) / 2000 < 10e-6
