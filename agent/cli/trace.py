"""`chargepoint trace`: what crosses the lines, as it crosses: OCPP with the CSMS, Modbus with the devices.

Decoded (action and EVSE; registers by the names of the device's map) and without secrets. Of what a device says
again and again only the values that have changed are shown, unless --full is given. It costs the agent something
only while somebody listens. Ends with Ctrl-C, after --for-s, or after --count lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from agent.cli import asking
from agent.cli.streaming import stream
from agent.cli.tables import columns
from agent.errors import Exit

MAX_REMEMBERED = 100  # kinds of exchange of which the last is known
MAX_VALUES = 12  # of one exchange; --full shows all
WAYS = {"<": "CSMS -> charger", ">": "charger -> CSMS", "=": "link"}


def main(argv: Sequence[str]) -> int:
    """Show it until Ctrl-C; the exit code."""
    about = "Show what crosses the lines to the CSMS and to the devices, decoded, as it crosses."
    parser = asking.parser("trace", about)
    parser.add_argument("kind", nargs="?", choices=("ocpp", "modbus"), help="only these frames")
    parser.add_argument("--evse", type=int, metavar="N", help="only what is about this EVSE")
    parser.add_argument("--action", metavar="WORD", help="only OCPP actions with this word in them, such as Status")
    parser.add_argument("--device", metavar="WORD", help="only devices with this word in their name, unit or bus")
    parser.add_argument("--full", action="store_true", help="whole payloads and all values, however long")
    parser.add_argument("--count", type=int, metavar="N", help="end after so many lines")
    parser.add_argument("--for-s", type=float, metavar="S", help="end after so many seconds")
    options = parser.parse_args(list(argv))
    if (options.kind == "ocpp" and options.device) or (options.kind == "modbus" and options.action):
        parser.error("--action is of ocpp, --device of modbus")
    wish = {key: getattr(options, key) for key in ("kind", "evse", "action", "device")}
    shown, before = 0, Before()
    for line in stream(asking.socket_of(options), "trace", "trace", for_s=options.for_s, **wish):
        if line.get("kind") != "alive":
            print(
                json.dumps(line, ensure_ascii=False) if options.json else _drawn(line, options.full, before), flush=True
            )
            shown += 1
        if shown == options.count:
            break
    return Exit.OK


class Before:
    """What each device said the last time, so that a slow line carries only what is new."""

    def __init__(self) -> None:
        self._said: dict[tuple[object, object], list[list[Any]]] = {}

    def news(self, line: dict[str, Any], values: list[list[Any]]) -> list[list[Any]] | None:
        """Those of the values that were others then; None: not one."""
        key = line.get("device"), line.get("what")
        old = self._said.get(key)
        if old is not None or len(self._said) < MAX_REMEMBERED:
            self._said[key] = values
        if old is None:  # a controller has twenty flags, and most say nothing
            return [value for value in values if not (str(value[0]).startswith("fault ") and value[1] == "no")]
        return [value for value in values if value not in old] or None


def _drawn(line: dict[str, Any], full: bool, before: Before) -> str:
    if line.get("kind") == "missed":
        return f"    ({line.get('count')} were left out: more crossed than could be shown)"
    words = _ocpp(line) if line.get("kind") == "ocpp" else _modbus(line, full, before)
    width = None if full else columns()
    return "\n".join(asking.printable(text)[:width] for text in words)


def _ocpp(line: dict[str, Any]) -> Iterator[str]:
    where = f" (EVSE {line['evse']})" if line.get("evse") else ""
    yield f"{_clock(line)}  {WAYS.get(str(line.get('way')), '?')}: {line.get('action') or ''}{where}".rstrip(": ")
    yield f"    {line.get('text')}"


def _modbus(line: dict[str, Any], full: bool, before: Before) -> Iterator[str]:
    took = f"{line.get('took_ms')} ms"
    device = str(line.get("device"))
    device = device if full else device.partition(" (")[0]
    values = [value for value in line.get("values") or () if isinstance(value, list) and len(value) == 3]
    told = before.news(line, values) if values and not full else values
    same = ", as before" if told is None else ""
    yield f"{_clock(line)}  {device}: {line.get('what')}, {line.get('error') or took}{same}"
    values = told or []
    for name, value, registers in values if full else values[:MAX_VALUES]:
        yield f"    {name:<34} {value:<16} {registers}".rstrip() if name else f"    {registers}"
    if not full and len(values) > MAX_VALUES:
        yield f"    and {len(values) - MAX_VALUES} more values (--full)"


def _clock(line: dict[str, Any]) -> str:
    return str(line.get("at", ""))[11:23]
