"""How the technician's commands ask the running agent: one request, one answer, a line of JSON each.

What they share: the options that say where the agent is, the words for an agent that does not answer, `--json`,
`--watch` and `--reason`. Exit codes: 0 done, 1 refused or failed (one line on stderr says why), 2 the command line was
wrong, 69 the agent is not running, 78 the configuration file cannot be used.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from agent.cli import Parser
from agent.cli.tables import columns, is_screen, wrapped
from agent.errors import AgentError, ConfigError, NotRunning

VERSION = 1
TIMEOUT_S = 5.0
PROBE_S = 1.0
ORDER_S = 65.0  # an order is answered when it is known what became of it
WATCH_S = 1.0
MAX_ANSWER_BYTES = 4 * 1024 * 1024
SEE = "see systemctl status chargepoint and chargepoint check-config; its journal tells more"
CLEAR = "\x1b[H\x1b[J"
EXIT_CODES = (
    "exit codes: 0 done, 1 refused or failed, 2 the command line was wrong, 69 the agent is not running, "
    "78 the configuration file cannot be used"
)

Answer = dict[str, Any]


class Refused(AgentError):
    """The agent is there, but does not do it."""


def parser(verb: str, about: str, *, watch: bool = False, reason: bool = False) -> Parser:
    """The options that these commands share."""
    found = Parser(prog=f"chargepoint {verb}", description=about, epilog=EXIT_CODES)
    found.add_argument("--json", action="store_true", help="as the agent tells it, one line of JSON")
    if watch:
        found.add_argument("--watch", action="store_true", help="again every second, until Ctrl-C")
    if reason:
        found.add_argument("--reason", metavar="TEXT", help="why; kept in the logbook and the journal with your name")
    where = found.add_mutually_exclusive_group()
    where.add_argument("--socket", metavar="PATH", help="the agent's control socket")
    where.add_argument("--config", metavar="FILE", help="the agent's configuration, which names the socket")
    return found


def socket_of(options: argparse.Namespace) -> str:
    """The control socket that the options, or the configuration in its usual place, name."""
    if options.socket:
        return str(options.socket)
    from agent.config_socket import DEFAULT_FILE, DEFAULT_SOCKET, control_socket

    if options.config:
        return control_socket(options.config)
    if not os.access(DEFAULT_FILE, os.R_OK):
        return DEFAULT_SOCKET
    try:
        return control_socket(DEFAULT_FILE)
    except ConfigError:  # an agent that was started before the file was spoilt runs on
        if not _answers(DEFAULT_SOCKET):
            raise
        return DEFAULT_SOCKET


def _answers(path: str) -> bool:
    try:
        ask(path, "status", timeout_s=PROBE_S)
    except NotRunning:
        return False
    except Refused:
        return True
    return True


def ask(path: str, verb: str, *, program: str = "", timeout_s: float = TIMEOUT_S, **more: Any) -> Answer:
    """The agent's answer; NotRunning or Refused in plain words."""
    name = f"chargepoint {program or verb}"
    request = {"verb": verb, "v": VERSION, **{key: value for key, value in more.items() if value is not None}}
    answer = _parsed(_line(path, request, name, timeout_s))
    if answer is None:
        raise Refused(f"{name}: what answers at {path} is not the agent")
    if "error" in answer:
        raise Refused(f"{name}: {answer['error']}")
    return answer


@contextmanager
def reached(path: str, name: str) -> Iterator[None]:
    """What goes wrong on the way to the agent, in plain words."""
    try:
        yield
    except PermissionError:
        raise Refused(f"{name}: {path}: you may not open it; use sudo, or join the agent's group") from None
    except TimeoutError:
        raise NotRunning(f"{name}: the agent does not answer at {path}; {SEE}") from None
    except BrokenPipeError:
        raise NotRunning(f"{name}: the agent went away") from None
    except OSError:
        start = "start it with: systemctl start chargepoint (by hand: chargepoint run --config FILE)"
        raise NotRunning(f"{name}: no agent is running at {path}; {start}") from None


def _line(path: str, request: Answer, name: str, timeout_s: float) -> bytes:
    with reached(path, name), socket.socket(socket.AF_UNIX) as link:
        link.settimeout(timeout_s)
        link.connect(path)
        link.sendall(json.dumps(request).encode() + b"\n")
        with link.makefile("rb") as file:
            line = file.readline(MAX_ANSWER_BYTES)
    if not line:
        raise NotRunning(f"{name}: the agent at {path} ended before it answered; ask again in a moment")
    return line


def _parsed(line: bytes) -> Answer | None:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def show(options: argparse.Namespace, look: Callable[[], Answer], drawn: Callable[[Answer], str]) -> None:
    """What was asked for, once, or again and again."""
    watch = getattr(options, "watch", False)
    while True:
        try:
            answer = look()
        except NotRunning as error:
            if not watch:
                raise
            text = json.dumps({"error": str(error)}) if options.json else str(error)
        else:
            text = json.dumps(answer, ensure_ascii=False) if options.json else drawn(answer)
        head = CLEAR if watch and not options.json and is_screen() else ""
        tail = "\n" if watch and not options.json and not head else ""  # screens that follow one another in a pipe
        print(f"{head}{text}{tail}", flush=True)
        if not watch:
            return
        time.sleep(WATCH_S)


# --- orders -------------------------------------------------------------------------------------------------


def order(options: argparse.Namespace, found: Parser, verb: str, program: str, what: str, **more: Any) -> int:
    """Have something done; the exit code. `what`: of what the answer speaks, or ""."""
    why = reason(options, found)
    path = socket_of(options)
    ask(path, "status", program=program)  # the order may take long, but that there is no agent is known at once
    told = ask(path, verb, program=program, timeout_s=ORDER_S, why=why, sudo=os.environ.get("SUDO_USER"), **more)
    done = told.get("done") is True
    if options.json:
        print(json.dumps(told, ensure_ascii=False))
    elif done:
        tell([f"{what}{told.get('text')}"])
    else:
        raise Refused(f"chargepoint {program}: {what}{printable(str(told.get('text')))}")
    return 0 if done else 1


def reason(options: argparse.Namespace, found: Parser) -> str:
    """Why it is ordered; a person at a terminal is asked."""
    if options.reason is None and sys.stdin.isatty() and sys.stderr.isatty():
        print("Why (for the logbook)? ", end="", file=sys.stderr, flush=True)
        options.reason = sys.stdin.readline().strip()
    if not (options.reason or "").strip():
        found.error("--reason TEXT is missing; it is kept in the logbook with your name")
    return str(options.reason)


def tell(lines: Iterable[str]) -> None:
    """Lines for people."""
    print(fitted(lines), flush=True)


def fitted(lines: Iterable[str]) -> str:
    """Within the width of the terminal, and without what could command it."""
    width = columns()
    return "\n".join(part for line in lines for part in wrapped(printable(line), width))


def printable(text: str) -> str:
    """A CSMS's words, or a device's, must not command the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)
