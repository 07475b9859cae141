"""Runs the real agent, whose loop stands still from SIGUSR2 on: `python stall_launcher.py run --config FILE`."""

from __future__ import annotations

import signal
import sys
import threading

from agent.__main__ import main


def stall(_number: int, _frame: object) -> None:
    threading.Event().wait()


if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, stall)
    sys.exit(main(sys.argv[1:]))
