"""All tests at once, as `make tests` runs them: those that wait beside those that compute.

    python -m tests

Most tests of whole processes, buses and links wait: for a contactor, a time-out, a process that starts. Many of them
fit on one core. The others compute, and leave the processor to those whenever they want it (`nice`), so that a test
with a deadline meets a machine that is nearly idle. Both halves are ordinary runs of pytest; the second one's output
comes when it has ended. What lies under `tests/` and is named nowhere here belongs to those that compute, so no
folder is forgotten. `tests/platform` wants booted systems: `make test-platform`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
WAITING = ("end_to_end", "demo", "cli", "conformance", "edge", "drivers")  # the longest first: nothing long begins late
COMPUTING_FIRST = ("simulation", "fuzz")
ELSEWHERE = {"platform", "benchmarks", "__pycache__"}
WAITING_JOBS, COMPUTING_JOBS = 10, 2


def main() -> int:
    """Exit code 0 only if both halves ran and nothing failed."""
    with tempfile.TemporaryFile() as heard:
        patient = ["nice", "-n", "10", *_command(COMPUTING_JOBS, _computing())]
        computing = subprocess.Popen(patient, stdout=heard, stderr=heard)
        try:
            waited = subprocess.call(_command(WAITING_JOBS, [HERE / name for name in WAITING]))
            computed = computing.wait()
        finally:
            computing.terminate()
        heard.seek(0)
        sys.stdout.write(heard.read().decode(errors="replace"))
    return waited or computed


def _command(jobs: int, places: list[Path]) -> list[str]:
    paths = [str(place.relative_to(HERE.parent)) for place in places]
    return [sys.executable, "-m", "pytest", "-n", str(jobs), "--dist", "loadgroup", "--durations=8", *paths]


def _computing() -> list[Path]:
    named = {*WAITING, *COMPUTING_FIRST, *ELSEWHERE}
    others = [place for place in sorted(HERE.iterdir()) if place.name not in named and _has_tests(place)]
    return [*(HERE / name for name in COMPUTING_FIRST), *others]


def _has_tests(place: Path) -> bool:
    return place.is_dir() or place.name.startswith("test_")


if __name__ == "__main__":
    sys.exit(main())
