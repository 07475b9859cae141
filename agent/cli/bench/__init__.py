"""The bench tools: `chargepoint bus | meter | evse | map`. They need no agent and no configuration.

The work is in `drivers.probe`; here are words, tables and exit codes. Nothing is written to a device except by `evse
offer`, which asks first. While the agent runs, it holds its serial ports, and these tools say so in one line.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from typing import Any

from agent.cli import Parser
from agent.cli.tables import is_screen
from agent.errors import Exit
from drivers.api import DriverError

EXIT_CODES = "exit codes: 0 done, 1 no: one line says why, 2 the command line was wrong, 130 interrupted"
SHOUT = "switch the charger off"  # nothing is to be added to that
HINTS = {  # what a device or a port did: what to do about it
    "another program uses it": "the agent? systemctl stop chargepoint, or ask it: chargepoint status, evse, meter",
    "cannot be opened: No such file": "is it plugged in? see ls -l /dev/serial/by-path",
    "cannot be opened: Permission": "join the group that owns it (ls -l), or be root",
    "no answer in": "is it on, A and B right, unit and speed as set there? chargepoint bus scan looks for it",
    "garbled answer": "another speed or parity, A and B, termination, or two devices with one unit number",
    "has no such register": "another device than the map is for? chargepoint bus scan names it",
    "does not know this function": "another device than the map is for? chargepoint bus scan names it",
}
CLEAR = "\x1b[H\x1b[J"


def guarded(program: str, work: Callable[[], int]) -> int:
    """Do it; a device's or a map's failure is one line and code 1."""
    try:
        return work()
    except DriverError as error:
        text = " ".join(str(error).split())
        hints = [] if SHOUT in text else [hint for words, hint in HINTS.items() if words in text]
        hint = f"; {hints[0]}" if hints else ""
        print(f"{program}: {text}{hint}", file=sys.stderr)
        return Exit.FAILURE


def one_verb(program: str, argv: list[str], verbs: dict[str, Callable[[list[str]], int]], about: str) -> int:
    """Find the second word of a command."""
    word = argv[0] if argv else ""
    if word in ("-h", "--help"):
        print(f"usage: chargepoint {program} {'|'.join(verbs)} ...\n\n{about}\n")
        for verb in verbs.values():
            with contextlib.suppress(SystemExit):  # each ends the process when it has told
                verb(["--help"])
        return Exit.OK
    if word not in verbs:
        said = f"no verb {word!r}; there are" if word else "one of"
        print(f"chargepoint {program}: {said} {', '.join(verbs)}", file=sys.stderr)
        return Exit.USAGE
    return verbs[word](argv[1:])


def parser(program: str, about: str) -> Parser:
    found = Parser(prog=f"chargepoint {program}", description=about, epilog=EXIT_CODES)
    found.add_argument("--json", action="store_true", help="one JSON object a line, for scripts")
    return found


def tell(text: str) -> None:
    """One text for people; what came from a device must not command the terminal."""
    print("".join(c if c.isprintable() or c == "\n" else "?" for c in text), flush=True)


def tell_json(what: dict[str, Any]) -> None:
    print(json.dumps(what, ensure_ascii=False), flush=True)


def clear_screen() -> None:
    if is_screen():
        print(CLEAR, end="")
