"""`chargepoint events`: what has happened lately: faults, the link, orders of technicians, security events.

The answer to `{"verb": "events", "limit": N, "evse": N, "kind": KIND}`: now_utc, events [{utc, clock_set, kind, evse,
text, by, why}], the newest last. kind: "fault", "cleared", "link", "registration", "order" or "security".
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from agent.cli import asking
from agent.cli.asking import Answer
from agent.cli.tables import table
from agent.errors import Exit

SHOWN = 30
KINDS = ("fault", "cleared", "link", "registration", "order", "security")


def main(argv: Sequence[str]) -> int:
    """Show them; the exit code."""
    found = asking.parser("events", "Show what has happened, the newest last. Times are in UTC.")
    found.add_argument("--last", type=int, default=SHOWN, metavar="N", help=f"how many; {SHOWN}")
    found.add_argument("--evse", type=int, metavar="N", help="of this EVSE only")
    found.add_argument("--kind", choices=KINDS, help="of this kind only")
    options = found.parse_args(list(argv))
    if not 1 <= options.last <= 1000:
        found.error(f"--last is {options.last}; expected 1 to 1000")
    path = asking.socket_of(options)
    answer = asking.ask(path, "events", limit=options.last, evse=options.evse, kind=options.kind)
    if options.json:
        print(json.dumps(answer, ensure_ascii=False))
        return Exit.OK
    rows = [_row(event) for event in answer.get("events") or ()]
    asking.tell(table(("when (UTC)", "kind", ">EVSE", "what"), rows) if rows else ["nothing yet"])
    return Exit.OK


def _row(event: Answer) -> tuple[str, ...]:
    when = time.strftime("%m-%d %H:%M:%S", time.gmtime(event.get("utc") or 0))
    by = f"{event['by']}: " if event.get("by") else ""
    why = f" ({event['why']})" if event.get("why") else ""
    known = "" if event.get("clock_set", True) else "?"  # nobody had told the time yet
    return f"{when}{known}", str(event.get("kind")), str(event.get("evse") or ""), f"{by}{event.get('text')}{why}"
