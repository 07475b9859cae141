"""python -m tests.fuzz [MINUTES] [--seed N]: lives of chargers, always other ones, until time is over or one breaks.

A life that breaks a rule is made as short as can be and shown; the seed that is printed first plays the same again.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.story import Step, live, steps

AT_ONCE = 200
LONGEST = 60


def soak(number: int) -> None:
    """Lives in one version: even seeds speak 1.6, odd ones 2.0.1."""
    version = ("1.6", "2.0.1")[number % 2]

    @seed(number)
    @settings(
        max_examples=AT_ONCE,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(st.lists(steps(version), min_size=8, max_size=LONGEST))
    def lives(whole: list[Step]) -> None:
        live(version, whole)

    lives()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("minutes", nargs="?", type=float, default=10.0)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    end = time.monotonic() + options.minutes * 60
    number = options.seed if options.seed is not None else random.randrange(10**6)
    played = 0
    while played == 0 or time.monotonic() < end:
        print(f"--seed {number}: {AT_ONCE} lives", flush=True)
        soak(number)
        number, played = number + 1, played + 1
    print(f"{played * AT_ONCE} lives, none broken")
    return 0


if __name__ == "__main__":
    sys.exit(main())
