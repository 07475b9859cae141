"""`chargepoint transactions [--export csv|json]`: the charges that run, and the last that have ended.

The answer to `{"verb": "transactions"}`: now_utc, transactions [{id, csms_id, evse, card, started_utc, ended_utc,
energy_wh, started_wh, reason, told_utc, waiting, state}], the newest first. state: "running", "ending", "waiting" (for
the central system), "told", "given up" (see `chargepoint queue`). waiting: messages of it that are not told yet.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence

from agent.cli import asking
from agent.cli.asking import Answer
from agent.cli.tables import day_time, kwh, span, stamp, table
from agent.errors import Exit

FIELDS = (
    *("id", "csms_id", "evse", "card", "started_utc", "ended_utc", "energy_wh", "started_wh", "reason", "told_utc"),
    *("waiting", "state"),
)
SHOWN = 20
_WORDS = {  # why it ended, for people
    "EVDisconnected": "unplugged",
    "Local": "by card or button",
    "Remote": "from afar",
    "DeAuthorized": "card refused",
    "PowerLoss": "power cut",
    "Reboot": "restart",
    "EmergencyStop": "emergency stop",
    "StoppedByEV": "by the car",
    "GroundFault": "earth fault",
    "OvercurrentFault": "overcurrent",
    "UnlockCommand": "unlocked",
    "Timeout": "nobody plugged in",
    "MasterPass": "by a master card",
    "EnergyLimitReached": "energy limit",
    "SoftReset": "reset",
    "HardReset": "reset",
    "ImmediateReset": "reset",
}


def main(argv: Sequence[str]) -> int:
    """Show or export them; the exit code."""
    found = asking.parser("transactions", "Show the charges that run and the last that have ended. Times are in UTC.")
    found.add_argument("--export", choices=("csv", "json"), help="all of them with all fields, on stdout")
    found.add_argument("--last", type=int, metavar="N", help=f"how many; {SHOWN}, all with --export")
    options = found.parse_args(list(argv))
    if options.last is not None and not 1 <= options.last <= 1000:
        found.error(f"--last is {options.last}; expected 1 to 1000")
    limit = options.last or (None if options.export or options.json else SHOWN)
    answer = asking.ask(asking.socket_of(options), "transactions", limit=limit)
    rows = answer.get("transactions") or []
    if options.json:
        print(json.dumps(answer, ensure_ascii=False))
    elif options.export == "json":
        print(json.dumps([_exported(row) for row in rows], ensure_ascii=False, indent=1))
    elif options.export == "csv":
        print(_csv(rows), end="")
    else:
        asking.tell(_lines(rows, float(answer.get("now_utc") or 0.0)))
    return Exit.OK


def _lines(rows: Sequence[Answer], now_utc: float) -> Iterator[str]:
    if not rows:
        yield "no charge runs, and none has ended yet"
        return
    head = ("began (UTC)", ">EVSE", "card", ">kWh", ">took", "ended", "central system")
    yield from table(head, [_row(row, now_utc) for row in rows])
    if any(row.get("state") == "given up" for row in rows):
        yield "what to do: chargepoint queue says why the central system was not told"


def _row(row: Answer, now_utc: float) -> tuple[str, ...]:
    started, ended = row.get("started_utc"), row.get("ended_utc")
    took = span((ended or now_utc) - started) if started else "?"
    reason = str(row.get("reason") or "")
    told = f"told {day_time(row['told_utc'])}" if row.get("told_utc") else _wait(row.get("waiting") or 0)
    if row.get("state") == "given up":
        told = "GIVEN UP"
    elif row.get("state") in ("running", "ending") and not row.get("waiting"):
        told = "has heard all"
    state = str(row.get("state"))
    why = state if state in ("running", "ending") else _WORDS.get(reason, reason or "?")
    return (
        day_time(started),
        str(row.get("evse")),
        str(row.get("card") or "-"),
        kwh(row.get("energy_wh")),
        took,
        why,
        told,
    )


def _wait(count: int) -> str:
    return f"{count} message{' waits' if count == 1 else 's wait'}" if count else "told"


def _exported(row: Answer) -> Answer:
    """With times that other programs read."""
    return {field: stamp(row.get(field)) if field.endswith("_utc") else row.get(field) for field in FIELDS}


def _csv(rows: Sequence[Answer]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(value) for key, value in _exported(row).items()})
    return text.getvalue()


def _cell(value: object) -> object:
    """A spreadsheet must not take a name for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value
