"""Runs the real agent and kills it at a chosen boundary of its store: `python crash_launcher.py run --config FILE`.

`CRASH_AT=n` counts boundaries from 1: one before each call that writes, one between its commit and what follows from
it. At the n-th the process gets SIGKILL from itself, at no other moment than exactly there. Without it nothing happens.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from agent.__main__ import main
from agent.store.store import Store

WRITERS = ("commit", "answered", "dead_letter", "retime")


class Fuse:
    def __init__(self, boundaries: int) -> None:
        self.left = boundaries

    def boundary(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **more: Any) -> Any:
            self.boundary()
            done = write(*args, **more)
            self.boundary()
            return done

        return guarded


if __name__ == "__main__":
    fuse = Fuse(int(os.environ.get("CRASH_AT", "0")))
    for name in WRITERS:
        setattr(Store, name, fuse.around(getattr(Store, name)))
    sys.exit(main())
