"""`chargepoint factory-reset`: back to what the charger was when it was configured.

The agent ends, and begins anew: transactions, variables and card lists that the CSMS has set, installed certificates,
the logbook and the flight recording are gone. The configuration stays. Refused while a car charges, and while anything
that was charged waits for the CSMS, unless --discard-transactions says that it may be lost.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence

from agent.cli import asking
from agent.errors import Exit, NotRunning

BACK_S = 30.0
LOOK_S = 0.5
QUESTION = "This removes all that the charger has remembered; its configuration stays. Type yes to go on: "


def main(argv: Sequence[str]) -> int:
    """Ask, order, and wait for the agent to be back; the exit code."""
    about = "Remove all that the charger has remembered, but not its configuration."
    parser = asking.parser("factory-reset", about, reason=True)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--discard-transactions",
        action="store_true",
        help="also when some were not told to the CSMS yet: they are lost",
    )
    options = parser.parse_args(list(argv))
    why = asking.reason(options, parser)
    if not options.yes and not _sure():
        print("nothing was removed; --yes does not ask", file=sys.stderr)
        return Exit.FAILURE
    path = asking.socket_of(options)
    before = asking.ask(path, "status", program="factory-reset")
    told = asking.ask(
        path, "factory-reset", why=why, sudo=os.environ.get("SUDO_USER"), discard=options.discard_transactions
    )
    if not options.json:
        print(told.get("text"))
    back = _back(path, float(before.get("uptime_s") or 0))
    if options.json:
        print(json.dumps({**told, "back": back}))
    else:
        print("it is back" if back else "it has not come back yet; where no service manager does it, start it again")
    return Exit.OK


def _sure() -> bool:
    if not sys.stdin.isatty():
        return False
    print(QUESTION, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() == "yes"


def _back(path: str, uptime_s: float) -> bool:
    """Whether another process answers within the time."""
    began = time.monotonic()
    while (waited := time.monotonic() - began) < BACK_S:
        time.sleep(LOOK_S)
        try:
            now_s = float(asking.ask(path, "status", program="factory-reset").get("uptime_s") or 0)
        except NotRunning:
            continue
        if now_s < uptime_s + waited - 1.5:
            return True
    return False
