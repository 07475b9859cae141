"""`chargepoint queue`: what waits for the central system, and what was given up; `retry` sends that once more, `export`
writes it to a file or to stdout, one JSON object a line.

The answer to `{"verb": "queue", "after": ROW}`: now_utc, rows, bytes, waiting [{id, kind, evse, utc, energy_wh}], next
(the row to ask for the next page with, or null), given_up, dead_letters [{id, kind, transaction, evse, utc,
started_utc, started_wh, energy_wh, card, trigger, reason, why}], link (as in `chargepoint status`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence

from agent.cli import asking
from agent.cli.asking import Answer, Refused
from agent.cli.tables import day_time, kwh, size, span, stamp, table
from agent.errors import Exit

SHOWN = 20
MAX_LETTERS = 10_000
_KINDS = {"Started": "start", "Updated": "values", "Ended": "end"}


def main(argv: Sequence[str]) -> int:
    """Show, send again or export; the exit code."""
    verb = {"retry": _retry, "export": _export}.get(argv[0] if argv else "", _show)
    return verb(list(argv))


def _show(argv: list[str]) -> int:
    found = asking.parser("queue", "Show what waits for the central system, and what was given up.")
    found.epilog = f"also: chargepoint queue retry, chargepoint queue export; {found.epilog}"
    found.add_argument("--all", action="store_true", help=f"all that waits, not only the first {SHOWN}")
    options = found.parse_args(argv)
    path = asking.socket_of(options)
    limit = None if options.all or options.json else SHOWN
    answer = asking.ask(path, "queue", limit=limit, letters=MAX_LETTERS if options.json else None)
    if options.json:
        print(json.dumps(answer, ensure_ascii=False))
        return Exit.OK
    asking.tell(_lines(answer))
    while options.all and answer.get("next"):
        answer = asking.ask(path, "queue", after=answer["next"])
        asking.tell(_table(answer)[1:])
    return Exit.OK


def _lines(a: Answer) -> Iterator[str]:
    waiting, count, link = a.get("waiting") or [], a.get("rows") or 0, a.get("link") or {}
    if not count:
        yield "empty: the central system has answered everything"
    else:
        oldest = span((a.get("now_utc") or 0) - waiting[0]["utc"]) if waiting else "?"
        noun = "message waits" if count == 1 else "messages wait"
        yield f"{count} {noun} for the central system ({size(a.get('bytes'))}), the oldest for {oldest}"
        if link.get("state") != "connected":
            yield f"they wait for the link: {link.get('why') or link.get('state')}"
        yield from _table(a)
        if count > len(waiting):
            yield f"and {count - len(waiting)} more; --all shows them"
    yield from _given_up(a)


def _table(a: Answer) -> list[str]:
    rows = [
        (
            str(row.get("id")),
            _KINDS.get(str(row.get("kind")), "?"),
            str(row.get("evse")),
            day_time(row.get("utc")),
            kwh(row.get("energy_wh")),
        )
        for row in a.get("waiting") or ()
    ]
    return table(("message", "tells", ">EVSE", "of (UTC)", ">meter kWh"), rows) if rows else [""]


def _given_up(a: Answer) -> Iterator[str]:
    count, letters = a.get("given_up") or 0, (a.get("dead_letters") or [])[:SHOWN]
    if not count:
        return
    yield ""
    yield f"{count} given up: the central system has refused them or never answered them; they are kept"
    rows = [
        (
            str(each.get("id")),
            _KINDS.get(str(each.get("kind")), "damaged"),
            str(each.get("evse") or "?"),
            str(each.get("why")),
        )
        for each in letters
    ]
    yield from table(("message", "tells", ">EVSE", "why"), rows)
    if count > len(letters):
        yield f"and {count - len(letters)} more; chargepoint queue export has them all"
    yield 'what to do: once its cause is mended, chargepoint queue retry --reason "..." sends them again;'
    yield "chargepoint queue export FILE writes them down for the operator"


def _retry(argv: list[str]) -> int:
    found = asking.parser("queue retry", "Send once more what was given up.", reason=True)
    options = found.parse_args(argv[1:])
    return asking.order(options, found, "retry", "queue retry", "")


def _export(argv: list[str]) -> int:
    found = asking.parser("queue export", "Write down what was given up, one JSON object a line. Cards are shortened.")
    found.add_argument("file", nargs="?", metavar="FILE", help="a new file; stdout, if none is given")
    options = found.parse_args(argv[1:])
    answer = asking.ask(asking.socket_of(options), "queue", limit=1, letters=MAX_LETTERS, program="queue export")
    lines = [json.dumps(_exported(each), ensure_ascii=False) for each in answer.get("dead_letters") or ()]
    text = "".join(f"{line}\n" for line in lines)
    if options.file is None:
        print(text, end="")
        return Exit.OK
    try:
        with os.fdopen(
            os.open(options.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "w", encoding="utf-8"
        ) as file:
            file.write(text)
    except OSError as error:
        raise Refused(f"chargepoint queue export: {options.file}: {error.strerror or error}") from None
    asking.tell([f"{options.file}: {len(lines)} {'message' if len(lines) == 1 else 'messages'}"])
    return Exit.OK


def _exported(letter: Answer) -> Answer:
    return {key: stamp(value) if key.endswith("utc") else value for key, value in letter.items()}
