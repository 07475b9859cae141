"""`chargepoint evse [N]`: all that the running agent knows of its EVSEs: car, power, limits, devices, faults.

With `read` or `offer` as first word it is the bench tool for a controller, which needs no agent (`agent.cli.bench`).
The answer to `{"verb": "evse", "evse": N}` has for each EVSE what `chargepoint status` has, and phases,
hardware_limit_a, csms_limit_a, plugged, reserved, authorized (a part of the card), authorized_s, controller, meter,
connector.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from agent.cli import asking
from agent.cli.asking import Answer
from agent.cli.status import Line, draw, evse_lines
from agent.cli.tables import amps, is_screen, span
from agent.errors import Exit

BENCH = ("read", "offer")


def main(argv: Sequence[str]) -> int:
    """Of the running agent, or on the bench; the exit code."""
    if argv and argv[0] in BENCH:
        from agent.cli.bench.evse import main as bench

        return bench(argv)
    found = asking.parser("evse", "Show all that the running agent knows of an EVSE.", watch=True)
    found.add_argument("evse", nargs="?", type=int, metavar="N", help="its number; all, if none is given")
    found.epilog = f"a controller on the bench, without an agent: chargepoint evse read|offer --help; {found.epilog}"
    options = found.parse_args(list(argv))
    path = asking.socket_of(options)
    colour = is_screen() and "NO_COLOR" not in os.environ
    asking.show(
        options,
        lambda: asking.ask(path, "evse", evse=options.evse),
        lambda answer: "\n\n".join(draw(list(_lines(evse)), colour=colour) for evse in answer.get("evses") or ()),
    )
    return Exit.OK


def _lines(e: Answer) -> Iterator[Line]:
    yield from evse_lines(e)
    yield "  limits", ", ".join(_limits(e)), ""
    if e.get("authorized"):
        yield "  let in", f"card {e['authorized']}, {span(e.get('authorized_s'))} ago", ""
    elif e.get("plugged") and not e.get("transaction"):
        yield "  let in", "nobody: the car waits for a card (or: chargepoint start)", ""
    if e.get("reserved"):
        yield "  kept", "reserved for somebody who has not come yet", ""
    yield "  control", f"{e.get('controller') or '?'}, connector {e.get('connector') or '?'}", ""
    yield "  counts", str(e.get("meter") or "?"), ""


def _limits(e: Answer) -> Iterator[str]:
    phases = e.get("phases")
    yield f"hardware {amps(e.get('hardware_limit_a'))}"
    yield f"{phases} {'phase' if phases == 1 else 'phases'}"
    csms = e.get("csms_limit_a")
    yield f"central system {amps(csms)}" if csms is not None else "no limit of the central system"
