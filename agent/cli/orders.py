"""`chargepoint start | stop | unlock | availability`: orders to the running agent, each with a reason that is kept.

They obey the rules of a card, of the stop button and of the central system; one that is refused says why, and what to
do. Each is answered when it is known what became of it: {done, text}.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from agent.cli import Parser, asking

STDIN = "-"  # in place of a card: what sudo runs stands in a log, word by word


def start(argv: Sequence[str]) -> int:
    """As if a card were held to the reader of that EVSE; the exit code."""
    found = _parser("start", "Let somebody in at an EVSE, as a card at its reader does; then plug in.")
    found.add_argument(
        "--card", metavar="ID", help="the card's number, - takes it from stdin; else [service] technician_token"
    )
    options = found.parse_args(list(argv))
    if options.card == STDIN:
        options.card = sys.stdin.readline().strip()
    return asking.order(options, found, "start", "start", _place(options.evse), evse=options.evse, token=options.card)


def stop(argv: Sequence[str]) -> int:
    """As the stop button; the exit code."""
    found = _parser("stop", "End the charge at an EVSE, as its stop button does.")
    options = found.parse_args(list(argv))
    return asking.order(options, found, "stop", "stop", _place(options.evse), evse=options.evse)


def unlock(argv: Sequence[str]) -> int:
    """Open the lock; the exit code."""
    found = _parser("unlock", "Open the connector lock of an EVSE where nobody charges.")
    options = found.parse_args(list(argv))
    return asking.order(options, found, "unlock", "unlock", _place(options.evse), evse=options.evse)


def availability(argv: Sequence[str]) -> int:
    """In or out of service; the exit code."""
    about = "Take an EVSE, or the whole station, out of service or back in. A charge that runs ends first."
    found = asking.parser("availability", about, reason=True)
    found.add_argument("state", choices=("in", "out"), help="in service, or out of it")
    found.add_argument("evse", nargs="?", type=int, metavar="N", help="the EVSE; the whole station, if none is given")
    options = found.parse_args(list(argv))
    where, operative = f"EVSE {options.evse}" if options.evse else "station", options.state == "in"
    what = f"{where}, {'in' if operative else 'out of'} service: "
    return asking.order(options, found, "availability", "availability", what, evse=options.evse, operative=operative)


def _parser(verb: str, about: str) -> Parser:
    found = asking.parser(verb, about, reason=True)
    found.add_argument("evse", type=int, metavar="N", help="the number of the EVSE")
    return found


def _place(evse: int) -> str:
    return f"EVSE {evse}: "
