"""Man pages and completion of the program in a folder: `pages.py SITE FOLDER`.

All is made from what the program and its manual say, so nothing here is to be kept in step by hand. The same program
gives the same bytes: dates are those of $SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from os import environ
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
environ["COLUMNS"] = "1000"  # a usage is one line, whatever the terminal

import completion  # noqa: E402
import roff  # noqa: E402
from commands import Command, all_commands  # noqa: E402

from agent import __version__  # noqa: E402
from agent.__main__ import DEFAULT_FILE, EXIT_CODES  # noqa: E402

MANUAL = Path(__file__).parents[2] / "etc" / "README.md"
DESCRIPTION = (
    "The agent inside an EV charger, and everything that a technician says to it. The agent itself runs as the service "
    "chargepoint.service; none of these commands needs to know the protocol that it speaks."
)
FILES = (
    (DEFAULT_FILE, "the configuration, see **agent.toml**(5)"),
    ("/etc/chargepoint/conf.d/*.toml", "drop-ins that are read after it and win, key by key"),
    ("/etc/chargepoint/credentials/", "keys and passwords that the service manager hands to the agent"),
    ("/etc/chargepoint/maps/", "register maps of your own"),
    ("/usr/lib/chargepoint/extensions/", "Python packages of the manufacturer: drivers, messages"),
    ("/var/lib/chargepoint/", "what the agent remembers: transactions above all"),
    ("/dev/chargepoint/", "stable names of serial adapters"),
)


def main() -> None:
    date = datetime.fromtimestamp(int(environ.get("SOURCE_DATE_EPOCH", "0")), UTC).date().isoformat()
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    commands = all_commands()
    (folder / "chargepoint.1").write_text(_command_page(commands, date), "utf-8")
    (folder / "agent.toml.5").write_text(_manual_page(date), "utf-8")
    (folder / "chargepoint.bash").write_text(completion.script(commands), "utf-8")


def _command_page(commands: list[Command], date: str) -> str:
    first = roff.head("chargepoint", 1, date, __version__, "the agent of an EV charger")
    first += [".SH SYNOPSIS", "\\fBchargepoint\\fR \\fIVERB\\fR ...", ".SH DESCRIPTION", roff.escape(DESCRIPTION)]
    last = [".SH EXIT STATUS", ".nf", *map(roff.escape, EXIT_CODES.splitlines()[1:]), ".fi", ".SH FILES"]
    for name, about in FILES:
        last += [".TP", f"\\fI{roff.escape(name)}\\fR", roff.inline(about)]
    return roff.command_page(commands, first, [*last, *_see(("agent.toml", 5), ("systemctl", 1), ("journalctl", 1))])


def _manual_page(date: str) -> str:
    first = roff.head("agent.toml", 5, date, __version__, "the configuration of one charger")
    return roff.manual_page(MANUAL.read_text("utf-8"), first, _see(("chargepoint", 1)))


def _see(*pages: tuple[str, int]) -> list[str]:
    return [".SH SEE ALSO", ", ".join(f"\\fB{roff.escape(name)}\\fR({section})" for name, section in pages)]


if __name__ == "__main__":
    main()
