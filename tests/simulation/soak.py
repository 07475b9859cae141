"""`python -m tests.simulation.soak FIRST-LAST`: play seeds in both versions, print what broke, and the totals.

Exit code 1 when an invariant broke; each failure prints the one line that plays it again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.checker import Totals
from tests.simulation.plan import rough
from tests.simulation.run import Outcome, run

VERSIONS = ("1.6", "2.0.1")
Job = tuple[int, str, float]


def play(job: Job) -> Outcome:
    return run(rough(*job))


def jobs(seeds: Iterable[int], versions: Sequence[str], days: float) -> list[Job]:
    return [(seed, version, days) for seed in seeds for version in versions]


def outcomes(work: Sequence[Job], processes: int) -> Iterator[Outcome]:
    """In the order of the work, whoever is ready first."""
    if processes == 1:
        yield from map(play, work)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(play, work)


def summary(totals: Totals, runs: int, took_s: float) -> str:
    t = totals
    return (
        f"{runs} runs, {t.days:.1f} simulated days in {took_s:.0f} s: {t.transactions} transactions, "
        f"{t.wh / 1000:.1f} kWh, "
        f"{t.cuts} power cuts, {t.kills} kills, {t.restarts} resets, {t.faults} faults, {t.frames} frames, "
        f"{t.installed} updates, {t.reserved} reservations used, {t.lists} lists, {t.uploads} logs, "
        f"{t.notices} security events, {t.moved} new links kept, {t.returned} left again, "
        f"{t.repeats} repeats recognised, {t.dead} dead letters, "
        f"{t.excused} bills short for a lying or silent meter ({t.excused_wh:.0f} Wh)"
    )


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.soak")
    parser.add_argument("seeds", help="FIRST-LAST, or one seed")
    parser.add_argument("--version", choices=VERSIONS, action="append", help="only this version")
    parser.add_argument("--days", type=float, default=4.0, help="simulated days of each run")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(argv)
    first, _, last = options.seeds.partition("-")
    work = jobs(range(int(first), int(last or first) + 1), options.version or VERSIONS, options.days)
    began, totals, failed = time.monotonic(), Totals(), 0
    for outcome in outcomes(work, options.processes):
        totals.add(outcome.totals)
        failed += bool(outcome.broken)
        if outcome.broken:
            print(outcome, flush=True)
    print(summary(totals, len(work), time.monotonic() - began))
    print(f"{failed} runs broke an invariant" if failed else "every invariant held")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
