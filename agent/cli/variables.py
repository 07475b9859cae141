"""`chargepoint variables [get|set]`: the settings of the charger, where each comes from, and who has set it when.

The answer to `{"verb": "variables", "names": [...], "match": TEXT, "changed": true}`: variables [{name, value, source,
set, by, utc, default, expected, unit, writable, restart}]. source: "technician", "central system", "configuration",
"protocol" (fixed by the version in use), "protocol preset" or "default". value null: not known, or secret.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence

from agent.cli import asking
from agent.cli.asking import Answer
from agent.cli.tables import moment
from agent.errors import Exit

STDIN = "-"


def main(argv: Sequence[str]) -> int:
    """List, show or set; the exit code."""
    verb = {"get": _get, "set": _set}.get(argv[0] if argv else "", _list)
    return verb(list(argv))


def _list(argv: list[str]) -> int:
    found = asking.parser("variables", "List the settings: name, value, and where it comes from if not the default.")
    found.epilog = f"also: chargepoint variables get NAME, chargepoint variables set NAME VALUE; {found.epilog}"
    found.add_argument("match", nargs="?", metavar="TEXT", help="only names with this in them")
    found.add_argument("--changed", action="store_true", help="only what the central system or a technician has set")
    options = found.parse_args(argv)
    answer = asking.ask(asking.socket_of(options), "variables", match=options.match, changed=options.changed or None)
    if options.json:
        print(json.dumps(answer, ensure_ascii=False))
        return Exit.OK
    rows = answer.get("variables") or []
    asking.tell([_short(row) for row in rows] or ["nothing was set" if options.changed else "no name has this in it"])
    return Exit.OK


def _short(row: Answer) -> str:
    source = str(row.get("source"))
    who = f" [{row['by']}, {moment(row.get('utc'))}]" if row.get("set") and row.get("by") else ""
    return f"{row.get('name')} = {_value(row)}{who or ('' if source == 'default' else f' [{source}]')}"


def _value(row: Answer) -> str:
    if row.get("value") is None:
        return "(not shown)"
    return f"{row['value']}{' ' + row['unit'] if row.get('unit') and row['value'] else ''}" or "(empty)"


def _get(argv: list[str]) -> int:
    found = asking.parser("variables get", "Show settings with all that is known of them.")
    found.add_argument(
        "names", nargs="+", metavar="NAME", help="such as TxCtrlr.EVConnectionTimeOut or ConnectionTimeOut"
    )
    options = found.parse_args(argv[1:])
    answer = asking.ask(asking.socket_of(options), "variables", names=options.names, program="variables get")
    if options.json:
        print(json.dumps(answer, ensure_ascii=False))
    else:
        asking.tell(line for row in answer.get("variables") or () for line in _long(row))
    return Exit.OK


def _long(row: Answer) -> Iterator[str]:
    yield f"{row.get('name')} = {_value(row)}"
    who = f": {row['by']}" if row.get("by") not in (None, row.get("source")) else ""
    by = f"{who}, {moment(row.get('utc'))} UTC" if row.get("by") else ""
    yield f"  from      {row.get('source')}{by}"
    yield f"  default   {row.get('default') or '(empty)'}"
    if row.get("writable"):
        yield f"  may be    {row.get('expected')}{'; counts after a restart' if row.get('restart') else ''}"
    else:
        yield "  may be    told, not set"


def _set(argv: list[str]) -> int:
    found = asking.parser("variables set", "Set one setting; it counts at once, and after a restart.", reason=True)
    found.add_argument("name", metavar="NAME", help="such as TxCtrlr.EVConnectionTimeOut or ConnectionTimeOut")
    found.add_argument(
        "value", nargs="?", metavar="VALUE", help="- takes it from stdin: what is secret shows in no list"
    )
    found.add_argument("--default", action="store_true", help="instead: what was set counts no more")
    options = found.parse_args(argv[1:])
    if options.default is (options.value is not None):
        found.error("takes a VALUE, or --default")
    value = sys.stdin.readline().rstrip("\n") if options.value == STDIN else options.value
    return asking.order(options, found, "set", "variables set", "", name=options.name, value=value)
