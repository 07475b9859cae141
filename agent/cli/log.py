"""`chargepoint log`: what the agent has written into the journal, the newest last, and what to do about it.

From the system's journal where there is one that you may read, else the last lines that the running agent remembers.
Every warning bears the id of a fault or a trouble; under the lines stands for each of them what to do.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from agent.cli import asking
from agent.cli.tables import hanging
from agent.errors import Exit

UNIT = "chargepoint"
LEVELS = {"error": 3, "warning": 4, "info": 6, "debug": 7}
NAMES = {0: "ERROR", 1: "ERROR", 2: "ERROR", 3: "ERROR", 4: "WARNING", 5: "INFO", 6: "INFO", 7: "DEBUG"}
NUMBERS = {"ERROR": 3, "WARNING": 4, "INFO": 6, "DEBUG": 7}
UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
SPAN = re.compile(r"(\d{1,9})\s*(s|min|h|d)")
LINES = 100
FOLLOW_S = 1.0
JOURNAL_S = 30.0
_EVSE, _FAULT = re.compile(r"\bEVSE=(\d+)"), re.compile(r"\bFAULT=([\w-]+)")


class Entry(NamedTuple):
    at: float  # UTC
    level: int
    text: str
    evse: int | None
    fault: str


def main(argv: Sequence[str]) -> int:
    """Show it; the exit code."""
    parser = asking.parser("log", "Show what the agent has written into the journal, and what to do about it.")
    parser.add_argument("--level", choices=tuple(LEVELS), default="info", help="this and what is worse; default info")
    parser.add_argument("--evse", type=int, metavar="N", help="only what is about this EVSE")
    parser.add_argument("--fault", metavar="ID", help="only what bears this id")
    parser.add_argument("--since", metavar="SPAN", help="only from so far back, such as 90s, 30min, 2h, 1d")
    parser.add_argument("--lines", type=int, default=LINES, metavar="N", help=f"the last so many; default {LINES}")
    parser.add_argument("--follow", action="store_true", help="go on with what is written from now on, until Ctrl-C")
    options = parser.parse_args(list(argv))
    span = SPAN.fullmatch(options.since or "1d")
    if span is None:
        parser.error(f"--since takes a number with s, min, h or d, such as 30min, not {options.since!r}")
    since = time.time() - int(span[1]) * UNITS[span[2]] if options.since else 0.0
    named = options.socket or options.config  # a certain agent is meant, perhaps not the system's
    journal = None if named else _journal(since)
    found = list(_kept(options)) if journal is None else journal
    last = max((entry.at for entry in found), default=since)
    told = [entry for entry in found if entry.at >= since and _wanted(entry, options)][-max(1, options.lines) :]
    _print(told, as_json=options.json)
    if options.follow:
        _follow_agent(options, last) if journal is None else _follow_journal(options)
    return Exit.OK


def _wanted(entry: Entry, options: Any) -> bool:
    fits = options.evse in (None, entry.evse) and options.fault in (None, entry.fault)
    return fits and entry.level <= LEVELS[options.level]


def _print(entries: Sequence[Entry], *, as_json: bool) -> None:
    if as_json:
        for entry in entries:
            print(json.dumps(entry._asdict() | {"level": NAMES[entry.level].lower()}, ensure_ascii=False), flush=True)
        return
    for entry in entries:
        print(_drawn(entry), flush=True)
    remedies = _remedies(entries)
    if remedies:
        print("\nWhat to do:\n" + "\n".join(remedies))
    if not entries:
        print("nothing has been written that fits")


def _drawn(entry: Entry) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(entry.at))
    return hanging(asking.printable(f"{when} {NAMES[entry.level]:7} {entry.text}"), len(when) + 9)


def _remedies(entries: Sequence[Entry]) -> list[str]:
    """One line for each id of a warning, in the order of their first occurrence."""
    from agent.core.troubles import remedy_of

    ids = dict.fromkeys(entry.fault for entry in entries if entry.fault and entry.level <= LEVELS["warning"])
    return [hanging(f"  {id_}: {remedy}", 4) for id_ in ids if (remedy := remedy_of(id_))]


# --- from the system's journal ------------------------------------------------------------------------------


def _journal(since: float) -> list[Entry] | None:
    """What stands there; None when there is no journal, or nothing of the agent in it that we may read."""
    words = _command("-n", "5000", f"--since=@{since:.0f}")
    if words is None:
        return None
    try:
        done = subprocess.run(words, capture_output=True, timeout=JOURNAL_S, check=False)  # noqa: S603  our own words
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = [entry for line in done.stdout.split(b"\n") if line and (entry := _entry(line)) is not None]
    return found or None


def _command(*more: str) -> list[str] | None:
    program = shutil.which("journalctl")
    return None if program is None else [program, "-u", UNIT, "-o", "json", "--no-pager", "-q", *more]


def _follow_journal(options: Any) -> None:
    words = _command("-n", "0", "--follow")
    assert words is not None, "it was there a moment ago"
    with subprocess.Popen(words, stdout=subprocess.PIPE) as journal:  # noqa: S603  our own words
        assert journal.stdout is not None
        for line in journal.stdout:
            entry = _entry(line)
            if entry is not None and _wanted(entry, options):
                _print([entry], as_json=options.json)


def _entry(line: bytes) -> Entry | None:
    try:
        fields = json.loads(line)
        text = fields["MESSAGE"]
        if isinstance(text, list):  # bytes that are no UTF-8
            text = bytes(text).decode("utf-8", "replace")
        at, level = int(fields["__REALTIME_TIMESTAMP"]) / 1e6, int(fields.get("PRIORITY", 6))
        return _read(at, min(7, max(0, level)), str(text))
    except (ValueError, TypeError, KeyError):
        return None


def _read(at: float, level: int, text: str) -> Entry:
    evse, fault = _EVSE.search(text), _FAULT.search(text)
    return Entry(at, level, text, int(evse[1]) if evse else None, fault[1] if fault else "")


# --- from the running agent ---------------------------------------------------------------------------------


def _kept(options: Any, after: float | None = None) -> Iterator[Entry]:
    answer = asking.ask(asking.socket_of(options), "log", after=after)
    for at, text in answer.get("lines") or ():
        level, _, message = str(text).partition(" ")
        yield _read(float(at), NUMBERS.get(level, 6), message.strip())


def _follow_agent(options: Any, last: float) -> None:
    while True:
        time.sleep(FOLLOW_S)
        news = list(_kept(options, last))
        last = max((entry.at for entry in news), default=last)
        told = [entry for entry in news if _wanted(entry, options)]
        if told:
            _print(told, as_json=options.json)
